//! TIFF files: pages of any samples, with the colors that microscopes, satellites and printers store.

mod color;
mod directory;
mod page;
mod samples;

use std::{
    fs::File,
    io::{self, BufReader},
    path::{Path, PathBuf},
};

use image::DynamicImage;
use tiff::{TiffError, decoder::Decoder};

use self::{
    directory::{Directory, Layout, OnePage},
    page::{Numbers, Page, Unreadable, is_auxiliary, orientation, stored_size},
    samples::Samples,
};
use super::{ImageHeader, ImageKind, MediaError, image_error, levels::Levels, require_readable, turned};

/// Pages of which the values are known before the first is shown.
///
/// All pages are scaled alike, so that a series does not flicker; of long ones, pages at equal distances tell how.
const MEASURED: usize = 16;

/// An open TIFF file.
pub(super) struct Tiff {
    path: PathBuf,
    file: BufReader<File>,
    layout: Layout,
    /// Offsets of the directories of the pages that are shown.
    pages: Vec<u64>,
    header: ImageHeader,
    /// How values are scaled, by band, once they are measured.
    levels: Option<Vec<Levels>>,
}

impl Tiff {
    /// Opens a file and reads its directories; the pages are those that are as large as the first.
    pub(super) fn open(path: &Path) -> Result<Self, MediaError> {
        let file = File::open(path).map_err(|cause| MediaError::Read { path: path.into(), cause })?;
        let mut file = BufReader::new(file);
        let io_error = |cause| unreadable(path, Unreadable::Io(cause));
        let (layout, first) = Layout::of_file(&mut file).map_err(io_error)?;
        let (mut pages, mut size, mut n_left_out) = (Vec::new(), None, 0);
        layout
            .directories(&mut file, first, &mut |at, directory| {
                if is_auxiliary(directory) {
                    return;
                }
                let upright = turned(stored_size(directory), orientation(directory));
                if *size.get_or_insert(upright) == upright {
                    pages.push(at);
                } else {
                    n_left_out += 1;
                }
            })
            .map_err(io_error)?;
        let Some(&first) = pages.first() else {
            let why = "its only pages are smaller copies of an image that Segue does not read";
            return Err(image_error(path, why));
        };
        let header = ImageHeader { n_frames: pages.len(), n_left_out, ..ImageHeader::of(ImageKind::Tiff) };
        let mut tiff = Self { path: path.into(), file, layout, pages, header, levels: None };
        let (_, page) = tiff.read_page(first).map_err(|error| unreadable(path, error))?;
        let header = &mut tiff.header;
        header.turn(page.size, page.orientation);
        (header.is_deep, header.n_channels) = (page.is_scaled(), page.n_samples);
        header.stored_bits = page.n_samples * usize::from(page.bits);
        header.bytes_per_pixel = page.n_shown() * usize::from(page.bits).div_ceil(8).next_power_of_two();
        Ok(tiff)
    }

    pub(super) fn header(&self) -> &ImageHeader {
        &self.header
    }

    /// Decodes a page, turned upright.
    pub(super) fn page(&mut self, number: usize) -> Result<DynamicImage, MediaError> {
        if self.levels.is_none() && self.pages.len() > 1 && self.header.is_deep {
            self.levels = Some(self.measured());
        }
        let (page, samples) = self.samples(self.pages[number])?;
        let levels = self.levels.clone().unwrap_or_else(|| page.levels(&samples.spans(&page)));
        let bytes = samples.bytes(&page, &levels);
        let image = color::image(&page, bytes);
        let mut image = image.ok_or_else(|| MediaError::TruncatedImage { path: self.path.clone() })?;
        image.apply_orientation(page.orientation);
        Ok(image)
    }

    /// Returns levels for the values of several pages together; pages that cannot be read do not count.
    fn measured(&mut self) -> Vec<Levels> {
        let n = self.pages.len().min(MEASURED);
        let pages: Vec<u64> = (0..n).map(|i| self.pages[i * (self.pages.len() - 1) / (n - 1)]).collect();
        let mut together: Option<(Page, Vec<Option<Levels>>)> = None;
        for at in pages {
            let Ok((page, samples)) = self.samples(at) else { continue };
            let spans = samples.spans(&page);
            match &mut together {
                Some((_, known)) => {
                    known.iter_mut().zip(spans).for_each(|(known, span)| *known = union(*known, span));
                }
                None => together = Some((page, spans)),
            }
        }
        together.map(|(page, spans)| page.levels(&spans)).unwrap_or_default()
    }

    fn read_page(&mut self, at: u64) -> Result<(Directory, Page), Unreadable> {
        let (directory, _) = self.layout.directory(&mut self.file, at)?;
        let page = Page::of(&directory, &mut self.file)?;
        Ok((directory, page))
    }

    fn samples(&mut self, at: u64) -> Result<(Page, Samples), MediaError> {
        let (directory, page) = self.read_page(at).map_err(|error| unreadable(&self.path, error))?;
        require_readable(&self.path, &ImageHeader { size: page.size, ..self.header.clone() })?;
        let (samples, bits) = match page.bits {
            bits if page.is_plain() || bits < 8 => (page.n_samples, bits),
            // The crate knows no such samples, but any number of single bits.
            bits @ 9..32 if !page.is_planar && bits % 8 != 0 && page.numbers == Numbers::Unsigned => {
                (page.n_samples * usize::from(bits), 1)
            }
            bits => {
                let why = format!("its samples have {bits} bits, which Segue does not read");
                return Err(image_error(&self.path, why));
            }
        };
        let format = if bits == page.bits { page.numbers as u64 + 1 } else { 1 };
        let decoder = OnePage::new(self.file.get_ref(), &directory, samples as u64, bits.into(), format)
            .map_err(TiffError::IoError)
            .and_then(|file| Decoder::new(BufReader::new(file)));
        decoder
            .and_then(|decoder| Samples::read(&page, decoder))
            .map(|samples| (page, samples))
            .map_err(|error| tiff_error(&self.path, error))
    }
}

/// The range that holds both.
fn union(a: Option<Levels>, b: Option<Levels>) -> Option<Levels> {
    match (a, b) {
        (Some(a), Some(b)) => Some(Levels { low: a.low.min(b.low), high: a.high.max(b.high) }),
        (one, other) => one.or(other),
    }
}

fn unreadable(path: &Path, error: Unreadable) -> MediaError {
    match error {
        Unreadable::Io(error) => tiff_error(path, TiffError::IoError(error)),
        Unreadable::Unsupported(why) => image_error(path, why),
    }
}

fn tiff_error(path: &Path, error: TiffError) -> MediaError {
    match error {
        TiffError::IoError(error) if error.kind() == io::ErrorKind::UnexpectedEof => {
            MediaError::TruncatedImage { path: path.into() }
        }
        error => image_error(path, error),
    }
}
