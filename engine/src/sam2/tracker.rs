//! Carries objects through a video: prompts on any frame, masks on every other, one frame at a time.
//!
//! A correction acts: a prompt makes its frame a conditioning frame, which later tracking looks at and never overwrites.
//! (The original's default forgets corrections; this is its `add_all_frames_to_correct_as_cond`.)
//! What is kept of a long video is bounded but for pointers, a kilobyte a frame and object.

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

/// Names an object within a tracker.
pub type ObjectId = u32;

/// Choices that tracking leaves open.
#[derive(Clone, Debug)]
pub struct TrackOptions {
    /// Conditioning frames that a frame looks at; the nearest are taken. None is all.
    pub max_cond_frames: Option<usize>,
    /// Holes of up to so many pixels of the model's mask are filled.
    pub fill_hole_area: usize,
    /// Each pixel belongs to one object at most.
    pub non_overlap: bool,
    /// Frames on either side of the current one whose masks and memories are kept at full size.
    pub n_kept_frames: usize,
    /// Objects that go through the model at once at most; none is as many as are of use.
    pub batch: Option<usize>,
    /// How a box is looked at. With care, the mask found is the prompt, whatever the frame's memory says.
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

/// Why tracking stops.
#[derive(Debug, thiserror::Error)]
pub enum TrackError {
    /// The model.
    #[error(transparent)]
    Runtime(#[from] RuntimeError),
    /// The video.
    #[error(transparent)]
    Frame(Box<dyn std::error::Error + Send + Sync>),
    /// An object that nobody has pointed at.
    #[error("object {0} has no prompt; give it a point, a box or a mask on some frame first")]
    NoPrompt(ObjectId),
}

/// An object on a frame.
#[derive(Clone, Debug)]
pub struct Segment {
    /// Which object.
    pub object: ObjectId,
    /// Its mask at the video's size; empty where the object is not there.
    pub mask: Mask,
    /// The IoU that the model expects of the mask, 0 to 1.
    pub iou: f32,
    /// Above zero if the object is there.
    pub object_score: f32,
    /// The mask as the model made it.
    pub logits: Arc<Logits>,
}

/// What a frame is tracked from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LooksAt {
    /// Frames whose spatial memories are looked at, each with its time slot: 0 is the frame before, 6 a conditioning
    /// frame.
    pub memories: Vec<(usize, usize)>,
    /// Frames whose pointers are looked at, each with how many frames it lies back.
    pub pointers: Vec<(usize, usize)>,
}

/// A mask that was asked for but not yet remembered, with the features to do so.
struct Pending {
    frame: usize,
    memory: Memory,
    features: Tensor,
}

#[derive(Default)]
struct Object {
    bank: MemoryBank,
    pending: Vec<Pending>,
    /// The frames that were tracked, and which way last.
    tracked: BTreeMap<usize, Direction>,
}

/// Objects in one video.
pub struct Tracker {
    model: VideoModel,
    options: TrackOptions,
    objects: BTreeMap<ObjectId, Object>,
    /// The features of the frame looked at last: objects share them.
    seen: Option<(usize, Features)>,
}

impl Tracker {
    /// Loads the model.
    ///
    /// # Errors
    /// If ONNX Runtime refuses, or the weights lack a tensor.
    pub fn load(runtime: &Runtime, weights: &Weights, options: TrackOptions) -> Result<Self, RuntimeError> {
        let mut model = VideoModel::load(runtime, weights, options.fill_hole_area)?;
        model.batch = options.batch.unwrap_or(model.batch).max(1);
        Ok(Self { model, options, objects: BTreeMap::new(), seen: None })
    }

    /// Says what an object is on a frame by points and a box, in pixels of the video, and gives its mask there.
    ///
    /// `prompt` is all that was said of this frame; it refines the mask that the frame has.
    /// Mirrors `add_new_points_or_box`.
    ///
    /// # Errors
    /// If the frame cannot be had, or the model cannot run.
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

    /// Says what an object is on a frame by a mask of the video's size; an empty one says that it is not there.
    ///
    /// Mirrors `add_new_mask` and `_use_mask_as_output`.
    ///
    /// # Errors
    /// If the frame cannot be had, or the model cannot run.
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

    /// The masks of `objects` on `frame`, the next on the way: a mask that was prompted, or else one tracked from
    /// memory. Mirrors one turn of `propagate_in_video`.
    ///
    /// # Errors
    /// If an object has no prompt anywhere, the frame cannot be had, or the model cannot run.
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

    /// The earlier frames that tracking `object` on `frame` looks at.
    ///
    /// # Errors
    /// If the object has no prompt anywhere.
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

    /// For pictures that are no frames of a video: the same model, without memory.
    pub fn image_model(&mut self) -> &mut ImageModel {
        &mut self.model.image
    }

    /// Tracks objects, of all of which something is known, and remembers what is found.
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

    /// Encodes the masks that were prompted since, so that tracking can look at them.
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

    /// The frame's features fused with what the object's memory bank has for it.
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

    /// Frees what no later frame on the way looks at: all but the frames near this one and near conditioning frames,
    /// from where tracking may start the other way.
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

/// Gives each pixel that several objects claim to the one that claims it most.
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
