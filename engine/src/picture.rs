//! Decoded frames with smaller copies for zoomed-out display.

use image::{RgbImage, imageops};

use crate::{frame::PictureKind, geometry::Size, media::PixelAspect, project::FrameId};

/// The pixels of one frame.
#[derive(Debug)]
pub struct Picture {
    /// Medium and frame number.
    pub at: FrameId,
    /// Presentation time in seconds after the first frame; `None` if unknown.
    pub time: Option<f64>,
    /// Aspect ratio of the pixels for display.
    pub pixel_aspect: PixelAspect,
    /// Photo, or frame of a video.
    pub kind: PictureKind,
    /// The frame, then copies of half the previous edges (rounded up), down to at most [`SMALLEST`] pixels along each
    /// edge.
    levels: Vec<RgbImage>,
}

/// Maximum edge of the smallest copy, in pixels.
const SMALLEST: u32 = 1024;

impl Picture {
    /// Creates a picture from the pixels of a photo or of a frame of a video.
    pub fn new(at: FrameId, kind: PictureKind, pixels: RgbImage) -> Self {
        let mut levels = vec![pixels];
        while let Some(last) = levels.last()
            && last.width().max(last.height()) > SMALLEST
        {
            levels.push(halved(last));
        }
        Self { at, kind, time: None, pixel_aspect: PixelAspect::SQUARE, levels }
    }

    /// Returns the picture with its presentation time and the aspect ratio of its pixels.
    #[must_use]
    pub fn shown(self, time: f64, pixel_aspect: PixelAspect) -> Self {
        Self { time: Some(time), pixel_aspect, ..self }
    }

    /// Returns the pixels at full size.
    pub fn pixels(&self) -> &RgbImage {
        &self.levels[0]
    }

    /// Returns the frame and its smaller copies, largest first.
    pub fn levels(&self) -> &[RgbImage] {
        &self.levels
    }

    /// Returns the full size in pixels.
    pub fn size(&self) -> Size {
        Size::new(self.pixels().width() as usize, self.pixels().height() as usize)
    }

    /// Returns the memory use in bytes.
    pub fn bytes(&self) -> usize {
        self.levels.iter().map(|level| level.len()).sum()
    }

    /// Returns a copy with square pixels and a longer edge of at most `side` pixels.
    pub fn thumbnail(&self, side: u32) -> RgbImage {
        let smallest = &self.levels[self.levels.len() - 1];
        let [width, height] = [smallest.width(), smallest.height()].map(f64::from);
        let width = width * f64::from(self.pixel_aspect.ratio());
        let scale = (f64::from(side) / width.max(height)).min(1.0);
        if scale == 1.0 && self.pixel_aspect.is_square() {
            return smallest.clone();
        }
        let edge = |n: f64| ((n * scale).round() as u32).max(1);
        imageops::thumbnail(smallest, edge(width), edge(height))
    }
}

/// Halves an image: each pixel is the mean of four. At an odd edge, the last row or column counts twice.
fn halved(image: &RgbImage) -> RgbImage {
    let (width, height) = image.dimensions();
    let row_bytes = width as usize * 3;
    let mut half = RgbImage::new(width.div_ceil(2), height.div_ceil(2));
    let half_bytes = half.width() as usize * 3;
    for (y, to) in half.chunks_exact_mut(half_bytes).enumerate() {
        let row = |y: usize| &image.as_raw()[y * row_bytes..(y + 1) * row_bytes];
        let (upper, lower) = (row(2 * y), row((2 * y + 1).min(height as usize - 1)));
        for (x, pixel) in to.chunks_exact_mut(3).enumerate() {
            let (left, right) = (6 * x, (6 * x + 3).min(row_bytes - 3));
            for (c, value) in pixel.iter_mut().enumerate() {
                let sum = [upper[left + c], upper[right + c], lower[left + c], lower[right + c]];
                *value = ((sum.map(u16::from).iter().sum::<u16>() + 2) / 4) as u8;
            }
        }
    }
    half
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::project::MediumId;

    #[test]
    fn levels_halve_and_keep_the_mean() {
        let at = FrameId { medium: MediumId(1), frame: 0 };
        let picture = Picture::new(
            at,
            PictureKind::Photo,
            RgbImage::from_fn(2051, 3, |x, _| image::Rgb([(x % 2 * 100) as u8, 7, 200])),
        );
        let sizes: Vec<(u32, u32)> = picture.levels().iter().map(RgbImage::dimensions).collect();
        assert_eq!(sizes, [(2051, 3), (1026, 2), (513, 1)]);
        assert_eq!(picture.levels()[1].get_pixel(3, 1).0, [50, 7, 200]);
        assert_eq!(picture.thumbnail(100).width(), 100);
        let wide = PixelAspect { width: 2, height: 1 };
        let picture = Picture::new(at, PictureKind::Frame, RgbImage::new(30, 40)).shown(0.0, wide);
        assert_eq!(picture.thumbnail(100).dimensions(), (60, 40));
    }
}
