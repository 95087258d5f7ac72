//! What can go wrong with a media file, each as one sentence with the path last.

use std::{io, path::PathBuf};

use ffmpeg_next as ffmpeg;

use crate::geometry::Size;

/// Why a media file cannot be read or written.
///
/// A cause is part of the sentence and is therefore not the error's `source()`: printing the chain says nothing twice.
#[derive(Debug, thiserror::Error)]
#[expect(missing_docs, reason = "the sentences are the documentation")]
pub enum MediaError {
    #[error("cannot read file: {cause}: {}", path.display())]
    Read { path: PathBuf, cause: io::Error },

    #[error("cannot read file: it is empty: {}", path.display())]
    Empty { path: PathBuf },

    #[error("cannot read image: it is not an image file that Segue knows: {}", path.display())]
    UnknownImage { path: PathBuf },

    #[error("cannot read image: the file ends too early: {}", path.display())]
    TruncatedImage { path: PathBuf },

    #[error("cannot read file: it is a device or a pipe: {}", path.display())]
    NoFile { path: PathBuf },

    #[error(
        "cannot read image: {size} pixels need more than {} GiB; raise the limit in the settings: {}",
        limit >> 30, path.display()
    )]
    ImageTooLarge { path: PathBuf, size: Size, limit: usize },

    #[error(
        "cannot read image: {length} bytes are too few for {size} pixels; if the image is really blank, save it without \
         compression: {}",
        path.display()
    )]
    EmptyImage { path: PathBuf, size: Size, length: u64 },

    #[error("cannot read image: {cause}: {}", path.display())]
    Image { path: PathBuf, cause: String },

    #[error(
        "cannot read image: this system has no decoder for {kind}; convert it to JPEG: {}",
        path.display()
    )]
    NoImageDecoder { path: PathBuf, kind: &'static str },

    #[error("cannot open folder: it holds no images: {}", path.display())]
    NoImages { path: PathBuf },

    #[error(
        "cannot open folder: an image of {size} pixels is among frames of {expected}: {}",
        path.display()
    )]
    MixedSizes { path: PathBuf, size: Size, expected: Size },

    #[error("cannot open video: {cause}: {}", path.display())]
    Video { path: PathBuf, cause: ffmpeg::Error },

    #[error("cannot open file: it is no image or video that Segue knows, or was cut off: {}", path.display())]
    UnknownMedia { path: PathBuf, cause: ffmpeg::Error },

    #[error("cannot open video: the file holds no video: {}", path.display())]
    NoVideo { path: PathBuf },

    #[error("cannot open video: this FFmpeg has no decoder for '{codec}': {}", path.display())]
    NoDecoder { path: PathBuf, codec: &'static str },

    #[error("cannot open video: none of its frames can be decoded: {}", path.display())]
    NoFrames { path: PathBuf },

    #[error("cannot decode frame {frame}: its data are damaged: {}", path.display())]
    DamagedFrame { path: PathBuf, frame: usize },

    #[error("cannot decode frame {frame}: {cause}")]
    DamagedImage { frame: usize, cause: Box<Self> },

    #[error("cannot decode frame {frame}: {cause}: {}", path.display())]
    Decode { path: PathBuf, frame: usize, cause: ffmpeg::Error },

    #[error("cannot read frame {frame}: there are {n_frames}, counted from 0: {}", path.display())]
    NoSuchFrame { path: PathBuf, frame: usize, n_frames: usize },

    #[error("cannot read frame {frame}: reading failed in a way that was not foreseen; try again: {}", path.display())]
    Lost { path: PathBuf, frame: usize },

    #[error("cannot write video: {cause}: {}", path.display())]
    Write { path: PathBuf, cause: io::Error },

    #[error("cannot write video: {cause}: {}", path.display())]
    Encode { path: PathBuf, cause: ffmpeg::Error },

    #[error("cannot write video: this FFmpeg has no encoder for H.264 or MPEG-4: {}", path.display())]
    NoEncoder { path: PathBuf },

    #[error("cannot write video: {fps} is not a number of frames per second: {}", path.display())]
    BadRate { path: PathBuf, fps: f64 },

    #[error("cannot write video: a frame of {size} pixels is among frames of {expected}: {}", path.display())]
    WrongSize { path: PathBuf, size: Size, expected: Size },
}

impl MediaError {
    /// True if there is no file at the path.
    pub fn is_missing(&self) -> bool {
        matches!(self, Self::Read { cause, .. } if cause.kind() == io::ErrorKind::NotFound)
    }

    /// The frame whose data are damaged, if that is what is wrong: the others can be worked with.
    pub fn damaged_frame(&self) -> Option<usize> {
        match self {
            Self::DamagedFrame { frame, .. }
            | Self::DamagedImage { frame, .. }
            | Self::Decode { frame, .. } => Some(*frame),
            _ => None,
        }
    }
}
