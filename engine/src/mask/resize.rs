//! Planes of floats at another size, as PyTorch's `interpolate` makes them with `align_corners=False`.

use crate::geometry::Size;

/// Linear interpolation between the four nearest pixels; edges are repeated.
///
/// # Panics
/// If `plane` is not of size `from`.
pub fn resize_bilinear(plane: &[f32], from: Size, to: Size) -> Vec<f32> {
    resize(plane, from, to, nearest_two)
}

/// The same, but a pixel that covers several is their weighted mean (`antialias=True`).
///
/// # Panics
/// If `plane` is not of size `from`.
pub fn resize_bilinear_antialias(plane: &[f32], from: Size, to: Size) -> Vec<f32> {
    resize(plane, from, to, triangle)
}

/// Which pixels make one, and how much of each.
struct Taps {
    first: usize,
    weights: Vec<f32>,
}

fn nearest_two(n_from: usize, n_to: usize) -> Vec<Taps> {
    let scale = n_from as f64 / n_to as f64;
    let tap = |i: usize| {
        let at = ((i as f64 + 0.5) * scale - 0.5).max(0.0);
        let first = (at as usize).min(n_from - 1);
        let part = (at - first as f64) as f32;
        let weights = if first + 1 < n_from { vec![1.0 - part, part] } else { vec![1.0] };
        Taps { first, weights }
    };
    (0..n_to).map(tap).collect()
}

fn triangle(n_from: usize, n_to: usize) -> Vec<Taps> {
    let scale = n_from as f64 / n_to as f64;
    let support = scale.max(1.0);
    let tap = |i: usize| {
        let center = (i as f64 + 0.5) * scale;
        let first = (center - support + 0.5).max(0.0) as usize;
        let end = ((center + support + 0.5) as usize).min(n_from);
        let weight = |j: usize| (1.0 - (j as f64 + 0.5 - center).abs() / support).max(0.0);
        let total: f64 = (first..end).map(weight).sum();
        Taps { first, weights: (first..end).map(|j| (weight(j) / total) as f32).collect() }
    };
    (0..n_to).map(tap).collect()
}

fn resize(plane: &[f32], from: Size, to: Size, taps: fn(usize, usize) -> Vec<Taps>) -> Vec<f32> {
    assert_eq!(plane.len(), from.area(), "a plane of {from}");
    if from == to {
        return plane.to_vec();
    }
    if from.area() == 0 || to.area() == 0 {
        return vec![0.0; to.area()];
    }
    let across = taps(from.width, to.width);
    let mut narrowed = Vec::with_capacity(from.height * to.width);
    for row in plane.chunks_exact(from.width) {
        narrowed.extend(across.iter().map(|Taps { first, weights }| {
            weights.iter().zip(&row[*first..]).map(|(weight, value)| weight * value).sum::<f32>()
        }));
    }
    let mut out = vec![0.0; to.area()];
    for (out_row, Taps { first, weights }) in out.chunks_exact_mut(to.width).zip(taps(from.height, to.height))
    {
        for (weight, row) in weights.iter().zip(narrowed[first * to.width..].chunks_exact(to.width)) {
            for (sum, value) in out_row.iter_mut().zip(row) {
                *sum += weight * value;
            }
        }
    }
    out
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

    // torch.nn.functional.interpolate of the plane as [1, 1, 3, 4], mode="bilinear".
    #[test]
    fn bilinear_matches_pytorch() {
        check(&resize_bilinear(&PLANE, Size::new(4, 3), Size::new(5, 2)), &BILINEAR_5_2);
        check(&resize_bilinear(&PLANE, Size::new(4, 3), Size::new(2, 5)), &BILINEAR_2_5);
    }

    // The same with antialias=True.
    #[test]
    fn antialiased_matches_pytorch() {
        check(&resize_bilinear_antialias(&PLANE, Size::new(4, 3), Size::new(2, 2)), &ANTIALIASED_2_2);
        check(&resize_bilinear_antialias(&PLANE, Size::new(4, 3), Size::new(6, 1)), &ANTIALIASED_6_1);
    }

    #[test]
    fn the_same_size_changes_nothing() {
        check(&resize_bilinear_antialias(&PLANE, Size::new(4, 3), Size::new(4, 3)), &PLANE);
    }

    const BILINEAR_5_2: [f32; 10] =
        [1.50000, 3.07500, 3.12500, 4.00000, 7.50000, 6.00000, 6.52500, 4.81250, 2.80000, 2.62500];
    const BILINEAR_2_5: [f32; 10] =
        [3.00000, 5.00000, 2.40000, 5.00000, 1.50000, 5.00000, 5.40000, 3.20000, 8.00000, 2.00000];
    const ANTIALIASED_2_2: [f32; 4] = [2.48214, 4.73214, 5.20536, 3.48214];
    const ANTIALIASED_6_1: [f32; 6] = [3.57143, 3.78571, 3.83333, 3.16667, 4.14286, 5.28571];
}
