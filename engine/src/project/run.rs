//! Tracking that is still to be done. It is part of the project, so that it goes on after a restart, and so that undo takes
//! back what asked for it with all that followed.

use std::{ops::RangeInclusive, sync::Arc};

use serde::{Deserialize, Serialize};

use super::{MediumId, ObjectId, Project, Segment, StepId, Tracked};
use crate::{frame::Direction, mask::Rle};

/// Names a run: the step that asked for it, and which of that step's runs it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct RunId {
    /// The step; what the run finds belongs to it.
    pub step: StepId,
    /// From 0.
    pub n: u32,
}

/// Frames of an object that are still to be tracked, one after the other.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Run {
    /// The video.
    pub medium: MediumId,
    /// The object.
    pub object: ObjectId,
    /// Which way.
    pub direction: Direction,
    /// The frame that it began with.
    pub first: usize,
    /// The next frame.
    pub next: usize,
    /// The last frame on the way.
    pub last: usize,
    /// Masks are made anew until they agree with what was there, as after a correction; otherwise only where there is
    /// none.
    pub anew: bool,
    /// So many frames in a row agreed with what was there.
    pub n_agreeing: usize,
}

/// How far to track.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Extent {
    /// To the end of the video.
    End,
    /// So many frames.
    Frames(usize),
    /// To the next frame of which a person has said what is there.
    NextGiven,
    /// These frames.
    Span(RangeInclusive<usize>),
}

/// A new mask agrees with the one that was there from this IoU on, and this often in a row means that all after it would.
const AGREES: f64 = 0.95;
const N_AGREEING: usize = 3;

impl Run {
    /// Frames that are left, at most.
    pub fn n_left(&self) -> usize {
        self.next.abs_diff(self.last) + 1
    }

    /// Frames in all, at most.
    pub fn n_frames(&self) -> usize {
        self.first.abs_diff(self.last) + 1
    }

    /// Whether `frame` is still to come.
    fn is_ahead(&self, frame: usize) -> bool {
        match self.direction {
            Direction::Forward => (self.next..=self.last).contains(&frame),
            Direction::Backward => (self.last..=self.next).contains(&frame),
        }
    }

    /// The same from `next` on, if that is not past the end.
    fn from(self, next: Option<usize>) -> Option<Self> {
        let next = next?;
        self.is_ahead(next).then_some(Self { next, ..self })
    }
}

impl Project {
    /// Asks for masks of an object from a frame on, where it has none; false if there is nothing to do.
    ///
    /// It begins at the nearest frame with a mask at `from` or before it on the way, or else at the first after it.
    pub fn propagate(
        &mut self,
        step: StepId,
        (medium, object): (MediumId, ObjectId),
        from: usize,
        direction: Direction,
        extent: &Extent,
    ) -> bool {
        let Some(n_frames) = self.media.get(&medium).map(|medium| medium.n_frames) else { return false };
        let end = match direction {
            Direction::Forward => n_frames - 1,
            Direction::Backward => 0,
        };
        let last = match (extent, direction) {
            (Extent::End | Extent::NextGiven, _) => end,
            (Extent::Frames(n), Direction::Forward) => from.saturating_add(*n).min(end),
            (Extent::Frames(n), Direction::Backward) => from.saturating_sub(*n),
            (Extent::Span(span), Direction::Forward) => *span.end().min(&end),
            (Extent::Span(span), Direction::Backward) => *span.start(),
        };
        let Some(source) = self.source(object, from, direction) else { return false };
        let first = direction.after(source);
        let run =
            Run { medium, object, direction, first: source, next: source, last, anew: false, n_agreeing: 0 };
        let Some(mut run) = run.from(first).and_then(|run| self.due(&run)) else { return false };
        if *extent == Extent::NextGiven
            && let Some(given) = self.next_given(object, run.next, direction)
            && run.is_ahead(given)
        {
            run.last = given;
        }
        run.first = run.next;
        self.add_run(step, run);
        true
    }

    /// The frame whose mask tracking from `from` on begins with.
    fn source(&self, object: ObjectId, from: usize, direction: Direction) -> Option<usize> {
        let has_mask = |(_, segment): &(usize, &Arc<Segment>)| {
            !segment.is_answered || segment.mask.as_ref().is_some_and(|mask| mask.area() > 0)
        };
        let frame = |(frame, _): (usize, &Arc<Segment>)| frame;
        let mut before = self.track_within(object, 0..=from).filter(has_mask);
        let mut after = self.track_within(object, from..=usize::MAX).filter(has_mask);
        match direction {
            Direction::Forward => before.next_back().or_else(|| after.next()).map(frame),
            Direction::Backward => after.next().or_else(|| before.next_back()).map(frame),
        }
    }

    /// The next frame at `from` or after it on the way of which a person has said what is there.
    pub fn next_given(&self, object: ObjectId, from: usize, direction: Direction) -> Option<usize> {
        let is_given = |(_, segment): &(usize, &Arc<Segment>)| segment.is_given();
        let found = match direction {
            Direction::Forward => self.track_within(object, from..=usize::MAX).find(is_given),
            Direction::Backward => self.track_within(object, 0..=from).rev().find(is_given),
        };
        found.map(|(frame, _)| frame)
    }

    /// Asks for what follows from a new mask of an object on a frame: what was tracked before and after it, as far as the
    /// next frame of which a person has said what is there, is made anew. False if nothing was.
    pub fn retrack(&mut self, step: StepId, (medium, object): (MediumId, ObjectId), frame: usize) -> bool {
        self.stop_before(object, frame);
        let mut any = false;
        for direction in [Direction::Forward, Direction::Backward] {
            let is_tracked = |frame: &usize| self.segment(object, *frame).is_some_and(|s| !s.is_given());
            let ways = std::iter::successors(direction.after(frame), |frame| direction.after(*frame));
            let mut tracked = ways.take_while(is_tracked);
            let Some(first) = tracked.next() else { continue };
            let last = tracked.last().unwrap_or(first);
            let run = Run { medium, object, direction, first, next: first, last, anew: true, n_agreeing: 0 };
            self.add_run(step, run);
            any = true;
        }
        any
    }

    /// Corrections' runs of an object end before a frame.
    fn stop_before(&mut self, object: ObjectId, frame: usize) {
        let runs: Vec<(RunId, Run)> = self.runs.iter().map(|(id, run)| (*id, (**run).clone())).collect();
        for (id, mut run) in runs {
            if run.object != object || !run.anew || !run.is_ahead(frame) {
                continue;
            }
            if run.next == frame {
                self.runs.remove(&id);
                continue;
            }
            run.last = match run.direction {
                Direction::Forward => frame - 1,
                Direction::Backward => frame + 1,
            };
            self.runs.insert(id, Arc::new(run));
        }
    }

    fn add_run(&mut self, step: StepId, run: Run) {
        let mut of_step = self.runs.range(RunId { step, n: 0 }..=RunId { step, n: u32::MAX });
        let n = of_step.next_back().map_or(0, |(id, _)| id.n + 1);
        self.runs.insert(RunId { step, n }, Arc::new(run));
    }

    /// The run from the next frame on that it has to make, if there is one.
    pub fn due(&self, run: &Run) -> Option<Run> {
        let is_done = |frame: usize| {
            self.segment(run.object, frame).is_some_and(|segment| segment.is_given() || !run.anew)
        };
        let mut left = Some(run.clone());
        while let Some(run) = left.as_ref().filter(|run| is_done(run.next)) {
            let next = run.direction.after(run.next);
            left = run.clone().from(next);
        }
        left
    }

    /// Takes in what a run found on a frame; false if it is not wanted any more.
    pub fn record(&mut self, id: RunId, frame: usize, mut found: Segment) -> bool {
        let Some(run) = self.runs.get(&id).filter(|run| run.is_ahead(frame)) else { return false };
        let mut run = Run { next: frame, ..(**run).clone() };
        let before = self.segment(run.object, frame);
        if before.is_some_and(|segment| segment.is_given())
            || !self.objects.contains_key(&(run.medium, run.object))
        {
            return false;
        }
        let agreement =
            before.and_then(|before| Some(agreement(before.mask.as_ref()?, found.mask.as_ref()?)));
        run.n_agreeing = if agreement.is_some_and(|iou| iou >= AGREES) { run.n_agreeing + 1 } else { 0 };
        if let Some(tracked) = &mut found.tracked {
            tracked.agreement = agreement.map(|iou| iou as f32);
        }
        self.segments.insert((run.object, frame), Arc::new(found));
        let goes_on = !(run.anew && run.n_agreeing >= N_AGREEING);
        let next = run.direction.after(frame);
        match run.from(next).filter(|_| goes_on) {
            Some(run) => drop(self.runs.insert(id, Arc::new(run))),
            None => drop(self.runs.remove(&id)),
        }
        true
    }

    /// Goes on with a run after a frame of which nothing can be known; false if the run is not wanted any more.
    pub fn skip(&mut self, id: RunId, frame: usize) -> bool {
        let Some(run) = self.runs.get(&id).filter(|run| run.is_ahead(frame)) else { return false };
        let next = run.direction.after(frame);
        match (**run).clone().from(next) {
            Some(run) => drop(self.runs.insert(id, Arc::new(run))),
            None => drop(self.runs.remove(&id)),
        }
        true
    }

    /// The runs to go on with: of the latest step's that go one way, the one that is farthest behind, and those that are
    /// on the same frame on the same way, so that the frame is looked at once. Runs that have nothing left to do come
    /// second.
    pub fn due_runs(&self) -> (Vec<(RunId, Run)>, Vec<RunId>) {
        let mut due: Vec<(RunId, Run)> = Vec::new();
        let mut finished = Vec::new();
        for (id, run) in self.runs.iter().rev() {
            match self.due(run) {
                Some(run) => due.push((*id, run)),
                None => finished.push(*id),
            }
        }
        let Some((latest, first)) = due.first().cloned() else { return (due, finished) };
        let goes_its_way = |run: &Run| (run.medium, run.direction) == (first.medium, first.direction);
        let mates = due.iter().filter(|(id, run)| id.step == latest.step && goes_its_way(run));
        let frames = mates.map(|(_, run)| run.next);
        let frame = match first.direction {
            Direction::Forward => frames.min(),
            Direction::Backward => frames.max(),
        };
        let mut together: Vec<(RunId, Run)> = Vec::new();
        for (id, run) in due {
            let fits = goes_its_way(&run) && Some(run.next) == frame;
            if fits && together.iter().all(|(_, other)| other.object != run.object) {
                together.push((id, run));
            }
        }
        (together, finished)
    }
}

/// How far two passes found the same: their IoU, and 1 where both found nothing.
fn agreement(a: &Rle, b: &Rle) -> f64 {
    match (a.size() == b.size(), a.area() + b.area()) {
        (false, _) => 0.0,
        (true, 0) => 1.0,
        (true, _) => a.iou(b),
    }
}

impl Segment {
    /// A mask that tracking found.
    pub fn tracked(mask: Rle, iou: f32, object_score: f32) -> Self {
        let tracked = Some(Tracked { object_score, agreement: None });
        Self { mask: Some(Arc::new(mask)), iou, is_answered: true, tracked, ..Self::default() }
    }
}

#[cfg(test)]
mod tests;
