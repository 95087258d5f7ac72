//! Masks: the pixels of an image that belong to an object. A mask is always a raster, so it can have holes.

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

/// A binary mask as a bitmap in row-major order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mask {
    size: Size,
    bits: Vec<bool>,
}

impl Mask {
    /// Creates a mask from `bits` in row-major order; true means on the object.
    ///
    /// # Panics
    /// If the number of bits differs from the number of pixels.
    pub fn new(size: Size, bits: Vec<bool>) -> Self {
        assert_eq!(bits.len(), size.area(), "bits of a mask of {size}");
        Self { size, bits }
    }

    /// Returns a mask without object pixels.
    pub fn empty(size: Size) -> Self {
        Self { size, bits: vec![false; size.area()] }
    }

    /// Returns the size of the image.
    pub fn size(&self) -> Size {
        self.size
    }

    /// Returns the bits in row-major order.
    pub fn bits(&self) -> &[bool] {
        &self.bits
    }

    /// Counts the pixels on the object.
    pub fn area(&self) -> usize {
        self.bits.iter().filter(|&&on| on).count()
    }

    /// Returns the pixels that are in at least one of the masks.
    ///
    /// # Panics
    /// If the sizes differ, as for all methods that combine two masks.
    #[must_use]
    pub fn union(&self, other: &Self) -> Self {
        self.combine(other, |a, b| a | b)
    }

    /// Returns the pixels that are in both masks.
    #[must_use]
    pub fn intersection(&self, other: &Self) -> Self {
        self.combine(other, |a, b| a & b)
    }

    /// Returns the pixels that are in this mask but not in `other`.
    #[must_use]
    pub fn subtract(&self, other: &Self) -> Self {
        self.combine(other, |a, b| a & !b)
    }

    fn combine(&self, other: &Self, both: impl Fn(bool, bool) -> bool) -> Self {
        assert_eq!(self.size, other.size, "masks of two sizes");
        Self { size: self.size, bits: self.bits.iter().zip(&other.bits).map(|(&a, &b)| both(a, b)).collect() }
    }

    /// Returns the intersection over union, 0 to 1. For two empty masks it is 0, as in pycocotools.
    pub fn iou(&self, other: &Self) -> f64 {
        self.intersection(other).area() as f64 / self.union(other).area().max(1) as f64
    }

    /// Resizes the mask. A new pixel is on the object if at least half of its area was.
    #[must_use]
    pub fn resize(&self, to: Size) -> Self {
        if to == self.size {
            return self.clone();
        }
        let values: Vec<f32> = self.bits.iter().map(|&on| f32::from(u8::from(on))).collect();
        let resized = resize_bilinear_antialias(&values, self.size, to);
        Self::new(to, resized.into_iter().map(|value| value >= 0.5).collect())
    }

    /// Returns a mask of size `whole` with this mask placed at pixel `corner` (column, row) and all other pixels off.
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

    /// Crops the mask to the box of `size` that begins at pixel `corner` (column, row).
    ///
    /// # Panics
    /// If the part reaches beyond the image.
    #[must_use]
    pub fn part(&self, corner: (usize, usize), size: Size) -> Self {
        let row = |y: usize| (corner.1 + y) * self.size.width + corner.0;
        let bits = (0..size.height).flat_map(|y| &self.bits[row(y)..row(y) + size.width]).copied().collect();
        Self::new(size, bits)
    }

    /// Returns the mask with holes of up to `max_area` pixels filled.
    #[must_use]
    pub fn fill_holes(&self, max_area: usize) -> Self {
        // Background that touches the edge of the image is not a hole.
        let background = Components::of(&self.invert(), Connectivity::Four);
        self.change(|i| {
            let label = background.label(i);
            self.bits[i]
                || label.is_some_and(|l| background.area(l) <= max_area && !background.touches_edge(l))
        })
    }

    /// Returns the mask without connected components of up to `max_area` pixels.
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

    /// Builds a mask from rows of characters: `#` is on, all others are off.
    pub(crate) fn picture(rows: &[&str]) -> Mask {
        let bits = rows.iter().flat_map(|row| row.bytes().map(|b| b == b'#')).collect();
        Mask::new(Size::new(rows[0].len(), rows.len()), bits)
    }

    /// Generates small masks: noise, or blocks with holes.
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
    fn cropped_part_is_placed_back() {
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
    fn masks_combine_as_sets() {
        let (a, b) = (picture(&["##.."]), picture(&[".##."]));
        assert_eq!(a.union(&b), picture(&["###."]));
        assert_eq!(a.intersection(&b), picture(&[".#.."]));
        assert_eq!(a.subtract(&b), picture(&["#..."]));
        assert!((a.iou(&b) - 1.0 / 3.0).abs() < 1e-12);
    }
}
