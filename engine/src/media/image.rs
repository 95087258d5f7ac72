//! Image files as upright RGB pixels: one image, or the pages or frames of one file.

mod animation;
mod complete;
mod heif;
mod jxl;
mod kind;
mod levels;
mod limit;
mod still;
mod tiff;

use std::path::{Path, PathBuf};

use image::{DynamicImage, RgbImage, metadata::Orientation};

use self::{
    animation::Animation,
    limit::{largest, require_readable},
    tiff::Tiff,
};
pub use self::{
    complete::require_complete,
    kind::{ImageKind, image_suffixes},
    limit::{DEFAULT_LARGEST_IMAGE, set_largest_image},
};
use super::MediaError;
use crate::{geometry::Size, messages::shortened};

/// Frames per second where the file says nothing.
const DEFAULT_FPS: f64 = 25.0;

/// What the header of an image file says.
#[derive(Clone, Debug)]
pub struct ImageHeader {
    /// The kind of file.
    pub kind: ImageKind,
    /// Pixels, upright.
    pub size: Size,
    /// Pages of a TIFF file, frames of an animation; 1 for most files.
    pub n_frames: usize,
    /// Pages that are left out because they have another size than the first.
    pub n_left_out: usize,
    /// Channels of a pixel, of which the first three are shown if they are more than four.
    pub n_channels: usize,
    /// True if the samples have more than 8 bits, a sign or a fraction: they are scaled to be seen.
    pub is_deep: bool,
    /// Bytes of a decoded pixel.
    bytes_per_pixel: usize,
    /// Bits per pixel before compression, to estimate how small the file can be; 0 if it may be arbitrarily small.
    stored_bits: usize,
    /// How a tag says that the pixels are to be turned.
    orientation: Orientation,
}

impl ImageHeader {
    /// A header without pixels, to be filled in.
    fn of(kind: ImageKind) -> Self {
        Self {
            kind,
            size: Size::new(0, 0),
            n_frames: 1,
            n_left_out: 0,
            n_channels: 3,
            is_deep: false,
            bytes_per_pixel: 3,
            stored_bits: 0,
            orientation: Orientation::NoTransforms,
        }
    }

    /// Sets the size of pixels as stored, and how they are to be turned.
    fn turn(&mut self, stored: Size, orientation: Orientation) {
        self.size = turned(stored, orientation);
        self.orientation = orientation;
    }

    /// The size of the pixels as stored.
    fn stored_size(&self) -> Size {
        // Turned twice is as before.
        turned(self.size, self.orientation)
    }

    /// True if a tag says how the pixels are to be turned, which other programs may ignore.
    pub fn is_turned(&self) -> bool {
        self.orientation != Orientation::NoTransforms
    }
}

/// Reads an image as 8-bit RGB, turned upright as its metadata say; of a file with pages or frames the first.
///
/// The kind of file is recognized by content; its name does not matter. Values of more than 8 bits, signed and float
/// values are scaled by what the image holds. Palettes and gray become RGB, CMYK is converted without a color profile.
/// Transparent pixels are laid over white, as a web page shows them: their own color may be anything.
///
/// # Errors
/// The file cannot be read, is empty, ends too early, is of an unknown kind, its pixels take more than
/// [`set_largest_image`] allows, or it is large and its file far too small for an image.
pub fn read_image(path: &Path) -> Result<RgbImage, MediaError> {
    read_image_over(path, 255)
}

/// [`read_image`] with transparent pixels laid over a gray of this level: over 0 they are no part of a mask.
///
/// # Errors
/// As [`read_image`].
pub fn read_image_over(path: &Path, level: u8) -> Result<RgbImage, MediaError> {
    decode_image(path).map(|image| over(level, image))
}

/// Reads an image as [`read_image`] does, but keeps gray as one channel, and how opaque pixels are.
///
/// # Errors
/// As [`read_image`].
pub fn decode_image(path: &Path) -> Result<DynamicImage, MediaError> {
    let image = ImageFile::open(path)?.decode(0, &mut || true)?;
    image.ok_or_else(|| MediaError::TruncatedImage { path: path.into() })
}

/// Returns the size that [`read_image`] will give, from the file's header alone.
///
/// # Errors
/// As [`read_image`], as far as the header tells.
pub fn image_size(path: &Path) -> Result<Size, MediaError> {
    image_header(path).map(|header| header.size)
}

/// Reads the header of an image file.
///
/// # Errors
/// As [`read_image`], as far as the header tells.
pub fn image_header(path: &Path) -> Result<ImageHeader, MediaError> {
    ImageFile::open(path).map(|file| file.header().clone())
}

/// An open image file, of which pixels are decoded as they are asked for.
pub(super) struct ImageFile {
    path: PathBuf,
    content: Content,
}

enum Content {
    Still(ImageHeader),
    Animation(Box<Animation>),
    Tiff(Box<Tiff>),
}

impl ImageFile {
    /// Opens an image file and reads its header.
    pub(super) fn open(path: &Path) -> Result<Self, MediaError> {
        let kind = ImageKind::require(path)?;
        let content = match kind {
            ImageKind::Tiff => Content::Tiff(Box::new(Tiff::open(path)?)),
            ImageKind::Avif | ImageKind::Heic => Content::Still(heif::header(path, kind)?),
            ImageKind::JpegXl => Content::Still(jxl::header(path)?),
            ImageKind::Gif | ImageKind::Png | ImageKind::WebP => match Animation::open(path, kind)? {
                Some(animation) => Content::Animation(Box::new(animation)),
                None => Content::Still(still::header(path, kind)?),
            },
            _ => Content::Still(still::header(path, kind)?),
        };
        let file = Self { path: path.into(), content };
        require_readable(path, file.header())?;
        Ok(file)
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    pub(super) fn header(&self) -> &ImageHeader {
        match &self.content {
            Content::Still(header) => header,
            Content::Animation(animation) => animation.header(),
            Content::Tiff(tiff) => tiff.header(),
        }
    }

    /// Seconds from the first frame to this one.
    pub(super) fn time(&self, frame: usize) -> f64 {
        match &self.content {
            Content::Animation(animation) => animation.time(frame),
            Content::Still(_) | Content::Tiff(_) => frame as f64 / DEFAULT_FPS,
        }
    }

    /// Frames per second, the average of an animation.
    pub(super) fn fps(&self) -> f64 {
        match &self.content {
            Content::Animation(animation) => animation.fps().unwrap_or(DEFAULT_FPS),
            Content::Still(_) | Content::Tiff(_) => DEFAULT_FPS,
        }
    }

    /// See [`super::FrameSource::key_frame`].
    pub(super) fn key_frame(&self, frame: usize) -> usize {
        if matches!(self.content, Content::Animation(_)) { 0 } else { frame }
    }

    /// See [`super::FrameSource::decodes_from`].
    pub(super) fn decodes_from(&self, frame: usize) -> usize {
        match &self.content {
            Content::Animation(animation) => animation.decodes_from(frame),
            Content::Still(_) | Content::Tiff(_) => frame,
        }
    }

    /// See [`super::FrameSource::frame_while`].
    pub(super) fn frame_while(
        &mut self,
        frame: usize,
        go_on: &mut dyn FnMut() -> bool,
    ) -> Result<Option<RgbImage>, MediaError> {
        Ok(self.decode(frame, go_on)?.map(|image| over(255, image)))
    }

    fn decode(
        &mut self,
        frame: usize,
        go_on: &mut dyn FnMut() -> bool,
    ) -> Result<Option<DynamicImage>, MediaError> {
        match &mut self.content {
            Content::Animation(animation) => animation.frame_while(frame, go_on),
            Content::Tiff(tiff) => tiff.page(frame).map(Some),
            Content::Still(header) => match header.kind {
                ImageKind::Avif | ImageKind::Heic => heif::read(&self.path, header.kind),
                ImageKind::JpegXl => jxl::read(&self.path),
                kind => still::read(&self.path, kind),
            }
            .map(Some),
        }
    }
}

/// The size of an image of this size after turning it.
pub(super) fn turned(size: Size, orientation: Orientation) -> Size {
    use Orientation::{Rotate90, Rotate90FlipH, Rotate270, Rotate270FlipH};
    if matches!(orientation, Rotate90 | Rotate90FlipH | Rotate270 | Rotate270FlipH) {
        Size::new(size.height, size.width)
    } else {
        size
    }
}

/// Lays an image over a gray of this level.
fn over(level: u8, image: DynamicImage) -> RgbImage {
    if !image.color().has_alpha() {
        return image.into_rgb8();
    }
    let rgba = image.into_rgba8();
    let mut rgb = RgbImage::new(rgba.width(), rgba.height());
    for (to, from) in rgb.pixels_mut().zip(rgba.pixels()) {
        let [color @ .., alpha] = from.0.map(u32::from);
        to.0 = color.map(|c| ((c * alpha + u32::from(level) * (255 - alpha) + 127) / 255) as u8);
    }
    rgb
}

/// An error with a sentence of a decoder, which may be long.
fn image_error(path: &Path, cause: impl ToString) -> MediaError {
    const LONGEST: usize = 200;
    let cause = cause.to_string().split_whitespace().collect::<Vec<_>>().join(" ");
    MediaError::Image { path: path.into(), cause: shortened(&cause, LONGEST + 1) }
}
