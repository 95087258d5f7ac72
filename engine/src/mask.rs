//! Masks: which pixels of an image an object has. Always a raster, so holes survive.

mod components;
mod counts;
mod coverage;
mod draw;
mod edit;
mod guided;
mod logits;
mod outline;
mod patch;
mod resize;
mod rle;
mod shape;
mod simplify;
mod spans;

pub use components::{Components, Connectivity, fill_holes};
pub use guided::{Fit, Guide};
pub use outline::{Outline, Polygon};
pub use patch::Patch;
pub use resize::{
    resize_bicubic, resize_bilinear, resize_bilinear_antialias, resize_bilinear_part, sample_bilinear,
};
pub use rle::{Rle, RleError};
pub use shape::Shape;

use crate::geometry::Size;

/// A bitmap, row by row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mask {
    size: Size,
    bits: Vec<bool>,
}

impl Mask {
    /// From `bits` in row-major order, true on the object.
    ///
    /// # Panics
    /// If there are more or fewer bits than pixels.
    pub fn new(size: Size, bits: Vec<bool>) -> Self {
        assert_eq!(bits.len(), size.area(), "bits of a mask of {size}");
        Self { size, bits }
    }

    /// A mask with no pixel on the object.
    pub fn empty(size: Size) -> Self {
        Self { size, bits: vec![false; size.area()] }
    }

    /// The image's size.
    pub fn size(&self) -> Size {
        self.size
    }

    /// The bits in row-major order.
    pub fn bits(&self) -> &[bool] {
        &self.bits
    }

    /// Pixels on the object.
    pub fn area(&self) -> usize {
        self.bits.iter().filter(|&&on| on).count()
    }

    /// Pixels of either.
    ///
    /// # Panics
    /// If the sizes differ, as for all that combine two masks.
    #[must_use]
    pub fn union(&self, other: &Self) -> Self {
        self.combine(other, |a, b| a | b)
    }

    /// Pixels of both.
    #[must_use]
    pub fn intersection(&self, other: &Self) -> Self {
        self.combine(other, |a, b| a & b)
    }

    /// Pixels of this one and not of the other.
    #[must_use]
    pub fn subtract(&self, other: &Self) -> Self {
        self.combine(other, |a, b| a & !b)
    }

    fn combine(&self, other: &Self, both: impl Fn(bool, bool) -> bool) -> Self {
        assert_eq!(self.size, other.size, "masks of two sizes");
        Self { size: self.size, bits: self.bits.iter().zip(&other.bits).map(|(&a, &b)| both(a, b)).collect() }
    }

    /// Intersection over union, 0 to 1; of two empty masks 0, as pycocotools has it.
    pub fn iou(&self, other: &Self) -> f64 {
        self.intersection(other).area() as f64 / self.union(other).area().max(1) as f64
    }

    /// The mask at another size: where at least half of a new pixel was on the object.
    #[must_use]
    pub fn resize(&self, to: Size) -> Self {
        if to == self.size {
            return self.clone();
        }
        let values: Vec<f32> = self.bits.iter().map(|&on| f32::from(u8::from(on))).collect();
        let resized = resize_bilinear_antialias(&values, self.size, to);
        Self::new(to, resized.into_iter().map(|value| value >= 0.5).collect())
    }

    /// The mask as the part of an image of size `whole` that begins at pixel `corner`; nothing else is on.
    ///
    /// # Panics
    /// If the part reaches beyond the image.
    #[must_use]
    pub fn placed(self, corner: (usize, usize), whole: Size) -> Self {
        if self.size == whole {
            return self;
        }
        let mut placed = Self::empty(whole);
        for (y, row) in self.bits.chunks_exact(self.size.width.max(1)).enumerate() {
            let first = (corner.1 + y) * whole.width + corner.0;
            placed.bits[first..first + row.len()].copy_from_slice(row);
        }
        placed
    }

    /// The part of the mask that begins at pixel `corner` and has `size`.
    ///
    /// # Panics
    /// If the part reaches beyond the image.
    #[must_use]
    pub fn part(&self, corner: (usize, usize), size: Size) -> Self {
        let row = |y: usize| (corner.1 + y) * self.size.width + corner.0;
        let bits = (0..size.height).flat_map(|y| &self.bits[row(y)..row(y) + size.width]).copied().collect();
        Self::new(size, bits)
    }

    /// The mask with holes of up to `max_area` pixels filled.
    #[must_use]
    pub fn fill_holes(&self, max_area: usize) -> Self {
        // What touches the image's edge is no hole.
        let background = Components::of(&self.invert(), Connectivity::Four);
        self.change(|i| {
            let label = background.label(i);
            self.bits[i]
                || label.is_some_and(|l| background.area(l) <= max_area && !background.touches_edge(l))
        })
    }

    /// The mask without parts of up to `max_area` pixels.
    #[must_use]
    pub fn drop_islands(&self, max_area: usize) -> Self {
        let parts = Components::of(self, Connectivity::Eight);
        self.change(|i| parts.label(i).is_some_and(|label| parts.area(label) > max_area))
    }

    fn invert(&self) -> Self {
        self.change(|i| !self.bits[i])
    }

    fn change(&self, bit: impl Fn(usize) -> bool) -> Self {
        Self { size: self.size, bits: (0..self.bits.len()).map(bit).collect() }
    }
}

#[cfg(test)]
pub(crate) mod testing {
    //! Masks for tests.

    use proptest::prelude::*;

    use super::*;

    /// A mask from a picture: '#' is on.
    pub(crate) fn picture(rows: &[&str]) -> Mask {
        let bits = rows.iter().flat_map(|row| row.bytes().map(|b| b == b'#')).collect();
        Mask::new(Size::new(rows[0].len(), rows.len()), bits)
    }

    /// Any small mask: noise, or blocks with holes.
    pub(crate) fn any_mask() -> impl Strategy<Value = Mask> {
        (1..20_usize, 1..20_usize, 1..4_usize).prop_flat_map(|(width, height, block)| {
            let n = width.div_ceil(block) * height.div_ceil(block);
            prop::collection::vec(any::<bool>(), n).prop_map(move |blocks| {
                let bit = |i: usize| blocks[i / width / block * width.div_ceil(block) + i % width / block];
                Mask::new(Size::new(width, height), (0..width * height).map(bit).collect())
            })
        })
    }
}

#[cfg(test)]
mod tests {
    use super::{Size, testing::picture};

    #[test]
    fn only_small_holes_inside_are_filled() {
        let mask = picture(&["#####.", "#.##..", "##..#.", "#####."]);
        assert_eq!(mask.fill_holes(1), picture(&["#####.", "####..", "##..#.", "#####."]));
        assert_eq!(picture(&["###", "#.#", "###"]).fill_holes(1).area(), 9);
        assert_eq!(picture(&["###", "#.#", "###"]).fill_holes(0).area(), 8);
    }

    #[test]
    fn a_part_is_placed_where_it_was() {
        let mask = picture(&["......", "..#.#.", ".#.#..", "......"]);
        let part = mask.part((1, 1), Size::new(4, 2));
        assert_eq!(part, picture(&[".#.#", "#.#."]));
        assert_eq!(part.placed((1, 1), mask.size()), mask);
    }

    #[test]
    fn small_islands_are_dropped() {
        let mask = picture(&["#...", "..##", "#.##"]);
        assert_eq!(mask.drop_islands(1), picture(&["....", "..##", "..##"]));
    }

    #[test]
    fn set_operations() {
        let (a, b) = (picture(&["##.."]), picture(&[".##."]));
        assert_eq!(a.union(&b), picture(&["###."]));
        assert_eq!(a.intersection(&b), picture(&[".#.."]));
        assert_eq!(a.subtract(&b), picture(&["#..."]));
        assert!((a.iou(&b) - 1.0 / 3.0).abs() < 1e-12);
    }
}
