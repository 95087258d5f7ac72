//! Going from image to image.

use std::sync::Arc;

use engine::project::{Medium, MediumId, Project};

use super::{Player, Session, Thumbnail};

/// How far the work on a medium is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Progress {
    /// Nothing is on it.
    Unlabeled,
    /// Proposals wait for a yes or no.
    ToReview,
    /// Objects are on it.
    Labeled,
    /// A person has said that it is done.
    Done,
}

impl Progress {
    /// Of a medium of a project.
    pub fn of(project: &Project, id: MediumId) -> Self {
        if project.media.get(&id).is_some_and(|medium| medium.done) {
            return Self::Done;
        }
        let mut progress = Self::Unlabeled;
        for (_, object) in project.objects_of(id) {
            if object.proposal.is_some() {
                return Self::ToReview;
            }
            progress = Self::Labeled;
        }
        progress
    }
}

impl Session {
    pub(super) fn go_to(&mut self, medium: MediumId) {
        if self.project().media.contains_key(&medium) && self.shown != Some(medium) {
            self.shown = Some(medium);
            self.player = Player::default();
            self.selection.clear();
            self.visibility.solo = false;
        }
    }

    /// So many media on, but not beyond the ends.
    pub(super) fn step_medium(&mut self, n: i32) {
        let Some(shown) = self.shown else { return };
        let media = &self.project().media;
        let n_steps = n.unsigned_abs() as usize;
        let to = if n > 0 {
            media.range(shown..).take(n_steps.saturating_add(1)).last()
        } else {
            media.range(..=shown).rev().take(n_steps.saturating_add(1)).last()
        };
        if let Some((&to, _)) = to {
            self.go_to(to);
        }
    }

    pub(super) fn next_unfinished(&mut self) {
        let Some(shown) = self.shown else { return };
        let media = &self.project().media;
        let mut round = media.range(shown..).skip(1).chain(media.range(..shown));
        match round.find(|(_, medium)| !medium.done) {
            Some((&next, _)) => self.go_to(next),
            None => self.notices.info("All images are done"),
        }
    }

    pub(super) fn toggle_done(&mut self) {
        let Some(shown) = self.shown else { return };
        let Some(medium) = self.project().media.get(&shown).cloned() else { return };
        let title = if medium.done { "Not done" } else { "Done" };
        self.set_medium(title, shown, Medium { done: !medium.done, ..(*medium).clone() });
    }

    pub(super) fn done_and_next(&mut self) {
        let is_done = self.shown.is_some_and(|id| self.project().media.get(&id).is_some_and(|m| m.done));
        if !is_done {
            self.toggle_done();
        }
        self.next_unfinished();
    }

    /// With all its objects; the next image is then shown, or the one before if it was the last.
    pub(super) fn remove_medium(&mut self) {
        let Some(shown) = self.shown else { return };
        let media = &self.project().media;
        let next = media.range(shown..).nth(1).or_else(|| media.range(..shown).next_back());
        let next = next.map(|(id, _)| *id);
        self.history.edit("Remove image", |project| project.remove_medium(shown));
        self.shown = next;
        self.player = Player::default();
        self.selection.clear();
    }

    /// The first medium, where the shown one is no more.
    pub(super) fn show_what_is_there(&mut self) {
        if self.shown.is_none_or(|shown| !self.project().media.contains_key(&shown)) {
            self.shown = self.project().media.keys().next().copied();
            self.player = Player::default();
            self.selection.clear();
        }
    }

    /// Forgets what was seen of media that are no more, or are other files now: others may get their ids.
    pub(super) fn forget_media_that_are_gone(&mut self) {
        let now = self.project().clone();
        let before = std::mem::replace(&mut self.cache.project, now.clone());
        let gone = now.media_gone_since(&before);
        if gone.is_empty() {
            return;
        }
        let is_there = |medium: &MediumId| !gone.contains(medium);
        self.cache.thumbnails.retain(|medium, _| is_there(medium));
        self.cache.pictures.retain(|at, _| is_there(&at.medium));
        self.cache.missing.retain(|at| is_there(&at.medium));
        self.cache.aspects.retain(|medium, _| is_there(medium));
        self.cache.encoded.retain(|at| is_there(&at.medium));
        self.finding.forget_media(&gone);
    }

    fn set_medium(&mut self, title: &str, id: MediumId, medium: Medium) {
        self.history.edit(title, |project| project.media.insert(id, Arc::new(medium)));
    }

    pub(super) fn is_unreadable(&self, medium: MediumId) -> bool {
        let thumbnail = self.cache.thumbnails.get(&medium);
        matches!(thumbnail, Some(Thumbnail::Missing(_) | Thumbnail::Unreadable(_)))
    }
}
