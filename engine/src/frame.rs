//! Frames of a video, by number, wherever they come from.

use image::RgbImage;
use serde::{Deserialize, Serialize};

use crate::geometry::Size;

/// Which way through a video.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Direction {
    /// From early to late.
    Forward,
    /// From late to early.
    Backward,
}

impl Direction {
    /// The frame `n` frames before `frame` on the way, if a video of `n_frames` has it.
    pub fn before(self, frame: usize, n: usize, n_frames: usize) -> Option<usize> {
        match self {
            Self::Forward => frame.checked_sub(n),
            Self::Backward => Some(frame + n).filter(|&f| f < n_frames),
        }
    }

    /// The frame `n` frames after `frame` on the way, if a video of `n_frames` has it.
    pub fn ahead(self, frame: usize, n: usize, n_frames: usize) -> Option<usize> {
        match self {
            Self::Forward => Some(frame + n).filter(|&f| f < n_frames),
            Self::Backward => frame.checked_sub(n),
        }
    }

    /// The next frame on the way, if there is one; the video's end is not known here.
    pub fn after(self, frame: usize) -> Option<usize> {
        match self {
            Self::Forward => Some(frame + 1),
            Self::Backward => frame.checked_sub(1),
        }
    }

    /// How far `past` lies back from `frame` on the way, if it does.
    pub fn distance(self, past: usize, frame: usize) -> Option<usize> {
        match self {
            Self::Forward => frame.checked_sub(past),
            Self::Backward => past.checked_sub(frame),
        }
    }
}

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
