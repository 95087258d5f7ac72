//! Which track is which object: joining, splitting, swapping and renumbering.

use std::sync::Arc;

use super::{MediumId, Object, ObjectId, Project, Run, RunId, Segment, Tracked};
use crate::{geometry::Rect, mask::Rle};

/// Why an object cannot have a number.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum RenumberError {
    /// Numbers are unique in the project.
    #[error("cannot renumber object {object}: {to} is an object of {medium}; choose another number")]
    OfAnotherMedium {
        /// The object's number.
        object: u32,
        /// The number that it was to have.
        to: u32,
        /// The path of the medium that has it.
        medium: String,
    },
    /// Other programs read numbers with 31 bits.
    #[error("cannot renumber object {object}: {to} is too large; the largest number is {MAX}")]
    TooLarge {
        /// The object's number.
        object: u32,
        /// The number that it was to have.
        to: u32,
    },
}

/// The largest number of an object.
const MAX: u32 = i32::MAX as u32;

impl Project {
    /// Makes one object of several; `into` keeps its id, category and answers, the others go with what was still to be
    /// tracked of them.
    ///
    /// On a frame where more than one has a mask or a box, it gets all of it: as made by hand, or as tracked if nothing
    /// of it was given. What only one has there is taken as it is.
    pub fn join_tracks(&mut self, medium: MediumId, into: ObjectId, others: &[ObjectId]) {
        let is_there = |project: &Self, object| project.objects.contains_key(&(medium, object));
        if !is_there(self, into) {
            return;
        }
        for &other in others {
            if other == into || !is_there(self, other) {
                continue;
            }
            for (frame, segment) in self.take_track(other, 0) {
                let segment = match self.segment(into, frame) {
                    Some(own) => joined(own, &segment),
                    None => segment,
                };
                self.segments.insert((into, frame), segment);
            }
            self.remove_object(medium, other);
        }
    }

    /// Makes a new object, of the same category and with the same answers, of an object's frames from `at` on; what was
    /// still to be tracked goes with the side that it is on and ends there. None if either side would have no frame.
    pub fn split_track(&mut self, medium: MediumId, object: ObjectId, at: usize) -> Option<ObjectId> {
        let known = self.objects.get(&(medium, object))?.clone();
        let mut frames = self.track(object).map(|(frame, _)| frame);
        let (first, last) = (frames.next()?, frames.next_back()?);
        drop(frames);
        if first >= at || last < at {
            return None;
        }
        let new = self.new_object();
        self.objects.insert((medium, new), known);
        let later = self.take_track(object, at);
        self.put_track(new, later);
        self.change_runs(object, |run| {
            Some(if run.next < at {
                Run { first: run.first.min(at - 1), last: run.last.min(at - 1), ..run }
            } else {
                Run { object: new, first: run.first.max(at), last: run.last.max(at), ..run }
            })
        });
        Some(new)
    }

    /// From frame `from` on, one object is the other and the other way round. What was still to be tracked of the two
    /// is not any more; one that is then on no frame is removed.
    pub fn swap_tracks(&mut self, medium: MediumId, a: ObjectId, b: ObjectId, from: usize) {
        if a == b || [a, b].iter().any(|object| !self.objects.contains_key(&(medium, *object))) {
            return;
        }
        let [of_a, of_b] = [a, b].map(|object| self.take_track(object, from));
        self.put_track(a, of_b);
        self.put_track(b, of_a);
        for object in [a, b] {
            self.change_runs(object, |_| None);
            self.remove_if_nowhere(medium, object);
        }
    }

    /// Gives an object another id; an object of the same medium that has it gets this one's.
    ///
    /// # Errors
    /// If an object of another medium has the id, or no object may have it.
    pub fn renumber(
        &mut self,
        medium: MediumId,
        object: ObjectId,
        to: ObjectId,
    ) -> Result<(), RenumberError> {
        if to == object || !self.objects.contains_key(&(medium, object)) {
            return Ok(());
        }
        if to.0 > MAX {
            return Err(RenumberError::TooLarge { object: object.0, to: to.0 });
        }
        if let Some((other, _)) = self.objects.keys().find(|(other, id)| *id == to && *other != medium) {
            let medium = self.media.get(other).map_or_else(String::new, |medium| medium.path.clone());
            return Err(RenumberError::OfAnotherMedium { object: object.0, to: to.0, medium });
        }
        let taken = [object, to].map(|id| (self.objects.remove(&(medium, id)), self.take_track(id, 0)));
        for (id, (known, track)) in [to, object].into_iter().zip(taken) {
            self.objects.extend(known.map(|known: Arc<Object>| ((medium, id), known)));
            self.put_track(id, track);
        }
        let runs: Vec<(RunId, Arc<Run>)> = self.runs.iter().map(|(id, run)| (*id, run.clone())).collect();
        for (id, run) in runs {
            let other = if run.object == object { to } else { object };
            if [object, to].contains(&run.object) {
                self.runs.insert(id, Arc::new(Run { object: other, ..(*run).clone() }));
            }
        }
        Ok(())
    }

    /// Removes an object's segments from a frame on.
    fn take_track(&mut self, object: ObjectId, from: usize) -> Vec<(usize, Arc<Segment>)> {
        let track = self.track_within(object, from..=usize::MAX);
        let track = track.map(|(frame, segment)| (frame, segment.clone())).collect();
        self.remove_within(object, from..=usize::MAX);
        track
    }

    fn put_track(&mut self, object: ObjectId, track: Vec<(usize, Arc<Segment>)>) {
        self.segments.extend(track.into_iter().map(|(frame, segment)| ((object, frame), segment)));
    }
}

/// What two objects that are one have on a frame; given if either is.
fn joined(a: &Arc<Segment>, b: &Arc<Segment>) -> Arc<Segment> {
    let is_given = a.is_given() || b.is_given();
    let masks = a.mask.as_ref().zip(b.mask.as_ref());
    let of_both = masks.filter(|(a, b)| a.size() == b.size() && a.area().min(b.area()) > 0);
    let joined = match (of_both, a.rect.zip(b.rect)) {
        (Some((of_a, of_b)), _) => Arc::new(tracked_as(a, b, of_a.union(of_b))),
        (None, Some((of_a, of_b))) if a.mask.is_none() && b.mask.is_none() => {
            Arc::new(Segment::tracked_box(around(of_a, of_b)))
        }
        _ => {
            // Pixels tell more than a box, a box more than nothing, and a person more than the machine.
            let worth = |s: &Segment| {
                (s.mask.as_ref().is_some_and(|mask| mask.area() > 0), s.rect.is_some(), s.is_given())
            };
            if worth(b) > worth(a) { b.clone() } else { a.clone() }
        }
    };
    let given = joined.as_given().filter(|_| is_given && !joined.is_given());
    given.map_or(joined, Arc::new)
}

/// A mask as sure as the less sure of two.
fn tracked_as(a: &Segment, b: &Segment, mask: Rle) -> Segment {
    let score = |s: &Segment| s.tracked.map_or(f32::INFINITY, |Tracked { object_score, .. }| object_score);
    Segment::tracked(mask, a.iou.min(b.iou), score(a).min(score(b)))
}

/// The smallest box round two.
fn around(a: Rect, b: Rect) -> Rect {
    Rect { x0: a.x0.min(b.x0), y0: a.y0.min(b.y0), x1: a.x1.max(b.x1), y1: a.y1.max(b.y1) }
}
