//! Recognition of files that are a person's work.

use std::{
    io::{self, Read as _},
    path::Path,
};

use super::{ImageKind, VIDEO_SUFFIXES, has_suffix, is_named_as_image};
use crate::file::open_regular;

/// True for a project, photo or video, by name or content, and for what SQLite keeps beside a project: no other output may
/// replace them.
pub fn is_work(path: &Path) -> bool {
    let name = path.file_name().unwrap_or_default().to_string_lossy().to_lowercase();
    let is_beside_project = ["-wal", "-shm", "-journal"].iter().any(|end| name.ends_with(end));
    let is_named_so =
        is_named_as_image(path) || has_suffix(path, &VIDEO_SUFFIXES) || has_suffix(path, &["segue"]);
    is_named_so || is_beside_project || holds_work(path).unwrap_or(false)
}

/// True for a file that begins as databases of SQLite or as images do.
fn holds_work(path: &Path) -> io::Result<bool> {
    let mut head = Vec::new();
    open_regular(path)?.take(16).read_to_end(&mut head)?;
    Ok(head.starts_with(b"SQLite format 3\0") || ImageKind::of_file(path).is_ok_and(|kind| kind.is_some()))
}
