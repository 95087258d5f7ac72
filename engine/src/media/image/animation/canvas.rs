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
    /// What is done before the next patch is drawn.
    disposal: Option<(Area, Disposal)>,
}

enum Disposal {
    Fill(Rgba<u8>),
    /// These rows were there before.
    Undo(Vec<u8>),
}

/// The part of a patch that lies on the canvas, in bytes of its rows.
struct Area {
    /// First byte of the first row, bytes of a row, rows, and bytes from one row to the next.
    start: usize,
    row: usize,
    n_rows: usize,
    stride: usize,
}

/// Bytes of a pixel.
const PIXEL: usize = 4;

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
        let ground = self.ground;
        self.pixels.pixels_mut().for_each(|pixel| *pixel = ground);
        self.disposal = None;
    }

    /// Disposes of the patch before, and draws this one; what lies beyond the canvas is cut off.
    pub(super) fn draw(&mut self, patch: &Patch) {
        if let Some((area, disposal)) = self.disposal.take() {
            match disposal {
                Disposal::Fill(color) => {
                    let rows = self.rows(&area).flat_map(|row| row.chunks_exact_mut(PIXEL));
                    rows.for_each(|pixel| pixel.copy_from_slice(&color.0));
                }
                Disposal::Undo(before) => {
                    let rows = self.rows(&area).zip(before.chunks_exact(area.row));
                    rows.for_each(|(row, before)| row.copy_from_slice(before));
                }
            }
        }
        let Some(area) = self.area(patch) else { return };
        let undone = (patch.dispose == Dispose::Undo)
            .then(|| self.rows(&area).flat_map(|row| row.iter().copied()).collect());
        let stride = patch.pixels.width() as usize * PIXEL;
        for (under, over) in self.rows(&area).zip(patch.pixels.chunks_exact(stride)) {
            if patch.is_blended {
                let pixels = under.chunks_exact_mut(PIXEL).zip(over.chunks_exact(PIXEL));
                pixels.for_each(|(under, over)| blend(under, over));
            } else {
                under.copy_from_slice(&over[..area.row]);
            }
        }
        self.disposal = match (patch.dispose, undone) {
            (Dispose::Fill(color), _) => Some((area, Disposal::Fill(Rgba(color)))),
            (Dispose::Undo, Some(before)) => Some((area, Disposal::Undo(before))),
            _ => None,
        };
    }

    /// The part of the canvas that a patch covers; `None` if it lies beside it.
    fn area(&self, patch: &Patch) -> Option<Area> {
        let [x, y] = patch.corner;
        let (width, height) = self.pixels.dimensions();
        let columns = patch.pixels.width().min(width.checked_sub(x)?);
        let rows = patch.pixels.height().min(height.checked_sub(y)?);
        let stride = width as usize * PIXEL;
        let start = y as usize * stride + x as usize * PIXEL;
        let (row, n_rows) = (columns as usize * PIXEL, rows as usize);
        (row > 0 && n_rows > 0).then_some(Area { start, row, n_rows, stride })
    }

    fn rows(&mut self, area: &Area) -> impl Iterator<Item = &mut [u8]> + use<'_> {
        let row = area.row;
        let bytes: &mut [u8] = &mut self.pixels;
        bytes[area.start..].chunks_mut(area.stride).take(area.n_rows).map(move |rest| &mut rest[..row])
    }
}

/// Lays one pixel over another, with straight alpha.
fn blend(under: &mut [u8], over: &[u8]) {
    let [a, b] = [over[3], under[3]].map(u32::from);
    if a == 255 || b == 0 {
        under.copy_from_slice(over);
    } else if a > 0 {
        // Weights of both in 1 / 255².
        let (above, below) = (255 * a, (255 - a) * b);
        let sum = above + below;
        for c in 0..3 {
            let mixed = above * u32::from(over[c]) + below * u32::from(under[c]);
            under[c] = ((mixed + sum / 2) / sum) as u8;
        }
        under[3] = ((sum + 127) / 255) as u8;
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
            canvas.draw(&next);
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
