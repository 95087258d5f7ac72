//! What a project knows of its media files: where they are, and by what they are known again.

use std::{
    fs, io,
    path::{Component, MAIN_SEPARATOR_STR, Path, PathBuf, absolute},
};

use super::{Content, Medium};

/// What a file holds; it is read in pieces, not whole into memory.
///
/// # Errors
/// If the file cannot be read.
pub fn content_of(path: &Path) -> io::Result<Content> {
    let mut hasher = blake3::Hasher::new();
    hasher.update_reader(fs::File::open(path)?)?;
    Ok(Content { length: hasher.count(), hash: hasher.finalize().to_hex().to_string() })
}

/// How `path` is told in a project whose file is in `folder`: see [`Medium::path`].
pub fn told_from(folder: &Path, path: &Path) -> String {
    // Only a path of no length has no absolute form.
    let [folder, path] = [folder, path].map(|path| absolute(path).unwrap_or_else(|_| path.to_owned()));
    let within = path.strip_prefix(folder).ok().filter(|rest| {
        // A step up may lead out again.
        rest.components().all(|component| matches!(component, Component::Normal(_)))
    });
    within.unwrap_or(&path).to_string_lossy().replace(MAIN_SEPARATOR_STR, "/")
}

/// Where the file of a medium is, in a project whose file is in `folder`.
pub fn path_of(folder: &Path, medium: &Medium) -> PathBuf {
    folder.join(&medium.path)
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use super::*;
    use crate::{geometry::Size, project::MediumKind};

    fn medium(path: String) -> Medium {
        let kind = MediumKind::Image;
        Medium { path, kind, size: Size::square(1), n_frames: 1, fps: None, content: None, done: false }
    }

    #[track_caller]
    fn check(folder: &str, path: &str, told: &str) {
        let (folder, path) = (Path::new(folder), Path::new(path));
        assert_eq!(told_from(folder, path), told);
        assert_eq!(path_of(folder, &medium(told.to_owned())), absolute(path).unwrap());
    }

    #[cfg(unix)]
    #[test]
    fn paths_within_the_project_s_folder_are_relative() {
        check("/data", "/data/images/1.jpg", "images/1.jpg");
        check("/data", "/data/./images//1.jpg", "images/1.jpg");
        check("/data", "/data2/1.jpg", "/data2/1.jpg");
        check("/data/labels", "/data/1.jpg", "/data/1.jpg");
        check("/data", "/data/../else/1.jpg", "/data/../else/1.jpg");
    }

    #[test]
    fn the_content_is_the_same_only_for_the_same_bytes() {
        let folder = tempfile::tempdir().unwrap();
        let content = |name: &str, bytes: &[u8]| {
            let path = folder.path().join(name);
            fs::File::create(&path).unwrap().write_all(bytes).unwrap();
            content_of(&path).unwrap()
        };
        // Longer than what is read at once.
        let long = vec![7; 300_000];
        assert_eq!(content("a", &long), content("b", &long));
        assert_ne!(content("a", &long), content("b", &long[1..]));
        let hash = "af1349b9f5f9a1a6a0404dea36dcc9499bcb25c9adc112b7cc9a93cae41f3262";
        assert_eq!(content("empty", &[]), Content { length: 0, hash: hash.to_owned() });
        assert!(content_of(&folder.path().join("none")).is_err());
    }
}
