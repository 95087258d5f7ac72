//! Objects through a video: tracking, correcting, and what is said of them over many frames.

use std::{ops::RangeInclusive, sync::Arc, time::Instant};

use engine::{
    frame::Direction,
    nn::Cancel,
    project::{self, FrameId, MediumId, ObjectId, Project, RunId, Segment},
    tracking::Tracked,
    worker::{Engine, Track},
};

use super::{Model, Session, files::count};
use crate::command::{Extent, Way};

/// Tracking, as far as it is not in the project.
#[derive(Default)]
pub(super) struct Tracks {
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
    /// Frames that commands work on.
    span: Option<(MediumId, RangeInclusive<usize>)>,
    copied: Vec<(usize, Arc<Segment>)>,
}

/// Masks that were made anew are lit up for so many seconds.
const LIT: f32 = 3.0;

impl Tracks {
    pub(super) fn forget(&mut self) {
        self.cancel.cancel();
        *self = Self { opening: self.opening + 1, ..Self::default() };
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

    /// Masks that were made anew just now, and how brightly they are lit, 1 to 0.
    pub fn lit(&self) -> impl Iterator<Item = (ObjectId, usize, f32)> {
        let brightness = |since: &Instant| 1.0 - since.elapsed().as_secs_f32() / LIT;
        self.tracks.retracked.iter().map(move |(object, frame, since)| (*object, *frame, brightness(since)))
    }
}

impl Session {
    pub(super) fn propagate(&mut self, way: Way, extent: Extent) {
        if !self.project().runs.is_empty() {
            self.toggle_pause();
            return;
        }
        if let Model::None(why) = &self.model {
            self.notices.error(format!("There is no model: {why}"));
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
        if n_runs == 0 {
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
            self.notices.info(format!("Tracking was interrupted, {} are left", count(left, "frame")));
        }
    }

    pub(super) fn tell_what_to_track(&mut self, engine: &Engine) {
        let project = self.project().clone();
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
            Tracked::Finished(_) => {}
        }
        let (Tracked::Found { run, .. } | Tracked::Finished(run) | Tracked::Failed(run, _)) = &report else {
            return;
        };
        self.history.extend(run.step, |project| {
            report.take_in(project);
        });
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

    /// The chosen frames, or else the one that is shown.
    fn frames(&self) -> Option<(FrameId, RangeInclusive<usize>)> {
        let at = self.frame()?;
        Some((at, self.span().unwrap_or(at.frame..=at.frame)))
    }

    pub(super) fn set_span(&mut self, span: Option<(usize, usize)>) {
        self.tracks.span = self.shown.zip(span).map(|(medium, (a, b))| (medium, a.min(b)..=a.max(b)));
    }

    /// The chosen frames begin or end at the one that is shown.
    pub(super) fn move_span(&mut self, edge: Direction) {
        let Some(at) = self.frame() else { return };
        let span = self.span().unwrap_or(at.frame..=at.frame);
        let span = match edge {
            Direction::Backward => (at.frame, at.frame.max(*span.end())),
            Direction::Forward => (at.frame.min(*span.start()), at.frame),
        };
        self.set_span(Some(span));
    }

    /// The selected objects; without one, those that are on the shown frame.
    fn meant(&self) -> Vec<ObjectId> {
        if self.selection.is_empty() {
            self.segments().map(|(id, ..)| id).collect()
        } else {
            self.selection.clone()
        }
    }

    /// One step for each of the objects that are meant, on the frames that are meant. Says so if it changes nothing.
    fn edit_tracks(
        &mut self,
        title: &str,
        nothing: &str,
        change: impl Fn(&mut Project, MediumId, ObjectId, RangeInclusive<usize>) -> usize,
    ) {
        let Some((at, frames)) = self.frames() else { return };
        let objects = self.meant();
        let n = self.history.edit(title, |project| {
            let changes = objects.iter().map(|object| change(project, at.medium, *object, frames.clone()));
            changes.sum::<usize>()
        });
        if n == 0 {
            self.notices.info(nothing);
        }
    }
}

impl Session {
    pub(super) fn confirm(&mut self) {
        self.edit_tracks("Confirm", "There is no mask here to confirm", |project, _, object, frames| {
            project.confirm(object, frames)
        });
    }

    pub(super) fn unconfirm(&mut self) {
        self.edit_tracks("Confirm no longer", "Nothing is confirmed here", |project, _, object, frames| {
            project.unconfirm(object, frames)
        });
    }

    pub(super) fn set_absent(&mut self) {
        if self.selection.is_empty() {
            self.notices.info("Select the object that is not here first");
            return;
        }
        self.edit_tracks("Not here", "It is not here already", |project, medium, object, frames| {
            let n = frames.clone().count();
            project.set_absent(medium, object, frames);
            n
        });
    }

    pub(super) fn delete_here(&mut self) {
        self.edit_tracks(
            "Delete here",
            "There is nothing here to delete",
            |project, medium, object, frames| {
                let n_before = project.track_within(object, frames.clone()).count();
                project.remove_from_track(medium, object, frames);
                n_before
            },
        );
    }

    pub(super) fn interpolate_boxes(&mut self) {
        let nothing = "Draw boxes on two frames or more first, and choose the frames between them";
        let Some(video) = self.video() else { return };
        let all = 0..=video.n_frames - 1;
        let span = self.span().unwrap_or(all);
        self.edit_tracks("Interpolate boxes", nothing, move |project, medium, object, _| {
            project.interpolate_boxes(medium, object, span.clone())
        });
    }

    pub(super) fn copy_track(&mut self) {
        let Some(((_, frames), (object, _))) = self.frames().zip(self.selected_object()) else {
            self.notices.info("Select the object to copy first");
            return;
        };
        self.tracks.copied = self.project().copy_track(object, frames);
        self.notices.info(format!("Copied {}", count(self.tracks.copied.len(), "mask")));
    }

    /// Onto the selected object, or as a new one.
    pub(super) fn paste_track(&mut self) {
        let copied = self.tracks.copied.clone();
        let Some((at, frames)) = self.frames().filter(|_| !copied.is_empty()) else {
            self.notices.info("Copy masks first");
            return;
        };
        let selected = self.selected_object().map(|(id, _)| id);
        let Some(category) = self.category() else { return };
        let object = self.history.edit("Paste masks", |project| {
            let object = selected.unwrap_or_else(|| {
                let id = project.new_object();
                project.objects.insert((at.medium, id), Arc::new(project::Object::new(category)));
                id
            });
            match &copied[..] {
                [(_, one)] => project.paste_over(at.medium, object, frames, one),
                copied => project.paste_track(at.medium, object, *frames.start(), copied),
            };
            object
        });
        self.selection = vec![object];
    }

    pub(super) fn copy_to_next_frame(&mut self, at: FrameId) {
        let objects = self.meant();
        self.history.edit("Copy to the next frame", |project| {
            for object in objects {
                let copied = project.copy_track(object, at.frame..=at.frame);
                project.paste_track(at.medium, object, at.frame + 1, &copied);
            }
        });
        self.step(1);
    }

    pub(super) fn split_track(&mut self) {
        let Some((at, (object, _))) = self.frame().zip(self.selected_object()) else { return };
        let title = "Another object from here on";
        match self.history.edit(title, |project| project.split_track(at.medium, object, at.frame)) {
            Some(new) => self.selection = vec![new],
            None => self.notices.info("This object has nothing on one side of this frame"),
        }
    }

    pub(super) fn swap_tracks(&mut self) {
        let (Some(at), [a, b]) = (self.frame(), &self.selection[..]) else {
            self.notices.info("Select the two objects to swap");
            return;
        };
        let (a, b) = (*a, *b);
        self.history.edit("Swap from here on", |project| project.swap_tracks(at.medium, a, b, at.frame));
    }

    pub(super) fn renumber(&mut self, object: ObjectId, to: u32) {
        let Some(medium) = self.shown else { return };
        let to = ObjectId(to);
        match self.history.edit("Renumber", |project| project.renumber(medium, object, to)) {
            Ok(()) => self.selection = vec![to],
            Err(why) => self.notices.warn(why.to_string()),
        }
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
