//! Frames of a video, by number, wherever they come from.

use image::RgbImage;

use crate::geometry::Size;

/// Something that has frames: a video, a folder, a test. Frame `i` is the i-th in presentation order, from 0.
pub trait Frames {
    /// Why a frame cannot be had.
    type Error: std::error::Error + Send + Sync + 'static;

    /// How many there are.
    fn n_frames(&self) -> usize;

    /// The size of each.
    fn size(&self) -> Size;

    /// Frame `i`, which is below [`Self::n_frames`].
    ///
    /// # Errors
    /// If it cannot be read or decoded.
    fn frame(&mut self, i: usize) -> Result<RgbImage, Self::Error>;
}
