//! The directories of a TIFF file: what each says of its page, and the page's data for the `tiff` crate.
//!
//! The crate decodes all that is compressed, but refuses whole kinds of colors and sample depths. So it never sees a
//! file's own directory: it is given a directory of plain samples that points at the same data, and what the samples
//! mean is read here. See <https://www.itu.int/itudoc/itu-t/com16/tiff-fx/docs/tiff6.pdf>, and
//! <https://www.awaresystems.be/imaging/tiff/bigtiff.html> for files with 64-bit offsets.

use std::{
    collections::{BTreeMap, HashSet},
    io::{self, Read, Seek, SeekFrom},
};

/// Numbers of tags.
pub(super) mod tag {
    pub(in super::super) const SUBFILE_TYPE: u16 = 254;
    pub(in super::super) const OLD_SUBFILE_TYPE: u16 = 255;
    pub(in super::super) const WIDTH: u16 = 256;
    pub(in super::super) const HEIGHT: u16 = 257;
    pub(in super::super) const BITS: u16 = 258;
    pub(in super::super) const COMPRESSION: u16 = 259;
    pub(in super::super) const PHOTOMETRIC: u16 = 262;
    pub(in super::super) const FILL_ORDER: u16 = 266;
    pub(in super::super) const STRIP_OFFSETS: u16 = 273;
    pub(in super::super) const ORIENTATION: u16 = 274;
    pub(in super::super) const SAMPLES: u16 = 277;
    pub(in super::super) const ROWS_PER_STRIP: u16 = 278;
    pub(in super::super) const STRIP_BYTES: u16 = 279;
    pub(in super::super) const PLANAR: u16 = 284;
    pub(in super::super) const PREDICTOR: u16 = 317;
    pub(in super::super) const COLOR_MAP: u16 = 320;
    pub(in super::super) const TILE_WIDTH: u16 = 322;
    pub(in super::super) const TILE_HEIGHT: u16 = 323;
    pub(in super::super) const TILE_OFFSETS: u16 = 324;
    pub(in super::super) const TILE_BYTES: u16 = 325;
    pub(in super::super) const EXTRA_SAMPLES: u16 = 338;
    pub(in super::super) const SAMPLE_FORMAT: u16 = 339;
    pub(in super::super) const JPEG_TABLES: u16 = 347;
    pub(in super::super) const SUBSAMPLING: u16 = 530;
    pub(in super::super) const NODATA: u16 = 42113;
    pub(in super::super) const DNG_VERSION: u16 = 50706;
}

/// Tags that are copied as they are: where the data lie and how they are compressed.
const COPIED: [u16; 13] = [
    tag::WIDTH,
    tag::HEIGHT,
    tag::COMPRESSION,
    tag::STRIP_OFFSETS,
    tag::ROWS_PER_STRIP,
    tag::STRIP_BYTES,
    tag::PLANAR,
    tag::PREDICTOR,
    tag::TILE_WIDTH,
    tag::TILE_HEIGHT,
    tag::TILE_OFFSETS,
    tag::TILE_BYTES,
    tag::JPEG_TABLES,
];

/// Pages after these are not read.
const MOST_PAGES: usize = 1 << 20;

/// Values of a tag after these are not read.
const MOST_VALUES: u64 = 1 << 17;

const SHORT: u16 = 3;
const LONG: u16 = 4;

/// Byte order and width of offsets.
#[derive(Clone, Copy, Debug)]
pub(super) struct Layout {
    is_little: bool,
    is_big_tiff: bool,
}

/// One field of a directory.
#[derive(Clone, Debug)]
struct Field {
    kind: u16,
    count: u64,
    /// The value where it fits, else its offset, in the file's byte order.
    value: Vec<u8>,
}

/// A directory: the fields of one page by their tags.
#[derive(Clone, Debug)]
pub(super) struct Directory {
    layout: Layout,
    fields: BTreeMap<u16, Field>,
}

impl Layout {
    fn number(self, bytes: &[u8]) -> u64 {
        let add = |sum: u64, byte: &u8| sum << 8 | u64::from(*byte);
        if self.is_little { bytes.iter().rev().fold(0, add) } else { bytes.iter().fold(0, add) }
    }

    /// Writes a number in so many bytes.
    fn bytes(self, number: u64, n: usize) -> Vec<u8> {
        if self.is_little { number.to_le_bytes()[..n].into() } else { number.to_be_bytes()[8 - n..].into() }
    }

    /// Bytes of an offset.
    fn wide(self) -> usize {
        if self.is_big_tiff { 8 } else { 4 }
    }

    fn read(self, file: &mut impl Read, n: usize) -> io::Result<u64> {
        let mut bytes = [0; 8];
        file.read_exact(&mut bytes[..n])?;
        Ok(self.number(&bytes[..n]))
    }

    /// Reads the head of a file, and the offset of its first directory.
    pub(super) fn of_file(file: &mut (impl Read + Seek)) -> io::Result<(Self, u64)> {
        file.rewind()?;
        let mut head = [0; 4];
        file.read_exact(&mut head)?;
        let is_little = head[0] == b'I';
        let layout = Self { is_little, is_big_tiff: head[2..].contains(&43) };
        if layout.is_big_tiff {
            // The width of an offset, always 8, and a zero.
            layout.read(file, 4)?;
        }
        let first = layout.read(file, layout.wide())?;
        Ok((layout, first))
    }

    /// Reads the directory at an offset, and the offset of the next one, 0 after the last.
    pub(super) fn directory(self, file: &mut (impl Read + Seek), at: u64) -> io::Result<(Directory, u64)> {
        file.seek(SeekFrom::Start(at))?;
        let n = self.read(file, if self.is_big_tiff { 8 } else { 2 })?;
        let mut fields = BTreeMap::new();
        for _ in 0..n {
            let (tag, kind) = (self.read(file, 2)? as u16, self.read(file, 2)? as u16);
            let count = self.read(file, self.wide())?;
            let mut value = vec![0; self.wide()];
            file.read_exact(&mut value)?;
            fields.entry(tag).or_insert(Field { kind, count, value });
        }
        // Some writers leave out the offset of the next directory in the last one.
        let next = self.read(file, self.wide()).unwrap_or(0);
        Ok((Directory { layout: self, fields }, next))
    }

    /// Reads all directories of a file in their order with their offsets; those after a damaged one are missing.
    ///
    /// `each` is given every directory, so that none has to be kept.
    pub(super) fn directories(
        self,
        file: &mut (impl Read + Seek),
        first: u64,
        each: &mut dyn FnMut(u64, &Directory),
    ) -> io::Result<()> {
        let (mut at, mut known) = (first, HashSet::new());
        while at != 0 && known.len() < MOST_PAGES && known.insert(at) {
            let (directory, next) = match self.directory(file, at) {
                Err(_) if known.len() > 1 => break,
                read => read?,
            };
            each(at, &directory);
            at = next;
        }
        Ok(())
    }
}

impl Directory {
    /// True if the tag is there.
    pub(super) fn has(&self, tag: u16) -> bool {
        self.fields.contains_key(&tag)
    }

    /// Returns a number that lies in the directory itself: the first of a tag that fits.
    pub(super) fn number(&self, tag: u16) -> Option<u64> {
        let field = self.fields.get(&tag)?;
        let width = width_of(field.kind)?;
        let fits = field.count > 0 && field.count.checked_mul(width as u64)? <= field.value.len() as u64;
        fits.then(|| self.layout.number(&field.value[..width]))
    }

    /// Reads the bytes of a tag; none if it is missing.
    pub(super) fn bytes(&self, file: &mut (impl Read + Seek), tag: u16) -> io::Result<Vec<u8>> {
        let Some(field) = self.fields.get(&tag) else { return Ok(Vec::new()) };
        let Some(width) = width_of(field.kind) else { return Ok(Vec::new()) };
        let length = field.count.min(MOST_VALUES) as usize * width;
        if length <= field.value.len() {
            return Ok(field.value[..length].to_vec());
        }
        file.seek(SeekFrom::Start(self.layout.number(&field.value)))?;
        let mut bytes = Vec::new();
        file.take(length as u64).read_to_end(&mut bytes)?;
        Ok(bytes)
    }

    /// Reads the whole numbers of a tag; none if it is missing.
    pub(super) fn numbers(&self, file: &mut (impl Read + Seek), tag: u16) -> io::Result<Vec<u64>> {
        let width = self.fields.get(&tag).and_then(|field| width_of(field.kind)).unwrap_or(1);
        let bytes = self.bytes(file, tag)?;
        Ok(bytes.chunks_exact(width).map(|number| self.layout.number(number)).collect())
    }

    /// Writes a directory of this page's data as `samples` plain samples of so many bits a pixel.
    fn as_samples(&self, samples: u64, bits: u64, format: u64) -> Vec<u8> {
        let (layout, wide) = (self.layout, self.layout.wide());
        let mut fields: BTreeMap<u16, Field> = self.fields.clone();
        fields.retain(|tag, _| COPIED.contains(tag));
        for (tag, number) in [
            (tag::BITS, bits),
            (tag::PHOTOMETRIC, 1), // Black is zero.
            (tag::SAMPLES, samples),
            (tag::SAMPLE_FORMAT, format),
        ] {
            let mut value = layout.bytes(number, 2);
            value.resize(wide, 0);
            fields.insert(tag, Field { kind: SHORT, count: 1, value });
        }
        let mut bytes = layout.bytes(fields.len() as u64, if layout.is_big_tiff { 8 } else { 2 });
        for (tag, Field { kind, count, value }) in fields {
            bytes.extend(layout.bytes(tag.into(), 2));
            bytes.extend(layout.bytes(kind.into(), 2));
            bytes.extend(layout.bytes(count, wide));
            bytes.extend(value);
        }
        bytes.extend(layout.bytes(0, wide));
        bytes
    }
}

/// Bytes of one value of a type.
fn width_of(kind: u16) -> Option<usize> {
    match kind {
        1 | 2 | 6 | 7 => Some(1),
        SHORT | 8 => Some(2),
        LONG | 9 | 11 | 13 => Some(4),
        5 | 10 | 12 | 16..=18 => Some(8),
        _ => None,
    }
}

/// A TIFF file of one page: a directory of plain samples in front of another file's data, which keep their offsets.
pub(super) struct OnePage<R> {
    file: R,
    /// What is read in place of the file's first bytes.
    head: Vec<u8>,
    directory: Vec<u8>,
    /// Offset of the directory, far behind the data: a file that was cut off ends where it ends.
    directory_at: u64,
    at: u64,
}

impl<R: Read + Seek> OnePage<R> {
    /// Shows the data of a page as `samples` plain samples of so many bits a pixel.
    pub(super) fn new(
        mut file: R,
        page: &Directory,
        samples: u64,
        bits: u64,
        format: u64,
    ) -> io::Result<Self> {
        let layout = page.layout;
        let directory_at = if layout.is_big_tiff { 1 << 60 } else { 0xFFFF_0000 };
        if file.seek(SeekFrom::End(0))? > directory_at {
            return Err(io::Error::other("it is longer than a TIFF file can be"));
        }
        let mut head = if layout.is_little { b"II".to_vec() } else { b"MM".to_vec() };
        if layout.is_big_tiff {
            head.extend([43, 8, 0].map(|number| layout.bytes(number, 2)).concat());
        } else {
            head.extend(layout.bytes(42, 2));
        }
        head.extend(layout.bytes(directory_at, layout.wide()));
        let directory = page.as_samples(samples, bits, format);
        Ok(Self { file, head, directory, directory_at, at: 0 })
    }
}

impl<R: Read + Seek> Read for OnePage<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let n = if self.at < self.head.len() as u64 {
            (&self.head[self.at as usize..]).read(buffer)?
        } else if self.at < self.directory_at {
            self.file.seek(SeekFrom::Start(self.at))?;
            self.file.read(buffer)?
        } else {
            let from = usize::try_from(self.at - self.directory_at).unwrap_or(usize::MAX);
            (&self.directory[from.min(self.directory.len())..]).read(buffer)?
        };
        self.at += n as u64;
        Ok(n)
    }
}

impl<R> Seek for OnePage<R> {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        let at = match to {
            SeekFrom::Start(at) => Some(at),
            SeekFrom::Current(by) => self.at.checked_add_signed(by),
            SeekFrom::End(by) => (self.directory_at + self.directory.len() as u64).checked_add_signed(by),
        };
        self.at = at.ok_or(io::ErrorKind::InvalidInput)?;
        Ok(self.at)
    }
}
