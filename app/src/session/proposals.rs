//! Saying yes or no to what was proposed.

use std::collections::BTreeSet;

use engine::{
    project::{FrameId, MediumId, ObjectId, Project, path_of},
    worker::{Task, WorkFrame},
};

use super::{Model, Session};
use crate::command::{Proposals, Scope};

/// What proposals are ordered by: their score, and of equals the first.
type Rank = (f32, std::cmp::Reverse<ObjectId>);

impl Session {
    /// The proposals of the shown medium, in the order in which one goes through them.
    fn proposals(&self) -> Vec<ObjectId> {
        let Some(shown) = self.shown else { return Vec::new() };
        let mut ranked: Vec<(Rank, ObjectId)> =
            self.project().objects_of(shown).filter_map(|(id, _)| Some((self.rank(id)?, id))).collect();
        ranked.sort_by(|(a, _), (b, _)| self.compare(a, b));
        ranked.into_iter().map(|(_, id)| id).collect()
    }

    /// The rank of a proposal of the shown medium.
    fn rank(&self, id: ObjectId) -> Option<Rank> {
        let object = self.project().objects.get(&(self.shown?, id))?;
        Some((object.proposal?, std::cmp::Reverse(id)))
    }

    fn compare(&self, a: &Rank, b: &Rank) -> std::cmp::Ordering {
        let by_score = if self.worst_first { a.0.total_cmp(&b.0) } else { b.0.total_cmp(&a.0) };
        by_score.then(b.1.cmp(&a.1))
    }

    /// The selected proposals, and the rank of the one that clicks and keys mean.
    fn selected_proposals(&self) -> Option<(Vec<ObjectId>, Rank)> {
        let rank = self.rank(*self.selection.last()?)?;
        Some((self.selection.iter().copied().filter(|id| self.rank(*id).is_some()).collect(), rank))
    }

    pub(super) fn accept(&mut self) {
        match self.selected_proposals().zip(self.shown) {
            Some(((proposals, rank), shown)) => {
                self.accept_these("Accept", proposals.into_iter().map(|id| (shown, id)).collect());
                self.select_proposal_after(Some(&rank));
            }
            // With nothing selected the same key begins.
            None if self.selection.is_empty() => self.select_proposal_after(None),
            None => self.selection.clear(),
        }
    }

    /// False if no proposal is selected.
    pub(super) fn reject(&mut self) -> bool {
        let Some(((proposals, rank), shown)) = self.selected_proposals().zip(self.shown) else {
            return false;
        };
        let proposals: Vec<_> = proposals.into_iter().map(|id| (shown, id)).collect();
        self.history.edit("Reject", |project| project.reject(&proposals));
        self.select_proposal_after(Some(&rank));
        true
    }

    /// So that one key after the other goes through them.
    fn select_proposal_after(&mut self, rank: Option<&Rank>) {
        let proposals = self.proposals();
        let is_after = |id: &&ObjectId| {
            rank.is_none_or(|rank| self.rank(**id).is_some_and(|other| self.compare(&other, rank).is_gt()))
        };
        let next = proposals.iter().find(is_after).or(proposals.first()).copied();
        self.selection = next.into_iter().collect();
        if let Some(next) = next {
            self.show_object(next);
        }
    }

    /// In a video goes to a frame with the object, if it is not on this one.
    fn show_object(&mut self, object: ObjectId) {
        let frame = self.player().frame;
        if self.video().is_some() && self.project().segment(object, frame).is_none() {
            let first = self.project().track(object).next().map(|(first, _)| first);
            self.go_to_frame(first.unwrap_or(frame));
        }
    }

    pub(super) fn next_proposal(&mut self) {
        let proposals = self.proposals();
        let now = self.selection.last().and_then(|id| proposals.iter().position(|other| other == id));
        if let Some(next) = proposals.get(now.map_or(0, |now| now + 1)).copied() {
            self.selection = vec![next];
            self.show_object(next);
            return;
        }
        let Some(shown) = self.shown else { return };
        let project = self.project();
        let has_some = |medium: &MediumId| project.objects_of(*medium).any(|(_, o)| o.proposal.is_some());
        let round = project.media.range(shown..).skip(1).chain(project.media.range(..=shown));
        match round.map(|(id, _)| *id).find(has_some) {
            Some(medium) => {
                self.go_to(medium);
                self.select_proposal_after(None);
            }
            None => self.notices.info("Nothing is proposed; find objects first"),
        }
    }

    /// The proposals that are meant, with their media.
    pub fn proposals_of(&self, which: Proposals) -> Vec<(MediumId, ObjectId)> {
        let project = self.project();
        let is_meant = |medium: &MediumId| match which.scope {
            Scope::Image => Some(*medium) == self.shown,
            Scope::Project => true,
        };
        let objects = project.objects.iter().filter(|((medium, _), _)| is_meant(medium));
        let of = |object: &engine::project::Object| {
            object.proposal.is_some_and(|score| score >= which.least)
                && which.category.is_none_or(|category| category == object.category)
        };
        objects.filter(|(_, object)| of(object)).map(|(key, _)| *key).collect()
    }

    pub(super) fn accept_all(&mut self, which: Proposals) {
        self.accept_these("Accept all proposals", self.proposals_of(which));
        self.selection.clear();
    }

    pub(super) fn reject_all(&mut self, which: Proposals) {
        let proposals = self.proposals_of(which);
        self.history.edit("Reject all proposals", |project| project.reject(&proposals));
    }

    fn accept_these(&mut self, title: &str, proposals: Vec<(MediumId, ObjectId)>) {
        self.history.edit(title, |project| {
            for (medium, id) in &proposals {
                project.accept(*medium, *id);
            }
        });
        let frames = proposals.iter().flat_map(|(medium, id)| frames_that_ask(self.project(), *medium, *id));
        let shown = self.frame();
        let frames = frames.filter(|at| Some(*at) != shown).collect();
        self.answer(frames, "Masks of what was accepted");
    }

    /// A frame that is left with questions open has them answered all the same.
    pub(super) fn answer_what_was_left(&mut self) {
        let shown = self.frame();
        if self.left != shown {
            let left = std::mem::replace(&mut self.left, shown);
            let asks =
                |at: &FrameId| self.project().segments_on(*at).any(|(.., segment)| !segment.is_answered);
            let frames: BTreeSet<FrameId> = left.filter(asks).into_iter().collect();
            self.answer(frames, "Masks");
        }
    }

    /// Has the model answer what is asked on frames that are not shown.
    fn answer(&mut self, frames: BTreeSet<FrameId>, title: &str) {
        let Some(file) = self.file.as_ref().filter(|_| !matches!(self.model, Model::None(_))) else { return };
        let project = self.project();
        let frame = |at: FrameId| {
            let open = project.segments_on(at).filter(|(id, _, segment)| {
                !segment.is_answered && !self.asked.has_failed(*id, &segment.question)
            });
            let questions = open.map(|(id, _, segment)| (id, segment.question.clone())).collect();
            let path = path_of(&file.folder, project.media.get(&at.medium)?);
            Some(WorkFrame { at, path, task: Task::Answers(questions) })
        };
        let frames: Vec<WorkFrame> = frames.into_iter().filter_map(frame).collect();
        if !frames.is_empty() {
            self.start_on(title, frames);
            if let Some(job) = self.jobs.last_mut() {
                job.is_quiet = true;
            }
        }
    }
}

/// Frames on which an object waits for its mask.
fn frames_that_ask(project: &Project, medium: MediumId, object: ObjectId) -> impl Iterator<Item = FrameId> {
    let asking = project.track(object).filter(|(_, segment)| !segment.is_answered);
    asking.map(move |(frame, _)| FrameId { medium, frame })
}
