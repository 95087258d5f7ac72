//! Finding objects in videos: every so manieth frame is looked at, what is not among the tracks there is new, and is
//! tracked to the next such frame before that is looked at.

use std::{collections::VecDeque, sync::Arc};

use engine::{
    detect::Detection,
    frame::Direction,
    project::{Extent, FrameId, MediumId, Object, ObjectId, Project, Question, Segment, path_of},
    segmenter::Answer,
    worker::{Outcome, Task, Work, WorkFrame},
};

use super::Session;
use crate::job::Unsent;

/// How far a search through videos is.
pub(super) struct Sweep {
    /// Videos that are left, the current first.
    videos: VecDeque<MediumId>,
    every: usize,
    /// The frame of the current video that is looked at, or will be.
    frame: usize,
    stage: Stage,
    /// What was found in the current video.
    tracks: Vec<ObjectId>,
}

enum Stage {
    /// The images before the videos are looked at.
    Images,
    /// Tracks are on their way to the frame.
    Tracking,
    /// The detector looks at it.
    Looking,
    /// The masks of what it found are made.
    Masking,
}

/// A mask that overlaps a track's by this IoU is that track.
const SAME: f64 = 0.5;

impl Sweep {
    pub(super) fn new(videos: VecDeque<MediumId>, every: usize) -> Self {
        Self { videos, every: every.max(1), frame: 0, stage: Stage::Images, tracks: Vec::new() }
    }

    /// Whether no video is left.
    pub(super) fn is_done(&self) -> bool {
        self.videos.is_empty()
    }

    /// Whether the images before the videos are still looked at.
    pub(super) fn is_in_images(&self) -> bool {
        matches!(self.stage, Stage::Images)
    }

    fn at(&self) -> Option<FrameId> {
        Some(FrameId { medium: *self.videos.front()?, frame: self.frame })
    }

    /// On to the next frame, or to the next video.
    fn advance(&mut self, n_frames: usize) {
        self.stage = Stage::Tracking;
        self.frame += self.every;
        if self.frame >= n_frames {
            self.videos.pop_front();
            self.frame = 0;
            self.tracks.clear();
        }
    }
}

impl Session {
    /// Once a turn: looks at the next frame as soon as the tracks are there.
    pub(super) fn sweep(&mut self) {
        let Some(sweep) = &self.finding.sweep else { return };
        let Some(job) = self.jobs.iter().find(|job| Some(job.id) == self.finding.job) else { return };
        if !matches!(sweep.stage, Stage::Tracking) || job.unsent.is_some() {
            return;
        }
        if job.cancel.is_canceled() || self.is_search_undone() {
            self.ended(job.id, Outcome::Canceled);
            return;
        }
        let job = job.id;
        let Some(at) = sweep.at() else { return };
        if !self.project().media.contains_key(&at.medium) {
            // It was removed; on to the next.
            let sweep = self.finding.sweep.as_mut();
            let is_done = sweep.is_none_or(|sweep| {
                sweep.advance(0);
                sweep.is_done()
            });
            if is_done {
                self.ended(job, Outcome::Done);
            }
            return;
        }
        let Some(work) = self.work_at(Task::Find(self.finding.search.clone())) else { return };
        let is_on_its_way = self.project().runs.values().any(|run| run.medium == at.medium);
        if !is_on_its_way {
            self.next_stage(Stage::Looking, work);
        }
    }

    /// Ends a search through videos.
    pub(super) fn cancel_sweep(&self) {
        if let Some(job) = self.finding.job.filter(|_| self.finding.sweep.is_some()) {
            self.jobs.iter().filter(|other| other.id == job).for_each(|job| job.cancel.cancel());
        }
    }

    /// Work on the frame that is next.
    fn work_at(&self, task: Task) -> Option<WorkFrame> {
        let at = self.finding.sweep.as_ref()?.at()?;
        let path = path_of(&self.file.as_ref()?.folder, self.project().media.get(&at.medium)?);
        Some(WorkFrame { at, path, task })
    }

    fn next_stage(&mut self, stage: Stage, frame: WorkFrame) {
        let Some(id) = self.finding.job else { return };
        let n_frames = self.project().media.get(&frame.at.medium).map_or(1, |medium| medium.n_frames);
        let Some(job) = self.jobs.iter_mut().find(|job| job.id == id) else { return };
        (job.done, job.total) = (frame.at.frame, n_frames);
        job.unsent = Some(Unsent::Work(Work { job: id, frames: vec![frame], cancel: job.cancel.clone() }));
        if let Some(sweep) = &mut self.finding.sweep {
            sweep.stage = stage;
        }
    }

    /// A stage is done; false if that was the last.
    pub(super) fn sweep_goes_on(&mut self) -> bool {
        let Some(sweep) = &mut self.finding.sweep else { return false };
        let Some(at) = sweep.at() else { return false };
        match std::mem::replace(&mut sweep.stage, Stage::Tracking) {
            Stage::Images | Stage::Tracking => {}
            Stage::Looking => {
                let new = self.unknown(at);
                let questions: Vec<(ObjectId, Question)> =
                    new.iter().filter_map(|&i| Some((ObjectId(i as u32), self.question(at, i)?))).collect();
                if let Some(work) = self.work_at(Task::Masks(questions)).filter(|_| !new.is_empty()) {
                    self.next_stage(Stage::Masking, work);
                    return true;
                }
                self.arrive(at, Vec::new());
            }
            Stage::Masking => {
                let job = self.jobs.iter_mut().find(|job| Some(job.id) == self.finding.job);
                let found = job.map(|job| std::mem::take(&mut job.found)).unwrap_or_default();
                let masks = found.into_iter().filter_map(|(_, i, answer)| Some((i?.0 as usize, answer)));
                self.arrive(at, masks.collect());
            }
        }
        self.finding.sweep.as_ref().is_some_and(|sweep| !sweep.is_done())
    }

    /// What counts on a frame and overlaps nothing that is there.
    fn unknown(&self, at: FrameId) -> Vec<usize> {
        let Some(sightings) = self.finding.frames.get(&at) else { return Vec::new() };
        let is_known = |i: &usize| {
            let Detection { place, class, .. } = sightings[*i].detection;
            let category =
                self.finding.kinds.get(class).and_then(|kind| self.project().category_named(&kind.category));
            place.prompt().rect.is_some_and(|rect| self.project().is_known(at, rect, category))
        };
        self.finding.chosen(sightings).into_iter().filter(|i| !is_known(i)).collect()
    }

    fn question(&self, at: FrameId, i: usize) -> Option<Question> {
        Some(Question::of(self.finding.frames.get(&at)?.get(i)?.detection.place.prompt()))
    }

    /// Takes what is new on a frame for objects, and has all be tracked to the next.
    fn arrive(&mut self, at: FrameId, masks: Vec<(usize, Answer)>) {
        let mut finding = std::mem::take(&mut self.finding);
        let Some(n_frames) = self.project().media.get(&at.medium).map(|medium| medium.n_frames) else {
            self.finding = finding;
            return;
        };
        self.extend_search(&mut finding, |finding, project, by| {
            let Some(sweep) = &mut finding.sweep else { return };
            for (i, answer) in masks {
                let Some(sighting) = finding.frames.get_mut(&at).and_then(|sightings| sightings.get_mut(i))
                else {
                    continue;
                };
                let Some(kind) = finding.kinds.get(sighting.detection.class) else { continue };
                if answer.mask.area() == 0 || is_there(project, at, &answer) {
                    continue;
                }
                let category = project.category_or_new(&kind.category);
                let object = Object::proposed(category, sighting.detection.score);
                let question = Question::of(sighting.detection.place.prompt());
                let segment = Segment {
                    question,
                    mask: Some(Arc::new(answer.mask)),
                    iou: answer.iou,
                    is_answered: true,
                    ..Segment::default()
                };
                let id = project.add_object_from(by.unused, at, object, segment);
                sighting.object = Some(id);
                sweep.tracks.push(id);
                let before = Extent::Frames(sweep.every - 1);
                project.propagate(by.step, (at.medium, id), at.frame, Direction::Backward, &before);
            }
            let is_last = at.frame + sweep.every >= n_frames;
            let on = if is_last { Extent::End } else { Extent::Frames(sweep.every) };
            for id in &sweep.tracks {
                if project.objects.contains_key(&(at.medium, *id)) {
                    project.propagate(by.step, (at.medium, *id), at.frame, Direction::Forward, &on);
                }
            }
            sweep.advance(n_frames);
        });
        self.finding = finding;
    }
}

/// Whether a mask is that of something on the frame.
fn is_there(project: &Project, at: FrameId, answer: &Answer) -> bool {
    let is_same = |segment: &Segment| {
        let mask = segment.mask.as_ref().filter(|mask| mask.size() == answer.mask.size());
        mask.is_some_and(|mask| mask.iou(&answer.mask) >= SAME)
    };
    project.segments_on(at).any(|(.., segment)| is_same(segment))
}
