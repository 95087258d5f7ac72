//! What is done to one object over many frames at once: confirming, emptying, copying, filling in between.

use std::{
    ops::{Range, RangeInclusive},
    sync::Arc,
};

use super::{MediumId, ObjectId, Project, Run, RunId, Segment, Tracked};
use crate::{
    frame::Direction,
    geometry::{Rect, Size},
};

impl Project {
    /// Says that the known masks of an object on these frames are right, empty ones too; how many had not been said so.
    pub fn confirm(&mut self, object: ObjectId, frames: RangeInclusive<usize>) -> usize {
        let is_known = |segment: &Segment| segment.is_answered && segment.mask.is_some();
        self.change_within(object, frames, |segment| is_known(segment) && !segment.confirmed, true)
    }

    /// Takes [`Self::confirm`] back; how many had been confirmed. What was clicked or drawn is still given.
    pub fn unconfirm(&mut self, object: ObjectId, frames: RangeInclusive<usize>) -> usize {
        self.change_within(object, frames, |segment| segment.confirmed, false)
    }

    fn change_within(
        &mut self,
        object: ObjectId,
        frames: RangeInclusive<usize>,
        is_meant: impl Fn(&Segment) -> bool,
        confirmed: bool,
    ) -> usize {
        let meant = self.track_within(object, frames).filter(|(_, segment)| is_meant(segment));
        let meant: Vec<usize> = meant.map(|(frame, _)| frame).collect();
        for &frame in &meant {
            self.segment_mut(object, frame).confirmed = confirmed;
        }
        meant.len()
    }

    /// Says that an object is on none of these frames, whatever was known of them.
    pub fn set_absent(&mut self, medium: MediumId, object: ObjectId, frames: RangeInclusive<usize>) {
        let Some((size, frames)) = self.frames_of(medium, object, &frames) else { return };
        let absent = Arc::new(Segment::absent(size));
        for frame in frames {
            self.segments.insert((object, frame), absent.clone());
        }
    }

    /// Removes an object from some frames, and altogether if it is on no other. What was still to be tracked of it ends
    /// before these frames.
    pub fn remove_from_track(&mut self, medium: MediumId, object: ObjectId, frames: RangeInclusive<usize>) {
        if frames.is_empty() {
            return;
        }
        self.change_runs(object, |run| ending_before(run, &frames));
        self.remove_within(object, frames);
        self.remove_if_nowhere(medium, object);
    }

    /// Fills the frames between boxes that are given and have no mask with boxes that go straight from one to the next;
    /// tracked segments there give way. How many were made.
    ///
    /// They count as tracked, so that they are made anew once a box is changed. Where something else is given between
    /// two boxes, nothing is made.
    pub fn interpolate_boxes(
        &mut self,
        medium: MediumId,
        object: ObjectId,
        frames: RangeInclusive<usize>,
    ) -> usize {
        let Some((_, frames)) = self.frames_of(medium, object, &frames) else { return 0 };
        let given = self.track(object).filter(|(frame, s)| frames.contains(frame) && s.is_given());
        let given: Vec<(usize, Option<Rect>)> =
            given.map(|(frame, segment)| (frame, segment.rect.filter(|_| segment.mask.is_none()))).collect();
        let mut n = 0;
        for pair in given.windows(2) {
            let &[(first, Some(from)), (last, Some(to))] = pair else { continue };
            for frame in first + 1..last {
                let way = (frame - first) as f32 / (last - first) as f32;
                let rect = between(from, to, way);
                self.segments.insert((object, frame), Arc::new(Segment::tracked_box(rect)));
                n += 1;
            }
        }
        n
    }

    /// An object on these frames, counted from the first, for [`Self::paste_track`].
    pub fn copy_track(&self, object: ObjectId, frames: RangeInclusive<usize>) -> Vec<(usize, Arc<Segment>)> {
        let first = *frames.start();
        let track = self.track_within(object, frames);
        track.map(|(frame, segment)| (frame - first, segment.clone())).collect()
    }

    /// Puts what was copied on an object's frames from `at` on, as if made by hand there, over what was known of them.
    /// What lies beyond the video's end is left out, as are masks of another size than its frames. How many were put.
    pub fn paste_track(
        &mut self,
        medium: MediumId,
        object: ObjectId,
        at: usize,
        copied: &[(usize, Arc<Segment>)],
    ) -> usize {
        let Some((size, frames)) = self.frames_of(medium, object, &(at..=usize::MAX)) else { return 0 };
        let mut n = 0;
        for (offset, segment) in copied {
            let frame = at.saturating_add(*offset);
            if frames.contains(&frame)
                && let Some(pasted) = segment.as_given().filter(|pasted| pasted.fits(size))
            {
                self.segments.insert((object, frame), Arc::new(pasted));
                n += 1;
            }
        }
        n
    }

    /// The same for one segment, on each of these frames.
    pub fn paste_over(
        &mut self,
        medium: MediumId,
        object: ObjectId,
        frames: RangeInclusive<usize>,
        segment: &Segment,
    ) -> usize {
        let Some((size, frames)) = self.frames_of(medium, object, &frames) else { return 0 };
        let Some(pasted) = segment.as_given().filter(|pasted| pasted.fits(size)) else { return 0 };
        let pasted = Arc::new(pasted);
        for frame in frames.clone() {
            self.segments.insert((object, frame), pasted.clone());
        }
        frames.len()
    }

    /// The size of a medium's frames, and those of `frames` that it has; none if the object is not of this medium.
    fn frames_of(
        &self,
        medium: MediumId,
        object: ObjectId,
        frames: &RangeInclusive<usize>,
    ) -> Option<(Size, Range<usize>)> {
        self.objects.get(&(medium, object))?;
        let medium = self.media.get(&medium)?;
        Some((medium.size, *frames.start()..frames.end().saturating_add(1).min(medium.n_frames)))
    }

    /// An object of which no segment is left does not last.
    pub(super) fn remove_if_nowhere(&mut self, medium: MediumId, object: ObjectId) {
        if self.track(object).next().is_none() {
            self.remove_object(medium, object);
        }
    }

    /// Changes what is still to be tracked of an object; none is nothing.
    pub(super) fn change_runs(&mut self, object: ObjectId, change: impl Fn(Run) -> Option<Run>) {
        let runs: Vec<(RunId, Arc<Run>)> = self.runs.iter().map(|(id, run)| (*id, run.clone())).collect();
        for (id, run) in runs.into_iter().filter(|(_, run)| run.object == object) {
            match change((*run).clone()) {
                Some(run) => drop(self.runs.insert(id, Arc::new(run))),
                None => drop(self.runs.remove(&id)),
            }
        }
    }
}

impl Segment {
    /// A box that follows from boxes on other frames.
    pub(super) fn tracked_box(rect: Rect) -> Self {
        Self { tracked: Some(Tracked { object_score: 1.0, agreement: None }), ..Self::boxed(rect) }
    }

    /// The same as if a person had made it; none if it is not known yet.
    pub(super) fn as_given(&self) -> Option<Self> {
        match &self.mask {
            Some(mask) if mask.area() == 0 => Some(Self::absent(mask.size())),
            Some(mask) => Some(Self::by_hand(mask.clone())),
            None => self.rect.map(Self::boxed),
        }
    }

    fn fits(&self, size: Size) -> bool {
        self.mask.as_ref().is_none_or(|mask| mask.size() == size)
    }
}

/// What is left of a run that may not reach these frames.
fn ending_before(run: Run, frames: &RangeInclusive<usize>) -> Option<Run> {
    let (start, end) = (*frames.start(), *frames.end());
    match run.direction {
        _ if frames.contains(&run.next) => None,
        Direction::Forward if run.next < start => Some(Run { last: run.last.min(start - 1), ..run }),
        Direction::Backward if run.next > end => Some(Run { last: run.last.max(end + 1), ..run }),
        _ => Some(run),
    }
}

/// The box so far on the way from one to another, 0 to 1.
fn between(from: Rect, to: Rect, way: f32) -> Rect {
    let (from, to) = (<[f32; 4]>::from(from), <[f32; 4]>::from(to));
    Rect::from(std::array::from_fn(|i| from[i] + (to[i] - from[i]) * way))
}

#[cfg(test)]
mod tests;
