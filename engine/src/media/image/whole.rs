//! Image files that end too early, found without decoding.

use std::{
    fs::{self, File},
    io::{self, BufReader, Read as _, Seek as _, SeekFrom},
    path::Path,
};

use super::{ImageKind, decode_image};
use crate::media::MediaError;

/// Checks that a JPEG, PNG or WebP file has all its pixels, which its header does not show. Files of other kinds are taken
/// as whole.
///
/// # Errors
/// [`MediaError::TruncatedImage`] if it ends too early, and other errors of decoding it.
pub fn require_whole(path: &Path) -> Result<(), MediaError> {
    let is_whole = match ImageKind::of_file(path)? {
        Some(ImageKind::Jpeg) => fs::read(path).map(|bytes| jpeg_is_whole(&bytes)),
        Some(ImageKind::Png) => png_is_whole(path),
        Some(ImageKind::WebP) => webp_is_whole(path),
        _ => Ok(true),
    };
    match is_whole {
        Ok(true) => Ok(()),
        // What is missing may be nothing but the mark of the end.
        Ok(false) => decode_image(path).map(drop),
        Err(cause) => Err(MediaError::Read { path: path.into(), cause }),
    }
}

/// True if a JPEG reaches its end-of-image marker: the decoder fills what is missing with gray and says nothing.
pub(super) fn jpeg_is_whole(bytes: &[u8]) -> bool {
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

/// True if a PNG has all its chunks up to IEND.
fn png_is_whole(path: &Path) -> io::Result<bool> {
    let n_bytes = fs::metadata(path)?.len();
    let mut file = BufReader::new(File::open(path)?);
    let mut at = 8;
    // A chunk is its length, its name, its data and a checksum.
    while at + 12 <= n_bytes {
        file.seek(SeekFrom::Start(at))?;
        let mut head = [0; 8];
        file.read_exact(&mut head)?;
        let [length @ .., _, _, _, _] = head;
        at += 12 + u64::from(u32::from_be_bytes(length));
        if &head[4..] == b"IEND" {
            return Ok(at <= n_bytes);
        }
    }
    Ok(false)
}

/// True if a WebP is as long as its RIFF header says.
fn webp_is_whole(path: &Path) -> io::Result<bool> {
    let mut head = [0; 8];
    let mut file = File::open(path)?;
    file.read_exact(&mut head)?;
    let [_, _, _, _, length @ ..] = head;
    Ok(file.metadata()?.len() >= 8 + u64::from(u32::from_le_bytes(length)))
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use image::{ImageFormat, RgbImage};

    use super::*;

    fn write(path: &Path, bytes: &[u8]) {
        File::create(path).unwrap().write_all(bytes).unwrap();
    }

    #[test]
    fn files_cut_at_any_place_are_not_whole() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("image");
        let pixels = RgbImage::from_fn(40, 30, |x, y| image::Rgb([x as u8 * 6, y as u8 * 8, (x * y) as u8]));
        for format in [ImageFormat::Jpeg, ImageFormat::Png, ImageFormat::WebP] {
            pixels.save_with_format(&path, format).unwrap();
            require_whole(&path).unwrap();
            let bytes = fs::read(&path).unwrap();
            // Bytes behind the end belong to nothing.
            write(&path, &[&bytes[..], b"trailer"].concat());
            require_whole(&path).unwrap();
            for n_left in [bytes.len() * 2 / 3, bytes.len() / 2] {
                write(&path, &bytes[..n_left]);
                let error = require_whole(&path).unwrap_err();
                assert!(error.to_string().contains("cannot read image"), "{format:?} {n_left}: {error}");
            }
        }
    }
}
