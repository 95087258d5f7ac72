//! Mask coverage: the share of each pixel of a smaller image that a mask covers.

use super::Rle;
use crate::geometry::Size;

impl Rle {
    /// Returns the share of each pixel of an image of size `to` that lies on the object, 0 to 1, in row-major order.
    /// The cost grows with the size of the object, not of the image.
    pub fn coverage(&self, to: Size) -> Vec<f32> {
        let mut shares = vec![0.0; to.area()];
        let scale = |n_to: usize, n: usize| n_to as f32 / n as f32;
        let (across, down) = (scale(to.width, self.size.width), scale(to.height, self.size.height));
        for span in self.spans() {
            for (x, width) in covered(span.x as f32 * across, (span.x + 1) as f32 * across, to.width) {
                for (y, height) in covered(span.y0 as f32 * down, span.y1 as f32 * down, to.height) {
                    shares[y * to.width + x] += width * height;
                }
            }
        }
        shares
    }
}

/// Returns the pixels, of `n`, that the interval `from..to` covers, each with the covered length.
fn covered(from: f32, to: f32, n: usize) -> impl Iterator<Item = (usize, f32)> {
    let pixels = from as usize..(to.ceil() as usize).min(n);
    pixels.map(move |i| (i, to.min((i + 1) as f32) - from.max(i as f32)))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::mask::{Mask, testing::any_mask};

    proptest! {
        #[test]
        fn coverage_adds_up_to_mask_area(mask in any_mask(), width in 1..20_usize, height in 1..20_usize) {
            let to = Size::new(width, height);
            let shares = Rle::encode(&mask).coverage(to);
            prop_assert!(shares.iter().all(|share| (-1e-4..=1.0 + 1e-4).contains(share)));
            let pixel = mask.size().area() as f32 / to.area() as f32;
            let area = shares.iter().sum::<f32>() * pixel;
            let n_on = mask.bits().iter().filter(|on| **on).count() as f32;
            prop_assert!((area - n_on).abs() < 1e-2 * n_on.max(1.0), "{area} of {n_on}");
        }

        #[test]
        fn coverage_at_own_size_equals_mask(mask in any_mask()) {
            let shares = Rle::encode(&mask).coverage(mask.size());
            let bits = shares.iter().map(|share| *share > 0.5).collect();
            prop_assert_eq!(Mask::new(mask.size(), bits), mask);
        }
    }
}
