//! Atomic replacement of folders: a staging folder is filled beside the target and then renamed to it.

use std::{
    collections::BTreeSet,
    fs, io,
    io::Write as _,
    path::{Path, PathBuf},
    time::Duration,
};

use serde_json::Value;

use super::{end_of_links, folder_of, has_suffix, write_atomically};

/// Prefix of the names of staging folders.
const PREFIX: &str = ".segue-staging-";
/// Prefix of the name that a target has while two folders are swapped in several steps.
const PREVIOUS: &str = ".segue-previous-";
/// The key of the list of files in a manifest.
const PATHS: &str = "paths";
/// Time from creating a staging folder to locking it. An older folder without a lock was left by a killed process.
const LOCKED_WITHIN: Duration = Duration::from_secs(60);

/// Reasons why a staging folder cannot replace its target.
#[derive(Debug, thiserror::Error)]
#[expect(missing_docs, reason = "the sentences are the documentation")]
pub enum StagingError {
    #[error("{} is not empty and was not exported by Segue; choose another folder", .0.display())]
    NotEmpty(PathBuf),

    #[error("{} was exported by an older version of Segue, which kept no list of its files; delete it or choose another folder", .0.display())]
    Unlisted(PathBuf),

    #[error("{} holds the project {}; choose another folder", folder.display(), project.display())]
    Project { folder: PathBuf, project: PathBuf },

    #[error("cannot replace {}: Segue did not write it; move it or choose another folder", .0.display())]
    InTheWay(PathBuf),

    #[error("cannot write {}: {cause}", path.display())]
    Write { path: PathBuf, cause: io::Error },
}

/// A staging folder. [`Staging::put`] renames it to `target` and keeps the files there that no earlier run wrote.
///
/// A manifest in the folder lists its files, so that a later run knows which ones it may replace.
#[derive(Debug)]
pub(crate) struct Staging {
    folder: tempfile::TempDir,
    target: PathBuf,
    manifest: &'static str,
    /// Lock that marks this run as alive. Where folders cannot be locked, staging folders of killed runs are never removed.
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
        let name = |path: &PathBuf| {
            let path = path.to_string_lossy();
            Value::from(if cfg!(windows) { path.replace('\\', "/") } else { path.into_owned() })
        };
        about[PATHS] = files.iter().map(name).collect();
        let manifest = self.path().join(self.manifest);
        let json = serde_json::to_vec_pretty(&about).map_err(io::Error::from);
        json.and_then(|json| write_atomically(&manifest, |out| out.write_all(&json))).map_err(writing)?;
        allow_reading(self.path(), &self.target).map_err(writing)?;
        if !self.target.exists() {
            return fs::rename(self.path(), &self.target).map_err(writing);
        }
        let mut earlier = listed(&self.target.join(self.manifest)).unwrap_or_default();
        earlier.insert(PathBuf::from(self.manifest));
        let (there, folders) = walk(&self.target).map_err(writing)?;
        let (replaced, others): (Vec<PathBuf>, Vec<PathBuf>) =
            there.into_iter().partition(|file| earlier.contains(file));
        // A file of the target has the path of a new file or folder, or lies where a new file is.
        let is_in_the_way = |other: &&PathBuf| {
            self.path().join(other).symlink_metadata().is_ok()
                || other.ancestors().skip(1).any(|folder| files.contains(folder))
        };
        let folder_in_the_way = || folders.iter().find(|folder| files.contains(*folder));
        if let Some(other) = others.iter().find(is_in_the_way).or_else(folder_in_the_way) {
            return Err(StagingError::InTheWay(self.target.join(other)));
        }
        match link(&others, &folders, &replaced, &self.target, self.path()) {
            Ok(()) => exchange(self.path(), &self.target).map_err(writing)?,
            Err(error) if lacks_links(&error) => {
                return replace(&files, &replaced, self.path(), &self.target).map_err(writing);
            }
            Err(error) => return Err(writing(error)),
        }
        // The staging folder now has the old contents, and goes with them; but not with files that were added meanwhile.
        let (old, _) = walk(self.path()).map_err(writing)?;
        let others: BTreeSet<PathBuf> = others.into_iter().collect();
        for late in old.iter().filter(|file| !earlier.contains(*file) && !others.contains(*file)) {
            let to = self.target.join(late);
            fs::create_dir_all(folder_of(&to))
                .and_then(|()| fs::rename(self.path().join(late), to))
                .map_err(writing)?;
        }
        Ok(())
    }
}

/// True if a file system has no hard links.
pub(super) fn lacks_links(error: &io::Error) -> bool {
    use io::ErrorKind::{CrossesDevices, PermissionDenied, Unsupported};
    matches!(error.kind(), CrossesDevices | PermissionDenied | Unsupported)
}

/// Checks that a folder may take the place of `target`.
fn check(target: &Path, manifest: &str) -> Result<(), StagingError> {
    if !target.is_dir() {
        return Ok(());
    }
    let writing = |cause| StagingError::Write { path: target.to_owned(), cause };
    if fs::read_dir(target).map_err(writing)?.next().is_none() {
        return Ok(());
    }
    let manifest = target.join(manifest);
    if !manifest.is_file() {
        return Err(StagingError::NotEmpty(target.to_owned()));
    }
    let (files, _) = walk(target).map_err(writing)?;
    if let Some(project) = files.iter().find(|file| has_suffix(file, &["segue"])) {
        return Err(StagingError::Project { folder: target.to_owned(), project: project.clone() });
    }
    if listed(&manifest).is_none() {
        return Err(StagingError::Unlisted(target.to_owned()));
    }
    Ok(())
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

/// Hard-links the files to keep into the staging folder, and recreates folders there that hold no replaced file.
fn link(
    others: &[PathBuf],
    folders: &[PathBuf],
    replaced: &[PathBuf],
    target: &Path,
    staging: &Path,
) -> io::Result<()> {
    let emptied: BTreeSet<&Path> = replaced.iter().flat_map(|file| file.ancestors().skip(1)).collect();
    for folder in folders.iter().filter(|folder| !emptied.contains(folder.as_path())) {
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
    let name = a.file_name().unwrap_or_default().to_string_lossy().replace(PREFIX, "");
    let aside = a.with_file_name(format!("{PREVIOUS}{name}"));
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

/// Gives a staging folder the permissions of its target, or those of a new folder: temporary folders are their owner's alone.
fn allow_reading(folder: &Path, target: &Path) -> io::Result<()> {
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt as _;
        let known = target.metadata().map(|metadata| metadata.permissions());
        fs::set_permissions(folder, known.unwrap_or(fs::Permissions::from_mode(0o755)))?;
    }
    #[cfg(not(unix))]
    let _ = (folder, target);
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
        assert!(error.contains("a/2: Segue did not write it"), "{error}");
        assert_eq!(texts(&target), before);
        // A new file where the target has a folder.
        put(&target.join("b/mine"), "mine");
        let error = export(&target, &[("b", "new")]).unwrap_err().to_string();
        assert!(error.contains("Segue did not write it"), "{error}");
        assert_eq!(fs::read_to_string(target.join("a/1")).unwrap(), "old");
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
