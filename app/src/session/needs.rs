//! What the shown frame lacks, asked for once a turn: its pixels, its masks, the preview, its neighbors.
//!
//! Nothing here knows what has just happened. What is wanted is worked out from what is, and told to the engine as a whole
//! whenever it is not what the engine was told last.

use std::{
    collections::BTreeMap,
    path::PathBuf,
    time::{Duration, Instant},
};

use engine::{
    frame::Direction,
    nn::Cancel,
    project::{FrameId, MediumId, ObjectId, Question, path_of},
    prompt::{Label, PointPrompt},
    worker::{Engine, Reads, Wants},
};

use super::{Cache, Seen, Session, Thumbnail};
use crate::command::Tool;

/// What the engine was told last.
#[derive(Default)]
pub(super) struct Asked {
    reads: Reads,
    thumbnails: Vec<MediumId>,
    looks: Looks,
    cancel: Cancel,
    /// When missing files were last looked for.
    looked: Option<Instant>,
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
/// Time between two looks for missing files.
pub const AGAIN: Duration = Duration::from_secs(2);
/// Frames that are read ahead while a video plays.
const PLAYED_AHEAD: usize = 8;
/// Thumbnails that are kept.
const THUMBNAILS: usize = 600;

impl Asked {
    pub(super) fn forget(&mut self) {
        self.cancel.cancel();
        *self = Self::default();
    }

    /// True now and then: files that are missing may be there again.
    fn looks_again(&mut self) -> bool {
        let now = Instant::now();
        let is_due = self.looked.is_none_or(|looked| now - looked >= AGAIN);
        if is_due {
            self.looked = Some(now);
        }
        is_due
    }

    /// Another model was told nothing.
    pub(super) fn tell_the_model_anew(&mut self) {
        (self.looks, self.failed) = (Looks::default(), BTreeMap::new());
    }

    pub(super) fn fail(&mut self, object: ObjectId, question: Question) {
        self.failed.insert(object, question);
    }

    /// Whether a question had no answer.
    pub(super) fn has_failed(&self, object: ObjectId, question: &Question) -> bool {
        self.failed.get(&object) == Some(question)
    }
}

impl Cache {
    /// Memory that pictures take.
    fn bytes(&self) -> usize {
        self.pictures.values().flatten().map(|picture| picture.bytes()).sum()
    }
}

impl Session {
    /// True if files that were wanted are missing; they are looked for again.
    pub fn misses_files(&self) -> bool {
        let is_missing = |thumbnail: &Thumbnail| matches!(thumbnail, Thumbnail::Missing(_));
        !self.cache.missing.is_empty() || self.cache.thumbnails.values().any(is_missing)
    }

    pub(super) fn ask_for_what_is_missing(&mut self, engine: &Engine, seen: &Seen) {
        let near = self.near(seen.ahead);
        let looks_again = self.misses_files() && self.asked.looks_again();
        self.ask_for_pictures(engine, &near, looks_again);
        self.ask_for_thumbnails(engine, &seen.thumbnails, looks_again);
        self.ask_the_model(engine, &near, seen);
        self.forget_far(&near, &seen.thumbnails);
    }

    /// The shown frame, then those that may be shown next, the nearest first.
    fn near(&self, ahead: usize) -> Vec<FrameId> {
        let Some(shown) = self.shown else { return Vec::new() };
        if let Some(video) = self.video() {
            return self.near_in_video(shown, video.n_frames, ahead);
        }
        let media = &self.project().media;
        let mut on = media.range(shown..).skip(1);
        let mut back = media.range(..shown).rev();
        let round = (0..ahead).flat_map(|_| [on.next(), back.next()]).flatten().map(|(id, _)| *id);
        std::iter::once(shown).chain(round).map(|medium| FrameId { medium, frame: 0 }).collect()
    }

    /// While it plays those to come, else those on both sides.
    fn near_in_video(&self, medium: MediumId, n_frames: usize, ahead: usize) -> Vec<FrameId> {
        let frame = self.player().frame;
        let at = |direction: Direction, n| direction.ahead(frame, n, n_frames);
        let round: Vec<usize> = match self.player().direction {
            Some(direction) => (1..=PLAYED_AHEAD).filter_map(|n| at(direction, n)).collect(),
            // In this order a video is decoded in as few goes as can be.
            None => {
                let both = [Direction::Forward, Direction::Backward].into_iter();
                both.flat_map(|direction| (1..=ahead).filter_map(move |n| at(direction, n))).collect()
            }
        };
        std::iter::once(frame).chain(round).map(|frame| FrameId { medium, frame }).collect()
    }

    pub(super) fn path_of(&self, medium: MediumId) -> Option<PathBuf> {
        Some(path_of(&self.file.as_ref()?.folder, self.project().media.get(&medium)?))
    }

    fn ask_for_pictures(&mut self, engine: &Engine, near: &[FrameId], looks_again: bool) {
        // What would be forgotten again at once is not asked for.
        let here: usize =
            near.iter().filter_map(|at| self.cache.pictures.get(at)?.as_ref().ok()).map(|p| p.bytes()).sum();
        let room = here < PICTURES / 2;
        let wanted = near.iter().filter(|at| room || Some(**at) == self.frame());
        let missing = wanted.filter(|at| {
            !self.cache.pictures.contains_key(at) || looks_again && self.cache.missing.contains(at)
        });
        let frames = missing.filter_map(|at| Some((*at, self.path_of(at.medium)?))).collect();
        let reads = Reads { frames };
        if (looks_again || reads != self.asked.reads) && engine.read(reads.clone()) {
            self.asked.reads = reads;
        }
    }

    fn ask_for_thumbnails(&mut self, engine: &Engine, seen: &[MediumId], looks_again: bool) {
        let missing = seen.iter().filter(|id| match self.cache.thumbnails.get(id) {
            None => true,
            Some(Thumbnail::Missing(_)) => looks_again,
            Some(_) => false,
        });
        let wanted: Vec<(MediumId, PathBuf)> =
            missing.filter_map(|id| Some((*id, self.path_of(*id)?))).collect();
        let ids: Vec<MediumId> = wanted.iter().map(|(id, _)| *id).collect();
        if (looks_again || ids != self.asked.thumbnails) && engine.thumbnails(wanted) {
            self.asked.thumbnails = ids;
        }
    }

    fn ask_the_model(&mut self, engine: &Engine, near: &[FrameId], seen: &Seen) {
        // Frames of a video change too fast to look at each; tracking looks at them in its own time.
        let n_looked_at = match self.video() {
            Some(_) if self.player().plays() => 0,
            Some(_) => 1,
            None => near.len(),
        };
        let looked_at = near.iter().take(n_looked_at);
        let pictures: Vec<_> =
            looked_at.filter_map(|at| self.cache.pictures.get(at)?.as_ref().ok().cloned()).collect();
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
            .filter(|(id, _, s)| !s.is_answered && !self.asked.has_failed(*id, &s.question))
            .map(|(id, _, segment)| (id, segment.question.clone()))
            .collect();
        open.sort_by_key(|(id, _)| !self.selection.contains(id));
        open
    }

    /// What a left click at `at` would ask.
    fn preview_question(&self, at: engine::geometry::Point) -> Option<Question> {
        let wanted = self.tools.tool == Tool::Point && self.is_encoded();
        let mut segment = self.selected().map(|(.., segment)| (**segment).clone()).unwrap_or_default();
        let label = if self.tools.is_swapped { Label::Negative } else { Label::Positive };
        segment.ask(|question| {
            question.prompt.points.push(PointPrompt { at, label });
            question.choice = 0;
        });
        wanted.then_some(segment.question)
    }

    /// Keeps memory bounded.
    fn forget_far(&mut self, near: &[FrameId], seen: &[MediumId]) {
        let shown = self.frame();
        match self.video().and(shown) {
            Some(shown) => self.forget_far_frames(shown),
            None => self.cache.pictures.retain(|at, _| near.contains(at)),
        }
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

    /// Frames of the shown video stay as long as there is room: a scrub shows the nearest at once.
    fn forget_far_frames(&mut self, shown: FrameId) {
        self.cache.pictures.retain(|at, _| at.medium == shown.medium);
        let mut room = PICTURES / 2;
        if self.cache.bytes() <= room {
            return;
        }
        let mut frames: Vec<FrameId> = self.cache.pictures.keys().copied().collect();
        frames.sort_by_key(|at| at.frame.abs_diff(shown.frame));
        for at in frames {
            let bytes = self.cache.pictures.get(&at).and_then(|p| p.as_ref().ok()).map_or(0, |p| p.bytes());
            match room.checked_sub(bytes) {
                Some(rest) => room = rest,
                None if at == shown => room = 0,
                None => drop(self.cache.pictures.remove(&at)),
            }
        }
    }
}
