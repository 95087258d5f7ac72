//! Shape statistics of an object: area, position, spread and number of components.

use super::{
    Connectivity, Rle,
    spans::{Span, labels},
};
use crate::geometry::Point;

/// Shape statistics of an object in an image.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Shape {
    /// Pixels on the object.
    pub area: u64,
    /// Bounding box as `[x, y, width, height]`, in image pixels.
    pub bbox: [u32; 4],
    /// Mean of the object's pixel centers, in image pixels.
    pub center: Point,
    /// Standard deviations of the object's pixel positions along its long axis and across it, in pixels. For a disc
    /// both are half the radius.
    pub axes: [f32; 2],
    /// Number of 8-connected components, without specks of less than a hundredth of the object's area.
    pub n_parts: usize,
    /// Pixels of the largest component.
    pub largest_part: u64,
}

impl Rle {
    /// Computes the object's shape; `None` for an empty mask.
    pub fn shape(&self) -> Option<Shape> {
        let spans: Vec<Span> = self.spans().collect();
        let mut areas: Vec<u64> = Vec::new();
        for (span, label) in spans.iter().zip(labels(&spans, Connectivity::Eight)) {
            if label == areas.len() {
                areas.push(0);
            }
            areas[label] += (span.y1 - span.y0) as u64;
        }
        let area: u64 = areas.iter().sum();
        let largest_part = *areas.iter().max()?;
        let n_parts = areas.iter().filter(|part| **part * 100 >= area).count().max(1);
        let (center, axes) = spread(&spans, area as f64);
        Some(Shape { area, bbox: self.bbox(), center, axes, n_parts, largest_part })
    }
}

/// Returns the center and the axes of spans that have `area` pixels in total.
fn spread(spans: &[Span], area: f64) -> (Point, [f32; 2]) {
    let mean = |of: &dyn Fn(&Span) -> f64| spans.iter().map(of).sum::<f64>() / area;
    let n = |s: &Span| (s.y1 - s.y0) as f64;
    // The middle of a span, with pixel centers at whole numbers.
    let middle = |s: &Span| (s.y0 + s.y1 - 1) as f64 / 2.0;
    let x = mean(&|s| s.x as f64 * n(s));
    let y = mean(&|s| middle(s) * n(s));
    // A pixel has a variance itself: 1/12, as any uniform distribution of width 1.
    let xx = mean(&|s| (s.x as f64 - x).powi(2) * n(s)) + 1.0 / 12.0;
    let yy = mean(&|s| ((middle(s) - y).powi(2) + n(s).powi(2) / 12.0) * n(s));
    let xy = mean(&|s| (s.x as f64 - x) * (middle(s) - y) * n(s));
    let (half, apart) = ((xx + yy) / 2.0, ((xx - yy) / 2.0).hypot(xy));
    let axes = [half + apart, half - apart].map(|variance| variance.max(0.0).sqrt() as f32);
    (Point { x: (x + 0.5) as f32, y: (y + 0.5) as f32 }, axes)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::{
        geometry::{Rect, Size},
        mask::testing::{any_mask, picture},
    };

    proptest! {
        #[test]
        fn shape_agrees_with_pixel_statistics(mask in any_mask()) {
            let rle = Rle::encode(&mask);
            let Some(shape) = rle.shape() else {
                prop_assert_eq!(mask.area(), 0);
                return Ok(());
            };
            let width = mask.size().width;
            let on = (0..).zip(mask.bits()).filter(|(_, on)| **on);
            let places: Vec<[f64; 2]> =
                on.map(|(i, _)| [(i % width) as f64 + 0.5, (i / width) as f64 + 0.5]).collect();
            let mean = |of: &dyn Fn(&[f64; 2]) -> f64| places.iter().map(of).sum::<f64>() / places.len() as f64;
            let (x, y) = (mean(&|place| place[0]), mean(&|place| place[1]));
            let spread = mean(&|place| (place[0] - x).powi(2) + (place[1] - y).powi(2)) + 2.0 / 12.0;
            let near = |a: f32, b: f64| (f64::from(a) - b).abs() < 1e-3;
            prop_assert!(near(shape.center.x, x) && near(shape.center.y, y));
            prop_assert!(near(shape.axes[0].powi(2) + shape.axes[1].powi(2), spread));
            prop_assert!(shape.axes[0] >= shape.axes[1]);
            prop_assert_eq!((shape.area, shape.bbox), (rle.area(), rle.bbox()));
            prop_assert_eq!(shape.largest_part, rle.largest_part().area());
        }
    }

    #[test]
    fn axes_fit_disc_and_rotated_bar() {
        let size = Size::square(100);
        let disc = Rle::stroke(&[Point { x: 50.0, y: 40.0 }], 20.0, size).shape().unwrap();
        assert!(disc.axes.iter().all(|axis| (axis - 10.0).abs() < 0.1), "{disc:?}");
        let upright = Rle::of_rect(Rect { x0: 0.0, y0: 0.0, x1: 4.0, y1: 60.0 }, size).shape().unwrap();
        let lying = Rle::of_rect(Rect { x0: 0.0, y0: 0.0, x1: 60.0, y1: 4.0 }, size).shape().unwrap();
        assert_eq!(upright.axes, lying.axes);
        assert!((upright.axes[0] / upright.axes[1] - 15.0).abs() < 0.01);
    }

    #[test]
    fn specks_are_not_counted_as_parts() {
        let speck = Point { x: 90.0, y: 90.0 };
        let disc = Rle::stroke(&[Point { x: 50.0, y: 40.0 }], 20.0, Size::square(100));
        let with = |radius| disc.union(&Rle::stroke(&[speck], radius, disc.size())).shape().unwrap().n_parts;
        assert_eq!((with(1.0), with(5.0)), (1, 2));
        assert_eq!(Rle::encode(&picture(&["#.#", "..."])).shape().unwrap().n_parts, 2);
    }
}
