//! Objects carried through a video: what is asked of the engine, and what it finds.

use std::{
    collections::{BTreeMap, BTreeSet},
    ops::RangeInclusive,
    sync::Arc,
    time::Instant,
};

use engine::{
    formats::counted,
    media::damaged_frames,
    nn::Cancel,
    project::{self, FrameId, MediumId, ObjectId, Project, RunId, Segment},
    tracking::Tracked,
    worker::{Engine, Track},
};

use super::Session;
use crate::command::{Extent, Way};

/// Tracking, as far as it is not in the project.
#[derive(Default)]
pub(super) struct Tracking {
    is_paused: bool,
    /// Tells openings of projects apart.
    opening: u64,
    /// Reports taken in since the project was opened.
    n_taken: u64,
    /// The project and the count that the engine was told last.
    told: Option<(Arc<Project>, u64)>,
    cancel: Cancel,
    /// Masks that were made anew, and when.
    retracked: Vec<(ObjectId, usize, Instant)>,
    /// Damaged frames that were skipped.
    skipped: BTreeMap<MediumId, BTreeSet<usize>>,
    /// Frames that commands work on.
    pub span: Option<(MediumId, RangeInclusive<usize>)>,
    /// Masks that were copied, by frame from the first.
    pub copied: Vec<(usize, Arc<Segment>)>,
}

/// Masks that were made anew are lit up for so many seconds.
const LIT: f32 = 3.0;

impl Tracking {
    pub(super) fn forget(&mut self) {
        self.cancel.cancel();
        *self = Self { opening: self.opening + 1, ..Self::default() };
    }

    /// What the engine was told is told again.
    pub(super) fn tell_anew(&mut self) {
        self.told = None;
    }
}

/// What views may look at.
impl Session {
    /// Frames that are still to be tracked, and all that were asked for with them.
    pub fn tracking(&self) -> (usize, usize) {
        let runs = self.project().runs.values();
        runs.fold((0, 0), |(left, all), run| (left + run.n_left(), all + run.n_frames()))
    }

    /// Whether tracking waits.
    pub fn is_paused(&self) -> bool {
        self.tracks.is_paused
    }

    /// Frames of the shown video that commands work on.
    pub fn span(&self) -> Option<RangeInclusive<usize>> {
        let (medium, span) = self.tracks.span.as_ref()?;
        (Some(*medium) == self.shown).then(|| span.clone())
    }

    /// Says which frames were skipped because they are damaged: one sentence a video.
    pub fn skipped(&self) -> impl Iterator<Item = String> {
        self.tracks.skipped.iter().filter_map(|(medium, frames)| self.skipped_in(*medium, frames))
    }

    fn skipped_in(&self, medium: MediumId, frames: &BTreeSet<usize>) -> Option<String> {
        let medium = self.project().media.get(&medium)?;
        Some(format!("{}: skipped", damaged_frames(frames, medium.name())))
    }

    /// Masks that were made anew just now, and how brightly they are lit, 1 to 0.
    pub fn lit(&self) -> impl Iterator<Item = (ObjectId, usize, f32)> {
        let brightness = |since: &Instant| 1.0 - since.elapsed().as_secs_f32() / LIT;
        self.tracks.retracked.iter().map(move |(object, frame, since)| (*object, *frame, brightness(since)))
    }
}

impl Session {
    pub(super) fn propagate(&mut self, way: Way, extent: Extent) {
        // One key begins, pauses and goes on; an object that was added meanwhile begins, too.
        let is_running = !self.project().runs.is_empty();
        let concerns = |object: &ObjectId| self.project().runs.values().any(|run| run.object == *object);
        if is_running && (self.selection.is_empty() || self.selection.iter().any(concerns)) {
            self.toggle_pause();
            return;
        }
        if self.lacks_model() {
            return;
        }
        let Some(at) = self.frame().filter(|_| self.video().is_some()) else {
            self.notices.info("Tracking is for videos; open one, or add a folder of frames as one");
            return;
        };
        let span = self.span();
        let extent = match (extent, &span) {
            (Extent::End, _) => project::Extent::End,
            (Extent::Frames(n), _) => project::Extent::Frames(n),
            (Extent::NextGiven, _) => project::Extent::NextGiven,
            (Extent::Span, Some(span)) => project::Extent::Span(span.clone()),
            (Extent::Span, None) => {
                self.notices.info("Choose frames first: drag over the timeline with Shift");
                return;
            }
        };
        let all: Vec<ObjectId> = self.project().objects_of(at.medium).map(|(id, _)| id).collect();
        if all.is_empty() {
            self.notices.info("Click an object first; then it can be tracked");
            return;
        }
        let objects = if self.selection.is_empty() { all } else { self.selection.clone() };
        let step = self.history.next_step();
        let n_runs = self.history.edit("Track", |project| {
            let pairs =
                objects.iter().flat_map(|object| way.directions().iter().map(move |way| (*object, *way)));
            let asked = pairs.filter(|(object, direction)| {
                project.propagate(step, (at.medium, *object), at.frame, *direction, &extent)
            });
            asked.count()
        });
        if n_runs == 0 && is_running {
            self.toggle_pause();
        } else if n_runs == 0 {
            self.notices
                .info("There is nothing to track this way: all frames have masks, or nothing was clicked");
        }
    }

    pub(super) fn toggle_pause(&mut self) {
        self.pause(!self.tracks.is_paused);
    }

    pub(super) fn pause(&mut self, is_paused: bool) {
        self.tracks.is_paused = is_paused;
        if is_paused {
            self.tracks.cancel.cancel();
        } else {
            self.tracks.cancel = Cancel::default();
            self.tracks.told = None;
        }
    }

    /// What is finished stays.
    pub(super) fn cancel_tracking(&mut self) {
        // A search through videos would take what is no longer tracked for new.
        self.cancel_sweep();
        let runs: Vec<RunId> = self.project().runs.keys().copied().collect();
        for run in runs {
            self.history.extend(run.step, |project| drop(project.runs.remove(&run)));
        }
        self.pause(false);
    }

    /// A project that was closed while it tracked waits until it is told to go on.
    pub(super) fn await_go(&mut self) {
        let (left, _) = self.tracking();
        if left > 0 {
            self.pause(true);
            self.notices.info(format!("Tracking was interrupted, {} are left", counted(left, "frame")));
        }
    }

    pub(super) fn tell_what_to_track(&mut self, engine: &Engine) {
        let project = self.project().clone();
        if project.runs.is_empty() && self.finding.sweep.is_none() && self.tracks.is_paused {
            // What was paused is no more; what is tracked next is not to wait.
            self.pause(false);
        }
        let now = (project, self.tracks.n_taken);
        let is_told =
            self.tracks.told.as_ref().is_some_and(|(told, n)| Arc::ptr_eq(told, &now.0) && *n == now.1);
        let has_runs = |project: &Project| !project.runs.is_empty();
        // A project that was just opened is told at once: the model then forgets what it saw, and should do so early.
        let concerns = has_runs(&now.0) || self.tracks.told.as_ref().is_none_or(|(told, _)| has_runs(told));
        let Some(file) = self.file.as_ref().filter(|_| !is_told && concerns && !self.tracks.is_paused) else {
            return;
        };
        let track = Track {
            project: now.0.clone(),
            folder: file.folder.clone(),
            opening: self.tracks.opening,
            n_taken: now.1,
            cancel: self.tracks.cancel.clone(),
        };
        if engine.track(track) {
            self.tracks.told = Some(now);
        }
    }

    pub(super) fn tracked(&mut self, opening: u64, report: Tracked) {
        if opening != self.tracks.opening {
            return;
        }
        self.tracks.n_taken += 1;
        match &report {
            Tracked::Answered { object, at, question, answer } => {
                self.answered(*object, *at, question.clone(), Ok(answer.clone()));
                return;
            }
            Tracked::Failed(run, why) => {
                if let Some(run) = self.project().runs.get(run) {
                    let frame = run.next;
                    self.notices.error(format!("Tracking stopped at frame {frame}: {why}"));
                }
            }
            Tracked::Found { run, frame, .. } => {
                if let Some(run) = self.project().runs.get(run).filter(|run| run.anew) {
                    let object = run.object;
                    self.tracks.retracked.push((object, *frame, Instant::now()));
                }
            }
            Tracked::Skipped { run, frame } => {
                if let Some(run) = self.project().runs.get(run) {
                    self.note_skipped(run.medium, *frame);
                }
            }
            Tracked::Waits(run, why) => {
                if let Some(run) = self.project().runs.get(run).filter(|_| !self.tracks.is_paused) {
                    let frame = run.next;
                    self.notices.error(format!("Tracking pauses at frame {frame}: {why}"));
                    self.pause(true);
                }
                return;
            }
            Tracked::Finished(_) => {}
        }
        let (Tracked::Found { run, .. }
        | Tracked::Skipped { run, .. }
        | Tracked::Finished(run)
        | Tracked::Failed(run, _)) = &report
        else {
            return;
        };
        self.history.extend(run.step, |project| {
            report.take_in(project);
        });
    }

    /// Keeps one notice for each video, on all its damaged frames.
    fn note_skipped(&mut self, medium: MediumId, frame: usize) {
        let mut frames = self.tracks.skipped.remove(&medium).unwrap_or_default();
        if let Some(before) = self.skipped_in(medium, &frames) {
            self.notices.close(&before);
        }
        frames.insert(frame);
        if let Some(now) = self.skipped_in(medium, &frames) {
            self.notices.warn(now);
        }
        self.tracks.skipped.insert(medium, frames);
    }

    pub(super) fn dim(&mut self) {
        self.tracks.retracked.retain(|(.., since)| since.elapsed().as_secs_f32() < LIT);
    }

    /// A step that changes masks on the shown frame. In a video, what was tracked from a changed mask is tracked anew.
    pub(super) fn edit_masks<T>(&mut self, title: &str, change: impl FnOnce(&mut Project) -> T) -> T {
        let (at, step) = (self.frame(), self.history.next_step());
        self.history.edit(title, |project| {
            let before = project.clone();
            let outcome = change(project);
            if let Some(at) = at {
                retrack_changed(project, &before, at, step);
            }
            outcome
        })
    }
}

/// Asks for what follows from the masks that a person has changed on a frame.
fn retrack_changed(project: &mut Project, before: &Project, at: FrameId, step: project::StepId) {
    let is_new = |object: ObjectId, segment: &Segment| {
        let known = before.segment(object, at.frame);
        segment.is_given()
            && known.is_none_or(|known| known.question != segment.question || known.mask != segment.mask)
    };
    let objects = project.segments_on(at).filter(|(id, _, segment)| is_new(*id, segment));
    let changed: Vec<ObjectId> = objects.map(|(id, ..)| id).collect();
    for object in changed {
        project.retrack(step, (at.medium, object), at.frame);
    }
}
