//! Optical flow between two frames: [dense inverse search](https://arxiv.org/abs/1603.03590) (Kroeger, Timofte, Dai and
//! Van Gool, 2016) without variational refinement. Patches of one frame are searched for in the other, from coarse to
//! fine, and the flow of a pixel is the weighted mean over the patches that contain it.

use std::ops::Range;

use crate::{
    geometry::Size,
    mask::{resize_bilinear_antialias, sample_bilinear},
};

/// Side of a patch and distance between neighboring patches, in pixels.
const PATCH: usize = 8;
const STRIDE: usize = 4;
const N: usize = PATCH * PATCH;
/// Maximum number of pyramid levels, each half the size of the previous one.
const LEVELS: usize = 4;
/// Maximum number of search steps per level, and the step length in pixels below which the search ends.
const STEPS: usize = 8;
const SETTLED: f32 = 0.02;
/// Damping of the Gauss-Newton steps, which keeps patches without texture where they are.
const DAMPING: f32 = N as f32;

/// A plane of floats.
pub(super) struct Plane {
    pub(super) size: Size,
    /// Row-major.
    pub(super) values: Vec<f32>,
}

impl Plane {
    /// Interpolates bilinearly at column `x` and row `y`, where integers are pixel centers; positions outside take the
    /// nearest pixel.
    pub(super) fn at(&self, x: f32, y: f32) -> f32 {
        sample_bilinear(&self.values, self.size, x, y)
    }

    /// Returns the patch whose top left corner is at this position, which need not be an integer; positions outside
    /// take the nearest pixel.
    fn patch(&self, left: f32, top: f32) -> [f32; N] {
        let Size { width, height } = self.size;
        let (whole_x, whole_y) = (left.floor(), top.floor());
        let (right, down) = (left - whole_x, top - whole_y);
        let nearest = |i: f32, n: usize| i.clamp(0.0, (n - 1) as f32) as usize;
        let columns: [usize; PATCH + 1] = std::array::from_fn(|i| nearest(whole_x + i as f32, width));
        let rows: [[f32; PATCH]; PATCH + 1] = std::array::from_fn(|i| {
            let row = &self.values[nearest(whole_y + i as f32, height) * width..][..width];
            let values = columns.map(|x| row[x]);
            std::array::from_fn(|x| values[x] + right * (values[x + 1] - values[x]))
        });
        let value = |i: usize| {
            let (x, y) = (i % PATCH, i / PATCH);
            rows[y][x] + down * (rows[y + 1][x] - rows[y][x])
        };
        std::array::from_fn(value)
    }

    fn halved(&self) -> Self {
        let size = Size::new(self.size.width.div_ceil(2), self.size.height.div_ceil(2));
        Self { size, values: resize_bilinear_antialias(&self.values, self.size, size) }
    }
}

/// Returns the frame and successively halved copies of it.
pub(super) fn pyramid(frame: Plane) -> Vec<Plane> {
    let is_large = |plane: &Plane| plane.size.width.min(plane.size.height) >= 4 * PATCH;
    let halved = |plane: &Plane| is_large(plane).then(|| plane.halved());
    std::iter::successors(Some(frame), halved).take(LEVELS).collect()
}

/// Optical flow from part of one frame to another frame.
pub(super) struct Motion {
    /// Columns and rows of the part.
    part: [Range<usize>; 2],
    /// Offsets in pixels to the right and down, row-major.
    offsets: Vec<[f32; 2]>,
}

impl Motion {
    /// Computes the flow of a part (columns and rows, not empty) of a frame. Both frames are pyramids of the same size
    /// with brightness from 0 to 255.
    pub(super) fn of(frame: &[Plane], other: &[Plane], part: &[Range<usize>; 2]) -> Self {
        let still = Self { part: [0..1, 0..1], offsets: vec![[0.0; 2]] };
        frame.iter().zip(other).enumerate().rev().fold(still, |coarse, (level, (frame, other))| {
            let reach = |range: &Range<usize>, n: usize| {
                (range.start >> level).saturating_sub(PATCH)..((range.end >> level) + PATCH).min(n)
            };
            let part = [reach(&part[0], frame.size.width), reach(&part[1], frame.size.height)];
            coarse.refined(frame, other, part)
        })
    }

    /// Refines the flow at twice the size.
    fn refined(&self, frame: &Plane, other: &Plane, part: [Range<usize>; 2]) -> Self {
        let [columns, rows] = &part;
        // Per pixel: the sums of the patches' offsets, weighted by how well each patch fits there, and the sum of
        // weights.
        let mut sums = vec![[0.0_f32; 3]; columns.len() * rows.len()];
        for top in corners(rows) {
            for left in corners(columns) {
                let patch = Patch::of(frame, left, top);
                let [dx, dy] = self.at((left + PATCH / 2) / 2, (top + PATCH / 2) / 2);
                let [dx, dy] = patch.search(other, [2.0 * dx, 2.0 * dy]);
                let there = other.patch(left as f32 + dx, top as f32 + dy);
                for (i, (value, there)) in patch.values.iter().zip(there).enumerate() {
                    let (x, y) = (left + i % PATCH, top + i / PATCH);
                    if x >= columns.end || y >= rows.end {
                        continue;
                    }
                    let weight = 1.0 / (value - there).abs().max(1.0);
                    let sum = &mut sums[(y - rows.start) * columns.len() + x - columns.start];
                    *sum = [sum[0] + weight * dx, sum[1] + weight * dy, sum[2] + weight];
                }
            }
        }
        let offsets = sums.into_iter().map(|[x, y, weight]| [x / weight, y / weight]).collect();
        Self { part, offsets }
    }

    /// Returns the flow of a pixel, or of the nearest pixel of the part.
    pub(super) fn at(&self, x: usize, y: usize) -> [f32; 2] {
        let [columns, rows] = &self.part;
        let within = |i: usize, range: &Range<usize>| i.clamp(range.start, range.end - 1) - range.start;
        self.offsets[within(y, rows) * columns.len() + within(x, columns)]
    }
}

/// Returns the start positions of patches that cover a range.
fn corners(range: &Range<usize>) -> impl Iterator<Item = usize> {
    let last = range.end.saturating_sub(PATCH).max(range.start);
    (range.start..last).step_by(STRIDE).chain([last])
}

/// A patch of a frame that is searched for in another frame, assuming pure translation.
struct Patch {
    corner: [f32; 2],
    values: [f32; N],
    mean: f32,
    /// Derivatives by column and by row.
    gradients: [[f32; N]; 2],
    /// Inverse of the 2x2 matrix of summed gradient products (xx, xy, yy), with damping.
    inverse: [f32; 3],
}

impl Patch {
    /// Returns the patch with this top left pixel; positions outside take the nearest pixel.
    fn of(frame: &Plane, left: usize, top: usize) -> Self {
        let (left, top) = (left as f32, top as f32);
        let values = frame.patch(left, top);
        let slopes = |dx: f32, dy: f32| {
            let (after, before) = (frame.patch(left + dx, top + dy), frame.patch(left - dx, top - dy));
            std::array::from_fn(|i| 0.5 * (after[i] - before[i]))
        };
        let [x, y]: [[f32; N]; 2] = [slopes(1.0, 0.0), slopes(0.0, 1.0)];
        let (xx, xy, yy) = (dot(&x, &x) + DAMPING, dot(&x, &y), dot(&y, &y) + DAMPING);
        let determinant = xx * yy - xy * xy;
        Self {
            corner: [left, top],
            mean: values.iter().sum::<f32>() / N as f32,
            values,
            gradients: [x, y],
            inverse: [yy / determinant, -xy / determinant, xx / determinant],
        }
    }

    /// Returns the offset of the patch in another frame, near `guess`. Takes Gauss-Newton steps with the gradients of
    /// the patch itself (Baker and Matthews, "Equivalence and efficiency of image alignment algorithms", 2001).
    fn search(&self, other: &Plane, guess: [f32; 2]) -> [f32; 2] {
        let mut best = guess;
        let (mut difference, mut cost) = self.difference(other, guess);
        for _ in 0..STEPS {
            let [x, y] = self.gradients.each_ref().map(|gradient| dot(gradient, &difference));
            let [xx, xy, yy] = self.inverse;
            let step = [xx * x + xy * y, xy * x + yy * y];
            let next = [best[0] - step[0], best[1] - step[1]];
            let (next_difference, next_cost) = self.difference(other, next);
            if next_cost >= cost {
                break;
            }
            (best, difference, cost) = (next, next_difference, next_cost);
            if step[0].hypot(step[1]) < SETTLED {
                break;
            }
        }
        let is_near = (best[0] - guess[0]).hypot(best[1] - guess[1]) <= PATCH as f32;
        if is_near { best } else { guess }
    }

    /// Returns the difference of the other frame at this offset, without the difference of mean brightness, and its sum
    /// of squares.
    fn difference(&self, other: &Plane, [dx, dy]: [f32; 2]) -> ([f32; N], f32) {
        let there = other.patch(self.corner[0] + dx, self.corner[1] + dy);
        let brighter = there.iter().sum::<f32>() / N as f32 - self.mean;
        let difference: [f32; N] = std::array::from_fn(|i| there[i] - self.values[i] - brighter);
        (difference, dot(&difference, &difference))
    }
}

fn dot(a: &[f32; N], b: &[f32; N]) -> f32 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    const SIZE: Size = Size::new(120, 90);

    /// Returns bumps of several sizes, moved to the right and down.
    fn texture(dx: f32, dy: f32, brightness: f32) -> Vec<Plane> {
        let value = |i: usize| {
            let (x, y) = ((i % SIZE.width) as f32 - dx, (i / SIZE.width) as f32 - dy);
            let bumps = (x * 0.21).sin() * (y * 0.17).cos() + 0.6 * (x * 0.07 + y * 0.11).sin();
            let fine = 0.4 * (x * 0.53 - y * 0.31).sin();
            110.0 + 45.0 * (bumps + fine) + brightness
        };
        pyramid(Plane { size: SIZE, values: (0..SIZE.area()).map(value).collect() })
    }

    #[test]
    fn moved_texture_is_found() {
        for (dx, dy) in [(0.0, 0.0), (1.0, 0.0), (-2.5, 1.25), (6.0, -4.0), (9.0, 7.0)] {
            let motion = Motion::of(&texture(dx, dy, 12.0), &texture(0.0, 0.0, 0.0), &[30..90, 20..70]);
            for (x, y) in [(35, 25), (60, 45), (85, 65)] {
                let [x, y] = motion.at(x, y);
                let off = (x + dx).hypot(y + dy);
                assert!(off < 0.35, "moved by {dx} {dy}, found {x} {y}");
            }
        }
    }

    #[test]
    fn flat_area_does_not_move() {
        let flat = pyramid(Plane { size: Size::new(10, 7), values: vec![80.0; 70] });
        let motion = Motion::of(&flat, &flat, &[0..10, 0..7]);
        assert_eq!((motion.at(0, 0), motion.at(99, 99)), ([0.0; 2], [0.0; 2]));
    }
}
