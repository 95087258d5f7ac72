//! Review: a queue of the frames and objects that most need a correction, with reasons, and the progress of checking.

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

/// Minimum severity of concerns in [`Review::queue`]; less severe ones are in [`Review::rest`].
pub const WORTH_A_LOOK: f32 = 0.3;

/// A frame of an object that may be wrong.
#[derive(Clone, Debug, PartialEq)]
pub struct Concern {
    /// The object.
    pub object: ObjectId,
    /// The frame where a correction would help most.
    pub frame: usize,
    /// Reason of the concern.
    pub reason: Reason,
    /// Severity, 0 to 1; higher is worse.
    pub severity: f32,
}

/// Reason why an object on a frame is suspicious. It is displayed as a short phrase such as "area jumped 2.3 times".
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Reason {
    /// The model predicts a low IoU for the mask.
    LowIou {
        /// Predicted IoU, 0 to 1.
        iou: f32,
    },
    /// The model's object score is low.
    WeaklySeen {
        /// Object score as a logit.
        object_score: f32,
    },
    /// The object repeatedly disappears and reappears.
    Flickers {
        /// Number of appearances and disappearances on the surrounding frames.
        n_turns: usize,
    },
    /// The area changed suddenly from the adjacent frame nearer to a given one.
    AreaJump {
        /// Area relative to the adjacent frame.
        ratio: f32,
    },
    /// The position deviates from the object's motion.
    PositionJump {
        /// Distance in lengths of the object.
        lengths: f32,
    },
    /// The elongation or scatter changed suddenly from the adjacent frame nearer to a given one.
    ShapeChange {
        /// Factor of the change, at least 1.
        ratio: f32,
    },
    /// The mask has more connected components than on the nearest given frame and than usual on surrounding frames.
    Split {
        /// Number of components.
        n_parts: usize,
    },
    /// The mask covers much of the frame, far more than on the nearest given frame.
    FillsFrame {
        /// Share of the frame, 0 to 1.
        share: f32,
    },
    /// The mask overlaps that of another object.
    Overlap {
        /// The other object.
        with: ObjectId,
        /// Overlap as a share of the smaller of the two masks, 0 to 1.
        share: f32,
    },
    /// Two tracking passes returned different masks.
    PassesDisagree {
        /// IoU of the two masks, 0 to 1.
        agreement: f32,
    },
    /// The object disappeared suddenly.
    Lost,
    /// The object was lost and is found again, or another object is mistaken for it.
    LostAndReturned {
        /// Number of frames on which it was lost.
        n_frames: usize,
    },
    /// Frames between two others of the track have no entry for the object.
    Missing {
        /// Number of these frames.
        n_frames: usize,
    },
    /// Nothing is suspicious, but no person has checked the frame.
    Unchecked {
        /// Number of frames to the nearest given one; `None` if no frame is given.
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

/// Number of given segments (clicked, drawn or confirmed) and of all segments.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Progress {
    /// Number of given segments.
    pub n_given: usize,
    /// Number of all segments. A segment is one object on one frame.
    pub n_segments: usize,
}

impl Progress {
    /// Returns the share of given segments, 0 to 1; 1 if there are no segments.
    pub fn share(self) -> f32 {
        if self.n_segments == 0 { 1.0 } else { self.n_given as f32 / self.n_segments as f32 }
    }
}

/// Result of the review of a medium.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Review {
    /// Concerns of at least [`WORTH_A_LOOK`], one per stretch of suspicious frames, worst first.
    pub queue: Vec<Concern>,
    /// Less severe concerns on unchecked frames, some distance apart, most likely errors first.
    pub rest: Vec<Concern>,
    /// Progress of all objects together.
    pub progress: Progress,
    /// Progress of each object.
    pub of_objects: BTreeMap<ObjectId, Progress>,
}

/// A reviewer of a medium that caches measurements, so that repeated reviews measure only changed segments.
#[derive(Debug, Default)]
pub struct Reviewer {
    watched: BTreeMap<ObjectId, Watched>,
}

impl Reviewer {
    /// Reviews all objects of a medium. Skips frames that a run after a correction will track again, and gaps that a
    /// run will fill.
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
