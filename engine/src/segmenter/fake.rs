//! A segmenter without a model and with configurable delays, for tests and benchmarks of the code that uses segmenters.

use std::{
    collections::BTreeMap,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use super::{Answer, Candidate, Found, ModelInfo, Reach, SegmentError, Segmenter, Video, click};
use crate::{
    frame::Direction,
    geometry::{Point, Size},
    mask::{Mask, Rle},
    nn::{
        Cancel, Device, Place, Precision, RuntimeError,
        remote::{Address, RemoteError},
    },
    picture::Picture,
    project::{FrameId, Question, RunId},
    prompt::Label,
};

/// Radius in pixels of the disc for a click, and the increase for each further candidate.
const RADIUS: f32 = 20.0;
const GROWTH: f32 = 5.0;
const N_CANDIDATES: u8 = 3;
/// Predicted IoU of the first candidate, and the decrease for each further one.
const IOU: f32 = 0.9;
const LESS: f32 = 0.1;
/// Interval between checks for cancellation while waiting.
const TICK: Duration = Duration::from_millis(1);

/// A segmenter whose masks are discs around positive clicks, united with the box and the base, minus discs around
/// negative clicks. It tracks from the nearest given frame by moving its mask [`FakeSegmenter::STRIDE`] pixels per
/// frame.
#[derive(Default)]
pub struct FakeSegmenter {
    /// Name of the model; `fake` if empty.
    pub name: &'static str,
    /// Reasons why parts of it run on another device, one sentence each.
    pub remarks: Vec<String>,
    /// Duration of encoding an image.
    pub encode: Duration,
    /// Duration of an answer.
    pub answer: Duration,
    /// Number of images encoded so far.
    pub n_encoded: Arc<AtomicUsize>,
    /// Number of masks computed so far; the candidates of one click count once.
    pub n_answered: Arc<AtomicUsize>,
    /// Tracked frames in order, with one entry for each object.
    pub tracked: Arc<Mutex<Vec<FrameId>>>,
    /// Address of the server of the model if that server is unreachable, in which case tracking fails.
    pub away: Arc<Mutex<Option<Address>>>,
    /// Number of objects that are tracked together; 0 means 1.
    pub at_once: usize,
    /// Number [`RunId::n`] of the run that fails.
    pub fails_at: Option<u32>,
    seen: Vec<FrameId>,
    /// Given masks, by run and frame.
    given: BTreeMap<RunId, BTreeMap<usize, Arc<Rle>>>,
}

impl FakeSegmenter {
    /// Pixels that tracked masks move to the right per frame.
    pub const STRIDE: f32 = 2.0;

    /// Creates a segmenter with these delays.
    pub fn new(encode: Duration, answer: Duration) -> Self {
        Self { encode, answer, ..Self::default() }
    }

    /// Waits for the duration of encoding, if necessary, and of an answer.
    fn work(&mut self, picture: &Arc<Picture>, cancel: &Cancel) -> Result<(), SegmentError> {
        self.encode(picture, cancel)?;
        wait(self.answer, cancel)?;
        self.n_answered.fetch_add(1, Ordering::SeqCst);
        Ok(())
    }
}

fn wait(duration: Duration, cancel: &Cancel) -> Result<(), SegmentError> {
    let end = Instant::now() + duration;
    while !cancel.is_canceled() {
        let left = end.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Ok(());
        }
        thread::sleep(left.min(TICK));
    }
    Err(SegmentError::Canceled)
}

impl Segmenter for FakeSegmenter {
    fn info(&self) -> ModelInfo {
        ModelInfo {
            name: if self.name.is_empty() { "fake" } else { self.name }.to_owned(),
            device: Place::Here(Device::Cpu),
            hardware: None,
            precision: Precision::Full,
            remarks: self.remarks.clone(),
        }
    }

    fn is_encoded(&self, picture: &Picture) -> bool {
        self.seen.contains(&picture.at)
    }

    fn encode(&mut self, picture: &Arc<Picture>, cancel: &Cancel) -> Result<(), SegmentError> {
        if !self.is_encoded(picture) {
            wait(self.encode, cancel)?;
            self.n_encoded.fetch_add(1, Ordering::SeqCst);
            self.seen.push(picture.at);
        }
        Ok(())
    }

    fn answer(
        &mut self,
        picture: &Arc<Picture>,
        question: &Question,
        cancel: &Cancel,
    ) -> Result<Answer, SegmentError> {
        let size = picture.size();
        let question = Question { prompt: question.prompt.clone().within(size)?, ..question.clone() };
        if let Some(base) = question.base.as_ref().filter(|base| base.size() != size) {
            return Err(SegmentError::BaseSize { base: base.size(), image: size });
        }
        self.work(picture, cancel)?;
        let choice = f32::from(question.choice % N_CANDIDATES);
        Ok(Answer { mask: Rle::encode(&mask(size, &question)), iou: IOU - LESS * choice })
    }

    fn candidates(
        &mut self,
        picture: &Arc<Picture>,
        at: Point,
        cancel: &Cancel,
    ) -> Result<Vec<Candidate>, SegmentError> {
        let size = picture.size();
        click(at, 0).prompt.within(size)?;
        self.work(picture, cancel)?;
        let candidate = |choice| Candidate {
            choice,
            mask: Rle::encode(&mask(size, &click(at, choice))),
            iou: IOU - LESS * f32::from(choice),
        };
        Ok((0..N_CANDIDATES).map(candidate).collect())
    }

    fn reach(&self) -> Reach {
        Reach { given: 2, recent: 2 }
    }

    fn remember(
        &mut self,
        run: RunId,
        at: FrameId,
        mask: &Arc<Rle>,
        is_given: bool,
        video: &mut Video<'_>,
        _: &Cancel,
    ) -> Result<(), SegmentError> {
        if mask.size() != video.size() {
            return Err(SegmentError::BaseSize { base: mask.size(), image: video.size() });
        }
        if is_given {
            self.given.entry(run).or_default().insert(at.frame, mask.clone());
        }
        Ok(())
    }

    fn at_once(&self) -> usize {
        self.at_once.max(1)
    }

    fn track(
        &mut self,
        runs: &[RunId],
        at: FrameId,
        _: Direction,
        video: &mut Video<'_>,
        cancel: &Cancel,
    ) -> Result<Vec<Found>, SegmentError> {
        video.frame(at.frame)?;
        runs.iter().map(|run| self.track_one(*run, at, cancel)).collect()
    }

    fn forget(&mut self, run: RunId) {
        self.given.remove(&run);
    }

    fn forget_frames(&mut self) {
        self.seen.clear();
        self.given.clear();
    }
}

impl FakeSegmenter {
    fn track_one(&self, run: RunId, at: FrameId, cancel: &Cancel) -> Result<Found, SegmentError> {
        wait(self.answer, cancel)?;
        if let Some(address) = self.away.lock().unwrap_or_else(PoisonError::into_inner).clone() {
            return Err(RuntimeError::from(RemoteError::NotReady { address }).into());
        }
        let given = self.given.get(&run).into_iter().flatten();
        let nearest = given.min_by_key(|(frame, _)| frame.abs_diff(at.frame));
        let fails = self.fails_at == Some(run.n);
        let (frame, mask) = nearest.filter(|_| !fails).ok_or(SegmentError::NothingGiven)?;
        self.tracked.lock().unwrap_or_else(PoisonError::into_inner).push(at);
        let mask = moved(mask, Self::STRIDE * (at.frame as f32 - *frame as f32));
        let object_score = if mask.area() > 0 { 10.0 } else { -10.0 };
        Ok(Found { mask, iou: IOU, object_score })
    }
}

/// Returns a mask moved `by` pixels to the right.
fn moved(mask: &Rle, by: f32) -> Rle {
    let (size, before) = (mask.size(), mask.decode());
    let bit = |i: usize| {
        let from = (i % size.width) as f32 - by;
        (0.0..size.width as f32).contains(&from) && before.bits()[i - i % size.width + from as usize]
    };
    Rle::encode(&Mask::new(size, (0..size.area()).map(bit).collect()))
}

/// Returns the mask that answers a question on an image of `size`.
fn mask(size: Size, question: &Question) -> Mask {
    let base = question.base.as_ref().map(|base| base.decode());
    let radius = RADIUS + GROWTH * f32::from(question.choice % N_CANDIDATES);
    let bit = |i: usize| {
        let at = Point { x: (i % size.width) as f32 + 0.5, y: (i / size.width) as f32 + 0.5 };
        let near = |label| {
            let mut clicks = question.prompt.points.iter().filter(move |point| point.label == label);
            clicks.any(|point| (point.at.x - at.x).hypot(point.at.y - at.y) < radius)
        };
        let in_box = question
            .prompt
            .rect
            .is_some_and(|rect| (rect.x0..rect.x1).contains(&at.x) && (rect.y0..rect.y1).contains(&at.y));
        let in_base = base.as_ref().is_some_and(|base| base.bits()[i]);
        (in_box || in_base || near(Label::Positive)) && !near(Label::Negative)
    };
    Mask::new(size, (0..size.area()).map(bit).collect())
}
