//! The thread that owns the project file.

use std::path::{Path, PathBuf};

use crossbeam_channel::Receiver;

use super::{Event, Reporter, Storing};
use crate::{
    file::folder_of,
    project::{Opened, Store, Write},
};

/// So many steps are read back at once.
const STRETCH: usize = 500;

pub(super) fn run(inbox: &Receiver<Storing>, out: &Reporter) {
    let mut store: Option<Store> = None;
    let mut n_written = 0;
    while let Ok(request) = inbox.recv() {
        let event = match request {
            Storing::Open(paths) => {
                // The old project first, for it may be the same.
                store = None;
                n_written = 0;
                let (path, media) = project_of(paths);
                match Store::open(&path) {
                    Ok(Opened { store: opened, history }) => {
                        store = Some(opened);
                        Event::Opened { path, history: Box::new(history), media }
                    }
                    Err(error) => Event::NotOpened(error.to_string()),
                }
            }
            Storing::Write(writes) => match write(store.as_mut(), &writes) {
                Ok(()) => {
                    n_written += writes.len() as u64;
                    Event::Written(n_written)
                }
                Err(error) => Event::NotWritten(error),
            },
            Storing::Older(before) => match store.as_mut().map(|store| store.older(before, STRETCH)) {
                Some(Ok((steps, has_older))) => Event::Older(before, steps, has_older),
                Some(Err(error)) => Event::NotWritten(error.to_string()),
                None => continue,
            },
            Storing::Close => {
                store = None;
                continue;
            }
        };
        // What is left in the inbox is saved even if nobody listens any more.
        let _heard = out.report(event);
    }
}

fn write(store: Option<&mut Store>, writes: &[Write]) -> Result<(), String> {
    let store = store.ok_or("no project is open")?;
    store.write(writes).map_err(|error| error.to_string())
}

/// What project files are called.
const EXTENSION: &str = "segue";

/// The project file that is meant by these paths, and those of them that are media: a folder's project lies in it and has
/// its name; a file's is that of its folder.
fn project_of(paths: Vec<PathBuf>) -> (PathBuf, Vec<PathBuf>) {
    let is_project = |path: &PathBuf| path.extension().is_some_and(|e| e == EXTENSION);
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
