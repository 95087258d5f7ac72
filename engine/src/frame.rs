//! Access to frames by index, independent of their source, and resizing of images.

mod bicubic;

use fast_image_resize as resize;
use image::RgbImage;
use serde::{Deserialize, Serialize};

use crate::geometry::Size;

/// Direction of tracking through a video.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Direction {
    /// Toward later frames.
    Forward,
    /// Toward earlier frames.
    Backward,
}

impl Direction {
    /// Returns the frame `n` frames before `frame` in this direction, if a video of `n_frames` has it.
    pub fn before(self, frame: usize, n: usize, n_frames: usize) -> Option<usize> {
        match self {
            Self::Forward => frame.checked_sub(n),
            Self::Backward => Some(frame + n).filter(|&f| f < n_frames),
        }
    }

    /// Returns the frame `n` frames after `frame` in this direction, if a video of `n_frames` has it.
    pub fn ahead(self, frame: usize, n: usize, n_frames: usize) -> Option<usize> {
        match self {
            Self::Forward => Some(frame + n).filter(|&f| f < n_frames),
            Self::Backward => frame.checked_sub(n),
        }
    }

    /// Returns the next frame in this direction; `None` before frame 0. The end of the video is not checked.
    pub fn after(self, frame: usize) -> Option<usize> {
        match self {
            Self::Forward => Some(frame + 1),
            Self::Backward => frame.checked_sub(1),
        }
    }

    /// Returns the number of frames from `past` to `frame` in this direction; `None` if `past` is ahead of `frame`.
    pub fn distance(self, past: usize, frame: usize) -> Option<usize> {
        match self {
            Self::Forward => frame.checked_sub(past),
            Self::Backward => past.checked_sub(frame),
        }
    }
}

/// A source of frames, such as a video or a folder. Frames are numbered from 0 in presentation order.
pub trait Frames {
    /// Error of a frame that cannot be read.
    type Error: std::error::Error + Send + Sync + 'static;

    /// Returns the number of frames.
    fn n_frames(&self) -> usize;

    /// Returns the size of each frame.
    fn size(&self) -> Size;

    /// Reads frame `i`, which must be below [`Self::n_frames`].
    ///
    /// # Errors
    /// If the frame cannot be read or decoded.
    fn frame(&mut self, i: usize) -> Result<RgbImage, Self::Error>;
}

/// Kind of an image. SAM 2 resizes photos and frames of videos with different filters.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum PictureKind {
    /// A single image.
    #[default]
    Photo,
    /// A frame of a video file, or of a folder of frames.
    Frame,
}

/// Resizes an image exactly like Pillow's default, bicubic with antialiasing. The aspect ratio is not kept.
pub fn resized_as_pillow(image: &RgbImage, width: u32, height: u32) -> RgbImage {
    bicubic::resized(image, width, height)
}

/// Resizes an image bilinearly with antialiasing. The aspect ratio is not kept.
pub(crate) fn resized(image: &RgbImage, width: u32, height: u32) -> RgbImage {
    if image.dimensions() == (width, height) {
        return image.clone();
    }
    let source =
        resize::images::ImageRef::new(image.width(), image.height(), image.as_raw(), resize::PixelType::U8x3)
            .expect("an RgbImage has three bytes a pixel");
    let mut target = resize::images::Image::new(width, height, resize::PixelType::U8x3);
    let bilinear = resize::ResizeAlg::Convolution(resize::FilterType::Bilinear);
    resize::Resizer::new()
        .resize(&source, &mut target, &resize::ResizeOptions::new().resize_alg(bilinear))
        .expect("both images have the same pixel type");
    RgbImage::from_raw(width, height, target.into_vec()).expect("the target has three bytes a pixel")
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Pillow's `resize((4, 4), Image.Resampling.BILINEAR)` of the test's image.
    const PILLOW: [u8; 48] = [
        48, 131, 159, 115, 186, 105, 177, 108, 99, 104, 82, 165, 131, 165, 78, 166, 117, 108, 108, 110, 168,
        94, 153, 158, 167, 68, 126, 123, 114, 150, 105, 173, 111, 167, 116, 93, 84, 126, 186, 110, 173, 88,
        164, 115, 94, 112, 90, 160,
    ];

    #[test]
    fn bilinear_resize_matches_pillow() {
        let channel = |x: u32, y: u32, c: u32| ((x * 37 + y * 59 + c * 83) % 256) as u8;
        let picture = RgbImage::from_fn(8, 6, |x, y| image::Rgb([0, 1, 2].map(|c| channel(x, y, c))));
        let resized = resized(&picture, 4, 4);
        // The two implementations round differently.
        assert!(resized.iter().zip(PILLOW).all(|(a, b)| a.abs_diff(b) <= 1), "{resized:?}");
    }
}
