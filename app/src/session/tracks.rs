//! What is said of objects over many frames of a video: confirmed, not there, copied, split, swapped.

use std::ops::RangeInclusive;

use engine::{
    formats::counted,
    frame::Direction,
    project::{FrameId, MediumId, Object, ObjectId, Project},
};

use super::Session;

impl Session {
    /// The chosen frames, or else the one that is shown.
    fn frames(&self) -> Option<(FrameId, RangeInclusive<usize>)> {
        let at = self.frame()?;
        Some((at, self.span().unwrap_or(at.frame..=at.frame)))
    }

    pub(super) fn set_span(&mut self, span: Option<(usize, usize)>) {
        self.tracks.span = self.shown.zip(span).map(|(medium, (a, b))| (medium, a.min(b)..=a.max(b)));
    }

    /// The chosen frames begin or end at the one that is shown.
    pub(super) fn move_span(&mut self, edge: Direction) {
        let Some(at) = self.frame() else { return };
        let span = self.span().unwrap_or(at.frame..=at.frame);
        let span = match edge {
            Direction::Backward => (at.frame, at.frame.max(*span.end())),
            Direction::Forward => (at.frame.min(*span.start()), at.frame),
        };
        self.set_span(Some(span));
    }

    /// The selected objects; without one, those that are on the shown frame.
    fn meant(&self) -> Vec<ObjectId> {
        if self.selection.is_empty() {
            self.segments().map(|(id, ..)| id).collect()
        } else {
            self.selection.clone()
        }
    }

    /// One step for each of the objects that are meant, on the frames that are meant. Says so if it changes nothing.
    fn edit_tracks(
        &mut self,
        title: &str,
        nothing: &str,
        change: impl Fn(&mut Project, MediumId, ObjectId, RangeInclusive<usize>) -> usize,
    ) {
        let Some((at, frames)) = self.frames() else { return };
        let objects = self.meant();
        let n = self.history.edit(title, |project| {
            let changes = objects.iter().map(|object| change(project, at.medium, *object, frames.clone()));
            changes.sum::<usize>()
        });
        if n == 0 {
            self.notices.info(nothing);
        }
    }
}

impl Session {
    pub(super) fn confirm(&mut self) {
        self.edit_tracks("Confirm", "There is no mask here to confirm", |project, _, object, frames| {
            project.confirm(object, frames)
        });
    }

    pub(super) fn unconfirm(&mut self) {
        self.edit_tracks("Confirm no longer", "Nothing is confirmed here", |project, _, object, frames| {
            project.unconfirm(object, frames)
        });
    }

    pub(super) fn set_absent(&mut self) {
        if self.selection.is_empty() {
            self.notices.info("Select the object that is not here first");
            return;
        }
        self.edit_tracks("Not here", "It is not here already", |project, medium, object, frames| {
            let n = frames.clone().count();
            project.set_absent(medium, object, frames);
            n
        });
    }

    pub(super) fn delete_here(&mut self) {
        self.edit_tracks(
            "Delete here",
            "There is nothing here to delete",
            |project, medium, object, frames| {
                let n_before = project.track_within(object, frames.clone()).count();
                project.remove_from_track(medium, object, frames);
                n_before
            },
        );
    }

    pub(super) fn interpolate_boxes(&mut self) {
        let nothing = "Draw boxes on two frames or more first, and choose the frames between them";
        let Some(video) = self.video() else { return };
        let all = 0..=video.n_frames - 1;
        let span = self.span().unwrap_or(all);
        self.edit_tracks("Interpolate boxes", nothing, move |project, medium, object, _| {
            project.interpolate_boxes(medium, object, span.clone())
        });
    }

    pub(super) fn copy_track(&mut self) {
        let Some(((_, frames), (object, _))) = self.frames().zip(self.selected_object()) else {
            self.notices.info("Select the object to copy first");
            return;
        };
        self.tracks.copied = self.project().copy_track(object, frames);
        self.notices.info(format!("Copied {}", counted(self.tracks.copied.len(), "mask")));
    }

    /// Onto the selected object, or as a new one.
    pub(super) fn paste_track(&mut self) {
        let copied = self.tracks.copied.clone();
        let Some((at, frames)) = self.frames().filter(|_| !copied.is_empty()) else {
            self.notices.info("Copy masks first");
            return;
        };
        let selected = self.selected_object().map(|(id, _)| id);
        let Some(category) = self.category() else { return };
        let object = self.history.edit("Paste masks", |project| {
            let object = selected.unwrap_or_else(|| {
                let id = project.new_object();
                project.objects.insert((at.medium, id), std::sync::Arc::new(Object::new(category)));
                id
            });
            match &copied[..] {
                [(_, one)] => project.paste_over(at.medium, object, frames, one),
                copied => project.paste_track(at.medium, object, *frames.start(), copied),
            };
            object
        });
        self.selection = vec![object];
    }

    pub(super) fn copy_to_next_frame(&mut self, at: FrameId) {
        let objects = self.meant();
        self.history.edit("Copy to the next frame", |project| {
            for object in objects {
                let copied = project.copy_track(object, at.frame..=at.frame);
                project.paste_track(at.medium, object, at.frame + 1, &copied);
            }
        });
        self.step(1);
    }

    pub(super) fn split_track(&mut self) {
        let Some((at, (object, _))) = self.frame().zip(self.selected_object()) else { return };
        let title = "Another object from here on";
        match self.history.edit(title, |project| project.split_track(at.medium, object, at.frame)) {
            Some(new) => self.selection = vec![new],
            None => self.notices.info("This object has nothing on one side of this frame"),
        }
    }

    pub(super) fn swap_tracks(&mut self) {
        let (Some(at), [a, b]) = (self.frame(), &self.selection[..]) else {
            self.notices.info("Select the two objects to swap");
            return;
        };
        let (a, b) = (*a, *b);
        self.history.edit("Swap from here on", |project| project.swap_tracks(at.medium, a, b, at.frame));
    }

    pub(super) fn renumber(&mut self, object: ObjectId, to: u32) {
        let Some(medium) = self.shown else { return };
        let to = ObjectId(to);
        match self.history.edit("Renumber", |project| project.renumber(medium, object, to)) {
            Ok(()) => self.selection = vec![to],
            Err(why) => self.notices.warn(why.to_string()),
        }
    }
}
