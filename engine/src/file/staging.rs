//! Folders that are made beside their target, and put in its place when they are complete.

use std::{
    collections::BTreeSet,
    fs, io,
    io::Write as _,
    path::{Path, PathBuf},
    time::Duration,
};

use serde_json::Value;

use super::{end_of_links, folder_of, has_suffix, write_atomically};

/// The names of folders in the making begin like this.
const PREFIX: &str = ".segue-staging-";
/// The key of the list of files in a manifest.
const PATHS: &str = "paths";
/// Staging folders are locked at once when they are made; older ones without a lock are of runs that were killed.
const LOCKED_WITHIN: Duration = Duration::from_secs(60);

/// Why a folder is not put in its place.
#[derive(Debug, thiserror::Error)]
#[expect(missing_docs, reason = "the sentences are the documentation")]
pub enum StagingError {
    #[error("{} is not empty and no earlier export of Segue; choose another folder", .0.display())]
    NotEmpty(PathBuf),

    #[error("{} is an export of an older Segue that lists no files; delete it or choose another folder", .0.display())]
    Unlisted(PathBuf),

    #[error("{} holds the project {}; choose another folder", folder.display(), project.display())]
    Project { folder: PathBuf, project: PathBuf },

    #[error("{} is in the way and was not written by Segue; move it or choose another folder", .0.display())]
    InTheWay(PathBuf),

    #[error("cannot write {}: {cause}", path.display())]
    Write { path: PathBuf, cause: io::Error },
}

/// A folder in the making. It becomes `target`, in which files that an earlier run did not write stay.
///
/// A file in the folder, the manifest, lists all files, so that a later run knows which ones it may replace.
#[derive(Debug)]
pub(crate) struct Staging {
    folder: tempfile::TempDir,
    target: PathBuf,
    manifest: &'static str,
    /// Shows other runs that this one is alive; where folders cannot be locked, staging folders of killed runs stay.
    _lock: Option<fs::File>,
}

impl Staging {
    /// Makes an empty folder beside `target`, whose parent is made if it is missing, and removes staging folders of killed
    /// runs there.
    ///
    /// # Errors
    /// If `target` has files but no manifest, or a project in it, or nothing can be written there.
    pub(crate) fn beside(target: &Path, manifest: &'static str) -> Result<Self, StagingError> {
        let target = &end_of_links(target);
        check(target, manifest)?;
        let staging = || {
            let parent = folder_of(target);
            fs::create_dir_all(&parent)?;
            remove_abandoned(&parent);
            let folder = tempfile::Builder::new().prefix(PREFIX).tempdir_in(parent)?;
            let lock = fs::File::open(folder.path()).ok().filter(|folder| folder.try_lock().is_ok());
            Ok(Self { folder, target: target.to_owned(), manifest, _lock: lock })
        };
        staging().map_err(|cause| StagingError::Write { path: target.to_owned(), cause })
    }

    pub(crate) fn path(&self) -> &Path {
        self.folder.path()
    }

    /// Writes the manifest, a JSON object with `about` and the paths of all files, and puts the folder in place.
    ///
    /// # Errors
    /// If a file of the target that no earlier run wrote has a path of a new one, or what the system says. The target is
    /// then as it was; but where the file system has no hard links and there are such files, some may be replaced already.
    pub(crate) fn put(self, mut about: Value) -> Result<(), StagingError> {
        let writing = |cause| StagingError::Write { path: self.target.clone(), cause };
        let (mut files, _) = walk(self.path()).map_err(writing)?;
        files.insert(PathBuf::from(self.manifest));
        let name = |path: &PathBuf| Value::from(path.to_string_lossy().replace('\\', "/"));
        about[PATHS] = files.iter().map(name).collect();
        let manifest = self.path().join(self.manifest);
        let json = serde_json::to_vec_pretty(&about).map_err(io::Error::from);
        json.and_then(|json| write_atomically(&manifest, |out| out.write_all(&json))).map_err(writing)?;
        allow_reading(self.path()).map_err(writing)?;
        if !self.target.exists() {
            return fs::rename(self.path(), &self.target).map_err(writing);
        }
        let mut earlier = listed(&self.target.join(self.manifest)).unwrap_or_default();
        earlier.insert(PathBuf::from(self.manifest));
        let (there, folders) = walk(&self.target).map_err(writing)?;
        let (replaced, others): (Vec<PathBuf>, Vec<PathBuf>) =
            there.into_iter().partition(|file| earlier.contains(file));
        if let Some(other) = others.iter().find(|other| self.path().join(other).symlink_metadata().is_ok()) {
            return Err(StagingError::InTheWay(self.target.join(other)));
        }
        let placed = match link(&others, &folders, &replaced, &self.target, self.path()) {
            // What is now in the staging folder, the earlier contents, goes with it.
            Ok(()) => exchange(self.path(), &self.target),
            Err(_) => replace(&files, &replaced, self.path(), &self.target),
        };
        placed.map_err(writing)
    }
}

/// Checks that a folder may take the place of `target`.
fn check(target: &Path, manifest: &str) -> Result<(), StagingError> {
    if !target.is_dir() {
        return Ok(());
    }
    let (files, folders) =
        walk(target).map_err(|cause| StagingError::Write { path: target.to_owned(), cause })?;
    let project = files.iter().find(|file| has_suffix(file, &["segue"]));
    let is_empty = files.is_empty() && folders.is_empty();
    match project {
        Some(project) => Err(StagingError::Project { folder: target.to_owned(), project: project.clone() }),
        None if is_empty => Ok(()),
        None if !files.contains(Path::new(manifest)) => Err(StagingError::NotEmpty(target.to_owned())),
        None if listed(&target.join(manifest)).is_none() => Err(StagingError::Unlisted(target.to_owned())),
        None => Ok(()),
    }
}

/// The files that a manifest lists; none if it has no list.
fn listed(manifest: &Path) -> Option<BTreeSet<PathBuf>> {
    let about: Value = serde_json::from_slice(&fs::read(manifest).ok()?).ok()?;
    Some(about[PATHS].as_array()?.iter().filter_map(|path| path.as_str()).map(PathBuf::from).collect())
}

/// Returns all that is below a folder, by paths from there: files, links and the like, and folders. Links are not followed.
fn walk(root: &Path) -> io::Result<(BTreeSet<PathBuf>, Vec<PathBuf>)> {
    let (mut files, mut folders) = (BTreeSet::new(), Vec::new());
    let mut next = vec![PathBuf::new()];
    while let Some(folder) = next.pop() {
        for entry in fs::read_dir(root.join(&folder))? {
            let entry = entry?;
            let path = folder.join(entry.file_name());
            if entry.file_type()?.is_dir() {
                folders.push(path.clone());
                next.push(path);
            } else {
                files.insert(path);
            }
        }
    }
    Ok((files, folders))
}

/// Gives the other files of the target a second name in the staging folder, and makes folders there that hold none of the
/// replaced files.
fn link(
    others: &[PathBuf],
    folders: &[PathBuf],
    replaced: &[PathBuf],
    target: &Path,
    staging: &Path,
) -> io::Result<()> {
    let is_kept = |folder: &&PathBuf| !replaced.iter().any(|file| file.starts_with(folder));
    for folder in folders.iter().filter(is_kept) {
        fs::create_dir_all(staging.join(folder))?;
    }
    for other in others {
        fs::create_dir_all(folder_of(&staging.join(other)))?;
        fs::hard_link(target.join(other), staging.join(other))?;
    }
    Ok(())
}

/// Swaps two folders, in one step where the system can.
fn exchange(a: &Path, b: &Path) -> io::Result<()> {
    #[cfg(any(target_os = "linux", target_os = "macos"))]
    {
        use rustix::fs::{CWD, RenameFlags, renameat_with};
        if renameat_with(CWD, a, CWD, b, RenameFlags::EXCHANGE).is_ok() {
            return Ok(());
        }
    }
    let aside = a.with_extension("before");
    fs::rename(b, &aside)?;
    if let Err(error) = fs::rename(a, b) {
        fs::rename(&aside, b)?;
        return Err(error);
    }
    fs::rename(&aside, a)
}

/// Moves the new files into the target one by one, and removes those of an earlier run that are not among them.
fn replace(files: &BTreeSet<PathBuf>, replaced: &[PathBuf], staging: &Path, target: &Path) -> io::Result<()> {
    for file in files {
        fs::create_dir_all(folder_of(&target.join(file)))?;
        fs::rename(staging.join(file), target.join(file))?;
    }
    for file in replaced.iter().filter(|file| !files.contains(*file)) {
        fs::remove_file(target.join(file))?;
        // Only empty folders can be removed.
        let above = file.ancestors().skip(1).filter(|folder| !folder.as_os_str().is_empty());
        above.take_while(|folder| fs::remove_dir(target.join(folder)).is_ok()).for_each(drop);
    }
    Ok(())
}

/// Removes staging folders of runs that were killed.
fn remove_abandoned(parent: &Path) {
    for entry in fs::read_dir(parent).into_iter().flatten().flatten() {
        let is_staging = entry.file_name().to_string_lossy().starts_with(PREFIX)
            && entry.file_type().is_ok_and(|kind| kind.is_dir());
        let modified = entry.metadata().and_then(|metadata| metadata.modified());
        let is_old = || modified.is_ok_and(|at| at.elapsed().is_ok_and(|age| age > LOCKED_WITHIN));
        if is_staging && is_old() {
            let folder = fs::File::open(entry.path());
            if folder.is_ok_and(|folder| folder.try_lock().is_ok()) {
                fs::remove_dir_all(entry.path()).ok();
            }
        }
    }
}

/// Temporary folders are their owner's alone.
fn allow_reading(folder: &Path) -> io::Result<()> {
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt as _;
        fs::set_permissions(folder, fs::Permissions::from_mode(0o755))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const MANIFEST: &str = "list.json";

    fn put(path: &Path, text: &str) {
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        write_atomically(path, |out| out.write_all(text.as_bytes())).unwrap();
    }

    /// Puts a folder with these files in place.
    fn export(target: &Path, files: &[(&str, &str)]) -> Result<(), StagingError> {
        let staging = Staging::beside(target, MANIFEST)?;
        files.iter().for_each(|(name, text)| put(&staging.path().join(name), text));
        staging.put(json!({"format": "none"}))
    }

    /// The files below a folder and their text, but for the manifest.
    fn texts(folder: &Path) -> Vec<(String, String)> {
        let (files, _) = walk(folder).unwrap();
        let files = files.into_iter().filter(|file| file != Path::new(MANIFEST));
        files
            .map(|file| (file.to_str().unwrap().to_owned(), fs::read_to_string(folder.join(file)).unwrap()))
            .collect()
    }

    fn owned(texts: &[(&str, &str)]) -> Vec<(String, String)> {
        texts.iter().map(|(name, text)| ((*name).to_owned(), (*text).to_owned())).collect()
    }

    #[test]
    fn only_files_of_an_earlier_run_are_replaced() {
        let parent = tempfile::tempdir().unwrap();
        let target = parent.path().join("set");
        export(&target, &[("a/1", "old"), ("a/2", "old"), ("b/3", "old")]).unwrap();
        put(&target.join("a/mine"), "mine");
        put(&target.join("runs/best.pt"), "mine");
        fs::create_dir(target.join("empty")).unwrap();
        export(&target, &[("a/1", "new"), ("c/4", "new")]).unwrap();
        let want = [("a/1", "new"), ("a/mine", "mine"), ("c/4", "new"), ("runs/best.pt", "mine")];
        assert_eq!(texts(&target), owned(&want));
        assert!(target.join("empty").is_dir() && !target.join("b").exists());
        assert_eq!(fs::read_dir(parent.path()).unwrap().count(), 1, "no staging folder is left");
    }

    #[test]
    fn file_in_the_way_is_named_and_all_stays() {
        let parent = tempfile::tempdir().unwrap();
        let target = parent.path().join("set");
        export(&target, &[("a/1", "old")]).unwrap();
        put(&target.join("a/2"), "mine");
        let before = texts(&target);
        let error = export(&target, &[("a/1", "new"), ("a/2", "new")]).unwrap_err().to_string();
        assert!(error.contains("a/2 is in the way"), "{error}");
        assert_eq!(texts(&target), before);
    }

    #[test]
    fn folders_of_others_and_of_projects_are_refused() {
        let parent = tempfile::tempdir().unwrap();
        let target = parent.path().join("set");
        put(&target.join("x/mine"), "mine");
        assert!(matches!(export(&target, &[]), Err(StagingError::NotEmpty(_))));
        put(&target.join(MANIFEST), "{}");
        assert!(matches!(export(&target, &[]), Err(StagingError::Unlisted(_))));
        put(&target.join(MANIFEST), r#"{"paths": ["x/mine"]}"#);
        put(&target.join("deep/er/P.SEGUE"), "work");
        assert!(matches!(export(&target, &[]), Err(StagingError::Project { .. })));
        assert_eq!(fs::read_to_string(target.join("x/mine")).unwrap(), "mine");
    }

    #[test]
    fn lists_that_lead_outside_remove_nothing() {
        let parent = tempfile::tempdir().unwrap();
        let target = parent.path().join("set");
        put(&parent.path().join("mine"), "mine");
        put(&target.join(MANIFEST), r#"{"paths": ["../mine", "/etc/passwd", "a"]}"#);
        put(&target.join("a"), "old");
        export(&target, &[("b", "new")]).unwrap();
        assert_eq!(texts(&target), owned(&[("b", "new")]));
        assert_eq!(fs::read_to_string(parent.path().join("mine")).unwrap(), "mine");
    }

    #[test]
    fn without_hard_links_files_are_replaced_one_by_one() {
        let folder = tempfile::tempdir().unwrap();
        let [staging, target] = ["staging", "target"].map(|name| folder.path().join(name));
        put(&staging.join("a/1"), "new");
        for name in ["a/1", "b/c/2"] {
            put(&target.join(name), "old");
        }
        put(&target.join("a/mine"), "mine");
        let replaced = ["a/1", "b/c/2"].map(PathBuf::from);
        replace(&BTreeSet::from([PathBuf::from("a/1")]), &replaced, &staging, &target).unwrap();
        assert_eq!(texts(&target), owned(&[("a/1", "new"), ("a/mine", "mine")]));
        assert!(!target.join("b").exists());
    }

    #[cfg(unix)]
    #[test]
    fn staging_folders_of_killed_runs_are_removed() {
        let parent = tempfile::tempdir().unwrap();
        let stale = parent.path().join(format!("{PREFIX}abc"));
        put(&stale.join("x"), "");
        let hour_ago = std::time::SystemTime::now() - Duration::from_secs(3600);
        let age = |folder: &Path| fs::File::open(folder).unwrap().set_modified(hour_ago).unwrap();
        age(&stale);
        let alive = Staging::beside(&parent.path().join("other"), MANIFEST).unwrap();
        assert!(!stale.exists());
        age(alive.path());
        export(&parent.path().join("set"), &[]).unwrap();
        assert!(alive.path().is_dir());
    }
}
