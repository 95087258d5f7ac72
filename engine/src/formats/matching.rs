//! Finding the media and frames of a project that the images of a data set are.

mod frame_folder;
mod frames;
mod numbering;

use std::{
    cmp::Ordering,
    collections::{BTreeMap, BTreeSet, HashMap, HashSet},
    path::{Component, Path, PathBuf},
};

use super::{
    Dataset, Id, Image, Taken, coco, counted,
    paths::{Found, PathIndex, Rank, composed, last_name, split_named},
};
use crate::{
    geometry::Size,
    media::is_named_as_image,
    project::{FrameId, MediumId, MediumKind, Project, path_of},
};
use frame_folder::FrameFolder;
use frames::FrameLookups;
use numbering::FrameLookup;

/// A frame of a project, and what of its medium counts for it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Place {
    pub(super) at: FrameId,
    pub(super) size: Size,
    pub(super) is_video: bool,
}

/// Media of one kind, which are found by their paths.
struct Media {
    index: PathIndex,
    ids: Vec<MediumId>,
}

/// The media of a project.
struct Matcher<'a> {
    project: &'a Project,
    photos: Media,
    videos: Media,
    /// The frames of the videos that are folders of images.
    folders: BTreeMap<MediumId, FrameFolder>,
    ids: IdMeaning,
    lookups: FrameLookups,
    /// The folder of the data set, and photos by their files.
    files: Option<(PathBuf, HashMap<PathBuf, MediumId>)>,
    /// The split that the folder of the data set is called after, and the photos outside of it.
    own_split: Option<(&'static str, BTreeSet<MediumId>)>,
}

/// The meaning of the ids of images without a path, as results have them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum IdMeaning {
    /// The id that an export of this project gave to the image.
    Exported,
    /// The name of the image's file, as Ultralytics has it.
    Named,
    /// Either, which may be different images.
    Either,
}

/// Why an image has no place in a project.
enum Misplaced {
    Missing,
    Ambiguous([String; 2]),
    /// Its id is that of one image in an export, and the name of another.
    AmbiguousId([String; 2]),
    /// Nothing but its id is known.
    Nameless,
    /// The image belongs to a split, and the only photos of its name lie in folders of other splits; one of them is given.
    OfOtherSplit(&'static str, String),
    /// Its frame lies behind the end of a video of so many frames.
    Beyond(usize),
}

/// The frame of an image, and how far the paths of a photo agree.
type Match = Result<(FrameId, Option<Rank>), Misplaced>;

/// Returns the frame of each image of a data set in a project whose file is in `folder`, and reports images without one in
/// `taken`.
///
/// No photo is two images: it is the one whose path agrees further with its own.
pub(super) fn places(
    dataset: &Dataset,
    project: &Project,
    folder: &Path,
    taken: &mut Taken,
) -> Vec<Option<Place>> {
    let Taken { missing, refused, notes, .. } = taken;
    let mut matcher = Matcher::new(project, folder);
    matcher.locate(folder, &dataset.folder);
    matcher.ids = matcher.meaning_of_ids(dataset);
    matcher.lookups = matcher.lookups(dataset);
    let FrameLookups { of_videos, of_names, unnamed, doubtful, .. } = &matcher.lookups;
    for (medium, lookup) in doubtful {
        let video = &project.media[medium].path;
        let how = match lookup {
            FrameLookup::Name => "the numbers in the names of its images, not their order",
            FrameLookup::Index { .. } | FrameLookup::Number => {
                "the order of its images, not the numbers in their names"
            }
        };
        notes.say(format_args!("{video}: frame numbers of the labels are taken as {how}"));
    }
    if let Some(video) = unnamed.map(|medium| &project.media[&medium].path) {
        notes.say(format_args!("{video}: the labels do not name their video; this one is the only one here"));
    }
    let lookups =
        of_videos.values().copied().chain(of_names.iter().map(|(medium, lookup)| (*medium, *lookup)));
    let from_1 = lookups.filter(|(_, lookup)| *lookup == FrameLookup::Index { from: 1 });
    for medium in from_1.map(|(medium, _)| medium).collect::<BTreeSet<_>>() {
        let video = &project.media[&medium].path;
        notes.say(format_args!("{video}: the labels are taken to count its frames from 1"));
    }
    let split = |image: usize| dataset.splits.get(&image).copied();
    let mut found: Vec<Match> =
        dataset.images.iter().enumerate().map(|(i, image)| matcher.find(image, split(i))).collect();
    matcher.settle_by_root(dataset, &mut found);
    refuse_doubles(dataset, &mut found);
    let mut places = Vec::with_capacity(found.len());
    for (image, found) in dataset.images.iter().zip(found) {
        let place = match found {
            Ok((at, rank)) => {
                let medium = &project.media[&at.medium];
                match (&image.file_name, rank) {
                    (None, _) if image.frame.is_none() => notes.add(
                        format!("image {} of the results is taken for {}", image.id, medium.path),
                        "the photo with this id in exports of the project is taken".to_owned(),
                    ),
                    (Some(path), Some(rank))
                        if rank.is_by_last_name() && are_in_folders(path, &medium.path) =>
                    {
                        notes.add(
                            format!("{path} is taken for {}", medium.path),
                            "a photo of this name in another folder is taken".to_owned(),
                        );
                    }
                    _ => {}
                }
                Some(Place { at, size: medium.size, is_video: medium.is_video() })
            }
            Err(Misplaced::Missing) => {
                missing.push(dataset.title(image));
                None
            }
            Err(Misplaced::Ambiguous([a, b])) => {
                refused.refuse(
                    dataset.title(image),
                    format_args!("it may be {a} or {b}; name its folder in the labels"),
                );
                None
            }
            Err(Misplaced::AmbiguousId([a, b])) => {
                refused.refuse(
                    dataset.title(image),
                    format_args!(
                        "its id is that of {a} in an export and the name of {b}; add file_name to the results"
                    ),
                );
                None
            }
            Err(Misplaced::Nameless) => {
                refused.refuse(
                    dataset.title(image),
                    "only its id is known; put the annotation file that lists the images beside the results",
                );
                None
            }
            Err(Misplaced::OfOtherSplit(split, photo)) => {
                let why = format_args!(
                    "its labels are of the split {split}, but {photo} is of another; move the photo or rename the label file"
                );
                refused.refuse(dataset.title(image), why);
                None
            }
            Err(Misplaced::Beyond(n_frames)) => {
                let why = format!("its video ends before it, after {}", counted(n_frames, "frame"));
                refused.refuse(dataset.title(image), why);
                None
            }
        };
        let misfit = place.zip(image.size).filter(|(here, stated)| here.size != *stated);
        if let Some((here, stated)) = misfit {
            let turned = Size::new(stated.height, stated.width) == here.size;
            let hint = if turned { ": width and height are swapped" } else { "" };
            let why = format!("the labels are for {stated} pixels, the image has {}{hint}", here.size);
            refused.refuse(dataset.title(image), why);
        }
        places.push(place.filter(|_| misfit.is_none()));
    }
    places
}

/// Of several paths that are taken for the same photo, keeps the one that agrees best.
fn refuse_doubles(dataset: &Dataset, found: &mut [Match]) {
    let mut claims: BTreeMap<FrameId, BTreeMap<&str, Rank>> = BTreeMap::new();
    for (image, found) in dataset.images.iter().zip(&*found) {
        if let (Ok((at, Some(rank))), Some(path)) = (found, &image.file_name) {
            claims.entry(*at).or_default().insert(path, *rank);
        }
    }
    for (image, found) in dataset.images.iter().zip(found) {
        let (Ok((at, Some(rank))), Some(path)) = (&*found, &image.file_name) else { continue };
        let others = claims[at].iter().filter(|(other, _)| **other != path);
        match others.max_by_key(|(_, rank)| **rank) {
            Some((_, best)) if best > rank => *found = Err(Misplaced::Missing),
            Some((other, best)) if best == rank => {
                *found = Err(Misplaced::Ambiguous([path.clone(), (*other).to_owned()]));
            }
            _ => {}
        }
    }
}

impl<'a> Matcher<'a> {
    fn new(project: &'a Project, folder: &Path) -> Self {
        let of = |kind: MediumKind| {
            let media = || project.media.iter().filter(move |(_, medium)| medium.kind == kind);
            Media {
                index: PathIndex::new(media().map(|(_, medium)| medium.path.clone())),
                ids: media().map(|(id, _)| *id).collect(),
            }
        };
        let frames = project.media.iter().filter_map(|(id, medium)| {
            let path = path_of(folder, medium);
            let is_folder = medium.is_video() && path.is_dir();
            is_folder.then(|| Some((*id, FrameFolder::open(&path)?))).flatten()
        });
        Self {
            project,
            photos: of(MediumKind::Image),
            videos: of(MediumKind::Video),
            folders: frames.collect(),
            ids: IdMeaning::Exported,
            lookups: FrameLookups::default(),
            files: None,
            own_split: None,
        }
    }

    /// Knows photos by their files from now on, too, if both folders are there: that of the project and that of the data set.
    fn locate(&mut self, project: &Path, dataset: &Path) {
        let (Ok(project), Ok(dataset)) = (project.canonicalize(), dataset.canonicalize()) else { return };
        let dataset = file_key(&dataset);
        let mut files: HashMap<PathBuf, MediumId> = HashMap::new();
        let mut doubles = HashSet::new();
        for (id, medium) in self.project.media.iter().filter(|(_, medium)| !medium.is_video()) {
            let file = file_key(&path_of(&project, medium));
            // Names that differ only in Unicode normalization have the same key, so that labels cannot name one of them.
            if files.insert(file.clone(), *id).is_some() {
                doubles.insert(file);
            }
        }
        files.retain(|file, _| !doubles.contains(file));
        let split = dataset.file_name().and_then(|name| split_named(&name.to_string_lossy()));
        self.own_split = split.map(|split| {
            let outside = files.iter().filter(|(file, _)| !file.starts_with(&dataset));
            (split, outside.map(|(_, id)| *id).collect())
        });
        self.files = Some((dataset, files));
    }

    /// Returns the photo whose file a path of the data set is.
    fn photo_at(&self, path: &str) -> Option<FrameId> {
        let (folder, files) = self.files.as_ref()?;
        let medium = *files.get(&file_key(&folder.join(path)))?;
        Some(FrameId { medium, frame: 0 })
    }

    /// Decides what ids mean by the number of images that each meaning gives.
    fn meaning_of_ids(&self, dataset: &Dataset) -> IdMeaning {
        let nameless =
            || dataset.images.iter().filter(|image| image.file_name.is_none() && image.frame.is_none());
        let n_named = nameless().filter(|image| self.photo_named(&image.id).is_some()).count();
        let n_exported = nameless().filter(|image| self.exported(&image.id).is_some()).count();
        match n_named.cmp(&n_exported) {
            Ordering::Less => IdMeaning::Exported,
            Ordering::Greater => IdMeaning::Named,
            Ordering::Equal => IdMeaning::Either,
        }
    }

    /// Returns the photo whose file has an id as its name without the suffix.
    fn photo_named(&self, id: &Id) -> Option<FrameId> {
        let place = self.photos.index.find(&id.to_string()).one()?;
        Some(FrameId { medium: self.photos.ids[place], frame: 0 })
    }

    /// Returns the image that had an id in an export. Ids of photos are small numbers that any file may contain, so that they
    /// count only if the project has categories, without which it cannot have been exported.
    fn exported(&self, id: &Id) -> Option<FrameId> {
        let at = coco::exported(id, self.project)?;
        let is_frame = self.project.media[&at.medium].is_video();
        (is_frame || !self.project.categories.is_empty()).then_some(at)
    }

    /// Finds an image by its id alone.
    fn find_by_id(&self, id: &Id) -> Result<Option<FrameId>, Misplaced> {
        let exported = self.exported(id);
        let named = self.photo_named(id);
        match self.ids {
            IdMeaning::Exported => Ok(exported),
            IdMeaning::Named => Ok(named),
            IdMeaning::Either => match (exported, named) {
                (Some(a), Some(b)) if a != b => {
                    let path = |at: FrameId| self.project.media[&at.medium].path.clone();
                    Err(Misplaced::AmbiguousId([a, b].map(path)))
                }
                _ => Ok(exported.or(named)),
            },
        }
    }

    /// Finds images that may be several photos below the folder in which all images lie whose photos are known.
    fn settle_by_root(&self, dataset: &Dataset, found: &mut [Match]) {
        let root_of = |(image, found): (&Image, &Match)| {
            let (at, _) = found.as_ref().ok()?;
            let photo = &self.project.media[&at.medium].path;
            Some(photo.strip_suffix(image.file_name.as_deref()?)?.to_owned())
        };
        let roots: BTreeSet<String> = dataset.images.iter().zip(&*found).filter_map(root_of).collect();
        let Some(root) = roots.first().filter(|root| roots.len() == 1 && root.ends_with('/')) else { return };
        for (image, found) in dataset.images.iter().zip(found) {
            if let (Err(Misplaced::Ambiguous(_)), Some(path)) = (&*found, &image.file_name) {
                let photo = self.photos.index.find(&format!("{root}{path}"));
                if let Found::One(place, rank) = photo
                    && rank.is_whole()
                {
                    *found = Ok((FrameId { medium: self.photos.ids[place], frame: 0 }, Some(rank)));
                }
            }
        }
    }

    fn find(&self, image: &Image, split: Option<&'static str>) -> Match {
        let framed = match (image.frame, &image.file_name) {
            (Some((video, index)), _) => {
                self.lookups.of_videos.get(&video).map(|(medium, lookup)| (*medium, *lookup, index))
            }
            (None, Some(path)) => self.frame_named(path).and_then(|frame| match frame.number {
                Some(number) => Some((frame.medium, *self.lookups.of_names.get(&frame.medium)?, number)),
                None => Some((frame.medium, FrameLookup::Name, 0)),
            }),
            (None, None) => None,
        };
        let frame = |(medium, lookup, index)| {
            let name = image.file_name.as_deref().map(last_name);
            self.frame_by(medium, lookup, index, name).map(|at| (at, None))
        };
        let Some(path) = &image.file_name else {
            return match framed {
                Some(framed) => frame(framed),
                None if image.frame.is_some() => Err(self.lookups.without_video(image)),
                None => self.find_by_id(&image.id)?.map(|at| (at, None)).ok_or(Misplaced::Nameless),
            };
        };
        if let Some(framed) = framed.filter(|_| image.frame.is_some()) {
            return frame(framed);
        }
        if let Some(at) = self.photo_at(path) {
            return Ok((at, Some(Rank::WHOLE)));
        }
        let photo = match self.photo_of_split(path, split)? {
            Found::One(place, rank) if !rank.is_whole() && self.is_of_other_split(place) => Found::Nothing,
            photo => photo,
        };
        let is_sure = matches!(photo, Found::One(_, rank) if rank.is_by_name());
        if !is_sure {
            if let Some(framed) = framed {
                return frame(framed);
            }
            if let Some(at) = self.frame_of_file_name(path) {
                return Ok((at, None));
            }
        }
        match photo {
            Found::One(place, rank) => Ok((FrameId { medium: self.photos.ids[place], frame: 0 }, Some(rank))),
            Found::Several(a, b) => {
                Err(Misplaced::Ambiguous([a, b].map(|place| self.photos.index.path(place).to_owned())))
            }
            Found::Nothing => self.first_page(path).ok_or_else(|| self.lookups.without_video(image)),
        }
    }

    /// Finds a photo, and skips photos in folders of other splits if the split of the image is known.
    fn photo_of_split(&self, path: &str, split: Option<&'static str>) -> Result<Found, Misplaced> {
        let index = &self.photos.index;
        let found = index.find(path);
        let split_in = |path: &str| path.rsplit('/').skip(1).find_map(split_named);
        let Some(split) = split.filter(|_| split_in(path).is_none()) else { return Ok(found) };
        let photo = match found {
            Found::Nothing => return Ok(found),
            Found::One(place, _) if split_in(index.path(place)).is_none_or(|other| other == split) => {
                return Ok(found);
            }
            Found::One(place, _) | Found::Several(place, _) => index.path(place),
        };
        match index.find(&format!("{split}/{path}")) {
            Found::Nothing => Err(Misplaced::OfOtherSplit(split, photo.to_owned())),
            found => Ok(found),
        }
    }

    /// True if the folder of the data set is that of a split, and a photo lies in another.
    fn is_of_other_split(&self, photo: usize) -> bool {
        let Some((own, outside)) = &self.own_split else { return false };
        let mut folders = self.photos.index.path(photo).rsplit('/').skip(1);
        let other = folders.find_map(split_named);
        outside.contains(&self.photos.ids[photo]) && other.is_some_and(|other| other != *own)
    }

    /// Finds the first page or frame of an image file with several, which other programs take for the image.
    fn first_page(&self, path: &str) -> Option<(FrameId, Option<Rank>)> {
        let Found::One(place, rank) = self.videos.index.find(path) else { return None };
        let medium = self.videos.ids[place];
        let is_image = is_named_as_image(Path::new(path)) && !self.folders.contains_key(&medium);
        (is_image && rank.is_by_name()).then_some((FrameId { medium, frame: 0 }, Some(rank)))
    }
}

impl Media {
    fn find(&self, path: &str) -> Option<MediumId> {
        self.index.find(path).one().map(|place| self.ids[place])
    }
}

/// True if both paths name a folder.
fn are_in_folders(a: &str, b: &str) -> bool {
    [a, b].iter().all(|path| path.contains('/'))
}

/// Returns a path in composed Unicode, without `.` and `..` as far as they can be resolved by names alone.
fn file_key(path: &Path) -> PathBuf {
    let mut resolved = PathBuf::new();
    for part in path.components() {
        match part {
            Component::CurDir => {}
            Component::ParentDir if resolved.file_name().is_some() => drop(resolved.pop()),
            part => resolved.push(part),
        }
    }
    resolved.to_str().map(|path| composed(path).into_owned().into()).unwrap_or(resolved)
}

impl Dataset {
    /// What an image is called in messages.
    pub(super) fn title(&self, image: &Image) -> String {
        match (&image.file_name, image.frame) {
            (Some(path), _) => path.clone(),
            (None, Some((video, frame))) => format!("frame {frame} of {}", self.videos[video]),
            (None, None) => format!("image {}", image.id),
        }
    }
}

#[cfg(test)]
mod tests;
