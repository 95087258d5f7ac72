//! How the labels of a video count its frames, and how these are found in a file or a folder.

use super::{frame_folder::FrameFolder, frames::number_of};

/// How frames of a video are found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Way {
    /// By their indices in the labels, of which the first is this one.
    Index { from: usize },
    /// By the numbers in their names.
    Number,
    /// By the names of their files.
    Name,
}

/// The frames of a video that labels name.
#[derive(Default)]
pub(super) struct Numbering<'a> {
    frames: Vec<(usize, Option<&'a str>)>,
    /// True if no number is padded and all stand after the video's name.
    is_bare: bool,
    /// True if indices are the numbers in the names of files, so that the first frame may be 0 or 1.
    pub(super) is_of_files: bool,
}

impl<'a> Numbering<'a> {
    pub(super) fn add(&mut self, index: usize, path: Option<&'a str>, is_bare: bool) {
        self.is_bare = is_bare && (self.is_bare || self.frames.is_empty());
        self.frames.push((index, path));
    }

    pub(super) fn paths(&self) -> impl Iterator<Item = &'a str> + '_ {
        self.frames.iter().filter_map(|(_, path)| *path)
    }

    /// The way to find frames of a video file.
    pub(super) fn way_in_file(&self, n_frames: usize) -> Way {
        if self.is_of_files {
            let is_from_1 = self.is_from_1(n_frames) || self.is_bare && !self.has(0);
            return Way::Index { from: usize::from(is_from_1) };
        }
        // Where the names count every fifth frame, say, their numbers are those of the video's frames.
        match self.numbers().filter(|_| self.offset().is_none()) {
            Some(numbers) if numbers.iter().all(|number| *number < n_frames) => Way::Number,
            _ => Way::Index { from: 0 },
        }
    }

    /// The way to find frames of a folder.
    pub(super) fn way_in_folder(&self, folder: &FrameFolder, n_frames: usize) -> Way {
        let is_by_name = |path| folder.has(path);
        let Some(first @ (0 | 1)) = folder.first() else {
            // Of a folder that is not whole, or was cut at its start, only names tell the frames, unless indices use all of it.
            let is_named =
                folder.first().is_none() || self.numbers().is_some() || self.paths().any(is_by_name);
            let last = self.frames.iter().map(|(index, _)| index + 1).max();
            let is_all = !self.is_of_files && last == Some(n_frames) && !self.paths().all(is_by_name);
            return if is_named && !is_all { Way::Name } else { Way::Index { from: 0 } };
        };
        if self.is_of_files {
            return match first {
                0 if self.is_from_1(n_frames) => Way::Index { from: 1 },
                1 if self.has(0) => Way::Index { from: 0 },
                _ => Way::Name,
            };
        }
        match self.offset() {
            Some(0 | 1) => Way::Index { from: 0 },
            // Names without numbers are either those of the files or say nothing.
            None if self.numbers().is_none() && !self.paths().any(is_by_name) => Way::Index { from: 0 },
            _ => Way::Name,
        }
    }

    fn has(&self, index: usize) -> bool {
        self.frames.iter().any(|(own, _)| *own == index)
    }

    /// True if the index behind the last frame is used, and 0 is not.
    fn is_from_1(&self, n_frames: usize) -> bool {
        !self.has(0) && self.has(n_frames) && self.frames.iter().all(|(index, _)| *index <= n_frames)
    }

    /// The numbers in all names; none if one has no number.
    fn numbers(&self) -> Option<Vec<usize>> {
        self.paths().map(number_of).collect::<Option<Vec<_>>>().filter(|numbers| !numbers.is_empty())
    }

    /// The number in a name less its index, where that is 0 or 1 for all frames; also 0 for frames without names.
    pub(super) fn offset(&self) -> Option<usize> {
        if self.paths().next().is_none() {
            return Some(0);
        }
        let indices = self.frames.iter().filter(|(_, path)| path.is_some()).map(|(index, _)| *index);
        let offsets: Option<Vec<usize>> = self
            .numbers()?
            .into_iter()
            .zip(indices)
            .map(|(number, index)| number.checked_sub(index))
            .collect();
        let offsets = offsets?;
        let first = *offsets.first()?;
        (first <= 1 && offsets.iter().all(|offset| *offset == first)).then_some(first)
    }
}
