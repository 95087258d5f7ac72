//! The thread that owns the project file.

use std::{
    path::{Path, PathBuf},
    time::Duration,
};

use crossbeam_channel::{Receiver, RecvTimeoutError};

use super::{Event, Reporter, Storing};
use crate::{
    file::{folder_of, has_suffix},
    project::{Opened, Store, Write},
};

/// So many steps are read back at once.
const STRETCH: usize = 500;
/// How long until what could not be written is tried again, if nothing else is to be written.
const PAUSE: Duration = Duration::from_secs(5);

/// The project file that is open, and what is still to be written into it.
#[derive(Default)]
struct ProjectFile {
    store: Option<Store>,
    /// What could not be written yet; what comes after builds on it.
    left: Vec<Write>,
    n_written: u64,
}

pub(super) fn run(inbox: &Receiver<Storing>, out: &Reporter) {
    let mut file = ProjectFile::default();
    loop {
        let request = match file.left.is_empty() {
            true => inbox.recv().map_err(RecvTimeoutError::from),
            false => inbox.recv_timeout(PAUSE),
        };
        let event = match request {
            Ok(Storing::Open(paths)) => {
                let (path, media) = project_of(paths);
                // The old project first, for it may be the same.
                if let Err(error) = file.close() {
                    // What is left in the inbox is saved even if nobody listens any more.
                    let _heard = out.report(Event::NotWritten(error));
                }
                match Store::open(&path) {
                    Ok(Opened { store, history }) => {
                        file.store = Some(store);
                        Event::Opened { path, history: Box::new(history), media }
                    }
                    Err(error) => Event::NotOpened(error.to_string()),
                }
            }
            Ok(Storing::Write(writes)) => match file.write(writes) {
                Ok(n_written) => Event::Written(n_written),
                Err(error) => Event::NotWritten(error),
            },
            // That it still cannot be written was said.
            Err(RecvTimeoutError::Timeout) => match file.write(Vec::new()) {
                Ok(n_written) => Event::Written(n_written),
                Err(_) => continue,
            },
            Ok(Storing::Older(before)) => match file.store.as_mut().map(|store| store.older(before, STRETCH))
            {
                Some(Ok((steps, has_older))) => Event::Older(before, steps, has_older),
                Some(Err(error)) => Event::NotWritten(error.to_string()),
                None => continue,
            },
            Ok(Storing::Close) => match file.close() {
                Ok(()) => continue,
                Err(error) => Event::NotWritten(error),
            },
            Err(RecvTimeoutError::Disconnected) => break,
        };
        let _heard = out.report(event);
    }
    // Nobody listens any more.
    file.close().ok();
}

impl ProjectFile {
    /// Writes what was left before, and this; how much was written since the file was opened.
    fn write(&mut self, writes: Vec<Write>) -> Result<u64, String> {
        let store = self.store.as_mut().ok_or("no project is open")?;
        self.left.extend(writes);
        store.write(&self.left).map_err(|error| error.to_string())?;
        self.n_written += self.left.len() as u64;
        self.left.clear();
        Ok(self.n_written)
    }

    /// Tries for the last time to write what is left.
    fn close(&mut self) -> Result<(), String> {
        let closed = if self.left.is_empty() { Ok(()) } else { self.write(Vec::new()).map(drop) };
        *self = Self::default();
        closed
    }
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

    #[test]
    fn what_a_full_disk_did_not_take_is_written_once_there_is_room() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.segue");
        let Opened { store, mut history } = Store::open(&path).unwrap();
        let mut file = ProjectFile { store: Some(store), ..ProjectFile::default() };
        let mut add = |id: u32, name: &str| {
            let category = Category::new(name, [0; 3]);
            history.edit("Add", |project| project.categories.insert(CategoryId(id), category.into()));
            history.take_unwritten()
        };
        assert_eq!(file.write(add(1, "small")), Ok(1));
        file.store.as_ref().unwrap().limit_pages(1);
        let error = file.write(add(2, &"large".repeat(100_000))).unwrap_err();
        assert!(error.contains("the disk is full"), "{error}");
        assert!(file.write(add(3, "next")).is_err(), "what comes after waits for it");
        file.store.as_ref().unwrap().limit_pages(1 << 20);
        assert_eq!(file.write(Vec::new()), Ok(3));
        assert_eq!(file.write(add(4, "last")), Ok(4));
        let now = history.now().clone();
        drop(file);
        let history: History = Store::open(&path).unwrap().history;
        assert_eq!(*history.now(), now);
    }
}
