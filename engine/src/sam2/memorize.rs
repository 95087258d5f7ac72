//! What is remembered of a frame: of a mask that somebody made, or of one found by what is remembered of other frames.

use std::sync::Arc;

use super::{
    image::{Decoded, Features, Logits, Question, is_ambiguous},
    memory::{Memory, Selection},
    video_model::VideoModel,
};
use crate::{
    geometry::Size,
    mask::{self, Mask},
    nn::{Cancel, RuntimeError, Tensor},
};

impl VideoModel {
    /// The object on a frame that has `features`, as far as can be told from what was selected.
    ///
    /// Mirrors one object's turn of `propagate_in_video`.
    ///
    /// # Errors
    /// If canceled, or ONNX Runtime refuses.
    pub fn track(
        &mut self,
        features: &Features,
        selection: &Selection<'_>,
        cancel: &Cancel,
    ) -> Result<Memory, RuntimeError> {
        let fused = self.fuse(features, selection, cancel)?;
        let decoded = self.image.decode(features, &fused, &Question::default(), cancel)?;
        let (mut memory, with_holes) = self.heads(&decoded, is_ambiguous(None));
        let score = memory.object_score;
        memory.spatial = Some(self.encode_memory(&features.features, &with_holes, false, score, cancel)?);
        Ok(memory)
    }

    /// What is remembered of a frame that has `features` where the object is `mask`, of the frame's size; an empty one
    /// says that it is not there. The mask itself is not kept.
    ///
    /// # Errors
    /// If canceled, or ONNX Runtime refuses.
    pub fn remember(
        &mut self,
        features: &Features,
        mask: &Mask,
        cancel: &Cancel,
    ) -> Result<Memory, RuntimeError> {
        let memory = self.use_mask(features, mask, 1.0, cancel)?;
        Ok(Memory { logits: None, ..self.settled(&features.features, memory, cancel)? })
    }

    /// What is known of a mask that somebody made, before it is encoded. Mirrors `_use_mask_as_output`.
    pub(super) fn use_mask(
        &mut self,
        features: &Features,
        mask: &Mask,
        iou: f32,
        cancel: &Cancel,
    ) -> Result<Memory, RuntimeError> {
        let config = self.config();
        let mask = mask.resize(Size::square(config.image_size));
        let logits = Logits::of_mask(&mask, config);
        let as_prompt = self.mask_prompt(&mask);
        let question = Question { mask: Some(&as_prompt), ..Question::default() };
        let decoded = self.image.decode(features, &features.features, &question, cancel)?;
        let is_there = mask.bits().iter().any(|&on| on);
        let pointer = match is_there && decoded.object_score > 0.0 {
            true => decoded.pointers.floats()[..self.no_object_pointer.len()].into(),
            false => self.no_object_pointer.as_slice().into(),
        };
        Ok(Memory {
            logits: Some(Arc::new(self.without_holes(logits))),
            spatial: None,
            pointer,
            object_score: if is_there { 10.0 } else { -10.0 },
            iou,
        })
    }

    /// The memory of what a person said, encoded, so that tracking can look at it.
    ///
    /// Mirrors `propagate_in_video_preflight`.
    pub(super) fn settled(
        &mut self,
        features: &Tensor,
        memory: Memory,
        cancel: &Cancel,
    ) -> Result<Memory, RuntimeError> {
        let absent = || Arc::new(Logits::absent(self.config().mask_side()));
        let logits = memory.logits.clone().unwrap_or_else(absent);
        let spatial = self.encode_memory(features, &logits, true, memory.object_score, cancel)?;
        Ok(Memory { spatial: Some(spatial), ..memory })
    }

    /// What is kept of the decoder's answer, and its mask before holes are filled.
    ///
    /// Mirrors the second half of `_forward_sam_heads`.
    pub(super) fn heads(&self, decoded: &Decoded, ambiguous: bool) -> (Memory, Logits) {
        let i = decoded.choose(ambiguous);
        let is_there = decoded.object_score > 0.0;
        let with_holes = if is_there { decoded.logits(i) } else { Logits::absent(self.config().mask_side()) };
        let no_object = &self.no_object_pointer;
        // A clear prompt has the pointer of the first mask token, even where another mask is shown.
        let token = if ambiguous { i } else { 0 };
        let pointer = match is_there {
            true => &decoded.pointers.floats()[token * no_object.len()..(token + 1) * no_object.len()],
            false => no_object,
        };
        let memory = Memory {
            logits: Some(Arc::new(self.without_holes(with_holes.clone()))),
            spatial: None,
            pointer: pointer.into(),
            object_score: decoded.object_score,
            iou: decoded.ious[i],
        };
        (memory, with_holes)
    }

    /// Mirrors `fill_holes_in_mask_scores`.
    fn without_holes(&self, mut logits: Logits) -> Logits {
        if self.fill_hole_area > 0 {
            mask::fill_holes(&mut logits.values, Size::square(logits.side), self.fill_hole_area);
        }
        logits
    }
}
