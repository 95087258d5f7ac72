//! What a TIFF directory says of its page: size, samples and what they mean.

use std::io::{self, Read, Seek};

use image::metadata::Orientation;

use super::directory::{Directory, tag};
use crate::geometry::Size;

/// A page that can be decoded.
#[derive(Clone, Debug)]
pub(super) struct Page {
    /// As stored, before it is turned upright.
    pub(super) size: Size,
    pub(super) orientation: Orientation,
    pub(super) bits: u8,
    pub(super) numbers: Numbers,
    /// Samples of a pixel in the file.
    pub(super) n_samples: usize,
    /// True if each sample of a pixel lies in a plane of its own.
    pub(super) is_planar: bool,
    pub(super) color: Color,
    pub(super) alpha: Alpha,
    /// A value that stands for no measurement.
    pub(super) no_data: Option<f64>,
}

/// How a sample's bits are a number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Numbers {
    Unsigned,
    Signed,
    Float,
}

/// What the samples of a pixel mean.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Color {
    Gray {
        zero_is_white: bool,
    },
    Rgb,
    /// Channels that are no colors, of which the first three are shown as red, green and blue.
    Bands,
    Palette(Vec<[u8; 3]>),
    Cmyk,
    YCbCr,
    /// CIE L*a*b*; a and b are signed, or have 128 added.
    Lab {
        is_signed: bool,
    },
}

/// The sample after the colors.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Alpha {
    None,
    Straight,
    /// The colors are multiplied by it.
    Multiplied,
}

impl Page {
    /// Reads what a directory says; the error says why the page cannot be shown.
    pub(super) fn of(directory: &Directory, file: &mut (impl Read + Seek)) -> Result<Self, Unreadable> {
        let refuse = |why: String| Err(Unreadable::Unsupported(why));
        let size = stored_size(directory);
        if directory.has(tag::DNG_VERSION) {
            return refuse("it is a raw camera file; develop it to TIFF or JPEG".to_owned());
        }
        if let Some(name) = directory.number(tag::COMPRESSION).and_then(unknown_compression) {
            return refuse(format!("it is compressed with {name}, which Segue does not read"));
        }
        let bits = directory.numbers(file, tag::BITS)?;
        let n_samples = directory.number(tag::SAMPLES).unwrap_or(1) as usize;
        let (first, all_equal) = (bits.first().copied().unwrap_or(1), bits.windows(2).all(|b| b[0] == b[1]));
        let bits = u8::try_from(first).ok().filter(|&bits| bits > 0 && all_equal);
        let Some(bits) = bits else { return refuse("its samples have different numbers of bits".to_owned()) };
        if directory.number(tag::FILL_ORDER) == Some(2) && bits < 8 {
            return refuse("its bits are in reverse order, which Segue does not read".to_owned());
        }
        let formats = directory.numbers(file, tag::SAMPLE_FORMAT)?;
        let numbers = match formats.first() {
            _ if formats.windows(2).any(|pair| pair[0] != pair[1]) => {
                return refuse("its samples are numbers of different kinds".to_owned());
            }
            None | Some(0 | 1 | 4) => Numbers::Unsigned,
            Some(2) => Numbers::Signed,
            Some(3) => Numbers::Float,
            Some(_) => return refuse("its samples are complex numbers".to_owned()),
        };
        let extra = directory.numbers(file, tag::EXTRA_SAMPLES)?;
        let color = color(directory, file, n_samples, &extra)?;
        let n_colors = color.n_samples();
        if n_samples < n_colors {
            return refuse(format!("its pixels have {n_samples} samples, its colors need {n_colors}"));
        }
        if matches!(color, Color::Palette(_)) && (bits > 8 || numbers != Numbers::Unsigned) {
            return refuse(format!("its palette has indices of {bits} bits"));
        }
        let may_have_alpha = matches!(color, Color::Gray { .. } | Color::Rgb) && n_samples > n_colors;
        let alpha = match extra.first() {
            Some(1) if may_have_alpha => Alpha::Multiplied,
            Some(2) if may_have_alpha => Alpha::Straight,
            // libtiff and Pillow take the fourth sample that nothing is said of for alpha.
            None if color == Color::Rgb && n_samples == 4 => Alpha::Straight,
            _ => Alpha::None,
        };
        let no_data = directory.bytes(file, tag::NODATA)?;
        let no_data = String::from_utf8_lossy(&no_data).trim_matches(['\0', ' ']).parse().ok();
        Ok(Self {
            size,
            orientation: orientation(directory),
            bits,
            numbers,
            n_samples,
            is_planar: directory.number(tag::PLANAR) == Some(2) && n_samples > 1,
            color,
            alpha,
            no_data,
        })
    }

    /// Samples of a pixel that are shown: colors, then alpha.
    pub(super) fn n_shown(&self) -> usize {
        self.color.n_samples() + usize::from(self.alpha != Alpha::None)
    }

    /// True if the samples are numbers of the machine; others are packed.
    pub(super) fn is_plain(&self) -> bool {
        matches!(self.bits, 8 | 16 | 32 | 64)
    }

    /// True if the values are scaled to be seen; others are levels already.
    pub(super) fn is_scaled(&self) -> bool {
        let is_deep = self.numbers != Numbers::Unsigned || self.bits > 8;
        is_deep && matches!(self.color, Color::Gray { .. } | Color::Rgb | Color::Bands)
    }
}

/// Why a page cannot be shown.
pub(super) enum Unreadable {
    Io(io::Error),
    Unsupported(String),
}

impl From<io::Error> for Unreadable {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

impl Color {
    /// Samples of a pixel that are colors, of bands those that are shown.
    pub(super) fn n_samples(&self) -> usize {
        match self {
            Self::Gray { .. } | Self::Palette(_) => 1,
            Self::Rgb | Self::Bands | Self::YCbCr | Self::Lab { .. } => 3,
            Self::Cmyk => 4,
        }
    }
}

/// The size as stored, before the page is turned upright.
pub(super) fn stored_size(directory: &Directory) -> Size {
    let side = |tag| directory.number(tag).and_then(|side| usize::try_from(side).ok()).unwrap_or(0);
    Size::new(side(tag::WIDTH), side(tag::HEIGHT))
}

/// How the page is to be turned.
pub(super) fn orientation(directory: &Directory) -> Orientation {
    let number = directory.number(tag::ORIENTATION).and_then(|number| u8::try_from(number).ok());
    number.and_then(Orientation::from_exif).unwrap_or(Orientation::NoTransforms)
}

/// True for a smaller copy of another page, or a mask of one.
pub(super) fn is_auxiliary(directory: &Directory) -> bool {
    const SMALLER_OR_MASK: u64 = 1 | 4;
    directory.number(tag::SUBFILE_TYPE).is_some_and(|flags| flags & SMALLER_OR_MASK != 0)
        || directory.number(tag::OLD_SUBFILE_TYPE) == Some(2)
}

fn color(
    directory: &Directory,
    file: &mut (impl Read + Seek),
    n_samples: usize,
    extra: &[u64],
) -> Result<Color, Unreadable> {
    let refuse = |what: &str| {
        Err(Unreadable::Unsupported(format!("its colors are {what}, which Segue does not read")))
    };
    let gray = |zero_is_white| {
        // Two samples are no colors; the first is shown.
        let is_bands = n_samples >= 3 && matches!(extra.first(), None | Some(0));
        if is_bands { Color::Bands } else { Color::Gray { zero_is_white } }
    };
    Ok(match directory.number(tag::PHOTOMETRIC) {
        Some(0) => gray(true),
        Some(1 | 4) => gray(false),
        Some(2) if n_samples < 3 => gray(false),
        Some(2) => Color::Rgb,
        Some(3) => Color::Palette(palette(directory.numbers(file, tag::COLOR_MAP)?)),
        Some(5) => Color::Cmyk,
        Some(6) => {
            let subsampling = directory.numbers(file, tag::SUBSAMPLING)?;
            let is_jpeg = directory.number(tag::COMPRESSION) == Some(7);
            if !is_jpeg && subsampling != [1, 1] {
                return refuse("YCbCr with fewer color samples than pixels, without JPEG");
            }
            Color::YCbCr
        }
        Some(8) => Color::Lab { is_signed: true },
        Some(9) => Color::Lab { is_signed: false },
        Some(10) => return refuse("ITU L*a*b*"),
        Some(32803 | 34892) => {
            let why = "it is a raw camera file; develop it to TIFF or JPEG".to_owned();
            return Err(Unreadable::Unsupported(why));
        }
        Some(32844 | 32845) => return refuse("LogLuv"),
        Some(other) => return refuse(&format!("of kind {other}")),
        None if n_samples == 3 => Color::Rgb,
        None => gray(false),
    })
}

/// All red values, then all green, then all blue; of 16 bits, but some writers fill only 8.
fn palette(values: Vec<u64>) -> Vec<[u8; 3]> {
    let n = values.len() / 3;
    let shift = if values.iter().any(|&value| value > 255) { 8 } else { 0 };
    (0..n).map(|i| [i, n + i, 2 * n + i].map(|at| (values[at] >> shift) as u8)).collect()
}

/// The name of a compression that the `tiff` crate does not decode.
fn unknown_compression(number: u64) -> Option<String> {
    Some(match number {
        1 | 4 | 5 | 7 | 8 | 32946 | 32773 | 50000 | 50001 => return None,
        2 | 3 => "CCITT Group 3".to_owned(),
        6 => "old-style JPEG".to_owned(),
        33003 | 33005 | 34712 => "JPEG 2000".to_owned(),
        34887 => "LERC".to_owned(),
        34925 => "LZMA".to_owned(),
        50002 | 52546 => "JPEG XL".to_owned(),
        other => format!("method {other}"),
    })
}
