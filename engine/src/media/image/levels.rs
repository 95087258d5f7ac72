//! Samples of any type as 8 bits, scaled by the values present.
//!
//! A microscope's 12 bits in a 16-bit file, heights in meters and counts of photons are all black or white where only
//! the type's own range is shown. So the values that an image holds are spread over 0 to 255. Exceptions:
//! - Unsigned samples of up to 8 bits keep their levels.
//! - Unsigned samples of up to 16 bits whose values span at least half of the type's range are a photo: the whole range
//!   becomes 0 to 255, as other programs show it.

use half::f16;

/// One sample in so many may be an outlier: a hot pixel, a fill value that no tag names.
const OUTLIERS: usize = 10_000;

/// Outliers are passed over only if the range of all others is smaller by this factor.
const SHRINKS: f64 = 4.0;

/// Bins of the histogram that finds outliers.
const BINS: usize = 4096;

/// Larger numbers count as infinite: fill values of 32-bit floats that no tag names, such as -3.4e38.
const LARGEST: f64 = 1e38;

/// The values that become 0 and 255.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Levels {
    pub(super) low: f64,
    pub(super) high: f64,
}

impl Levels {
    /// Returns the 8-bit level of a value; 0 for a value that is not a number.
    pub(super) fn level(self, value: f64) -> u8 {
        // The conversion saturates, and takes what is not a number for 0.
        ((value - self.low) / (self.high - self.low) * 255.0 + 0.5) as u8
    }
}

/// A type of samples in a file.
pub(super) trait Sample: Copy {
    /// The range of values that the type has; of floats 0 to 1.
    const RANGE: Levels;
    /// True if an image that uses much of the range is shown as it is.
    const IS_PHOTO: bool = false;

    fn value(self) -> f64;
}

macro_rules! samples {
    ($($kind:ty, $low:expr, $high:expr, $is_photo:expr;)*) => {$(
        impl Sample for $kind {
            const RANGE: Levels = Levels { low: $low as f64, high: $high as f64 };
            const IS_PHOTO: bool = $is_photo;

            fn value(self) -> f64 {
                self as f64
            }
        }
    )*};
}

samples! {
    u8, 0, Self::MAX, true;
    u16, 0, Self::MAX, true;
    u32, 0, Self::MAX, false;
    u64, 0, Self::MAX, false;
    i8, Self::MIN, Self::MAX, false;
    i16, Self::MIN, Self::MAX, false;
    i32, Self::MIN, Self::MAX, false;
    i64, Self::MIN, Self::MAX, false;
    f32, 0, 1, false;
    f64, 0, 1, false;
}

impl Sample for f16 {
    const RANGE: Levels = Levels { low: 0.0, high: 1.0 };

    fn value(self) -> f64 {
        self.to_f64()
    }
}

/// Scales pixels of so many channels to 8 bits, colors together; alpha is the last channel.
pub(super) fn scaled<S: Sample>(values: &[S], n_channels: usize, has_alpha: bool) -> Vec<u8> {
    let n_colors = n_channels - usize::from(has_alpha);
    let pixels = values.chunks_exact(n_channels);
    let seen = pixels.clone().filter(|pixel| !has_alpha || pixel[n_colors].value() > 0.0);
    let colors = seen.flat_map(|pixel| pixel[..n_colors].iter().map(|sample| sample.value()));
    let levels = levels(span(colors), S::RANGE, S::IS_PHOTO);
    let of = |channel| if channel < n_colors { levels } else { S::RANGE };
    pixels.flat_map(|pixel| pixel.iter().enumerate().map(|(i, sample)| of(i).level(sample.value()))).collect()
}

/// Maps linear light to 8-bit sRGB (IEC 61966-2-1); white is the level that 99 % of the values do not exceed.
pub(super) fn developed(values: &[f32], n_channels: usize, has_alpha: bool) -> Vec<u8> {
    /// As many values tell where white is.
    const SAMPLED: usize = 1 << 20;
    let n_colors = n_channels - usize::from(has_alpha);
    let pixels = values.chunks_exact(n_channels);
    let step = values.len().div_ceil(SAMPLED).max(1);
    let mut light: Vec<f32> = pixels
        .clone()
        .step_by(step)
        .flat_map(|pixel| &pixel[..n_colors])
        .copied()
        .filter(|v| v.is_finite())
        .collect();
    let place = light.len() * 99 / 100;
    let white = if light.is_empty() { 0.0 } else { *light.select_nth_unstable_by(place, f32::total_cmp).1 };
    let white = if white > 0.0 { white } else { 1.0 };
    let level = |value: f32| {
        let light = value / white;
        let level = if light <= 0.003_130_8 { 12.92 * light } else { 1.055 * light.powf(1.0 / 2.4) - 0.055 };
        (255.0 * level + 0.5) as u8
    };
    let of =
        |(i, value): (usize, &f32)| if i < n_colors { level(*value) } else { (255.0 * value + 0.5) as u8 };
    pixels.flat_map(|pixel| pixel.iter().enumerate().map(of)).collect()
}

/// Returns the levels for values of this `span`, in a type with this `range`.
///
/// Without finite values, or with all of them equal, the levels are the type's range.
pub(super) fn levels(span: Option<Levels>, range: Levels, is_photo: bool) -> Levels {
    let Some(found) = span else { return range };
    let keeps = is_photo && 2.0 * (found.high - found.low) >= range.high - range.low;
    if keeps || found.low == found.high { range } else { found }
}

/// Returns minimum and maximum of the finite values without outliers; `None` if there are no finite values.
pub(super) fn span(values: impl Iterator<Item = f64> + Clone) -> Option<Levels> {
    let values = values.filter(|value| value.abs() < LARGEST);
    let (mut found, n) = min_max(values.clone());
    let n_outliers = n / OUTLIERS;
    while n_outliers > 0 && found.low < found.high {
        let mut bins = [0_usize; BINS];
        let width = (found.high - found.low) / BINS as f64;
        // Outliers that are known already are beyond the first or last bin, and count there.
        values.clone().for_each(|value| bins[(((value - found.low) / width) as usize).min(BINS - 1)] += 1);
        let beyond = |counts: &mut dyn Iterator<Item = &usize>| {
            let mut n = 0;
            counts
                .take_while(|count| {
                    n += **count;
                    n <= n_outliers
                })
                .count()
        };
        let (below, above) = (beyond(&mut bins.iter()), beyond(&mut bins.iter().rev()));
        if below + above >= BINS || (BINS - below - above) as f64 * SHRINKS > BINS as f64 {
            break;
        }
        let inner = found.low + below as f64 * width..=found.high - above as f64 * width;
        let (next, n) = min_max(values.clone().filter(|value| inner.contains(value)));
        if n == 0 || next == found {
            break;
        }
        found = next;
    }
    (n > 0).then_some(found)
}

fn min_max(values: impl Iterator<Item = f64>) -> (Levels, usize) {
    let nothing = Levels { low: f64::INFINITY, high: f64::NEG_INFINITY };
    values.fold((nothing, 0), |(Levels { low, high }, n), value| {
        (Levels { low: low.min(value), high: high.max(value) }, n + 1)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of<S: Sample>(values: &[S]) -> Levels {
        levels(span(values.iter().map(|value| value.value())), S::RANGE, S::IS_PHOTO)
    }

    #[track_caller]
    fn check<S: Sample>(values: &[S], low: f64, high: f64) {
        assert_eq!(of(values), Levels { low, high });
    }

    #[test]
    fn values_present_are_spread_over_all_levels() {
        check(&[200_u16, 3000, 700], 200.0, 3000.0);
        check(&[-200_i16, 2000], -200.0, 2000.0);
        check(&[0.1_f32, 0.9], f64::from(0.1_f32), f64::from(0.9_f32));
        check(&[30_000_u16, 36_000], 30_000.0, 36_000.0);
        let levels = of(&[200_u16, 3000]);
        assert_eq!([0, 200, 1600, 3000, 9000].map(|v: u16| levels.level(v.value())), [0, 0, 128, 255, 255]);
    }

    #[test]
    fn photos_of_16_bits_keep_their_levels() {
        check(&[100_u16, 60_000], 0.0, 65_535.0);
        assert_eq!(of(&[100_u16, 60_000]).level(0x8081_u16.value()), 128);
    }

    #[test]
    fn constants_and_nothing_have_levels() {
        check(&[7_u16; 4], 0.0, 65_535.0);
        check(&[0.25_f64; 4], 0.0, 1.0);
        check::<f32>(&[], 0.0, 1.0);
        check(&[f32::NAN, f32::INFINITY], 0.0, 1.0);
        assert_eq!(of(&[0.25_f64; 4]).level(0.25), 64);
    }

    #[test]
    fn numbers_that_are_not_finite_do_not_count() {
        let values = [f32::NAN, f32::NEG_INFINITY, 10.0, 20.0, f32::INFINITY];
        let levels = of(&values);
        assert_eq!(levels, Levels { low: 10.0, high: 20.0 });
        assert_eq!(values.map(|value| levels.level(value.value())), [0, 0, 0, 255, 255]);
        check(&[-1e308, 1.0, 2.0], 1.0, 2.0);
        check(&[-f64::MAX, f64::MAX], 0.0, 1.0);
    }

    #[test]
    fn few_outliers_do_not_make_the_rest_black() {
        let mut values: Vec<u16> = (0..30_000).map(|i| 200 + i % 2800).collect();
        values[..3].fill(65_535);
        check(&values, 200.0, 2999.0);
        values[..4].fill(65_535);
        check(&values, 0.0, 65_535.0);
        let mut values: Vec<f32> = (0..30_000).map(|i| (i % 100) as f32).collect();
        values[7] = -3.4e38;
        values[8] = 9999.0;
        check(&values, 0.0, 99.0);
        // A range that outliers only stretch a little is left alone.
        values[7] = -50.0;
        values[8] = 120.0;
        check(&values, -50.0, 120.0);
    }
}
