//! Outlines simplified to few corners, for manual editing and export.

use std::ops::Range;

use super::{Outline, Polygon};
use crate::geometry::Point;

impl Outline {
    /// Simplifies the exterior and the holes, in this order, to polygons of fewer corners in image pixels (after
    /// Douglas and Peucker).
    ///
    /// No point of a polygon is more than `tolerance` pixels away from its section of the outline, nor the reverse.
    /// So only pixels whose centers are that near the outline can change between object and background. From a
    /// tolerance of 1, slanted edges lose their pixel steps. Each polygon keeps at least four corners.
    pub fn simplified(&self, tolerance: f32) -> Vec<Vec<Point>> {
        self.simplified_inside(tolerance, 0.0)
    }

    /// Simplifies the outline like [`Self::simplified`], then moves each corner `inset` pixels along both axes into
    /// the mask.
    pub fn simplified_inside(&self, tolerance: f32, inset: f32) -> Vec<Vec<Point>> {
        let rings = [&self.exterior].into_iter().chain(&self.holes);
        let tolerance = f64::from(tolerance.max(0.0));
        let moved = |ring| {
            let kept = kept(ring, tolerance).into_iter();
            kept.map(|i| {
                let [x, y] = ring[i].map(|v| v as f32);
                let [dx, dy] = inward(ring, i).map(|sign| inset * f32::from(sign));
                Point { x: x + dx, y: y + dy }
            })
        };
        rings.map(|ring| moved(ring).collect()).collect()
    }
}

/// Returns the signs of the direction from a corner into the mask, which lies on the right of the ring.
fn inward(ring: &Polygon, i: usize) -> [i8; 2] {
    let n = ring.len();
    let [before, corner, after] = [ring[(i + n - 1) % n], ring[i], ring[(i + 1) % n]];
    let right = |[x0, y0]: [u32; 2], [x1, y1]: [u32; 2]| [y0.cmp(&y1) as i8, x1.cmp(&x0) as i8];
    let (a, b) = (right(before, corner), right(corner, after));
    [a[0] + b[0], a[1] + b[1]]
}

/// Returns the indices of the corners of a ring that a simplified polygon keeps.
fn kept(ring: &Polygon, tolerance: f64) -> Vec<usize> {
    // The ring is split into two lines between `first` and `opposite`. Both are extreme corners, so simplification
    // would not drop them.
    let mut corners: Vec<[f64; 2]> = ring.iter().map(|corner| corner.map(f64::from)).collect();
    let first = farthest(&corners);
    corners.rotate_left(first);
    let opposite = farthest(&corners);
    corners.push(corners[0]);
    let end = corners.len() - 1;
    let mut is_kept = vec![false; end];
    is_kept[0] = true;
    is_kept[opposite] = true;
    // Each half always keeps its own farthest corner, so that the polygon has an area even if the object is thin.
    let mut lines = vec![(0..opposite, 0.0), (opposite..end, 0.0)];
    while let Some((line, limit)) = lines.pop() {
        if let Some(corner) = farthest_from_chord(&corners, &line, limit) {
            is_kept[corner] = true;
            lines.extend([(line.start..corner, tolerance), (corner..line.end, tolerance)]);
        }
    }
    (0..end).filter(|i| is_kept[*i]).map(|i| (i + first) % end).collect()
}

/// Returns the index of the corner farthest from the first.
fn farthest(corners: &[[f64; 2]]) -> usize {
    let distance = |i: &usize| distance(corners[*i], [corners[0]; 2]);
    (0..corners.len()).max_by(|a, b| distance(a).total_cmp(&distance(b))).unwrap_or(0)
}

/// Returns the corner within `line` that is farthest from the chord between the ends of `line`, if farther than
/// `limit`.
fn farthest_from_chord(corners: &[[f64; 2]], line: &Range<usize>, limit: f64) -> Option<usize> {
    let chord = [corners[line.start], corners[line.end]];
    let distances = (line.start + 1..line.end).map(|i| (i, distance(corners[i], chord)));
    distances.max_by(|a, b| a.1.total_cmp(&b.1)).filter(|(_, distance)| *distance > limit).map(|(i, _)| i)
}

/// Returns the distance from a point to the line segment between two others.
fn distance([x, y]: [f64; 2], [[x0, y0], [x1, y1]]: [[f64; 2]; 2]) -> f64 {
    let (dx, dy) = (x1 - x0, y1 - y0);
    let length = (dx * dx + dy * dy).max(f64::MIN_POSITIVE);
    let along = (((x - x0) * dx + (y - y0) * dy) / length).clamp(0.0, 1.0);
    (x - x0 - along * dx).hypot(y - y0 - along * dy)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::{
        geometry::Size,
        mask::{
            Rle,
            testing::{any_mask, picture},
        },
    };

    /// Returns the distance from a point to the nearest side of a ring.
    fn distance_to_ring(at: [f64; 2], ring: &[[f64; 2]]) -> f64 {
        let sides = ring.iter().zip(ring.iter().cycle().skip(1));
        sides.map(|(a, b)| distance(at, [*a, *b])).fold(f64::INFINITY, f64::min)
    }

    fn halfway([x0, y0]: [f64; 2], [x1, y1]: [f64; 2]) -> [f64; 2] {
        [(x0 + x1) / 2.0, (y0 + y1) / 2.0]
    }

    fn within(points: &[[f64; 2]], ring: &[[f64; 2]], tolerance: f32) -> bool {
        let near = |at| distance_to_ring(at, ring) <= f64::from(tolerance) + 1e-9;
        points.iter().zip(points.iter().cycle().skip(1)).all(|(a, b)| near(*a) && near(halfway(*a, *b)))
    }

    proptest! {
        #[test]
        fn simplified_stays_within_tolerance(mask in any_mask(), tolerance in 0.0..5.0_f32) {
            for outline in Outline::all_of(&mask) {
                let simple = outline.simplified(tolerance);
                let rings: Vec<&Polygon> = [&outline.exterior].into_iter().chain(&outline.holes).collect();
                prop_assert_eq!(simple.len(), rings.len());
                for (simple, ring) in simple.iter().zip(rings) {
                    let ring: Vec<[f64; 2]> = ring.iter().map(|corner| corner.map(f64::from)).collect();
                    let simple: Vec<[f64; 2]> = simple.iter().map(|p| [p.x, p.y].map(f64::from)).collect();
                    prop_assert!(simple.len() >= 4);
                    prop_assert!(within(&ring, &simple, tolerance));
                    prop_assert!(within(&simple, &ring, tolerance));
                }
            }
        }

        #[test]
        fn only_pixels_near_the_outline_change(mask in any_mask(), tolerance in 0.0..3.0_f32) {
            let outlines = Outline::all_of(&mask);
            let rings: Vec<Vec<[f64; 2]>> = outlines
                .iter()
                .flat_map(|outline| [&outline.exterior].into_iter().chain(&outline.holes))
                .map(|ring| ring.iter().map(|corner| corner.map(f64::from)).collect())
                .collect();
            let simple: Vec<Vec<Point>> = outlines.iter().flat_map(|o| o.simplified(tolerance)).collect();
            let after = Rle::of_polygons(&simple, mask.size()).decode();
            for i in (0..mask.bits().len()).filter(|&i| mask.bits()[i] != after.bits()[i]) {
                let center = [i % mask.size().width, i / mask.size().width].map(|v| v as f64 + 0.5);
                let nearest = rings.iter().map(|r| distance_to_ring(center, r)).fold(f64::INFINITY, f64::min);
                prop_assert!(nearest <= f64::from(tolerance) + 1e-9);
            }
        }

        #[test]
        fn zero_tolerance_keeps_all_corners(
            mask in any_mask(),
            none in prop::sample::select(&[0.0, -1.0, f32::NAN]),
        ) {
            for outline in Outline::all_of(&mask) {
                prop_assert_eq!(outline.simplified(none)[0].len(), outline.exterior.len());
            }
        }
    }

    #[test]
    fn disc_is_simplified_to_few_corners() {
        let disc = Rle::stroke(&[Point { x: 150.0, y: 150.0 }], 100.0, Size::square(300));
        let polygons = Outline::of_rle(&disc)[0].simplified(1.5);
        assert!(polygons[0].len() < 40, "{} corners", polygons[0].len());
        assert!(Rle::of_polygons(&polygons, disc.size()).iou(&disc) > 0.98);
    }

    #[test]
    fn holes_and_thin_parts_keep_four_corners() {
        let outlines = Outline::all_of(&picture(&["###...", "#.#...", "###..#"]));
        let n_corners = |outline: &Outline| outline.simplified(9.0).iter().map(Vec::len).collect::<Vec<_>>();
        assert_eq!(outlines.iter().map(n_corners).collect::<Vec<_>>(), [vec![4, 4], vec![4]]);
    }
}
