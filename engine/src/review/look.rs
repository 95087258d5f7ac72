//! Measurements of each object on each frame, kept between reviews.

use std::{
    collections::{BTreeMap, BTreeSet},
    ops::RangeInclusive,
    sync::Arc,
};

use super::{Concern, Progress, judge::Judge, pick};
use crate::{
    geometry::Size,
    mask::{Rle, Shape},
    project::{ObjectId, Project, Segment},
};

/// Measurements of one object on one frame.
#[derive(Debug)]
pub(super) struct Look {
    pub(super) frame: usize,
    /// The segment, kept so that its address is not reused: an equal address means the same segment.
    pub(super) segment: Arc<Segment>,
    /// Shape of the mask; `None` if the mask is empty or unknown.
    pub(super) shape: Option<Shape>,
    pub(super) overlap: Option<Overlap>,
}

/// The overlap with the object that shares the most pixels.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Overlap {
    pub(super) with: ObjectId,
    /// Overlap as a share of the smaller of the two masks, 0 to 1.
    pub(super) share: f32,
    /// True if this object is the more likely of the two to be wrong.
    pub(super) is_to_blame: bool,
}

impl Look {
    fn at(frame: usize, segment: &Arc<Segment>, before: Option<Self>) -> Self {
        let known = before.filter(|before| {
            let masks = before.segment.mask.as_ref().zip(segment.mask.as_ref());
            masks.is_some_and(|(before, now)| Arc::ptr_eq(before, now))
        });
        let measure = || segment.mask.as_ref().and_then(|mask| mask.shape());
        let shape = known.map_or_else(measure, |known| known.shape);
        Self { frame, segment: segment.clone(), shape, overlap: None }
    }

    /// Returns the mask and its shape, if the mask is not empty.
    fn mask(&self) -> Option<(&Rle, &Shape)> {
        self.segment.mask.as_deref().zip(self.shape.as_ref())
    }

    /// Returns the model's predicted IoU, clamped to 0 to 1; 0 if it is not finite.
    pub(super) fn iou(&self) -> f32 {
        if self.segment.iou.is_finite() { self.segment.iou.clamp(0.0, 1.0) } else { 0.0 }
    }
}

/// Remaining frames of a run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Ahead {
    pub(super) frames: RangeInclusive<usize>,
    /// True if the run replaces existing masks.
    pub(super) anew: bool,
}

/// Measurements of one object on all its frames.
#[derive(Debug, Default)]
pub(super) struct Watched {
    looks: Vec<Look>,
    ahead: Vec<Ahead>,
    /// Cached queue and remaining concerns; `None` after a change.
    concerns: Option<(Vec<Concern>, Vec<Concern>)>,
}

impl Watched {
    /// Updates changed measurements and returns the frames of these changes.
    pub(super) fn update(&mut self, project: &Project, object: ObjectId) -> BTreeSet<usize> {
        let mut changed: BTreeSet<usize> = BTreeSet::new();
        let mut before = std::mem::take(&mut self.looks).into_iter().peekable();
        for (frame, segment) in project.track(object) {
            while let Some(gone) = before.next_if(|look| look.frame < frame) {
                changed.insert(gone.frame);
            }
            let look = match before.next_if(|look| look.frame == frame) {
                Some(look) if Arc::ptr_eq(&look.segment, segment) => look,
                look => {
                    changed.insert(frame);
                    Look::at(frame, segment, look)
                }
            };
            self.looks.push(look);
        }
        changed.extend(before.map(|gone| gone.frame));
        let runs = project.runs.values().filter(|run| run.object == object);
        let ahead: Vec<Ahead> = runs
            .map(|run| Ahead { frames: run.next.min(run.last)..=run.next.max(run.last), anew: run.anew })
            .collect();
        if !changed.is_empty() || self.ahead != ahead {
            self.concerns = None;
        }
        self.ahead = ahead;
        changed
    }

    pub(super) fn frames(&self) -> impl Iterator<Item = usize> {
        self.looks.iter().map(|look| look.frame)
    }

    pub(super) fn progress(&self) -> Progress {
        let n_given = self.looks.iter().filter(|look| look.segment.is_given()).count();
        Progress { n_given, n_segments: self.looks.len() }
    }

    /// Returns the queue and the remaining concerns, in images of `size`.
    pub(super) fn concerns(&mut self, object: ObjectId, size: Size) -> (&[Concern], &[Concern]) {
        let (looks, ahead) = (&self.looks, &self.ahead);
        let (queue, rest) = self
            .concerns
            .get_or_insert_with(|| pick::pick(object, &Judge::new(looks, ahead, size).suspicions()));
        (queue, rest)
    }

    fn look_at(&self, frame: usize) -> Option<&Look> {
        self.looks.binary_search_by_key(&frame, |look| look.frame).ok().map(|i| &self.looks[i])
    }

    fn set_overlap(&mut self, frame: usize, overlap: Option<Overlap>) {
        if let Ok(i) = self.looks.binary_search_by_key(&frame, |look| look.frame)
            && self.looks[i].overlap != overlap
        {
            self.looks[i].overlap = overlap;
            self.concerns = None;
        }
    }
}

/// Finds which objects cover the same pixels on a frame.
pub(super) fn find_overlaps(watched: &mut BTreeMap<ObjectId, Watched>, frame: usize) {
    let looks: Vec<(ObjectId, &Look)> =
        watched.iter().filter_map(|(object, watched)| Some((*object, watched.look_at(frame)?))).collect();
    let mut most: BTreeMap<ObjectId, Option<Overlap>> =
        looks.iter().map(|(object, _)| (*object, None)).collect();
    for (i, a) in looks.iter().enumerate() {
        for b in &looks[i + 1..] {
            let share = share_of_smaller(a.1, b.1);
            if share == 0.0 {
                continue;
            }
            for (own, other) in [(a, b), (b, a)] {
                let overlap = Overlap { with: other.0, share, is_to_blame: is_to_blame(*own, *other) };
                let most = most.entry(own.0).or_default();
                if most.is_none_or(|most| most.share < share) {
                    *most = Some(overlap);
                }
            }
        }
    }
    for (object, overlap) in most {
        if let Some(watched) = watched.get_mut(&object) {
            watched.set_overlap(frame, overlap);
        }
    }
}

fn share_of_smaller(a: &Look, b: &Look) -> f32 {
    let (Some((a, of_a)), Some((b, of_b))) = (a.mask(), b.mask()) else { return 0.0 };
    let meet = |i: usize| {
        of_a.bbox[i] < of_b.bbox[i] + of_b.bbox[i + 2] && of_b.bbox[i] < of_a.bbox[i] + of_a.bbox[i + 2]
    };
    if a.size() != b.size() || !meet(0) || !meet(1) {
        return 0.0;
    }
    a.intersection(b).area() as f32 / of_a.area.min(of_b.area) as f32
}

/// Returns true if the first of two overlapping objects is the more likely one to be wrong: not a given one,
/// otherwise the one with the lower predicted IoU.
fn is_to_blame((own_id, own): (ObjectId, &Look), (other_id, other): (ObjectId, &Look)) -> bool {
    let is_surer = || own.iou().total_cmp(&other.iou()).then(other_id.cmp(&own_id)).is_gt();
    !own.segment.is_given() && (other.segment.is_given() || !is_surer())
}
