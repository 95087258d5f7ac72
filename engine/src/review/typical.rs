//! Typical values in a section of a track, so that only outliers are suspicious.

/// Number of consecutive values in a row. All values of a row share one median, that of the row and its two neighbors.
const ROW: usize = 16;

/// Returns the local median around each value, NaN excluded; zero if all values there are NaN.
pub(super) fn local_medians(values: &[f32]) -> Vec<f32> {
    let mut medians = Vec::with_capacity(values.len());
    for first in (0..values.len()).step_by(ROW) {
        let around = &values[first.saturating_sub(ROW)..(first + 2 * ROW).min(values.len())];
        let n = ROW.min(values.len() - first);
        medians.extend(std::iter::repeat_n(median(around.iter().copied()).unwrap_or(0.0), n));
    }
    medians
}

/// Returns the median of all values except NaN.
pub(super) fn median(values: impl Iterator<Item = f32>) -> Option<f32> {
    let mut values: Vec<f32> = values.filter(|value| !value.is_nan()).collect();
    let middle = values.len() / 2;
    (!values.is_empty()).then(|| *values.select_nth_unstable_by(middle, f32::total_cmp).1)
}

/// Returns the distance of each step from the local median beyond three times its local median; zero for NaN steps.
pub(super) fn surprises(steps: &[[f32; 2]]) -> Vec<f32> {
    let usual = [0, 1].map(|i| local_medians(&steps.iter().map(|step| step[i]).collect::<Vec<f32>>()));
    let off: Vec<f32> =
        steps.iter().enumerate().map(|(i, step)| distance(*step, [usual[0][i], usual[1][i]])).collect();
    let usually_off = local_medians(&off);
    off.iter().zip(usually_off).map(|(off, usually)| (off - 3.0 * usually).max(0.0)).collect()
}

pub(super) fn distance(a: [f32; 2], b: [f32; 2]) -> f32 {
    (a[0] - b[0]).hypot(a[1] - b[1])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_outliers_are_surprises() {
        let mut steps: Vec<[f32; 2]> = (0..100).map(|i| [5.0 + (i % 3) as f32 * 0.1, -2.0]).collect();
        steps[40] = [5.0, 3.0];
        steps[60] = [f32::NAN; 2];
        let surprises = surprises(&steps);
        let out: Vec<usize> = (0..100).filter(|&i| surprises[i] > 0.0).collect();
        assert_eq!(out, [40]);
        assert!((surprises[40] - 4.7).abs() < 0.3);
    }

    #[test]
    fn medians_are_local_and_exclude_nan() {
        let values: Vec<f32> = (0..100).map(|i| if i < 50 { 1.0 } else { 7.0 }).collect();
        let medians = local_medians(&values);
        assert_eq!((medians[0], medians[99], medians.len()), (1.0, 7.0, 100));
        assert_eq!(local_medians(&[f32::NAN, f32::NAN]), [0.0, 0.0]);
        assert_eq!(median([f32::NAN, 3.0].into_iter()), Some(3.0));
    }
}
