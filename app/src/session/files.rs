//! The project that is open, and what is added to it.

use std::path::PathBuf;

use engine::{
    formats::counted,
    project::{Category, CategoryId, History, Project, Scan, category_color},
    worker::Errand,
};

use super::{Cache, Finding, Player, Session};
use crate::{
    command::Export,
    job::{ProjectFile, Unsent},
    notice::Level,
};

impl Session {
    pub(super) fn opened(&mut self, path: PathBuf, history: History, media: Vec<PathBuf>) {
        let has_moved = self.saving.moves_to.as_ref() == Some(&path);
        let view = has_moved.then_some((self.shown, self.player));
        if has_moved {
            self.saved_elsewhere(&path);
        }
        self.forget_project();
        self.history = history;
        self.file = Some(ProjectFile::new(path));
        if self.project().categories.is_empty() {
            self.history.amend(|project| {
                let category = Category { key: Some(1), ..Category::new("object", category_color(0)) };
                project.categories.insert(CategoryId(1), category.into());
            });
        }
        self.category = self.project().categories.keys().next().copied();
        let unfinished = self.project().media.iter().find(|(_, medium)| !medium.done);
        self.shown = unfinished.or(self.project().media.iter().next()).map(|(id, _)| *id);
        if let Some((shown, player)) = view {
            (self.shown, self.player) = (shown, player);
        }
        self.await_go();
        if self.project().media.is_empty() {
            // Later, what was taken out of the project would come back.
            self.add_media(media);
        }
    }

    pub(super) fn forget_project(&mut self) {
        self.jobs.retain(|job| {
            if !job.is_of_models {
                job.cancel.cancel();
            }
            job.is_of_models
        });
        self.history = History::default();
        self.file = None;
        self.shown = None;
        self.player = Player::default();
        self.tracks.forget();
        self.reviewing = Default::default();
        self.selection.clear();
        self.finding = Finding::default();
        self.left = None;
        self.visibility.hidden.clear();
        self.cache = Cache::default();
        self.asked.forget();
        self.saving.forget();
    }

    pub(super) fn add_media(&mut self, paths: Vec<PathBuf>) {
        if let Some(file) = self.file.as_ref().filter(|_| !paths.is_empty()) {
            let errand = Errand::Scan { paths, folder: file.folder.clone() };
            self.start("Look for images", Unsent::Errand(errand));
        }
    }

    pub(super) fn add_frames(&mut self, folder: PathBuf) {
        if let Some(file) = &self.file {
            let errand = Errand::ScanFrames { folder, project_folder: file.folder.clone() };
            self.start("Look for frames", Unsent::Errand(errand));
        }
    }

    pub(super) fn scanned(&mut self, scan: Scan) {
        let Scan { media, n_refused, refused, remarks } = scan;
        let count_videos = |project: &Project| project.media.values().filter(|m| m.is_video()).count();
        let n_videos = count_videos(self.project());
        // Of a project that is new, nobody wants to take the media back.
        let is_new = self.project().media.is_empty() && self.history.undoable().is_none();
        let mut n_new = 0;
        if is_new {
            self.history.amend(|project| n_new = project.add_media(media));
        } else {
            n_new = self.history.edit("Add media", |project| project.add_media(media));
        }
        let what = match count_videos(self.project()) - n_videos {
            0 => "image",
            n if n == n_new => "video",
            _ => "image or video",
        };
        if n_new > 0 {
            self.notices.info(format!("Added {}", counted(n_new, what)));
        } else if self.project().media.is_empty() {
            self.notices.warn("There are no images and no videos here; Segue opens JPEG, PNG, WebP, TIFF, AVIF, HEIC, JPEG XL, GIF, BMP, MP4, MOV, MKV, WebM and AVI");
        }
        if !refused.is_empty() {
            self.notices.add(Level::Warning, format!("{} left out", counted(n_refused, "file")), refused);
        }
        remarks.into_iter().for_each(|remark| self.notices.info(remark));
        self.show_what_is_there();
    }

    pub(super) fn import(&mut self, path: PathBuf) {
        if self.file.is_some() {
            let project = self.project().clone();
            self.start("Import", Unsent::Errand(Errand::Import { path, project }));
        }
    }

    pub(super) fn export(&mut self, export: Export) {
        let Some(file) = &self.file else { return };
        let Export { format, options, target } = export;
        let (project, folder) = (self.project().clone(), file.folder.clone());
        let title = format!("Export {}", format.title);
        self.start(&title, Unsent::Errand(Errand::Export { project, folder, format, options, target }));
    }

    pub(super) fn count(&mut self) {
        self.stats = None;
        if self.file.is_some() {
            self.start("Count", Unsent::Errand(Errand::Count(self.project().clone())));
        }
    }

    pub(super) fn find_media(&mut self, inside: PathBuf) {
        let Some(file) = &self.file else { return };
        let media = self.project().media.iter().map(|(id, medium)| (*id, medium.clone())).collect();
        let errand = Errand::Find { media, inside, folder: file.folder.clone() };
        self.start("Find missing media", Unsent::Errand(errand));
    }
}
