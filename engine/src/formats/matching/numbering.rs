//! How the labels of a video count its frames, and how these are found in a file or a folder.

use super::{frame_folder::FrameFolder, frames::number_of};

/// How frames of a video are found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum FrameLookup {
    /// By index; `from` is the index of the first frame.
    Index { from: usize },
    /// By the number in the name, from 0.
    Number,
    /// By the name of the file.
    Name,
}

/// The frames of a video that labels name.
#[derive(Default)]
pub(super) struct Numbering<'a> {
    frames: Vec<(usize, Option<&'a str>)>,
    /// True if all numbers stand after the video's name, without zeros before them.
    is_unpadded: bool,
    /// True if indices are the numbers in the names of files, so that the first frame may be 0 or 1.
    pub(super) is_of_files: bool,
    /// True if the labels may count frames from 1, though their format counts from 0.
    pub(super) may_be_from_1: bool,
}

impl<'a> Numbering<'a> {
    pub(super) fn add(&mut self, index: usize, path: Option<&'a str>, is_unpadded: bool) {
        self.is_unpadded = is_unpadded && (self.is_unpadded || self.frames.is_empty());
        self.frames.push((index, path));
    }

    pub(super) fn paths(&self) -> impl Iterator<Item = &'a str> + '_ {
        self.frames.iter().filter_map(|(_, path)| *path)
    }

    /// Decides how frames of a video file are found.
    pub(super) fn lookup_in_file(&self, n_frames: usize) -> FrameLookup {
        if self.is_of_files || self.offset() == Some(0) {
            let is_from_1 = self.is_from_1(n_frames) || self.is_unpadded && !self.has(0);
            return FrameLookup::Index { from: usize::from(is_from_1) };
        }
        // Where the names count every fifth frame, say, their numbers are those of the video's frames, unless the video has
        // these frames only.
        let is_numbered = self.offset().is_none() && self.n_indices() != n_frames;
        match self.increasing_numbers().filter(|_| is_numbered).as_deref() {
            Some([_, _, ..]) => FrameLookup::Number,
            _ => FrameLookup::Index { from: 0 },
        }
    }

    /// Decides how frames of a folder are found.
    pub(super) fn lookup_in_folder(&self, folder: &FrameFolder, n_frames: usize) -> FrameLookup {
        let is_by_name = |path| folder.has(path);
        let Some(first @ (0 | 1)) = folder.first() else {
            // The folder has gaps or starts later, so that file numbers differ from positions. Match by name, except if none of
            // the names exists, or names only repeat the index, one is missing, and the indices cover the folder exactly.
            let n_indices = self.n_indices();
            let is_covered =
                self.offset().is_some() && n_indices == n_frames && !self.paths().all(is_by_name);
            let is_strange = n_indices <= n_frames && !self.paths().any(is_by_name);
            let is_by_index = !self.is_of_files && (is_covered || is_strange);
            return if is_by_index { FrameLookup::Index { from: 0 } } else { FrameLookup::Name };
        };
        match self.offset() {
            _ if self.is_of_files => match first {
                0 if self.is_from_1(n_frames) => FrameLookup::Index { from: 1 },
                1 if self.has(0) => FrameLookup::Index { from: 0 },
                _ => FrameLookup::Name,
            },
            Some(0) if self.is_from_1(n_frames) => FrameLookup::Index { from: 1 },
            Some(0 | 1) => FrameLookup::Index { from: 0 },
            // Names without numbers of frames are either those of the files or say nothing.
            None if self.increasing_numbers().is_none() && !self.paths().any(is_by_name) => {
                FrameLookup::Index { from: 0 }
            }
            _ => FrameLookup::Name,
        }
    }

    /// True if all labeled frames exist in a video of `n_frames` frames, counted from 0 or 1.
    pub(super) fn fits(&self, n_frames: usize) -> bool {
        let end = n_frames + usize::from(!self.has(0));
        self.frames.iter().all(|(index, _)| *index < end)
    }

    /// True if matching by name and by index are both possible and give different frames.
    pub(super) fn is_doubtful(&self, folder: &FrameFolder, n_frames: usize) -> bool {
        let is_by_name = self.paths().any(|path| folder.has(path));
        let is_repeated = self.offset().is_some();
        !matches!(folder.first(), Some(0 | 1)) && is_repeated && is_by_name && self.n_indices() <= n_frames
    }

    /// Maximum index plus one; 0 without frames.
    fn n_indices(&self) -> usize {
        self.frames.iter().map(|(index, _)| index.saturating_add(1)).max().unwrap_or(0)
    }

    fn has(&self, index: usize) -> bool {
        self.frames.iter().any(|(own, _)| *own == index)
    }

    /// True if index `n_frames` occurs, and 0 does not.
    fn is_from_1(&self, n_frames: usize) -> bool {
        self.may_be_from_1
            && !self.has(0)
            && self.has(n_frames)
            && self.frames.iter().all(|(index, _)| *index <= n_frames)
    }

    /// The indices of all named frames and the numbers in their names, sorted; none if a name has no number.
    fn numbers(&self) -> Option<Vec<(usize, usize)>> {
        let named = self.frames.iter().filter_map(|(index, path)| Some((*index, (*path)?)));
        let numbers: Option<Vec<_>> = named.map(|(index, path)| Some((index, number_of(path)?))).collect();
        let mut numbers = numbers.filter(|numbers| !numbers.is_empty())?;
        numbers.sort_unstable();
        Some(numbers)
    }

    /// The numbers of frames by their indices, if later frames have greater ones.
    fn increasing_numbers(&self) -> Option<Vec<usize>> {
        let numbers = self.numbers()?;
        let is_increasing = numbers.windows(2).all(|pair| pair[0].1 < pair[1].1);
        is_increasing.then(|| numbers.into_iter().map(|(_, number)| number).collect())
    }

    /// The number in a name less its index, where that is 0 or 1 for all frames; also 0 for frames without names.
    pub(super) fn offset(&self) -> Option<usize> {
        if self.paths().next().is_none() {
            return Some(0);
        }
        let offsets = self.numbers()?.into_iter().map(|(index, number)| number.checked_sub(index));
        let offsets: Vec<usize> = offsets.collect::<Option<_>>()?;
        let first = *offsets.first()?;
        (first <= 1 && offsets.iter().all(|offset| *offset == first)).then_some(first)
    }
}
