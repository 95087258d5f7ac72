//! Samples of a TIFF page, of whatever type, and their scaling to 8 bits.

use std::io::{self, Read, Seek};

use tiff::{
    TiffError, TiffResult,
    decoder::{Decoder, DecodingResult, Limits},
};

use super::page::{Alpha, Color, Numbers, Page};
use crate::media::image::{
    largest,
    levels::{Levels, Sample, levels, span},
};

/// Bytes of a tag's values, such as the offsets of all tiles.
const LARGEST_TAG: usize = 64 << 20;

/// The samples of a page that are shown, pixel by pixel.
pub(super) struct Samples(DecodingResult);

/// Where the samples of a strip or tile go.
struct Piece {
    corner: [usize; 2],
    size: [usize; 2],
    /// Samples of a pixel in the file, and the first of them in the image.
    n_samples: usize,
    first: usize,
    /// Samples of a pixel in the image, and pixels of its rows.
    n_shown: usize,
    width: usize,
}

/// Evaluates the same expression for values of every type.
macro_rules! each {
    ($samples:expr, $values:ident => $body:expr) => {
        match $samples {
            DecodingResult::U8($values) => $body,
            DecodingResult::U16($values) => $body,
            DecodingResult::U32($values) => $body,
            DecodingResult::U64($values) => $body,
            DecodingResult::I8($values) => $body,
            DecodingResult::I16($values) => $body,
            DecodingResult::I32($values) => $body,
            DecodingResult::I64($values) => $body,
            DecodingResult::F16($values) => $body,
            DecodingResult::F32($values) => $body,
            DecodingResult::F64($values) => $body,
        }
    };
}

/// Places values of the same type in both.
macro_rules! place {
    ($to:expr, $from:expr, $piece:expr, $($kind:ident)*) => {
        match ($to, $from) {
            $((DecodingResult::$kind(to), DecodingResult::$kind(from)) => $piece.place(to, from),)*
            _ => None,
        }
    };
}

/// Zeros of a chunk's type.
macro_rules! zeros {
    ($like:expr, $n:expr, $($kind:ident)*) => {
        match $like {
            $(DecodingResult::$kind(_) => DecodingResult::$kind(vec![Default::default(); $n]),)*
        }
    };
}

impl Samples {
    /// Decodes a page, strip by strip or tile by tile; channels that are not shown are not kept.
    pub(super) fn read(page: &Page, decoder: Decoder<impl Read + Seek>) -> TiffResult<Self> {
        let mut limits = Limits::default();
        (limits.decoding_buffer_size, limits.intermediate_buffer_size) = (largest(), largest());
        limits.ifd_value_size = LARGEST_TAG;
        let mut decoder = decoder.with_limits(limits);
        let chunk = decoder.chunk_dimensions();
        let chunk = [chunk.0 as usize, chunk.1.min(page.size.height as u32) as usize];
        let bits = chunk[0]
            .checked_mul(chunk[1])
            .and_then(|area| area.checked_mul(page.n_samples * usize::from(page.bits)));
        if bits.is_none_or(|bits| bits / 8 > largest()) {
            return Err(TiffError::LimitsExceeded);
        }
        let (across, down) = (page.size.width.div_ceil(chunk[0]), page.size.height.div_ceil(chunk[1]));
        let n_shown = page.n_shown();
        let mut all = None;
        for plane in 0..if page.is_planar { n_shown } else { 1 } {
            for place in 0..across * down {
                let index = (plane * across * down + place) as u32;
                let corner = [place % across * chunk[0], place / across * chunk[1]];
                let piece = Piece {
                    corner,
                    size: [
                        chunk[0].min(page.size.width - corner[0]),
                        chunk[1].min(page.size.height - corner[1]),
                    ],
                    n_samples: if page.is_planar { 1 } else { page.n_samples },
                    first: plane,
                    n_shown,
                    width: page.size.width,
                };
                let mut found = decoder.read_chunk(index)?;
                if !page.is_plain() {
                    found = unpacked(found, page.bits.into(), piece.n_samples * piece.size[0]);
                }
                let all = all.get_or_insert_with(|| {
                    let n = page.size.area() * n_shown;
                    zeros!(&found, n, U8 U16 U32 U64 I8 I16 I32 I64 F16 F32 F64)
                });
                let placed = place!(all, &found, piece, U8 U16 U32 U64 I8 I16 I32 I64 F16 F32 F64);
                placed.ok_or_else(|| io::Error::from(io::ErrorKind::UnexpectedEof))?;
            }
        }
        Ok(Self(all.unwrap_or(DecodingResult::U8(Vec::new()))))
    }

    /// Returns the ranges of the values that are to be seen, by band; one range where colors belong together.
    pub(super) fn spans(&self, page: &Page) -> Vec<Option<Levels>> {
        let n_colors = page.color.n_samples();
        let bands: Vec<std::ops::Range<usize>> = if page.color == Color::Bands {
            (0..n_colors).map(|band| band..band + 1).collect()
        } else {
            std::iter::once(0..n_colors).collect()
        };
        let one = |band: std::ops::Range<usize>| {
            each!(&self.0, values => {
                let pixels = values.chunks_exact(page.n_shown());
                let seen = pixels.filter(|pixel| page.alpha == Alpha::None || pixel[n_colors].value() != 0.0);
                let values = seen.flat_map(|pixel| pixel[band.clone()].iter().map(|sample| sample.value()));
                span(values.filter(|value| page.no_data != Some(*value)))
            })
        };
        bands.into_iter().map(|band| one(band).filter(|_| page.is_scaled())).collect()
    }

    /// Scales all samples to 8 bits, by the levels of their bands; what is no measurement becomes 0.
    pub(super) fn bytes(self, page: &Page, levels: &[Levels]) -> Vec<u8> {
        if (matches!(page.color, Color::Palette(_)) || page.bits == 8 && !page.is_scaled())
            && let DecodingResult::U8(values) = self.0
        {
            return values;
        }
        let of = |channel: usize| match levels.get(channel).or(levels.first()) {
            Some(levels) if channel < page.color.n_samples() => *levels,
            _ => page.range(),
        };
        let channels: Vec<Levels> = (0..page.n_shown()).map(of).collect();
        let level =
            |levels: &Levels, value: f64| if page.no_data == Some(value) { 0 } else { levels.level(value) };
        each!(self.0, values => {
            let levels = channels.iter().cycle();
            values.iter().zip(levels).map(|(sample, levels)| level(levels, sample.value())).collect()
        })
    }
}

impl Piece {
    /// Copies the samples that are shown; `None` if there are too few.
    fn place<S: Copy>(&self, to: &mut [S], from: &[S]) -> Option<()> {
        let row = self.size[0] * self.n_samples;
        let n = if self.n_samples == 1 { 1 } else { self.n_shown };
        for (y, from) in (0..self.size[1]).zip(from.chunks(row)) {
            let start = (self.corner[1] + y) * self.width + self.corner[0];
            let to = to.get_mut(start * self.n_shown..(start + self.size[0]) * self.n_shown)?;
            let from = from.get(..row)?;
            if n == self.n_samples && n == self.n_shown {
                to.copy_from_slice(from);
                continue;
            }
            for (to, from) in to.chunks_exact_mut(self.n_shown).zip(from.chunks_exact(self.n_samples)) {
                to[self.first..self.first + n].copy_from_slice(&from[..n]);
            }
        }
        (from.len() >= row * self.size[1]).then_some(())
    }
}

impl Page {
    /// Returns levels by band for values of these spans.
    pub(super) fn levels(&self, spans: &[Option<Levels>]) -> Vec<Levels> {
        let is_photo = self.numbers == Numbers::Unsigned && self.bits <= 16;
        spans.iter().map(|span| levels(*span, self.range(), is_photo)).collect()
    }

    /// The range of the type of samples.
    fn range(&self) -> Levels {
        let bits = i32::from(self.bits);
        match self.numbers {
            Numbers::Unsigned => Levels { low: 0.0, high: 2_f64.powi(bits) - 1.0 },
            Numbers::Signed => Levels { low: -2_f64.powi(bits - 1), high: 2_f64.powi(bits - 1) - 1.0 },
            Numbers::Float => f32::RANGE,
        }
    }
}

/// Takes rows of packed samples apart, each row beginning with a whole byte; the highest bits come first.
fn unpacked(packed: DecodingResult, bits: usize, row: usize) -> DecodingResult {
    let DecodingResult::U8(bytes) = packed else { return packed };
    let sample = |bytes: &[u8], n: usize| {
        (n * bits..(n + 1) * bits)
            .fold(0_u32, |value, bit| value << 1 | u32::from(bytes[bit / 8] >> (7 - bit % 8) & 1))
    };
    let rows = bytes.chunks_exact((row * bits).div_ceil(8));
    if bits < 8 {
        DecodingResult::U8(rows.flat_map(|bytes| (0..row).map(move |n| sample(bytes, n) as u8)).collect())
    } else {
        DecodingResult::U32(rows.flat_map(|bytes| (0..row).map(move |n| sample(bytes, n))).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn packed_samples_begin_rows_with_whole_bytes() {
        let DecodingResult::U8(bits) = unpacked(DecodingResult::U8(vec![0b1010_0000, 0b0110_0000]), 1, 3)
        else {
            panic!("one bit is 8 bits");
        };
        assert_eq!(bits, [1, 0, 1, 0, 1, 1]);
        let packed = DecodingResult::U8(vec![0xAB, 0xC1, 0x23, 0xFF, 0xF0, 0x00]);
        let DecodingResult::U32(wide) = unpacked(packed, 12, 2) else { panic!("12 bits are 32 bits") };
        assert_eq!(wide, [0xABC, 0x123, 0xFFF, 0]);
    }
}
