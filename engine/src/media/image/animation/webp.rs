//! Animated WebP files (<https://developers.google.com/speed/webp/docs/riff_container>).
//!
//! Each frame is a WebP image of its own within the file, and is decoded as one.

use std::{
    fs::File,
    io::{self, BufReader, Cursor, Read as _, Seek as _, SeekFrom},
    path::{Path, PathBuf},
    time::Duration,
};

use image::{ImageFormat, RgbaImage};

use super::{
    Outline, Patches,
    canvas::{Dispose, Patch},
};
use crate::media::image::{MediaError, image_error, largest};

/// Bytes of a chunk's name and length.
const CHUNK: u64 = 8;

/// Bytes of an `ANMF` chunk before the frame's own chunks.
const FRAME: usize = 16;

/// The place of an `ANMF` chunk's data, and its first bytes.
struct Frame {
    start: u64,
    length: u64,
    head: [u8; FRAME],
}

impl Frame {
    /// A number of three bytes, the lowest first.
    fn number(&self, at: usize) -> u32 {
        u32::from_le_bytes([self.head[at], self.head[at + 1], self.head[at + 2], 0])
    }
}

/// Reads how long each frame is shown; no frames of a WebP that is not animated.
pub(super) fn outline(path: &Path) -> Result<Outline, MediaError> {
    let frames = open(path).and_then(|mut file| frames(&mut file));
    let frames = frames.map_err(|cause| MediaError::Read { path: path.into(), cause })?;
    let duration = |frame: &Frame| Duration::from_millis(frame.number(12).into());
    Ok(Outline { durations: frames.iter().map(duration).collect(), ground: [0; 4] })
}

fn open(path: &Path) -> io::Result<BufReader<File>> {
    File::open(path).map(BufReader::new)
}

/// Finds the frames in the file; what is cut off is missing.
fn frames(file: &mut (impl io::Read + io::Seek)) -> io::Result<Vec<Frame>> {
    let end = file.seek(SeekFrom::End(0))?;
    let (mut frames, mut at) = (Vec::new(), 12);
    while at + CHUNK <= end {
        file.seek(SeekFrom::Start(at))?;
        let mut head = [0; CHUNK as usize];
        file.read_exact(&mut head)?;
        let length = u64::from(u32::from_le_bytes([head[4], head[5], head[6], head[7]]));
        let start = at + CHUNK;
        if head.starts_with(b"ANMF") && length >= FRAME as u64 && start + length <= end {
            let mut head = [0; FRAME];
            file.read_exact(&mut head)?;
            frames.push(Frame { start, length, head });
        }
        at = start + length.next_multiple_of(2);
    }
    Ok(frames)
}

/// The patches of a WebP file.
pub(super) struct WebPPatches {
    path: PathBuf,
    file: BufReader<File>,
    frames: std::vec::IntoIter<Frame>,
}

impl WebPPatches {
    pub(super) fn open(path: &Path) -> Result<Self, MediaError> {
        let opened = open(path).and_then(|mut file| Ok((frames(&mut file)?, file)));
        let (frames, file) = opened.map_err(|cause| MediaError::Read { path: path.into(), cause })?;
        Ok(Self { path: path.into(), file, frames: frames.into_iter() })
    }

    /// Wraps a frame's chunks as a file.
    fn single(&mut self, frame: &Frame) -> io::Result<Vec<u8>> {
        self.file.seek(SeekFrom::Start(frame.start + FRAME as u64))?;
        let mut chunks = Vec::new();
        (&mut self.file).take(frame.length - FRAME as u64).read_to_end(&mut chunks)?;
        let mut body = b"WEBP".to_vec();
        if chunks.starts_with(b"ALPH") {
            const HAS_ALPHA: u8 = 0x10;
            body.extend(b"VP8X\x0A\0\0\0");
            body.extend([HAS_ALPHA, 0, 0, 0]);
            body.extend(&frame.head[6..12]);
        }
        body.extend(chunks);
        let length = u32::try_from(body.len()).map_err(io::Error::other)?;
        Ok([&b"RIFF"[..], &length.to_le_bytes(), &body].concat())
    }
}

impl Patches for WebPPatches {
    fn next(&mut self) -> Result<Patch, MediaError> {
        let truncated = || MediaError::TruncatedImage { path: self.path.clone() };
        let frame = self.frames.next().ok_or_else(truncated)?;
        let single =
            self.single(&frame).map_err(|cause| MediaError::Read { path: self.path.clone(), cause })?;
        let mut reader = image::ImageReader::with_format(Cursor::new(single), ImageFormat::WebP);
        let mut limits = image::Limits::no_limits();
        limits.max_alloc = Some(2 * largest() as u64);
        reader.limits(limits);
        let pixels: RgbaImage = reader.decode().map_err(|error| image_error(&self.path, error))?.into_rgba8();
        let flags = frame.head[15];
        Ok(Patch {
            corner: [2 * frame.number(0), 2 * frame.number(3)],
            pixels,
            is_blended: flags & 2 == 0,
            dispose: if flags & 1 == 1 { Dispose::Fill([0; 4]) } else { Dispose::Keep },
        })
    }
}
