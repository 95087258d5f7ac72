//! Prompts: points and a box by which a person marks an object on one frame.

use serde::{Deserialize, Serialize};

use crate::geometry::{Point, Rect, Size};

/// A point prompt (click).
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct PointPrompt {
    /// Position in image pixels.
    pub at: Point,
    /// Positive or negative.
    pub label: Label,
}

/// Meaning of a click.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Label {
    /// The point is on the object.
    Positive,
    /// The point is not on the object.
    Negative,
}

/// Clicks and a box that together mark one object on one frame. A mask prompt is a [`crate::mask::Mask`] instead.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Prompt {
    /// Clicks, in the order in which they were made.
    pub points: Vec<PointPrompt>,
    /// A box around the object, in image pixels.
    pub rect: Option<Rect>,
}

/// Error for a prompt that is not valid.
#[derive(Debug, PartialEq, thiserror::Error)]
pub enum PromptError {
    /// The prompt has neither a point nor a box.
    #[error("the prompt is empty; give a point, a box or a mask")]
    Empty,
    /// A click is outside the image.
    #[error("point ({0}, {1}) is outside the image, which is {2}")]
    PointOutside(f32, f32, Size),
    /// A box does not overlap the image.
    #[error("box {0:?} has no part of the image, which is {1}")]
    BoxOutside([f32; 4], Size),
    /// A box has no area, swapped corners, or coordinates that are not finite.
    #[error("box {0:?} is empty; it goes from top left to bottom right")]
    BoxEmpty([f32; 4]),
}

impl Prompt {
    /// Returns true if there are neither points nor a box.
    pub fn is_empty(&self) -> bool {
        self.points.is_empty() && self.rect.is_none()
    }

    /// Returns the sequence of prompts that leads to this one if the clicks are made one after the other. The box, if
    /// any, is in all of them.
    pub fn steps(&self) -> impl Iterator<Item = Self> {
        let first = usize::from(self.rect.is_none()).min(self.points.len());
        (first..=self.points.len()).map(|n| Self { points: self.points[..n].to_vec(), rect: self.rect })
    }

    /// Returns the prompt with its box clipped to an image of `size`.
    ///
    /// # Errors
    /// If the prompt is empty, a point or the whole box lies outside the image, or the box is not valid.
    pub fn within(mut self, size: Size) -> Result<Self, PromptError> {
        if self.is_empty() {
            return Err(PromptError::Empty);
        }
        let (width, height) = (size.width as f32, size.height as f32);
        for Point { x, y } in self.points.iter().map(|p| p.at) {
            if !((0.0..=width).contains(&x) && (0.0..=height).contains(&y)) {
                return Err(PromptError::PointOutside(x, y, size));
            }
        }
        if let Some(rect) = &mut self.rect {
            let corners = <[f32; 4]>::from(*rect);
            if !(rect.x0 < rect.x1 && rect.y0 < rect.y1 && corners.iter().all(|v| v.is_finite())) {
                return Err(PromptError::BoxEmpty(corners));
            }
            let (x0, y0) = (rect.x0.max(0.0), rect.y0.max(0.0));
            *rect = Rect { x0, y0, x1: rect.x1.min(width), y1: rect.y1.min(height) };
            if rect.x0 >= rect.x1 || rect.y0 >= rect.y1 {
                return Err(PromptError::BoxOutside(corners, size));
            }
        }
        Ok(self)
    }
}
