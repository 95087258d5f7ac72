//! Polygons as masks, pixel for pixel those that pycocotools makes; and masks as polygons.
//!
//! Its rule: corners are rounded to fifths of a pixel and joined by lines of such small steps. Wherever a line crosses the
//! middle of a column of pixels, the mask changes there between off and on, from the next pixel's center down.

mod fill;

use crate::{
    geometry::{Point, Size},
    mask::{Outline, Rle, RleError},
};

/// Steps a pixel.
const STEPS: i64 = 5;

/// The longest outline that is followed, and the farthest corner, in pixels; no honest polygon comes near.
const LONGEST: f64 = (1 << 24) as f64;

/// Why a polygon is no mask.
#[derive(Clone, Debug, thiserror::Error)]
pub(super) enum PolygonError {
    #[error("a polygon reaches far beyond any image, or a coordinate is no number")]
    TooLong,
    #[error("a polygon: {0}")]
    Rle(#[from] RleError),
}

/// The mask of all pixels that lie in any of the polygons, each told as `x, y, x, y, …` in pixels.
pub(super) fn rasterize(polygons: &[Vec<f64>], size: Size) -> Result<Rle, PolygonError> {
    let mut union = Rle::from_runs(size, [size.area() as u32])?;
    for polygon in polygons {
        union = union.union(&rasterize_one(polygon, size)?);
    }
    Ok(union)
}

fn rasterize_one(polygon: &[f64], size: Size) -> Result<Rle, PolygonError> {
    let corners: Vec<[f64; 2]> = polygon.chunks_exact(2).map(|xy| [xy[0], xy[1]]).collect();
    let edges = || corners.iter().zip(corners.iter().cycle().skip(1));
    let length: f64 = edges().map(|(a, b)| (a[0] - b[0]).abs().max((a[1] - b[1]).abs())).sum();
    let is_near = corners.iter().flatten().all(|coordinate| coordinate.abs() <= LONGEST);
    if !is_near || length > LONGEST {
        return Err(PolygonError::TooLong);
    }
    let mut changes = Vec::new();
    let mut last = None;
    for (from, to) in edges() {
        for point in line(from.map(step_of), to.map(step_of)) {
            changes.extend(last.and_then(|last| crossing(last, point, size)));
            last = Some(point);
        }
    }
    changes.sort_unstable();
    changes.push(size.area() as u32);
    let mut at = 0;
    let runs = changes.into_iter().map(|change| change - std::mem::replace(&mut at, change));
    Ok(Rle::from_runs(size, runs)?)
}

/// A coordinate in steps.
fn step_of(coordinate: f64) -> i64 {
    (STEPS as f64 * coordinate + 0.5) as i64
}

/// The points of a line from one corner to the other: one for each step along the longer side. The line between two corners
/// is the same in both directions.
fn line([x0, y0]: [i64; 2], [x1, y1]: [i64; 2]) -> impl Iterator<Item = [i64; 2]> {
    let (dx, dy) = (x1.abs_diff(x0) as i64, y1.abs_diff(y0) as i64);
    let flat = dx >= dy;
    // `along` is the longer side, `across` the other.
    let (along, across, length) = if flat { ([x0, x1], [y0, y1], dx) } else { ([y0, y1], [x0, x1], dy) };
    let backward = along[0] > along[1];
    let (first, second) = if backward { (1, 0) } else { (0, 1) };
    let slope = (across[second] - across[first]) as f64 / length.max(1) as f64;
    (0..=length).map(move |step| {
        let step = if backward { length - step } else { step };
        let there = (across[first] as f64 + slope * step as f64 + 0.5) as i64;
        if flat { [along[first] + step, there] } else { [there, along[first] + step] }
    })
}

/// Where the mask changes, as a place in column-major order, if the middle of a column of the image lies between two points
/// that follow one another.
fn crossing(last: [i64; 2], point: [i64; 2], size: Size) -> Option<u32> {
    let left = last[0].min(point[0]);
    let column = left.div_euclid(STEPS);
    let crosses = last[0] != point[0] && left.rem_euclid(STEPS) == STEPS / 2;
    (crosses && (0..size.width as i64).contains(&column)).then(|| {
        let row = (last[1].min(point[1]) + STEPS / 2).div_euclid(STEPS).clamp(0, size.height as i64);
        (column * size.height as i64 + row) as u32
    })
}

/// A mask as polygons.
pub(super) struct Drawn {
    /// Each as `x, y, x, y, …` in pixels. A hole is reached by a line that is gone along twice.
    pub(super) polygons: Vec<Vec<f32>>,
    /// What the polygons enclose.
    pub(super) mask: Rle,
    /// How much that is like the mask.
    pub(super) iou: f64,
}

/// Returns a mask as one polygon for each of its parts, no farther than `tolerance` pixels from its outline.
pub(super) fn drawn(mask: &Rle, tolerance: f32) -> Drawn {
    let parts = Outline::of_rle(mask).into_iter().map(|outline| joined(outline.simplified(tolerance)));
    measured(mask, parts.collect())
}

/// Returns a mask as one polygon, whose parts are joined by lines that are passed twice.
pub(super) fn drawn_as_one(mask: &Rle, tolerance: f32) -> Drawn {
    let parts = Outline::of_rle(mask).into_iter().map(|outline| joined(outline.simplified(tolerance)));
    measured(mask, vec![joined(parts.collect())])
}

/// Returns a mask as one polygon for readers that fill polygons as OpenCV does, and what they make of it.
///
/// The polygon is no farther than `tolerance` pixels from the outline, and nearer where readers would otherwise get less
/// than an IoU of 0.98. Corners lie within their pixels, a quarter of a pixel from the outline: readers that truncate them
/// and readers that fill up to the outline both get the mask.
pub(super) fn drawn_for_opencv(mask: &Rle, tolerance: f32) -> (Vec<f32>, f64) {
    const INSET: f32 = 0.25;
    const GOOD_IOU: f64 = 0.98;
    let outlines = Outline::of_rle(mask);
    let draw = |tolerance| {
        let rings = outlines.iter().map(|outline| joined(outline.simplified_inside(tolerance, INSET)));
        let ring = joined(rings.collect());
        let polygon: Vec<f32> = ring.into_iter().flat_map(|point| [point.x, point.y]).collect();
        let iou = fill::fill(&polygon, mask.size()).iou(mask);
        (polygon, iou)
    };
    let mut drawn = draw(tolerance);
    for nearer in [tolerance / 2.0, 0.0] {
        if drawn.1 >= GOOD_IOU {
            break;
        }
        let other = draw(nearer);
        if other.1 > drawn.1 {
            drawn = other;
        }
    }
    drawn
}

fn measured(mask: &Rle, rings: Vec<Vec<Point>>) -> Drawn {
    let polygons: Vec<Vec<f32>> = rings
        .into_iter()
        .map(|ring| ring.into_iter().flat_map(|point| [point.x, point.y]).collect())
        .collect();
    let exact: Vec<Vec<f64>> =
        polygons.iter().map(|polygon| polygon.iter().copied().map(f64::from).collect()).collect();
    let drawn = rasterize(&exact, mask.size()).unwrap_or_else(|_| Rle::empty(mask.size()));
    Drawn { polygons, iou: drawn.iou(mask), mask: drawn }
}

/// Joins closed lines to one, each to those before it at their nearest corners, by a line there and back.
fn joined(rings: Vec<Vec<Point>>) -> Vec<Point> {
    let mut rings = rings.into_iter();
    let mut all = rings.next().unwrap_or_default();
    for mut ring in rings {
        let Some((from, to)) = nearest(&all, &ring) else { continue };
        ring.rotate_left(to);
        let there_and_back = ring.clone().into_iter().chain([ring[0], all[from]]);
        all.splice(from + 1..from + 1, there_and_back).for_each(drop);
    }
    all
}

/// Returns the places of two corners that are nearest to each other, one of each line. Of many corners only every *n*th is
/// compared.
fn nearest(a: &[Point], b: &[Point]) -> Option<(usize, usize)> {
    const MAX_PAIRS: usize = 1 << 20;
    let every = (a.len() * b.len() / MAX_PAIRS).isqrt() + 1;
    let pairs =
        (0..a.len()).step_by(every).flat_map(|from| (0..b.len()).step_by(every).map(move |to| (from, to)));
    let distance = |(from, to): &(usize, usize)| {
        let (from, to) = (a[*from], b[*to]);
        (from.x - to.x).powi(2) + (from.y - to.y).powi(2)
    };
    pairs.min_by(|one, other| distance(one).total_cmp(&distance(other)))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::mask::testing::picture;

    fn pixels(polygons: &[&[f64]], size: Size) -> Rle {
        let polygons: Vec<Vec<f64>> = polygons.iter().map(|polygon| polygon.to_vec()).collect();
        rasterize(&polygons, size).unwrap()
    }

    #[test]
    fn a_rectangle_between_pixels_is_those_pixels_either_way_round() {
        let want = Rle::encode(&picture(&["......", ".###..", ".###..", "......"]));
        let size = want.size();
        assert_eq!(pixels(&[&[1.0, 1.0, 4.0, 1.0, 4.0, 3.0, 1.0, 3.0]], size), want);
        assert_eq!(pixels(&[&[1.0, 3.0, 4.0, 3.0, 4.0, 1.0, 1.0, 1.0, 1.0, 3.0]], size), want);
    }

    #[test]
    fn polygons_are_united_and_what_lies_beyond_the_image_is_cut() {
        let want = Rle::encode(&picture(&["##....", "####..", ".###..", "......"]));
        let (corner, middle) =
            ([-3.0, -2.0, 2.0, -2.0, 2.0, 2.0, -3.0, 2.0], [1.0, 1.0, 4.0, 1.0, 4.0, 3.0, 1.0, 3.0]);
        assert_eq!(pixels(&[&corner, &middle], want.size()), want);
    }

    #[test]
    fn a_line_round_a_hole_leaves_the_hole() {
        let outer = [0.0, 0.0, 5.0, 0.0, 5.0, 4.0, 0.0, 4.0, 0.0, 0.0];
        let inner = [1.0, 1.0, 1.0, 3.0, 4.0, 3.0, 4.0, 1.0, 1.0, 1.0];
        let want = Rle::encode(&picture(&["#####", "#...#", "#...#", "#####"]));
        assert_eq!(pixels(&[&[outer, inner].concat()], want.size()), want);
    }

    #[test]
    fn endless_outlines_are_refused() {
        for far in [1e9, 1e300, f64::INFINITY, f64::NAN] {
            let polygon = vec![0.0, 0.0, far, 0.0, 0.0, 5.0];
            let aside = vec![0.0, far, 5.0, far, 2.0, far];
            for polygon in [polygon, aside] {
                assert!(
                    matches!(rasterize(&[polygon], Size::new(4, 4)), Err(PolygonError::TooLong)),
                    "{far}"
                );
            }
        }
    }

    /// Drawn with two corners that touch, a hole, a part beside it, and slanted edges.
    #[test]
    fn opencv_gets_the_mask_of_joined_parts() {
        let hole = picture(&["........", ".######.", ".#....#.", ".#..#.#.", ".#....#.", ".######."]);
        let slant = picture(&["#.......", "##......", "####....", "#####...", "######..", "..####.."]);
        for mask in [hole, slant] {
            let mask = Rle::encode(&mask);
            let (polygon, iou) = drawn_for_opencv(&mask, 0.0);
            assert!(iou >= 0.9, "{iou} {polygon:?}");
            let polygon: Vec<f64> = polygon.into_iter().map(f64::from).collect();
            assert_eq!(pixels(&[&polygon], mask.size()), mask, "readers that fill up to the outline");
        }
    }

    proptest! {
        #[test]
        fn opencv_gets_masks_of_one_part_exactly(bits in prop::collection::vec(any::<bool>(), 63)) {
            let mask = crate::mask::Mask::new(Size::new(9, 7), bits);
            for outline in Outline::all_of(&mask).into_iter().filter(|outline| outline.holes.is_empty()) {
                let part = Rle::encode(&Outline::fill(&[outline], mask.size()));
                prop_assert_eq!(drawn_for_opencv(&part, 0.0).1, 1.0);
            }
        }

        #[test]
        fn outlines_along_the_pixels_are_the_mask(bits in prop::collection::vec(any::<bool>(), 63)) {
            let mask = Rle::encode(&crate::mask::Mask::new(Size::new(9, 7), bits));
            for drawn in [drawn(&mask, 0.0), drawn_as_one(&mask, 0.0)] {
                prop_assert_eq!(&drawn.mask, &mask);
                prop_assert!(drawn.iou == 1.0 || mask.area() == 0);
            }
        }

        #[test]
        fn any_polygon_is_a_mask_or_an_error(
            polygon in prop::collection::vec(prop_oneof![-9.0..20.0, any::<f64>()], 0..12), side in 1..12_usize,
        ) {
            let _either = rasterize(&[polygon], Size::new(side, 12 - side.min(11)));
        }
    }
}
