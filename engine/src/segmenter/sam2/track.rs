//! What tracking knows of frames and of masks on them, whichever run asks.

use std::sync::Arc;

use super::{Sam2Segmenter, Seen};
use crate::{
    mask::Rle,
    nn::Cancel,
    project::FrameId,
    sam2::{Features, Memory},
    segmenter::{Reach, SegmentError, Video},
};

/// How far back SAM 2 looks; of conditioning frames it looks at all, which costs more with each.
pub(super) const REACH: Reach = Reach { given: 4, recent: 6 };
/// Memory for frames, sixteen for an official model; and how many are kept whatever their size.
pub(super) const FRAMES_BYTES: usize = 256 << 20;
pub(super) const N_FRAMES: usize = 2;
/// Memory for what masks are remembered as, some 120 for an official model.
pub(super) const MEMORIES_BYTES: usize = 64 << 20;

/// A frame as the model sees it.
pub(super) struct Frame {
    at: FrameId,
    features: Features,
}

impl Frame {
    pub(super) fn bytes(&self) -> usize {
        self.features.bytes()
    }
}

/// What a mask on a frame is remembered as: always the same.
pub(super) struct Known {
    at: FrameId,
    mask: Arc<Rle>,
    memory: Memory,
}

impl Known {
    pub(super) fn bytes(&self) -> usize {
        self.mask.bytes() + self.memory.bytes()
    }
}

impl Sam2Segmenter {
    /// What the model sees in a frame, which is read if that is not known.
    pub(super) fn features(
        &mut self,
        at: FrameId,
        video: &mut Video<'_>,
        cancel: &Cancel,
    ) -> Result<Features, SegmentError> {
        let is_here =
            |seen: &&Seen| seen.view.is_whole() && seen.picture.upgrade().is_some_and(|p| p.at == at);
        let frame = match self.frames.take(|frame| frame.at == at) {
            Some(frame) => frame,
            None => {
                let features = match self.seen.iter().find(is_here) {
                    Some(seen) => seen.view.features().clone(),
                    None => self.model.image.encode(&video.frame(at.frame)?, cancel)?,
                };
                Frame { at, features }
            }
        };
        Ok(self.frames.put(frame).features.clone())
    }

    /// What the mask of an object on a frame is remembered as.
    pub(super) fn memory(
        &mut self,
        at: FrameId,
        mask: &Arc<Rle>,
        video: &mut Video<'_>,
        cancel: &Cancel,
    ) -> Result<Memory, SegmentError> {
        // Two that are shared are found to be equal without a look inside.
        let known = match self.memories.take(|known| known.at == at && known.mask == *mask) {
            Some(known) => known,
            None => {
                let features = self.features(at, video, cancel)?;
                let memory = self.model.remember(&features, &mask.decode(), cancel)?;
                Known { at, mask: mask.clone(), memory }
            }
        };
        Ok(self.memories.put(known).memory.clone())
    }
}
