//! Which part of the image is on the screen, and how large.

use egui::{Pos2, Rect, Vec2};
use engine::geometry::{Point, Size};

/// How image pixels lie on the screen.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct View {
    /// Points of the screen per image pixel, from top to bottom; none to fit the image into the canvas.
    scale: Option<f32>,
    /// Width of a pixel of the image divided by its height.
    aspect: f32,
    /// The place in the image, in its pixels, that is in the middle of the canvas.
    center: Vec2,
}

/// A [`View`] of an image of some size on a canvas: goes from image to screen and back.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Transform {
    /// Points of the screen per image pixel, from left to right and from top to bottom.
    pub(super) scale: Vec2,
    /// Where the image's top left corner is on the screen.
    origin: Pos2,
}

/// Points between the image and the canvas's edge when it is fitted.
const MARGIN: f32 = 12.0;
/// A pixel is never larger than this, in points.
const LARGEST: f32 = 64.0;
/// The image is never smaller than this, in points.
const SMALLEST: f32 = 32.0;

impl Default for View {
    fn default() -> Self {
        Self { scale: None, aspect: 1.0, center: Vec2::ZERO }
    }
}

impl View {
    /// How it lies on `canvas`, in points.
    pub(super) fn transform(&self, size: Size, canvas: Rect) -> Transform {
        let image = Vec2::new(size.width as f32, size.height as f32);
        let (scale, center) = match self.scale {
            Some(scale) => (scale, self.center),
            None => (fitting(Vec2::new(image.x * self.aspect, image.y), canvas), image / 2.0),
        };
        let scale = Vec2::new(scale * self.aspect, scale);
        Transform { scale, origin: canvas.center() - center * scale }
    }

    /// Shows the whole image.
    pub(super) fn fit(&mut self) {
        *self = Self { aspect: self.aspect, ..Self::default() };
    }

    /// Shows pixels this much wider than high.
    pub(super) fn set_aspect(&mut self, aspect: f32) {
        self.aspect = aspect;
    }

    /// Makes everything `factor` times as large, keeping what is at `fixed` (screen) in its place.
    pub(super) fn zoom(&mut self, factor: f32, fixed: Pos2, size: Size, canvas: Rect) {
        let before = self.transform(size, canvas);
        let longer = size.width.max(size.height) as f32;
        let scale = (before.scale.y * factor).clamp((SMALLEST / longer).min(1.0), LARGEST);
        let at = before.to_image(fixed);
        let center =
            Vec2::new(at.x, at.y) + (canvas.center() - fixed) / Vec2::new(scale * self.aspect, scale);
        *self = Self { scale: Some(scale), center, ..*self };
        self.keep_in_sight(size);
    }

    /// One image pixel on `points` points.
    pub(super) fn zoom_to(&mut self, points: f32, size: Size, canvas: Rect) {
        let now = self.transform(size, canvas).scale.y;
        self.zoom(points / now, canvas.center(), size, canvas);
    }

    /// Moves the image by so many points.
    pub(super) fn pan(&mut self, by: Vec2, size: Size, canvas: Rect) {
        let now = self.transform(size, canvas);
        let center = now.to_image(canvas.center() - by);
        *self = Self { scale: Some(now.scale.y), center: Vec2::new(center.x, center.y), ..*self };
        self.keep_in_sight(size);
    }

    /// The middle of the canvas always shows a pixel of the image.
    fn keep_in_sight(&mut self, size: Size) {
        self.center = self.center.clamp(Vec2::ZERO, Vec2::new(size.width as f32, size.height as f32));
    }
}

/// Points per pixel at which an image fits into the canvas.
fn fitting(image: Vec2, canvas: Rect) -> f32 {
    let room = (canvas.size() - Vec2::splat(2.0 * MARGIN)).max(Vec2::splat(1.0));
    (room / image.max(Vec2::splat(1.0))).min_elem().min(LARGEST)
}

impl Transform {
    /// A place in the image on the screen.
    pub(super) fn to_screen(self, at: Point) -> Pos2 {
        self.origin + Vec2::new(at.x, at.y) * self.scale
    }

    /// A place on the screen in the image, in its pixels; may lie outside.
    pub(super) fn to_image(self, at: Pos2) -> Point {
        let at = (at - self.origin) / self.scale;
        Point { x: at.x, y: at.y }
    }

    /// A box in the image on the screen.
    pub(super) fn rect_to_screen(self, rect: engine::geometry::Rect) -> Rect {
        let corner = |x, y| self.to_screen(Point { x, y });
        Rect::from_min_max(corner(rect.x0, rect.y0), corner(rect.x1, rect.y1))
    }

    /// The box in the image between two places on the screen, cut to an image of `size`.
    pub(super) fn rect_to_image(self, a: Pos2, b: Pos2, size: Size) -> engine::geometry::Rect {
        let (a, b) = (self.to_image(a), self.to_image(b));
        let x = |x: f32| x.clamp(0.0, size.width as f32);
        let y = |y: f32| y.clamp(0.0, size.height as f32);
        engine::geometry::Rect {
            x0: x(a.x.min(b.x)),
            y0: y(a.y.min(b.y)),
            x1: x(a.x.max(b.x)),
            y1: y(a.y.max(b.y)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SIZE: Size = Size::new(400, 300);

    fn canvas() -> Rect {
        Rect::from_min_size(Pos2::new(100.0, 50.0), Vec2::new(824.0, 624.0))
    }

    #[test]
    fn the_fitted_image_is_in_the_middle() {
        let transform = View::default().transform(SIZE, canvas());
        assert_eq!(transform.scale, Vec2::splat(2.0));
        assert_eq!(transform.to_screen(Point { x: 200.0, y: 150.0 }), canvas().center());
    }

    #[test]
    fn zooming_keeps_the_pixel_under_the_pointer() {
        let mut view = View::default();
        let pointer = Pos2::new(300.0, 200.0);
        let before = view.transform(SIZE, canvas()).to_image(pointer);
        view.zoom(3.0, pointer, SIZE, canvas());
        let after = view.transform(SIZE, canvas());
        assert_eq!(after.scale, Vec2::splat(6.0));
        assert!((after.to_image(pointer).x - before.x).abs() < 1e-3);
        assert!((after.to_image(pointer).y - before.y).abs() < 1e-3);
    }

    #[test]
    fn zoom_has_bounds_and_the_image_stays_in_sight() {
        let mut view = View::default();
        view.zoom(1e9, canvas().center(), SIZE, canvas());
        assert_eq!(view.transform(SIZE, canvas()).scale.y, LARGEST);
        view.pan(Vec2::splat(1e9), SIZE, canvas());
        let at = view.transform(SIZE, canvas()).to_image(canvas().center());
        assert!((0.0..=400.0).contains(&at.x) && (0.0..=300.0).contains(&at.y));
        view.zoom(0.0, canvas().center(), SIZE, canvas());
        assert!(view.transform(SIZE, canvas()).scale.y > 0.0);
    }

    #[test]
    fn wide_pixels_are_wide_on_screen() {
        let mut view = View::default();
        view.set_aspect(16.0 / 11.0);
        // PAL at 16:9: 720 x 576 stored pixels, 1047 x 576 on the screen.
        let pal = Size::new(720, 576);
        let shown = |view: &View| {
            let all = engine::geometry::Rect { x0: 0.0, y0: 0.0, x1: 720.0, y1: 576.0 };
            let size = view.transform(pal, canvas()).rect_to_screen(all).size();
            size.x / size.y
        };
        let expected = 720.0 * 16.0 / 11.0 / 576.0;
        assert!((shown(&view) - expected).abs() < 1e-4);
        let pointer = Pos2::new(300.0, 200.0);
        let before = view.transform(pal, canvas()).to_image(pointer);
        view.zoom(3.0, pointer, pal, canvas());
        let after = view.transform(pal, canvas()).to_image(pointer);
        assert!((after.x - before.x).abs() < 1e-2 && (after.y - before.y).abs() < 1e-2);
        assert!((shown(&view) - expected).abs() < 1e-4);
        view.fit();
        assert!((shown(&view) - expected).abs() < 1e-4);
    }

    #[test]
    fn to_the_screen_and_back() {
        let mut view = View::default();
        view.zoom(1.7, Pos2::new(222.0, 333.0), SIZE, canvas());
        let transform = view.transform(SIZE, canvas());
        let at = Point { x: 12.5, y: 290.0 };
        let back = transform.to_image(transform.to_screen(at));
        assert!((back.x - at.x).abs() < 1e-3 && (back.y - at.y).abs() < 1e-3);
    }
}
