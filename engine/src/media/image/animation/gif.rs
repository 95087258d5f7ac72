//! GIF files (<https://www.w3.org/Graphics/GIF/spec-gif89a.txt>), drawn as Pillow draws them.

use std::{
    fs::File,
    io,
    io::BufReader,
    path::{Path, PathBuf},
    time::Duration,
};

use gif::{ColorOutput, DecodeOptions, Decoder, DecodingError, DisposalMethod};
use image::RgbaImage;

use super::{
    Outline, Patches,
    canvas::{Dispose, Patch},
};
use crate::{
    geometry::Size,
    media::image::{ImageHeader, ImageKind, MediaError, image_error, largest},
};

/// Reads the size, and how long each frame is shown; frames after a damaged one are missing.
pub(super) fn outline(path: &Path) -> Result<(ImageHeader, Outline), MediaError> {
    let mut decoder = open(path, true)?;
    let mut size = Size::new(decoder.width().into(), decoder.height().into());
    let (mut durations, mut ground) = (Vec::new(), [0; 4]);
    loop {
        // All data of a frame have to be there, not only its head.
        let read = decoder.read_next_frame().map(|frame| {
            frame.map(|frame| {
                let end = [(frame.left, frame.width), (frame.top, frame.height)]
                    .map(|(start, length)| usize::from(start) + usize::from(length));
                (end, frame.delay, frame.transparent.is_some(), frame.palette.clone())
            })
        });
        match read {
            Ok(Some((end, delay, is_transparent, palette))) => {
                if durations.is_empty() {
                    size = Size::new(size.width.max(end[0]), size.height.max(end[1]));
                    let colors = palette.as_deref().or(decoder.global_palette()).unwrap_or_default();
                    ground = if is_transparent { [0; 4] } else { color(colors, 0) };
                }
                durations.push(Duration::from_millis(10 * u64::from(delay)));
            }
            Ok(None) => break,
            Err(error) if durations.is_empty() => return Err(gif_error(path, error)),
            Err(_) => break,
        }
    }
    if durations.is_empty() {
        return Err(MediaError::TruncatedImage { path: path.into() });
    }
    let mut header = ImageHeader::of(ImageKind::Gif);
    header.turn(size, image::metadata::Orientation::NoTransforms);
    Ok((header, Outline { durations, ground }))
}

/// The patches of a GIF file.
pub(super) struct GifPatches {
    path: PathBuf,
    decoder: Decoder<BufReader<File>>,
    /// As Pillow has it, a frame that names no disposal has that of the frame before.
    disposal: DisposalMethod,
    /// True if the canvas has alpha, which it has if the first frame has; none before that.
    has_alpha: Option<bool>,
}

impl GifPatches {
    pub(super) fn open(path: &Path) -> Result<Self, MediaError> {
        Ok(Self {
            path: path.into(),
            decoder: open(path, false)?,
            disposal: DisposalMethod::Keep,
            has_alpha: None,
        })
    }
}

impl Patches for GifPatches {
    fn next(&mut self) -> Result<Patch, MediaError> {
        let background = self.decoder.bg_color().unwrap_or(0);
        let global = self.decoder.global_palette().map(<[u8]>::to_vec);
        let frame = self.decoder.read_next_frame().map_err(|error| gif_error(&self.path, error))?;
        let truncated = || MediaError::TruncatedImage { path: self.path.clone() };
        let frame = frame.ok_or_else(truncated)?;
        if frame.dispose != DisposalMethod::Any {
            self.disposal = frame.dispose;
        }
        let colors = frame.palette.as_deref().or(global.as_deref()).unwrap_or_default();
        let is_first = self.has_alpha.is_none();
        let has_alpha = *self.has_alpha.get_or_insert(frame.transparent.is_some());
        let cleared = frame.transparent.map(|index| {
            let [r, g, b, _] = color(colors, index.into());
            [r, g, b, if has_alpha { 0 } else { 255 }]
        });
        let dispose = match (self.disposal, cleared) {
            (DisposalMethod::Any | DisposalMethod::Keep, _) => Dispose::Keep,
            // There is nothing before the first frame.
            (DisposalMethod::Previous, None) if is_first => Dispose::Keep,
            (DisposalMethod::Previous, Some(color)) if is_first => Dispose::Fill(color),
            (DisposalMethod::Previous, _) => Dispose::Undo,
            (DisposalMethod::Background, cleared) => {
                Dispose::Fill(cleared.unwrap_or_else(|| color(colors, background)))
            }
        };
        let pixels = RgbaImage::from_raw(frame.width.into(), frame.height.into(), frame.buffer.to_vec());
        let pixels = pixels.ok_or_else(truncated)?;
        let corner = [frame.left.into(), frame.top.into()];
        Ok(Patch { corner, pixels, is_blended: true, dispose })
    }
}

fn open(path: &Path, skips: bool) -> Result<Decoder<BufReader<File>>, MediaError> {
    let file = File::open(path).map_err(|cause| MediaError::Read { path: path.into(), cause })?;
    let mut options = DecodeOptions::new();
    options.set_color_output(ColorOutput::RGBA);
    options.skip_frame_decoding(skips);
    options.set_memory_limit(gif::MemoryLimit::Bytes(
        (largest() as u64).try_into().unwrap_or(std::num::NonZeroU64::MAX),
    ));
    options.read_info(BufReader::new(file)).map_err(|error| gif_error(path, error))
}

/// A color of a palette, of three bytes each.
fn color(palette: &[u8], index: usize) -> [u8; 4] {
    match palette.get(3 * index..3 * index + 3).or(palette.get(..3)) {
        Some(&[r, g, b]) => [r, g, b, 255],
        _ => [0, 0, 0, 255],
    }
}

fn gif_error(path: &Path, error: DecodingError) -> MediaError {
    match error {
        DecodingError::Io(error) if error.kind() == io::ErrorKind::UnexpectedEof => {
            MediaError::TruncatedImage { path: path.into() }
        }
        error => image_error(path, error),
    }
}
