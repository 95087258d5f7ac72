//! The thread that owns the project file.

use std::{
    path::{Path, PathBuf},
    time::Duration,
};

use crossbeam_channel::{Receiver, RecvTimeoutError};

use super::{Event, Reporter, Storing};
use crate::{
    file::{folder_of, has_suffix},
    media::Sources,
    project::{Opened, Project, Store, StoreError, Write, check_has_media, open_copy, rescue},
};

/// So many steps are read back at once.
const STRETCH: usize = 500;
/// Time between two looks whether the file is still in its place and what could not be written can be.
const PAUSE: Duration = Duration::from_secs(2);

/// The project file that is open, and what is still to be written into it.
#[derive(Default)]
struct ProjectFile {
    store: Option<Store>,
    path: PathBuf,
    /// Writes that failed; later ones build on them.
    left: Vec<Write>,
    n_written: u64,
    /// True if the last write failed.
    has_failed: bool,
}

pub(super) fn run(inbox: &Receiver<Storing>, sources: &Sources, out: &Reporter) {
    let mut file = ProjectFile::default();
    loop {
        let request = match file.store {
            None => inbox.recv().map_err(RecvTimeoutError::from),
            Some(_) => inbox.recv_timeout(PAUSE),
        };
        match request {
            Ok(Storing::Open(paths)) => {
                let (path, media) = project_of(paths.clone());
                match check_fit(&paths, &path, sources) {
                    Ok(()) => file.open(out, media, &path, || Store::open(&path)),
                    Err(why) => report(out, Event::NotOpened { path, media, is_place: false, why }),
                }
            }
            Ok(Storing::OpenAt { path, media, from }) => {
                file.open(out, media, &path, || match &from {
                    Some(from) => open_copy(from, &path),
                    None => Store::open(&path),
                });
            }
            Ok(Storing::SaveElsewhere { path, project }) => file.save_elsewhere(out, &path, &project),
            Ok(Storing::Write(writes)) => file.write(out, writes, true),
            Err(RecvTimeoutError::Timeout) => file.look(out),
            Ok(Storing::Older(before)) => match file.store.as_mut().map(|store| store.older(before, STRETCH))
            {
                Some(Ok((steps, has_older))) => report(out, Event::Older(before, steps, has_older)),
                Some(Err(error)) => report(out, not_written(&error)),
                None => {}
            },
            Ok(Storing::Close) => file.close(out),
            Err(RecvTimeoutError::Disconnected) => break,
        }
    }
    file.close(out);
}

/// Reports an event. What is left in the inbox is saved even if nobody listens any more.
fn report(out: &Reporter, event: Event) {
    let _heard = out.report(event);
}

fn not_written(error: &StoreError) -> Event {
    Event::NotWritten { why: error.to_string(), is_whole_project: error.is_of_whole_project() }
}

impl ProjectFile {
    /// Opens a project, after closing the one before, which may be the same.
    fn open(
        &mut self,
        out: &Reporter,
        media: Vec<PathBuf>,
        path: &Path,
        open: impl FnOnce() -> Result<Opened, StoreError>,
    ) {
        self.close(out);
        report(
            out,
            match open() {
                Ok(opened) => self.opened(opened, path, media),
                Err(error) => {
                    let path = path.to_owned();
                    Event::NotOpened { is_place: error.is_of_place(), path, media, why: error.to_string() }
                }
            },
        );
    }

    fn opened(&mut self, Opened { store, history }: Opened, path: &Path, media: Vec<PathBuf>) -> Event {
        *self = Self { store: Some(store), path: path.to_owned(), ..Self::default() };
        Event::Opened { path: path.to_owned(), history: Box::new(history), media }
    }

    /// Writes what was left before, and this. `says_failure`: whether a failure is news.
    fn write(&mut self, out: &Reporter, writes: Vec<Write>, says_failure: bool) {
        self.left.extend(writes);
        match self.try_to_write() {
            Ok(is_restored) => {
                self.has_failed = false;
                if is_restored {
                    report(out, Event::Restored(self.path.clone()));
                }
                report(out, Event::Written(self.n_written));
            }
            Err(error) => {
                self.has_failed = true;
                if says_failure {
                    report(out, not_written(&error));
                }
            }
        }
    }

    /// Returns true if the project was written anew, since its file was gone.
    fn try_to_write(&mut self) -> Result<bool, StoreError> {
        let Some(store) = self.store.as_mut() else { return Ok(false) };
        let is_restored = store.restore()?;
        store.write(&self.left)?;
        self.n_written += self.left.len() as u64;
        self.left.clear();
        Ok(is_restored)
    }

    /// Writes the project anew if its file is gone, and tries again what could not be written.
    fn look(&mut self, out: &Reporter) {
        let is_in_place = self.store.as_mut().is_none_or(Store::is_in_place);
        if !is_in_place || self.has_failed {
            self.write(out, Vec::new(), !self.has_failed);
        }
    }

    /// Writes the whole project to another path, where it is then open.
    fn save_elsewhere(&mut self, out: &Reporter, path: &Path, project: &Project) {
        let Some(store) = &mut self.store else { return };
        let (elsewhere, is_rescued) = match store.save_elsewhere(path, &self.left) {
            Err(error) if error.is_of_reading() => (rescue(project, &folder_of(&self.path), path), true),
            elsewhere => (elsewhere, false),
        };
        match elsewhere {
            Ok(opened) => {
                report(out, self.opened(opened, path, Vec::new()));
                if is_rescued {
                    report(out, Event::Rescued);
                }
            }
            Err(error) => report(out, not_written(&error)),
        }
    }

    /// Tries for the last time to write what is left.
    fn close(&mut self, out: &Reporter) {
        if let Err(error) = self.try_to_write() {
            report(out, not_written(&error));
        }
        *self = Self::default();
    }
}

/// Checks that there is something to open: a project, or images or videos for a new one.
fn check_fit(paths: &[PathBuf], project: &Path, sources: &Sources) -> Result<(), String> {
    if let Some(missing) = paths.iter().find(|path| !path.exists()) {
        return Err(format!("cannot open {}: there is no such file or folder", missing.display()));
    }
    if project.exists() { Ok(()) } else { check_has_media(paths, sources) }
}

/// What project files are called.
const EXTENSION: &str = "segue";

/// The project file that is meant by these paths, and those of them that are media: a folder's project lies in it and has
/// its name; a file's is that of its folder.
fn project_of(paths: Vec<PathBuf>) -> (PathBuf, Vec<PathBuf>) {
    let is_project = |path: &PathBuf| has_suffix(path, &[EXTENSION]);
    if let Some(project) = paths.iter().find(|path| is_project(path)) {
        return (project.clone(), Vec::new());
    }
    let folder = match paths.first() {
        Some(path) if path.is_dir() => path.clone(),
        Some(path) => folder_of(path),
        None => PathBuf::from("."),
    };
    let folder = folder.canonicalize().unwrap_or(folder);
    let name = folder.file_name().map_or_else(|| Path::new("project"), Path::new);
    (folder.join(format!("{}.{EXTENSION}", name.display())), paths)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::project::{Category, CategoryId, History};

    fn category(history: &mut History, id: u32, name: &str) -> Vec<Write> {
        let category = Category::new(name, [0; 3]);
        history.edit("Add", |project| project.categories.insert(CategoryId(id), category.into()));
        history.take_unwritten()
    }

    #[test]
    fn what_a_full_disk_did_not_take_is_written_once_there_is_room() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.segue");
        let Opened { store, mut history } = Store::open(&path).unwrap();
        let mut file = ProjectFile { store: Some(store), ..ProjectFile::default() };
        let mut write = |file: &mut ProjectFile, id: u32, name: &str| {
            file.left.extend(category(&mut history, id, name));
            file.try_to_write().map(|_| file.n_written).map_err(|error| error.to_string())
        };
        assert_eq!(write(&mut file, 1, "small"), Ok(1));
        file.store.as_ref().unwrap().limit_pages(1);
        let error = write(&mut file, 2, &"large".repeat(100_000)).unwrap_err();
        assert!(error.contains("the disk is full"), "{error}");
        assert!(write(&mut file, 3, "next").is_err(), "what comes after waits for it");
        file.store.as_ref().unwrap().limit_pages(1 << 20);
        file.try_to_write().unwrap();
        assert_eq!(file.n_written, 3);
        assert_eq!(write(&mut file, 4, "last"), Ok(4));
        let now = history.now().clone();
        drop(file);
        let history: History = Store::open(&path).unwrap().history;
        assert_eq!(*history.now(), now);
    }
}
