//! The part of a mask that matters, as a bitmap.

use super::{Mask, Rle, spans::Span};
use crate::geometry::Size;

/// A part of a mask: where it is in the image, and its pixels.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Patch {
    /// Column and row of its first pixel in the image.
    pub corner: (usize, usize),
    /// Its pixels.
    pub mask: Mask,
}

impl Rle {
    /// The pixels in the smallest box round the object, grown by `margin` pixels and clipped to the image; of nothing
    /// a patch of 0x0.
    pub fn patch(&self, margin: usize) -> Patch {
        let bounds = self.bounds(margin);
        Patch { corner: (bounds.x.start, bounds.y.start), mask: self.decode_within(&bounds) }
    }

    /// The mask of an image of `size` that has this patch and nothing else; what reaches beyond the image is left out.
    pub fn of_patch(patch: &Patch, size: Size) -> Self {
        let (x, y) = patch.corner;
        let on_patch = Self::encode(&patch.mask);
        let in_image = on_patch.spans().map(|span| Span {
            x: span.x.saturating_add(x),
            y0: span.y0.saturating_add(y),
            y1: span.y1.saturating_add(y).min(size.height),
        });
        Self::of_spans(size, in_image.filter(|span| span.x < size.width && span.y0 < span.y1))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::mask::testing::{any_mask, picture};

    proptest! {
        #[test]
        fn a_patch_has_all_of_the_mask(mask in any_mask(), margin in 0..4_usize) {
            let rle = Rle::encode(&mask);
            let patch = rle.patch(margin);
            prop_assert_eq!(Rle::of_patch(&patch, rle.size()), rle);
            prop_assert_eq!(patch.mask.placed(patch.corner, mask.size()), mask);
        }

        #[test]
        fn a_patch_is_clipped_to_the_image(mask in any_mask(), x in 0..6_usize, y in 0..6_usize) {
            let size = Size::new(7, 5);
            let placed = Rle::of_patch(&Patch { corner: (x, y), mask: mask.clone() }, size).decode();
            for i in 0..size.area() {
                let at = (i % size.width).checked_sub(x).zip((i / size.width).checked_sub(y));
                let at = at.filter(|&(x, y)| x < mask.size().width && y < mask.size().height);
                let want = at.is_some_and(|(x, y)| mask.bits()[y * mask.size().width + x]);
                prop_assert_eq!(placed.bits()[i], want);
            }
        }
    }

    #[test]
    fn a_patch_is_the_smallest_box_and_its_margin() {
        let rle = Rle::encode(&picture(&[".....", ".###.", ".#.#.", ".###.", ".....", "....."]));
        let patch = rle.patch(0);
        assert_eq!(patch, Patch { corner: (1, 1), mask: picture(&["###", "#.#", "###"]) });
        assert_eq!((rle.patch(1).corner, rle.patch(1).mask.size()), ((0, 0), Size::square(5)));
        assert_eq!(rle.patch(usize::MAX).mask, rle.decode());
        assert_eq!(Rle::empty(Size::square(4)).patch(2).mask.size(), Size::square(0));
    }
}
