//! Images of one frame, by the decoders of the `image` crate.

use std::{
    error::Error as _,
    fs,
    io::{self, BufRead, BufReader, Cursor, Read as _, Seek},
    path::Path,
};

use image::{DynamicImage, ImageBuffer, ImageDecoder, ImageError, ImageFormat, ImageReader, Limits, Pixel};

use super::{
    ImageHeader, ImageKind, MediaError,
    complete::jpeg_is_complete,
    image_error, largest,
    levels::{developed, scaled},
};
use crate::geometry::Size;

/// A JPEG's size and orientation are found in these many first bytes, or else in the whole file.
const JPEG_HEADER: u64 = 256 << 10;

/// Reads the header of an image.
pub(super) fn header(path: &Path, kind: ImageKind) -> Result<ImageHeader, MediaError> {
    let read_error = |cause| MediaError::Read { path: path.into(), cause };
    let file = fs::File::open(path).map_err(read_error)?;
    let found = if kind == ImageKind::Jpeg {
        // The JPEG decoder reads all it is given before it looks at the header.
        let mut start = Vec::new();
        (&file).take(JPEG_HEADER).read_to_end(&mut start).map_err(read_error)?;
        header_of(Cursor::new(start), kind).or_else(|_| header_of(BufReader::new(&file), kind))
    } else {
        header_of(BufReader::new(&file), kind)
    };
    found.map_err(|cause| decode_error(path, cause))
}

fn header_of(bytes: impl BufRead + Seek, kind: ImageKind) -> Result<ImageHeader, ImageError> {
    let mut decoder = open(bytes, kind)?;
    let color = decoder.color_type();
    let mut header = ImageHeader::of(kind);
    let (width, height) = decoder.dimensions();
    header.turn(Size::new(width as usize, height as usize), decoder.orientation()?);
    header.n_channels = color.channel_count().into();
    header.bytes_per_pixel = color.bytes_per_pixel().into();
    if kind != ImageKind::WebP {
        header.stored_bits = decoder.original_color_type().bits_per_pixel().into();
    }
    header.is_deep = color.bytes_per_pixel() > color.channel_count();
    Ok(header)
}

/// Decodes an image with 8 bits a sample, turned upright.
pub(super) fn read(path: &Path, kind: ImageKind) -> Result<DynamicImage, MediaError> {
    let bytes = fs::read(path).map_err(|cause| MediaError::Read { path: path.into(), cause })?;
    if kind == ImageKind::Jpeg && !jpeg_is_complete(&bytes) {
        return Err(MediaError::TruncatedImage { path: path.into() });
    }
    let decoded = open(Cursor::new(bytes), kind).and_then(|mut decoder| {
        let orientation = decoder.orientation()?;
        Ok((DynamicImage::from_decoder(decoder)?, orientation))
    });
    let (image, orientation) = decoded.map_err(|cause| decode_error(path, cause))?;
    let mut image = in_8_bits(image);
    image.apply_orientation(orientation);
    Ok(image)
}

fn open<'a>(bytes: impl BufRead + Seek + 'a, kind: ImageKind) -> Result<impl ImageDecoder + 'a, ImageError> {
    let format = match kind {
        ImageKind::Jpeg => ImageFormat::Jpeg,
        ImageKind::Png => ImageFormat::Png,
        ImageKind::WebP => ImageFormat::WebP,
        ImageKind::Bmp => ImageFormat::Bmp,
        ImageKind::Pnm => ImageFormat::Pnm,
        ImageKind::Hdr => ImageFormat::Hdr,
        ImageKind::Exr => ImageFormat::OpenExr,
        ImageKind::Avif => ImageFormat::Avif,
        ImageKind::Tiff => ImageFormat::Tiff,
        ImageKind::Gif | ImageKind::Heic | ImageKind::JpegXl => ImageFormat::Gif,
    };
    let mut reader = ImageReader::with_format(bytes, format);
    let mut limits = Limits::no_limits();
    // Room for the largest image, and as much again for the decoder.
    limits.max_alloc = Some(2 * largest() as u64);
    reader.limits(limits);
    reader.into_decoder()
}

/// Scales samples of more than 8 bits by what the image holds.
fn in_8_bits(image: DynamicImage) -> DynamicImage {
    fn map<P: Pixel, Q: Pixel<Subpixel = u8>>(
        from: &ImageBuffer<P, Vec<P::Subpixel>>,
        map: impl Fn(&[P::Subpixel], usize, bool) -> Vec<u8>,
    ) -> ImageBuffer<Q, Vec<u8>> {
        let bytes = map(from.as_raw(), P::CHANNEL_COUNT.into(), matches!(P::CHANNEL_COUNT, 2 | 4));
        let mut bytes = bytes.into_iter();
        ImageBuffer::from_fn(from.width(), from.height(), |_, _| {
            let mut pixel = *Q::from_slice(&[0; 4][..Q::CHANNEL_COUNT.into()]);
            pixel.channels_mut().iter_mut().for_each(|c| *c = bytes.next().unwrap_or_default());
            pixel
        })
    }
    match &image {
        DynamicImage::ImageLuma16(deep) => DynamicImage::ImageLuma8(map(deep, scaled)),
        DynamicImage::ImageLumaA16(deep) => DynamicImage::ImageLumaA8(map(deep, scaled)),
        DynamicImage::ImageRgb16(deep) => DynamicImage::ImageRgb8(map(deep, scaled)),
        DynamicImage::ImageRgba16(deep) => DynamicImage::ImageRgba8(map(deep, scaled)),
        // Only formats of linear light have floats here.
        DynamicImage::ImageRgb32F(light) => DynamicImage::ImageRgb8(map(light, developed)),
        DynamicImage::ImageRgba32F(light) => DynamicImage::ImageRgba8(map(light, developed)),
        _ => image,
    }
}

fn decode_error(path: &Path, cause: ImageError) -> MediaError {
    let is_early = |error: &io::Error| error.kind() == io::ErrorKind::UnexpectedEof;
    let mut inner = cause.source();
    // The decoder of JPEG says it in words only.
    let mut early = matches!(&cause, ImageError::IoError(error) if is_early(error))
        || cause.to_string().contains("Not enough bytes");
    while let Some(error) = inner {
        early |= error.downcast_ref().is_some_and(is_early);
        inner = error.source();
    }
    if early { MediaError::TruncatedImage { path: path.into() } } else { image_error(path, cause) }
}
