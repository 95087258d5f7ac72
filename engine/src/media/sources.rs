//! Opening media, without reading a video file through again that was opened before.

use std::{
    collections::VecDeque,
    fs,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
    time::SystemTime,
};

use super::{FrameSource, MediaError, index::Index};

/// Files whose indexes are kept; an hour's takes about 20 MB.
const KEPT: usize = 32;

/// What is known of video files, shared by all its clones.
#[derive(Clone, Default)]
pub struct Sources {
    /// The one that was opened last is the last.
    known: Arc<Mutex<VecDeque<(Version, Known)>>>,
}

/// An index once it is made; locked while it is, so that whoever opens the same file waits for it.
type Known = Arc<Mutex<Option<Arc<Index>>>>;

/// A file, and what changes with its contents.
#[derive(PartialEq)]
struct Version {
    path: PathBuf,
    length: u64,
    modified: Option<SystemTime>,
}

impl Sources {
    /// Opens a video file, a folder of images, or an image; with a decoder of its own.
    ///
    /// A video file that was opened before is not read through again unless its length or its time of modification have
    /// changed.
    ///
    /// # Errors
    /// As [`FrameSource::open`].
    pub fn open(&self, path: &Path) -> Result<FrameSource, MediaError> {
        if let Some(images) = FrameSource::open_images(path)? {
            return Ok(images);
        }
        let version = Version::of(path).map_err(|cause| MediaError::Read { path: path.into(), cause })?;
        let known = self.known(version);
        let mut index = known.lock().unwrap_or_else(PoisonError::into_inner);
        FrameSource::open_video(path, &mut index)
    }

    fn known(&self, version: Version) -> Known {
        let mut all = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        let found = all.iter().position(|(other, _)| *other == version);
        let known = found.and_then(|i| all.remove(i)).map_or_else(Known::default, |(_, known)| known);
        // An older version of the file will not come back.
        all.retain(|(other, _)| other.path != version.path);
        while all.len() >= KEPT {
            all.pop_front();
        }
        all.push_back((version, known.clone()));
        known
    }
}

impl Version {
    fn of(path: &Path) -> std::io::Result<Self> {
        let metadata = fs::metadata(path)?;
        // Not every system knows when a file was modified.
        Ok(Self { path: path.into(), length: metadata.len(), modified: metadata.modified().ok() })
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use super::*;
    use crate::media::make_clip;

    #[test]
    fn a_file_that_was_opened_before_is_not_read_through_again() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("clip.mp4");
        make_clip(&path, 100);
        let modified = fs::metadata(&path).unwrap().modified().unwrap();
        let sources = Sources::default();
        let mut first = sources.open(&path).unwrap();

        // With other packets' sizes and places, only what is known of the file can say that there are 100 frames.
        let length = fs::metadata(&path).unwrap().len() as usize;
        let other = folder.path().join("other.mp4");
        make_clip(&other, 50);
        let mut bytes = fs::read(&other).unwrap();
        assert!(bytes.len() < length);
        bytes.resize(length, 0);
        let overwrite = |bytes: &[u8]| {
            let mut file = fs::File::create(&path).unwrap();
            file.write_all(bytes).unwrap();
            file
        };
        overwrite(&bytes).set_modified(modified).unwrap();
        assert_eq!(sources.clone().open(&path).unwrap().n_frames(), 100);
        assert!(first.frame(0).is_ok());

        bytes.push(0);
        overwrite(&bytes);
        assert_eq!(sources.open(&path).unwrap().n_frames(), 50);
    }

    #[test]
    fn only_the_last_indexes_are_kept() {
        let folder = tempfile::tempdir().unwrap();
        let sources = Sources::default();
        let clip = folder.path().join("clip.mp4");
        make_clip(&clip, 3);
        for i in 0..=KEPT {
            let path = folder.path().join(format!("{i}.mp4"));
            fs::copy(&clip, &path).unwrap();
            sources.open(&path).unwrap();
        }
        assert_eq!(sources.known.lock().unwrap().len(), KEPT);
    }

    #[test]
    fn all_who_open_a_file_get_the_same_pixels_at_the_same_time() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("clip.mp4");
        make_clip(&path, 100);
        let mut plain = FrameSource::open(&path).unwrap();
        let expected: Vec<_> = (0..100).map(|frame| plain.frame(frame).unwrap()).collect();
        let sources = Sources::default();
        std::thread::scope(|scope| {
            for i in 0..3 {
                let (sources, path, expected) = (sources.clone(), &path, &expected);
                scope.spawn(move || {
                    let mut source = sources.open(path).unwrap();
                    for step in 0..100 {
                        let frame = (i * 31 + step * 37) % 100;
                        assert!(source.frame(frame).unwrap() == expected[frame], "frame {frame}");
                    }
                });
            }
        });
    }
}
