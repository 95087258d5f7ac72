//! A folder of images, or one image, as frames.

use std::{
    cmp::{Ordering, Reverse},
    ffi::{OsStr, OsString},
    fs, io,
    path::{Path, PathBuf},
};

use image::RgbImage;

use super::{
    MediaError,
    image::{image_size, read_image},
};
use crate::geometry::Size;

/// Frames that are image files of one size.
pub(super) struct Folder {
    files: Vec<PathBuf>,
    size: Size,
}

/// What image files are called; a folder's frames are all of one kind, and the first wins a tie.
const KINDS: [&[&str]; 6] = [&["jpg", "jpeg"], &["png"], &["webp"], &["tif", "tiff"], &["bmp"], &["gif"]];

impl Folder {
    /// The images of a folder in natural order (`2.jpg` before `10.jpg`).
    ///
    /// Frames are the JPEGs when there are two or more, because masks often lie beside them as PNGs of the same names;
    /// otherwise the kind of image that the folder holds most of.
    /// Other files, hidden files and folders inside are passed over.
    /// Only headers are read here.
    pub(super) fn open(path: &Path) -> Result<Self, MediaError> {
        let files = frame_files(path).map_err(|cause| MediaError::Read { path: path.into(), cause })?;
        let first = files.first().ok_or_else(|| MediaError::NoImages { path: path.into() })?;
        let expected = image_size(first)?;
        for file in &files[1..] {
            let size = image_size(file)?;
            if size != expected {
                return Err(MediaError::MixedSizes { path: file.clone(), size, expected });
            }
        }
        Ok(Self { files, size: expected })
    }

    /// One image as the only frame.
    pub(super) fn single(path: &Path) -> Result<Self, MediaError> {
        Ok(Self { files: vec![path.into()], size: image_size(path)? })
    }

    pub(super) fn n_frames(&self) -> usize {
        self.files.len()
    }

    pub(super) fn size(&self) -> Size {
        self.size
    }

    pub(super) fn file(&self, frame: usize) -> &Path {
        &self.files[frame]
    }

    pub(super) fn frame(&self, frame: usize) -> Result<RgbImage, MediaError> {
        read_image(&self.files[frame]).map_err(|error| match error {
            // What ails a disk ails all its files.
            MediaError::Read { .. } | MediaError::NoSuchFrame { .. } => error,
            error => MediaError::DamagedImage { frame, cause: Box::new(error) },
        })
    }
}

/// The files in a folder that are its frames, as [`super::FrameSource::open`] has it, going by their names.
///
/// # Errors
/// If the folder cannot be read.
pub fn frame_files(folder: &Path) -> io::Result<Vec<PathBuf>> {
    let mut names = Vec::new();
    for entry in fs::read_dir(folder)? {
        let file = entry?.path();
        if file.is_file() {
            names.push(file.file_name().unwrap_or_default().to_owned());
        }
    }
    Ok(frames_among(names).into_iter().map(|name| folder.join(name)).collect())
}

/// Whether the file is called as images are.
pub fn is_named_as_image(path: &Path) -> bool {
    kind_of(path).is_some()
}

/// Numbers in names by their value: `2.jpg` before `10.jpg`. Names that are equal in that (`a.jpg`, `A.jpg`) still have
/// one fixed order.
pub fn natural_order(a: &OsStr, b: &OsStr) -> Ordering {
    natord::compare(&a.to_string_lossy(), &b.to_string_lossy()).then_with(|| a.cmp(b))
}

fn kind_of(path: &Path) -> Option<usize> {
    let extension = path.extension()?.to_string_lossy().to_lowercase();
    KINDS.iter().position(|kind| kind.contains(&extension.as_str()))
}

/// The names that are frames, in natural order.
fn frames_among(names: Vec<OsString>) -> Vec<OsString> {
    let mut kinds: [Vec<OsString>; KINDS.len()] = Default::default();
    for name in names {
        let hidden = name.to_string_lossy().starts_with('.');
        if let Some(kind) = kind_of(Path::new(&name)).filter(|_| !hidden) {
            kinds[kind].push(name);
        }
    }
    let [jpegs, ..] = &kinds;
    let chosen = if jpegs.len() >= 2 {
        0
    } else {
        // `max_by_key` would give the last of equals.
        (0..kinds.len()).min_by_key(|&kind| Reverse(kinds[kind].len())).unwrap_or(0)
    };
    let mut frames = std::mem::take(&mut kinds[chosen]);
    frames.sort_by(|a, b| natural_order(a, b));
    frames
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(names: &[&str], frames: &[&str]) {
        assert_eq!(frames_among(names.iter().map(|&n| n.into()).collect()), frames);
    }

    #[test]
    fn frames_are_one_kind_in_natural_order() {
        check(&["f10.png", "f9.PNG", "notes.txt", ".hidden.png"], &["f9.PNG", "f10.png"]);
        check(&["0.jpg", "0.png", "1.jpeg", "1.png", "1_2.png"], &["0.jpg", "1.jpeg"]);
        check(&["cover.jpg", "0.png", "1.png"], &["0.png", "1.png"]);
        check(&["a.jpg", "a.png"], &["a.jpg"]);
        check(&["2.tif", "1.tiff", "x.bmp"], &["1.tiff", "2.tif"]);
        check(&["readme.md", "clip.mp4"], &[]);
    }
}
