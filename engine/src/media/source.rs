//! Frames by number, whatever they are stored in.

use std::path::{Path, PathBuf};

use image::RgbImage;

use super::{MediaError, folder::Folder, image::image_format, video::Video};
use crate::{frame::Frames, geometry::Size};

/// Frames a second of a folder of images, which does not say.
const FOLDER_FPS: f64 = 25.0;

/// The frames of a video file, of a folder of images, or of one image; numbered from 0 in the order they are shown.
pub struct FrameSource {
    path: PathBuf,
    kind: Kind,
}

enum Kind {
    Images(Folder),
    Video(Box<Video>),
}

impl FrameSource {
    /// Opens a video file, a folder of images, or an image; files are recognized by content.
    ///
    /// A folder's frames are its images in natural order of their names: the JPEGs when there are two or more (masks
    /// of the same names often lie beside them), otherwise the kind of image that it holds most of.
    ///
    /// A video's packets are read once to number its frames; nothing of them is kept, so memory stays small.
    /// A video that was cut off opens with the frames that can still be decoded.
    ///
    /// # Errors
    /// The file or folder cannot be read, is of no known format, holds no frames, or images differ in size.
    pub fn open(path: &Path) -> Result<Self, MediaError> {
        let kind = if path.is_dir() {
            Kind::Images(Folder::open(path)?)
        } else if image_format(path)?.is_some() {
            Kind::Images(Folder::single(path)?)
        } else {
            Kind::Video(Box::new(Video::open(path)?))
        };
        Ok(Self { path: path.into(), kind })
    }

    /// Number of frames, at least 1.
    pub fn n_frames(&self) -> usize {
        match &self.kind {
            Kind::Images(folder) => folder.n_frames(),
            Kind::Video(video) => video.n_frames(),
        }
    }

    /// Size of every frame in pixels, upright.
    pub fn size(&self) -> Size {
        match &self.kind {
            Kind::Images(folder) => folder.size(),
            Kind::Video(video) => video.size(),
        }
    }

    /// Frames a second, the average where the rate varies; 25 for images.
    pub fn fps(&self) -> f64 {
        match &self.kind {
            Kind::Images(_) => FOLDER_FPS,
            Kind::Video(video) => video.fps(),
        }
    }

    /// When frame `frame` is shown, in seconds after the first frame.
    ///
    /// # Panics
    /// If there is no such frame.
    pub fn time(&self, frame: usize) -> f64 {
        match &self.kind {
            Kind::Images(_) => frame as f64 / FOLDER_FPS,
            Kind::Video(video) => video.time(frame),
        }
    }

    /// Name of the video file, folder or image.
    pub fn file_name(&self) -> String {
        self.path.file_name().unwrap_or(self.path.as_os_str()).to_string_lossy().into_owned()
    }

    /// Name of frame `frame`: its file's, or for a frame of a video the one it gets when frames are extracted,
    /// such as `clip/000012.jpg`.
    ///
    /// # Panics
    /// If there is no such frame of a folder.
    pub fn name(&self, frame: usize) -> String {
        match &self.kind {
            Kind::Images(folder) => {
                folder.file(frame).file_name().unwrap_or_default().to_string_lossy().into_owned()
            }
            Kind::Video(_) => {
                let stem = self.path.file_stem().unwrap_or_default().to_string_lossy();
                format!("{stem}/{frame:06}.jpg")
            }
        }
    }

    /// The pixels of frame `frame`, upright; of undamaged data the same whichever frames were read before.
    ///
    /// Reading frames in their order is fastest; another frame of a video is decoded from the key frame before it.
    /// To step backward, read a stretch of frames in their order and keep them.
    ///
    /// Colors of a video are as it says; one that says nothing is BT.709 from 1280 pixels wide or 577 high, else BT.601.
    /// Brightness is not adapted (HDR looks pale), fields are not separated, pixels are taken as square.
    ///
    /// # Errors
    /// There is no such frame, the file cannot be read any more, or this frame's data are damaged.
    pub fn frame(&mut self, frame: usize) -> Result<RgbImage, MediaError> {
        let n_frames = self.n_frames();
        if frame >= n_frames {
            return Err(MediaError::NoSuchFrame { path: self.path.clone(), frame, n_frames });
        }
        match &mut self.kind {
            Kind::Images(folder) => folder.frame(frame),
            Kind::Video(video) => video.frame(frame),
        }
    }
}

impl Frames for FrameSource {
    type Error = MediaError;

    fn n_frames(&self) -> usize {
        self.n_frames()
    }

    fn size(&self) -> Size {
        self.size()
    }

    fn frame(&mut self, i: usize) -> Result<RgbImage, MediaError> {
        self.frame(i)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_can_be_read_by_another_thread() {
        fn check<T: Send>() {}
        check::<FrameSource>();
    }
}
