//! One picture of AV1 or HEVC, by FFmpeg.

use std::path::Path;

use ffmpeg::{
    Dictionary, Packet,
    codec::{Context, Id},
    color, decoder,
    format::Pixel,
    frame,
};
use ffmpeg_next as ffmpeg;
use image::RgbImage;

use super::boxes::Bytes;
use crate::{
    geometry::Size,
    media::{
        MediaError,
        color::{Converter, Yuv},
        image::{ImageKind, image_error, largest},
        start_ffmpeg,
    },
};

/// Marks the start of a unit of HEVC.
const START: [u8; 4] = [0, 0, 0, 1];

/// Fails if this FFmpeg has no decoder for this kind of file.
pub(super) fn require(path: &Path, kind: ImageKind) -> Result<(), MediaError> {
    find(path, kind).map(drop)
}

fn find(path: &Path, kind: ImageKind) -> Result<ffmpeg::Codec, MediaError> {
    start_ffmpeg();
    let id = if kind == ImageKind::Avif { Id::AV1 } else { Id::HEVC };
    // FFmpeg's own decoder of AV1 only works together with a graphics card.
    let codec = if id == Id::AV1 {
        ["libdav1d", "libaom-av1"].into_iter().find_map(decoder::find_by_name)
    } else {
        decoder::find(id)
    };
    codec.ok_or_else(|| MediaError::NoImageDecoder { path: path.into(), kind: kind.name() })
}

/// Decodes the data of an item.
///
/// `settings` is what its `av1C` or `hvcC` box says, `color` the matrix and the range that the container names.
pub(super) fn decode(
    path: &Path,
    kind: ImageKind,
    data: &[u8],
    settings: &[u8],
    color: Option<(u16, bool)>,
    size: Size,
) -> Result<RgbImage, MediaError> {
    let codec = find(path, kind)?;
    let data = if kind == ImageKind::Avif {
        [settings.get(4..).unwrap_or_default(), data].concat()
    } else {
        with_start_codes(data, settings)
            .ok()
            .ok_or_else(|| MediaError::TruncatedImage { path: path.into() })?
    };
    let decode = || {
        let options: Dictionary =
            [("threads", "auto"), ("max_pixels", &(largest() / 3).to_string())].into_iter().collect();
        let context = Context::new_with_codec(codec).decoder();
        let mut decoder = context.open_as_with(codec, options)?.video()?;
        decoder.send_packet(&Packet::copy(&data))?;
        decoder.send_eof()?;
        let mut picture = frame::Video::empty();
        decoder.receive_frame(&mut picture)?;
        picture.set_color_space(matrix(&picture, color));
        if let Some((_, true)) = color {
            picture.set_color_range(color::Range::JPEG);
        }
        let mut rgb = frame::Video::empty();
        let (width, height) = (picture.width(), picture.height());
        Converter::new(Pixel::RGB24, width, height).convert(&picture, &mut rgb, Yuv::of(&picture))?;
        Ok(rgb)
    };
    let rgb: frame::Video = decode().map_err(|error: ffmpeg::Error| image_error(path, error))?;
    let rows = rgb.data(0).chunks(rgb.stride(0)).take(size.height);
    let pixels: Vec<u8> = rows.filter_map(|row| row.get(..3 * size.width)).flatten().copied().collect();
    let image = RgbImage::from_raw(size.width as u32, size.height as u32, pixels);
    image.filter(|_| rgb.width() as usize >= size.width).ok_or_else(|| {
        let found = Size::new(rgb.width() as usize, rgb.height() as usize);
        image_error(path, format!("it says that it is {size} pixels, and is {found}"))
    })
}

/// What the container says, else the data, else BT.601, as MIAF (ISO/IEC 23000-22) has it.
fn matrix(picture: &frame::Video, color: Option<(u16, bool)>) -> color::Space {
    match color.map(|(matrix, _)| matrix) {
        Some(0) => color::Space::RGB,
        Some(1) => color::Space::BT709,
        Some(4) => color::Space::FCC,
        Some(5 | 6) => color::Space::BT470BG,
        Some(7) => color::Space::SMPTE240M,
        Some(9 | 10) => color::Space::BT2020NCL,
        _ if picture.color_space() == color::Space::Unspecified => color::Space::BT470BG,
        _ => picture.color_space(),
    }
}

/// Writes units of HEVC as a stream: parameter sets of the `hvcC` box, then the data, of which each unit has a length.
fn with_start_codes(data: &[u8], settings: &[u8]) -> std::io::Result<Vec<u8>> {
    const LENGTH_SIZE: usize = 21;
    let mut settings = Bytes(settings);
    settings.take(LENGTH_SIZE)?;
    let width = (settings.number(1)? & 3) as usize + 1;
    let mut stream = Vec::new();
    let mut push = |unit: &[u8]| {
        stream.extend(START);
        stream.extend(unit);
    };
    for _ in 0..settings.number(1)? {
        settings.number(1)?;
        for _ in 0..settings.number(2)? {
            let length = settings.number(2)? as usize;
            push(settings.take(length)?);
        }
    }
    let mut data = Bytes(data);
    while !data.0.is_empty() {
        let length = data.number(width)? as usize;
        push(data.take(length)?);
    }
    Ok(stream)
}
