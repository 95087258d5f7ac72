//! Manual mask edits: grow, shrink, fill holes, split into connected components.

use std::cmp::Reverse;

use super::{
    Connectivity, Rle,
    spans::{Bounds, Columns, Span, labels},
};

impl Rle {
    /// Dilates the object by a disc: adds all pixels at most `radius` pixels away from one of its own. A radius of 1
    /// adds the pixels that share an edge with the object.
    #[must_use]
    pub fn grown(&self, radius: usize) -> Self {
        let size = self.size();
        // This radius already reaches every pixel of the image.
        let radius = radius.min(size.width + size.height);
        let heights: Vec<usize> =
            (0..=radius.min(size.width)).map(|dx| (radius * radius - dx * dx).isqrt()).collect();
        let mut columns = Columns::new(size);
        for Span { x, y0, y1 } in self.spans() {
            for to in x.saturating_sub(radius)..(x + radius + 1).min(size.width) {
                let height = heights[to.abs_diff(x)];
                columns.cover(to, y0.saturating_sub(height)..(y1 + height).min(size.height));
            }
        }
        columns.into_rle()
    }

    /// Erodes the object by a disc: removes all pixels at most `radius` pixels away from the background. The area
    /// beyond the edge of the image does not count as background, so an object that is cut off there keeps its pixels
    /// at the edge.
    #[must_use]
    pub fn shrunk(&self, radius: usize) -> Self {
        // The background pixel nearest to an object pixel is always at most one pixel outside the bounding box.
        self.subtract(&self.background(1).grown(radius))
    }

    /// Fills holes of any size. Background that touches the edge of the image is not a hole.
    #[must_use]
    pub fn holes_filled(&self) -> Self {
        let Bounds { x, y } = self.bounds(0);
        let spans: Vec<Span> = self.background(0).spans().collect();
        let labels = labels(&spans, Connectivity::Four);
        let mut is_open = vec![false; spans.len()];
        for (span, &label) in spans.iter().zip(&labels) {
            is_open[label] |=
                span.x == x.start || span.x + 1 == x.end || span.y0 == y.start || span.y1 == y.end;
        }
        let holes = spans.iter().zip(&labels).filter(|(_, label)| !is_open[**label]).map(|(span, _)| *span);
        self.union(&Self::of_spans(self.size(), holes))
    }

    /// Returns the connected component with the most pixels, the leftmost if several are equal. For an empty mask it
    /// is empty.
    #[must_use]
    pub fn largest_part(&self) -> Self {
        self.parts().into_iter().next().unwrap_or_else(|| Self::empty(self.size()))
    }

    /// Splits the object into its 8-connected components, largest first, equal ones from left to right.
    pub fn parts(&self) -> Vec<Self> {
        let spans: Vec<Span> = self.spans().collect();
        let mut parts: Vec<Vec<Span>> = Vec::new();
        for (span, label) in spans.iter().zip(labels(&spans, Connectivity::Eight)) {
            if label == parts.len() {
                parts.push(Vec::new());
            }
            parts[label].push(*span);
        }
        let mut parts: Vec<Self> = parts.into_iter().map(|part| Self::of_spans(self.size(), part)).collect();
        parts.sort_by_key(|part| Reverse(part.area()));
        parts
    }

    /// Returns the background within the bounding box of the object, grown by `margin` pixels.
    fn background(&self, margin: usize) -> Self {
        Self::of_bounds(self.bounds(margin), self.size()).subtract(self)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::{
        geometry::Size,
        mask::{
            Mask,
            testing::{any_mask, picture},
        },
    };

    /// Builds a mask of the pixels for which `on(x, y)` is true.
    fn mask_of(size: Size, on: impl Fn(usize, usize) -> bool) -> Mask {
        Mask::new(size, (0..size.area()).map(|i| on(i % size.width, i / size.width)).collect())
    }

    fn inverted(mask: &Mask) -> Mask {
        Mask::new(mask.size(), mask.bits().iter().map(|bit| !bit).collect())
    }

    /// Dilates a mask by comparing every pair of pixels, as a slow but simple reference.
    fn grown_slowly(mask: &Mask, radius: usize) -> Mask {
        let Size { width, height } = mask.size();
        mask_of(mask.size(), |x, y| {
            (0..width * height).any(|i| {
                let (dx, dy) = (x.abs_diff(i % width), y.abs_diff(i / width));
                mask.bits()[i] && dx * dx + dy * dy <= radius * radius
            })
        })
    }

    proptest! {
        #[test]
        fn grown_adds_pixels_within_radius(mask in any_mask(), radius in 0..8_usize) {
            prop_assert_eq!(Rle::encode(&mask).grown(radius).decode(), grown_slowly(&mask, radius));
        }

        #[test]
        fn shrinking_equals_growing_background(mask in any_mask(), radius in 0..5_usize) {
            let want = inverted(&grown_slowly(&inverted(&mask), radius));
            prop_assert_eq!(Rle::encode(&mask).shrunk(radius).decode(), want);
        }

        #[test]
        fn holes_filled_equals_mask_fill_holes(mask in any_mask()) {
            prop_assert_eq!(Rle::encode(&mask).holes_filled().decode(), mask.fill_holes(usize::MAX));
        }

        #[test]
        fn parts_are_disjoint_and_add_up_to_mask(mask in any_mask()) {
            let whole = Rle::encode(&mask);
            let parts = whole.parts();
            let mut together = Rle::empty(whole.size());
            for part in &parts {
                prop_assert_eq!(together.intersection(part).area(), 0);
                together = together.union(part);
            }
            prop_assert_eq!(&together, &whole);
            prop_assert!(parts.is_sorted_by_key(|part| Reverse(part.area())));
            prop_assert_eq!(parts.len(), crate::mask::Components::of(&mask, Connectivity::Eight).n());
            prop_assert_eq!(whole.largest_part(), parts.first().unwrap_or(&whole).clone());
        }
    }

    #[test]
    fn maximum_radius_grows_to_whole_image() {
        let pixel = Rle::encode(&picture(&["...", "..#"]));
        assert_eq!(pixel.grown(usize::MAX).area(), 6);
        assert_eq!(Rle::empty(Size::new(3, 2)).grown(usize::MAX).area(), 0);
        assert_eq!(pixel.shrunk(usize::MAX).area(), 0);
    }

    #[test]
    fn object_does_not_shrink_at_image_edge() {
        let mask = Rle::encode(&picture(&["##..", "##..", "##.."]));
        assert_eq!(mask.shrunk(1).decode(), picture(&["#...", "#...", "#..."]));
        let all = Rle::encode(&picture(&["##", "##"]));
        assert_eq!(all.shrunk(9), all);
    }

    #[test]
    fn leftmost_of_equal_parts_counts_as_largest() {
        let mask = Rle::encode(&picture(&["..##", "....", "##.."]));
        assert_eq!(mask.largest_part().decode(), picture(&["....", "....", "##.."]));
    }
}
