//! Finding the frames of a folder of images by the names that labels give them.

use std::{collections::HashMap, path::Path};

use crate::{
    formats::paths::{Found, PathIndex, last_name, without_suffix},
    media::frame_files,
};

/// The files of a folder of frames by their names.
pub(super) struct FrameFolder {
    pub(super) names: PathIndex,
    /// Frames by the last number in their names; empty if two have the same.
    by_number: HashMap<u64, usize>,
    /// True if the numbers follow each other without a gap, so that the frames of a video are all there.
    is_contiguous: bool,
}

impl FrameFolder {
    /// Lists a folder; none if it holds no images.
    pub(super) fn open(path: &Path) -> Option<Self> {
        // A folder without images, such as that of a MOT sequence, has its frames elsewhere.
        let files = frame_files(path).ok().filter(|files| !files.is_empty())?;
        let names: Vec<String> =
            files.iter().filter_map(|file| Some(file.file_name()?.to_string_lossy().into_owned())).collect();
        let numbers: Option<HashMap<u64, usize>> = names
            .iter()
            .zip(0..)
            .map(|(name, frame)| Some((last_number(without_suffix(name))?, frame)))
            .collect();
        let by_number = numbers.filter(|numbers| numbers.len() == names.len()).unwrap_or_default();
        let ends = by_number.keys().min().zip(by_number.keys().max());
        let is_contiguous = ends.is_some_and(|(first, last)| last - first == by_number.len() as u64 - 1);
        Some(Self { names: PathIndex::new(names), by_number, is_contiguous })
    }

    /// Finds a frame by its name, or else by the number in it.
    pub(super) fn find(&self, name: &str) -> Option<usize> {
        match self.names.find(name) {
            Found::One(frame, _) => Some(frame),
            Found::Nothing => self.by_number.get(&last_number(without_suffix(name))?).copied(),
            Found::Several(..) => None,
        }
    }

    /// True if a frame has the last name of this path, maybe but for its suffix.
    pub(super) fn has(&self, path: &str) -> bool {
        matches!(self.names.find(last_name(path)), Found::One(_, rank) if rank.is_by_name())
    }

    /// Returns the number of the first frame; none if numbers do not follow each other without a gap.
    pub(super) fn first(&self) -> Option<u64> {
        self.by_number.keys().min().copied().filter(|_| self.is_contiguous)
    }
}

/// The number at the end of a name.
pub(super) fn last_number(stem: &str) -> Option<u64> {
    stem[prefix(stem).len()..].parse().ok()
}

/// A name without the number at its end.
pub(super) fn prefix(stem: &str) -> &str {
    stem.trim_end_matches(|c: char| c.is_ascii_digit())
}
