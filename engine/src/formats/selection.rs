//! What of a project is exported, and how.

use std::{
    collections::{BTreeMap, BTreeSet},
    ops::Range,
    str::FromStr,
};

use super::{
    Format, Masks, Shape, clip,
    dataset::frame_name,
    names::names,
    paths::without_suffix,
    report::{LeftOut, Loss, Report},
    videos::Videos,
};
use crate::project::{Category, CategoryId, FrameId, Medium, MediumId, Object, ObjectId, Project, Segment};

/// What a person wants to have exported.
#[derive(Clone, Debug, PartialEq)]
pub struct Options {
    /// Only these media; none: all.
    pub media: Option<BTreeSet<MediumId>>,
    /// Only objects of these categories; none: all.
    pub categories: Option<BTreeSet<CategoryId>>,
    /// Which frames and images.
    pub frames: Frames,
    /// Whether images on which nothing is are listed.
    pub empty: bool,
    /// Whether masks that were tracked and that nobody has confirmed are written.
    pub unconfirmed: bool,
    /// Parts for training, validation and test; none: all in one.
    pub splits: Option<Splits>,
    /// What becomes of the images themselves; none: what is usual for the format, as far as they are there.
    pub files: Option<Files>,
    /// How far, in pixels, a polygon may be from its mask's outline.
    pub tolerance: f32,
    /// Write masks as polygons where a format can have either.
    pub polygons: bool,
    /// Whether scores of what a model found are written, in formats that can hold them.
    pub scores: bool,
    /// Number categories one after the other from here; none: as the project does.
    pub first_category: Option<u32>,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            media: None,
            categories: None,
            frames: Frames::Usual,
            empty: true,
            unconfirmed: true,
            splits: None,
            files: None,
            tolerance: 1.0,
            polygons: false,
            scores: false,
            first_category: None,
        }
    }
}

/// Which frames of videos are exported, and which images.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Frames {
    /// All images; of videos those with something on them, or all where the format is of videos.
    Usual,
    /// All.
    All,
    /// With something on them.
    Labeled,
    /// With something on them, all of which a person has said or confirmed.
    Confirmed,
    /// All images; of videos the first and each so many further.
    Every(usize),
}

impl FromStr for Frames {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "all" => Ok(Self::All),
            "labeled" => Ok(Self::Labeled),
            "confirmed" => Ok(Self::Confirmed),
            _ => match text.parse() {
                Ok(n) if n > 0 => Ok(Self::Every(n)),
                _ => Err(format!("frames are all, labeled, confirmed or a number from 1 on, not {text}")),
            },
        }
    }
}

/// What becomes of the images.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Files {
    /// Only labels are written.
    #[default]
    Leave,
    /// Images are copied, and frames of videos extracted.
    Copy,
    /// Images are linked to where they are, and frames of videos extracted.
    Link,
}

/// How images are divided; a video's frames stay together.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Splits {
    /// Shares of training, validation and test; only their ratios count.
    pub shares: [f32; 3],
    /// Another number, another division.
    pub seed: u64,
}

impl Splits {
    /// What the parts are called.
    pub const NAMES: [&'static str; 3] = ["train", "val", "test"];

    /// For each medium, which holds so many images, its part. Media are shuffled, and each goes where most is lacking.
    fn divide(self, media: &BTreeMap<MediumId, (&Medium, usize)>) -> BTreeMap<MediumId, usize> {
        let mut shuffled: Vec<_> =
            media.iter().map(|(id, (medium, n))| (self.lot(medium), *id, *n)).collect();
        shuffled.sort();
        let total: f32 = self.shares.iter().sum();
        let n_images: usize = media.values().map(|(_, n)| n).sum();
        let mut lacking = self.shares.map(|share| share / total * n_images as f32);
        let mut parts = BTreeMap::new();
        for (_, medium, n) in shuffled {
            let most =
                (0..lacking.len()).rev().max_by(|a, b| lacking[*a].total_cmp(&lacking[*b])).unwrap_or(0);
            lacking[most] -= n as f32;
            parts.insert(medium, most);
        }
        parts
    }

    /// Depends on a medium's path alone, so that media that are added later do not move the others about much.
    fn lot(self, medium: &Medium) -> [u8; 32] {
        let mut hasher = blake3::Hasher::new();
        hasher.update(&self.seed.to_le_bytes()).update(medium.path.as_bytes());
        *hasher.finalize().as_bytes()
    }
}

/// What of a project is to be written.
pub struct Selection<'a> {
    /// The project.
    pub project: &'a Project,
    /// What was asked for.
    pub options: &'a Options,
    /// The categories, in the order of their ids.
    pub categories: Vec<Kind<'a>>,
    /// All that is to be written on the frames, in their order.
    pub labels: Vec<Label<'a>>,
    /// The images, and the frames of videos, in the order of the media.
    pub frames: Vec<Frame<'a>>,
    names: BTreeMap<MediumId, String>,
    usual_files: Files,
    videos: Videos<'a>,
}

/// A category as a file is to have it.
pub struct Kind<'a> {
    /// Its id in the file.
    pub id: u32,
    /// What the project says of it.
    pub category: &'a Category,
}

/// An object on a frame.
pub struct Label<'a> {
    /// The frame.
    pub at: FrameId,
    /// The object's id.
    pub id: ObjectId,
    /// What the project says of the object.
    pub object: &'a Object,
    /// What the project says of it here.
    pub segment: &'a Segment,
    /// Its place in [`Selection::categories`].
    pub category: usize,
    /// Where it is; a mask is of the image's size and not empty, a box lies in the image.
    pub shape: Shape,
    /// How sure the model is, 0 to 1, where scores are wanted; none of what a person made.
    pub score: Option<f32>,
}

/// An image, or a frame of a video.
#[derive(Clone)]
pub struct Frame<'a> {
    /// Which.
    pub at: FrameId,
    /// Its medium.
    pub medium: &'a Medium,
    /// Its part, of [`Splits::NAMES`].
    split: Option<usize>,
    labels: Range<usize>,
}

impl Frame<'_> {
    /// Whether it is of a video.
    pub fn is_of_video(&self) -> bool {
        self.medium.is_video()
    }
}

impl<'a> Selection<'a> {
    /// What `options` choose for a format; `report` counts what is left out, and what the format cannot say. Frames that
    /// `videos` finds damaged are left out.
    pub(super) fn of(
        project: &'a Project,
        options: &'a Options,
        format: &Format,
        mut videos: Videos<'a>,
        report: &mut Report,
    ) -> Self {
        let ids = project.categories.iter().filter(|(id, _)| is_wanted(&options.categories, id));
        let numbered = |(i, (id, category)): (u32, (&CategoryId, &'a std::sync::Arc<Category>))| Kind {
            id: options.first_category.map_or(id.0, |first| first + i),
            category,
        };
        let places: BTreeMap<CategoryId, usize> = ids.clone().map(|(id, _)| *id).zip(0..).collect();
        let categories = (0..).zip(ids).map(numbered).collect();
        let mut labels = labels(project, options, &places, report);
        if format.is_of_videos {
            // With photos, what is on them is left out.
            labels.retain(|label| project.media[&label.at.medium].is_video());
        }
        if !format.carries.boxes {
            let n = labels.len();
            labels.retain(|label| matches!(label.shape, Shape::Mask(_)));
            report.leave_out(LeftOut::Boxes, n - labels.len());
        }
        labels.sort_by_key(|label| (label.at, label.id));
        let mut frames = frames(project, options, format.is_of_videos, &labels, report);
        let is_of_video = |frame: &&Frame<'_>| frame.is_of_video();
        let of_videos: Vec<FrameId> = frames.iter().filter(is_of_video).map(|frame| frame.at).collect();
        let damaged = videos.damaged(&of_videos, report);
        let n_before = frames.iter().map(|frame| frame.labels.len()).sum::<usize>();
        frames.retain(|frame| !damaged.contains(&frame.at));
        if let Some(splits) = options.splits {
            let mut media: BTreeMap<MediumId, (&Medium, usize)> = BTreeMap::new();
            for frame in &frames {
                media.entry(frame.at.medium).or_insert((frame.medium, 0)).1 += 1;
            }
            let parts = splits.divide(&media);
            frames.iter_mut().for_each(|frame| frame.split = parts.get(&frame.at.medium).copied());
        }
        // Of frames that are not chosen, nothing is written.
        let chosen: usize = frames.iter().map(|frame| frame.labels.len()).sum();
        report.leave_out(LeftOut::Frames, labels.len() - n_before);
        report.leave_out(LeftOut::Damaged, n_before - chosen);
        report.images = frames.len();
        report.annotations = chosen;
        let selection = Self {
            project,
            options,
            categories,
            labels,
            frames,
            names: names(project, format),
            usual_files: format.usual_files,
            videos,
        };
        selection.count_losses(format, report);
        selection
    }

    /// What the format cannot say whatever it is of, to which its writer adds what depends on more.
    fn count_losses(&self, format: &Format, report: &mut Report) {
        let mut n_frames: BTreeMap<ObjectId, usize> = BTreeMap::new();
        let mut n_alike: BTreeMap<(FrameId, usize), usize> = BTreeMap::new();
        for label in self.frames.iter().flat_map(|frame| self.labels(frame)) {
            let is_mask = matches!(label.shape, Shape::Mask(_));
            report.lose(Loss::Masks, usize::from(is_mask && format.carries.masks == Masks::None));
            let has_attributes = !label.object.attributes.is_empty();
            report.lose(Loss::Attributes, usize::from(has_attributes && !format.carries.attributes));
            report.lose(Loss::Categories, usize::from(!format.carries.categories));
            *n_frames.entry(label.id).or_default() += 1;
            if !format.carries.objects {
                *n_alike.entry((label.at, label.category)).or_default() += 1;
            }
        }
        report.lose(Loss::Objects, n_alike.into_values().filter(|n| *n > 1).sum());
        if !format.carries.tracks {
            report.lose(Loss::Tracks, n_frames.into_values().filter(|n| *n > 1).sum());
        }
    }

    /// The parts into which the images are divided, each with its name; one without a name if they are not.
    pub fn parts(&self) -> Vec<(Option<&'static str>, Vec<&Frame<'a>>)> {
        let of = |split| self.frames.iter().filter(|frame| frame.split == split).collect();
        match self.options.splits {
            None => vec![(None, of(None))],
            Some(_) => {
                let parts = Splits::NAMES.iter().enumerate().map(|(i, name)| (Some(*name), of(Some(i))));
                parts.filter(|(_, frames): &(_, Vec<_>)| !frames.is_empty()).collect()
            }
        }
    }

    /// Returns the treatment of image files.
    pub fn files(&self) -> Files {
        self.options.files.unwrap_or(self.usual_files)
    }

    /// Returns the time at which a frame of a video is shown, in seconds after the first frame: as the video file says, or by
    /// the frame's number and the video's rate where the file cannot be read; `None` if there is no rate.
    pub fn time(&self, frame: &Frame<'_>) -> Option<f64> {
        let by_rate = || frame.medium.fps.filter(|fps| *fps > 0.0).map(|fps| frame.at.frame as f64 / fps);
        self.videos.time(frame.at).or_else(by_rate)
    }

    /// True if the person canceled while frames were checked.
    pub(super) fn is_canceled(&self) -> bool {
        self.videos.is_canceled()
    }

    /// What is on a frame.
    pub fn labels(&self, frame: &Frame<'_>) -> &[Label<'a>] {
        &self.labels[frame.labels.clone()]
    }

    /// A medium's path within an export: below a folder, and of no other medium, not even without suffixes.
    pub fn medium_name(&self, medium: MediumId) -> &str {
        &self.names[&medium]
    }

    /// A medium's path within an export without the suffix, of no other medium. A folder of frames has no suffix.
    pub fn medium_stem(&self, medium: MediumId) -> &str {
        let name = &self.names[&medium];
        if self.videos.is_folder(medium) { name } else { without_suffix(name) }
    }

    /// Returns the path by which a file names a frame's image, with `/` between folders: that of the image file where files
    /// are left in their places, or else [`Self::name_in_export`].
    pub fn name(&self, frame: &Frame<'_>) -> String {
        let path = &frame.medium.path;
        let is_left = self.files() == Files::Leave;
        match self.videos.file_name(frame.at).filter(|_| is_left) {
            Some(file) if path == "." => file.to_owned(),
            Some(file) => format!("{path}/{file}"),
            None if is_left && !frame.is_of_video() => path.clone(),
            None => self.name_in_export(frame),
        }
    }

    /// Returns the path of a frame's image file within an export: a photo's path, or that of a video and the frame's file name
    /// in its folder, or six digits. No two frames share it, nor its part before the suffix.
    pub fn name_in_export(&self, frame: &Frame<'_>) -> String {
        if !frame.is_of_video() {
            return self.medium_name(frame.at.medium).to_owned();
        }
        let folder = self.medium_stem(frame.at.medium);
        match self.videos.file_name(frame.at) {
            Some(file) => format!("{folder}/{file}"),
            None => frame_name(folder, frame.at.frame),
        }
    }

    /// Returns [`Self::name_in_export`] without the suffix; no two frames share it.
    pub fn stem(&self, frame: &Frame<'_>) -> String {
        without_suffix(&self.name_in_export(frame)).to_owned()
    }

    /// Returns the last part of [`Self::stem`] of a frame of a video, in which the frame's number has `n_digits` if its file has
    /// no name of its own.
    pub fn frame_stem(&self, at: FrameId, n_digits: usize) -> String {
        match self.videos.file_name(at) {
            Some(file) => without_suffix(file).to_owned(),
            None => format!("{:0n_digits$}", at.frame),
        }
    }

    /// Returns the name of a frame's file in the folder of images that is its video.
    pub(super) fn file_name(&self, at: FrameId) -> Option<&str> {
        self.videos.file_name(at)
    }
}

/// A video, as far as it is written.
pub struct Clip<'s, 'a> {
    /// Its id.
    pub id: MediumId,
    /// What the project says of it.
    pub medium: &'a Medium,
    /// Its frames, in their order.
    pub frames: Vec<&'s Frame<'a>>,
}

impl<'a> Selection<'a> {
    /// The videos that some frames are of, in their order.
    pub fn clips<'s>(&self, frames: &[&'s Frame<'a>]) -> Vec<Clip<'s, 'a>> {
        let mut clips: Vec<Clip<'s, 'a>> = Vec::new();
        for frame in frames.iter().filter(|frame| frame.is_of_video()) {
            match clips.last_mut().filter(|clip| clip.id == frame.at.medium) {
                Some(clip) => clip.frames.push(frame),
                None => {
                    clips.push(Clip { id: frame.at.medium, medium: frame.medium, frames: vec![frame] });
                }
            }
        }
        clips
    }

    /// What is on a clip's frames, by object: the places of the frames in the clip, and what is there.
    pub fn tracks(&self, clip: &Clip<'_, 'a>) -> BTreeMap<ObjectId, Vec<(usize, &Label<'a>)>> {
        let mut tracks: BTreeMap<ObjectId, Vec<(usize, &Label<'a>)>> = BTreeMap::new();
        for (place, frame) in clip.frames.iter().enumerate() {
            for label in self.labels(frame) {
                tracks.entry(label.id).or_default().push((place, label));
            }
        }
        tracks
    }
}

fn is_wanted<T: Ord>(wanted: &Option<BTreeSet<T>>, id: &T) -> bool {
    wanted.as_ref().is_none_or(|wanted| wanted.contains(id))
}

/// All that is to be written; `report` counts what is not.
fn labels<'a>(
    project: &'a Project,
    options: &Options,
    categories: &BTreeMap<CategoryId, usize>,
    report: &mut Report,
) -> Vec<Label<'a>> {
    let mut all = Vec::new();
    for (&(medium_id, id), object) in &project.objects {
        let segments = project.track(id);
        let Some(medium) = project.media.get(&medium_id) else {
            report.leave_out(LeftOut::Misfits, segments.count());
            continue;
        };
        if !is_wanted(&options.media, &medium_id) {
            report.leave_out(LeftOut::Media, segments.count());
            continue;
        }
        let Some(&category) = categories.get(&object.category) else {
            let is_known = project.categories.contains_key(&object.category);
            let why = if is_known { LeftOut::Categories } else { LeftOut::Misfits };
            report.leave_out(why, segments.count());
            continue;
        };
        if object.proposal.is_some() {
            report.leave_out(LeftOut::Proposals, segments.count());
            continue;
        }
        for (frame, segment) in segments {
            match shape(segment, frame, medium, options) {
                Ok(shape) => {
                    let at = FrameId { medium: medium_id, frame };
                    let score = (options.scores && !segment.is_given()).then_some(segment.iou);
                    all.push(Label { at, id, object, segment, category, shape, score });
                }
                Err(why) => report.leave_out(why, 1),
            }
        }
    }
    all
}

fn shape(segment: &Segment, frame: usize, medium: &Medium, options: &Options) -> Result<Shape, LeftOut> {
    let is_misfit = segment.mask.as_ref().is_some_and(|mask| mask.size() != medium.size);
    if is_misfit || frame >= medium.n_frames {
        return Err(LeftOut::Misfits);
    }
    if !options.unconfirmed && !segment.is_given() {
        return Err(LeftOut::Unconfirmed);
    }
    let mask = segment.mask.as_ref().filter(|mask| !mask.is_empty());
    let rect = || segment.rect.and_then(|rect| clip(rect, medium.size));
    mask.map(|mask| Shape::Mask(mask.clone())).or_else(|| rect().map(Shape::Box)).ok_or(LeftOut::Empty)
}

/// The frames that are wanted, with what is on them.
fn frames<'a>(
    project: &'a Project,
    options: &Options,
    of_videos: bool,
    labels: &[Label<'a>],
    report: &mut Report,
) -> Vec<Frame<'a>> {
    let mut frames = Vec::new();
    for (&id, medium) in project.media.iter().filter(|(id, _)| is_wanted(&options.media, id)) {
        if of_videos && !medium.is_video() {
            report.leave_out(LeftOut::Photos, 1);
            continue;
        }
        let begin = labels.partition_point(|label| label.at.medium < id);
        let mut of_medium = begin..begin + labels[begin..].partition_point(|label| label.at.medium == id);
        for frame in 0..medium.n_frames {
            let end =
                of_medium.start + labels[of_medium.clone()].partition_point(|label| label.at.frame <= frame);
            let here = of_medium.start..end;
            of_medium.start = end;
            let is_video = medium.is_video();
            let is_confirmed = || labels[here.clone()].iter().all(|label| label.segment.is_given());
            let is_chosen = match options.frames {
                Frames::Usual => !is_video || of_videos || !here.is_empty(),
                Frames::All => true,
                Frames::Labeled => !here.is_empty(),
                Frames::Confirmed => !here.is_empty() && is_confirmed(),
                Frames::Every(n) => frame.is_multiple_of(n),
            };
            if is_chosen && (options.empty || !here.is_empty()) {
                let at = FrameId { medium: id, frame };
                frames.push(Frame { at, medium, split: None, labels: here });
            }
        }
    }
    frames
}
