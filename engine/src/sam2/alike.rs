//! Visual similarity of two objects: their image features, averaged over their masks at three scales.
//!
//! The encoder was trained to separate objects, not to name them, so similar objects share color, texture and rough
//! shape.

use super::image::{Features, ImageModel, Logits};
use crate::nn::RuntimeError;

/// Image features at three scales, one row per pixel.
pub struct Looks {
    /// Strides 4, 8 and 16.
    levels: [Level; 3],
}

/// Feature rows of one scale of an image, row-major: `[side * side, channels]`.
struct Level {
    side: usize,
    rows: Vec<f32>,
    spread: Spread,
}

/// Mean and standard deviation of each channel over an image.
#[derive(Clone)]
struct Spread {
    mean: Vec<f32>,
    deviation: Vec<f32>,
}

/// The appearance of an object, for comparison with others.
#[derive(Clone)]
pub struct Appearance {
    /// Mean features at each scale, with the channel statistics of the image that contains the object.
    levels: Vec<(Vec<f32>, Spread)>,
    /// Share of its bounding box that the object fills, 0 to 1.
    fill: f32,
    /// Area in pixels of the mask logits (stride 4).
    area: f32,
}

/// Index of the scale at which single positions are compared: stride 8.
const MIDDLE: usize = 1;

impl Looks {
    /// Reads the features of an image that `model` has encoded.
    ///
    /// # Errors
    /// If ONNX Runtime fails.
    pub fn of(features: &Features, model: &ImageModel) -> Result<Self, RuntimeError> {
        let grid = model.config().grid();
        let level = |values: &[f32], n_levels: u32| {
            let side = grid << n_levels;
            let channels = values.len() / (side * side);
            let row = |place: usize| {
                let at = in_cells(place % side, place / side, grid, n_levels);
                &values[at * channels..][..channels]
            };
            let rows: Vec<f32> = (0..side * side).flat_map(row).copied().collect();
            Level { side, spread: Spread::of(&rows, channels), rows }
        };
        let [fine, middle, coarse] = model.fetch(features)?;
        Ok(Self { levels: [level(fine.floats(), 2), level(middle.floats(), 1), level(coarse.floats(), 0)] })
    }

    /// Returns the appearance of the object under a mask, or `None` if the mask is empty.
    pub fn appearance(&self, logits: &Logits) -> Option<Appearance> {
        let side = logits.side;
        let on: Vec<(usize, usize)> =
            (0..side * side).filter(|&i| logits.values[i] > 0.0).map(|i| (i % side, i / side)).collect();
        if on.is_empty() {
            return None;
        }
        let mean = |level: &Level| {
            let channels = level.spread.mean.len();
            let mut sum = vec![0.0; channels];
            for (x, y) in &on {
                let place = y * level.side / side * level.side + x * level.side / side;
                sum.iter_mut().zip(&level.rows[place * channels..]).for_each(|(sum, value)| *sum += value);
            }
            sum.iter_mut().for_each(|sum| *sum /= on.len() as f32);
            (sum, level.spread.clone())
        };
        let extent = |along: fn(&(usize, usize)) -> usize| {
            let (low, high) =
                on.iter().map(along).fold((side, 0), |(low, high), v| (low.min(v), high.max(v)));
            (high + 1 - low) as f32
        };
        let area = on.len() as f32;
        let fill = area / (extent(|at| at.0) * extent(|at| at.1));
        Some(Appearance { levels: self.levels.iter().map(mean).collect(), fill, area })
    }

    /// Returns the similarity of each position to `thing`, -1 to 1 and row-major, and the number of positions along an
    /// edge.
    pub fn likeness(&self, thing: &Appearance) -> (Vec<f32>, usize) {
        let level = &self.levels[MIDDLE];
        let (mean, spread) = &thing.levels[MIDDLE];
        let spread = spread.between(&level.spread);
        let wanted = spread.apply(mean);
        let rows = level.rows.chunks_exact(mean.len());
        (rows.map(|row| cosine(&spread.apply(row), &wanted)).collect(), level.side)
    }
}

impl Appearance {
    /// Returns the similarity of two objects, 0 to 1.
    pub fn likeness(&self, other: &Self) -> f32 {
        let levels = self.levels.iter().zip(&other.levels);
        let cosines = levels.map(|((a, of_a), (b, of_b))| {
            let spread = of_a.between(of_b);
            cosine(&spread.apply(a), &spread.apply(b))
        });
        let looks = cosines.sum::<f32>() / self.levels.len() as f32;
        let shape = (1.0 - (self.fill - other.fill).abs()).powi(2);
        // Objects of one class differ in size, but rarely by much.
        let size = (self.area / other.area).min(other.area / self.area).powf(0.15);
        looks.max(0.0) * shape * size
    }
}

impl Spread {
    fn of(rows: &[f32], channels: usize) -> Self {
        let n = (rows.len() / channels) as f32;
        let (mut sum, mut squares) = (vec![0.0_f32; channels], vec![0.0_f32; channels]);
        for row in rows.chunks_exact(channels) {
            for ((sum, square), value) in sum.iter_mut().zip(&mut squares).zip(row) {
                *sum += value;
                *square += value * value;
            }
        }
        let mean: Vec<f32> = sum.iter().map(|sum| sum / n).collect();
        let variance = squares.iter().zip(&mean).map(|(square, mean)| square / n - mean * mean);
        Self { deviation: variance.map(|v| v.max(1e-12).sqrt()).collect(), mean }
    }

    fn between(&self, other: &Self) -> Self {
        let mean = |a: &[f32], b: &[f32]| a.iter().zip(b).map(|(a, b)| f32::midpoint(*a, *b)).collect();
        Self { mean: mean(&self.mean, &other.mean), deviation: mean(&self.deviation, &other.deviation) }
    }

    fn apply(&self, row: &[f32]) -> Vec<f32> {
        row.iter().zip(&self.mean).zip(&self.deviation).map(|((v, mean), d)| (v - mean) / d).collect()
    }
}

fn cosine(a: &[f32], b: &[f32]) -> f32 {
    let dot = |a: &[f32], b: &[f32]| a.iter().zip(b).map(|(a, b)| a * b).sum::<f32>();
    dot(a, b) / (dot(a, a) * dot(b, b)).sqrt().max(1e-12)
}

/// Returns the index of pixel (x, y) in cell order (see `cells`).
fn in_cells(x: usize, y: usize, grid: usize, n_levels: u32) -> usize {
    let mut at = (y >> n_levels) * grid + (x >> n_levels);
    for level in (0..n_levels).rev() {
        at = 4 * at + 2 * (y >> level & 1) + (x >> level & 1);
    }
    at
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cell_order_matches_the_graphs() {
        // A grid of 2 x 2 cells; each cell has four quarters of four pixels.
        assert_eq!(in_cells(0, 0, 2, 2), 0);
        assert_eq!(in_cells(1, 0, 2, 2), 1);
        assert_eq!(in_cells(0, 1, 2, 2), 2);
        assert_eq!(in_cells(2, 0, 2, 2), 4);
        assert_eq!(in_cells(0, 2, 2, 2), 8);
        assert_eq!(in_cells(4, 0, 2, 2), 16);
        assert_eq!(in_cells(7, 7, 2, 2), 63);
        assert_eq!(in_cells(1, 1, 2, 0), 3);
    }
}
