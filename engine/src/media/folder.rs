//! A folder of images as frames.

use std::{
    cmp::{Ordering, Reverse},
    collections::BTreeMap,
    ffi::{OsStr, OsString},
    fs, io,
    path::{Path, PathBuf},
};

use image::RgbImage;

use super::{
    MediaError,
    image::{ImageHeader, ImageKind, image_header, read_image},
};
use crate::geometry::Size;

/// Frames that are image files of one size.
pub(super) struct Folder {
    files: Vec<PathBuf>,
    /// The header of the first image of the usual size.
    header: ImageHeader,
    /// Frames whose headers cannot be read, and why.
    unreadable: Vec<(usize, String)>,
}

impl Folder {
    /// The images of a folder in natural order (`2.jpg` before `10.jpg`).
    ///
    /// Frames are the JPEGs when there are two or more, because masks often lie beside them as PNGs of the same names;
    /// otherwise the kind of image that the folder holds most of.
    /// Other files, hidden files and folders inside are passed over.
    /// Only headers are read here. An image that cannot be read, or is not of the size of most, keeps its number, and is an
    /// error when it is asked for.
    pub(super) fn open(path: &Path) -> Result<Self, MediaError> {
        let files = frame_files(path).map_err(|cause| MediaError::Read { path: path.into(), cause })?;
        let headers: Vec<_> = files.iter().map(|file| image_header(file)).collect();
        let mut n_of_size: BTreeMap<[usize; 2], usize> = BTreeMap::new();
        for header in headers.iter().flatten() {
            *n_of_size.entry([header.size.width, header.size.height]).or_default() += 1;
        }
        let n_readable: usize = n_of_size.values().sum();
        let usual = n_of_size
            .iter()
            .rev()
            .max_by_key(|(_, n)| **n)
            .map(|(size, n)| (Size::new(size[0], size[1]), *n));
        let (mut header, mut unreadable) = (None, Vec::new());
        for ((frame, file), found) in files.iter().enumerate().zip(headers) {
            match (found, usual) {
                (Ok(found), Some((expected, n))) if found.size != expected => {
                    let error = MediaError::MixedSizes { path: file.clone(), size: found.size, expected };
                    if 2 * n <= n_readable {
                        return Err(error);
                    }
                    unreadable.push((frame, error));
                }
                (Ok(found), _) => drop(header.get_or_insert(found)),
                (Err(error), _) => unreadable.push((frame, error)),
            }
        }
        let Some(header) = header else {
            // The first says why.
            let error = unreadable.into_iter().next().map(|(_, error)| error);
            return Err(error.unwrap_or_else(|| MediaError::NoImages { path: path.into() }));
        };
        let unreadable = unreadable.into_iter().map(|(frame, error)| (frame, error.to_string())).collect();
        Ok(Self { files, header, unreadable })
    }

    pub(super) fn n_frames(&self) -> usize {
        self.files.len()
    }

    pub(super) fn header(&self) -> &ImageHeader {
        &self.header
    }

    pub(super) fn unreadable(&self) -> &[(usize, String)] {
        &self.unreadable
    }

    pub(super) fn file(&self, frame: usize) -> &Path {
        &self.files[frame]
    }

    pub(super) fn frame(&self, frame: usize) -> Result<RgbImage, MediaError> {
        let path = &self.files[frame];
        let read = read_image(path).and_then(|image| {
            let size = Size::new(image.width() as usize, image.height() as usize);
            let expected = self.header.size;
            match size == expected {
                true => Ok(image),
                false => Err(MediaError::MixedSizes { path: path.clone(), size, expected }),
            }
        });
        read.map_err(|error| match error {
            // A failing disk fails for all its files.
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

/// True if the file's name has a suffix of image files, in capital or small letters.
pub fn is_named_as_image(path: &Path) -> bool {
    path.file_name().and_then(ImageKind::of_suffix).is_some()
}

/// Numbers in names by their value: `2.jpg` before `10.jpg`. Names that are equal in that (`a.jpg`, `A.jpg`) still have
/// one fixed order.
pub fn natural_order(a: &OsStr, b: &OsStr) -> Ordering {
    natord::compare(&a.to_string_lossy(), &b.to_string_lossy()).then_with(|| a.cmp(b))
}

/// The names that are frames, in natural order.
fn frames_among(names: Vec<OsString>) -> Vec<OsString> {
    let mut kinds: BTreeMap<ImageKind, Vec<OsString>> = BTreeMap::new();
    for name in names {
        let hidden = name.to_string_lossy().starts_with('.');
        if let Some(kind) = ImageKind::of_suffix(&name).filter(|_| !hidden) {
            kinds.entry(kind).or_default().push(name);
        }
    }
    // `max_by_key` would give the last of equals.
    let most = || kinds.iter().min_by_key(|(_, names)| Reverse(names.len()));
    let jpegs = kinds.get_key_value(&ImageKind::Jpeg).filter(|(_, names)| names.len() >= 2);
    let chosen = jpegs.or_else(most).map(|(kind, _)| *kind);
    let mut frames = chosen.and_then(|kind| kinds.remove(&kind)).unwrap_or_default();
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
        check(&["2.JPE", "1.jfif", "3.JPEG"], &["1.jfif", "2.JPE", "3.JPEG"]);
        check(&["readme.md", "clip.mp4"], &[]);
    }
}
