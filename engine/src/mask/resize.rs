//! Resizing of float planes, equal to PyTorch's `interpolate` with `align_corners=False`.

use std::ops::Range;

use crate::geometry::Size;

/// Resizes a row-major plane by linear interpolation between the four nearest pixels; edge pixels are repeated.
///
/// # Panics
/// If `plane` is not of size `from`.
pub fn resize_bilinear(plane: &[f32], from: Size, to: Size) -> Vec<f32> {
    let mut out = Vec::with_capacity(to.area());
    let whole = [0..to.width, 0..to.height];
    resize(plane, from, to, whole, nearest_two, |row| out.extend_from_slice(row));
    out
}

/// Resizes a plane like [`resize_bilinear`], but calculates only the columns and rows of `part`. Calls `each` with
/// one row at a time.
///
/// # Panics
/// If `plane` is not of size `from`, or the part reaches beyond `to`.
pub fn resize_bilinear_part(
    plane: &[f32],
    from: Size,
    to: Size,
    part: [Range<usize>; 2],
    each: impl FnMut(&[f32]),
) {
    resize(plane, from, to, part, nearest_two, each);
}

/// Resizes a plane like [`resize_bilinear`], but a new pixel that covers several old ones is their weighted mean
/// (`antialias=True`).
///
/// # Panics
/// If `plane` is not of size `from`.
pub fn resize_bilinear_antialias(plane: &[f32], from: Size, to: Size) -> Vec<f32> {
    let mut out = Vec::with_capacity(to.area());
    let whole = [0..to.width, 0..to.height];
    resize(plane, from, to, whole, triangle, |row| out.extend_from_slice(row));
    out
}

/// Interpolates the value at a point. `x` and `y` are in pixels from the center of the first pixel; points beyond the
/// edges get the nearest value.
///
/// # Panics
/// If `plane` is empty or not of size `size`.
pub fn sample_bilinear(plane: &[f32], size: Size, x: f32, y: f32) -> f32 {
    let Size { width, height } = size;
    let (x, y) = (x.clamp(0.0, (width - 1) as f32), y.clamp(0.0, (height - 1) as f32));
    let (left, top) = (x as usize, y as usize);
    let (right, bottom) = ((left + 1).min(width - 1), (top + 1).min(height - 1));
    let (dx, dy) = (x - left as f32, y - top as f32);
    let row = |y: usize| {
        let row = &plane[y * width..][..width];
        row[left] + dx * (row[right] - row[left])
    };
    row(top) + dy * (row(bottom) - row(top))
}

/// The source pixels and weights of each new pixel along one axis. All new pixels have the same number of sources; a
/// weight may be zero.
struct Taps {
    firsts: Vec<usize>,
    n_each: usize,
    /// Shape `[firsts, n_each]`.
    weights: Vec<f32>,
}

impl Taps {
    /// Creates taps from each new pixel's first source and weights, for `n_from` source pixels.
    fn new(n_from: usize, taps: &[(usize, Vec<f32>)]) -> Self {
        let n_each = taps.iter().map(|(_, weights)| weights.len()).max().unwrap_or(1);
        let firsts = taps.iter().map(|(first, _)| *first.min(&(n_from - n_each))).collect();
        let padded = taps.iter().flat_map(|(first, weights)| {
            let n_before = first.saturating_sub(n_from - n_each);
            let weights = std::iter::repeat_n(0.0, n_before).chain(weights.iter().copied());
            weights.chain(std::iter::repeat(0.0)).take(n_each)
        });
        Self { weights: padded.collect(), firsts, n_each }
    }

    fn iter(&self) -> impl Iterator<Item = (usize, &[f32])> {
        self.firsts.iter().copied().zip(self.weights.chunks_exact(self.n_each))
    }
}

fn nearest_two(n_from: usize, n_to: usize) -> Taps {
    let scale = n_from as f64 / n_to as f64;
    let tap = |i: usize| {
        let at = ((i as f64 + 0.5) * scale - 0.5).max(0.0);
        let first = (at as usize).min(n_from - 1);
        let part = (at - first as f64) as f32;
        (first, if first + 1 < n_from { vec![1.0 - part, part] } else { vec![1.0] })
    };
    Taps::new(n_from, &(0..n_to).map(tap).collect::<Vec<_>>())
}

fn triangle(n_from: usize, n_to: usize) -> Taps {
    let scale = n_from as f64 / n_to as f64;
    let support = scale.max(1.0);
    let tap = |i: usize| {
        let center = (i as f64 + 0.5) * scale;
        let first = (center - support + 0.5).max(0.0) as usize;
        let end = ((center + support + 0.5) as usize).min(n_from);
        let weight = |j: usize| (1.0 - (j as f64 + 0.5 - center).abs() / support).max(0.0);
        let total: f64 = (first..end).map(weight).sum();
        (first, (first..end).map(|j| (weight(j) / total) as f32).collect())
    };
    Taps::new(n_from, &(0..n_to).map(tap).collect::<Vec<_>>())
}

fn resize(
    plane: &[f32],
    from: Size,
    to: Size,
    [columns, rows]: [Range<usize>; 2],
    taps: fn(usize, usize) -> Taps,
    mut each_row: impl FnMut(&[f32]),
) {
    assert_eq!(plane.len(), from.area(), "a plane of {from}");
    assert!(columns.end <= to.width && rows.end <= to.height, "a part of a plane of {to}");
    if columns.is_empty() || rows.is_empty() {
        return;
    }
    if from == to {
        let rows = plane.chunks_exact(from.width).skip(rows.start).take(rows.len());
        return rows.for_each(|row| each_row(&row[columns.clone()]));
    }
    let mut out_row = vec![0.0; columns.len()];
    if from.area() == 0 {
        return rows.for_each(|_| each_row(&out_row));
    }
    let across = taps(from.width, to.width);
    let mut narrowed = Vec::with_capacity(from.height * columns.len());
    for row in plane.chunks_exact(from.width) {
        let taps = across.iter().skip(columns.start).take(columns.len());
        narrowed.extend(taps.map(|(first, weights)| match *weights {
            [a, b] => a * row[first] + b * row[first + 1],
            _ => weights.iter().zip(&row[first..]).map(|(weight, value)| weight * value).sum::<f32>(),
        }));
    }
    for (first, weights) in taps(from.height, to.height).iter().skip(rows.start).take(rows.len()) {
        let mut rows = weights.iter().zip(narrowed[first * columns.len()..].chunks_exact(columns.len()));
        if let Some((weight, row)) = rows.next() {
            out_row.iter_mut().zip(row).for_each(|(sum, value)| *sum = weight * value);
        }
        for (weight, row) in rows {
            out_row.iter_mut().zip(row).for_each(|(sum, value)| *sum += weight * value);
        }
        each_row(&out_row);
    }
}

/// Resizes `planes` of `from` x `from` to `to` x `to` like PyTorch's bicubic mode (A = -0.75, half-pixel centers, edges
/// repeated).
pub fn resize_bicubic(planes: &[f32], from: usize, to: usize) -> Vec<f32> {
    let taps: Vec<[(usize, f64); 4]> = (0..to)
        .map(|i| {
            let at = (i as f64 + 0.5) * from as f64 / to as f64 - 0.5;
            [-1.0, 0.0, 1.0, 2.0].map(|offset| {
                let tap = at.floor() + offset;
                (tap.clamp(0.0, from as f64 - 1.0) as usize, keys_kernel(at - tap))
            })
        })
        .collect();
    let mut out = Vec::with_capacity(planes.len() / (from * from) * to * to);
    for plane in planes.chunks_exact(from * from) {
        for row_taps in &taps {
            for column_taps in &taps {
                let sum: f64 = row_taps
                    .iter()
                    .map(|&(y, wy)| {
                        let along_x = column_taps.iter().map(|&(x, wx)| wx * f64::from(plane[y * from + x]));
                        wy * along_x.sum::<f64>()
                    })
                    .sum();
                out.push(sum as f32);
            }
        }
    }
    out
}

/// Returns the weight of a pixel at a distance by the cubic convolution kernel (Keys, 1981).
fn keys_kernel(distance: f64) -> f64 {
    const A: f64 = -0.75;
    let d = distance.abs();
    if d <= 1.0 {
        ((A + 2.0) * d - (A + 3.0)) * d * d + 1.0
    } else {
        ((A * d - 5.0 * A) * d + 8.0 * A) * d - 4.0 * A
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PLANE: [f32; 12] = [1.0, 5.0, 2.0, 8.0, 3.0, 0.0, 4.0, 6.0, 7.0, 9.0, 2.5, 1.5];

    #[track_caller]
    fn check(got: &[f32], want: &[f32]) {
        assert_eq!(got.len(), want.len());
        for (a, b) in got.iter().zip(want) {
            assert!((a - b).abs() < 1e-4, "{got:?} is not {want:?}");
        }
    }

    // Expected: torch.nn.functional.interpolate of the plane as [1, 1, 3, 4], mode="bilinear".
    #[test]
    fn bilinear_matches_pytorch() {
        check(&resize_bilinear(&PLANE, Size::new(4, 3), Size::new(5, 2)), &BILINEAR_5_2);
        check(&resize_bilinear(&PLANE, Size::new(4, 3), Size::new(2, 5)), &BILINEAR_2_5);
    }

    #[test]
    fn resized_part_equals_crop_of_whole() {
        let (from, to) = (Size::new(4, 3), Size::new(9, 7));
        let whole = resize_bilinear(&PLANE, from, to);
        let mut part = Vec::new();
        resize_bilinear_part(&PLANE, from, to, [2..6, 3..5], |row| part.extend_from_slice(row));
        let cut: Vec<f32> = (3..5).flat_map(|y| whole[y * 9 + 2..y * 9 + 6].to_vec()).collect();
        assert_eq!(part, cut);
    }

    // Expected: torch.nn.functional.interpolate of the plane as [1, 1, 3, 4], mode="bilinear", antialias=True.
    #[test]
    fn antialiased_matches_pytorch() {
        check(&resize_bilinear_antialias(&PLANE, Size::new(4, 3), Size::new(2, 2)), &ANTIALIASED_2_2);
        check(&resize_bilinear_antialias(&PLANE, Size::new(4, 3), Size::new(6, 1)), &ANTIALIASED_6_1);
    }

    #[test]
    fn resizing_to_same_size_changes_nothing() {
        check(&resize_bilinear_antialias(&PLANE, Size::new(4, 3), Size::new(4, 3)), &PLANE);
    }

    const BILINEAR_5_2: [f32; 10] =
        [1.50000, 3.07500, 3.12500, 4.00000, 7.50000, 6.00000, 6.52500, 4.81250, 2.80000, 2.62500];
    const BILINEAR_2_5: [f32; 10] =
        [3.00000, 5.00000, 2.40000, 5.00000, 1.50000, 5.00000, 5.40000, 3.20000, 8.00000, 2.00000];
    const ANTIALIASED_2_2: [f32; 4] = [2.48214, 4.73214, 5.20536, 3.48214];
    const ANTIALIASED_6_1: [f32; 6] = [3.57143, 3.78571, 3.83333, 3.16667, 4.14286, 5.28571];

    #[test]
    fn bicubic_matches_pytorch() {
        // torch.nn.functional.interpolate(torch.tensor([[[[1., 2.], [3., 5.]]]]), size=4, mode="bicubic")
        let resized = resize_bicubic(&[1.0, 2.0, 3.0, 5.0], 2, 4);
        let rows = [[0.6947, 0.9917, 1.4809, 1.7779], [1.3238, 1.7310, 2.4018, 2.8091]];
        for (got, want) in resized.iter().zip(rows.as_flattened()) {
            assert!((got - want).abs() < 1e-4, "{resized:?}");
        }
    }
}
