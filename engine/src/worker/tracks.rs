//! Tracking on the thread that owns the model: what it was told last, and the video that it reads.

use std::path::{Path, PathBuf};

use super::{Event, Track};
use crate::{
    media::{Ahead, Sources},
    project::path_of,
    segmenter::{SegmentError, Segmenter},
    tracking::{Tracked, Tracking},
};

/// See the module.
pub(super) struct Tracks {
    told: Track,
    tracking: Tracking,
    /// The video that was read last.
    video: Option<(PathBuf, Ahead)>,
    sources: Sources,
    /// Whether the model is at work for this.
    is_at_work: bool,
}

impl Tracks {
    pub(super) fn new(sources: Sources) -> Self {
        Self {
            told: Track::default(),
            tracking: Tracking::default(),
            video: None,
            sources,
            is_at_work: false,
        }
    }

    pub(super) fn put(&mut self, track: Track, segmenter: &mut dyn Segmenter) {
        let is_other = track.opening != self.told.opening;
        if is_other {
            self.tracking.tell(&Default::default(), u64::MAX, segmenter);
            self.tracking = Tracking::default();
        }
        // What was seen is known by ids, and another video may have those of one that is gone.
        if is_other || !track.project.media_gone_since(&self.told.project).is_empty() {
            self.video = None;
            self.tracking.begin_anew();
            segmenter.forget_frames();
        }
        self.tracking.tell(&track.project, track.n_taken, segmenter);
        self.told = track;
    }

    pub(super) fn is_idle(&self) -> bool {
        self.told.cancel.is_canceled() || self.tracking.is_idle()
    }

    /// One piece of work.
    pub(super) fn turn(&mut self, segmenter: &mut dyn Segmenter) -> Vec<Event> {
        self.is_at_work = true;
        let opening = self.told.opening;
        let reports = self.work(segmenter).unwrap_or_else(|why| self.tracking.fail(&why));
        self.is_at_work = false;
        reports.into_iter().map(|report| Event::Tracked(opening, report)).collect()
    }

    fn work(&mut self, segmenter: &mut dyn Segmenter) -> Result<Vec<Tracked>, String> {
        let medium = self.tracking.medium().and_then(|id| self.told.project.media.get(&id));
        let path =
            medium.map(|medium| path_of(&self.told.folder, medium)).ok_or("the video is no longer there")?;
        let video = video(&mut self.video, &self.sources, &path)?;
        match self.tracking.turn(segmenter, video, &self.told.cancel) {
            Ok(reports) => Ok(reports),
            Err(SegmentError::Canceled) => Ok(Vec::new()),
            Err(error) => Err(error.to_string()),
        }
    }

    /// There is another model, which remembers nothing.
    pub(super) fn begin_anew(&mut self) {
        self.tracking.begin_anew();
    }

    /// The model failed and is loaded anew; if it failed at this, that run ends.
    pub(super) fn panicked(&mut self, why: &str) -> Vec<Event> {
        self.begin_anew();
        if !std::mem::take(&mut self.is_at_work) {
            return Vec::new();
        }
        let opening = self.told.opening;
        self.tracking.fail(why).into_iter().map(|report| Event::Tracked(opening, report)).collect()
    }
}

fn video<'a>(
    last: &'a mut Option<(PathBuf, Ahead)>,
    sources: &Sources,
    path: &Path,
) -> Result<&'a mut Ahead, String> {
    if last.as_ref().is_none_or(|(known, _)| known != path) {
        let source = sources.open(path).map_err(|error| error.to_string())?;
        let ahead = Ahead::new(source).map_err(|error| error.to_string())?;
        *last = Some((path.to_owned(), ahead));
    }
    last.as_mut().map(|(_, video)| video).ok_or_else(|| "there is no video".to_owned())
}
