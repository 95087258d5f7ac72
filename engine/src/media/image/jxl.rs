//! JPEG XL files; of an animation the first frame.

use std::{
    fs::File,
    io::{BufReader, Read as _},
    path::Path,
};

use image::{DynamicImage, GrayAlphaImage, GrayImage, RgbImage, RgbaImage};
use jxl_oxide::{AllocTracker, EnumColourEncoding, InitializeResult, JxlImage, RenderingIntent};

use super::{ImageHeader, ImageKind, MediaError, image_error, largest, require_readable};
use crate::geometry::Size;

/// Bytes that are read before it is tried again whether the header is whole.
const PIECE: usize = 4096;

/// Reads the header of a file.
pub(super) fn header(path: &Path) -> Result<ImageHeader, MediaError> {
    let read_error = |cause| MediaError::Read { path: path.into(), cause };
    let mut file = BufReader::new(File::open(path).map_err(read_error)?);
    let mut waiting = JxlImage::builder().alloc_tracker(tracker()).build_uninit();
    let image = loop {
        let mut piece = Vec::new();
        (&mut file).take(PIECE as u64).read_to_end(&mut piece).map_err(read_error)?;
        if piece.is_empty() {
            return Err(MediaError::TruncatedImage { path: path.into() });
        }
        waiting.feed_bytes(&piece).map_err(|error| image_error(path, error))?;
        match waiting.try_init().map_err(|error| image_error(path, error))? {
            InitializeResult::NeedMoreData(more) => waiting = more,
            InitializeResult::Initialized(image) => break image,
        }
    };
    Ok(header_of(&image))
}

fn header_of(image: &JxlImage) -> ImageHeader {
    let mut header = ImageHeader::of(ImageKind::JpegXl);
    // Turned upright already.
    header.size = Size::new(image.width() as usize, image.height() as usize);
    header.n_channels = image.pixel_format().channels();
    header.bytes_per_pixel = size_of::<f32>() * header.n_channels;
    header
}

/// Decodes the image of a file.
pub(super) fn read(path: &Path) -> Result<DynamicImage, MediaError> {
    let jxl_error = |error: Box<dyn std::error::Error + Send + Sync>| image_error(path, error);
    let file = File::open(path).map_err(|cause| MediaError::Read { path: path.into(), cause })?;
    let builder = JxlImage::builder().alloc_tracker(tracker());
    let mut image = builder.read(BufReader::new(file)).map_err(jxl_error)?;
    let header = header_of(&image);
    require_readable(path, &header)?;
    if image.num_loaded_keyframes() == 0 {
        return Err(MediaError::TruncatedImage { path: path.into() });
    }
    // Colors of a profile stay as they are, as those of other formats do.
    if image.original_icc().is_none() {
        image.request_color_encoding(EnumColourEncoding::srgb(RenderingIntent::Relative));
    }
    let rendered = image.render_frame(0).map_err(jxl_error)?;
    let mut stream = rendered.stream();
    let (width, height, n_channels) = (stream.width(), stream.height(), stream.channels());
    let mut bytes = vec![0_u8; width as usize * height as usize * n_channels as usize];
    stream.write_to_buffer(&mut bytes);
    let image = match n_channels {
        1 => GrayImage::from_raw(width, height, bytes).map(DynamicImage::from),
        2 => GrayAlphaImage::from_raw(width, height, bytes).map(DynamicImage::from),
        3 => RgbImage::from_raw(width, height, bytes).map(DynamicImage::from),
        4 if !image.pixel_format().has_black() => {
            RgbaImage::from_raw(width, height, bytes).map(DynamicImage::from)
        }
        _ => None,
    };
    image.ok_or_else(|| image_error(path, "its colors are CMYK, which Segue reads of JPEG and TIFF only"))
}

/// Room for the largest image, and as much again for the decoder.
fn tracker() -> AllocTracker {
    AllocTracker::with_limit(2 * largest())
}
