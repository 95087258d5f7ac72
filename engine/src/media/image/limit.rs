//! Bounds on the memory that an image takes when it is decoded.

use std::{
    path::Path,
    sync::atomic::{AtomicUsize, Ordering},
};

use super::{ImageHeader, MediaError, image_error};
use crate::geometry::Size;

/// Largest size of one decoded image in bytes, at least three a pixel, if nobody sets another. A panorama of 60,000 x 4,000
/// pixels takes 720 MB.
pub const DEFAULT_LARGEST_IMAGE: usize = 1 << 30;

static LARGEST: AtomicUsize = AtomicUsize::new(DEFAULT_LARGEST_IMAGE);

/// Sets the largest size of one decoded image in bytes, for all kinds of images and the whole program.
pub fn set_largest_image(bytes: usize) {
    LARGEST.store(bytes, Ordering::Relaxed);
}

/// Returns the largest size of one decoded image in bytes.
pub(super) fn largest() -> usize {
    LARGEST.load(Ordering::Relaxed)
}

/// Returns the size of a decoded image in bytes.
///
/// # Errors
/// If it has no pixels, or is above the limit.
pub(super) fn decoded_bytes(path: &Path, size: Size, bytes_per_pixel: usize) -> Result<usize, MediaError> {
    let area = size.width.checked_mul(size.height);
    match area.and_then(|area| area.checked_mul(bytes_per_pixel.max(3))) {
        Some(0) => Err(image_error(path, "it has no pixels")),
        Some(bytes) if bytes <= largest() => Ok(bytes),
        _ => Err(MediaError::ImageTooLarge { path: path.into(), size, limit: largest() }),
    }
}

/// Applies [`decoded_bytes`] and rejects images whose size is implausible for the length of their file.
///
/// # Errors
/// As [`decoded_bytes`], or [`MediaError::EmptyImage`].
pub(super) fn require_readable(path: &Path, header: &ImageHeader) -> Result<(), MediaError> {
    /// Smaller images are not checked: a mask of a large photo may be nearly empty.
    const UNCHECKED: usize = 256 << 20;
    /// The highest plausible compression ratio. Deflate reaches 1032 on a blank image, and 200 on sparse drawings.
    const MAX_PACKING: u64 = 500;
    let size = header.size;
    if decoded_bytes(path, size, header.bytes_per_pixel)? > UNCHECKED {
        let length = path.metadata().map_err(|cause| MediaError::Read { path: path.into(), cause })?.len();
        let stored = size.area() as u64 * header.stored_bits as u64 / 8;
        if stored / MAX_PACKING > length {
            return Err(MediaError::EmptyImage { path: path.into(), size, length });
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::{fs::File, io::BufWriter};

    use crate::media::{MediaError, image_size};

    /// Writes a black image of 1 bit a pixel.
    fn black(path: &std::path::Path, width: u32, height: u32) {
        let mut encoder = png::Encoder::new(BufWriter::new(File::create(path).unwrap()), width, height);
        encoder.set_depth(png::BitDepth::One);
        let row = (width as usize).div_ceil(8);
        encoder.write_header().unwrap().write_image_data(&vec![0; row * height as usize]).unwrap();
    }

    #[test]
    fn large_image_in_tiny_file_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.png");
        for (width, height) in [(16384, 16384), (1 << 20, 200)] {
            black(&path, width, height);
            let error = image_size(&path).unwrap_err();
            assert!(matches!(error, MediaError::EmptyImage { .. }), "{error}");
        }
        black(&path, 4000, 4000);
        assert_eq!(image_size(&path).unwrap().width, 4000);
    }
}
