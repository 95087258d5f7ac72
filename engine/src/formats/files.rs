//! Files of a data set: label files, and the images that belong to them.

use std::{
    collections::HashMap,
    fs,
    path::{Path, PathBuf},
    sync::{Mutex, OnceLock, PoisonError},
};

use super::{
    FormatError,
    paths::{Found, PathIndex, joined, last_name, normalized, split_named},
};
use crate::{
    file::{folder_of, has_suffix},
    geometry::Size,
    media::{frame_files, image_size, is_named_as_image},
    project::{Medium, mask_folders::is_mask_folder, path_of},
};

/// Lists the files of a folder and its folders with a suffix in any case, in the order of their paths.
pub(super) fn with_suffix(folder: &Path, suffix: &str) -> Vec<PathBuf> {
    walk(folder, |_| true, |path| has_suffix(path, &[suffix]))
}

/// Lists the folders in a folder, in the order of their names.
pub(super) fn folders(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    let mut folders: Vec<PathBuf> = entries.map(|entry| entry.path()).filter(|path| path.is_dir()).collect();
    folders.sort();
    folders
}

fn walk(
    folder: &Path,
    is_entered: impl Fn(&Path) -> bool,
    is_wanted: impl Fn(&Path) -> bool,
) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).into_iter().flatten().flatten() {
            let path = entry.path();
            let kind = entry.file_type();
            let is_hidden = entry.file_name().as_encoded_bytes().starts_with(b".");
            if kind.as_ref().is_ok_and(fs::FileType::is_dir) {
                if !is_hidden && is_entered(&path) {
                    folders.push(path);
                }
            } else if is_wanted(&path) && !is_hidden && path.is_file() {
                // A link to a folder, which may lead back up, is not followed.
                found.push(path);
            }
        }
    }
    found.sort();
    found
}

/// The image files of a data set or a project.
#[derive(Debug)]
pub struct ImageFiles {
    folder: PathBuf,
    /// Images below the folder, which are looked for when they are first needed.
    known: OnceLock<KnownImages>,
    is_searched: bool,
    /// The folders of the frames of videos, by the paths of these.
    frame_folders: Mutex<HashMap<String, PathBuf>>,
}

/// Images by other spellings of their paths.
#[derive(Debug)]
struct KnownImages {
    index: PathIndex,
    /// Paths in the spelling of the file system, in the order of `index`.
    paths: Vec<PathBuf>,
}

/// Returns the split in the name of a label file, or in the names of its folders below `root`.
pub(super) fn split_of(labels: &Path, root: &Path) -> Option<&'static str> {
    split_of_name(labels).or_else(|| split_of_folders(labels, root))
}

/// Returns the split in the name of a label file, such as `instances_val2017.json`.
fn split_of_name(labels: &Path) -> Option<&'static str> {
    labels.file_stem()?.to_string_lossy().split(['_', '-', '.', ' ']).find_map(split_named)
}

/// Returns the split in the names of the folders of a label file below `root`.
pub(super) fn split_of_folders(labels: &Path, root: &Path) -> Option<&'static str> {
    let mut folders = labels.strip_prefix(root).ok()?.parent()?.iter();
    folders.find_map(|folder| split_named(&folder.to_string_lossy()))
}

/// Folders that hold labels beside a folder of images.
const LABEL_FOLDERS: [&str; 8] = ["annotations", "annotation", "labels", "label", "gt", "ann", "json", "xml"];

/// Folders that hold images beside a folder of labels.
const IMAGE_FOLDERS: [&str; 5] = ["", "images", "JPEGImages", "imgs", "img"];

impl ImageFiles {
    /// The images that a file or folder of labels names: in its folder or, if that is one of labels alone, the one above.
    pub fn around(labels: &Path) -> Self {
        let mut folder = if labels.is_dir() { labels.to_owned() } else { folder_of(labels) };
        let real = folder.canonicalize().unwrap_or_else(|_| folder.clone());
        let is_of_labels = |folder: &Path| {
            let name = folder.file_name();
            name.is_some_and(|name| LABEL_FOLDERS.iter().any(|known| name.eq_ignore_ascii_case(known)))
        };
        // Of a split, too: `labels/train`.
        let is_split = real.file_name().is_some_and(|name| split_named(&name.to_string_lossy()).is_some());
        let labels = if is_split { real.parent() } else { Some(&*real) };
        if let Some(above) = labels.filter(|folder| is_of_labels(folder)).and_then(Path::parent) {
            folder = above.to_owned();
        }
        Self { folder, known: OnceLock::new(), is_searched: true, frame_folders: Mutex::default() }
    }

    /// The images of a project whose file is in `folder`, which are where their paths say.
    pub fn of_project(folder: &Path) -> Self {
        Self {
            folder: folder.to_owned(),
            known: OnceLock::new(),
            is_searched: false,
            frame_folders: Mutex::default(),
        }
    }

    /// The folder that paths of media are relative to.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Finds the file of an image by its path relative to [`Self::folder`], which may be spelled otherwise. None if it is
    /// not there, or if several files may be meant.
    pub fn find(&self, path: &str) -> Option<PathBuf> {
        let direct = self.folder.join(path);
        if direct.is_file() || !self.is_searched {
            return Some(direct).filter(|direct| direct.exists());
        }
        let known = self.known();
        let found = known.index.find(path).one().map(|place| known.paths[place].clone());
        found.or_else(|| self.beside(path))
    }

    /// An image in a usual folder beside or above the data set's.
    fn beside(&self, path: &str) -> Option<PathBuf> {
        let folders = self.folder.ancestors().skip(1).take(2);
        let mut places = folders.flat_map(|folder| IMAGE_FOLDERS.map(|inner| folder.join(inner).join(path)));
        places.find(|place| is_named_as_image(place) && place.is_file())
    }

    /// Takes the folder in which the frames of a video are for its file, if all of them are there: `frames` are their positions
    /// and paths.
    pub(super) fn add_frames(&self, video: &str, frames: &[(usize, &str)]) {
        let first = frames.first().and_then(|(_, path)| self.find(path));
        let Some(folder) = first.filter(|_| !self.folder.join(video).is_file()).map(|file| folder_of(&file))
        else {
            return;
        };
        let all = frame_files(&folder).unwrap_or_default();
        let is_there = |(frame, path): &(usize, &str)| {
            all.get(*frame).is_some_and(|file| file.file_name().is_some_and(|own| own == last_name(path)))
        };
        if frames.iter().all(is_there) {
            let mut folders = self.frame_folders.lock().unwrap_or_else(PoisonError::into_inner);
            folders.insert(video.to_owned(), folder);
        }
    }

    /// The file of a medium, or where it would be.
    pub(super) fn path_of(&self, medium: &Medium) -> PathBuf {
        let folders = self.frame_folders.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(folder) = folders.get(&medium.path).filter(|_| medium.is_video()) {
            return folder.clone();
        }
        drop(folders);
        self.find(&medium.path).unwrap_or_else(|| path_of(&self.folder, medium))
    }

    /// True if the file of a path may be copied. Labels may name any file of the machine; of these only images below their
    /// folder are copied, and those in a usual folder of images beside it.
    pub(super) fn may_be_copied(&self, path: &str) -> bool {
        if !self.is_searched {
            return true;
        }
        let path = normalized(path);
        let inner = path.strip_prefix("../").map(|path| path.strip_prefix("../").unwrap_or(path));
        let is_drive = path.as_bytes().get(1) == Some(&b':');
        match inner {
            Some(inner) => IMAGE_FOLDERS.iter().any(|folder| inner.split('/').next() == Some(folder)),
            None => !path.starts_with('/') && !is_drive,
        }
    }

    /// True if a path leads to a file that may not be copied, unless it is an absolute path into the folder.
    pub(super) fn leads_out(&self, path: &str) -> bool {
        let file = Path::new(path).canonicalize();
        let is_inside =
            || self.folder.canonicalize().is_ok_and(|folder| file.is_ok_and(|file| file.starts_with(folder)));
        let is_own = Path::new(path).is_absolute() && is_inside();
        !is_own && !self.may_be_copied(path)
    }

    /// True if a file, with links resolved, lies outside of the project's folder or, for labels, outside of the folder two levels
    /// above them.
    pub(super) fn is_outside(&self, file: &Path) -> bool {
        let Ok(root) = self.folder.canonicalize() else { return false };
        let root = if self.is_searched { root.ancestors().take(3).last() } else { Some(&*root) };
        root.is_some_and(|root| file.canonicalize().is_ok_and(|file| !file.starts_with(root)))
    }

    /// True if several files may be meant by a path.
    pub(super) fn is_ambiguous(&self, path: &str) -> bool {
        self.is_searched && matches!(self.known().index.find(path), Found::Several(..))
    }

    /// The size of an image in pixels, upright, from its file's header.
    ///
    /// # Errors
    /// If its file cannot be read; none if it is not there.
    pub(super) fn size(&self, path: &str) -> Option<Result<Size, FormatError>> {
        Some(image_size(&self.find(path)?).map_err(FormatError::Media))
    }

    /// The path of a file below [`Self::folder`] relative to it, with `/` between folders.
    pub(super) fn relative(&self, path: &Path) -> String {
        let path = path.strip_prefix(&self.folder).unwrap_or(path);
        normalized(&path.to_string_lossy())
    }

    /// The path, relative to [`Self::folder`], of what the label file `labels` names `path`.
    pub(super) fn named(&self, labels: &Path, path: &str) -> String {
        joined(&self.relative(&folder_of(labels)), path)
    }

    /// Returns the path, relative to [`Self::folder`], of an image that the label file `labels` names `path` without regard to its
    /// own folder: beside or below the label file if there are images of this name elsewhere as well.
    pub(super) fn named_nearby(&self, labels: &Path, path: &str) -> String {
        let (plain, nearby) = (normalized(path), self.named(labels, path));
        if nearby == plain || self.folder.join(&nearby).is_file() {
            return nearby;
        }
        if !self.is_ambiguous(&plain) {
            return plain;
        }
        match self.find(&nearby) {
            Some(file) => self.relative(&file),
            None => {
                let of_split = split_of_name(labels).map(|split| format!("{split}/{plain}"));
                of_split.filter(|path| self.find(path).is_some()).unwrap_or(plain)
            }
        }
    }

    fn known(&self) -> &KnownImages {
        self.known.get_or_init(|| {
            let paths = walk(&self.folder, |folder| !is_mask_folder(folder), is_named_as_image);
            KnownImages { index: PathIndex::new(paths.iter().map(|path| self.relative(path))), paths }
        })
    }
}
