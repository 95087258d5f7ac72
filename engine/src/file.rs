//! Files are written whole or not at all; and the folders of the user's that are Segue's.

use std::{
    fs, io,
    io::Write as _,
    path::{Path, PathBuf},
};

/// Writes `path` through a temporary file beside it, so that `path` holds its old contents until the new are complete.
///
/// # Errors
/// Whatever `write`, the disk or the folder says; `path` is then as it was.
pub fn write_atomically(
    path: &Path,
    write: impl FnOnce(&mut io::BufWriter<&mut fs::File>) -> io::Result<()>,
) -> io::Result<()> {
    let mut file = tempfile::Builder::new().prefix(".segue-").tempfile_in(folder_of(path))?;
    let mut out = io::BufWriter::new(file.as_file_mut());
    write(&mut out)?;
    out.flush()?;
    drop(out);
    persist(file, path)
}

/// The user's folders for settings, data and what can be made anew; none if the user has no home.
pub fn user_folders() -> Option<directories::ProjectDirs> {
    directories::ProjectDirs::from("", "", "segue")
}

/// The folder that `path` is in.
pub fn folder_of(path: &Path) -> PathBuf {
    path.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new(".")).to_owned()
}

/// Renames a complete temporary file to `path`, with the permissions that a new file gets.
pub(crate) fn persist(file: tempfile::NamedTempFile, path: &Path) -> io::Result<()> {
    file.as_file().sync_all()?;
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt as _;
        file.as_file().set_permissions(fs::Permissions::from_mode(0o644))?;
    }
    file.persist(path)?;
    Ok(())
}

/// Renames a complete temporary folder to `target`, whose old contents, if any, go when the new are in place.
///
/// # Errors
/// What the system says; `target` is then as it was.
pub(crate) fn put_folder(staging: &Path, target: &Path) -> io::Result<()> {
    let before = staging.with_extension("before");
    if target.exists() {
        fs::rename(target, &before)?;
    }
    if let Err(error) = fs::rename(staging, target) {
        if before.exists() {
            fs::rename(&before, target)?;
        }
        return Err(error);
    }
    allow_reading(target)?;
    if before.exists() { fs::remove_dir_all(&before) } else { Ok(()) }
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
