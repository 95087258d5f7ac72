//! Editing of masks by hand: larger, smaller, without holes, part by part.

use std::cmp::Reverse;

use super::{
    Connectivity, Rle,
    spans::{Bounds, Columns, Span, labels},
};

impl Rle {
    /// The object with all pixels up to `radius` pixels away from one of its own (1: those that share an edge with it).
    #[must_use]
    pub fn grown(&self, radius: usize) -> Self {
        let size = self.size();
        // Farther than this all of the image is reached anyway.
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

    /// The object without all pixels up to `radius` pixels away from one off it; what is beyond the image's edge is
    /// not off it, so that an object that goes on there keeps its pixels.
    #[must_use]
    pub fn shrunk(&self, radius: usize) -> Self {
        // Of what is off the object, the nearest is always at most one pixel beyond the box.
        self.subtract(&self.background(1).grown(radius))
    }

    /// The object with its holes filled, of whatever size. What touches the image's edge is no hole.
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

    /// The part with the most pixels, of equals the leftmost; nothing of nothing.
    #[must_use]
    pub fn largest_part(&self) -> Self {
        self.parts().into_iter().next().unwrap_or_else(|| Self::empty(self.size()))
    }

    /// The parts, each of pixels that share an edge or a corner: the largest first, of equals the leftmost.
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

    /// What is off the object in the box round it, grown by `margin`.
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

    /// Pixels of an image for which `on(x, y)` is true.
    fn mask_of(size: Size, on: impl Fn(usize, usize) -> bool) -> Mask {
        Mask::new(size, (0..size.area()).map(|i| on(i % size.width, i / size.width)).collect())
    }

    fn inverted(mask: &Mask) -> Mask {
        Mask::new(mask.size(), mask.bits().iter().map(|bit| !bit).collect())
    }

    /// Grows by looking at every pair of pixels.
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
        fn grown_has_all_within_the_radius(mask in any_mask(), radius in 0..8_usize) {
            prop_assert_eq!(Rle::encode(&mask).grown(radius).decode(), grown_slowly(&mask, radius));
        }

        #[test]
        fn to_shrink_is_to_grow_what_is_off_the_object(mask in any_mask(), radius in 0..5_usize) {
            let want = inverted(&grown_slowly(&inverted(&mask), radius));
            prop_assert_eq!(Rle::encode(&mask).shrunk(radius).decode(), want);
        }

        #[test]
        fn filled_holes_are_those_of_the_mask(mask in any_mask()) {
            prop_assert_eq!(Rle::encode(&mask).holes_filled().decode(), mask.fill_holes(usize::MAX));
        }

        #[test]
        fn parts_make_up_the_whole(mask in any_mask()) {
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
    fn growing_without_end_reaches_all_of_the_image() {
        let pixel = Rle::encode(&picture(&["...", "..#"]));
        assert_eq!(pixel.grown(usize::MAX).area(), 6);
        assert_eq!(Rle::empty(Size::new(3, 2)).grown(usize::MAX).area(), 0);
        assert_eq!(pixel.shrunk(usize::MAX).area(), 0);
    }

    #[test]
    fn an_object_does_not_shrink_from_the_edge_of_the_image() {
        let mask = Rle::encode(&picture(&["##..", "##..", "##.."]));
        assert_eq!(mask.shrunk(1).decode(), picture(&["#...", "#...", "#..."]));
        let all = Rle::encode(&picture(&["##", "##"]));
        assert_eq!(all.shrunk(9), all);
    }

    #[test]
    fn the_leftmost_of_equal_parts_is_the_largest() {
        let mask = Rle::encode(&picture(&["..##", "....", "##.."]));
        assert_eq!(mask.largest_part().decode(), picture(&["....", "....", "##.."]));
    }
}
