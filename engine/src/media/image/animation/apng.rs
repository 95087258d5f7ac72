//! Animated PNG files (<https://www.w3.org/TR/png-3/#apng-frame-based-animation>).

use std::{
    fs::File,
    io::{self, BufReader},
    path::{Path, PathBuf},
    time::Duration,
};

use image::{DynamicImage, GrayAlphaImage, GrayImage, RgbImage, RgbaImage};
use png::{BlendOp, ColorType, Decoder, DecodingError, DisposeOp, Limits, Reader, Transformations};

use super::{
    Outline, Patches,
    canvas::{Dispose, Patch},
};
use crate::media::image::{MediaError, image_error, largest};

/// Reads how long each frame is shown; no frames of a PNG that is not animated.
pub(super) fn outline(path: &Path) -> Result<Outline, MediaError> {
    let durations = File::open(path).and_then(|file| durations(&mut BufReader::new(file)));
    let durations = durations.map_err(|cause| MediaError::Read { path: path.into(), cause })?;
    Ok(Outline { durations, ground: [0; 4] })
}

/// Reads the `fcTL` chunks, as many as `acTL` announces; what is cut off is missing.
fn durations(file: &mut (impl io::Read + io::Seek)) -> io::Result<Vec<Duration>> {
    const SIGNATURE: u64 = 8;
    file.seek(io::SeekFrom::Start(SIGNATURE))?;
    let (mut n_frames, mut durations) = (0, Vec::new());
    loop {
        let mut head = [0; 8];
        if file.read_exact(&mut head).is_err() {
            break;
        }
        let [length, kind] = [&head[..4], &head[4..]];
        let length = length.iter().fold(0, |sum, byte| sum << 8 | i64::from(*byte));
        let mut data = [0; 26];
        match kind {
            b"acTL" | b"fcTL" => file.read_exact(&mut data[..length.clamp(0, 26) as usize])?,
            // Without `acTL` before the first data, a PNG is not animated.
            b"IDAT" if n_frames == 0 => break,
            b"IEND" => break,
            _ => file.seek_relative(length)?,
        }
        match kind {
            b"acTL" => n_frames = u32::from_be_bytes([data[0], data[1], data[2], data[3]]) as usize,
            b"fcTL" if durations.len() < n_frames => {
                let [part, whole] =
                    [20, 22].map(|at| u32::from(u16::from_be_bytes([data[at], data[at + 1]])));
                let seconds = f64::from(part) / f64::from(if whole == 0 { 100 } else { whole });
                durations.push(Duration::from_secs_f64(seconds));
            }
            _ => {}
        }
        if matches!(kind, b"acTL" | b"fcTL") {
            file.seek_relative(length - length.clamp(0, 26))?;
        }
        const CHECKSUM: i64 = 4;
        file.seek_relative(CHECKSUM)?;
    }
    Ok(durations)
}

/// The patches of a PNG file.
pub(super) struct PngPatches {
    path: PathBuf,
    reader: Reader<BufReader<File>>,
    is_first: bool,
}

impl PngPatches {
    pub(super) fn open(path: &Path) -> Result<Self, MediaError> {
        let file = File::open(path).map_err(|cause| MediaError::Read { path: path.into(), cause })?;
        let mut decoder = Decoder::new_with_limits(BufReader::new(file), Limits { bytes: largest() });
        decoder.set_transformations(Transformations::EXPAND | Transformations::STRIP_16);
        let mut reader = decoder.read_info().map_err(|error| png_error(path, error))?;
        // Without `fcTL` before it, the first image is for programs that know no animations.
        if reader.info().frame_control.is_none() {
            let mut ignored = vec![0; reader.output_buffer_size().unwrap_or_default()];
            reader.next_frame(&mut ignored).map_err(|error| png_error(path, error))?;
        }
        Ok(Self { path: path.into(), reader, is_first: true })
    }
}

impl Patches for PngPatches {
    fn next(&mut self) -> Result<Patch, MediaError> {
        let mut bytes = vec![0; self.reader.output_buffer_size().unwrap_or_default()];
        let frame = self.reader.next_frame(&mut bytes).map_err(|error| png_error(&self.path, error))?;
        bytes.truncate(frame.buffer_size());
        let (width, height) = (frame.width, frame.height);
        let pixels = match frame.color_type {
            ColorType::Grayscale => GrayImage::from_raw(width, height, bytes).map(DynamicImage::from),
            ColorType::GrayscaleAlpha => {
                GrayAlphaImage::from_raw(width, height, bytes).map(DynamicImage::from)
            }
            ColorType::Rgb | ColorType::Indexed => {
                RgbImage::from_raw(width, height, bytes).map(DynamicImage::from)
            }
            ColorType::Rgba => RgbaImage::from_raw(width, height, bytes).map(DynamicImage::from),
        };
        let truncated = || MediaError::TruncatedImage { path: self.path.clone() };
        let pixels = pixels.ok_or_else(truncated)?.into_rgba8();
        let control = self.reader.info().frame_control.ok_or_else(truncated)?;
        let is_first = std::mem::take(&mut self.is_first);
        let dispose = match control.dispose_op {
            DisposeOp::None => Dispose::Keep,
            DisposeOp::Background => Dispose::Fill([0; 4]),
            DisposeOp::Previous if is_first => Dispose::Fill([0; 4]),
            DisposeOp::Previous => Dispose::Undo,
        };
        let corner = [control.x_offset, control.y_offset];
        Ok(Patch { corner, pixels, is_blended: control.blend_op == BlendOp::Over, dispose })
    }
}

fn png_error(path: &Path, error: DecodingError) -> MediaError {
    match error {
        DecodingError::IoError(error) if error.kind() == io::ErrorKind::UnexpectedEof => {
            MediaError::TruncatedImage { path: path.into() }
        }
        error => image_error(path, error),
    }
}
