//! Undo and redo, where one sees them.

use std::collections::BTreeSet;

use engine::project::{Change, Entry, Key, MediumId, Step};

use super::Session;

impl Session {
    pub(super) fn undo(&mut self) {
        match self.history.undo() {
            Some(step) => self.show_step(&step, "Undid"),
            None => self.notices.info("Nothing to undo"),
        }
    }

    pub(super) fn redo(&mut self) {
        match self.history.redo() {
            Some(step) => self.show_step(&step, "Redid"),
            None => self.notices.info("Nothing to redo"),
        }
    }

    /// Goes to where a step is, so that nothing changes out of sight.
    fn show_step(&mut self, step: &Step, what: &str) {
        self.notices.info(format!("{what}: {}", step.title));
        let project = self.project();
        let medium_of = |change: &Change| match change.key {
            Key::Medium(medium) | Key::Object(medium, _) | Key::Rejected(medium, _) => Some(medium),
            Key::Segment(object, _) => {
                let here = self.shown.filter(|medium| project.objects.contains_key(&(*medium, object)));
                here.or_else(|| {
                    project.objects.keys().find(|(_, id)| *id == object).map(|(medium, _)| *medium)
                })
            }
            Key::Category(_) | Key::Run(_) => None,
        };
        let media: BTreeSet<MediumId> = step.changes.iter().take(64).filter_map(medium_of).collect();
        if !media.iter().any(|medium| Some(*medium) == self.shown)
            && let Some(medium) = media.first()
        {
            self.go_to(*medium);
        }
        self.show_frame_of(step);
        self.show_what_is_there();
    }

    /// The frame of the shown video where a step changed what a person said, else one that it changed.
    fn show_frame_of(&mut self, step: &Step) {
        let Some(video) = self.shown.filter(|_| self.video().is_some()) else { return };
        let is_given = |change: &Change| {
            let segments = [&change.before, &change.after];
            segments.into_iter().flatten().any(|e| matches!(e, Entry::Segment(segment) if segment.is_given()))
        };
        let frame_of = |change: &Change| match change.key {
            Key::Segment(object, frame) if self.project().objects.contains_key(&(video, object)) => {
                Some((!is_given(change), frame.abs_diff(self.player.frame), frame))
            }
            _ => None,
        };
        if let Some((.., frame)) = step.changes.iter().filter_map(frame_of).min() {
            self.go_to_frame(frame);
        }
    }
}
