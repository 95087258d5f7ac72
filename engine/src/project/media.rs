//! What a project knows of its media files: where they are, and by what they are known again.

use std::{
    fs,
    io::{self, Read as _, Seek as _, SeekFrom},
    path::{Component, MAIN_SEPARATOR_STR, Path, PathBuf, absolute},
};

use super::{Content, Medium};
use crate::media::frame_files;

/// Of longer files not all is read.
const LONG: u64 = 64 << 20;

/// So much is read of a long file in each place.
const PIECE: u64 = 1 << 20;

/// What a file, or a folder of frames, holds; it is read in pieces, not whole into memory.
///
/// Of a file above 64 MiB, the hash is of its length (as 8 bytes, the lowest first) and its first, middle and last MiB: a
/// video of 20 GB would take minutes. Of a folder of frames it is of their names and lengths, and the length is of all.
///
/// # Errors
/// If the file or folder cannot be read.
pub fn content_of(path: &Path) -> io::Result<Content> {
    let mut hasher = blake3::Hasher::new();
    let length = if path.is_dir() {
        frames_content(path, &mut hasher)?
    } else {
        let mut file = fs::File::open(path)?;
        let length = file.metadata()?.len();
        if length > LONG {
            hasher.update(&length.to_le_bytes());
            for start in [0, (length - PIECE) / 2, length - PIECE] {
                file.seek(SeekFrom::Start(start))?;
                hasher.update_reader((&file).take(PIECE))?;
            }
            length
        } else {
            hasher.update_reader(file)?;
            hasher.count()
        }
    };
    Ok(Content { length, hash: hasher.finalize().to_hex().to_string() })
}

/// The length of all frames together.
fn frames_content(folder: &Path, hasher: &mut blake3::Hasher) -> io::Result<u64> {
    let mut sum = 0;
    for file in frame_files(folder)? {
        let length = fs::metadata(&file)?.len();
        let name = file.file_name().unwrap_or_default().to_string_lossy();
        // No name holds a zero, so that none runs into the length.
        hasher.update(name.as_bytes()).update(&[0]).update(&length.to_le_bytes());
        sum += length;
    }
    Ok(sum)
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

    #[test]
    fn of_long_files_only_places_count_and_of_folders_names_and_lengths() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("long");
        let file = fs::File::create(&path).unwrap();
        file.set_len(LONG + 7).unwrap();
        let plain = content_of(&path).unwrap();
        assert_eq!(plain.length, LONG + 7);
        let middle = LONG / 2;
        for (place, is_seen) in [(5, true), (middle, true), (LONG + 6, true), (PIECE + 9, false)] {
            let changed = |byte| {
                (&file).seek(SeekFrom::Start(place)).unwrap();
                (&file).write_all(&[byte]).unwrap();
                content_of(&path).unwrap()
            };
            assert_eq!(changed(1) != plain, is_seen, "byte {place}");
            assert_eq!(changed(0), plain);
        }

        let frames = folder.path().join("frames");
        fs::create_dir(&frames).unwrap();
        let put = |name: &str, length: u64| {
            fs::File::create(frames.join(name)).unwrap().set_len(length).unwrap();
            content_of(&frames).unwrap()
        };
        put("1.jpg", 10);
        let two = put("2.jpg", 20);
        assert_eq!(two.length, 30);
        assert_eq!(put("labels.segue", 99), two, "other files are not its content");
        assert_ne!(put("2.jpg", 21), two);
        assert_eq!(put("2.jpg", 20), two);
        assert_ne!(put("3.jpg", 0), two);
    }
}
