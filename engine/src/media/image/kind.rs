//! Kinds of image files: recognized by content, searched for by suffix.

use std::{ffi::OsStr, fs, io::Read as _, path::Path};

use image::ImageFormat;

use crate::media::MediaError;

/// A kind of image file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum ImageKind {
    /// JPEG, also as the first image of an MPO file.
    Jpeg,
    /// PNG, also animated.
    Png,
    /// WebP, also animated.
    WebP,
    /// TIFF or BigTIFF.
    Tiff,
    /// Windows bitmap.
    Bmp,
    /// GIF, also animated.
    Gif,
    /// PBM, PGM, PPM or PAM.
    Pnm,
    /// Radiance HDR.
    Hdr,
    /// OpenEXR.
    Exr,
    /// AV1 in a HEIF container.
    Avif,
    /// HEVC in a HEIF container.
    Heic,
    /// JPEG XL, as a bare codestream or in a container.
    JpegXl,
}

use ImageKind::{Avif, Bmp, Exr, Gif, Hdr, Heic, Jpeg, JpegXl, Png, Pnm, Tiff, WebP};

/// Every kind with its suffixes, in the order in which kinds win a tie among the frames of a folder.
const SUFFIXES: [(ImageKind, &[&str]); 12] = [
    (Jpeg, &["jpg", "jpeg", "jpe", "jfif", "mpo"]),
    (Png, &["png", "apng"]),
    (WebP, &["webp"]),
    (Tiff, &["tif", "tiff", "btf", "tf8"]),
    (Bmp, &["bmp", "dib"]),
    (Gif, &["gif"]),
    (Pnm, &["pnm", "pbm", "pgm", "ppm", "pam"]),
    (Hdr, &["hdr"]),
    (Exr, &["exr"]),
    (Avif, &["avif"]),
    (Heic, &["heic", "heif", "hif"]),
    (JpegXl, &["jxl"]),
];

/// Lists the suffixes of image files, in small letters.
pub fn image_suffixes() -> impl Iterator<Item = &'static str> {
    SUFFIXES.iter().flat_map(|(_, suffixes)| suffixes.iter().copied())
}

/// Bytes from which the kind is recognized.
const HEAD: u64 = 64;

impl ImageKind {
    /// Returns the kind that a file name's suffix announces, in capital or small letters.
    pub fn of_suffix(name: &OsStr) -> Option<Self> {
        let suffix = Path::new(name).extension()?.to_string_lossy().to_lowercase();
        SUFFIXES.iter().find(|(_, suffixes)| suffixes.contains(&suffix.as_str())).map(|(kind, _)| *kind)
    }

    /// Recognizes the kind from the first bytes of a file.
    pub(super) fn of_head(head: &[u8]) -> Option<Self> {
        if head.starts_with(b"\0\0\0\x0CJXL \r\n\x87\n") || head.starts_with(b"\xFF\x0A") {
            return Some(JpegXl);
        }
        if head.get(4..8) == Some(b"ftyp") {
            return heif(head);
        }
        if head.starts_with(b"II\x2B\0\x08\0") || head.starts_with(b"MM\0\x2B\0\x08") {
            return Some(Tiff);
        }
        // ImageFormat::Pnm would accept any text that begins with "P1".
        if let [b'P', b'1'..=b'7', space, ..] = head {
            return space.is_ascii_whitespace().then_some(Pnm);
        }
        match image::guess_format(head).ok()? {
            ImageFormat::Jpeg => Some(Jpeg),
            ImageFormat::Png => Some(Png),
            ImageFormat::WebP => Some(WebP),
            ImageFormat::Tiff => Some(Tiff),
            ImageFormat::Bmp => Some(Bmp),
            ImageFormat::Gif => Some(Gif),
            ImageFormat::Hdr => Some(Hdr),
            ImageFormat::OpenExr => Some(Exr),
            _ => None,
        }
    }

    /// Recognizes the kind of a file by its content; `None` for files that are not images.
    ///
    /// # Errors
    /// The file cannot be read, is empty, or is a folder, a device or a pipe.
    pub fn of_file(path: &Path) -> Result<Option<Self>, MediaError> {
        head_of(path).map(|head| Self::of_head(&head))
    }

    /// As [`Self::of_file`], with an error for files that are not images.
    pub(super) fn require(path: &Path) -> Result<Self, MediaError> {
        let head = head_of(path)?;
        Self::of_head(&head).ok_or_else(|| MediaError::UnknownImage { path: path.into() })
    }

    /// The format's name as people write it.
    pub fn name(self) -> &'static str {
        match self {
            Jpeg => "JPEG",
            Png => "PNG",
            WebP => "WebP",
            Tiff => "TIFF",
            Bmp => "BMP",
            Gif => "GIF",
            Pnm => "PNM",
            Hdr => "HDR",
            Exr => "OpenEXR",
            Avif => "AVIF",
            Heic => "HEIC",
            JpegXl => "JPEG XL",
        }
    }
}

/// Reads the brands of an ISO base media file; `None` for videos, which animated AVIF files are.
fn heif(head: &[u8]) -> Option<ImageKind> {
    let length = u32::from_be_bytes(head.get(..4)?.try_into().ok()?) as usize;
    let brands = head.get(8..length.min(head.len()))?;
    if brands.starts_with(b"avis") {
        return None;
    }
    // The second is a version number, which names no brand.
    let mut brands = brands.chunks_exact(4).enumerate().filter(|(i, _)| *i != 1).map(|(_, brand)| brand);
    brands.find_map(|brand| match brand {
        b"avif" | b"avis" => Some(Avif),
        b"heic" | b"heix" | b"hevc" | b"hevx" | b"heim" | b"heis" => Some(Heic),
        _ => None,
    })
}

fn head_of(path: &Path) -> Result<Vec<u8>, MediaError> {
    let read_error = |cause| MediaError::Read { path: path.into(), cause };
    let metadata = fs::metadata(path).map_err(read_error)?;
    // Opening a pipe would wait for whoever writes to it.
    if !metadata.is_file() && !metadata.is_dir() {
        return Err(MediaError::NoFile { path: path.into() });
    }
    let mut head = Vec::new();
    fs::File::open(path).and_then(|file| file.take(HEAD).read_to_end(&mut head)).map_err(read_error)?;
    if head.is_empty() {
        return Err(MediaError::Empty { path: path.into() });
    }
    Ok(head)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn suffixes_are_known_in_any_case() {
        for (name, kind) in [
            ("a.PNG", Some(Png)),
            ("a.TIF", Some(Tiff)),
            ("a.JPEG", Some(Jpeg)),
            ("a.jfif", Some(Jpeg)),
            ("a.jpe", Some(Jpeg)),
            ("a.webp.jpg", Some(Jpeg)),
            ("a.HEIC", Some(Heic)),
            ("a.json", None),
            ("png", None),
        ] {
            assert_eq!(ImageKind::of_suffix(OsStr::new(name)), kind, "{name}");
        }
    }

    #[test]
    fn heads_of_containers_and_text_are_told_apart() {
        for (head, kind) in [
            (&b"\0\0\0\x1CftypHEIC\0\0\0\0mif1heic"[..], Some(Heic)),
            (b"\0\0\0\x18ftypmif1\0\0\0\0avifmif1", Some(Avif)),
            (b"\0\0\0\x18ftypavis\0\0\0\0avifavis", None),
            (b"\0\0\0\x18ftypisom\0\0\0\0isommp41", None),
            (b"\0\0\0\x10ftypisom\0\0\0\0avif", None),
            (b"P5 3 2 255\n", Some(Pnm)),
            (b"P1234,text", None),
            (b"MM\0\x2B\0\x08\0\0", Some(Tiff)),
            (b"\xFF\x0A\xFA\x1F", Some(JpegXl)),
        ] {
            assert_eq!(ImageKind::of_head(head), kind, "{}", head.escape_ascii());
        }
    }
}
