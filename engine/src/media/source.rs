//! Frames by number, whatever they are stored in.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

use ffmpeg_next::Rational;
use image::RgbImage;

use super::{ImageHeader, MediaError, PixelAspect, images::Images, index::Index, video::Video};
use crate::{
    frame::{Frames, PictureKind},
    geometry::Size,
};

/// The frames of a video file, of a folder of images, or of one image file, which may have pages or be animated; numbered
/// from 0 in the order they are shown.
pub struct FrameSource {
    path: PathBuf,
    kind: Kind,
}

enum Kind {
    Images(Images),
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
        match Self::open_images(path)? {
            Some(images) => Ok(images),
            None => Self::open_video(path, &mut None),
        }
    }

    /// Of a folder of images or an image; none of any other file.
    pub(super) fn open_images(path: &Path) -> Result<Option<Self>, MediaError> {
        let images = Images::open(path)?;
        Ok(images.map(|images| Self { path: path.into(), kind: Kind::Images(images) }))
    }

    /// Of a video file of which this index may be known; it is known from then on.
    pub(super) fn open_video(path: &Path, known: &mut Option<Arc<Index>>) -> Result<Self, MediaError> {
        Ok(Self { path: path.into(), kind: Kind::Video(Box::new(Video::open(path, known)?)) })
    }

    /// True for a video file, or a file of pages or animation frames.
    pub fn is_video(&self) -> bool {
        match &self.kind {
            Kind::Images(images) => images.is_paged(),
            Kind::Video(_) => true,
        }
    }

    /// What the header of an image file says, of a folder that of its first image; `None` for a video file.
    pub fn image_header(&self) -> Option<&ImageHeader> {
        match &self.kind {
            Kind::Images(images) => Some(images.header()),
            Kind::Video(_) => None,
        }
    }

    /// Frames of a folder whose headers cannot be read, and why.
    pub fn unreadable(&self) -> &[(usize, String)] {
        match &self.kind {
            Kind::Images(images) => images.unreadable(),
            Kind::Video(_) => &[],
        }
    }

    /// Returns the kind of its pictures, by which a model resizes them.
    pub fn picture_kind(&self) -> PictureKind {
        if self.is_video() || self.n_frames() > 1 { PictureKind::Frame } else { PictureKind::Photo }
    }

    /// The video file, folder or image.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Number of frames, at least 1.
    pub fn n_frames(&self) -> usize {
        match &self.kind {
            Kind::Images(images) => images.n_frames(),
            Kind::Video(video) => video.n_frames(),
        }
    }

    /// Size of every frame in pixels, upright.
    pub fn size(&self) -> Size {
        match &self.kind {
            Kind::Images(images) => images.size(),
            Kind::Video(video) => video.size(),
        }
    }

    /// Frames a second, the average where the rate varies; 25 for images that do not say.
    pub fn fps(&self) -> f64 {
        match &self.kind {
            Kind::Images(images) => images.fps(),
            Kind::Video(video) => video.fps(),
        }
    }

    /// When frame `frame` is shown, in seconds after the first frame.
    ///
    /// # Panics
    /// If there is no such frame.
    pub fn time(&self, frame: usize) -> f64 {
        match &self.kind {
            Kind::Images(images) => images.time(frame),
            Kind::Video(video) => video.time(frame),
        }
    }

    /// Returns the time at which each frame of a video or animation is shown, in seconds after the first frame; `None` for a
    /// folder of images or one image.
    pub fn times(&self) -> Option<Arc<[f64]>> {
        match &self.kind {
            Kind::Images(images) if images.is_paged() => {
                Some((0..images.n_frames()).map(|frame| images.time(frame)).collect())
            }
            Kind::Images(_) => None,
            Kind::Video(video) => Some(video.times()),
        }
    }

    /// What a person who uses its frames elsewhere should know, a sentence each.
    pub fn remarks(&self) -> Vec<String> {
        let Kind::Video(video) = &self.kind else { return Vec::new() };
        let (name, aspect) = (self.file_name(), video.pixel_aspect());
        let mut remarks = Vec::new();
        if !aspect.is_square() {
            remarks.push(format!(
                "the pixels of {name} are not square ({}:{}): its frames are extracted as they are stored",
                aspect.width, aspect.height
            ));
        }
        if video.is_tone_mapped() {
            remarks.push(format!("the colors of {name} are mapped to SDR BT.709"));
        }
        remarks
    }

    /// How wide a pixel is for its height: pixels of a video may not be square. Frames, and all that is said of places in
    /// them, have the stored pixels, as OpenCV and CVAT have them; what shows a frame stretches it.
    pub fn pixel_aspect(&self) -> PixelAspect {
        match &self.kind {
            Kind::Images(_) => PixelAspect::SQUARE,
            Kind::Video(video) => video.pixel_aspect(),
        }
    }

    /// The unit in which a video file counts time, as a fraction of seconds.
    pub(super) fn time_unit(&self) -> Option<Rational> {
        match &self.kind {
            Kind::Images(_) => None,
            Kind::Video(video) => Some(video.time_unit()),
        }
    }

    /// Name of the video file, folder or image.
    pub fn file_name(&self) -> String {
        self.path.file_name().unwrap_or(self.path.as_os_str()).to_string_lossy().into_owned()
    }

    /// Name of frame `frame`: its file's, or for a frame of a video or a page the one it gets when frames are extracted,
    /// such as `clip/000012.jpg`.
    ///
    /// # Panics
    /// If there is no such frame of a folder.
    pub fn name(&self, frame: usize) -> String {
        let file = match &self.kind {
            Kind::Images(images) => images.file(frame),
            Kind::Video(_) => None,
        };
        match file {
            Some(file) => file.file_name().unwrap_or_default().to_string_lossy().into_owned(),
            None => {
                let stem = self.path.file_stem().unwrap_or_default().to_string_lossy();
                format!("{stem}/{frame:06}.jpg")
            }
        }
    }

    /// The frame at or before `frame` where decoding can start: a key frame; of images the frame itself, of an animation
    /// the first.
    ///
    /// # Panics
    /// If there is no such frame of a video.
    pub fn key_frame(&self, frame: usize) -> usize {
        match &self.kind {
            Kind::Images(images) => images.key_frame(frame),
            Kind::Video(video) => video.key_frame(frame),
        }
    }

    /// The first frame that will be decoded to reach `frame`, at or before it: the one after the last that was read if
    /// that is on the way, else the key frame.
    ///
    /// # Panics
    /// If there is no such frame of a video.
    pub fn decodes_from(&self, frame: usize) -> usize {
        match &self.kind {
            Kind::Images(images) => images.decodes_from(frame),
            Kind::Video(video) => video.decodes_from(frame),
        }
    }

    /// The pixels of frame `frame`, upright; of undamaged data the same whichever frames were read before.
    ///
    /// Reading frames in their order is fastest; another frame of a video is decoded from the key frame before it.
    /// To step backward, read a stretch of frames in their order and keep them.
    ///
    /// Colors of a video are as it says; one that says nothing is BT.709 from 1280 pixels wide or 577 high, else BT.601.
    /// HDR (PQ, HLG) and wide gamuts (BT.2020, P3) are mapped to SDR BT.709. Fields are not separated, and pixels that are
    /// not square stay as they are stored ([`Self::pixel_aspect`]).
    ///
    /// # Errors
    /// There is no such frame, the file cannot be read any more, or this frame's data, or those of a frame that it refers to,
    /// are damaged ([`MediaError::damaged_frame`]).
    pub fn frame(&mut self, frame: usize) -> Result<RgbImage, MediaError> {
        let pixels = self.frame_while(frame, &mut || true)?;
        Ok(pixels.expect("only who is told to gives up"))
    }

    /// As [`Self::frame`], but gives up, with none, where `go_on` says no: it is asked after each frame on the way that
    /// is not `frame`. What is read next goes on from there if it can.
    ///
    /// # Errors
    /// As [`Self::frame`].
    pub fn frame_while(
        &mut self,
        frame: usize,
        go_on: &mut dyn FnMut() -> bool,
    ) -> Result<Option<RgbImage>, MediaError> {
        let n_frames = self.n_frames();
        if frame >= n_frames {
            return Err(MediaError::NoSuchFrame { path: self.path.clone(), frame, n_frames });
        }
        match &mut self.kind {
            Kind::Images(images) => images.frame_while(frame, go_on),
            Kind::Video(video) => video.frame_while(frame, go_on),
        }
    }

    /// Finds out whether frame `frame` can be read; of a video that takes less time than to read it.
    ///
    /// # Errors
    /// As [`Self::frame`].
    pub fn check(&mut self, frame: usize) -> Result<(), MediaError> {
        match &mut self.kind {
            Kind::Video(video) if frame < video.n_frames() => video.check(frame),
            _ => self.frame(frame).map(drop),
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
    use crate::media::make_clip;

    #[test]
    fn frames_can_be_read_by_another_thread() {
        fn check<T: Send>() {}
        check::<FrameSource>();
    }

    #[test]
    fn whoever_gives_up_goes_on_from_there() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("clip.mp4");
        make_clip(&path, 100);
        let mut source = FrameSource::open(&path).unwrap();
        let expected: Vec<_> = (0..100).map(|frame| source.frame(frame).unwrap()).collect();
        let key = source.key_frame(70);
        assert!(key > 0 && key < 70);
        assert_eq!(source.key_frame(key), key);
        assert_eq!((source.decodes_from(70), source.key_frame(0)), (key, 0));

        let mut n = 0;
        let mut three = || {
            n += 1;
            n % 3 != 0
        };
        assert!(source.frame_while(70, &mut three).unwrap().is_none());
        assert_eq!(source.decodes_from(70), key + 3);
        assert!(source.frame_while(70, &mut three).unwrap().is_none());
        assert!(source.frame(key + 6).unwrap() == expected[key + 6]);
        assert!(source.frame(70).unwrap() == expected[70]);
        assert!(source.frame(3).unwrap() == expected[3]);
    }
}
