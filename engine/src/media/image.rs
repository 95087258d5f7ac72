//! One image file as upright RGB pixels.

use std::{
    error::Error as _,
    fs,
    io::{self, BufRead, BufReader, Cursor, Read as _, Seek},
    path::Path,
};

use image::{
    DynamicImage, ImageDecoder, ImageError, ImageFormat, ImageReader, Limits, RgbImage, metadata::Orientation,
};

use super::MediaError;
use crate::geometry::Size;

/// No more pixels than this are decoded, in whatever shape.
const LARGEST: Size = Size::square(16384);

/// A JPEG's size and orientation are found in these many first bytes, or else in the whole file.
const JPEG_HEADER: u64 = 256 << 10;

/// Reads a JPEG, PNG, WebP, TIFF, BMP or GIF (its first frame) as 8-bit RGB, turned upright as its metadata say.
///
/// The format is recognized by content; the file's name does not matter.
/// 16 bits are scaled to 8, palettes and gray become RGB, CMYK is converted without a color profile.
/// Transparent pixels are laid over white, as a web page shows them: their own color may be anything.
///
/// # Errors
/// The file cannot be read, is empty, ends too early, is of another format, or has more than 16384 x 16384 pixels.
pub fn read_image(path: &Path) -> Result<RgbImage, MediaError> {
    read_image_over(path, 255)
}

/// [`read_image`] with transparent pixels laid over a gray of this level: over 0 they are no part of a mask.
///
/// # Errors
/// As [`read_image`].
pub fn read_image_over(path: &Path, level: u8) -> Result<RgbImage, MediaError> {
    let format = require_format(path)?;
    let bytes = fs::read(path).map_err(|cause| MediaError::Read { path: path.into(), cause })?;
    if format == ImageFormat::Jpeg && !jpeg_is_whole(&bytes) {
        return Err(MediaError::TruncatedImage { path: path.into() });
    }
    let decoded = open(Cursor::new(bytes), format).and_then(|mut decoder| {
        if let Err(error) = require_readable(path, size_of(&decoder)) {
            return Ok(Err(error));
        }
        let orientation = decoder.orientation()?;
        let mut image = DynamicImage::from_decoder(decoder)?;
        image.apply_orientation(orientation);
        Ok(Ok(image))
    });
    Ok(over(level, decoded.map_err(|cause| image_error(path, cause))??))
}

/// The size that [`read_image`] will give, from the file's header alone.
///
/// # Errors
/// As [`read_image`], as far as the header tells.
pub fn image_size(path: &Path) -> Result<Size, MediaError> {
    let read_error = |cause| MediaError::Read { path: path.into(), cause };
    let format = require_format(path)?;
    let file = fs::File::open(path).map_err(read_error)?;
    let size = if format == ImageFormat::Jpeg {
        // The JPEG decoder reads all it is given before it looks at the header.
        let mut start = Vec::new();
        (&file).take(JPEG_HEADER).read_to_end(&mut start).map_err(read_error)?;
        upright_size(Cursor::new(start), format).or_else(|_| upright_size(BufReader::new(&file), format))
    } else {
        upright_size(BufReader::new(&file), format)
    };
    let size = size.map_err(|cause| image_error(path, cause))?;
    require_readable(path, size)?;
    Ok(size)
}

fn require_readable(path: &Path, size: Size) -> Result<(), MediaError> {
    if size.area() > LARGEST.area() {
        return Err(MediaError::ImageTooLarge { path: path.into(), size, limit: LARGEST });
    }
    Ok(())
}

/// The image format that the file's first bytes announce, if Segue reads it; an empty file has none.
pub(super) fn image_format(path: &Path) -> Result<Option<ImageFormat>, MediaError> {
    let start = first_bytes(path)?;
    Ok(known_format(&start))
}

fn require_format(path: &Path) -> Result<ImageFormat, MediaError> {
    let mut start = first_bytes(path)?;
    known_format(&start).ok_or_else(|| {
        start.truncate(4);
        MediaError::UnknownImage { path: path.into(), start }
    })
}

fn first_bytes(path: &Path) -> Result<Vec<u8>, MediaError> {
    let mut start = Vec::new();
    fs::File::open(path)
        .and_then(|file| file.take(16).read_to_end(&mut start))
        .map_err(|cause| MediaError::Read { path: path.into(), cause })?;
    if start.is_empty() {
        return Err(MediaError::Empty { path: path.into() });
    }
    Ok(start)
}

fn known_format(start: &[u8]) -> Option<ImageFormat> {
    use ImageFormat::{Bmp, Gif, Jpeg, Png, Tiff, WebP};
    image::guess_format(start).ok().filter(|f| [Jpeg, Png, WebP, Tiff, Bmp, Gif].contains(f))
}

fn open<'a>(
    bytes: impl BufRead + Seek + 'a,
    format: ImageFormat,
) -> Result<impl ImageDecoder + 'a, ImageError> {
    let mut reader = ImageReader::with_format(bytes, format);
    let mut limits = Limits::no_limits();
    // Room for the largest image with four channels of 16 bits, and as much again for the decoder.
    limits.max_alloc = Some(2 * 8 * LARGEST.area() as u64);
    reader.limits(limits);
    reader.into_decoder()
}

fn size_of(decoder: &impl ImageDecoder) -> Size {
    let (width, height) = decoder.dimensions();
    Size::new(width as usize, height as usize)
}

fn upright_size(bytes: impl BufRead + Seek, format: ImageFormat) -> Result<Size, ImageError> {
    let mut decoder = open(bytes, format)?;
    let orientation = decoder.orientation()?;
    Ok(turned(size_of(&decoder), orientation))
}

/// The size of a picture of this size after turning it.
pub(super) fn turned(size: Size, orientation: Orientation) -> Size {
    use Orientation::{Rotate90, Rotate90FlipH, Rotate270, Rotate270FlipH};
    if matches!(orientation, Rotate90 | Rotate90FlipH | Rotate270 | Rotate270FlipH) {
        Size::new(size.height, size.width)
    } else {
        size
    }
}

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

fn image_error(path: &Path, cause: ImageError) -> MediaError {
    let mut inner = cause.source();
    let mut early = matches!(&cause, ImageError::IoError(e) if e.kind() == io::ErrorKind::UnexpectedEof);
    while let Some(error) = inner {
        early |= error.downcast_ref::<io::Error>().is_some_and(|e| e.kind() == io::ErrorKind::UnexpectedEof);
        inner = error.source();
    }
    if early {
        MediaError::TruncatedImage { path: path.into() }
    } else {
        MediaError::Image { path: path.into(), cause }
    }
}

/// Whether a JPEG reaches its end-of-image marker: the decoder fills what is missing with gray and says nothing.
fn jpeg_is_whole(bytes: &[u8]) -> bool {
    const END_OF_IMAGE: u8 = 0xD9;
    const START_OF_SCAN: u8 = 0xDA;
    let mut rest = bytes.get(2..).unwrap_or_default();
    let mut in_scan = false;
    loop {
        // In a scan, 0xFF is data when 0x00 follows, and 0xD0 to 0xD7 are restarts; 0xFF before a marker is padding.
        let Some(at) = rest.windows(2).position(|w| {
            w[0] == 0xFF && !matches!(w[1], 0x00 | 0xFF) && !(in_scan && matches!(w[1], 0xD0..=0xD7))
        }) else {
            return false;
        };
        let marker = rest[at + 1];
        if marker == END_OF_IMAGE {
            return true;
        }
        let Some(&[high, low]) = rest.get(at + 2..at + 4) else { return false };
        let Some(next) = rest.get(at + 2 + usize::from(u16::from_be_bytes([high, low]))..) else {
            return false;
        };
        rest = next;
        in_scan = marker == START_OF_SCAN;
    }
}
