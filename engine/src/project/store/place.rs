//! The place of a project file: a file that is moved, deleted or replaced while it is open is noticed, and the project can be
//! written anew, there or elsewhere.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use rusqlite::{Connection, functions::FunctionFlags};
use tempfile::NamedTempFile;

use super::{Opened, Store, StoreError, connect, json, use_log, write_all};
use crate::{
    file::{folder_of, temporary_beside},
    project::{Entry, History, Medium, Project, Write, path_of, told_from},
};

/// What tells a file from all others, whatever its path: device and number. `None` on systems on which a file that is open
/// can be neither moved nor deleted.
pub(super) type Identity = Option<(u64, u64)>;

/// Returns the identity of the file at a path.
#[cfg(unix)]
pub(super) fn identity(path: &Path) -> io::Result<Identity> {
    use std::os::unix::fs::MetadataExt as _;
    fs::metadata(path).map(|metadata| Some((metadata.dev(), metadata.ino())))
}

#[cfg(not(unix))]
pub(super) fn identity(_path: &Path) -> io::Result<Identity> {
    Ok(None)
}

impl Store {
    /// True if the file at its path is the one that is open.
    pub fn is_in_place(&self) -> bool {
        identity(&self.path).is_ok_and(|identity| identity == self.identity)
    }

    /// Writes the whole project anew, with all its steps, if its file is no longer at its path. Returns true if it was so.
    ///
    /// # Errors
    /// If another file is at the path, or the file cannot be written. Everything is then as it was.
    pub fn restore(&mut self) -> Result<bool, StoreError> {
        if self.is_in_place() {
            return Ok(false);
        }
        if self.path.exists() {
            return Err(StoreError::Replaced { path: self.path.clone() });
        }
        let copy = copy_of(&self.db, &self.path)?;
        // The file may have been moved: it gets what its log holds, and the log, which has the new file's name, goes.
        let checkpoint = self.db.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(()));
        checkpoint.map_err(StoreError::Write)?;
        fs::remove_file(log_of(&self.path)).ok();
        *self = Self::put(copy, &self.path)?;
        Ok(true)
    }

    /// Writes the whole project, with all its steps and what is still to be written, to another path, where there must be no
    /// file, and opens it there. The paths of media are told from there.
    ///
    /// # Errors
    /// If there is a file, or it cannot be written. Nothing is then left there.
    pub fn save_elsewhere(&self, path: &Path, left: &[Write]) -> Result<Opened, StoreError> {
        let copy = copy_of(&self.db, path)?;
        let mut db = Connection::open(copy.path()).map_err(StoreError::Write)?;
        write_all(&mut db, left).map_err(StoreError::Write)?;
        move_media(&db, &folder_of(&self.path), &folder_of(path)).map_err(StoreError::Write)?;
        drop(db);
        drop(Self::put(copy, path)?);
        Self::open(path)
    }

    /// Puts a database at a path, where there must be no file, and opens it.
    fn put(copy: NamedTempFile, path: &Path) -> Result<Self, StoreError> {
        let failed = |cause| StoreError::putting(path, cause);
        copy.as_file().sync_all().map_err(failed)?;
        copy.persist_noclobber(path).map_err(|error| match error.error.kind() {
            io::ErrorKind::AlreadyExists => StoreError::Replaced { path: path.to_owned() },
            _ => failed(error.error),
        })?;
        let db = connect(path).and_then(|db| use_log(&db).map(|()| db)).map_err(StoreError::Write)?;
        Self::of(db, path).map_err(failed)
    }
}

/// Writes a project whose file can no longer be read to another path, where there must be no file: what it is now, without
/// its steps. Its file was in `folder`.
///
/// # Errors
/// If there is a file, or it cannot be written.
pub fn rescue(project: &Project, folder: &Path, path: &Path) -> Result<Opened, StoreError> {
    if path.exists() {
        return Err(StoreError::Replaced { path: path.to_owned() });
    }
    let mut moved = project.clone();
    for (id, medium) in &project.media {
        moved.media.insert(*id, moved_medium(medium, folder, &folder_of(path)).into());
    }
    let Opened { mut store, .. } = Store::open(path)?;
    let mut history = History::default();
    history.edit("Save elsewhere", |project| *project = moved);
    store.write(&history.take_unwritten())?;
    Ok(Opened { store, history })
}

/// Opens a copy of the project file at `from`, which may lie where nothing can be written, at `path`, where there must be no
/// file. The paths of media are told from there.
///
/// # Errors
/// If `from` is no project or cannot be read, or the copy cannot be written.
pub fn open_copy(from: &Path, path: &Path) -> Result<Opened, StoreError> {
    let failed = |cause| StoreError::putting(path, cause);
    let folder = tempfile::Builder::new().prefix(".segue-").tempdir_in(folder_of(path)).map_err(failed)?;
    let mut store = Store::open(&copy_into(folder.path(), from).map_err(failed)?)?.store;
    // The paths of media are told from where the project was.
    store.path = from.to_owned();
    store.save_elsewhere(path, &[])
}

/// Reads a project. Where nothing can be written beside its file, a copy in a temporary folder is read.
///
/// # Errors
/// If it cannot be read, or is no project.
pub fn read_project(path: &Path) -> Result<History, StoreError> {
    let opened = match Store::open(path) {
        Err(error) if error.is_of_place() => {
            let failed = |cause| StoreError::putting(path, cause);
            let folder = tempfile::tempdir().map_err(failed)?;
            Store::open(&copy_into(folder.path(), path).map_err(failed)?)
        }
        opened => opened,
    };
    opened.map(|opened| opened.history)
}

/// Copies a project file and its log into a folder, and returns the path of the copy.
fn copy_into(folder: &Path, from: &Path) -> io::Result<PathBuf> {
    let copy = folder.join("copy.segue");
    // Not with its permissions, which may be those to read only.
    let copy_file = |from: &Path, to: &Path| io::copy(&mut fs::File::open(from)?, &mut fs::File::create(to)?);
    copy_file(from, &copy)?;
    if log_of(from).exists() {
        copy_file(&log_of(from), &log_of(&copy))?;
    }
    Ok(copy)
}

/// Returns the path of the log of a database.
pub(super) fn log_of(path: &Path) -> PathBuf {
    let mut log = path.as_os_str().to_owned();
    log.push("-wal");
    log.into()
}

/// Copies a database, with what its log holds, into a file in the folder of `path`.
fn copy_of(db: &Connection, path: &Path) -> Result<NamedTempFile, StoreError> {
    let failed = |cause| StoreError::putting(path, cause);
    let copy = temporary_beside(path).map_err(failed)?;
    let name = copy.path().to_str().ok_or_else(|| failed(io::ErrorKind::InvalidFilename.into()))?;
    db.execute("VACUUM INTO ?1", [name]).map_err(StoreError::Write)?;
    Ok(copy)
}

/// Tells the paths of all media, also of those in steps, from another folder.
fn move_media(db: &Connection, from: &Path, to: &Path) -> rusqlite::Result<()> {
    let (from, to) = (from.to_owned(), to.to_owned());
    let flags = FunctionFlags::SQLITE_UTF8 | FunctionFlags::SQLITE_DETERMINISTIC;
    db.create_scalar_function("moved", 1, flags, move |context| {
        let Some(value) = context.get::<Option<String>>(0)? else { return Ok(None) };
        let medium: Medium =
            serde_json::from_str(&value).map_err(|cause| rusqlite::Error::UserFunctionError(cause.into()))?;
        json(Some(&Entry::Medium(moved_medium(&medium, &from, &to).into())))
    })?;
    db.execute_batch(
        "UPDATE media SET value = moved(value);
        UPDATE changes SET before = moved(before), after = moved(after) WHERE kind = 'medium';",
    )
}

fn moved_medium(medium: &Medium, from: &Path, to: &Path) -> Medium {
    Medium { path: told_from(to, &path_of(from, medium)), ..medium.clone() }
}

#[cfg(test)]
#[cfg(unix)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;
    use crate::{
        geometry::Size,
        project::{Category, CategoryId, MediumId, MediumKind},
    };

    /// A project with a photo and a category, each a step.
    fn made(path: &Path) -> (Store, History) {
        let Opened { mut store, mut history } = Store::open(path).unwrap();
        let medium = |done| Medium {
            path: "photos/a.jpg".to_owned(),
            kind: MediumKind::Image,
            size: Size::new(9, 7),
            n_frames: 1,
            fps: None,
            content: None,
            done,
        };
        history.edit("Add media", |project| project.media.insert(MediumId(1), medium(false).into()));
        history.edit("Done", |project| project.media.insert(MediumId(1), medium(true).into()));
        store.write(&history.take_unwritten()).unwrap();
        (store, history)
    }

    fn add(history: &mut History, name: &str) -> Vec<Write> {
        let category = Category::new(name, [0; 3]);
        history.edit("Add category", |project| {
            let id = project.new_category();
            project.categories.insert(id, category.into())
        });
        history.take_unwritten()
    }

    fn names(folder: &Path) -> Vec<String> {
        let mut names: Vec<_> = fs::read_dir(folder)
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        names
    }

    #[test]
    fn a_project_whose_file_was_moved_or_deleted_is_written_anew_with_all_its_steps() {
        for is_moved in [true, false] {
            let folder = tempfile::tempdir().unwrap();
            let [path, moved] = ["a.segue", "b.segue"].map(|name| folder.path().join(name));
            let (mut store, mut history) = made(&path);
            assert!(!store.restore().unwrap());
            if is_moved {
                fs::rename(&path, &moved).unwrap();
            } else {
                fs::remove_file(&path).unwrap();
                fs::remove_file(log_of(&path)).unwrap();
            }
            assert!(!store.is_in_place() && store.restore().unwrap() && store.is_in_place());
            store.write(&add(&mut history, "late")).unwrap();
            drop(store);
            let mut expected = vec!["a.segue"];
            if is_moved {
                // What was there before is whole as well.
                expected.push("b.segue");
                let Opened { store, history } = Store::open(&moved).unwrap();
                assert!(history.now().categories.is_empty() && history.undoable() == Some("Done"));
                drop(store);
            }
            assert_eq!(names(folder.path()), expected);
            let mut again = Store::open(&path).unwrap().history;
            assert_eq!(again.now(), history.now());
            while again.undo().is_some() {}
            assert!(again.now().media.is_empty());
        }
    }

    #[test]
    fn a_file_that_took_the_place_of_a_project_stays_and_the_project_can_be_saved_elsewhere() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.segue");
        let other = folder.path().join("other.segue");
        let (mut store, mut history) = made(&path);
        drop(made(&other));
        let bytes = fs::read(&other).unwrap();
        fs::rename(&other, &path).unwrap();
        let error = store.restore().unwrap_err().to_string();
        assert!(error.contains("another file is in its place"), "{error}");
        assert!(matches!(store.save_elsewhere(&path, &[]), Err(StoreError::Replaced { .. })));
        assert_eq!(fs::read(&path).unwrap(), bytes);

        fs::create_dir(folder.path().join("new")).unwrap();
        let elsewhere = folder.path().join("new/a.segue");
        let left = add(&mut history, "late");
        let Opened { store: _store, history: mut moved } = store.save_elsewhere(&elsewhere, &left).unwrap();
        assert_eq!(moved.now().categories[&CategoryId(1)].name, "late");
        // The photo is where it was, for each step.
        let photo = folder.path().join("photos/a.jpg");
        loop {
            for medium in moved.now().media.values() {
                assert_eq!(path_of(&folder_of(&elsewhere), medium), photo);
            }
            if moved.undo().is_none() {
                break;
            }
        }
        assert_eq!(names(&folder.path().join("new")), ["a.segue", "a.segue-wal"]);
    }

    #[test]
    fn a_project_is_opened_as_a_copy_or_saved_without_its_file() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.segue");
        let (store, history) = made(&path);
        let copy = folder.path().join("copy.segue");
        // With its log, as a program that was killed leaves it.
        let opened = open_copy(&path, &copy).unwrap();
        assert_eq!(opened.history.now(), history.now());
        drop(store);
        assert_eq!(read_project(&path).unwrap().now(), history.now());
        let read_only = fs::Permissions::from_mode(0o555);
        fs::set_permissions(folder.path(), read_only).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o444)).unwrap();
        // The administrator may write everywhere.
        assert_eq!(read_project(&path).unwrap().now(), history.now());
        fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o755)).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).unwrap();
        let rescued = folder.path().join("rescued.segue");
        assert_eq!(rescue(history.now(), folder.path(), &rescued).unwrap().history.now(), history.now());
        assert!(rescue(history.now(), folder.path(), &rescued).is_err());
        drop(opened);
        assert_eq!(names(folder.path()), ["a.segue", "copy.segue", "rescued.segue"]);
        assert_eq!(Store::open(&rescued).unwrap().history.now(), history.now());
    }
}
