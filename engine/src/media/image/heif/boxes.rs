//! What the boxes of a HEIF file say: its items, where their data are and what they are to each other.
//!
//! See ISO/IEC 23008-12, free as <https://github.com/AOMediaCodec/av1-avif> for AVIF. FFmpeg reads these files only from
//! version 7 on, and Debian 12 has version 5.

use std::{
    collections::BTreeMap,
    io::{self, Read, Seek, SeekFrom},
};

use image::metadata::Orientation;

use crate::geometry::Size;

/// Bytes of a file's description, which is read as a whole.
const LARGEST_META: u64 = 16 << 20;

/// A name of four letters.
pub(super) type Name = [u8; 4];

/// What a file describes.
#[derive(Debug, Default)]
pub(super) struct Meta {
    /// The item that is the image.
    pub(super) primary: u32,
    pub(super) items: BTreeMap<u32, Item>,
    properties: Vec<Property>,
    /// Kind of reference, the item that refers, and what it refers to.
    references: Vec<(Name, u32, Vec<u32>)>,
    /// Data that lie within the description.
    inner: Vec<u8>,
}

/// An image, a part of one, or something that belongs to one.
#[derive(Debug, Default)]
pub(super) struct Item {
    pub(super) kind: Name,
    /// True if the data lie within the description.
    is_inner: bool,
    /// Offsets and lengths of the pieces of data; a length of 0 reaches to the end.
    pieces: Vec<(u64, u64)>,
    /// Numbers of properties, from 1.
    properties: Vec<usize>,
}

/// A property of items.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Property {
    Size(Size),
    /// What a decoder needs besides the data.
    Codec(Vec<u8>),
    Turn(Orientation),
    /// The matrix of YUV as H.273 numbers it, and true if values use the full range.
    Color(u16, bool),
    Auxiliary(Vec<u8>),
    Crop,
    Other,
}

impl Meta {
    /// Reads the description of a file.
    pub(super) fn read(file: &mut (impl Read + Seek)) -> io::Result<Self> {
        let mut at = 0;
        loop {
            file.seek(SeekFrom::Start(at))?;
            let mut head = [0; 16];
            file.read_exact(&mut head[..8])?;
            let mut length = u64::from(u32::from_be_bytes([head[0], head[1], head[2], head[3]]));
            let mut start = 8;
            if length == 1 {
                file.read_exact(&mut head[8..])?;
                (length, start) = (Bytes(&head[8..]).number(8)?, 16);
            }
            if &head[4..8] == b"meta" {
                let length = length.saturating_sub(start).min(LARGEST_META);
                let mut bytes = Vec::new();
                if (file.take(length).read_to_end(&mut bytes)? as u64) < length {
                    return Err(io::ErrorKind::UnexpectedEof.into());
                }
                return Self::of(&bytes);
            }
            // A box of length 0 reaches to the end.
            at = at.checked_add(length).filter(|_| length >= start).ok_or(io::ErrorKind::InvalidData)?;
        }
    }

    fn of(bytes: &[u8]) -> io::Result<Self> {
        let mut meta = Self::default();
        let (_, mut rest) = Bytes(bytes).full()?;
        while let Some((name, body)) = rest.next_box()? {
            match &name {
                b"pitm" => {
                    let (version, mut body) = body.full()?;
                    meta.primary = body.number(if version == 0 { 2 } else { 4 })? as u32;
                }
                b"iinf" => meta.read_kinds(body)?,
                b"iloc" => meta.read_places(body)?,
                b"iprp" => meta.read_properties(body)?,
                b"iref" => {
                    let (version, mut body) = body.full()?;
                    let width = if version == 0 { 2 } else { 4 };
                    while let Some((kind, mut reference)) = body.next_box()? {
                        let from = reference.number(width)? as u32;
                        let n = reference.number(2)?;
                        let to =
                            (0..n).map(|_| Ok(reference.number(width)? as u32)).collect::<io::Result<_>>()?;
                        meta.references.push((kind, from, to));
                    }
                }
                b"idat" => meta.inner = body.0.to_vec(),
                _ => {}
            }
        }
        Ok(meta)
    }

    fn read_kinds(&mut self, body: Bytes<'_>) -> io::Result<()> {
        let (version, mut body) = body.full()?;
        body.number(if version == 0 { 2 } else { 4 })?;
        while let Some((_, entry)) = body.next_box()? {
            let (version, mut entry) = entry.full()?;
            // Older versions have no kinds of images.
            if version < 2 {
                continue;
            }
            let id = entry.number(if version == 2 { 2 } else { 4 })? as u32;
            entry.number(2)?;
            let kind = entry.take(4)?;
            self.items.entry(id).or_default().kind.copy_from_slice(kind);
        }
        Ok(())
    }

    fn read_places(&mut self, body: Bytes<'_>) -> io::Result<()> {
        let (version, mut body) = body.full()?;
        let widths = body.number(2)?;
        let width = |shift: u32| (widths >> shift & 15) as usize;
        let (offset, length, base, index) = (width(12), width(8), width(4), width(0));
        let wide = if version < 2 { 2 } else { 4 };
        for _ in 0..body.number(wide)? {
            let item = self.items.entry(body.number(wide)? as u32).or_default();
            let method = if version > 0 { body.number(2)? & 15 } else { 0 };
            item.is_inner = method == 1;
            body.number(2)?;
            let base = body.number(base)?;
            for _ in 0..body.number(2)? {
                if version > 0 {
                    body.number(index)?;
                }
                let start = body.number(offset)?.checked_add(base).ok_or(io::ErrorKind::InvalidData)?;
                item.pieces.push((start, body.number(length)?));
            }
        }
        Ok(())
    }

    fn read_properties(&mut self, mut body: Bytes<'_>) -> io::Result<()> {
        while let Some((name, body)) = body.next_box()? {
            if &name == b"ipco" {
                let mut body = body;
                while let Some((name, property)) = body.next_box()? {
                    self.properties.push(Property::of(name, property)?);
                }
            } else if &name == b"ipma" {
                let flags = body.0.get(3).copied().unwrap_or_default();
                let (version, mut body) = body.full()?;
                for _ in 0..body.number(4)? {
                    let id = body.number(if version < 1 { 2 } else { 4 })? as u32;
                    let item = self.items.entry(id).or_default();
                    for _ in 0..body.number(1)? {
                        // The highest bit says that the property matters.
                        let wide = flags & 1 == 1;
                        let number = body.number(if wide { 2 } else { 1 })?;
                        item.properties.push((number & if wide { 0x7FFF } else { 0x7F }) as usize);
                    }
                }
            }
        }
        Ok(())
    }

    /// The properties of an item in their order.
    pub(super) fn properties(&self, item: u32) -> impl Iterator<Item = &Property> {
        let numbers = self.items.get(&item).map(|item| &item.properties[..]).unwrap_or_default();
        numbers.iter().filter_map(|number| self.properties.get(number.checked_sub(1)?))
    }

    /// The size of an item before it is turned.
    pub(super) fn size(&self, item: u32) -> Option<Size> {
        self.properties(item).find_map(|property| match property {
            Property::Size(size) => Some(*size),
            _ => None,
        })
    }

    /// What an item refers to in this way.
    pub(super) fn references(&self, kind: &Name, from: u32) -> &[u32] {
        let found = self.references.iter().find(|(found, item, _)| found == kind && *item == from);
        found.map(|(_, _, to)| &to[..]).unwrap_or_default()
    }

    /// The item that holds how opaque another one is.
    pub(super) fn alpha_of(&self, item: u32) -> Option<u32> {
        let is_alpha = |id: &u32| {
            self.properties(*id).any(|property| match property {
                Property::Auxiliary(name) => {
                    name.starts_with(b"urn:mpeg:mpegB:cicp:systems:auxiliary:alpha")
                        || name.starts_with(b"urn:mpeg:hevc:2015:auxid:1")
                }
                _ => false,
            })
        };
        let refer = self.references.iter().filter(|(kind, _, to)| kind == b"auxl" && to.contains(&item));
        refer.map(|(_, from, _)| *from).find(is_alpha)
    }

    /// Reads the data of an item, no more than `most` bytes.
    pub(super) fn data(&self, file: &mut (impl Read + Seek), item: u32, most: u64) -> io::Result<Vec<u8>> {
        let item = self.items.get(&item).ok_or(io::ErrorKind::InvalidData)?;
        let mut data = Vec::new();
        for (start, length) in &item.pieces {
            let length = if *length == 0 { most } else { *length };
            let wanted = length.min(most.saturating_sub(data.len() as u64));
            if item.is_inner {
                let inner =
                    self.inner.get(usize::try_from(*start).unwrap_or(usize::MAX)..).unwrap_or_default();
                inner.take(wanted).read_to_end(&mut data)?;
            } else {
                file.seek(SeekFrom::Start(*start))?;
                let n = file.take(wanted).read_to_end(&mut data)?;
                if length != most && (n as u64) < wanted {
                    return Err(io::ErrorKind::UnexpectedEof.into());
                }
            }
        }
        Ok(data)
    }
}

impl Property {
    fn of(name: Name, mut body: Bytes<'_>) -> io::Result<Self> {
        Ok(match &name {
            b"ispe" => {
                let (_, mut body) = body.full()?;
                Self::Size(Size::new(body.number(4)? as usize, body.number(4)? as usize))
            }
            b"av1C" | b"hvcC" => Self::Codec(body.0.to_vec()),
            // Quarters of a turn against the clock.
            b"irot" => Self::Turn(match body.number(1)? & 3 {
                0 => Orientation::NoTransforms,
                1 => Orientation::Rotate270,
                2 => Orientation::Rotate180,
                _ => Orientation::Rotate90,
            }),
            b"imir" if body.number(1)? & 1 == 0 => Self::Turn(Orientation::FlipVertical),
            b"imir" => Self::Turn(Orientation::FlipHorizontal),
            b"colr" if body.0.starts_with(b"nclx") => {
                body.take(8)?;
                Self::Color(body.number(2)? as u16, body.number(1)? & 0x80 != 0)
            }
            b"auxC" => Self::Auxiliary(body.full()?.1.0.to_vec()),
            b"clap" => Self::Crop,
            _ => Self::Other,
        })
    }
}

/// Bytes that are read from the front.
#[derive(Clone, Copy)]
pub(super) struct Bytes<'a>(pub(super) &'a [u8]);

impl<'a> Bytes<'a> {
    pub(super) fn take(&mut self, n: usize) -> io::Result<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(n).ok_or(io::ErrorKind::UnexpectedEof)?;
        self.0 = rest;
        Ok(taken)
    }

    /// Reads a number of so many bytes.
    pub(super) fn number(&mut self, n: usize) -> io::Result<u64> {
        Ok(self.take(n)?.iter().fold(0, |sum, byte| sum << 8 | u64::from(*byte)))
    }

    /// Reads the version of a box, and leaves out its flags.
    fn full(mut self) -> io::Result<(u8, Self)> {
        let version = self.take(4)?[0];
        Ok((version, self))
    }

    /// Reads a box within this one; `None` at the end.
    fn next_box(&mut self) -> io::Result<Option<(Name, Self)>> {
        if self.0.len() < 8 {
            return Ok(None);
        }
        let length = self.number(4)?;
        let mut name = Name::default();
        name.copy_from_slice(self.take(4)?);
        let body = match length {
            0 => self.0.len() as u64,
            1 => self.number(8)?.checked_sub(16).ok_or(io::ErrorKind::InvalidData)?,
            length => length.checked_sub(8).ok_or(io::ErrorKind::InvalidData)?,
        };
        Ok(Some((name, Self(self.take(usize::try_from(body).unwrap_or(usize::MAX))?))))
    }
}
