//! Frames that are images: the files of a folder, or the pages of one file.

use std::path::Path;

use image::RgbImage;

use super::{
    MediaError,
    folder::Folder,
    image::{ImageFile, ImageHeader, ImageKind},
};
use crate::geometry::Size;

/// Frames per second of a folder of images, which does not say.
const FOLDER_FPS: f64 = 25.0;

/// A folder of images, or one image file.
pub(super) enum Images {
    Folder(Folder),
    File(Box<ImageFile>),
}

impl Images {
    /// Opens a folder of images or an image file; `None` for any other file.
    pub(super) fn open(path: &Path) -> Result<Option<Self>, MediaError> {
        if path.is_dir() {
            return Folder::open(path).map(|folder| Some(Self::Folder(folder)));
        }
        match ImageKind::of_file(path)? {
            Some(_) => ImageFile::open(path).map(|file| Some(Self::File(Box::new(file)))),
            None => Ok(None),
        }
    }

    pub(super) fn header(&self) -> &ImageHeader {
        match self {
            Self::Folder(folder) => folder.header(),
            Self::File(file) => file.header(),
        }
    }

    pub(super) fn unreadable(&self) -> &[(usize, String)] {
        match self {
            Self::Folder(folder) => folder.unreadable(),
            Self::File(_) => &[],
        }
    }

    /// True if one file holds several frames.
    pub(super) fn is_paged(&self) -> bool {
        matches!(self, Self::File(file) if file.header().n_frames > 1)
    }

    pub(super) fn n_frames(&self) -> usize {
        match self {
            Self::Folder(folder) => folder.n_frames(),
            Self::File(file) => file.header().n_frames,
        }
    }

    pub(super) fn size(&self) -> Size {
        self.header().size
    }

    pub(super) fn fps(&self) -> f64 {
        match self {
            Self::Folder(_) => FOLDER_FPS,
            Self::File(file) => file.fps(),
        }
    }

    pub(super) fn time(&self, frame: usize) -> f64 {
        match self {
            Self::Folder(_) => frame as f64 / FOLDER_FPS,
            Self::File(file) => file.time(frame),
        }
    }

    /// The file that holds this frame and no other.
    pub(super) fn file(&self, frame: usize) -> Option<&Path> {
        match self {
            Self::Folder(folder) => Some(folder.file(frame)),
            Self::File(file) => (file.header().n_frames == 1).then(|| file.path()),
        }
    }

    pub(super) fn key_frame(&self, frame: usize) -> usize {
        match self {
            Self::Folder(_) => frame,
            Self::File(file) => file.key_frame(frame),
        }
    }

    pub(super) fn decodes_from(&self, frame: usize) -> usize {
        match self {
            Self::Folder(_) => frame,
            Self::File(file) => file.decodes_from(frame),
        }
    }

    pub(super) fn frame_while(
        &mut self,
        frame: usize,
        go_on: &mut dyn FnMut() -> bool,
    ) -> Result<Option<RgbImage>, MediaError> {
        match self {
            Self::Folder(folder) => folder.frame(frame).map(Some),
            Self::File(file) if file.header().n_frames == 1 => file.frame_while(frame, go_on),
            Self::File(file) => file.frame_while(frame, go_on).map_err(|error| match error {
                MediaError::Read { .. } => error,
                error => MediaError::DamagedImage { frame, cause: Box::new(error) },
            }),
        }
    }
}
