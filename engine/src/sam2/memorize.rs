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
    nn::{Cancel, RuntimeError, Tensor, runtime::remark},
};

impl VideoModel {
    /// Objects on a frame that has `features`, as far as can be told from what was selected for each.
    ///
    /// Mirrors one turn of `propagate_in_video`. As many go at once as look at equally much and as the device has memory
    /// for.
    ///
    /// # Errors
    /// If canceled, or ONNX Runtime refuses.
    pub fn track(
        &mut self,
        features: &Features,
        selections: &[Selection<'_>],
        cancel: &Cancel,
    ) -> Result<Vec<Memory>, RuntimeError> {
        let mut batch = self.batch;
        let tracked = in_batches(selections, Selection::sizes, &mut batch, |selections| {
            self.track_batch(features, selections, cancel)
        });
        if batch < self.batch {
            remark(format!(
                "{} objects at once are too much for the device; from now on it is {batch}",
                self.batch
            ));
            self.batch = batch;
        }
        tracked
    }

    fn track_batch(
        &mut self,
        features: &Features,
        selections: &[&Selection<'_>],
        cancel: &Cancel,
    ) -> Result<Vec<Memory>, RuntimeError> {
        let fused = self.fuse(features, selections, cancel)?;
        let decoded = self.image.decode_all(features, &fused, &Question::default(), cancel)?;
        let (mut memories, with_holes): (Vec<Memory>, Vec<Logits>) =
            decoded.iter().map(|decoded| self.heads(decoded, is_ambiguous(None))).unzip();
        let masks: Vec<(&Logits, f32)> =
            with_holes.iter().zip(&memories).map(|(mask, memory)| (mask, memory.object_score)).collect();
        let spatials = self.encode_memories(&features.features, &masks, false, cancel)?;
        for (memory, spatial) in memories.iter_mut().zip(spatials) {
            memory.spatial = Some(spatial);
        }
        Ok(memories)
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
            true => decoded.pointer(0).into(),
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
        let mask = (&*logits, memory.object_score);
        let spatial = self.encode_memories(features, &[mask], true, cancel)?.pop();
        Ok(Memory { spatial, ..memory })
    }

    /// What is kept of the decoder's answer, and its mask before holes are filled.
    ///
    /// Mirrors the second half of `_forward_sam_heads`.
    pub(super) fn heads(&self, decoded: &Decoded, ambiguous: bool) -> (Memory, Logits) {
        let i = decoded.choose(ambiguous);
        let is_there = decoded.object_score > 0.0;
        let with_holes = if is_there { decoded.logits(i) } else { Logits::absent(self.config().mask_side()) };
        // A clear prompt has the pointer of the first mask token, even where another mask is shown.
        let token = if ambiguous { i } else { 0 };
        let pointer = match is_there {
            true => decoded.pointer(token),
            false => &self.no_object_pointer,
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

/// Works items off in batches of up to `batch` items of one kind; the results are in the items' order. Where a batch is too
/// much for the device it is halved, for this and all later ones.
fn in_batches<Item, Kind: PartialEq, Made>(
    items: &[Item],
    kind: impl Fn(&Item) -> Kind,
    batch: &mut usize,
    mut work: impl FnMut(&[&Item]) -> Result<Vec<Made>, RuntimeError>,
) -> Result<Vec<Made>, RuntimeError> {
    let mut made: Vec<Option<Made>> = items.iter().map(|_| None).collect();
    while let Some(first) = made.iter().position(Option::is_none) {
        let is_next = |i: &usize| made[*i].is_none() && kind(&items[*i]) == kind(&items[first]);
        let next: Vec<usize> = (first..items.len()).filter(is_next).take(*batch).collect();
        match work(&next.iter().map(|i| &items[*i]).collect::<Vec<_>>()) {
            Ok(results) => next.into_iter().zip(results).for_each(|(i, result)| made[i] = Some(result)),
            Err(RuntimeError::Ort { .. }) if next.len() > 1 => *batch = next.len() / 2,
            Err(error) => return Err(error),
        }
    }
    Ok(made.into_iter().flatten().collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Items that are each the batch which they were worked off in, where the device takes `most` at once.
    fn batches(kinds: &[u8], batch: &mut usize, most: usize) -> Result<Vec<Vec<usize>>, RuntimeError> {
        let items: Vec<(usize, u8)> = kinds.iter().copied().enumerate().collect();
        in_batches(
            &items,
            |(_, kind)| *kind,
            batch,
            |items| {
                if items.len() > most {
                    return Err(RuntimeError::out_of_memory());
                }
                let these: Vec<usize> = items.iter().map(|(i, _)| *i).collect();
                Ok(vec![these; items.len()])
            },
        )
    }

    #[test]
    fn what_is_alike_goes_together_and_comes_back_in_its_order() {
        let made = batches(&[0, 1, 0, 0, 1], &mut 8, 8).unwrap();
        assert_eq!(made, [vec![0, 2, 3], vec![1, 4], vec![0, 2, 3], vec![0, 2, 3], vec![1, 4]]);
        let made = batches(&[0; 5], &mut 2, 8).unwrap();
        assert_eq!(made, [vec![0, 1], vec![0, 1], vec![2, 3], vec![2, 3], vec![4]]);
    }

    #[test]
    fn a_batch_that_is_too_much_is_halved_for_good() {
        let mut batch = 8;
        let made = batches(&[0; 7], &mut batch, 2).unwrap();
        assert_eq!(made, [vec![0], vec![1], vec![2], vec![3], vec![4], vec![5], vec![6]]);
        assert_eq!(batch, 1);
        assert!(batches(&[0], &mut batch, 0).is_err());
    }
}
