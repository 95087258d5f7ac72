//! Caches for tracking, shared by all runs: features, pixels and sketches of frames, and memories of masks.

use std::sync::Arc;

use image::RgbImage;

use super::{Sam2Segmenter, Seen};
use crate::{
    frame::{Direction, PictureKind},
    mask::Rle,
    nn::Cancel,
    project::{FrameId, RunId},
    sam2::{Features, Memory, Moved, Nearby, Palette, Sketch, palette},
    segmenter::{Reach, SegmentError, Video},
};

/// Six previous frames as in SAM 2, but at most four conditioning frames: SAM 2 attends to all of them, at a cost that
/// grows with their number.
pub(super) const REACH: Reach = Reach { given: 4, recent: 6 };
/// Memory for encoded frames, enough for sixteen with an official model, and the number that is kept regardless of
/// size.
pub(super) const FRAMES_BYTES: usize = 256 << 20;
pub(super) const N_FRAMES: usize = 2;
/// Memory for memories of masks, enough for about 120 with an official model.
pub(super) const MEMORIES_BYTES: usize = 64 << 20;
/// Memory for about a hundred sketches of frames.
pub(super) const SKETCHES_BYTES: usize = 16 << 20;

/// An encoded frame.
pub(super) struct Frame {
    pub at: FrameId,
    pub features: Features,
}

impl Frame {
    pub(super) fn bytes(&self) -> usize {
        self.features.bytes()
    }
}

/// The memory of a given or tracked mask on a frame, which depends on nothing else.
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

/// The sketch of a frame.
pub(super) struct Sketched {
    at: FrameId,
    sketch: Arc<Sketch>,
}

impl Sketched {
    pub(super) fn bytes(&self) -> usize {
        self.sketch.bytes()
    }
}

/// The sketch of a frame, and the masks on nearby frames.
pub(super) struct Surroundings {
    frame: Arc<Sketch>,
    nearby: Vec<Nearby>,
}

impl Surroundings {
    pub(super) fn moved(&self) -> Option<Moved> {
        Moved::of(&self.frame, &self.nearby)
    }
}

impl Sam2Segmenter {
    /// Returns the pixels of a frame. The last frame is cached, because several objects may be tracked on it.
    pub(super) fn pixels(
        &mut self,
        at: FrameId,
        video: &mut Video<'_>,
    ) -> Result<Arc<RgbImage>, SegmentError> {
        if let Some((_, pixels)) = self.pixels.as_ref().filter(|(known, _)| *known == at) {
            return Ok(pixels.clone());
        }
        let pixels = match self.next_pixels.take_if(|(next, _)| *next == at) {
            Some((_, pixels)) => pixels,
            None => Arc::new(video.frame(at.frame)?),
        };
        self.pixels = Some((at, pixels.clone()));
        Ok(pixels)
    }

    /// Returns the next frame in this direction if it should be encoded ahead. Read errors are ignored here; they are
    /// reported when tracking reaches that frame.
    pub(super) fn unknown_next(
        &mut self,
        at: FrameId,
        direction: Direction,
        video: &mut Video<'_>,
    ) -> Option<(FrameId, Arc<RgbImage>)> {
        let frame = direction.ahead(at.frame, 1, video.n_frames()).filter(|_| self.looks_ahead)?;
        let next = FrameId { frame, ..at };
        if self.frames.iter().any(|frame| frame.at == next) {
            return None;
        }
        let pixels = Arc::new(video.frame(frame).ok()?);
        self.next_pixels = Some((next, pixels.clone()));
        Some((next, pixels))
    }

    fn sketch(&mut self, at: FrameId, video: &mut Video<'_>) -> Result<Arc<Sketch>, SegmentError> {
        let known = match self.sketches.take(|sketched| sketched.at == at) {
            Some(known) => known,
            None => Sketched { at, sketch: Arc::new(Sketch::of(&*self.pixels(at, video)?)) },
        };
        Ok(self.sketches.put(known).sketch.clone())
    }

    /// Returns the sketch of a frame, and the nearby masks of a run with the sketches of their frames.
    pub(super) fn surroundings(
        &mut self,
        run: RunId,
        at: FrameId,
        direction: Direction,
        video: &mut Video<'_>,
    ) -> Result<Surroundings, SegmentError> {
        let frame = self.sketch(at, video)?;
        let pixels = self.pixels.take();
        let masks = self.runs.get(&run).map(|run| run.nearby(at.frame, direction)).unwrap_or_default();
        let mut nearby = Vec::with_capacity(masks.len());
        for (frame, mask, weight) in masks {
            let sketch = self.sketch(FrameId { frame, ..at }, video)?;
            nearby.push(Nearby { sketch, mask, weight });
        }
        // The cached pixels of frames read since are no longer needed; those of this frame are.
        self.pixels = pixels;
        Ok(Surroundings { frame, nearby })
    }

    /// Predicts the object of each run on a frame with these `features`, without storing the results as memories.
    pub(super) fn find(
        &mut self,
        runs: &[RunId],
        at: FrameId,
        direction: Direction,
        n_frames: usize,
        features: &Features,
        cancel: &Cancel,
    ) -> Result<Vec<Memory>, SegmentError> {
        let mut selections = Vec::with_capacity(runs.len());
        for run in runs.iter().filter_map(|run| self.runs.get(run)) {
            selections.push(run.bank.select(at.frame, direction, n_frames, Some(REACH.given)));
        }
        Ok(self.model.track(features, &selections, cancel)?)
    }

    /// Returns the features of a frame, which is read and encoded if they are not cached.
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
                        self.model.image.encode(&pixels, PictureKind::Frame, cancel)?
                    }
                };
                Frame { at, features }
            }
        };
        Ok(self.frames.put(frame).features.clone())
    }

    /// Returns the memory of an object's mask on a frame, and the object's colors there.
    pub(super) fn memory(
        &mut self,
        at: FrameId,
        mask: &Arc<Rle>,
        video: &mut Video<'_>,
        cancel: &Cancel,
    ) -> Result<(Memory, Option<Arc<Palette>>), SegmentError> {
        // Masks that share their data compare equal without a comparison of their contents.
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
