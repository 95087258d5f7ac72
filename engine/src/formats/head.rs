//! A glance at a file, to tell what format it has.

use std::{
    fs,
    io::{self, Read as _, Seek as _, SeekFrom},
    path::{Path, PathBuf},
};

/// So much is read of a file's beginning, and of its end.
const PIECE: u64 = 64 << 10;

/// The beginning and the end of a file; none of what is no file or cannot be read.
pub(super) fn glance(path: &Path) -> Option<String> {
    path.is_file().then(|| read(path).ok()).flatten()
}

fn read(path: &Path) -> io::Result<String> {
    let mut file = fs::File::open(path)?;
    let length = file.metadata()?.len();
    let mut bytes = Vec::new();
    (&file).take(PIECE).read_to_end(&mut bytes)?;
    if length > PIECE {
        bytes.push(b'\n');
        file.seek(SeekFrom::Start((length - PIECE).max(PIECE)))?;
        file.take(PIECE).read_to_end(&mut bytes)?;
    }
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

/// Whether a file is JSON that has all of some keys near its ends, and none of others.
pub(super) fn is_json(path: &Path, has: &[&str], lacks: &[&str]) -> bool {
    let has_key = |text: &str, key: &&str| text.contains(&format!("\"{key}\""));
    glance(path).is_some_and(|text| {
        let is_json = text.trim_start_matches('\u{feff}').trim_start().starts_with(['{', '[']);
        is_json && has.iter().all(|key| has_key(&text, key)) && !lacks.iter().any(|key| has_key(&text, key))
    })
}

/// Files of a folder and its folders with a suffix, in the order of their paths.
pub(super) fn files(folder: &Path, suffix: &str) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).into_iter().flatten().flatten() {
            let path = entry.path();
            if path.is_dir() {
                // A link that leads back up would never end.
                if !path.is_symlink() {
                    folders.push(path);
                }
            } else if path.extension().is_some_and(|own| own.eq_ignore_ascii_case(suffix)) {
                found.push(path);
            }
        }
    }
    found.sort();
    found
}
