//! A SAM 2 model as a segmenter, with caches of the last images, frames and memories.

mod recent;
mod run;
mod track;

use std::{
    collections::BTreeMap,
    sync::{Arc, Weak},
};

use image::RgbImage;
use recent::Recent;
use run::Run;
use track::{Frame, Known, Sketched, Surroundings};

use super::{Answer, Candidate, Found, ModelInfo, Reach, SegmentError, Segmenter, Video, amend, click};
use crate::{
    frame::Direction,
    geometry::{Point, Size},
    mask::Rle,
    nn::{Cancel, Place, Runtime, RuntimeError, runtime::remarks},
    picture::Picture,
    project::{FrameId, Question, RunId},
    prompt::Prompt,
    sam2::{Chain, ImageModel, Look, Prediction, TrackOptions, VideoModel, View, Weights, corrected},
};

/// Memory for encoded views: about twenty images for the built-in model, four for an official one.
const BUDGET_BYTES: usize = 64 << 20;
/// Number of views that are kept regardless of size: four images and one crop.
const N_ALWAYS_KEPT: usize = 5;
/// Minimum predicted IoU and stability of a candidate. For official models the defaults of SAM 2's mask generator; for
/// small models, whose scores are rarely that high, the values that found most objects in photos with few false
/// positives.
const SURE: Sure = Sure { iou: 0.8, stability: 0.95 };
const SURE_IF_SMALL: Sure = Sure { iou: 0.45, stability: 0.5 };
/// Offset of the logit thresholds for the stability score; SAM 2's default.
const STABILITY_OFFSET: f32 = 1.0;

struct Sure {
    iou: f32,
    stability: f32,
}

/// One SAM 2 model for clicks and for tracking.
pub struct Sam2Segmenter {
    name: String,
    place: Place,
    hardware: Option<String>,
    model: VideoModel,
    look: Look,
    /// Encoded views of images; at most one is a crop.
    seen: Recent<Seen>,
    frames: Recent<Frame>,
    memories: Recent<Known>,
    runs: BTreeMap<RunId, Run>,
    /// Pixels of the frame read last, and in `next_pixels` of the frame read ahead.
    pixels: Option<(FrameId, Arc<RgbImage>)>,
    next_pixels: Option<(FrameId, Arc<RgbImage>)>,
    /// True if the next frame is encoded while objects are tracked on the current one. On a GPU both run in parallel,
    /// and this does not delay an answer that a person waits for.
    looks_ahead: bool,
    sketches: Recent<Sketched>,
}

/// A view of an image, and the last clicks in it.
struct Seen {
    /// Identifies the image: its address is not reused while this reference exists.
    picture: Weak<Picture>,
    view: View,
    /// The base that the chain began with.
    base: Option<Arc<Rle>>,
    chain: Chain,
}

impl Seen {
    fn is_of(&self, picture: &Picture) -> bool {
        std::ptr::eq(self.picture.as_ptr(), picture)
    }

    fn bytes(&self) -> usize {
        self.view.bytes() + self.chain.bytes()
    }
}

impl Sam2Segmenter {
    /// Loads a model; `name` is shown to users.
    ///
    /// # Errors
    /// If ONNX Runtime fails.
    pub fn load(name: &str, runtime: &Runtime, weights: &Weights, look: Look) -> Result<Self, RuntimeError> {
        let model = VideoModel::load(runtime, weights, TrackOptions::default().fill_hole_area)?;
        let (looks_on, _) = model.image.encoder().place();
        Ok(Self {
            name: name.to_owned(),
            place: runtime.place(),
            hardware: match runtime.place() {
                Place::Here(device) => device.hardware(),
                Place::There(_) => None,
            },
            model,
            look,
            seen: Recent::new(BUDGET_BYTES, N_ALWAYS_KEPT, Seen::bytes),
            frames: Recent::new(track::FRAMES_BYTES, track::N_FRAMES, Frame::bytes),
            memories: Recent::new(track::MEMORIES_BYTES, 0, Known::bytes),
            runs: BTreeMap::new(),
            pixels: None,
            next_pixels: None,
            looks_ahead: looks_on.is_gpu(),
            sketches: Recent::new(track::SKETCHES_BYTES, 2, Sketched::bytes),
        })
    }

    /// Sets whether the next frame of a video is encoded while objects are tracked; the default is true on a GPU only.
    #[must_use]
    pub fn looking_ahead(self, looks_ahead: bool) -> Self {
        Self { looks_ahead, ..self }
    }

    /// Returns the view that `prompt` needs, encoded if it is not cached, and the model.
    fn look_at(
        &mut self,
        picture: &Arc<Picture>,
        prompt: &Prompt,
        cancel: &Cancel,
    ) -> Result<(&mut Seen, &mut ImageModel), RuntimeError> {
        let known = self.seen.take(|seen| seen.is_of(picture) && seen.view.shows(prompt, self.look));
        let seen = match known {
            Some(seen) => seen,
            None => {
                let view =
                    self.model.image.view(picture.pixels(), picture.kind, prompt, self.look, cancel)?;
                let is_of_use = |seen: &Seen| seen.picture.strong_count() > 0;
                self.seen.retain(|seen| is_of_use(seen) && (view.is_whole() || seen.view.is_whole()));
                Seen { picture: Arc::downgrade(picture), view, base: None, chain: Chain::default() }
            }
        };
        Ok((self.seen.put(seen), &mut self.model.image))
    }
}

impl Segmenter for Sam2Segmenter {
    fn info(&self) -> ModelInfo {
        ModelInfo {
            name: self.name.clone(),
            device: self.place.clone(),
            hardware: self.hardware.clone(),
            precision: self.model.image.encoder().place().1,
            remarks: remarks(),
        }
    }

    fn is_encoded(&self, picture: &Picture) -> bool {
        self.seen.iter().any(|seen| seen.is_of(picture) && seen.view.is_whole())
    }

    fn encode(&mut self, picture: &Arc<Picture>, cancel: &Cancel) -> Result<(), SegmentError> {
        self.look_at(picture, &Prompt::default(), cancel)?;
        Ok(())
    }

    fn answer(
        &mut self,
        picture: &Arc<Picture>,
        question: &Question,
        cancel: &Cancel,
    ) -> Result<Answer, SegmentError> {
        let image = picture.size();
        let prompt = question.prompt.clone().within(image)?;
        if let Some(base) = question.base.as_ref().filter(|base| base.size() != image) {
            return Err(SegmentError::BaseSize { base: base.size(), image });
        }
        let base = question.base.as_ref().filter(|base| base.area() > 0);
        // A box that a person drew defines the object; without one, the base mask does.
        let amends = base.filter(|_| prompt.rect.is_none());
        let asked = amends.map_or_else(|| prompt.clone(), |base| amend::with_box(base, &prompt));
        let (seen, model) = self.look_at(picture, &asked, cancel)?;
        if seen.base.as_ref() != base {
            let mask = base.map(|base| base.decode());
            seen.chain = mask.map_or_else(Chain::default, |mask| model.chain(&seen.view, &mask));
            seen.base = base.cloned();
        }
        let candidates = model.follow(&seen.view, &mut seen.chain, &asked, cancel)?;
        let chosen = &candidates[usize::from(question.choice) % candidates.len()];
        let mask = seen.view.mask(picture.pixels(), &prompt, &chosen.logits);
        let mask = match amends {
            Some(base) => amend::amended(&base.decode(), &mask, &prompt),
            None => mask,
        };
        Ok(Answer { mask: Rle::encode(&mask), iou: chosen.iou })
    }

    fn candidates(
        &mut self,
        picture: &Arc<Picture>,
        at: Point,
        cancel: &Cancel,
    ) -> Result<Vec<Candidate>, SegmentError> {
        let prompt = click(at, 0).prompt.within(picture.size())?;
        let (seen, model) = self.look_at(picture, &prompt, cancel)?;
        // Use a chain of its own, so that the person's chain stays as it is.
        let mut chain = Chain::default();
        let candidates = model.follow(&seen.view, &mut chain, &prompt, cancel)?;
        let least = if model.config().official_name().is_some() { SURE } else { SURE_IF_SMALL };
        let is_sure = |candidate: &Prediction| {
            candidate.iou >= least.iou && candidate.logits.stability(STABILITY_OFFSET) >= least.stability
        };
        let sure = (0..).zip(candidates).filter(|(_, candidate)| is_sure(candidate));
        let roughly = sure.map(|(choice, Prediction { logits, iou })| Candidate {
            choice,
            mask: logits.rle(Size::square(logits.side)),
            iou: *iou,
        });
        Ok(roughly.collect())
    }

    fn reach(&self) -> Reach {
        track::REACH
    }

    fn remember(
        &mut self,
        run: RunId,
        at: FrameId,
        mask: &Arc<Rle>,
        is_given: bool,
        video: &mut Video<'_>,
        cancel: &Cancel,
    ) -> Result<(), SegmentError> {
        let image = video.size();
        if mask.size() != image {
            return Err(SegmentError::BaseSize { base: mask.size(), image });
        }
        let known = self.memory(at, mask, video, cancel)?;
        self.runs.entry(run).or_default().put(at.frame, is_given, mask, known);
        Ok(())
    }

    fn at_once(&self) -> usize {
        self.model.batch
    }

    fn track(
        &mut self,
        runs: &[RunId],
        at: FrameId,
        direction: Direction,
        video: &mut Video<'_>,
        cancel: &Cancel,
    ) -> Result<Vec<Found>, SegmentError> {
        let knows = |run| self.runs.get(run).is_some_and(|run| !run.bank.is_empty());
        if !runs.iter().all(knows) {
            return Err(SegmentError::NothingGiven);
        }
        let mut surroundings = Vec::new();
        let mut pixels = None;
        if self.look.colors {
            pixels = Some(self.pixels(at, video)?);
            for run in runs {
                surroundings.push(self.surroundings(*run, at, direction, video)?);
            }
        }
        let features = self.features(at, video, cancel)?;
        let next = self.unknown_next(at, direction, video);
        let encoder = self.model.image.encoder().clone();
        let n_frames = video.n_frames();
        // Runs beside the model, which uses neither all CPU cores nor the device all the time.
        let (memories, moved, ahead) = std::thread::scope(|scope| {
            let moved = pixels
                .is_some()
                .then(|| scope.spawn(|| surroundings.iter().map(Surroundings::moved).collect::<Vec<_>>()));
            let ahead =
                next.as_ref().map(|(at, pixels)| scope.spawn(|| Some((*at, encoder.encode_ahead(pixels)?))));
            let memories = self.find(runs, at, direction, n_frames, &features, cancel);
            let moved = moved.map_or_else(Vec::new, |moved| moved.join().expect("it does not panic"));
            (memories, moved, ahead.and_then(|ahead| ahead.join().expect("it does not panic")))
        });
        if let Some((at, features)) = ahead {
            self.frames.put(Frame { at, features });
        }
        let mut moved = moved.into_iter();
        let mut found = Vec::with_capacity(runs.len());
        for (run, memory) in runs.iter().zip(memories?) {
            let moved = moved.next().flatten();
            let run = self.runs.entry(*run).or_default();
            let mask = match pixels.as_ref().zip(memory.logits()) {
                Some((pixels, logits)) => corrected(pixels, logits, moved.as_ref(), &run.palettes(at.frame)),
                None => memory.mask(video.size()),
            };
            let (iou, object_score) = (memory.iou, memory.object_score);
            run.put_found(at.frame, direction, Arc::new(mask.clone()), memory);
            found.push(Found { mask, iou, object_score });
        }
        Ok(found)
    }

    fn forget(&mut self, run: RunId) {
        self.runs.remove(&run);
    }

    fn forget_frames(&mut self) {
        self.seen.clear();
        self.frames.clear();
        self.memories.clear();
        self.runs.clear();
        self.pixels = None;
        self.next_pixels = None;
        self.sketches.clear();
    }
}
