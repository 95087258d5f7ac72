//! Finding the frames of videos that labels name.

use std::collections::BTreeMap;

use super::{
    Matcher, Misplaced,
    frame_folder::{FrameFolder, last_number, prefix},
    numbering::{FrameLookup, Numbering},
};
use crate::{
    formats::{
        Dataset, Image,
        paths::{Found, last_name, split, without_suffix},
    },
    project::{FrameId, MediumId},
};

/// How frames are found: those of the data set's videos, and images that are frames by their names.
#[derive(Default)]
pub(super) struct FrameLookups {
    pub(super) of_videos: BTreeMap<usize, (MediumId, FrameLookup)>,
    pub(super) of_names: BTreeMap<MediumId, FrameLookup>,
    /// Videos of the data set that may be two of the project.
    ambiguous: BTreeMap<usize, [String; 2]>,
    /// The only video of the project, if it is taken for the only one of the data set, which has no name there.
    pub(super) unnamed: Option<MediumId>,
    /// Folders whose frames could be found in another way, too.
    pub(super) doubtful: BTreeMap<MediumId, FrameLookup>,
}

impl FrameLookups {
    /// Says why an image has no video.
    pub(super) fn without_video(&self, image: &Image) -> Misplaced {
        let paths = image.frame.and_then(|(video, _)| self.ambiguous.get(&video));
        paths.map_or(Misplaced::Missing, |paths| Misplaced::Ambiguous(paths.clone()))
    }
}

/// The name of a frame of a video of the project.
pub(super) struct NamedFrame {
    pub(super) medium: MediumId,
    /// The number in the name; none of a file in a folder of frames whose name has none.
    pub(super) number: Option<usize>,
    /// True if the number stands after the video's name, without zeros before it.
    is_unpadded: bool,
}

impl Matcher<'_> {
    /// Finds a frame of a video by its index in the data set, and its name there.
    pub(super) fn frame_by(
        &self,
        medium: MediumId,
        lookup: FrameLookup,
        index: usize,
        name: Option<&str>,
    ) -> Result<FrameId, Misplaced> {
        let n_frames = self.project.media[&medium].n_frames;
        let frame = match (lookup, name) {
            (FrameLookup::Name, Some(name)) => self.folders.get(&medium).and_then(|folder| folder.find(name)),
            (FrameLookup::Number, Some(name)) => number_of(name),
            (FrameLookup::Index { from }, _) => index.checked_sub(from),
            (FrameLookup::Name | FrameLookup::Number, None) => Some(index),
        };
        match frame.ok_or(Misplaced::Missing)? {
            frame if frame < n_frames => Ok(FrameId { medium, frame }),
            _ => Err(Misplaced::Beyond(n_frames)),
        }
    }

    /// Finds the frame whose file has a name without folders, among all folders of frames.
    pub(super) fn frame_of_file_name(&self, path: &str) -> Option<FrameId> {
        let (folder, name) = split(path);
        if !folder.is_empty() {
            return None;
        }
        let named = |(medium, folder): (&MediumId, &FrameFolder)| {
            Some(FrameId { medium: *medium, frame: folder.names.find(name).one()? })
        };
        let mut frames = self.folders.iter().filter_map(named);
        frames.next().filter(|_| frames.next().is_none())
    }

    /// Reads the name of a frame: of a file in a folder of frames, or of an image that was extracted from a video file, which has
    /// its number in a folder that is called like the video, or after the video's own name.
    pub(super) fn frame_named(&self, path: &str) -> Option<NamedFrame> {
        if self.videos.ids.is_empty() {
            return None;
        }
        let (folder, name) = split(path);
        let stem = without_suffix(name);
        let own = self.videos.find(folder).filter(|medium| self.folders.contains_key(medium));
        if let Some(medium) = own {
            return Some(NamedFrame { medium, number: number_of(name), is_unpadded: false });
        }
        let number = number_of(name)?;
        let n_digits = stem.len() - prefix(stem).len();
        let prefix = prefix(stem).trim_end_matches(['_', '-', '.', ' ']);
        let is_after_name = !["", "frame", "img", "image", "f"].contains(&&*prefix.to_lowercase());
        let video = if is_after_name { format!("{folder}/{prefix}") } else { folder.to_owned() };
        // In a folder `images` or none.
        let is_of_cvat = is_named_by_cvat(name) && ["", "images"].contains(&folder);
        let only = || self.videos.ids.first().copied().filter(|_| is_of_cvat && self.videos.ids.len() == 1);
        let medium = self.videos.find(&video).or_else(only)?;
        let is_unpadded = is_after_name && number.to_string().len() == n_digits;
        (!self.folders.contains_key(&medium)).then_some(NamedFrame {
            medium,
            number: Some(number),
            is_unpadded,
        })
    }

    /// Decides how frames are found, from all frames of each video together.
    pub(super) fn lookups(&self, dataset: &Dataset) -> FrameLookups {
        let mut of_videos: BTreeMap<usize, Numbering<'_>> = BTreeMap::new();
        let mut of_names: BTreeMap<MediumId, Numbering<'_>> = BTreeMap::new();
        for image in &dataset.images {
            match (image.frame, &image.file_name) {
                (Some((video, index)), name) => {
                    of_videos.entry(video).or_default().add(index, name.as_deref(), false);
                }
                (None, Some(path)) => {
                    if let Some(NamedFrame { medium, number, is_unpadded }) = self.frame_named(path) {
                        let numbering = of_names.entry(medium).or_default();
                        if let Some(number) = number {
                            numbering.add(number, Some(path), is_unpadded);
                        }
                    }
                }
                (None, None) => {}
            }
        }
        let mut lookups = FrameLookups::default();
        for (video, mut numbering) in of_videos {
            let named = self.video_of(dataset, video, &numbering);
            let medium = named.or_else(|| self.unnamed_video(dataset, &numbering));
            let Some(medium) = medium else { continue };
            if named.is_none() {
                lookups.unnamed = Some(medium);
            }
            let is_of_files = dataset.file_numbered_videos.contains(&video);
            numbering.is_of_files = is_of_files && numbering.offset() == Some(0);
            // CVAT's names have the index, which counts from 0.
            numbering.may_be_from_1 = is_of_files || numbering.paths().any(|path| !is_named_by_cvat(path));
            let lookup = self.lookup(medium, &numbering);
            let n_frames = self.project.media[&medium].n_frames;
            if self.folders.get(&medium).is_some_and(|folder| numbering.is_doubtful(folder, n_frames)) {
                lookups.doubtful.insert(medium, lookup);
            }
            lookups.of_videos.insert(video, (medium, lookup));
        }
        for (medium, mut numbering) in of_names {
            (numbering.is_of_files, numbering.may_be_from_1) = (true, true);
            lookups.of_names.insert(medium, self.lookup(medium, &numbering));
        }
        let is_lost =
            |video: &usize| dataset.unnamed_videos.contains(video) && !lookups.of_videos.contains_key(video);
        let ambiguous = |(video, path): (usize, &String)| match self.videos.index.find(path) {
            _ if is_lost(&video) && self.videos.ids.len() > 1 => {
                Some((video, [0, 1].map(|place| self.videos.index.path(place).to_owned())))
            }
            Found::Several(a, b) => {
                Some((video, [a, b].map(|place| self.videos.index.path(place).to_owned())))
            }
            _ => None,
        };
        let ambiguous = dataset.videos.iter().enumerate().filter_map(ambiguous).collect();
        lookups.ambiguous = ambiguous;
        lookups
    }

    /// The only video of the project, if all labels are of one video that they do not name.
    fn unnamed_video(&self, dataset: &Dataset, numbering: &Numbering<'_>) -> Option<MediumId> {
        let is_unnamed = dataset.videos.len() == 1 && dataset.unnamed_videos.len() == 1;
        let [only] = self.videos.ids[..] else { return None };
        let is_of_photos = numbering.paths().any(|path| self.photos.index.find(path) != Found::Nothing);
        let fits = numbering.fits(self.project.media[&only].n_frames);
        (is_unnamed && fits && !is_of_photos).then_some(only)
    }

    fn lookup(&self, medium: MediumId, numbering: &Numbering<'_>) -> FrameLookup {
        let n_frames = self.project.media[&medium].n_frames;
        match self.folders.get(&medium) {
            Some(folder) => numbering.lookup_in_folder(folder, n_frames),
            None => numbering.lookup_in_file(n_frames),
        }
    }

    /// Finds a video of the data set: the folder of frames that its images name, or the video of its name.
    fn video_of(&self, dataset: &Dataset, video: usize, numbering: &Numbering<'_>) -> Option<MediumId> {
        let is_folder = |medium: &MediumId| self.folders.contains_key(medium);
        let named =
            numbering.paths().next().and_then(|path| self.videos.find(split(path).0)).filter(is_folder);
        // CVAT saves the frames of any video in a folder called `images`.
        let saved = || {
            let (medium, folder) = self.folders.first_key_value()?;
            let is_only = dataset.videos.len() == 1 && self.videos.ids.len() == 1;
            let is_saved = is_only && last_name(&self.project.media[medium].path) == "images";
            let is_frame = |path: &&str| is_named_by_cvat(path) && folder.has(path);
            let n_saved = numbering.paths().filter(is_frame).count();
            (is_saved && 2 * n_saved > numbering.paths().count()).then_some(*medium)
        };
        named.or_else(|| self.videos.find(&dataset.videos[video])).or_else(saved)
    }
}

/// True for `frame_000000`, as CVAT calls the frames of any video.
fn is_named_by_cvat(path: &str) -> bool {
    let stem = without_suffix(last_name(path));
    stem.strip_prefix("frame_").is_some_and(|n| n.len() == 6 && n.bytes().all(|byte| byte.is_ascii_digit()))
}

/// The number at the end of the last name of a path, before its suffix.
pub(super) fn number_of(path: &str) -> Option<usize> {
    last_number(without_suffix(last_name(path))).and_then(|number| usize::try_from(number).ok())
}
