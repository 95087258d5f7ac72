//! Object tracking through a video, one frame at a time: prompts on any frame, predicted masks on all others.
//!
//! A prompt makes its frame a conditioning frame, which later tracking attends to and never overwrites, so corrections
//! take effect. (The original loses corrections by default; this is its `add_all_frames_to_correct_as_cond`.)
//!
//! Memory use is bounded for long videos, except for pointers: one kilobyte per frame and object.

use std::{collections::BTreeMap, sync::Arc};

use image::RgbImage;

use crate::{
    frame::{Direction, Frames, PictureKind},
    geometry::Size,
    mask::Mask,
    nn::{Cancel, Runtime, RuntimeError, Tensor},
    prompt::Prompt,
};

use super::{
    config::NUM_MASKMEM,
    image::{Features, ImageModel, Logits, Question, is_ambiguous},
    look::Look,
    memory::{Memory, MemoryBank, Selection},
    video_model::VideoModel,
    weights::Weights,
};

/// An identifier of an object within a tracker.
pub type ObjectId = u32;

/// The options of tracking.
#[derive(Clone, Debug)]
pub struct TrackOptions {
    /// Maximum number of conditioning frames that a frame attends to; the nearest are chosen. `None` means all.
    pub max_cond_frames: Option<usize>,
    /// Maximum area, in pixels of the model's mask, of holes that are filled.
    pub fill_hole_area: usize,
    /// True if each pixel belongs to at most one object.
    pub non_overlap: bool,
    /// Number of frames on either side of the current one whose masks and memories are kept at full size.
    pub n_kept_frames: usize,
    /// Maximum number of objects per model run; `None` chooses the number by device and model.
    pub batch: Option<usize>,
    /// Options of careful inference for boxes. If any is on, the predicted mask becomes the prompt, without regard to
    /// the frame's memory.
    pub look: Look,
}

impl Default for TrackOptions {
    fn default() -> Self {
        Self {
            max_cond_frames: Some(4),
            fill_hole_area: 8,
            non_overlap: false,
            n_kept_frames: NUM_MASKMEM - 1,
            batch: None,
            look: Look::default(),
        }
    }
}

/// An error that stops tracking.
#[derive(Debug, thiserror::Error)]
pub enum TrackError {
    /// The model failed.
    #[error(transparent)]
    Runtime(#[from] RuntimeError),
    /// A frame of the video could not be read.
    #[error(transparent)]
    Frame(Box<dyn std::error::Error + Send + Sync>),
    /// An object has no prompt on any frame.
    #[error("object {0} has no prompt; give it a point, a box or a mask on some frame first")]
    NoPrompt(ObjectId),
}

/// An object on a frame.
#[derive(Clone, Debug)]
pub struct Segment {
    /// The object.
    pub object: ObjectId,
    /// Mask at the size of the video; empty if the object is absent.
    pub mask: Mask,
    /// IoU of the mask as predicted by the model, 0 to 1.
    pub iou: f32,
    /// Above zero if the object is on the frame.
    pub object_score: f32,
    /// Logits of the mask.
    pub logits: Arc<Logits>,
}

/// The earlier frames that tracking one frame attends to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LooksAt {
    /// Frames whose spatial memories are attended to, each with its time slot: 0 for the previous frame, 6 for a
    /// conditioning frame.
    pub memories: Vec<(usize, usize)>,
    /// Frames whose pointers are attended to, each with its distance in frames.
    pub pointers: Vec<(usize, usize)>,
}

/// A prompted mask whose memory is not encoded yet, with the features of its frame.
struct Pending {
    frame: usize,
    memory: Memory,
    features: Tensor,
}

#[derive(Default)]
struct Object {
    bank: MemoryBank,
    pending: Vec<Pending>,
    /// Tracked frames with the direction in which each was tracked last.
    tracked: BTreeMap<usize, Direction>,
}

/// A tracker of the objects in one video.
pub struct Tracker {
    model: VideoModel,
    options: TrackOptions,
    objects: BTreeMap<ObjectId, Object>,
    /// Features of the frame encoded last, which all objects share.
    seen: Option<(usize, Features)>,
}

impl Tracker {
    /// Loads the model.
    ///
    /// # Errors
    /// If ONNX Runtime fails, or the weights lack a tensor.
    pub fn load(runtime: &Runtime, weights: &Weights, options: TrackOptions) -> Result<Self, RuntimeError> {
        let mut model = VideoModel::load(runtime, weights, options.fill_hole_area)?;
        model.batch = options.batch.unwrap_or(model.batch).max(1);
        Ok(Self { model, options, objects: BTreeMap::new(), seen: None })
    }

    /// Prompts an object on a frame with points and a box, in pixels of the video, and returns its mask there.
    ///
    /// `prompt` must hold all points and the box of this frame; it refines the mask that the frame already has.
    /// Mirrors `add_new_points_or_box`.
    ///
    /// # Errors
    /// If the frame cannot be read, or the model cannot run.
    pub fn prompt(
        &mut self,
        frames: &mut impl Frames,
        object: ObjectId,
        frame: usize,
        prompt: &Prompt,
        cancel: &Cancel,
    ) -> Result<Segment, TrackError> {
        if self.options.look != Look::default() && prompt.rect.is_some() {
            let image = frame_of(frames, frame)?;
            let view =
                self.model.image.view(&image, PictureKind::Frame, prompt, self.options.look, cancel)?;
            let answer = self.model.image.click_through(&view, prompt, cancel)?;
            let mask = view.mask(&image, prompt, &answer.logits);
            return self.put_mask(frames, object, frame, &mask, answer.iou, cancel);
        }
        let features = self.look(frames, frame, cancel)?;
        let state = self.objects.entry(object).or_default();
        let tracked = state.tracked.get(&frame).copied();
        let pending = state.pending.iter().find(|p| p.frame == frame).map(|p| &p.memory);
        let previous = pending.or_else(|| state.bank.get(frame)).and_then(|m| m.logits.clone());
        let previous = previous.as_deref().map(Logits::as_prompt);
        let fused = match tracked {
            Some(direction) => {
                Some(self.fuse(object, frame, direction, frames.n_frames(), &features, cancel)?)
            }
            None => None,
        };
        let question = Question { prompt: Some(prompt), mask: previous.as_ref(), no_memory: fused.is_none() };
        let decoded = self.model.image.decode(
            &features,
            fused.as_ref().unwrap_or(&features.features),
            &question,
            cancel,
        )?;
        let (memory, _) = self.model.heads(&decoded, is_ambiguous(Some(prompt)));
        Ok(self.put_pending(object, frame, memory, &features))
    }

    /// Prompts an object on a frame with a mask of the size of the video; an empty mask means that the object is
    /// absent.
    ///
    /// Mirrors `add_new_mask` and `_use_mask_as_output`.
    ///
    /// # Errors
    /// If the frame cannot be read, or the model cannot run.
    pub fn prompt_mask(
        &mut self,
        frames: &mut impl Frames,
        object: ObjectId,
        frame: usize,
        mask: &Mask,
        cancel: &Cancel,
    ) -> Result<Segment, TrackError> {
        self.put_mask(frames, object, frame, mask, 1.0, cancel)
    }

    fn put_mask(
        &mut self,
        frames: &mut impl Frames,
        object: ObjectId,
        frame: usize,
        mask: &Mask,
        iou: f32,
        cancel: &Cancel,
    ) -> Result<Segment, TrackError> {
        let features = self.look(frames, frame, cancel)?;
        let memory = self.model.use_mask(&features, mask, iou, cancel)?;
        Ok(self.put_pending(object, frame, memory, &features))
    }

    /// Returns the masks of `objects` on `frame`, the next frame in this direction: the prompted mask, or else a mask
    /// tracked from memory. Mirrors one iteration of `propagate_in_video`.
    ///
    /// # Errors
    /// If an object has no prompt on any frame, the frame cannot be read, or the model cannot run.
    pub fn track(
        &mut self,
        frames: &mut impl Frames,
        frame: usize,
        direction: Direction,
        objects: &[ObjectId],
        cancel: &Cancel,
    ) -> Result<Vec<Segment>, TrackError> {
        self.settle(cancel)?;
        let has_prompt =
            |object: &ObjectId| self.objects.get(object).is_some_and(|state| !state.bank.is_empty());
        if let Some(object) = objects.iter().find(|object| !has_prompt(object)) {
            return Err(TrackError::NoPrompt(*object));
        }
        let is_given = |object: &ObjectId| self.objects[object].bank.is_given(frame);
        let due: Vec<ObjectId> = objects.iter().copied().filter(|object| !is_given(object)).collect();
        self.track_due(frames, frame, direction, &due, cancel)?;
        let mut segments = Vec::with_capacity(objects.len());
        for &object in objects {
            if let Some(memory) = self.objects[&object].bank.get(frame).cloned() {
                segments.push(self.segment(object, memory, frames.size()));
            }
            self.forget_far_from(object, frame);
        }
        if self.options.non_overlap {
            separate(&mut segments);
        }
        Ok(segments)
    }

    /// Returns the earlier frames that tracking `object` on `frame` attends to.
    ///
    /// # Errors
    /// If the object is unknown.
    pub fn looks_at(
        &self,
        object: ObjectId,
        frame: usize,
        direction: Direction,
        n_frames: usize,
    ) -> Result<LooksAt, TrackError> {
        let bank = &self.objects.get(&object).ok_or(TrackError::NoPrompt(object))?.bank;
        let selection = bank.select(frame, direction, n_frames, self.options.max_cond_frames);
        let kept = selection.memories.iter().filter(|(_, memory, _)| memory.spatial.is_some());
        Ok(LooksAt {
            memories: kept.map(|&(f, _, slot)| (f, slot)).collect(),
            pointers: selection.pointers.iter().map(|&(f, _, distance)| (f, distance)).collect(),
        })
    }

    /// Returns the same model for single images, without memory.
    pub fn image_model(&mut self) -> &mut ImageModel {
        &mut self.model.image
    }

    /// Tracks objects that have at least one conditioning frame, and stores the new memories.
    fn track_due(
        &mut self,
        frames: &mut impl Frames,
        frame: usize,
        direction: Direction,
        objects: &[ObjectId],
        cancel: &Cancel,
    ) -> Result<(), TrackError> {
        if objects.is_empty() {
            return Ok(());
        }
        let features = self.look(frames, frame, cancel)?;
        let (n_frames, max_cond_frames) = (frames.n_frames(), self.options.max_cond_frames);
        let select = |object| self.objects[object].bank.select(frame, direction, n_frames, max_cond_frames);
        let selections: Vec<Selection<'_>> = objects.iter().map(select).collect();
        let memories = self.model.track(&features, &selections, cancel)?;
        for (object, memory) in objects.iter().zip(memories) {
            if let Some(state) = self.objects.get_mut(object) {
                state.bank.put_tracked(frame, memory);
                state.tracked.insert(frame, direction);
            }
        }
        Ok(())
    }

    /// Encodes the memories of pending prompts, so that tracking can attend to them.
    ///
    /// Mirrors `propagate_in_video_preflight`.
    fn settle(&mut self, cancel: &Cancel) -> Result<(), TrackError> {
        for state in self.objects.values_mut() {
            while let Some(Pending { frame, memory, features }) = state.pending.first() {
                let memory = self.model.settled(features, memory.clone(), cancel)?;
                state.bank.put_conditioning(*frame, memory);
                state.pending.remove(0);
            }
        }
        Ok(())
    }

    fn look(
        &mut self,
        frames: &mut impl Frames,
        frame: usize,
        cancel: &Cancel,
    ) -> Result<Features, TrackError> {
        if let Some((_, features)) = self.seen.as_ref().filter(|(seen, _)| *seen == frame) {
            return Ok(features.clone());
        }
        let image = frame_of(frames, frame)?;
        let features =
            Features { size: frames.size(), ..self.model.image.encode(&image, PictureKind::Frame, cancel)? };
        self.seen = Some((frame, features.clone()));
        Ok(features)
    }

    /// Fuses the features of a frame with the memories of an object.
    fn fuse(
        &mut self,
        object: ObjectId,
        frame: usize,
        direction: Direction,
        n_frames: usize,
        features: &Features,
        cancel: &Cancel,
    ) -> Result<Tensor, TrackError> {
        let bank = &self.objects.get(&object).ok_or(TrackError::NoPrompt(object))?.bank;
        let selection = bank.select(frame, direction, n_frames, self.options.max_cond_frames);
        Ok(self.model.fuse(features, &[&selection], cancel)?)
    }

    fn put_pending(
        &mut self,
        object: ObjectId,
        frame: usize,
        memory: Memory,
        features: &Features,
    ) -> Segment {
        let state = self.objects.entry(object).or_default();
        let pending = Pending { frame, memory: memory.clone(), features: features.features.clone() };
        match state.pending.iter_mut().find(|p| p.frame == frame) {
            Some(old) => *old = pending,
            None => state.pending.push(pending),
        }
        self.segment(object, memory, features.size)
    }

    fn segment(&self, object: ObjectId, memory: Memory, size: Size) -> Segment {
        let logits =
            memory.logits.unwrap_or_else(|| Arc::new(Logits::absent(self.model.config().mask_side())));
        Segment {
            object,
            mask: logits.mask(size),
            iou: memory.iou,
            object_score: memory.object_score,
            logits,
        }
    }

    /// Reduces the memories of tracked frames to pointers, except near `frame` and near the first conditioning frame,
    /// from which tracking may start in the other direction.
    fn forget_far_from(&mut self, object: ObjectId, frame: usize) {
        let n = self.options.n_kept_frames;
        if let Some(state) = self.objects.get_mut(&object) {
            let first = state.bank.first_conditioning();
            state.bank.shrink_except(|f| {
                f.abs_diff(frame) <= n || first.is_some_and(|first| f.abs_diff(first) <= n)
            });
        }
    }
}

fn frame_of<F: Frames>(frames: &mut F, frame: usize) -> Result<RgbImage, TrackError> {
    frames.frame(frame).map_err(|error| TrackError::Frame(Box::new(error)))
}

/// Assigns each pixel that several objects claim to the object with the highest logit.
///
/// Mirrors `_apply_non_overlapping_constraints`.
fn separate(segments: &mut [Segment]) {
    let Some(size) = segments.first().map(|segment| segment.mask.size()) else { return };
    let mut best = vec![f32::NEG_INFINITY; size.area()];
    let mut owner = vec![usize::MAX; size.area()];
    for (i, segment) in segments.iter().enumerate() {
        for ((logit, best), owner) in segment.logits.resized(size).into_iter().zip(&mut best).zip(&mut owner)
        {
            if logit > *best {
                (*best, *owner) = (logit, i);
            }
        }
    }
    for (i, segment) in segments.iter_mut().enumerate() {
        let bits = segment.mask.bits().iter().zip(&owner).map(|(&on, &owner)| on && owner == i);
        segment.mask = Mask::new(size, bits.collect());
    }
}
