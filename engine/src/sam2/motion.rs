//! How what is seen has moved from one frame to another: dense inverse search (Kroeger, Timofte, Dai and Van Gool, 2016)
//! without its variational refinement. Patches of a frame are searched for in the other, from coarse to fine, and each
//! pixel follows those that it lies in.

use std::ops::Range;

use crate::{
    geometry::Size,
    mask::{resize_bilinear_antialias, sample_bilinear},
};

/// Side of a patch, and how far patches lie apart, in pixels.
const PATCH: usize = 8;
const STRIDE: usize = 4;
const N: usize = PATCH * PATCH;
/// Levels of the pyramid, each half as large as the one before.
const LEVELS: usize = 4;
/// A patch is moved this often on a level, unless it moves less than so many pixels.
const STEPS: usize = 8;
const SETTLED: f32 = 0.02;
/// Keeps patches without texture where they are.
const DAMPING: f32 = N as f32;

/// A plane of floats.
pub(super) struct Plane {
    pub(super) size: Size,
    /// Row-major.
    pub(super) values: Vec<f32>,
}

impl Plane {
    /// Between the middles of four pixels, in their columns and rows; beyond the edges the nearest.
    pub(super) fn at(&self, x: f32, y: f32) -> f32 {
        sample_bilinear(&self.values, self.size, x, y)
    }

    /// A patch whose top left pixel this is, which need not be a whole one; beyond the edges the nearest.
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

/// A frame, and the same halved again and again.
pub(super) fn pyramid(frame: Plane) -> Vec<Plane> {
    let is_large = |plane: &Plane| plane.size.width.min(plane.size.height) >= 4 * PATCH;
    let halved = |plane: &Plane| is_large(plane).then(|| plane.halved());
    std::iter::successors(Some(frame), halved).take(LEVELS).collect()
}

/// For the pixels of a part of one frame, where they are in another.
pub(super) struct Motion {
    /// Columns and rows.
    part: [Range<usize>; 2],
    /// Right and down, row-major.
    offsets: Vec<[f32; 2]>,
}

impl Motion {
    /// Of a part (columns and rows, not empty) of a frame; both frames are pyramids of one size, which tell brightness, 0 to
    /// 255.
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

    /// The motion at twice the size.
    fn refined(&self, frame: &Plane, other: &Plane, part: [Range<usize>; 2]) -> Self {
        let [columns, rows] = &part;
        // The sum of the offsets of the patches that a pixel lies in, by how well each fits there, and of the weights.
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

    /// Of a pixel, or the nearest one in the part.
    pub(super) fn at(&self, x: usize, y: usize) -> [f32; 2] {
        let [columns, rows] = &self.part;
        let within = |i: usize, range: &Range<usize>| i.clamp(range.start, range.end - 1) - range.start;
        self.offsets[within(y, rows) * columns.len() + within(x, columns)]
    }
}

/// Where patches begin, so that each pixel of a range lies in one.
fn corners(range: &Range<usize>) -> impl Iterator<Item = usize> {
    let last = range.end.saturating_sub(PATCH).max(range.start);
    (range.start..last).step_by(STRIDE).chain([last])
}

/// A piece of a frame that is searched for in another, as if it moved without turning or changing.
struct Patch {
    corner: [f32; 2],
    values: [f32; N],
    mean: f32,
    /// By column and by row.
    gradients: [[f32; N]; 2],
    /// The inverse of the sums of the gradients' products: xx, xy, yy.
    inverse: [f32; 3],
}

impl Patch {
    /// The one whose top left pixel this is; beyond the edges the nearest pixels.
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

    /// How far away it is in another frame, near a guess; Gauss-Newton steps with its own gradients (Baker and Matthews,
    /// 2001).
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

    /// By how much the other frame differs there, apart from being brighter or darker as a whole, and the square of that.
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

    /// Bumps of many sizes, moved right and down.
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
    fn a_texture_is_found_where_it_was() {
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
    fn what_has_no_texture_does_not_move() {
        let flat = pyramid(Plane { size: Size::new(10, 7), values: vec![80.0; 70] });
        let motion = Motion::of(&flat, &flat, &[0..10, 0..7]);
        assert_eq!((motion.at(0, 0), motion.at(99, 99)), ([0.0; 2], [0.0; 2]));
    }
}
