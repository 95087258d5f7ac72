//! What tracking knows of frames and of masks on them, whichever run asks.

use std::{collections::BTreeMap, sync::Arc};

use image::RgbImage;

use super::{Sam2Segmenter, Seen};
use crate::{
    mask::Rle,
    nn::Cancel,
    project::FrameId,
    sam2::{Features, Memory, MemoryBank, Palette, palette},
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
    palette: Option<Arc<Palette>>,
}

impl Known {
    pub(super) fn bytes(&self) -> usize {
        self.mask.bytes() + self.memory.bytes() + self.palette.as_ref().map_or(0, |palette| palette.bytes())
    }
}

/// What the tracking of one object looks at.
#[derive(Default)]
pub(super) struct Run {
    pub bank: MemoryBank,
    /// The object's colors on frames that were given.
    palettes: BTreeMap<usize, Arc<Palette>>,
}

impl Run {
    pub(super) fn put(
        &mut self,
        frame: usize,
        is_given: bool,
        (memory, palette): (Memory, Option<Arc<Palette>>),
    ) {
        if is_given {
            self.bank.put_conditioning(frame, memory);
            self.palettes.extend(palette.map(|palette| (frame, palette)));
        } else {
            self.bank.put_tracked(frame, memory);
        }
    }

    /// The object's colors on the given frames that are nearest.
    pub(super) fn palettes(&self, frame: usize) -> Vec<Arc<Palette>> {
        const NEAREST: usize = 2;
        let mut nearest: Vec<_> = self.palettes.iter().collect();
        nearest.sort_by_key(|(given, _)| given.abs_diff(frame));
        nearest.into_iter().take(NEAREST).map(|(_, palette)| palette.clone()).collect()
    }
}

impl Sam2Segmenter {
    /// A frame's pixels; those that were read last are kept, for there may be several objects on them.
    pub(super) fn pixels(
        &mut self,
        at: FrameId,
        video: &mut Video<'_>,
    ) -> Result<Arc<RgbImage>, SegmentError> {
        if let Some((_, pixels)) = self.pixels.as_ref().filter(|(known, _)| *known == at) {
            return Ok(pixels.clone());
        }
        let pixels = Arc::new(video.frame(at.frame)?);
        self.pixels = Some((at, pixels.clone()));
        Ok(pixels)
    }

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
                let seen = self.seen.iter().find(is_here).map(|seen| seen.view.features().clone());
                let features = match seen {
                    Some(features) => features,
                    None => {
                        let pixels = self.pixels(at, video)?;
                        self.model.image.encode(&pixels, cancel)?
                    }
                };
                Frame { at, features }
            }
        };
        Ok(self.frames.put(frame).features.clone())
    }

    /// What the mask of an object on a frame is remembered as, and the object's colors there.
    pub(super) fn memory(
        &mut self,
        at: FrameId,
        mask: &Arc<Rle>,
        video: &mut Video<'_>,
        cancel: &Cancel,
    ) -> Result<(Memory, Option<Arc<Palette>>), SegmentError> {
        // Two that are shared are found to be equal without a look inside.
        let known = match self.memories.take(|known| known.at == at && known.mask == *mask) {
            Some(known) => known,
            None => {
                let features = self.features(at, video, cancel)?;
                let memory = self.model.remember(&features, &mask.decode(), cancel)?;
                let palette = match self.look.colors {
                    true => palette(&*self.pixels(at, video)?, mask).map(Arc::new),
                    false => None,
                };
                Known { at, mask: mask.clone(), memory, palette }
            }
        };
        let known = self.memories.put(known);
        Ok((known.memory.clone(), known.palette.clone()))
    }
}
