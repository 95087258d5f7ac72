//! AVIF and HEIC files: items of AV1 or HEVC, one or a grid of them, decoded by FFmpeg.

mod boxes;
mod codec;

use std::{
    fs::File,
    io::{self, BufReader},
    path::Path,
};

use image::{DynamicImage, GenericImage as _, RgbImage, RgbaImage, imageops, metadata::Orientation};

use self::boxes::{Bytes, Meta, Property};
use super::{ImageHeader, ImageKind, MediaError, image_error, largest, limit::decoded_bytes, turned};
use crate::geometry::Size;

/// Tiles of a grid; a photo of a phone has about 50.
const MOST_TILES: usize = 4096;

/// Reads the header of a file.
pub(super) fn header(path: &Path, kind: ImageKind) -> Result<ImageHeader, MediaError> {
    let (_, meta) = open(path)?;
    let mut header = ImageHeader::of(kind);
    let size = meta.size(meta.primary).ok_or_else(|| image_error(path, "it does not say how large it is"))?;
    header.size = turns(&meta).fold(size, turned);
    // Pillow and OpenCV return the pixels as stored. Only whether the image is turned matters here, since its size already
    // includes the rotation.
    header.orientation = turns(&meta).last().unwrap_or(Orientation::NoTransforms);
    header.bytes_per_pixel = if meta.alpha_of(meta.primary).is_some() { 4 } else { 3 };
    header.n_channels = header.bytes_per_pixel;
    if meta.properties(meta.primary).any(|property| *property == Property::Crop) {
        return Err(image_error(
            path,
            "it is cropped by its container, which Segue does not do; convert it to JPEG",
        ));
    }
    codec::require(path, kind)?;
    Ok(header)
}

/// Decodes the image of a file, turned upright.
pub(super) fn read(path: &Path, kind: ImageKind) -> Result<DynamicImage, MediaError> {
    let (mut file, meta) = open(path)?;
    let mut items = Items { path, kind, file: &mut file, meta: &meta };
    let color = items.image(meta.primary)?;
    let mut image = match meta.alpha_of(meta.primary) {
        Some(alpha) => with_alpha(color, items.image(alpha)?),
        None => color.into(),
    };
    for turn in turns(&meta) {
        image.apply_orientation(turn);
    }
    Ok(image)
}

fn open(path: &Path) -> Result<(BufReader<File>, Meta), MediaError> {
    let file = File::open(path).map_err(|cause| MediaError::Read { path: path.into(), cause })?;
    let mut file = BufReader::new(file);
    let meta = Meta::read(&mut file).map_err(|error| read_error(path, error))?;
    Ok((file, meta))
}

fn read_error(path: &Path, error: io::Error) -> MediaError {
    if error.kind() == io::ErrorKind::UnexpectedEof {
        MediaError::TruncatedImage { path: path.into() }
    } else {
        image_error(path, error)
    }
}

/// How the image is to be turned, in this order.
fn turns(meta: &Meta) -> impl Iterator<Item = Orientation> {
    meta.properties(meta.primary).filter_map(|property| match property {
        Property::Turn(turn) => Some(*turn),
        _ => None,
    })
}

/// The items of an open file.
struct Items<'a> {
    path: &'a Path,
    kind: ImageKind,
    file: &'a mut BufReader<File>,
    meta: &'a Meta,
}

impl Items<'_> {
    /// Decodes an item before it is turned.
    fn image(&mut self, item: u32) -> Result<RgbImage, MediaError> {
        let size = self
            .meta
            .size(item)
            .ok_or_else(|| image_error(self.path, "a part does not say how large it is"))?;
        decoded_bytes(self.path, size, 3)?;
        match self.meta.items.get(&item).map(|item| item.kind) {
            Some(kind) if &kind == b"grid" => self.grid(item, size),
            Some(kind) if matches!(&kind, b"av01" | b"hvc1") => self.tile(item, size),
            kind => {
                let kind = kind.unwrap_or_default();
                let why =
                    format!("its parts are of kind '{}', which Segue does not read", kind.escape_ascii());
                Err(image_error(self.path, why))
            }
        }
    }

    /// Puts the tiles of a grid together; those at the right and at the bottom may reach beyond the image.
    fn grid(&mut self, item: u32, size: Size) -> Result<RgbImage, MediaError> {
        let data = self.data(item)?;
        let shape = |mut bytes: Bytes<'_>| -> io::Result<(usize, usize)> {
            bytes.take(2)?;
            Ok((bytes.number(1)? as usize + 1, bytes.number(1)? as usize + 1))
        };
        let (rows, columns) = shape(Bytes(&data)).map_err(|error| read_error(self.path, error))?;
        let meta = self.meta;
        let tiles = meta.references(b"dimg", item);
        if tiles.len() != rows * columns || tiles.len() > MOST_TILES {
            return Err(image_error(
                self.path,
                format!("{} tiles are no grid of {columns} x {rows}", tiles.len()),
            ));
        }
        let mut image = RgbImage::new(size.width as u32, size.height as u32);
        for (i, tile) in tiles.iter().enumerate() {
            let of =
                meta.size(*tile).filter(|_| meta.items.get(tile).is_some_and(|tile| &tile.kind != b"grid"));
            let of = of.ok_or_else(|| image_error(self.path, "a tile of its grid is no image"))?;
            let (x, y) = (i % columns * of.width, i / columns * of.height);
            if x >= size.width || y >= size.height {
                continue;
            }
            let pixels = self.tile(*tile, of)?;
            let (width, height) = (of.width.min(size.width - x), of.height.min(size.height - y));
            let pixels = imageops::crop_imm(&pixels, 0, 0, width as u32, height as u32);
            image.copy_from(&*pixels, x as u32, y as u32).map_err(|error| image_error(self.path, error))?;
        }
        Ok(image)
    }

    fn tile(&mut self, item: u32, size: Size) -> Result<RgbImage, MediaError> {
        decoded_bytes(self.path, size, 3)?;
        let data = self.data(item)?;
        let codec = self.meta.properties(item).find_map(|property| match property {
            Property::Codec(codec) => Some(&codec[..]),
            _ => None,
        });
        let color =
            self.meta.properties(item).chain(self.meta.properties(self.meta.primary)).find_map(|property| {
                match property {
                    Property::Color(matrix, is_full) => Some((*matrix, *is_full)),
                    _ => None,
                }
            });
        codec::decode(self.path, self.kind, &data, codec.unwrap_or_default(), color, size)
    }

    fn data(&mut self, item: u32) -> Result<Vec<u8>, MediaError> {
        let data = self.meta.data(self.file, item, largest() as u64);
        data.map_err(|error| read_error(self.path, error))
    }
}

/// Adds alpha, which is the brightness of another image.
fn with_alpha(color: RgbImage, alpha: RgbImage) -> DynamicImage {
    let (width, height) = color.dimensions();
    let alpha = if alpha.dimensions() == (width, height) {
        alpha
    } else {
        imageops::resize(&alpha, width, height, imageops::FilterType::Triangle)
    };
    RgbaImage::from_fn(width, height, |x, y| {
        let [r, g, b] = color.get_pixel(x, y).0;
        image::Rgba([r, g, b, alpha.get_pixel(x, y).0[0]])
    })
    .into()
}
