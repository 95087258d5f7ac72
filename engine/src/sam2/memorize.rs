//! Creation of memories: from a mask that a person gave, or from a mask predicted by tracking.

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
    /// Tracks objects on a frame with these `features`, from the memories selected for each object.
    ///
    /// Mirrors one iteration of `propagate_in_video`. Objects with equal numbers of memories and pointers go through
    /// the model in batches as large as the memory of the device allows.
    ///
    /// # Errors
    /// If canceled, or ONNX Runtime fails.
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

    /// Encodes the memory of a frame with these `features` and the object's `mask`, which has the size of the frame; an
    /// empty mask means that the object is absent. The memory does not keep the mask.
    ///
    /// # Errors
    /// If canceled, or ONNX Runtime fails.
    pub fn remember(
        &mut self,
        features: &Features,
        mask: &Mask,
        cancel: &Cancel,
    ) -> Result<Memory, RuntimeError> {
        let memory = self.use_mask(features, mask, 1.0, cancel)?;
        Ok(Memory { logits: None, ..self.settled(&features.features, memory, cancel)? })
    }

    /// Returns a memory for a given mask without spatial features. Mirrors `_use_mask_as_output`.
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

    /// Completes a memory of a person's prompt with its spatial features, so that tracking can attend to it.
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

    /// Returns a memory of the decoder's output without spatial features, and its mask before holes are filled.
    ///
    /// Mirrors the second half of `_forward_sam_heads`.
    pub(super) fn heads(&self, decoded: &Decoded, ambiguous: bool) -> (Memory, Logits) {
        let i = decoded.choose(ambiguous);
        let is_there = decoded.object_score > 0.0;
        let with_holes = if is_there { decoded.logits(i) } else { Logits::absent(self.config().mask_side()) };
        // A clear prompt has the pointer of the first mask token, even if another mask was chosen.
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

    /// Fills small holes. Mirrors `fill_holes_in_mask_scores`.
    fn without_holes(&self, mut logits: Logits) -> Logits {
        if self.fill_hole_area > 0 {
            mask::fill_holes(&mut logits.values, Size::square(logits.side), self.fill_hole_area);
        }
        logits
    }
}

/// Processes items in batches of up to `batch` items of one kind and returns the results in the order of the items. If
/// a batch fails on the device, `batch` is halved for this and all later batches.
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

    /// Returns, for each item, the batch that it was processed in, on a device that fails for more than `most` items.
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
    fn items_of_one_kind_share_a_batch() {
        let made = batches(&[0, 1, 0, 0, 1], &mut 8, 8).unwrap();
        assert_eq!(made, [vec![0, 2, 3], vec![1, 4], vec![0, 2, 3], vec![0, 2, 3], vec![1, 4]]);
        let made = batches(&[0; 5], &mut 2, 8).unwrap();
        assert_eq!(made, [vec![0, 1], vec![0, 1], vec![2, 3], vec![2, 3], vec![4]]);
    }

    #[test]
    fn failed_batches_are_halved_permanently() {
        let mut batch = 8;
        let made = batches(&[0; 7], &mut batch, 2).unwrap();
        assert_eq!(made, [vec![0], vec![1], vec![2], vec![3], vec![4], vec![5], vec![6]]);
        assert_eq!(batch, 1);
        assert!(batches(&[0], &mut batch, 0).is_err());
    }
}
