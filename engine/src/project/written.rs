//! How a segment is told in JSON: a mask made by hand is both question and answer, and is told once.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::{Question, Segment, Tracked};
use crate::{geometry::Rect, mask::Rle};

/// [`Segment`], but for `mask_is_base`.
#[derive(Serialize, Deserialize)]
pub(super) struct Written {
    #[serde(default)]
    question: Question,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    mask: Option<Arc<Rle>>,
    /// The mask is the question's base, and `mask` is none.
    #[serde(default, skip_serializing_if = "is_false")]
    mask_is_base: bool,
    #[serde(default)]
    iou: f32,
    #[serde(default)]
    is_answered: bool,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    rect: Option<Rect>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    tracked: Option<Tracked>,
    #[serde(default, skip_serializing_if = "is_false")]
    confirmed: bool,
}

impl From<Segment> for Written {
    fn from(segment: Segment) -> Self {
        let Segment { question, mask, iou, is_answered, rect, tracked, confirmed } = segment;
        let mask_is_base = mask.is_some() && mask == question.base;
        let mask = mask.filter(|_| !mask_is_base);
        // JSON has no other numbers; what a model could not tell is no hope.
        let finite = |number: f32| if number.is_finite() { number } else { 0.0 };
        let tracked = tracked.map(|tracked| Tracked {
            object_score: finite(tracked.object_score),
            agreement: tracked.agreement.map(finite),
        });
        Self { question, mask, mask_is_base, iou: finite(iou), is_answered, rect, tracked, confirmed }
    }
}

impl From<Written> for Segment {
    fn from(written: Written) -> Self {
        let Written { question, mask, mask_is_base, iou, is_answered, rect, tracked, confirmed } = written;
        let mask = if mask_is_base { question.base.clone() } else { mask };
        Self { question, mask, iou, is_answered, rect, tracked, confirmed }
    }
}

fn is_false(b: &bool) -> bool {
    !b
}
