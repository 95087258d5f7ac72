//! What most needs a look, and going through it.

use std::{
    collections::BTreeSet,
    sync::Arc,
    time::{Duration, Instant},
};

use engine::{
    formats::counted,
    project::{FrameId, MediumId, ObjectId, Project},
    review::{Concern, Review},
    worker::Engine,
};

use super::Session;

/// Reviewing, as far as it is not in the project.
#[derive(Default)]
pub(super) struct Reviewing {
    is_on: bool,
    /// What the engine found last, of which medium.
    found: Option<(MediumId, Arc<Review>)>,
    asked: Option<Asked>,
    is_waiting: bool,
    concern: Option<Concern>,
    /// Where one has been, so that nothing is shown again before all was.
    visited: BTreeSet<(ObjectId, usize)>,
}

/// What the engine was asked last, and when.
struct Asked {
    medium: MediumId,
    project: Arc<Project>,
    at: Instant,
}

/// While masks are being made, what needs a look is found anew no more often than this: it goes through all of them, and
/// takes the time from making them.
const OFTEN: Duration = Duration::from_secs(1);

/// What views may look at.
impl Session {
    /// What needs a look in the shown video, as far as it is known.
    pub fn review(&self) -> Option<&Arc<Review>> {
        let (medium, review) = self.reviewing.found.as_ref()?;
        (Some(*medium) == self.shown).then_some(review)
    }

    /// Whether one goes through it.
    pub fn is_reviewing(&self) -> bool {
        self.reviewing.is_on
    }

    /// Why one is on this frame, if it is because it needs a look.
    pub fn concern(&self) -> Option<&Concern> {
        self.reviewing.concern.as_ref().filter(|concern| concern.frame == self.player.frame)
    }
}

impl Session {
    pub(super) fn ask_for_review(&mut self, engine: &Engine) {
        let Some(medium) = self.shown.filter(|_| self.video().is_some() && !self.reviewing.is_waiting) else {
            return;
        };
        let project = self.project().clone();
        let is_tracking = !project.runs.is_empty() && !self.is_paused();
        let is_enough = |asked: &Asked| {
            let is_recent = is_tracking && asked.at.elapsed() < OFTEN;
            asked.medium == medium && (is_recent || Arc::ptr_eq(&asked.project, &project))
        };
        if !self.reviewing.asked.as_ref().is_some_and(is_enough) && engine.review(medium, project.clone()) {
            self.reviewing.asked = Some(Asked { medium, project, at: Instant::now() });
            self.reviewing.is_waiting = true;
        }
    }

    pub(super) fn reviewed(&mut self, medium: MediumId, review: Review) {
        self.reviewing.is_waiting = false;
        self.reviewing.found = Some((medium, Arc::new(review)));
    }

    /// Shows the worst that was not shown yet and that nobody has fixed since.
    pub(super) fn fix_next(&mut self) {
        let Some(review) = self.review().cloned() else {
            self.reviewing.is_on = false;
            self.notices.info("There is nothing to look at yet");
            return;
        };
        let is_open = |concern: &&Concern| {
            let segment = self.project().segment(concern.object, concern.frame);
            segment.is_none_or(|segment| !segment.is_given())
        };
        let open: Vec<&Concern> = review.queue.iter().filter(is_open).collect();
        let is_new = |concern: &&Concern| !self.reviewing.visited.contains(&(concern.object, concern.frame));
        let next = open.iter().copied().find(is_new).or_else(|| open.first().copied());
        let Some(next) = next.cloned() else {
            self.reviewing.concern = None;
            self.reviewing.is_on = false;
            self.notices.info("Nothing else looks wrong");
            return;
        };
        if !is_new(&&next) {
            self.reviewing.visited.clear();
            self.notices.info(format!("That was all once; {} are still open", counted(open.len(), "place")));
        }
        self.reviewing.visited.insert((next.object, next.frame));
        self.player.direction = None;
        self.go_to_frame(next.frame);
        self.selection = vec![next.object];
        self.reviewing.concern = Some(next);
    }

    pub(super) fn toggle_review(&mut self) {
        self.reviewing.is_on = !self.reviewing.is_on;
        if self.reviewing.is_on {
            self.fix_next();
        }
    }

    pub(super) fn review_accept(&mut self) {
        self.judge("Confirm", |project, at, object| {
            project.confirm(object, at.frame..=at.frame);
        });
    }

    pub(super) fn review_reject(&mut self) {
        self.judge("Reject", |project, at, object| {
            project.remove_from_track(at.medium, object, at.frame..=at.frame);
        });
    }

    /// Settles the selected object on the shown frame, and goes on.
    fn judge(&mut self, title: &str, judge: impl FnOnce(&mut Project, FrameId, ObjectId)) {
        if let Some((at, (object, _))) = self.frame().zip(self.selected_object()) {
            self.history.edit(title, |project| judge(project, at, object));
        }
        self.fix_next();
    }
}
