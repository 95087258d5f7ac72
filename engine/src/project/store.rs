//! The project file: an SQLite database in which whatever a person does is one transaction.
//!
//! Its lock is SQLite's own and goes with the process. On Unix it also goes when this process opens the file by other
//! means and closes it again, so nothing else in Segue opens a project file.

mod place;
#[cfg(test)]
mod tests;

use std::{
    io,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use rusqlite::{
    Connection, ErrorCode, OpenFlags, Params, Row, TransactionBehavior, config::DbConfig, ffi, params,
    types::FromSqlError,
};
use serde::de::DeserializeOwned;

pub use place::{open_copy, read_project, rescue};

use super::{
    CategoryId, Change, Entry, History, Key, Medium, MediumId, MediumKind, ObjectId, Project, RunId, Step,
    StepId, Write, history::HELD,
};
use crate::{file::folder_of, messages::shortened};

/// "SEGU": marks the database as a project.
const APPLICATION: i32 = 0x5345_4755;

/// What makes each version of the file from the one before, the first from nothing.
const MIGRATIONS: &[&str] = &[
    include_str!("store/version_1.sql"),
    include_str!("store/version_2.sql"),
    include_str!("store/version_3.sql"),
];

/// A project file that is open, and locked against a second window.
#[derive(Debug)]
pub struct Store {
    db: Connection,
    path: PathBuf,
    identity: place::Identity,
    stamp: place::Stamp,
    /// True once another program has written into the file; never reset.
    is_changed: bool,
}

/// A project file with what it holds.
#[derive(Debug)]
pub struct Opened {
    /// The file.
    pub store: Store,
    /// The project with its newest steps, and all that were taken back.
    pub history: History,
}

/// Why a project file cannot be opened, read or written.
///
/// A cause is part of the sentence and is therefore not the error's `source()`: printing the chain says nothing twice.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// Another [`Store`], of this process or another, has it.
    #[error("cannot open project: it is open in another window; close it there first: {}", path.display())]
    InUse {
        /// The file.
        path: PathBuf,
    },
    /// Its version is above this program's.
    #[error("cannot open project: a newer Segue made it; get the newest Segue: {}", path.display())]
    Newer {
        /// The file.
        path: PathBuf,
    },
    /// It is something else.
    #[error("cannot open project: the file is no Segue project: {}", path.display())]
    NotProject {
        /// The file.
        path: PathBuf,
    },
    /// It cannot be reached or is damaged.
    #[error("cannot open project: {}: {}", reason_at(cause, path), path.display())]
    Open {
        /// The file.
        path: PathBuf,
        /// What SQLite said.
        cause: rusqlite::Error,
    },
    /// Another file is at its path.
    #[error("cannot save project: another file is in its place; save the project elsewhere: {}", path.display())]
    Replaced {
        /// The path.
        path: PathBuf,
    },
    /// Another program has written into it.
    #[error("cannot save project: another program has written into its file; save the project elsewhere: {}", path.display())]
    Changed {
        /// The file.
        path: PathBuf,
    },
    /// No file can be put at its path.
    #[error("cannot save project: {}: {}", why(cause), path.display())]
    Put {
        /// The path.
        path: PathBuf,
        /// What the system said.
        cause: io::Error,
    },
    /// Nothing of the writes is in the file.
    #[error("cannot save project: {}", reason(.0))]
    Write(rusqlite::Error),
    /// Steps cannot be read back.
    #[error("cannot read earlier steps: {}", reason(.0))]
    Older(rusqlite::Error),
}

impl StoreError {
    /// True if nothing can be written where the file is or would be, but perhaps elsewhere.
    pub fn is_of_place(&self) -> bool {
        let Self::Open { cause, .. } = self else { return matches!(self, Self::Put { .. }) };
        let code = cause.sqlite_error_code();
        matches!(code, Some(ErrorCode::ReadOnly | ErrorCode::CannotOpen | ErrorCode::DiskFull))
    }

    /// True if the open file can no longer be read, such as on a disk that was unplugged, or was changed by another program.
    pub fn is_of_reading(&self) -> bool {
        let Self::Write(cause) = self else { return matches!(self, Self::Changed { .. }) };
        let code = cause.sqlite_error_code();
        matches!(code, Some(ErrorCode::SystemIoFailure | ErrorCode::DatabaseCorrupt | ErrorCode::CannotOpen))
    }

    /// True if the file at the project's path no longer holds the project.
    pub fn is_of_whole_project(&self) -> bool {
        matches!(self, Self::Replaced { .. } | Self::Changed { .. } | Self::Put { .. })
    }

    fn putting(path: &Path, cause: io::Error) -> Self {
        Self::Put { path: path.to_owned(), cause }
    }

    fn opening(path: &Path, cause: rusqlite::Error) -> Self {
        let path = path.to_owned();
        match cause.sqlite_error_code() {
            Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => Self::InUse { path },
            Some(ErrorCode::NotADatabase) => Self::NotProject { path },
            _ => Self::Open { path, cause },
        }
    }
}

/// What the system says of a file, for people.
fn why(cause: &io::Error) -> String {
    match cause.kind() {
        io::ErrorKind::NotFound => "its folder is no longer there".to_owned(),
        io::ErrorKind::StorageFull => "the disk is full; make room first".to_owned(),
        io::ErrorKind::ReadOnlyFilesystem | io::ErrorKind::PermissionDenied => {
            "its folder may not be written".to_owned()
        }
        _ => cause.to_string(),
    }
}

/// Explains an error of SQLite on opening a file.
fn reason_at(cause: &rusqlite::Error, path: &Path) -> String {
    match cause.sqlite_error_code() {
        Some(ErrorCode::CannotOpen) if path.is_dir() => "it is a folder".to_owned(),
        Some(ErrorCode::CannotOpen) if !folder_of(path).is_dir() => "its folder does not exist".to_owned(),
        Some(ErrorCode::CannotOpen) => "its folder may not be written".to_owned(),
        _ => reason(cause),
    }
}

/// What SQLite says, for people.
fn reason(cause: &rusqlite::Error) -> String {
    match cause.sqlite_error_code() {
        Some(ErrorCode::DiskFull) => "the disk is full; make room first".to_owned(),
        Some(ErrorCode::ReadOnly) => "the file may not be written".to_owned(),
        Some(ErrorCode::CannotOpen) => "there is no such folder, or it may not be written".to_owned(),
        // Without the SQL statement, which users cannot use.
        Some(_) => match cause {
            rusqlite::Error::SqlInputError { msg, .. } => msg.clone(),
            cause => cause.to_string(),
        },
        None => format!("the file is damaged ({})", shortened(&cause.to_string(), 100)),
    }
}

impl Store {
    /// Opens the project file at `path`, or makes it where there is none or an empty one.
    ///
    /// # Errors
    /// It is open already, of a newer version, something else, damaged, or cannot be written. It is then as it was.
    pub fn open(path: &Path) -> Result<Opened, StoreError> {
        let opening = |cause| StoreError::opening(path, cause);
        let mut db = connect(path).map_err(opening)?;
        match prepare(&mut db, MIGRATIONS).map_err(opening)? {
            Found::Project => {}
            Found::Newer => return Err(StoreError::Newer { path: path.to_owned() }),
            Found::Other => return Err(StoreError::NotProject { path: path.to_owned() }),
        }
        let history = history(&db).map_err(opening)?;
        use_log(&db).map_err(opening)?;
        let store = Self::of(db, path).map_err(|cause| StoreError::putting(path, cause))?;
        Ok(Opened { store, history })
    }

    fn of(db: Connection, path: &Path) -> io::Result<Self> {
        let (identity, stamp) = (place::identity(path)?, place::Stamp::of(path)?);
        Ok(Self { db, path: path.to_owned(), identity, stamp, is_changed: false })
    }

    /// Writes down what [`History::take_unwritten`] gave: all or nothing.
    ///
    /// # Errors
    /// If the disk is full or does not let itself be written.
    pub fn write(&mut self, writes: &[Write]) -> Result<(), StoreError> {
        let written = write_all(&mut self.db, writes).map_err(StoreError::Write);
        // Even a failed write may have moved parts of the log into the file.
        self.stamp.renew(&self.path).ok();
        written
    }

    /// Lets the file have no more pages than it has, or so many.
    #[cfg(test)]
    pub(crate) fn limit_pages(&self, n: u32) {
        self.db.query_row(&format!("PRAGMA max_page_count = {n}"), [], |_| Ok(())).unwrap();
    }

    /// Up to `n` steps directly before step `before`, the latest last, and whether there are older ones.
    ///
    /// # Errors
    /// If the file cannot be read any more.
    pub fn older(&mut self, before: StepId, n: usize) -> Result<(Vec<Step>, bool), StoreError> {
        older(&self.db, before, n).map_err(StoreError::Older)
    }
}

/// What the file is.
#[derive(Debug, PartialEq)]
enum Found {
    Project,
    Newer,
    Other,
}

fn connect(path: &Path) -> rusqlite::Result<Connection> {
    // What is refused stays as it is, with the log that it came with; one that only began here goes again.
    let has_log = place::log_of(path).exists();
    // Without SQLITE_OPEN_URI: a path that begins with `file:` is a path.
    let flags = OpenFlags::default().difference(OpenFlags::SQLITE_OPEN_URI);
    let db = Connection::open_with_flags(path, flags)?;
    if db.is_readonly("main")? {
        return Err(rusqlite::Error::SqliteFailure(ffi::Error::new(ffi::SQLITE_READONLY), None));
    }
    db.busy_timeout(Duration::ZERO)?;
    db.set_prepared_statement_cache_capacity(64);
    db.pragma_update(None, "locking_mode", "EXCLUSIVE")?;
    db.pragma_update(None, "synchronous", "NORMAL")?;
    db.pragma_update(None, "foreign_keys", true)?;
    db.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, has_log)?;
    // The file may come from anyone: nothing that its schema holds is run.
    db.set_db_config(DbConfig::SQLITE_DBCONFIG_DEFENSIVE, true)?;
    db.set_db_config(DbConfig::SQLITE_DBCONFIG_TRUSTED_SCHEMA, false)?;
    db.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_TRIGGER, false)?;
    db.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_VIEW, false)?;
    Ok(db)
}

/// Makes the file one of the newest version, if it is new or a project.
fn prepare(db: &mut Connection, migrations: &[&str]) -> rusqlite::Result<Found> {
    let transaction = db.transaction_with_behavior(TransactionBehavior::Exclusive)?;
    let application: i32 = transaction.pragma_query_value(None, "application_id", |row| row.get(0))?;
    let version: u32 = transaction.pragma_query_value(None, "user_version", |row| row.get(0))?;
    let is_empty = "SELECT NOT EXISTS (SELECT * FROM sqlite_schema)";
    let is_new = application == 0 && version == 0 && transaction.query_row(is_empty, [], |row| row.get(0))?;
    if application != APPLICATION && !is_new {
        return Ok(Found::Other);
    }
    let has_code = "SELECT EXISTS (SELECT * FROM sqlite_schema WHERE type IN ('view', 'trigger'))";
    if transaction.query_row(has_code, [], |row| row.get(0))? {
        return Ok(Found::Other);
    }
    let Some(missing) = migrations.get(version as usize..) else { return Ok(Found::Newer) };
    if !missing.is_empty() {
        for migration in missing {
            transaction.execute_batch(migration)?;
        }
        transaction.pragma_update(None, "application_id", APPLICATION)?;
        transaction.pragma_update(None, "user_version", migrations.len() as u32)?;
    }
    // A file from elsewhere may hold tables, indexes or columns with expressions that compute without end.
    let mut own = Connection::open_in_memory()?;
    let made = own.transaction()?;
    migrations.iter().try_for_each(|migration| made.execute_batch(migration))?;
    if schema(&transaction)? != schema(&made)? {
        return Ok(Found::Other);
    }
    transaction.commit()?;
    Ok(Found::Project)
}

/// What a database consists of: names, and how each was made.
fn schema(db: &Connection) -> rusqlite::Result<Vec<(String, String)>> {
    // SQLite's own tables are named so; nothing else can be.
    let all = "SELECT name, coalesce(sql, '') FROM sqlite_schema WHERE name NOT LIKE 'sqlite\\_%' ESCAPE '\\' \
               ORDER BY name";
    let mut statement = db.prepare(all)?;
    let rows = statement.query_map([], |row| {
        let sql: String = row.get(1)?;
        Ok((row.get(0)?, sql.split_whitespace().collect::<Vec<_>>().join(" ")))
    })?;
    rows.collect()
}

/// From here on, what is written goes to a log beside the file, which is folded into it when it is closed.
fn use_log(db: &Connection) -> rusqlite::Result<()> {
    db.pragma_update(None, "journal_mode", "WAL")?;
    db.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, false).map(drop)
}

fn history(db: &Connection) -> rusqlite::Result<History> {
    let next = db.query_row("SELECT coalesce(max(id), 0) + 1 FROM steps", [], |row| row.get(0))?;
    let redo = steps(db, "SELECT id, title FROM steps WHERE undone ORDER BY id DESC", [])?;
    // What was taken back comes after all that was not.
    let (undo, has_older) = older(db, redo.last().map_or(next, |step| step.id), HELD)?;
    Ok(History::new(project(db)?, undo, redo, has_older, next))
}

fn project(db: &Connection) -> rusqlite::Result<Project> {
    let mut project = Project::default();
    let mut statement = db.prepare(
        "SELECT 'medium', id, 0, value FROM media
        UNION ALL SELECT 'category', id, 0, value FROM categories
        UNION ALL SELECT 'object', medium, id, value FROM objects
        UNION ALL SELECT 'segment', object, frame, value FROM segments
        UNION ALL SELECT 'run', step, n, value FROM runs
        UNION ALL SELECT 'rejected', medium, id, value FROM rejected",
    )?;
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        let key = key(row)?;
        project.set(key, entry(key, row, 3)?);
    }
    Ok(project)
}

fn write_all(db: &mut Connection, writes: &[Write]) -> rusqlite::Result<()> {
    let transaction = db.transaction()?;
    for write in writes {
        match write {
            Write::Step(step) => add(&transaction, step)?,
            Write::Amend { step, change } => amend(&transaction, *step, change)?,
            Write::Undo(step) => {
                set_all(&transaction, *step, "before")?;
                run(&transaction, "UPDATE steps SET undone = TRUE WHERE id = ?1", [step])?;
            }
            Write::Redo(step) => {
                set_all(&transaction, *step, "after")?;
                run(&transaction, "UPDATE steps SET undone = FALSE WHERE id = ?1", [step])?;
            }
        }
    }
    transaction.commit()
}

fn older(db: &Connection, before: StepId, n: usize) -> rusqlite::Result<(Vec<Step>, bool)> {
    let sql = "SELECT id, title FROM steps WHERE id < ?1 ORDER BY id DESC LIMIT ?2";
    let mut steps = steps(db, sql, params![before, n as i64])?;
    steps.reverse();
    let oldest = steps.first().map_or(before, |step| step.id);
    let exists = "SELECT EXISTS (SELECT * FROM steps WHERE id < ?1)";
    Ok((steps, db.query_row(exists, [oldest], |row| row.get(0))?))
}

/// Steps with all that they changed, as `sql` tells their ids and titles.
fn steps(db: &Connection, sql: &str, params: impl Params) -> rusqlite::Result<Vec<Step>> {
    let mut changes = db.prepare_cached("SELECT kind, a, b, before, after FROM changes WHERE step = ?1")?;
    let mut changes_of = |id: StepId| -> rusqlite::Result<Vec<Change>> {
        let change = |row: &Row<'_>| {
            let key = key(row)?;
            Ok(Change { key, before: entry(key, row, 3)?, after: entry(key, row, 4)? })
        };
        let mut changes: Vec<Change> = changes.query_map([id], change)?.collect::<rusqlite::Result<_>>()?;
        changes.sort_unstable_by_key(|change| change.key);
        Ok(changes)
    };
    let step = |row: &Row<'_>| {
        let id = row.get(0)?;
        Ok(Step { id, title: row.get(1)?, changes: Arc::new(changes_of(id)?) })
    };
    db.prepare_cached(sql)?.query_map(params, step)?.collect()
}

/// A new step takes the place of those that were taken back.
fn add(db: &Connection, step: &Step) -> rusqlite::Result<()> {
    run(db, "DELETE FROM steps WHERE undone", [])?;
    run(db, "INSERT INTO steps (id, title) VALUES (?1, ?2)", params![step.id, step.title])?;
    for Change { key, before, after } in step.changes.iter() {
        let (kind, a, b) = columns(*key);
        let (before, after) = (json(before.as_ref())?, json(after.as_ref())?);
        let insert = "INSERT INTO changes (step, kind, a, b, before, after) VALUES (?1, ?2, ?3, ?4, ?5, ?6)";
        run(db, insert, params![step.id, kind, a, b, before, after])?;
        set(db, *key, after.as_deref())?;
    }
    Ok(())
}

fn amend(db: &Connection, step: Option<StepId>, change: &Change) -> rusqlite::Result<()> {
    let (before, after) = (json(change.before.as_ref())?, json(change.after.as_ref())?);
    if let Some(step) = step {
        let (kind, a, b) = columns(change.key);
        let upsert = "INSERT INTO changes (step, kind, a, b, before, after) VALUES (?1, ?2, ?3, ?4, ?5, ?6)
            ON CONFLICT (step, kind, a, b) DO UPDATE SET after = excluded.after";
        run(db, upsert, params![step, kind, a, b, before, after])?;
    }
    set(db, change.key, after.as_deref())
}

/// Makes all that the step changed what it was `before` or `after` it.
fn set_all(db: &Connection, step: StepId, when: &str) -> rusqlite::Result<()> {
    let mut values = db.prepare_cached(&format!("SELECT kind, a, b, {when} FROM changes WHERE step = ?1"))?;
    let mut rows = values.query([step])?;
    while let Some(row) = rows.next()? {
        set(db, key(row)?, row.get_ref(3)?.as_str_or_null()?)?;
    }
    Ok(())
}

/// Sets or removes one entry of what the project holds now.
fn set(db: &Connection, key: Key, value: Option<&str>) -> rusqlite::Result<()> {
    let (_, a, b) = columns(key);
    match (key, value) {
        (Key::Medium(_), Some(value)) => run(db, "REPLACE INTO media VALUES (?1, ?2)", params![a, value]),
        (Key::Medium(_), None) => run(db, "DELETE FROM media WHERE id = ?1", [a]),
        (Key::Category(_), Some(value)) => {
            run(db, "REPLACE INTO categories VALUES (?1, ?2)", params![a, value])
        }
        (Key::Category(_), None) => run(db, "DELETE FROM categories WHERE id = ?1", [a]),
        (Key::Object(..), Some(value)) => {
            run(db, "REPLACE INTO objects VALUES (?1, ?2, ?3)", params![a, b, value])
        }
        (Key::Object(..), None) => run(db, "DELETE FROM objects WHERE medium = ?1 AND id = ?2", [a, b]),
        (Key::Segment(..), Some(value)) => {
            run(db, "REPLACE INTO segments VALUES (?1, ?2, ?3)", params![a, b, value])
        }
        (Key::Segment(..), None) => run(db, "DELETE FROM segments WHERE object = ?1 AND frame = ?2", [a, b]),
        (Key::Run(_), Some(value)) => run(db, "REPLACE INTO runs VALUES (?1, ?2, ?3)", params![a, b, value]),
        (Key::Run(_), None) => run(db, "DELETE FROM runs WHERE step = ?1 AND n = ?2", [a, b]),
        (Key::Rejected(..), Some(value)) => {
            run(db, "REPLACE INTO rejected VALUES (?1, ?2, ?3)", params![a, b, value])
        }
        (Key::Rejected(..), None) => run(db, "DELETE FROM rejected WHERE medium = ?1 AND id = ?2", [a, b]),
    }
}

fn run(db: &Connection, sql: &str, params: impl Params) -> rusqlite::Result<()> {
    db.prepare_cached(sql)?.execute(params).map(drop)
}

/// A key as the columns `kind`, `a` and `b`.
fn columns(key: Key) -> (&'static str, i64, i64) {
    match key {
        Key::Medium(id) => ("medium", id.0.into(), 0),
        Key::Category(id) => ("category", id.0.into(), 0),
        Key::Object(medium, id) => ("object", medium.0.into(), id.0.into()),
        Key::Segment(object, frame) => ("segment", object.0.into(), frame as i64),
        Key::Run(RunId { step, n }) => ("run", step, n.into()),
        Key::Rejected(medium, id) => ("rejected", medium.0.into(), id.into()),
    }
}

/// The key that a row begins with.
fn key(row: &Row<'_>) -> rusqlite::Result<Key> {
    Ok(match row.get_ref(0)?.as_str()? {
        "medium" => Key::Medium(MediumId(row.get(1)?)),
        "category" => Key::Category(CategoryId(row.get(1)?)),
        "object" => Key::Object(MediumId(row.get(1)?), ObjectId(row.get(2)?)),
        "segment" => Key::Segment(ObjectId(row.get(1)?), row.get::<_, i64>(2)? as usize),
        "run" => Key::Run(RunId { step: row.get(1)?, n: row.get(2)? }),
        "rejected" => Key::Rejected(MediumId(row.get(1)?), row.get(2)?),
        _ => return Err(FromSqlError::InvalidType.into()),
    })
}

/// An entry as JSON.
fn json(entry: Option<&Entry>) -> rusqlite::Result<Option<String>> {
    let json = entry.map(|entry| match entry {
        Entry::Medium(medium) => serde_json::to_string(medium),
        Entry::Category(category) => serde_json::to_string(category),
        Entry::Object(object) => serde_json::to_string(object),
        Entry::Segment(segment) => serde_json::to_string(segment),
        Entry::Run(run) => serde_json::to_string(run),
        Entry::Rejected(not) => serde_json::to_string(not),
    });
    json.transpose().map_err(|cause| rusqlite::Error::ToSqlConversionFailure(cause.into()))
}

/// Frames of a video, of which a project from elsewhere may claim any number: 155 hours at 30 a second.
const MAX_FRAMES: usize = 1 << 24;

/// Refuses a medium that cannot be.
fn checked(medium: Arc<Medium>) -> rusqlite::Result<Arc<Medium>> {
    let is_possible = match medium.kind {
        MediumKind::Image => medium.n_frames == 1,
        MediumKind::Video => (1..=MAX_FRAMES).contains(&medium.n_frames),
    };
    if is_possible && medium.size.area() > 0 {
        return Ok(medium);
    }
    let what = format!("{} frames of {} pixels are no image or video", medium.n_frames, medium.size);
    Err(FromSqlError::Other(what.into()).into())
}

/// The entry of this key in a column of a row.
fn entry(key: Key, row: &Row<'_>, column: usize) -> rusqlite::Result<Option<Entry>> {
    fn parse<T: DeserializeOwned>(json: &str) -> rusqlite::Result<Arc<T>> {
        Ok(Arc::new(serde_json::from_str(json).map_err(FromSqlError::other)?))
    }
    let Some(json) = row.get_ref(column)?.as_str_or_null()? else { return Ok(None) };
    Ok(Some(match key {
        Key::Medium(_) => Entry::Medium(checked(parse(json)?)?),
        Key::Category(_) => Entry::Category(parse(json)?),
        Key::Object(..) => Entry::Object(parse(json)?),
        Key::Segment(..) => Entry::Segment(parse(json)?),
        Key::Run(_) => Entry::Run(parse(json)?),
        Key::Rejected(..) => Entry::Rejected(parse(json)?),
    }))
}
