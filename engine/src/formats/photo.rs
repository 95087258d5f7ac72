//! A photo's file in an export: copied or linked, or written again where others would read other pixels.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use image::{DynamicImage, ImageFormat, codecs::jpeg::JpegEncoder};

use super::{Files, FormatError, report::Change};
use crate::{
    geometry::Size,
    media::{ImageHeader, ImageKind, decode_image, image_header, require_complete},
};

/// Of images that are written again.
pub(super) const JPEG_QUALITY: u8 = 95;

/// A photo that can be read.
pub(super) struct Photo {
    path: PathBuf,
    header: ImageHeader,
}

impl Photo {
    /// Opens a photo whose labels are for `size`. What is no image is never copied, whatever a label file says that it is.
    pub(super) fn open(path: &Path, size: Size) -> Result<Self, FormatError> {
        let header = image_header(path).map_err(FormatError::Media)?;
        if header.size != size {
            return Err(FormatError::Resized { path: path.to_owned(), file: header.size, labels: size });
        }
        require_complete(path).map_err(FormatError::Media)?;
        Ok(Self { path: path.to_owned(), header })
    }

    /// Places the photo at `to`; returns what is different there.
    ///
    /// Pixels that a tag turns are written upright, because labels are. Copies hold the pixels that were labeled: in 8
    /// bits, scaled. A link leads to the file as it is.
    pub(super) fn place(&self, to: &Path, files: Files) -> Result<Vec<Change>, FormatError> {
        let reading = |cause| FormatError::Read { path: self.path.clone(), cause };
        let is_link = files == Files::Link;
        let can_scale = !matches!(self.header.kind, ImageKind::Hdr | ImageKind::Exr);
        let mut changes = Vec::new();
        if self.header.is_turned() {
            changes.push(Change::Turned);
        }
        if self.header.is_deep {
            let is_written = can_scale && (!is_link || self.header.is_turned());
            changes.push(if is_written { Change::Scaled } else { Change::Deep });
        }
        if changes.iter().any(|change| *change != Change::Deep) {
            let image = decode_image(&self.path).map_err(FormatError::Media)?;
            write(&image, self.header.kind, to)
                .map_err(|cause| FormatError::Write { path: to.to_owned(), cause })?;
        } else if is_link {
            link(&self.path, to).map_err(reading)?;
        } else {
            fs::copy(&self.path, to).map_err(reading)?;
        }
        Ok(changes)
    }
}

/// Writes an image as a file of the same kind, so that it can keep its name.
fn write(image: &DynamicImage, kind: ImageKind, to: &Path) -> io::Result<()> {
    let format = match kind {
        ImageKind::Jpeg => {
            let file = io::BufWriter::new(fs::File::create(to)?);
            let encoder = JpegEncoder::new_with_quality(file, JPEG_QUALITY);
            return image.write_with_encoder(encoder).map_err(io::Error::other);
        }
        ImageKind::WebP => ImageFormat::WebP,
        ImageKind::Tiff => ImageFormat::Tiff,
        ImageKind::Pnm => ImageFormat::Pnm,
        ImageKind::Bmp => ImageFormat::Bmp,
        // Readers go by content; of the rest, only PNG is ever written again.
        _ => ImageFormat::Png,
    };
    let rgba;
    let image = match image {
        // The encoder of TIFF knows no gray with alpha.
        DynamicImage::ImageLumaA8(_) if format == ImageFormat::Tiff => {
            rgba = DynamicImage::ImageRgba8(image.to_rgba8());
            &rgba
        }
        image => image,
    };
    image.save_with_format(to, format).map_err(io::Error::other)
}

fn link(from: &Path, to: &Path) -> io::Result<()> {
    let from = fs::canonicalize(from)?;
    #[cfg(unix)]
    return std::os::unix::fs::symlink(from, to);
    #[cfg(not(unix))]
    return fs::hard_link(from, to);
}
