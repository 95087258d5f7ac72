//! Files are written whole or not at all; and the folders of the user's that are Segue's.

mod earlier;
mod staging;

use std::{
    fs, io,
    io::Write as _,
    path::{Path, PathBuf, is_separator},
};

use percent_encoding::percent_decode_str;

pub(crate) use earlier::keep_earlier;
pub use earlier::{MARK, is_marked};
pub(crate) use staging::Staging;
pub use staging::StagingError;

/// Writes a file atomically: to a temporary file in the same folder, which is then renamed. Creates the folder if it is missing.
/// Writes through symbolic links, and directly to pipes and devices.
///
/// # Errors
/// Whatever `write`, the disk or the folder says; `path` is then as it was.
pub fn write_atomically(
    path: &Path,
    write: impl FnOnce(&mut io::BufWriter<&mut fs::File>) -> io::Result<()>,
) -> io::Result<()> {
    write_output(path, |_| true, write).map(drop)
}

/// Writes a file as [`write_atomically`] does, but keeps an existing file as `.bak` unless `is_own` returns true; returns the
/// path of that backup.
///
/// # Errors
/// As of [`write_atomically`].
pub fn write_output(
    path: &Path,
    is_own: impl FnOnce(&Path) -> bool,
    write: impl FnOnce(&mut io::BufWriter<&mut fs::File>) -> io::Result<()>,
) -> io::Result<Option<PathBuf>> {
    let path = &end_of_links(path);
    if path.metadata().is_ok_and(|there| !there.is_file() && !there.is_dir()) {
        let mut there = fs::OpenOptions::new().write(true).open(path)?;
        let mut out = io::BufWriter::new(&mut there);
        write(&mut out)?;
        return out.flush().map(|()| None);
    }
    fs::create_dir_all(folder_of(path))?;
    let mut file = temporary_beside(path)?;
    let mut out = io::BufWriter::new(file.as_file_mut());
    write(&mut out)?;
    out.flush()?;
    drop(out);
    let kept = keep_earlier(path, is_own)?;
    persist(file, path)?;
    Ok(kept)
}

/// True if the name of a file ends with one of these suffixes, given without the dot, in any case.
pub fn has_suffix(path: &Path, suffixes: &[&str]) -> bool {
    let own = path.extension().unwrap_or_default();
    suffixes.iter().any(|suffix| own.eq_ignore_ascii_case(suffix))
}

/// Opens a regular file to read it: opening a pipe would wait for whoever writes to it, and a device may never end.
///
/// # Errors
/// If it cannot be opened, or is no regular file.
pub fn open_regular(path: &Path) -> io::Result<fs::File> {
    match path.metadata()? {
        metadata if metadata.is_file() => fs::File::open(path),
        metadata if metadata.is_dir() => Err(io::ErrorKind::IsADirectory.into()),
        _ => Err(io::Error::new(io::ErrorKind::InvalidInput, "it is a device or a pipe, not a file")),
    }
}

/// Returns the file or folder that a path leads to through links.
pub(crate) fn end_of_links(path: &Path) -> PathBuf {
    path.canonicalize().unwrap_or_else(|_| path.to_owned())
}

/// Whether [`write_atomically`] could write `path`, as far as can be told before.
///
/// # Errors
/// What the folder says, or that `path` is a folder itself.
pub fn check_writable(path: &Path) -> io::Result<()> {
    let path = &end_of_links(path);
    fs::create_dir_all(folder_of(path))?;
    match path.metadata() {
        Ok(there) if there.is_dir() => Err(io::ErrorKind::IsADirectory.into()),
        Ok(there) if !there.is_file() => Ok(()),
        _ => temporary_beside(path).map(drop),
    }
}

/// The user's folders for settings, data and what can be made anew; none if the user has no home.
pub fn user_folders() -> Option<directories::ProjectDirs> {
    directories::ProjectDirs::from("", "", "segue")
}

/// Returns the path that is meant by a text, as a person types it or pastes it from a file manager or a shell: it may be
/// quoted, begin with `~`, or be a `file:` address.
pub fn typed_path(text: &str) -> PathBuf {
    let text = text.trim();
    let unquoted = ['\'', '"'].iter().find_map(|quote| text.strip_prefix(*quote)?.strip_suffix(*quote));
    let text = unquoted.unwrap_or(text);
    if let Some(address) = text.strip_prefix("file://") {
        let path = address.find('/').map_or(address, |start| &address[start..]);
        return PathBuf::from(&*percent_decode_str(path).decode_utf8_lossy());
    }
    let in_home = text.strip_prefix('~').filter(|rest| rest.is_empty() || rest.starts_with(is_separator));
    match in_home.zip(directories::BaseDirs::new()) {
        Some((rest, home)) => home.home_dir().join(rest.trim_start_matches(is_separator)),
        None => PathBuf::from(text),
    }
}

/// The folder that `path` is in.
pub fn folder_of(path: &Path) -> PathBuf {
    path.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new(".")).to_owned()
}

/// A file for what `path` is to hold, with the permissions that a new file gets.
pub(crate) fn temporary_beside(path: &Path) -> io::Result<tempfile::NamedTempFile> {
    let mut builder = tempfile::Builder::new();
    #[cfg(unix)]
    builder.permissions(std::os::unix::fs::PermissionsExt::from_mode(0o666));
    builder.prefix(".segue-").tempfile_in(folder_of(path))
}

/// Renames a complete temporary file to `path`, whose permissions, if it is there, it gets.
pub(crate) fn persist(file: tempfile::NamedTempFile, path: &Path) -> io::Result<()> {
    file.as_file().sync_all()?;
    if let Ok(before) = path.metadata() {
        file.as_file().set_permissions(before.permissions())?;
    }
    file.persist(path)?;
    Ok(())
}

#[cfg(test)]
#[cfg(unix)]
mod tests {
    use std::{
        os::unix::fs::{FileTypeExt as _, PermissionsExt as _, symlink},
        process::{Command, Stdio},
    };

    use super::*;

    fn write(path: &Path, text: &str) {
        write_atomically(path, |out| out.write_all(text.as_bytes())).unwrap();
    }

    #[test]
    fn of_a_link_what_it_leads_to_is_written_with_the_permissions_that_it_had() {
        let folder = tempfile::tempdir().unwrap();
        let [file, link] = ["file", "link"].map(|name| folder.path().join(name));
        write(&file, "before");
        fs::set_permissions(&file, fs::Permissions::from_mode(0o640)).unwrap();
        symlink(&file, &link).unwrap();
        write(&link, "after");
        assert!(link.is_symlink());
        assert_eq!(fs::read_to_string(&file).unwrap(), "after");
        assert_eq!(file.metadata().unwrap().permissions().mode() & 0o777, 0o640);
    }

    #[test]
    fn typed_paths_may_be_quoted_begin_in_the_home_or_be_addresses() {
        let home = directories::BaseDirs::new().map(|home| home.home_dir().to_owned()).unwrap_or("~".into());
        for (text, path) in [
            (" /a/b c ", Path::new("/a/b c")),
            ("'/a/b c'", Path::new("/a/b c")),
            ("\"/a\"", Path::new("/a")),
            ("file:///a/b%20c", Path::new("/a/b c")),
            ("file://host/a", Path::new("/a")),
            ("a'b", Path::new("a'b")),
            ("~x", Path::new("~x")),
            ("~", &*home),
            ("~/x", &*home.join("x")),
        ] {
            assert_eq!(typed_path(text), path, "{text}");
        }
    }

    #[test]
    fn a_pipe_takes_what_is_written_and_stays_one() {
        let folder = tempfile::tempdir().unwrap();
        let pipe = folder.path().join("pipe");
        assert!(Command::new("mkfifo").arg(&pipe).status().unwrap().success());
        let reader = Command::new("cat").arg(&pipe).stdout(Stdio::piped()).spawn().unwrap();
        write(&pipe, "through");
        assert_eq!(reader.wait_with_output().unwrap().stdout, b"through");
        assert!(pipe.metadata().unwrap().file_type().is_fifo());
    }
}
