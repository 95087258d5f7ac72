//! What the shown frame lacks, asked for once a turn: its pixels, its masks, the preview, its neighbors.
//!
//! Nothing here knows what has just happened. What is wanted is worked out from what is, and told to the engine as a whole
//! whenever it is not what the engine was told last.

use std::collections::BTreeMap;
use std::path::PathBuf;

use engine::{
    nn::Cancel,
    project::{FrameId, MediumId, ObjectId, Question, path_of},
    prompt::{Label, PointPrompt},
    worker::{Engine, Reads, Wants},
};

use super::{Cache, Seen, Session};
use crate::command::Tool;

/// What the engine was told last.
#[derive(Default)]
pub(super) struct Asked {
    reads: Reads,
    thumbnails: Vec<MediumId>,
    looks: Looks,
    cancel: Cancel,
    /// Questions that have no answer, so that they are not asked for ever.
    failed: BTreeMap<ObjectId, Question>,
}

/// What distinguishes two [`Wants`].
#[derive(Clone, Debug, Default, PartialEq)]
struct Looks {
    pictures: Vec<FrameId>,
    questions: Vec<(ObjectId, Question)>,
    preview: Option<Question>,
}

/// Bytes of pixels that are kept of images that are not shown.
const PICTURES: usize = 1 << 30;
/// Thumbnails that are kept.
const THUMBNAILS: usize = 600;

impl Asked {
    pub(super) fn forget(&mut self) {
        self.cancel.cancel();
        *self = Self::default();
    }

    pub(super) fn fail(&mut self, object: ObjectId, question: Question) {
        self.failed.insert(object, question);
    }
}

impl Cache {
    /// Memory that pictures take.
    fn bytes(&self) -> usize {
        self.pictures.values().flatten().map(|picture| picture.bytes()).sum()
    }
}

impl Session {
    pub(super) fn ask_for_what_is_missing(&mut self, engine: &Engine, seen: &Seen) {
        let near = self.near(seen.ahead);
        self.ask_for_pictures(engine, &near);
        self.ask_for_thumbnails(engine, &seen.thumbnails);
        self.ask_the_model(engine, &near, seen);
        self.forget_far(&near, &seen.thumbnails);
    }

    /// The shown frame, then its neighbors, the nearest first.
    fn near(&self, ahead: usize) -> Vec<FrameId> {
        let Some(shown) = self.shown else { return Vec::new() };
        let media = &self.project().media;
        let mut on = media.range(shown..).skip(1);
        let mut back = media.range(..shown).rev();
        let round = (0..ahead).flat_map(|_| [on.next(), back.next()]).flatten().map(|(id, _)| *id);
        std::iter::once(shown).chain(round).map(|medium| FrameId { medium, frame: 0 }).collect()
    }

    pub(super) fn path_of(&self, medium: MediumId) -> Option<PathBuf> {
        Some(path_of(&self.file.as_ref()?.folder, self.project().media.get(&medium)?))
    }

    fn ask_for_pictures(&mut self, engine: &Engine, near: &[FrameId]) {
        // What would be forgotten again at once is not asked for.
        let room = self.cache.bytes() < PICTURES / 2;
        let wanted = near.iter().filter(|at| room || Some(**at) == self.frame());
        let missing = wanted.filter(|at| !self.cache.pictures.contains_key(at));
        let frames = missing.filter_map(|at| Some((*at, self.path_of(at.medium)?))).collect();
        let reads = Reads { frames };
        if reads != self.asked.reads && engine.read(reads.clone()) {
            self.asked.reads = reads;
        }
    }

    fn ask_for_thumbnails(&mut self, engine: &Engine, seen: &[MediumId]) {
        let missing = seen.iter().filter(|id| !self.cache.thumbnails.contains_key(id));
        let wanted: Vec<(MediumId, PathBuf)> =
            missing.filter_map(|id| Some((*id, self.path_of(*id)?))).collect();
        let ids: Vec<MediumId> = wanted.iter().map(|(id, _)| *id).collect();
        if ids != self.asked.thumbnails && engine.thumbnails(wanted) {
            self.asked.thumbnails = ids;
        }
    }

    fn ask_the_model(&mut self, engine: &Engine, near: &[FrameId], seen: &Seen) {
        let pictures: Vec<_> =
            near.iter().filter_map(|at| self.cache.pictures.get(at)?.as_ref().ok().cloned()).collect();
        let shows = pictures.first().is_some_and(|picture| Some(picture.at) == self.frame());
        let looks = Looks {
            pictures: pictures.iter().map(|picture| picture.at).collect(),
            questions: if shows { self.questions() } else { Vec::new() },
            preview: seen.hover.filter(|_| shows).and_then(|at| self.preview_question(at)),
        };
        if looks == self.asked.looks {
            return;
        }
        if looks.pictures.first() != self.asked.looks.pictures.first() {
            // What was looked at is shown no more.
            self.asked.cancel.cancel();
            self.asked.cancel = Cancel::default();
        }
        let cancel = self.asked.cancel.clone();
        let Looks { questions, preview, .. } = looks.clone();
        if engine.look(Wants { pictures, questions, preview, cancel }) {
            self.asked.looks = looks;
        }
    }

    /// Segments of the shown frame whose masks do not answer their prompts, the selected first.
    fn questions(&self) -> Vec<(ObjectId, Question)> {
        let mut open: Vec<(ObjectId, Question)> = self
            .segments()
            .filter(|(id, _, s)| !s.is_answered && self.asked.failed.get(id) != Some(&s.question))
            .map(|(id, _, segment)| (id, segment.question.clone()))
            .collect();
        open.sort_by_key(|(id, _)| !self.selection.contains(id));
        open
    }

    /// What a left click at `at` would ask.
    fn preview_question(&self, at: engine::geometry::Point) -> Option<Question> {
        let wanted = self.tools.tool == Tool::Point && self.is_encoded();
        let mut question = self.selected().map(|(.., segment)| segment.question.clone()).unwrap_or_default();
        let label = if self.tools.is_swapped { Label::Negative } else { Label::Positive };
        question.prompt.points.push(PointPrompt { at, label });
        question.choice = 0;
        wanted.then_some(question)
    }

    /// Keeps memory bounded.
    fn forget_far(&mut self, near: &[FrameId], seen: &[MediumId]) {
        let shown = self.frame();
        self.cache.pictures.retain(|at, _| near.contains(at));
        if self.cache.bytes() > PICTURES {
            self.cache.pictures.retain(|at, _| Some(*at) == shown);
        }
        self.cache.encoded.retain(|at| near.contains(at));
        if self.cache.thumbnails.len() > THUMBNAILS {
            self.cache.thumbnails.retain(|id, _| seen.contains(id));
        }
        if self.cache.preview.as_ref().is_some_and(|preview| Some(preview.at) != shown) {
            self.cache.preview = None;
        }
    }
}
