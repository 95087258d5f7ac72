//! The place of a project file: a file that is moved, deleted or replaced while it is open is noticed, and the project can be
//! written anew, there or elsewhere.

use std::{
    fs::{self, File},
    io::{self, Read as _, Seek as _, SeekFrom},
    path::{Path, PathBuf},
    time::SystemTime,
};

use rusqlite::{Connection, config::DbConfig, functions::FunctionFlags};
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

/// A fingerprint of the project file after our last write. While a project is open, only SQLite's checkpoints change its file.
///
/// Two kinds of foreign writes go unnoticed: those within the time resolution of the file system that leave the length as it
/// was, and those in the middle of our own write. On Windows other programs cannot write into the file.
#[derive(Debug)]
pub(super) struct Stamp {
    /// Open as long as the database: closing it would end the lock.
    file: File,
    length: u64,
    modified: Option<SystemTime>,
    checksum: u32,
    /// The log, if there is one.
    log: Option<Identity>,
}

impl Stamp {
    /// Takes the fingerprint of the file at a path.
    pub(super) fn of(path: &Path) -> io::Result<Self> {
        let file = File::open(path)?;
        let mut stamp = Self { file, length: 0, modified: None, checksum: 0, log: None };
        stamp.renew(path)?;
        Ok(stamp)
    }

    /// Updates the fingerprint after our own write.
    pub(super) fn renew(&mut self, path: &Path) -> io::Result<()> {
        self.log = identity(&log_of(path)).ok();
        self.update().map(drop)
    }

    /// Updates the fingerprint; returns true if the contents changed.
    fn update(&mut self) -> io::Result<bool> {
        if cfg!(windows) {
            return Ok(false);
        }
        let metadata = self.file.metadata()?;
        let (length, modified) = (metadata.len(), metadata.modified().ok());
        if (length, modified) == (self.length, self.modified) {
            return Ok(false);
        }
        (self.length, self.modified) = (length, modified);
        let checksum = self.checksum()?;
        Ok(std::mem::replace(&mut self.checksum, checksum) != checksum)
    }

    fn checksum(&mut self) -> io::Result<u32> {
        let (mut hasher, mut piece) = (crc32fast::Hasher::new(), vec![0; 1 << 18]);
        self.file.seek(SeekFrom::Start(0))?;
        loop {
            match self.file.read(&mut piece)? {
                0 => return Ok(hasher.finalize()),
                n => hasher.update(&piece[..n]),
            }
        }
    }
}

/// The state of an open project file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum FileState {
    /// It is as it was.
    InPlace,
    /// Its log was deleted.
    WithoutLog,
    /// Nothing is at its path.
    Gone,
    /// Another file is at its path.
    Replaced,
    /// Another program has written into it.
    Changed,
}

impl Store {
    /// True if the file at its path is the one that is open, and no other program has changed it.
    pub fn is_in_place(&mut self) -> bool {
        self.state() == FileState::InPlace
    }

    fn state(&mut self) -> FileState {
        if self.is_changed {
            return FileState::Changed;
        }
        match identity(&self.path) {
            Err(_) => FileState::Gone,
            Ok(identity) if identity != self.identity => {
                self.part_from_log();
                FileState::Replaced
            }
            // A file that cannot be read now is not known to have changed.
            Ok(_) if self.stamp.update().unwrap_or(false) => {
                self.abandon_file();
                FileState::Changed
            }
            Ok(_) if self.stamp.log.is_some() && !log_of(&self.path).exists() => FileState::WithoutLog,
            Ok(_) => FileState::InPlace,
        }
    }

    /// Keeps what the log holds out of a file that another program has written into.
    fn abandon_file(&mut self) {
        self.is_changed = true;
        self.remove_log();
    }

    /// Writes what the log holds into the file, which is now elsewhere, and removes the log: SQLite would take it for that of
    /// the file which is in the place now.
    fn part_from_log(&mut self) {
        if self.checkpoint().is_ok() {
            self.stamp.update().ok();
        }
        self.remove_log();
    }

    /// Removes the log, unless another file is in its place, and has SQLite leave alone whatever is there later.
    fn remove_log(&self) {
        self.db.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true).ok();
        let log = log_of(&self.path);
        if self.stamp.log.is_some() && identity(&log).ok() == self.stamp.log {
            fs::remove_file(log).ok();
        }
    }

    /// Writes the whole project, with all its steps, if its file is no longer at its path or has lost its log. Returns true if
    /// it restored the file.
    ///
    /// # Errors
    /// If another file is at the path, another program has written into the file, or it cannot be written. The file at the path
    /// is then unchanged.
    pub fn restore(&mut self) -> Result<bool, StoreError> {
        match self.state() {
            FileState::InPlace => return Ok(false),
            FileState::Replaced => return Err(StoreError::Replaced { path: self.path.clone() }),
            FileState::Changed => return Err(StoreError::Changed { path: self.path.clone() }),
            FileState::WithoutLog => return self.renew_log().map(|()| true),
            FileState::Gone => {}
        }
        let copy = copy_of(&self.db, &self.path)?;
        // The file may have been moved.
        self.part_from_log();
        *self = Self::put(copy, &self.path)?;
        Ok(true)
    }

    /// Writes what the deleted log holds into the file, which then gets a new log.
    fn renew_log(&mut self) -> Result<(), StoreError> {
        self.checkpoint()?;
        let nothing = Connection::open_in_memory().map_err(StoreError::Write)?;
        drop(std::mem::replace(&mut self.db, nothing));
        // Until it is open again, there is nothing to read from.
        self.is_changed = true;
        self.db = connected(&self.path).map_err(StoreError::Write)?;
        self.is_changed = false;
        self.stamp.renew(&self.path).map_err(|cause| StoreError::putting(&self.path, cause))
    }

    /// Writes what the log holds into the file.
    fn checkpoint(&self) -> Result<(), StoreError> {
        self.db.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(())).map_err(StoreError::Write)
    }

    /// Writes the whole project, with all its steps and what is still to be written, to another path, where there must be no
    /// file, and opens it there. The paths of media are told from there.
    ///
    /// # Errors
    /// If there is a file, it cannot be written, or another program has written into the open file. Nothing is then left there.
    pub fn save_elsewhere(&mut self, path: &Path, left: &[Write]) -> Result<Opened, StoreError> {
        if self.state() == FileState::Changed {
            return Err(StoreError::Changed { path: self.path.clone() });
        }
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
        Self::of(connected(path).map_err(StoreError::Write)?, path).map_err(failed)
    }
}

impl Drop for Store {
    /// Keeps what the log holds out of a file that was changed since the last look.
    fn drop(&mut self) {
        self.state();
    }
}

/// Opens the database at a path, which is known to be a project.
fn connected(path: &Path) -> rusqlite::Result<Connection> {
    connect(path).and_then(|db| use_log(&db).map(|()| db))
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
    fn deleted_log_loses_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.segue");
        let (mut store, mut history) = made(&path);
        fs::remove_file(log_of(&path)).unwrap();
        assert!(store.restore().unwrap() && store.is_in_place());
        store.write(&add(&mut history, "late")).unwrap();
        assert!(matches!(Store::open(&path), Err(StoreError::InUse { .. })), "it is locked still");
        // As a program that is killed leaves it.
        let copy = folder.path().join("copy.segue");
        assert_eq!(open_copy(&path, &copy).unwrap().history.now(), history.now());
    }

    #[test]
    fn foreign_write_is_left_alone() {
        let cut = |path: &Path| File::options().write(true).open(path).unwrap().set_len(0).unwrap();
        let copied = |path: &Path| {
            let other = path.with_file_name("other.segue");
            drop(made(&other));
            fs::copy(&other, path).unwrap();
        };
        for damage in [&cut as &dyn Fn(&Path), &copied] {
            let folder = tempfile::tempdir().unwrap();
            let path = folder.path().join("a.segue");
            let (mut store, mut history) = made(&path);
            // Only the time changes.
            File::options().write(true).open(&path).unwrap().set_modified(SystemTime::UNIX_EPOCH).unwrap();
            assert!(store.is_in_place());
            store.write(&add(&mut history, "late")).unwrap();
            damage(&path);
            let bytes = store.stamp.checksum().unwrap();
            let error = store.restore().unwrap_err();
            assert!(error.to_string().contains("another program has written into its file"), "{error}");
            let elsewhere = folder.path().join("b.segue");
            assert!(store.save_elsewhere(&elsewhere, &[]).unwrap_err().is_of_reading());
            assert_eq!(store.stamp.checksum().unwrap(), bytes);
            let rescued = rescue(history.now(), folder.path(), &elsewhere).unwrap();
            assert_eq!(rescued.history.now(), history.now());
            let after = fs::read(&path).unwrap();
            drop((store, rescued));
            assert!(fs::read(&path).unwrap() == after && names(folder.path())[..2] == ["a.segue", "b.segue"]);
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
        // Else it would be read as the log of the other file.
        assert_eq!(names(folder.path()), ["a.segue"]);

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
