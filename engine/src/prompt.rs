//! What a person says of an object on one frame.

use serde::{Deserialize, Serialize};

use crate::geometry::{Point, Rect, Size};

/// A click.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct PointPrompt {
    /// Where, in image pixels.
    pub at: Point,
    /// On the object or off it.
    pub label: Label,
}

/// What a click says.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Label {
    /// This belongs to the object.
    Positive,
    /// This does not.
    Negative,
}

/// Clicks and a box that together mean one object on one frame; a mask prompt is a [`crate::mask::Mask`] instead.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Prompt {
    /// Clicks, in the order in which they were made.
    pub points: Vec<PointPrompt>,
    /// A box round the object, in image pixels.
    pub rect: Option<Rect>,
}

/// Why a prompt cannot be meant.
#[derive(Debug, PartialEq, thiserror::Error)]
pub enum PromptError {
    /// Neither point nor box.
    #[error("the prompt is empty; give a point, a box or a mask")]
    Empty,
    /// A click beside the image.
    #[error("point ({0}, {1}) is outside the image, which is {2}")]
    PointOutside(f32, f32, Size),
    /// A box without a pixel of the image.
    #[error("box {0:?} has no part of the image, which is {1}")]
    BoxOutside([f32; 4], Size),
    /// A box whose corners are the wrong way round.
    #[error("box {0:?} is empty; it goes from top left to bottom right")]
    BoxEmpty([f32; 4]),
}

impl Prompt {
    /// Whether it says nothing.
    pub fn is_empty(&self) -> bool {
        self.points.is_empty() && self.rect.is_none()
    }

    /// The prompts that lead to this one when its clicks are made one after the other; a box comes with the first.
    pub fn steps(&self) -> impl Iterator<Item = Self> {
        let first = usize::from(self.rect.is_none()).min(self.points.len());
        (first..=self.points.len()).map(|n| Self { points: self.points[..n].to_vec(), rect: self.rect })
    }

    /// The same prompt with its box cut to an image of `size`.
    ///
    /// # Errors
    /// If there is nothing in the prompt, or it lies outside the image.
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
