//! Patches: the bounding box of a mask as a bitmap.

use super::{Mask, Rle, spans::Span};
use crate::geometry::Size;

/// A rectangular part of a mask: its position in the image and its pixels.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Patch {
    /// Column and row of the patch's top-left pixel in the image.
    pub corner: (usize, usize),
    /// The pixels of the patch.
    pub mask: Mask,
}

impl Rle {
    /// Returns the pixels in the bounding box of the object, grown by `margin` pixels and clipped to the image. For an
    /// empty mask the patch is 0x0.
    pub fn patch(&self, margin: usize) -> Patch {
        let bounds = self.bounds(margin);
        Patch { corner: (bounds.x.start, bounds.y.start), mask: self.decode_within(&bounds) }
    }

    /// Returns a mask of `size` with the pixels of this patch, clipped to the image, and no others.
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
        fn patch_contains_whole_mask(mask in any_mask(), margin in 0..4_usize) {
            let rle = Rle::encode(&mask);
            let patch = rle.patch(margin);
            prop_assert_eq!(Rle::of_patch(&patch, rle.size()), rle);
            prop_assert_eq!(patch.mask.placed(patch.corner, mask.size()), mask);
        }

        #[test]
        fn patch_is_clipped_to_image(mask in any_mask(), x in 0..6_usize, y in 0..6_usize) {
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
    fn patch_is_bounding_box_plus_margin() {
        let rle = Rle::encode(&picture(&[".....", ".###.", ".#.#.", ".###.", ".....", "....."]));
        let patch = rle.patch(0);
        assert_eq!(patch, Patch { corner: (1, 1), mask: picture(&["###", "#.#", "###"]) });
        assert_eq!((rle.patch(1).corner, rle.patch(1).mask.size()), ((0, 0), Size::square(5)));
        assert_eq!(rle.patch(usize::MAX).mask, rle.decode());
        assert_eq!(Rle::empty(Size::square(4)).patch(2).mask.size(), Size::square(0));
    }
}
