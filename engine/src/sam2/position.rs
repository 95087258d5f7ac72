//! Position encodings: sine, Fourier and rotary.

use std::f64::consts::TAU;

/// Base of the wavelengths of sine and rotary encodings.
const TEMPERATURE: f64 = 10_000.0;

/// Returns the sine encoding of a `side` x `side` grid, `[side * side, channels]`: half of the channels for y, then
/// half for x, with sines at even and cosines at odd channels.
///
/// Mirrors `PositionEmbeddingSine` with `normalize=True`.
pub(super) fn sine_2d(side: usize, channels: usize) -> Vec<f32> {
    let half = channels / 2;
    let axis: Vec<Vec<f32>> = (1..=side)
        .map(|i| {
            let angle = i as f64 / (side as f64 + 1e-6) * TAU;
            (0..half)
                .map(|c| {
                    let phase = angle / TEMPERATURE.powf((2 * (c / 2)) as f64 / half as f64);
                    (if c % 2 == 0 { phase.sin() } else { phase.cos() }) as f32
                })
                .collect()
        })
        .collect();
    let mut out = Vec::with_capacity(side * side * channels);
    for y in &axis {
        for x in &axis {
            out.extend_from_slice(y);
            out.extend_from_slice(x);
        }
    }
    out
}

/// Returns the sines and then the cosines of `position`: `[channels]`. Mirrors `get_1d_sine_pe`.
pub(super) fn sine_1d(position: f64, channels: usize) -> Vec<f32> {
    let half = channels / 2;
    let phases = (0..half).map(|c| position / TEMPERATURE.powf((2 * (c / 2)) as f64 / half as f64));
    let phases: Vec<f64> = phases.collect();
    phases.iter().map(|p| p.sin()).chain(phases.iter().map(|p| p.cos())).map(|v| v as f32).collect()
}

/// Returns Fourier features of a `side` x `side` grid under the random matrix `gaussian` `[2, channels / 2]`:
/// `[side * side, channels]`. Mirrors `PositionEmbeddingRandom.forward`.
pub(super) fn fourier_grid(side: usize, gaussian: &[f32]) -> Vec<f32> {
    let half = gaussian.len() / 2;
    let (of_x, of_y) = gaussian.split_at(half);
    let center = |i: usize| 2.0 * (i as f64 + 0.5) / side as f64 - 1.0;
    let mut out = Vec::with_capacity(side * side * 2 * half);
    for y in (0..side).map(center) {
        for x in (0..side).map(center) {
            let phase = |(gx, gy): (&f32, &f32)| TAU * (x * f64::from(*gx) + y * f64::from(*gy));
            let phases: Vec<f64> = of_x.iter().zip(of_y).map(phase).collect();
            out.extend(phases.iter().map(|p| p.sin() as f32));
            out.extend(phases.iter().map(|p| p.cos() as f32));
        }
    }
    out
}

/// Returns the cosines and sines that rotate the channel pairs of each grid position, `[side * side, channels / 2]`
/// each: half of the pairs by x, half by y. Mirrors `compute_axial_cis`.
pub(super) fn rope(side: usize, channels: usize) -> (Vec<f32>, Vec<f32>) {
    let quarter = channels / 4;
    let frequency = |pair: usize| TEMPERATURE.powf(-4.0 * pair as f64 / channels as f64);
    let angles = (0..side * side).flat_map(|token| {
        let along = move |at: usize| (0..quarter).map(move |pair| at as f64 * frequency(pair));
        along(token % side).chain(along(token / side))
    });
    angles.map(|angle| (angle.cos() as f32, angle.sin() as f32)).unzip()
}

/// Reorders the rows of a `[rows, columns]` matrix: the pairs (0, 1), (2, 3), … that rotary encoding rotates become (0,
/// n/2), (1, n/2 + 1), …. Both halves are then contiguous and the rotation needs no interleaving.
pub(super) fn even_then_odd_rows(matrix: &[f32], n_rows: usize) -> Vec<f32> {
    let rows: Vec<&[f32]> = matrix.chunks(matrix.len() / n_rows).collect();
    rows.iter().step_by(2).chain(rows.iter().skip(1).step_by(2)).flat_map(|row| row.iter().copied()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn even_rows_come_before_odd_rows() {
        assert_eq!(
            even_then_odd_rows(&[0.0, 0.1, 1.0, 1.1, 2.0, 2.1, 3.0, 3.1], 4),
            [0.0, 0.1, 2.0, 2.1, 1.0, 1.1, 3.0, 3.1]
        );
    }
}
