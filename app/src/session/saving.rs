//! Saving, and leaving a project: every step goes to the project file as it is made, and a project is only left once all is
//! written, or its user gives up what is not.

use std::{
    collections::VecDeque,
    path::{Path, PathBuf},
    sync::Arc,
};

use engine::{
    file::has_suffix,
    project::{StepId, Write},
    worker::{Engine, Storing},
};

use super::Session;

/// State of saving and leaving the project.
#[derive(Default)]
pub(super) struct Saving {
    /// Requests that did not fit into the engine's inbox yet, the next first.
    unsent: Vec<Storing>,
    /// Writes that were given to the engine and are not done yet: titles of steps, and `None` for other writes.
    unwritten: VecDeque<Option<Arc<str>>>,
    /// Writes that the engine has written since the project was opened.
    n_written: u64,
    /// Why nothing can be written now.
    failure: Option<String>,
    /// True if not even earlier steps are in the project's file.
    lacks_whole_project: bool,
    /// True if the engine has found all in the file since the project is to be left.
    is_checked: bool,
    /// The action to take once all is written.
    leaving: Option<Leaving>,
    /// The project that was open before, while another is being opened.
    before: Option<PathBuf>,
    /// The step before which older ones were asked for.
    older_asked: Option<StepId>,
    /// A project that can perhaps be kept elsewhere.
    homeless: Option<Homeless>,
    /// The path to which the whole project is being written.
    pub(super) moves_to: Option<PathBuf>,
}

impl Saving {
    pub(super) fn is_done(&self) -> bool {
        self.unsent.is_empty() && self.unwritten.is_empty() && self.failure.is_none()
    }

    /// Forgets the file that was open, but not what is to be asked of the next, nor what the user is asked.
    pub(super) fn forget(&mut self) {
        let Self { unsent, before, leaving, homeless, .. } = std::mem::take(self);
        // The next file is checked when it is opened.
        *self = Self { unsent, before, leaving, homeless, is_checked: true, ..Self::default() };
    }
}

/// Why a project is left.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Leaving {
    Open(Vec<PathBuf>),
    Close,
    Quit,
}

/// A project that cannot be kept in its place, where nothing can be written.
#[derive(Clone, Debug)]
pub struct Homeless {
    /// Why not.
    pub why: String,
    /// Its file.
    pub path: PathBuf,
    /// Media that it would have got.
    pub media: Vec<PathBuf>,
}

/// Work that would be lost if the project was left now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unsaved {
    /// The titles of the steps, the first first.
    pub steps: Vec<Arc<str>>,
    /// Why they are not saved; `None` while they are being saved.
    pub why: Option<String>,
    /// True if the window is to close.
    pub quits: bool,
    /// The numbers of objects and media, if not even earlier steps are in the project's file.
    pub whole_project: Option<[usize; 2]>,
}

impl Session {
    /// The project before is closed once it is saved, and opened again if this cannot be.
    pub(super) fn open(&mut self, paths: Vec<PathBuf>) {
        self.leave(Leaving::Open(paths));
    }

    /// Closes the project once it is saved.
    pub(super) fn close(&mut self) {
        self.leave(Leaving::Close);
    }

    /// Ends the session once the project is saved.
    pub(super) fn quit(&mut self) {
        self.leave(Leaving::Quit);
    }

    fn leave(&mut self, leaving: Leaving) {
        self.keep_what_jobs_found();
        self.saving.leaving = Some(leaving);
        // The file may have been changed since the last look.
        self.saving.is_checked = false;
        if self.file.is_some() {
            self.saving.unsent.push(Storing::Write(Vec::new()));
        }
        self.leave_once_saved();
    }

    /// Leaves the project if that was wanted and nothing is lost.
    pub(super) fn leave_once_saved(&mut self) {
        if self.saving.leaving.is_none() {
            return;
        }
        // What is made meanwhile is not lost either.
        self.queue_writes();
        if self.file.is_none() || self.saving.is_done() && self.saving.is_checked {
            self.leave_now();
        }
    }

    fn leave_now(&mut self) {
        match self.saving.leaving.take() {
            Some(Leaving::Open(paths)) => {
                self.saving.before = self.file.take().map(|file| file.path);
                if self.saving.before.is_some() {
                    self.notices.clear();
                }
                self.forget_project();
                self.saving.unsent.push(Storing::Open(paths));
            }
            Some(Leaving::Close) => {
                self.saving.unsent.push(Storing::Close);
                self.notices.clear();
                self.forget_project();
            }
            Some(Leaving::Quit) => self.is_over = true,
            None => {}
        }
    }

    /// Stays in the project.
    pub(super) fn stay(&mut self) {
        self.saving.leaving = None;
    }

    /// Leaves the project and loses what is not saved.
    pub(super) fn lose(&mut self) {
        self.history.take_unwritten();
        self.saving.unsent.clear();
        self.saving.unwritten.clear();
        self.saving.failure = None;
        self.leave_now();
    }

    /// Tries again to write what could not be written.
    pub(super) fn save_again(&mut self) {
        self.saving.unsent.push(Storing::Write(Vec::new()));
    }

    /// Writes the whole project to another path and goes on there; of a project that could not be kept in its place, opens it
    /// there.
    pub(super) fn save_elsewhere(&mut self, path: PathBuf) {
        let path = if has_suffix(&path, &["segue"]) { path } else { path.with_added_extension("segue") };
        if let Some(Homeless { path: from, media, .. }) = self.saving.homeless.take() {
            let from = Some(from).filter(|from| from.is_file());
            self.saving.unsent.push(Storing::OpenAt { path, media, from });
        } else if self.file.is_some() {
            self.queue_writes();
            let project = self.project().clone();
            self.saving.moves_to = Some(path.clone());
            self.saving.unsent.push(Storing::SaveElsewhere { path, project });
        }
    }

    /// Returns why the project cannot be saved now.
    pub fn save_failure(&self) -> Option<&str> {
        self.saving.failure.as_deref()
    }

    /// Returns the work that would be lost, if the project is to be left.
    pub fn leaving(&self) -> Option<Unsaved> {
        let leaving = self.saving.leaving.as_ref()?;
        let steps = self.saving.unwritten.iter().flatten().cloned().collect();
        let project = self.project();
        let whole_project = [project.objects.len(), project.media.len()];
        Some(Unsaved {
            steps,
            why: self.saving.failure.clone(),
            quits: *leaving == Leaving::Quit,
            whole_project: self.saving.lacks_whole_project.then_some(whole_project),
        })
    }

    /// True once the user has quit, and all that was wanted is saved.
    pub fn is_over(&self) -> bool {
        self.is_over
    }

    /// True while the user is asked what is to become of a project.
    pub fn is_asking(&self) -> bool {
        self.saving.leaving.is_some() || self.saving.homeless.is_some()
    }

    /// Returns a project that cannot be kept in its place, and perhaps elsewhere.
    pub fn homeless(&self) -> Option<&Homeless> {
        self.saving.homeless.as_ref()
    }

    /// Does without a project that cannot be kept in its place.
    pub(super) fn give_up(&mut self) {
        self.saving.homeless = None;
    }

    pub(super) fn not_opened(&mut self, why: String, homeless: Option<Homeless>) {
        match homeless {
            Some(homeless) => self.saving.homeless = Some(homeless),
            None => self.notices.error(why),
        }
        if let Some(before) = self.saving.before.take() {
            self.saving.unsent.push(Storing::Open(vec![before]));
        }
    }

    /// Puts what is new before whatever is asked of the file next.
    fn queue_writes(&mut self) {
        let writes = self.history.take_unwritten();
        if !writes.is_empty() && self.file.is_some() {
            self.saving.unwritten.extend(writes.iter().map(title));
            match self.saving.unsent.last_mut() {
                Some(Storing::Write(waiting)) => waiting.extend(writes),
                _ => self.saving.unsent.push(Storing::Write(writes)),
            }
        }
    }

    /// Hands what is new to the thread that owns the file.
    pub(super) fn save(&mut self, engine: &Engine) {
        self.queue_writes();
        if let Some(before) = self.history.needs_older()
            && self.saving.older_asked != Some(before)
        {
            self.saving.older_asked = Some(before);
            self.saving.unsent.push(Storing::Older(before));
        }
        let mut unsent = std::mem::take(&mut self.saving.unsent).into_iter();
        while let Some(request) = unsent.next() {
            if let Err(request) = engine.store(request) {
                self.saving.unsent = std::iter::once(request).chain(unsent).collect();
                break;
            }
        }
    }

    pub(super) fn written(&mut self, n: u64) {
        let n_new = n.saturating_sub(self.saving.n_written) as usize;
        self.saving.unwritten.drain(..n_new.min(self.saving.unwritten.len()));
        self.saving.n_written = n;
        self.saving.is_checked = true;
        self.no_longer_fails();
    }

    /// The project is now at another path.
    pub(super) fn saved_elsewhere(&mut self, path: &Path) {
        self.no_longer_fails();
        self.notices.info(format!("The project is now {}", path.display()));
    }

    fn no_longer_fails(&mut self) {
        self.saving.lacks_whole_project = false;
        if let Some(failure) = self.saving.failure.take() {
            self.notices.close(&not_saved(&failure));
        }
    }

    pub(super) fn not_written(&mut self, error: String, is_whole_project: bool) {
        self.saving.lacks_whole_project = is_whole_project;
        if self.saving.leaving.is_none() {
            self.notices.error(not_saved(&error));
        }
        self.saving.failure = Some(error);
    }

    pub(super) fn restored(&mut self, path: &Path) {
        let path = path.display();
        self.notices.warn(format!(
            "The project file or its log was moved or deleted; the whole project is written again: {path}"
        ));
    }

    pub(super) fn rescued(&mut self) {
        self.notices.warn(
            "The old project file cannot be read, or another program changed it: the project is saved without its undo history",
        );
    }
}

fn not_saved(error: &str) -> String {
    format!("Work is not being saved: {error}")
}

/// The title of a step that is written.
fn title(write: &Write) -> Option<Arc<str>> {
    match write {
        Write::Step(step) => Some(step.title.clone()),
        Write::Undo(_) => Some("Undo".into()),
        Write::Redo(_) => Some("Redo".into()),
        Write::Amend { .. } => None,
    }
}
