//! The smallest rectangle round a mask, turned as it may be.

use crate::{formats::Shape, geometry::Point, mask::Outline};

/// Its corners, in image pixels, one after the other; of a box, its own.
pub(in crate::formats) fn corners(shape: &Shape) -> [Point; 4] {
    let rect = shape.rect();
    let [x0, y0, x1, y1] = <[f32; 4]>::from(rect);
    let upright = [[x0, y0], [x1, y0], [x1, y1], [x0, y1]].map(|[x, y]| Point { x, y });
    let Shape::Mask(mask) = shape else { return upright };
    let outlines = Outline::of_rle(mask);
    let points = outlines.iter().flat_map(|outline| &outline.exterior).map(|corner| corner.map(|v| v as f32));
    let hull = hull(points.collect());
    // A side of the smallest one lies along a side of the hull (Freeman and Shapira, 1975).
    let sides = hull.iter().zip(hull.iter().cycle().skip(1));
    let along = sides.map(|(a, b)| {
        let (dx, dy) = (b[0] - a[0], b[1] - a[1]);
        let length = dx.hypot(dy).max(f32::MIN_POSITIVE);
        round(&hull, [dx / length, dy / length])
    });
    let smallest = along.min_by(|a, b| a.1.total_cmp(&b.1));
    let area = (x1 - x0) * (y1 - y0);
    // Of two as small the upright one.
    smallest.filter(|(_, smallest)| *smallest < 0.999 * area).map_or(upright, |(corners, _)| corners)
}

/// The rectangle round points with sides along a direction, and its area.
fn round(points: &[[f32; 2]], [dx, dy]: [f32; 2]) -> ([Point; 4], f32) {
    let range = |along: &dyn Fn(&[f32; 2]) -> f32| {
        let values = points.iter().map(along);
        values.fold([f32::INFINITY, f32::NEG_INFINITY], |[min, max], v| [min.min(v), max.max(v)])
    };
    let [u0, u1] = range(&|[x, y]| x * dx + y * dy);
    let [v0, v1] = range(&|[x, y]| y * dx - x * dy);
    let point = |u: f32, v: f32| Point { x: u * dx - v * dy, y: u * dy + v * dx };
    ([point(u0, v0), point(u1, v0), point(u1, v1), point(u0, v1)], (u1 - u0) * (v1 - v0))
}

/// The convex hull (Andrew, 1979).
fn hull(mut points: Vec<[f32; 2]>) -> Vec<[f32; 2]> {
    points.sort_by(|a, b| a[0].total_cmp(&b[0]).then(a[1].total_cmp(&b[1])));
    points.dedup();
    let turns = |a: &[f32; 2], b: &[f32; 2], c: &[f32; 2]| {
        (b[0] - a[0]) * (c[1] - a[1]) - (b[1] - a[1]) * (c[0] - a[0]) > 0.0
    };
    let half = |points: &mut dyn Iterator<Item = [f32; 2]>| {
        let mut half: Vec<[f32; 2]> = Vec::new();
        for point in points {
            while let [.., a, b] = &half[..]
                && !turns(a, b, &point)
            {
                half.pop();
            }
            half.push(point);
        }
        // The other half begins with it.
        half.pop();
        half
    };
    let mut hull = half(&mut points.iter().copied());
    hull.extend(half(&mut points.iter().rev().copied()));
    hull
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::{
        geometry::Rect,
        mask::{Rle, testing::picture},
    };

    #[test]
    fn a_diamond_s_rectangle_is_turned_and_a_square_s_is_not() {
        let area = |[a, b, c, _]: [Point; 4]| (a.x - b.x).hypot(a.y - b.y) * (b.x - c.x).hypot(b.y - c.y);
        let rows =
            ["...##...", "..####..", ".######.", "########", "########", ".######.", "..####..", "...##..."];
        let diamond = Shape::Mask(Arc::new(Rle::encode(&picture(&rows))));
        assert!((area(corners(&diamond)) - 50.0).abs() < 0.1, "{:?}", corners(&diamond));
        let rect = Rect { x0: 1.0, y0: 1.0, x1: 4.0, y1: 3.0 };
        let square = Shape::Mask(Arc::new(Rle::encode(&picture(&["......", ".###..", ".###.."]))));
        assert_eq!(corners(&square), corners(&Shape::Box(rect)));
    }
}
