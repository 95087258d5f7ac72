//! Image files that end too early or have damaged data; most are checked without decoding.

use std::{
    fs::{self, File},
    io::{self, Read as _},
    path::Path,
};

use super::{ImageKind, decode_image};
use crate::media::MediaError;

/// Checks that an image file has all its pixels, which its header does not show, and decodes it only if that is in doubt.
///
/// # Errors
/// [`MediaError::TruncatedImage`] if it ends too early, and other errors of decoding it.
pub fn require_complete(path: &Path) -> Result<(), MediaError> {
    let is_complete = match ImageKind::of_file(path)? {
        Some(ImageKind::Jpeg) => fs::read(path).map(|bytes| jpeg_is_complete(&bytes)),
        Some(ImageKind::Png) => png_is_complete(path),
        Some(ImageKind::WebP) => webp_is_complete(path),
        // They cost too much to decode, and their headers show most damage.
        Some(ImageKind::Avif | ImageKind::Heic | ImageKind::JpegXl | ImageKind::Gif) => Ok(true),
        _ => Ok(false),
    };
    match is_complete {
        Ok(true) => Ok(()),
        // What is missing may be nothing but the mark of the end; other kinds have none.
        Ok(false) => decode_image(path).map(drop),
        Err(cause) => Err(MediaError::Read { path: path.into(), cause }),
    }
}

/// True if a JPEG reaches its end-of-image marker: the decoder fills what is missing with gray and says nothing.
pub(super) fn jpeg_is_complete(bytes: &[u8]) -> bool {
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

/// True if a PNG has all its chunks up to IEND, as their checksums say.
fn png_is_complete(path: &Path) -> io::Result<bool> {
    let bytes = fs::read(path)?;
    let mut rest = bytes.get(8..).unwrap_or_default();
    // A chunk is the length of its data, its name, its data and a checksum of both.
    while let Some((length, after)) = rest.split_first_chunk() {
        let n_bytes = u32::from_be_bytes(*length) as usize + 4;
        let Some((chunk, after)) = after.split_at_checked(n_bytes) else { return Ok(false) };
        let Some((checksum, after)) = after.split_first_chunk() else { return Ok(false) };
        if crc32fast::hash(chunk) != u32::from_be_bytes(*checksum) {
            return Ok(false);
        }
        if chunk.starts_with(b"IEND") {
            return Ok(true);
        }
        rest = after;
    }
    Ok(false)
}

/// True if a WebP is as long as its RIFF header says.
fn webp_is_complete(path: &Path) -> io::Result<bool> {
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
    fn png_with_a_wrong_checksum_is_not_complete() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("image.png");
        RgbImage::new(40, 30).save(&path).unwrap();
        let mut bytes = fs::read(&path).unwrap();
        let middle = bytes.len() / 2;
        bytes[middle] ^= 0x55;
        write(&path, &bytes);
        assert!(require_complete(&path).is_err());
    }

    #[test]
    fn files_cut_at_any_place_are_not_complete() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("image");
        let pixels = RgbImage::from_fn(40, 30, |x, y| image::Rgb([x as u8 * 6, y as u8 * 8, (x * y) as u8]));
        let formats =
            [ImageFormat::Jpeg, ImageFormat::Png, ImageFormat::WebP, ImageFormat::Tiff, ImageFormat::Bmp];
        for format in formats {
            pixels.save_with_format(&path, format).unwrap();
            require_complete(&path).unwrap();
            let bytes = fs::read(&path).unwrap();
            // Bytes behind the end belong to nothing.
            write(&path, &[&bytes[..], b"trailer"].concat());
            require_complete(&path).unwrap();
            for n_left in [bytes.len() * 2 / 3, bytes.len() / 2] {
                write(&path, &bytes[..n_left]);
                let error = require_complete(&path).unwrap_err();
                assert!(error.to_string().contains("cannot read image"), "{format:?} {n_left}: {error}");
            }
        }
    }
}
