//! Sizes, points and boxes in pixels. x points right, y points down; the top left corner of the image is (0, 0).

use serde::{Deserialize, Serialize};

/// Width and height in pixels.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Size {
    /// Width in pixels.
    pub width: usize,
    /// Height in pixels.
    pub height: usize,
}

impl Size {
    /// Creates a size of `width` x `height` pixels.
    pub const fn new(width: usize, height: usize) -> Self {
        Self { width, height }
    }

    /// Creates the size of a square.
    pub const fn square(side: usize) -> Self {
        Self::new(side, side)
    }

    /// Returns the number of pixels.
    pub const fn area(self) -> usize {
        self.width * self.height
    }
}

impl std::fmt::Display for Size {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}x{}", self.width, self.height)
    }
}

/// A point in image pixels; the center of the first pixel is (0.5, 0.5).
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Point {
    /// Distance from the left edge of the image.
    pub x: f32,
    /// Distance from the top edge of the image.
    pub y: f32,
}

/// An axis-aligned box in pixels: `x0 <= x < x1`, `y0 <= y < y1`.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(from = "[f32; 4]", into = "[f32; 4]")]
pub struct Rect {
    /// Left edge.
    pub x0: f32,
    /// Top edge.
    pub y0: f32,
    /// Right edge.
    pub x1: f32,
    /// Bottom edge.
    pub y1: f32,
}

impl From<[f32; 4]> for Rect {
    fn from([x0, y0, x1, y1]: [f32; 4]) -> Self {
        Self { x0, y0, x1, y1 }
    }
}

impl From<Rect> for [f32; 4] {
    fn from(r: Rect) -> Self {
        [r.x0, r.y0, r.x1, r.y1]
    }
}

impl Rect {
    /// Creates a box from its center x and y, width and height.
    pub fn from_center([x, y, width, height]: [f32; 4]) -> Self {
        let (w, h) = (width / 2.0, height / 2.0);
        Self { x0: x - w, y0: y - h, x1: x + w, y1: y + h }
    }

    /// Returns the area in square pixels; 0 if the left edge is right of the right edge, or the top edge below the
    /// bottom edge.
    pub fn area(self) -> f32 {
        (self.x1 - self.x0).max(0.0) * (self.y1 - self.y0).max(0.0)
    }

    /// Returns the intersection of two boxes. If they are disjoint, its area is 0, because its edges are swapped.
    #[must_use]
    pub fn intersection(self, other: Self) -> Self {
        Self {
            x0: self.x0.max(other.x0),
            y0: self.y0.max(other.y0),
            x1: self.x1.min(other.x1),
            y1: self.y1.min(other.y1),
        }
    }

    /// Returns the intersection over union, 0 to 1; 0 if both boxes have no area.
    pub fn iou(self, other: Self) -> f32 {
        let both = self.intersection(other).area();
        let either = self.area() + other.area() - both;
        if either > 0.0 { both / either } else { 0.0 }
    }

    /// Clips the box to an image of `size`.
    #[must_use]
    pub fn within(self, size: Size) -> Self {
        let (width, height) = (size.width as f32, size.height as f32);
        self.intersection(Self { x0: 0.0, y0: 0.0, x1: width, y1: height })
    }
}
