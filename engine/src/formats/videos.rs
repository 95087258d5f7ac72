//! Times and damage of the frames that are exported, from the files of their videos.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use super::{Files, ImageFiles, Report};
use crate::{
    media::{FrameSource, damaged_frames},
    project::{FrameId, MediumId, Project},
};

/// The videos of a project whose files are there. Labels can be exported without them.
pub(super) struct Videos<'a> {
    project: &'a Project,
    image_files: &'a ImageFiles,
    /// True if frames are extracted.
    extracts: bool,
    /// Called with the number of frames checked and their total; returns false to cancel.
    progress: &'a dyn Fn(usize, usize) -> bool,
    is_canceled: bool,
    times: BTreeMap<MediumId, Arc<[f64]>>,
    /// The names of the files of frames, for videos that are folders of images.
    file_names: BTreeMap<MediumId, Vec<String>>,
}

/// Frames between two reports of progress.
const REPORTED_EVERY: usize = 16;

impl<'a> Videos<'a> {
    pub(super) fn new(
        project: &'a Project,
        image_files: &'a ImageFiles,
        files: Files,
        progress: &'a dyn Fn(usize, usize) -> bool,
    ) -> Self {
        let extracts = files != Files::Leave;
        Self {
            project,
            image_files,
            extracts,
            progress,
            is_canceled: false,
            times: BTreeMap::new(),
            file_names: BTreeMap::new(),
        }
    }

    /// Decodes these frames, which are in the order of their media, and returns those that are damaged; `report` notes them.
    pub(super) fn damaged(&mut self, frames: &[FrameId], report: &mut Report) -> BTreeSet<FrameId> {
        let mut all = BTreeSet::new();
        let mut n_checked = 0;
        for of_one in frames.chunk_by(|a, b| a.medium == b.medium) {
            let medium = of_one[0].medium;
            let file = self.image_files.path_of(&self.project.media[&medium]);
            let Ok(mut source) = FrameSource::open(&file) else { continue };
            if let Some(times) = source.times() {
                self.times.insert(medium, times);
            }
            if file.is_dir() {
                let names = (0..source.n_frames()).map(|frame| source.name(frame)).collect();
                self.file_names.insert(medium, names);
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

    /// True if a video is a folder of images.
    pub(super) fn is_folder(&self, medium: MediumId) -> bool {
        self.file_names.contains_key(&medium)
    }

    /// Returns the name of a frame's file in the folder of images that is its video.
    pub(super) fn file_name(&self, at: FrameId) -> Option<&str> {
        Some(self.file_names.get(&at.medium)?.get(at.frame)?)
    }

    /// Returns the time at which a frame is shown, in seconds after the first frame, if its file says so.
    pub(super) fn time(&self, at: FrameId) -> Option<f64> {
        self.times.get(&at.medium)?.get(at.frame).copied()
    }

    /// True if `progress` returned false.
    pub(super) fn is_canceled(&self) -> bool {
        self.is_canceled
    }
}
