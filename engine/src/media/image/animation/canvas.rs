//! The canvas of an animation, and how patches change it.

use image::{Rgba, RgbaImage};

use crate::geometry::Size;

/// A frame's change to the canvas.
pub(super) struct Patch {
    /// The left and top edge on the canvas.
    pub(super) corner: [u32; 2],
    pub(super) pixels: RgbaImage,
    /// True if transparent pixels let the canvas be seen; else they replace it.
    pub(super) is_blended: bool,
    pub(super) dispose: Dispose,
}

/// What becomes of a patch before the next one is drawn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Dispose {
    Keep,
    Fill([u8; 4]),
    /// What was there before comes back.
    Undo,
}

/// The pixels of the frame that was drawn last.
pub(super) struct Canvas {
    pixels: RgbaImage,
    ground: Rgba<u8>,
    /// What is pasted where before the next patch is drawn.
    disposal: Option<([u32; 2], RgbaImage)>,
}

impl Canvas {
    pub(super) fn new(size: Size, ground: [u8; 4]) -> Self {
        let ground = Rgba(ground);
        let pixels = RgbaImage::from_pixel(size.width as u32, size.height as u32, ground);
        Self { pixels, ground, disposal: None }
    }

    pub(super) fn pixels(&self) -> &RgbaImage {
        &self.pixels
    }

    /// Makes the canvas what it was before the first patch.
    pub(super) fn clear(&mut self) {
        self.pixels.pixels_mut().for_each(|pixel| *pixel = self.ground);
        self.disposal = None;
    }

    /// Disposes of the patch before, and draws this one; what lies beyond the canvas is cut off.
    pub(super) fn draw(&mut self, patch: Patch) {
        if let Some((corner, pixels)) = self.disposal.take() {
            self.paste(corner, &pixels, |under, over| *under = over);
        }
        let Patch { corner, pixels, is_blended, dispose } = patch;
        let (width, height) = pixels.dimensions();
        self.disposal = match dispose {
            Dispose::Keep => None,
            Dispose::Fill(color) => Some((corner, RgbaImage::from_pixel(width, height, Rgba(color)))),
            Dispose::Undo => {
                let at = |i: usize, by: u32, end: u32| corner[i].saturating_add(by).min(end - 1);
                let before = RgbaImage::from_fn(width, height, |x, y| {
                    *self.pixels.get_pixel(at(0, x, self.pixels.width()), at(1, y, self.pixels.height()))
                });
                Some((corner, before))
            }
        };
        self.paste(corner, &pixels, if is_blended { blend } else { |under, over| *under = over });
    }

    fn paste(&mut self, [x0, y0]: [u32; 2], pixels: &RgbaImage, draw: fn(&mut Rgba<u8>, Rgba<u8>)) {
        for (x, y, over) in pixels.enumerate_pixels() {
            let at = x0.checked_add(x).zip(y0.checked_add(y));
            if let Some(under) = at.and_then(|(x, y)| self.pixels.get_pixel_mut_checked(x, y)) {
                draw(under, *over);
            }
        }
    }
}

/// Lays one pixel over another, with straight alpha.
fn blend(under: &mut Rgba<u8>, over: Rgba<u8>) {
    let [a, b] = [over.0[3], under.0[3]].map(u32::from);
    if a == 255 || b == 0 {
        *under = over;
    } else if a > 0 {
        // Weights of both in 1 / 255².
        let (above, below) = (255 * a, (255 - a) * b);
        let sum = above + below;
        for c in 0..3 {
            let mixed = above * u32::from(over.0[c]) + below * u32::from(under.0[c]);
            under.0[c] = ((mixed + sum / 2) / sum) as u8;
        }
        under.0[3] = ((sum + 127) / 255) as u8;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RED: [u8; 4] = [255, 0, 0, 255];
    const BLUE: [u8; 4] = [0, 0, 255, 255];
    const NONE: [u8; 4] = [0; 4];

    fn patch(x: u32, width: u32, color: [u8; 4], dispose: Dispose) -> Patch {
        let pixels = RgbaImage::from_pixel(width, 1, Rgba(color));
        Patch { corner: [x, 0], pixels, is_blended: true, dispose }
    }

    #[test]
    fn patches_are_disposed_of_before_the_next() {
        let mut canvas = Canvas::new(Size::new(4, 1), NONE);
        let mut check = |next: Patch, expected: [[u8; 4]; 4]| {
            canvas.draw(next);
            assert_eq!(canvas.pixels().pixels().map(|pixel| pixel.0).collect::<Vec<_>>(), expected);
        };
        check(patch(0, 4, RED, Dispose::Keep), [RED; 4]);
        check(patch(1, 2, BLUE, Dispose::Undo), [RED, BLUE, BLUE, RED]);
        check(patch(3, 9, BLUE, Dispose::Fill(NONE)), [RED, RED, RED, BLUE]);
        check(patch(9, 1, BLUE, Dispose::Undo), [RED, RED, RED, NONE]);
        check(patch(0, 1, NONE, Dispose::Keep), [RED, RED, RED, NONE]);
        check(Patch { is_blended: false, ..patch(0, 1, NONE, Dispose::Keep) }, [NONE, RED, RED, NONE]);
        check(
            patch(1, 2, [0, 0, 255, 128], Dispose::Keep),
            [NONE, [127, 0, 128, 255], [127, 0, 128, 255], NONE],
        );
    }
}
