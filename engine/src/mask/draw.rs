//! Drawn masks: the pixels that a brush, a polygon or a box covers.

use std::ops::Range;

use super::{
    Rle,
    spans::{Bounds, Columns},
};
use crate::geometry::{Point, Rect, Size};

impl Rle {
    /// Draws a round brush along a polyline. The mask has the pixels whose centers are at most `radius` away from the
    /// line; `points` and `radius` are in image pixels.
    ///
    /// Points may lie outside the image. The mask is empty if a point or the radius is not finite or the radius is
    /// negative.
    pub fn stroke(points: &[Point], radius: f32, size: Size) -> Self {
        let mut columns = Columns::new(size);
        if are_finite(points) && (0.0..f32::INFINITY).contains(&radius) {
            // The last point is paired with itself, so that a single point draws a disc.
            for (from, to) in points.iter().zip(points.iter().skip(1).chain(points.last())) {
                Capsule::new(*from, *to, radius).cover(&mut columns, size);
            }
        }
        columns.into_rle()
    }

    /// Fills closed polygons, in image pixels, by the even-odd rule at pixel centers, so that a polygon within
    /// another is a hole. Points may lie outside the image. A polygon with a point that is not finite is ignored.
    pub fn of_polygons(polygons: &[Vec<Point>], size: Size) -> Self {
        // For each column, the rows at which its pixels change between outside and inside.
        let mut turns: Vec<Vec<usize>> = vec![Vec::new(); size.width];
        for polygon in polygons.iter().filter(|polygon| are_finite(polygon)) {
            for (from, to) in polygon.iter().zip(polygon.iter().cycle().skip(1)) {
                // From left to right, a side that two polygons share gives the same numbers for both.
                let [left, right] =
                    if from.x <= to.x { [from, to] } else { [to, from] }.map(|p| Place::of(*p));
                for x in centers(left.x, right.x, size.width) {
                    // The division comes last, so that a center exactly on the side is recognized as such.
                    let y = left.y + (center(x) - left.x) * (right.y - left.y) / (right.x - left.x);
                    turns[x].push(first_center(y, size.height));
                }
            }
        }
        turns.iter_mut().for_each(|rows| rows.sort_unstable());
        Self::of_turns(size, &turns)
    }

    /// Fills a box given in image pixels: the mask has the pixels whose centers lie in it, and none if it is not
    /// finite.
    pub fn of_rect(rect: Rect, size: Size) -> Self {
        let [x0, y0, x1, y1] = <[f32; 4]>::from(rect).map(f64::from);
        if ![x0, y0, x1, y1].iter().all(|v| v.is_finite()) {
            return Self::empty(size);
        }
        Self::of_bounds(Bounds { x: centers(x0, x1, size.width), y: centers(y0, y1, size.height) }, size)
    }
}

/// A point in double precision, so that lines may reach far beyond the image.
#[derive(Clone, Copy)]
struct Place {
    x: f64,
    y: f64,
}

impl Place {
    fn of(point: Point) -> Self {
        Self { x: point.x.into(), y: point.y.into() }
    }

    fn moved(self, dx: f64, dy: f64) -> Self {
        Self { x: self.x + dx, y: self.y + dy }
    }
}

/// The area at most `radius` away from a line segment. It is convex, so it covers one interval of each column.
struct Capsule {
    ends: [Place; 2],
    /// The two straight sides, each with its end points.
    sides: [[Place; 2]; 2],
    radius: f64,
}

impl Capsule {
    fn new(from: Point, to: Point, radius: f32) -> Self {
        let ends = [from, to].map(Place::of);
        let radius = f64::from(radius);
        let (dx, dy) = (ends[1].x - ends[0].x, ends[1].y - ends[0].y);
        let aside = radius / dx.hypot(dy).max(f64::MIN_POSITIVE);
        let side = |aside: f64| ends.map(|end| end.moved(-dy * aside, dx * aside));
        Self { ends, sides: [side(aside), side(-aside)], radius }
    }

    fn cover(&self, columns: &mut Columns, size: Size) {
        let [from, to] = self.ends.map(|end| end.x);
        for x in centers_up_to(from.min(to) - self.radius, from.max(to) + self.radius, size.width) {
            if let Some([top, bottom]) = self.column(center(x)) {
                columns.cover(x, centers_up_to(top, bottom, size.height));
            }
        }
    }

    /// Returns the top and bottom of the area at this `x`, if it reaches there.
    fn column(&self, x: f64) -> Option<[f64; 2]> {
        let (mut top, mut bottom) = (f64::INFINITY, f64::NEG_INFINITY);
        let mut reach = |from: f64, to: f64| (top, bottom) = (top.min(from), bottom.max(to));
        for end in self.ends {
            let squared = self.radius * self.radius - (x - end.x) * (x - end.x);
            if squared >= 0.0 {
                reach(end.y - squared.sqrt(), end.y + squared.sqrt());
            }
        }
        for [from, to] in self.sides {
            let along = (x - from.x) / (to.x - from.x);
            if (0.0..=1.0).contains(&along) {
                let y = from.y + along * (to.y - from.y);
                reach(y, y);
            }
        }
        (top <= bottom).then_some([top, bottom])
    }
}

fn are_finite(points: &[Point]) -> bool {
    points.iter().all(|point| point.x.is_finite() && point.y.is_finite())
}

fn center(pixel: usize) -> f64 {
    pixel as f64 + 0.5
}

/// Returns the first of `n` pixels whose center is at or after `at`; `n` if there is none.
fn first_center(at: f64, n: usize) -> usize {
    let first = (at - 0.5).clamp(0.0, n as f64);
    let whole = first as usize;
    whole + usize::from(first > whole as f64)
}

/// Returns the pixels, of `n`, whose centers are in `from..to`.
fn centers(from: f64, to: f64, n: usize) -> Range<usize> {
    first_center(from, n)..first_center(to, n)
}

/// Returns the pixels, of `n`, whose centers are in `from..=to`.
fn centers_up_to(from: f64, to: f64, n: usize) -> Range<usize> {
    first_center(from, n)..(to + 0.5).clamp(0.0, n as f64) as usize
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::mask::{
        Mask, Outline,
        testing::{any_mask, picture},
    };

    /// Generates points on a grid of quarter pixels in and around an image of 16 pixels, so that some hit pixel
    /// corners and centers.
    fn any_point() -> impl Strategy<Value = Point> {
        (-24..88_i32, -24..88_i32).prop_map(|(x, y)| Point { x: x as f32 / 4.0, y: y as f32 / 4.0 })
    }

    fn any_points() -> impl Strategy<Value = Vec<Point>> {
        prop::collection::vec(any_point(), 0..8)
    }

    /// Returns the centers of all pixels in row-major order.
    fn all_centers(size: Size) -> impl Iterator<Item = Place> {
        (0..size.area()).map(move |i| Place { x: center(i % size.width), y: center(i / size.width) })
    }

    fn distance(at: Place, from: Point, to: Point) -> f64 {
        let (from, to) = (Place::of(from), Place::of(to));
        let (dx, dy) = (to.x - from.x, to.y - from.y);
        let along = ((at.x - from.x) * dx + (at.y - from.y) * dy) / (dx * dx + dy * dy);
        let along = if along.is_nan() { 0.0 } else { along.clamp(0.0, 1.0) };
        (at.x - from.x - along * dx).hypot(at.y - from.y - along * dy)
    }

    /// Returns true if an upward ray from `at` crosses the polygon's sides an odd number of times. Computes in whole
    /// quarter pixels.
    fn is_enclosed(at: Place, polygon: &[Point]) -> bool {
        let quarters = |v: f64| (v * 4.0) as i64;
        let (x, y) = (quarters(at.x), quarters(at.y));
        let crossings = (0..polygon.len()).filter(|&i| {
            let ends = [polygon[i], polygon[(i + 1) % polygon.len()]].map(Place::of);
            let [(ax, ay), (bx, by)] = ends.map(|end| (quarters(end.x), quarters(end.y)));
            // Each end counts as "on or left of the ray" or "right of it", so that a corner on the ray counts once.
            let spans = (ax <= x) != (bx <= x);
            // The sign of the cross product gives the side of the line; zero means that the ray starts on it.
            let cross = (bx - ax) * (y - ay) - (by - ay) * (x - ax);
            spans && (if bx > ax { cross >= 0 } else { cross <= 0 })
        });
        crossings.count() % 2 == 1
    }

    proptest! {
        #[test]
        fn stroke_covers_pixels_within_radius(points in any_points(), radius in 0.0..9.0_f32) {
            let size = Size::new(16, 13);
            let drawn = Rle::stroke(&points, radius, size).decode();
            let lines: Vec<(Point, Point)> = match *points {
                [point] => vec![(point, point)],
                _ => points.windows(2).map(|pair| (pair[0], pair[1])).collect(),
            };
            for (at, covered) in all_centers(size).zip(drawn.bits()) {
                let nearest = lines.iter().map(|(a, b)| distance(at, *a, *b)).fold(f64::INFINITY, f64::min);
                // Exactly at the edge, rounding may decide either way.
                if (nearest - f64::from(radius)).abs() > 1e-9 {
                    prop_assert_eq!(*covered, nearest < f64::from(radius), "{:?}", at.x);
                }
            }
        }

        #[test]
        fn polygons_are_filled_by_even_odd_rule(polygons in prop::collection::vec(any_points(), 0..4)) {
            let size = Size::new(16, 13);
            let want = all_centers(size).map(|at| polygons.iter().fold(false, |on, p| on ^ is_enclosed(at, p)));
            let want = Mask::new(size, want.collect());
            prop_assert_eq!(Rle::of_polygons(&polygons, size).decode(), want);
        }

        #[test]
        fn filled_outlines_reproduce_mask(mask in any_mask()) {
            let points = |ring: &Vec<[u32; 2]>| ring.iter().map(|&[x, y]| Point { x: x as f32, y: y as f32 }).collect();
            let rings: Vec<Vec<Point>> = Outline::all_of(&mask)
                .iter()
                .flat_map(|outline| [&outline.exterior].into_iter().chain(&outline.holes).map(points))
                .collect();
            prop_assert_eq!(Rle::of_polygons(&rings, mask.size()).decode(), mask);
        }

        #[test]
        fn box_covers_pixel_centers_inside_it(a in any_point(), b in any_point()) {
            let size = Size::new(16, 13);
            let want = all_centers(size).map(|at| {
                let (x, y) = (at.x as f32, at.y as f32);
                a.x <= x && x < b.x && a.y <= y && y < b.y
            });
            let want = Mask::new(size, want.collect());
            prop_assert_eq!(Rle::of_rect(Rect { x0: a.x, y0: a.y, x1: b.x, y1: b.y }, size).decode(), want);
        }

        #[test]
        fn any_floats_are_drawn(points in prop::collection::vec((any::<f32>(), any::<f32>()), 0..6), radius: f32) {
            let size = Size::new(9, 7);
            let points: Vec<Point> = points.into_iter().map(|(x, y)| Point { x, y }).collect();
            let strange = !are_finite(&points) || points.is_empty();
            let stroke = Rle::stroke(&points, radius, size);
            prop_assert!(!strange || stroke.area() == 0);
            let polygon = Rle::of_polygons(&[points], size);
            prop_assert!(!strange || polygon.area() == 0);
            prop_assert_eq!(stroke.decode().size(), polygon.decode().size());
        }
    }

    #[test]
    fn single_point_draws_disc() {
        let dot = Rle::stroke(&[Point { x: 1.5, y: 1.5 }], 1.0, Size::square(3));
        assert_eq!(dot.decode(), picture(&[".#.", "###", ".#."]));
    }

    #[test]
    fn non_finite_shapes_cover_nothing() {
        let size = Size::square(4);
        let at = |x, y| Point { x, y };
        for strange in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
            let points = vec![at(0.0, 0.0), at(strange, 2.0), at(4.0, 4.0), at(0.0, 4.0)];
            assert_eq!(Rle::stroke(&points, 2.0, size).area(), 0);
            assert_eq!(Rle::stroke(&[at(2.0, 2.0)], strange, size).area(), 0);
            assert_eq!(Rle::of_polygons(&[points], size).area(), 0);
            assert_eq!(Rle::of_rect(Rect { x0: 0.0, y0: 0.0, x1: strange, y1: 4.0 }, size).area(), 0);
        }
        assert_eq!(Rle::stroke(&[at(0.0, 2.0), at(4.0, 2.0)], -1.0, size).area(), 0);
    }

    #[test]
    fn shapes_far_outside_are_clipped() {
        let size = Size::new(4, 3);
        let far = f32::MAX;
        let line = [Point { x: -far, y: 1.5 }, Point { x: far, y: 1.5 }];
        assert_eq!(Rle::stroke(&line, 0.5, size).decode(), picture(&["....", "####", "...."]));
        let all = Rect { x0: -far, y0: -far, x1: far, y1: far };
        assert_eq!(Rle::of_rect(all, size).area(), 12);
        let corners = [[-far, -far], [far, -far], [far, far], [-far, far]].map(|[x, y]| Point { x, y });
        assert_eq!(Rle::of_polygons(&[corners.to_vec()], size).area(), 12);
    }
}
