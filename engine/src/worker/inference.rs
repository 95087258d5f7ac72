//! The thread that owns the model. It does one small piece of work a turn, and each time the most wanted: clicks first,
//! then the preview, the shown picture, a frame to track, a piece of a job, and pictures that may be shown next.

use std::{
    collections::VecDeque,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::Arc,
};

use crossbeam_channel::{Receiver, TryRecvError};

use super::{
    DetectorInfo, Event, JobId, Load, Outcome, Reporter, Search, Stopped, Task, Track, Wants, Work,
    WorkFrame, detectors::Detectors, stopwatch::Stopwatch, tracks::Tracks,
};
use crate::{
    detect::Detection,
    everything::Everything,
    media::{FrameSource, MediaError, Sources},
    nn::{Cancel, runtime::forget_remarks},
    picture::Picture,
    project::{FrameId, ObjectId, Question},
    segmenter::{Answer, SegmentError, Segmenter},
    tracking::Tracked,
};

pub(super) enum Request {
    Look(Wants),
    Track(Track),
    Work(Work),
    /// Load this in place of what is there.
    Load(Load),
}

/// Why work ended.
enum Left {
    /// Nobody asks or listens any more.
    Alone,
    /// For another model.
    For(Load),
}

/// What is still to do.
struct Todo {
    wants: Wants,
    tracks: Tracks,
    jobs: VecDeque<Job>,
    sources: Sources,
    watch: Stopwatch,
}

/// Pictures that every segmenter keeps.
const KEPT: usize = 4;

pub(super) fn run(mut load: Load, sources: Sources, inbox: &Receiver<Request>, out: &Reporter) {
    let mut todo = Todo {
        wants: Wants::default(),
        tracks: Tracks::new(sources.clone()),
        jobs: VecDeque::new(),
        sources,
        watch: Stopwatch::default(),
    };
    // What was there before, to go back to.
    let mut before = None;
    loop {
        forget_remarks();
        let mut segmenter = match (load.segmenter)() {
            Ok(segmenter) => segmenter,
            Err(error) => {
                if !out.report(Event::NoModel(error)) {
                    return;
                }
                load = match before.take() {
                    Some(before) => before,
                    None => match next_load(inbox, out) {
                        Some(next) => next,
                        None => return,
                    },
                };
                continue;
            }
        };
        if !out.report(Event::Ready(segmenter.info())) {
            return;
        }
        todo.watch = Stopwatch::default();
        let detectors = &mut Detectors::new(&load.detector, todo.sources.clone());
        let worked =
            catch_unwind(AssertUnwindSafe(|| work(&mut *segmenter, detectors, &mut todo, inbox, out)));
        match worked {
            Ok(Left::Alone) => return,
            Ok(Left::For(next)) => {
                todo.tracks.begin_anew();
                before = Some(std::mem::replace(&mut load, next));
            }
            // A model that panicked is not to be trusted again, so that it is loaded anew.
            Err(_) => {
                todo.wants = Wants::default();
                let message = "the model failed on this and was loaded again".to_owned();
                let mut events = todo.tracks.panicked(&message);
                if events.is_empty()
                    && let Some(job) = todo.jobs.pop_front()
                {
                    events.push(Event::Ended { job: job.id, outcome: Outcome::Failed(message) });
                }
                if !events.into_iter().all(|event| out.report(event)) {
                    return;
                }
            }
        }
    }
}

/// Without a model nothing can be done but load another; none if nobody will bring one.
fn next_load(inbox: &Receiver<Request>, out: &Reporter) -> Option<Load> {
    inbox.iter().find_map(|request| match request {
        Request::Load(load) => Some(load),
        Request::Work(Work { job, .. }) => {
            let outcome = Outcome::Failed("there is no model".to_owned());
            // Whoever does not listen brings no model.
            let _heard = out.report(Event::Ended { job, outcome });
            None
        }
        Request::Look(_) | Request::Track(_) => None,
    })
}

/// Works with a model until something else is to be done.
fn work(
    segmenter: &mut dyn Segmenter,
    detectors: &mut Detectors<'_>,
    todo: &mut Todo,
    inbox: &Receiver<Request>,
    out: &Reporter,
) -> Left {
    let mut info = segmenter.info();
    loop {
        let mut idle = todo.is_idle(segmenter);
        loop {
            let request = if idle { inbox.recv().map_err(TryRecvError::from) } else { inbox.try_recv() };
            match request {
                Ok(Request::Load(load)) => return Left::For(load),
                Ok(request) => todo.put(request, segmenter),
                Err(TryRecvError::Empty) => break,
                Err(TryRecvError::Disconnected) => return Left::Alone,
            }
            idle = false;
        }
        let mut events = todo.turn(segmenter, detectors);
        let now = segmenter.info();
        if now != info {
            events.push(Event::ModelChanged(now.clone()));
            info = now;
        }
        events.extend(todo.watch.news().map(Event::Timed));
        if !events.into_iter().all(|event| out.report(event)) {
            return Left::Alone;
        }
    }
}

impl Todo {
    fn put(&mut self, request: Request, segmenter: &mut dyn Segmenter) {
        match request {
            Request::Look(mut wants) => {
                // More than the model keeps would be looked at in circles.
                wants.pictures.truncate(KEPT);
                self.wants = wants;
            }
            Request::Track(track) => self.tracks.put(track, segmenter),
            Request::Load(_) => {}
            Request::Work(work) => {
                // What a person waits for does not wait for long work.
                let is_asked = work.frames.iter().all(|frame| matches!(frame.task, Task::Answers(_)));
                let job = Job::new(work, self.sources.clone());
                if is_asked { self.jobs.push_front(job) } else { self.jobs.push_back(job) }
            }
        }
    }

    fn is_idle(&self, segmenter: &dyn Segmenter) -> bool {
        self.wants.questions.is_empty()
            && self.wants.preview.is_none()
            && self.jobs.is_empty()
            && self.tracks.is_idle()
            && self.wants.pictures.iter().all(|picture| segmenter.is_encoded(picture))
    }

    /// Does the most wanted piece of work.
    fn turn(&mut self, segmenter: &mut dyn Segmenter, detectors: &mut Detectors<'_>) -> Vec<Event> {
        let cancel = self.wants.cancel.clone();
        if let Some(shown) = self.wants.pictures.first().cloned() {
            if !self.wants.questions.is_empty() {
                let (object, question) = self.wants.questions.remove(0);
                let encoded = !segmenter.is_encoded(&shown);
                let answer = self.watch.click.measure(
                    || segmenter.answer(&shown, &question, &cancel),
                    |answer| usize::from(answer.is_ok() && !encoded),
                );
                return answered(object, shown.at, question, answer)
                    .into_iter()
                    .chain(encoded.then_some(Event::Encoded(shown.at)))
                    .collect();
            }
            if !segmenter.is_encoded(&shown) {
                return self.encode(segmenter, &shown, &cancel);
            }
            if let Some(question) = self.wants.preview.take() {
                let answer =
                    self.watch.click.measure(|| segmenter.answer(&shown, &question, &cancel), n_done);
                // A preview that fails is none; a click will say why.
                let previewed = answer.ok().map(|answer| Event::Previewed { at: shown.at, question, answer });
                return previewed.into_iter().collect();
            }
        } else {
            self.wants.questions.clear();
            self.wants.preview = None;
        }
        if !self.tracks.is_idle() {
            let is_found = |event: &&Event| matches!(event, Event::Tracked(_, Tracked::Found { .. }));
            return self
                .watch
                .frame
                .measure(|| self.tracks.turn(segmenter), |events| events.iter().filter(is_found).count());
        }
        if let Some(job) = self.jobs.front_mut() {
            let events = job.turn(segmenter, detectors);
            if events.iter().any(|event| matches!(event, Event::Ended { .. })) {
                self.jobs.pop_front();
            }
            return events;
        }
        let ahead = self.wants.pictures.iter().find(|picture| !segmenter.is_encoded(picture)).cloned();
        ahead.map_or_else(Vec::new, |picture| self.encode(segmenter, &picture, &cancel))
    }

    fn encode(
        &mut self,
        segmenter: &mut dyn Segmenter,
        picture: &Arc<Picture>,
        cancel: &Cancel,
    ) -> Vec<Event> {
        match self.watch.look.measure(|| segmenter.encode(picture, cancel), n_done) {
            Ok(()) => vec![Event::Encoded(picture.at)],
            Err(_) => {
                // It would fail again; a click on it says why.
                self.wants.pictures.retain(|other| other.at != picture.at);
                Vec::new()
            }
        }
    }
}

/// How often something was done that may have failed.
fn n_done<T>(outcome: &Result<T, SegmentError>) -> usize {
    usize::from(outcome.is_ok())
}

fn answered(
    object: ObjectId,
    at: FrameId,
    question: Question,
    answer: Result<Answer, SegmentError>,
) -> Option<Event> {
    let answer = match answer {
        Err(SegmentError::Canceled) => return None,
        answer => answer.map_err(|error| error.to_string()),
    };
    Some(Event::Answered { object, at, question, answer })
}

/// Long work, and how far it has come.
struct Job {
    id: JobId,
    cancel: Cancel,
    frames: VecDeque<WorkFrame>,
    n_frames: usize,
    current: Option<(Arc<Picture>, Part)>,
    sources: Sources,
    /// What was read last.
    source: Option<FrameSource>,
    /// Why some frames were not looked at, and some questions have no answer.
    left_out: Vec<String>,
}

/// What is left to do on a frame.
enum Part {
    Everything(Box<Everything>),
    Masks(Questions),
    Answers(Questions),
    Find(Arc<Search>, Option<(Arc<DetectorInfo>, Vec<Detection>)>),
}

/// Questions that are answered one by one.
struct Questions {
    left: VecDeque<(ObjectId, Question)>,
    total: usize,
    answered: Vec<(ObjectId, Question, Answer)>,
    /// Why some have no answer.
    refused: Vec<String>,
}

/// Pieces in which the work on a frame is counted.
const PIECES: usize = 100;

impl Job {
    fn new(work: Work, sources: Sources) -> Self {
        let Work { job, frames, cancel } = work;
        let (n_frames, frames) = (frames.len(), frames.into());
        Self { id: job, cancel, frames, n_frames, current: None, sources, source: None, left_out: Vec::new() }
    }

    fn read(&mut self, frame: &WorkFrame) -> Result<Picture, MediaError> {
        let source = match &mut self.source {
            Some(source) if source.path() == frame.path => source,
            source => source.insert(self.sources.open(&frame.path)?),
        };
        Ok(Picture::new(frame.at, source.picture_kind(), source.frame(frame.at.frame)?))
    }

    fn turn(&mut self, segmenter: &mut dyn Segmenter, detectors: &mut Detectors<'_>) -> Vec<Event> {
        let (job, n_left) = (self.id, self.frames.len());
        let ended = |outcome| vec![Event::Ended { job, outcome }];
        if self.cancel.is_canceled() {
            let found = self.current.take().map(|(picture, part)| part.found(job, picture.at));
            return found.into_iter().flatten().chain(ended(Outcome::Canceled)).collect();
        }
        let Some((picture, part)) = &mut self.current else {
            let Some(frame) = self.frames.pop_front() else {
                let left_out = std::mem::take(&mut self.left_out);
                return ended(if left_out.is_empty() { Outcome::Done } else { Outcome::Partly(left_out) });
            };
            match self.read(&frame) {
                Ok(picture) => self.current = Some((Arc::new(picture), Part::new(frame.task))),
                // One bad file does not end work on many.
                Err(error) => self.left_out.push(error.to_string()),
            }
            return Vec::new();
        };
        match part.advance(segmenter, detectors, picture, &self.cancel) {
            Ok(share) => {
                let before = self.n_frames - n_left - 1;
                let done = before * PIECES + (share * PIECES as f32) as usize;
                let mut events = vec![Event::Progress { job, done, total: self.n_frames * PIECES }];
                if share >= 1.0
                    && let Some((picture, mut part)) = self.current.take()
                {
                    self.left_out.extend(part.refused());
                    events.extend(part.found(job, picture.at));
                }
                events
            }
            Err(Stopped::Canceled) => Vec::new(),
            Err(Stopped::Failed(why)) => {
                let found = self.current.take().map(|(picture, part)| part.found(job, picture.at));
                found.into_iter().flatten().chain(ended(Outcome::Failed(why))).collect()
            }
        }
    }
}

impl Part {
    fn new(task: Task) -> Self {
        match task {
            Task::Everything(known) => Self::Everything(Box::new(Everything::new(known))),
            Task::Masks(questions) => Self::Masks(Questions::new(questions.into())),
            Task::Answers(questions) => Self::Answers(Questions::new(questions.into())),
            Task::Find(search) => Self::Find(search, None),
        }
    }

    /// One small piece more; the share that is done, 1 at the end.
    fn advance(
        &mut self,
        segmenter: &mut dyn Segmenter,
        detectors: &mut Detectors<'_>,
        picture: &Arc<Picture>,
        cancel: &Cancel,
    ) -> Result<f32, Stopped> {
        match self {
            Self::Everything(everything) => Ok(everything.advance(segmenter, picture, cancel)?),
            Self::Masks(questions) | Self::Answers(questions) => {
                Ok(questions.advance(segmenter, picture, cancel)?)
            }
            Self::Find(search, found) => {
                *found = Some(detectors.find(search, picture, cancel)?);
                Ok(1.0)
            }
        }
    }

    /// Why something on the frame was left out.
    fn refused(&mut self) -> Vec<String> {
        match self {
            Self::Masks(questions) | Self::Answers(questions) => std::mem::take(&mut questions.refused),
            Self::Everything(_) | Self::Find(..) => Vec::new(),
        }
    }

    fn found(self, job: JobId, at: FrameId) -> Vec<Event> {
        let masks: Vec<(Option<ObjectId>, Answer)> = match self {
            Self::Everything(everything) => {
                everything.found().into_iter().map(|answer| (None, answer)).collect()
            }
            Self::Masks(Questions { answered, .. }) => {
                answered.into_iter().map(|(object, _, answer)| (Some(object), answer)).collect()
            }
            Self::Answers(Questions { answered, .. }) => {
                let event =
                    |(object, question, answer)| Event::Answered { object, at, question, answer: Ok(answer) };
                return answered.into_iter().map(event).collect();
            }
            Self::Find(_, found) => {
                let event = |(by, found)| Event::Detected { job, at, by, found };
                return found.map(event).into_iter().collect();
            }
        };
        if masks.is_empty() { Vec::new() } else { vec![Event::Found { job, at, masks }] }
    }
}

impl Questions {
    fn new(left: VecDeque<(ObjectId, Question)>) -> Self {
        Self { total: left.len(), left, answered: Vec::new(), refused: Vec::new() }
    }

    fn advance(
        &mut self,
        segmenter: &mut dyn Segmenter,
        picture: &Arc<Picture>,
        cancel: &Cancel,
    ) -> Result<f32, SegmentError> {
        if let Some((object, question)) = self.left.pop_front() {
            match segmenter.answer(picture, &question, cancel) {
                Ok(answer) => self.answered.push((object, question, answer)),
                // What cannot be asked of this image says nothing of the others.
                Err(error @ (SegmentError::Prompt(_) | SegmentError::BaseSize { .. })) => {
                    self.refused.push(error.to_string());
                }
                Err(error) => return Err(error),
            }
        }
        Ok(1.0 - self.left.len() as f32 / self.total.max(1) as f32)
    }
}
