//! A check that there is an image or video to make a project of.

use std::path::PathBuf;

use super::{Walk, open, unfit};
use crate::media::Sources;

/// Checks that there is an image or video among these files and in these folders.
///
/// # Errors
/// A sentence that says why there is none.
pub fn check_has_media(paths: &[PathBuf], sources: &Sources) -> Result<(), String> {
    let mut walk = Walk::default();
    let (folders, files): (Vec<_>, Vec<_>) = paths.iter().partition(|path| path.is_dir());
    folders.iter().for_each(|folder| {
        walk.folder(folder, &|_| true);
    });
    let mut first = None;
    for file in files.into_iter().chain(&walk.files) {
        let why = match unfit(file) {
            Some(why) => format!("{why}: {}", file.display()),
            None => match open(file, sources) {
                Ok(_) => return Ok(()),
                Err(error) => error.to_string(),
            },
        };
        first.get_or_insert(why);
    }
    Err(first.unwrap_or_else(|| {
        let names: Vec<String> = folders.iter().map(|folder| folder.display().to_string()).collect();
        format!("cannot open folder: it holds no images or videos: {}", names.join(", "))
    }))
}
