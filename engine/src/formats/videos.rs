//! What the files of videos say of the frames that are exported: when they are shown, and which of them are damaged.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::Path,
    sync::Arc,
};

use super::{Files, Report};
use crate::{
    media::{FrameSource, damaged_frames},
    project::{FrameId, MediumId, Project, path_of},
};

/// The videos of a project, as far as their files are there. Labels can be exported without them.
pub(super) struct Videos<'a> {
    project: &'a Project,
    /// Of the project's file.
    folder: &'a Path,
    /// Whether frames are extracted.
    extracts: bool,
    /// Told how many frames are checked, of how many; says whether to go on.
    progress: &'a dyn Fn(usize, usize) -> bool,
    is_canceled: bool,
    times: BTreeMap<MediumId, Arc<[f64]>>,
}

/// Progress is reported once in so many frames.
const REPORTED_EVERY: usize = 16;

impl<'a> Videos<'a> {
    pub(super) fn new(
        project: &'a Project,
        folder: &'a Path,
        files: Files,
        progress: &'a dyn Fn(usize, usize) -> bool,
    ) -> Self {
        let extracts = files != Files::Leave;
        Self { project, folder, extracts, progress, is_canceled: false, times: BTreeMap::new() }
    }

    /// Decodes these frames, which are in the order of their media, and returns those that are damaged; `report` notes them.
    pub(super) fn damaged(&mut self, frames: &[FrameId], report: &mut Report) -> BTreeSet<FrameId> {
        let mut all = BTreeSet::new();
        let mut n_checked = 0;
        for of_one in frames.chunk_by(|a, b| a.medium == b.medium) {
            let medium = of_one[0].medium;
            let file = path_of(self.folder, &self.project.media[&medium]);
            let Ok(mut source) = FrameSource::open(&file) else { continue };
            if let Some(times) = source.times() {
                self.times.insert(medium, times);
            }
            let name = source.file_name();
            let mut damaged = BTreeSet::new();
            for at in of_one {
                n_checked += 1;
                if n_checked % REPORTED_EVERY == 0 && !(self.progress)(n_checked, frames.len()) {
                    self.is_canceled = true;
                    return all;
                }
                // What else may be wrong with a file is said when its frames are needed.
                if source.check(at.frame).is_err_and(|error| error.damaged_frame().is_some()) {
                    damaged.insert(at.frame);
                    all.insert(*at);
                }
            }
            if !damaged.is_empty() {
                report.notes.push(format!("{}: skipped", damaged_frames(&damaged, &name)));
            }
            if self.extracts {
                report.notes.extend(source.remarks());
            }
        }
        all
    }

    /// When a frame is shown, if its file says so.
    pub(super) fn time(&self, at: FrameId) -> Option<f64> {
        self.times.get(&at.medium)?.get(at.frame).copied()
    }

    /// Whether `progress` said no.
    pub(super) fn is_canceled(&self) -> bool {
        self.is_canceled
    }
}
