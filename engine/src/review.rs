//! "Fix this next": which frames of which objects most need a look, and why; and how much has had one.

mod judge;
mod look;
mod pick;
mod typical;

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
};

use crate::project::{MediumId, ObjectId, Project};
use look::Watched;

/// From this severity on, a concern is worth a person's time; the others only come in some order.
pub const WORTH_A_LOOK: f32 = 0.3;

/// A frame of an object that may be wrong.
#[derive(Clone, Debug, PartialEq)]
pub struct Concern {
    /// The object.
    pub object: ObjectId,
    /// The frame where a correction would help most.
    pub frame: usize,
    /// Why.
    pub reason: Reason,
    /// 0 to 1, higher is worse.
    pub severity: f32,
}

/// What is suspicious of an object on a frame; as text a short phrase such as "area jumped 2.3 times".
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Reason {
    /// The model expects little of its mask.
    LowIou {
        /// The IoU that it expects, 0 to 1.
        iou: f32,
    },
    /// The model is hardly sure that the object is there.
    WeaklySeen {
        /// Just above zero.
        object_score: f32,
    },
    /// The object is lost and found again and again.
    Flickers {
        /// How often it comes or goes on the frames around.
        n_turns: usize,
    },
    /// The area is another than on the frame before it on the way.
    AreaJump {
        /// By this factor.
        ratio: f32,
    },
    /// It is elsewhere than its motion leads one to expect.
    PositionJump {
        /// How far, in lengths of the object.
        lengths: f32,
    },
    /// It is longer or more scattered than on the frame before it on the way, or less.
    ShapeChange {
        /// By this factor, above 1.
        ratio: f32,
    },
    /// It has more parts than where its mask is known, and than on the frames around.
    Split {
        /// So many.
        n_parts: usize,
    },
    /// It covers much of the frame, far more than where its mask is known.
    FillsFrame {
        /// The share of the frame, 0 to 1.
        share: f32,
    },
    /// It covers what is another object's.
    Overlap {
        /// The other.
        with: ObjectId,
        /// The share of the smaller of the two, 0 to 1.
        share: f32,
    },
    /// Tracking from one side and from the other found different masks.
    PassesDisagree {
        /// IoU of the two, 0 to 1.
        agreement: f32,
    },
    /// It was there and all at once is not any more.
    Lost,
    /// It was lost and is found again, or another thing is taken for it.
    LostAndReturned {
        /// For so many frames.
        n_frames: usize,
    },
    /// Nothing is known of it between frames of which something is.
    Missing {
        /// On so many frames.
        n_frames: usize,
    },
    /// Nothing is suspicious, but nobody has looked.
    Unchecked {
        /// So many frames away from any that is given; none if none is.
        n_away: Option<usize>,
    },
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let percent = |share: &f32| (share * 100.0).round();
        match self {
            Self::LowIou { iou } => write!(f, "expected IoU only {iou:.2}"),
            Self::WeaklySeen { object_score } => write!(f, "barely seen, score {object_score:.1}"),
            Self::Flickers { n_turns } => write!(f, "comes and goes, {n_turns} turns"),
            Self::AreaJump { ratio } if *ratio < 1.0 => write!(f, "area fell to {} %", percent(ratio)),
            Self::AreaJump { ratio } => write!(f, "area jumped {ratio:.1} times"),
            Self::PositionJump { lengths } => write!(f, "jumped {lengths:.1} times its length"),
            Self::ShapeChange { ratio } => write!(f, "shape changed by {} %", percent(&(ratio - 1.0))),
            Self::Split { n_parts } => write!(f, "fell into {n_parts} parts"),
            Self::FillsFrame { share } => write!(f, "fills {} % of the frame", percent(share)),
            Self::Overlap { with, share } => write!(f, "overlaps object {} by {} %", with.0, percent(share)),
            Self::PassesDisagree { agreement } => write!(f, "two passes agree by {} %", percent(agreement)),
            Self::Lost => write!(f, "lost all at once"),
            Self::LostAndReturned { n_frames: 1 } => write!(f, "back after 1 frame"),
            Self::LostAndReturned { n_frames } => write!(f, "back after {n_frames} frames"),
            Self::Missing { n_frames: 1 } => write!(f, "no mask on 1 frame"),
            Self::Missing { n_frames } => write!(f, "no mask on {n_frames} frames"),
            Self::Unchecked { n_away: Some(1) } => write!(f, "1 frame from a checked one"),
            Self::Unchecked { n_away: Some(n) } => write!(f, "{n} frames from a checked one"),
            Self::Unchecked { n_away: None } => write!(f, "no frame is checked"),
        }
    }
}

/// How many of the segments are given: clicked, drawn or confirmed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Progress {
    /// Given ones.
    pub n_given: usize,
    /// All: an object on a frame each.
    pub n_segments: usize,
}

impl Progress {
    /// The share that is given, 0 to 1; of nothing all.
    pub fn share(self) -> f32 {
        if self.n_segments == 0 { 1.0 } else { self.n_given as f32 / self.n_segments as f32 }
    }
}

/// What a look at a medium found.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Review {
    /// What is worth a look, one entry a stretch of bad frames, the worst first.
    pub queue: Vec<Concern>,
    /// What is not, but has not been looked at either: frames some way apart, the likeliest to be wrong first.
    pub rest: Vec<Concern>,
    /// Of all objects together.
    pub progress: Progress,
    /// Of each object.
    pub of_objects: BTreeMap<ObjectId, Progress>,
}

/// Reviews a medium again and again; what has not changed since is not measured anew.
#[derive(Debug, Default)]
pub struct Reviewer {
    watched: BTreeMap<ObjectId, Watched>,
}

impl Reviewer {
    /// Looks at all objects of a medium. Frames that a correction's run is still to make anew are left out, and holes
    /// that a run is still to fill.
    pub fn review(&mut self, project: &Project, medium: MediumId) -> Review {
        let Some(size) = project.media.get(&medium).map(|medium| medium.size) else {
            self.watched.clear();
            return Review::default();
        };
        let mut changed: BTreeSet<usize> = BTreeSet::new();
        let mut before = std::mem::take(&mut self.watched);
        for (object, _) in project.objects_of(medium) {
            let mut watched = before.remove(&object).unwrap_or_default();
            changed.append(&mut watched.update(project, object));
            self.watched.insert(object, watched);
        }
        changed.extend(before.values().flat_map(Watched::frames));
        for frame in changed {
            look::find_overlaps(&mut self.watched, frame);
        }
        let mut review = Review::default();
        for (object, watched) in &mut self.watched {
            let (queue, rest) = watched.concerns(*object, size);
            review.queue.extend_from_slice(queue);
            review.rest.extend_from_slice(rest);
            let progress = watched.progress();
            review.progress.n_given += progress.n_given;
            review.progress.n_segments += progress.n_segments;
            review.of_objects.insert(*object, progress);
        }
        for concerns in [&mut review.queue, &mut review.rest] {
            concerns.sort_by(|a, b| b.severity.total_cmp(&a.severity).then(a.frame.cmp(&b.frame)));
        }
        review
    }
}

#[cfg(test)]
mod tests;
