//! Shapes with area as label files describe them: boxes, turned boxes, ellipses and polygons in pixels.

use std::{f64::consts::TAU, sync::Arc};

use super::{Shape, polygon::rasterize};
use crate::geometry::{Rect, Size};

/// A box between two opposite corners, in either order.
///
/// # Errors
/// If it has no area.
pub(super) fn upright([x0, y0, x1, y1]: [f64; 4]) -> Result<Shape, String> {
    let [x0, x1] = [x0.min(x1) as f32, x0.max(x1) as f32];
    let [y0, y1] = [y0.min(y1) as f32, y0.max(y1) as f32];
    let has_area = x0 < x1 && y0 < y1 && [x0, y0, x1, y1].iter().all(|corner| corner.is_finite());
    has_area.then_some(Shape::Box(Rect { x0, y0, x1, y1 })).ok_or_else(|| "its box has no area".to_owned())
}

/// The corners of a box that is turned clockwise around its center, as `x, y, x, y, …`.
pub(super) fn turned([x, y]: [f64; 2], [width, height]: [f64; 2], degrees: f64) -> Vec<f64> {
    let (sin, cos) = degrees.to_radians().sin_cos();
    let corners = [[-0.5, -0.5], [0.5, -0.5], [0.5, 0.5], [-0.5, 0.5]];
    let corner = |[right, down]: [f64; 2]| {
        let (right, down) = (right * width, down * height);
        [x + right * cos - down * sin, y + right * sin + down * cos]
    };
    corners.into_iter().flat_map(corner).collect()
}

/// Points around an ellipse that is turned clockwise, close enough to each other that the mask does not show them.
pub(super) fn ellipse([x, y]: [f64; 2], [rx, ry]: [f64; 2], degrees: f64) -> Vec<f64> {
    let (sin, cos) = degrees.to_radians().sin_cos();
    // A chord of an arc of this angle is at most 1/20 of a pixel inside the arc.
    let n = (TAU * (rx.max(ry) * 2.5).sqrt()).clamp(32.0, 4096.0) as u32;
    let point = |i: u32| {
        let (down, right) = (TAU * f64::from(i) / f64::from(n)).sin_cos();
        let (right, down) = (right * rx, down * ry);
        [x + right * cos - down * sin, y + right * sin + down * cos]
    };
    (0..n).flat_map(point).collect()
}

/// Returns the upright box around corners, given as `x, y, x, y, …`.
pub(super) fn around(corners: &[f64]) -> Rect {
    let range = |axis: usize| {
        let values = corners.iter().skip(axis).step_by(2).copied();
        values.fold([f64::INFINITY, f64::NEG_INFINITY], |[min, max], v| [min.min(v), max.max(v)])
    };
    let ([x0, x1], [y0, y1]) = (range(0), range(1));
    Rect::from([x0, y0, x1, y1].map(|v| v as f32))
}

/// A polygon, given as `x, y, x, y, …`, as a mask.
///
/// # Errors
/// If it has fewer than three corners, the size of its image is not known, or it is far larger than an image.
pub(super) fn filled(polygon: Vec<f64>, size: Option<Size>) -> Result<Shape, String> {
    if polygon.len() < 6 || !polygon.len().is_multiple_of(2) {
        return Err("it has fewer than three corners".to_owned());
    }
    let size = size.ok_or("the size of its image is not known")?;
    let mask = rasterize(&[polygon], size).map_err(|error| error.to_string())?;
    Ok(Shape::Mask(Arc::new(mask)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quarter_turn_swaps_width_and_height() {
        let Shape::Mask(mask) =
            filled(turned([50.0, 50.0], [40.0, 10.0], 90.0), Some(Size::new(100, 100))).unwrap()
        else {
            panic!("it is a mask")
        };
        assert_eq!((mask.bbox(), mask.area()), ([45, 30, 10, 40], 400));
    }

    #[test]
    fn ellipse_has_its_area() {
        for degrees in [0.0, 30.0, 90.0] {
            let outline = ellipse([50.0, 50.0], [30.0, 12.0], degrees);
            let Shape::Mask(mask) = filled(outline, Some(Size::new(100, 100))).unwrap() else {
                panic!("it is a mask")
            };
            let want = std::f64::consts::PI * 30.0 * 12.0;
            assert!((mask.area() as f64 - want).abs() < want * 0.02, "{degrees}: {}", mask.area());
        }
    }
}
