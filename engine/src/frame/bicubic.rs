//! Bicubic resizing, bit-exact to
//! [Pillow](https://github.com/python-pillow/Pillow/blob/main/src/libImaging/Resample.c), which SAM 2 uses for frames
//! of videos.
//!
//! Pillow weighs bytes in fixed-point integers with 22 fractional bits, first along rows, then along columns, and
//! rounds to bytes in between. The kernel widens when an image shrinks (antialiasing).

use image::RgbImage;

/// Fractional bits, Pillow's `PRECISION_BITS`. Of 32 bits, 8 are for the byte and 2 for sums above 255 and below 0.
const PRECISION: u32 = 32 - 8 - 2;
/// One half in fixed point, added before the fraction is cut off.
const HALF: i32 = 1 << (PRECISION - 1);
/// Radius of the kernel, in pixels of the smaller image.
const SUPPORT: f64 = 2.0;
const CHANNELS: usize = 3;

/// Resizes an image. Mirrors Pillow's `Image.resize((width, height))` of an RGB image.
pub(super) fn resized(image: &RgbImage, width: u32, height: u32) -> RgbImage {
    let (n_columns, n_rows) = (image.width() as usize, image.height() as usize);
    let mut rows = std::borrow::Cow::Borrowed(image.as_raw());
    if width != image.width() {
        rows = std::borrow::Cow::Owned(along_rows(&rows, n_columns, &Taps::new(n_columns, width as usize)));
    }
    let row_bytes = width as usize * CHANNELS;
    if height != image.height() {
        rows = std::borrow::Cow::Owned(along_columns(&rows, row_bytes, &Taps::new(n_rows, height as usize)));
    }
    RgbImage::from_raw(width, height, rows.into_owned()).expect("as many bytes as the size needs")
}

/// The source pixels and weights of each pixel of the resized image along one axis.
struct Taps {
    /// First source pixel and number of source pixels, for each pixel of the resized image.
    spans: Vec<(usize, usize)>,
    /// Number of entries in `weights` for each pixel of the resized image.
    n_most: usize,
    weights: Vec<i32>,
}

impl Taps {
    /// Computes the weights. Mirrors `precompute_coeffs` and `normalize_coeffs_8bpc`.
    fn new(n_in: usize, n_out: usize) -> Self {
        let scale = n_in as f64 / n_out as f64;
        let shrink = scale.max(1.0);
        let support = SUPPORT * shrink;
        let n_most = support.ceil() as usize * 2 + 1;
        let mut taps = Self { spans: Vec::with_capacity(n_out), n_most, weights: vec![0; n_out * n_most] };
        for (i, weights) in taps.weights.chunks_exact_mut(n_most).enumerate() {
            let center = (i as f64 + 0.5) * scale;
            let first = (center - support + 0.5).max(0.0) as usize;
            let end = ((center + support + 0.5) as usize).min(n_in);
            let at = |x: usize| kernel(((x as f64 - center) + 0.5) * (1.0 / shrink));
            let sum: f64 = (first..end).map(at).sum();
            for (x, weight) in (first..end).zip(weights) {
                let share = if sum == 0.0 { at(x) } else { at(x) / sum };
                let scaled = share * f64::from(1 << PRECISION);
                *weight = (scaled + if share < 0.0 { -0.5 } else { 0.5 }) as i32;
            }
            taps.spans.push((first, end - first));
        }
        taps
    }

    fn iter(&self) -> impl Iterator<Item = (usize, &[i32])> {
        let weights = self.weights.chunks_exact(self.n_most);
        self.spans.iter().zip(weights).map(|((first, n), weights)| (*first, &weights[..*n]))
    }
}

/// Returns the weight at a distance by Keys' cubic convolution kernel with a = -0.5. Mirrors `bicubic_filter`.
fn kernel(x: f64) -> f64 {
    const A: f64 = -0.5;
    let x = x.abs();
    match x {
        0.0..1.0 => ((A + 2.0) * x - (A + 3.0)) * x * x + 1.0,
        1.0..2.0 => (((x - 5.0) * x + 8.0) * x - 4.0) * A,
        _ => 0.0,
    }
}

fn rounded(sum: i32) -> u8 {
    (sum >> PRECISION).clamp(0, 255) as u8
}

fn along_rows(pixels: &[u8], width: usize, taps: &Taps) -> Vec<u8> {
    let rows = pixels.chunks_exact(width * CHANNELS);
    let mut resized = Vec::with_capacity(rows.len() * taps.spans.len() * CHANNELS);
    for row in rows {
        let row = row.as_chunks::<CHANNELS>().0;
        for (first, weights) in taps.iter() {
            let mut sums = [HALF; CHANNELS];
            for (pixel, weight) in row[first..].iter().zip(weights) {
                sums[0] += i32::from(pixel[0]) * weight;
                sums[1] += i32::from(pixel[1]) * weight;
                sums[2] += i32::from(pixel[2]) * weight;
            }
            resized.extend(sums.map(rounded));
        }
    }
    resized
}

fn along_columns(pixels: &[u8], row_bytes: usize, taps: &Taps) -> Vec<u8> {
    let mut sums = vec![0; row_bytes];
    let mut resized = Vec::with_capacity(taps.spans.len() * row_bytes);
    for (first, weights) in taps.iter() {
        sums.fill(HALF);
        let rows = pixels[first * row_bytes..].chunks_exact(row_bytes);
        for (row, weight) in rows.zip(weights) {
            sums.iter_mut().zip(row).for_each(|(sum, byte)| *sum += i32::from(*byte) * weight);
        }
        resized.extend(sums.iter().map(|sum| rounded(*sum)));
    }
    resized
}
