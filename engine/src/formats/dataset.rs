//! What a file of labels says, whatever its format.

use std::{
    borrow::Cow,
    collections::{BTreeMap, BTreeSet, HashMap},
    fmt,
    path::{Path, PathBuf},
    sync::Arc,
};

use serde::{Deserialize, Deserializer, de::Error as _};
use serde_json::Value;

use super::{FormatError, ImageFiles, Messages, Taken, clip, coco, number::json_whole, paths::normalized};
use crate::{
    geometry::{Rect, Size},
    mask::Rle,
    project::{Medium, MediumId, MediumKind, Project},
};

/// What a file of labels says, as far as it makes sense. Images, videos and categories are named by their places in the
/// lists.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Dataset {
    /// The folder that the paths of images and videos are relative to, as far as they are true.
    pub folder: PathBuf,
    /// Images, and frames of videos.
    pub images: Vec<Image>,
    /// The paths of videos.
    pub videos: Vec<String>,
    /// Videos whose frame indices are the numbers in the file names; counting starts at 0 or 1.
    pub file_numbered_videos: BTreeSet<usize>,
    /// Splits (`train`, `val` or `test`) of images, by image index, as named by label files.
    pub splits: BTreeMap<usize, &'static str>,
    /// Videos that the labels do not name; their paths are those of the label files.
    pub unnamed_videos: BTreeSet<usize>,
    /// Categories.
    pub categories: Vec<Category>,
    /// Annotations.
    pub annotations: Vec<Annotation>,
    /// What is not taken, and why.
    pub refused: Messages,
    /// What is taken although something about it is wrong.
    pub doubts: Messages,
    /// What is taken otherwise than the file has it, such as a box in place of a skeleton.
    pub notes: Messages,
}

/// An image.
#[derive(Clone, Debug, PartialEq)]
pub struct Image {
    /// Its id in the file.
    pub id: Id,
    /// The path of its file, from the folder of the data set or from one that is not known, with `/` between folders.
    /// None in COCO results, which know images by the ids that they had in an export.
    pub file_name: Option<String>,
    /// Its pixels, where they are known.
    pub size: Option<Size>,
    /// Of a frame of a video, the video and the frame's index, from 0.
    pub frame: Option<(usize, usize)>,
}

/// A category.
#[derive(Clone, Debug, PartialEq)]
pub struct Category {
    /// Its id in the file.
    pub id: Id,
    /// Its name; none in COCO results, which know categories by the ids that they had in an export.
    pub name: Option<String>,
    /// What it is a kind of; may be empty.
    pub supercategory: String,
    /// Red, green, blue.
    pub color: Option<[u8; 3]>,
}

/// An object on an image.
#[derive(Clone, Debug, PartialEq)]
pub struct Annotation {
    /// Its image.
    pub image: usize,
    /// Its category.
    pub category: usize,
    /// Which object of its video it is.
    pub track: Option<Id>,
    /// The score of the model that proposes it, 0 to 1; none if it is a label.
    pub score: Option<f32>,
    /// Where it is; a mask is not empty and of its image's size, a box lies in it, as far as that size is known.
    pub shape: Shape,
    /// What else is said of it.
    pub attributes: BTreeMap<String, String>,
}

/// Where an object is.
#[derive(Clone, Debug, PartialEq)]
pub enum Shape {
    /// Its pixels.
    Mask(Arc<Rle>),
    /// A box round it, in image pixels; no mask is known.
    Box(Rect),
}

impl Shape {
    /// The smallest box round it, in image pixels.
    pub fn rect(&self) -> Rect {
        match self {
            Self::Mask(mask) => mask.rect(),
            Self::Box(rect) => *rect,
        }
    }
}

/// An id as files have it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Id {
    /// A whole number, or a text that is one.
    Number(i64),
    /// Another text. Boxed twice to keep ids small: files have millions of them, nearly all numbers.
    Text(Box<Box<str>>),
}

impl Id {
    /// The id that a text is.
    pub(super) fn of(text: &str) -> Self {
        text.parse().map_or_else(|_| Self::Text(Box::new(text.into())), Self::Number)
    }

    /// The id that a JSON value is, a whole number or a text; none if it is neither.
    pub(super) fn of_json(value: &Value) -> Option<Self> {
        match value {
            Value::String(text) => Some(Self::of(text)),
            _ => json_whole(value).map(Self::Number),
        }
    }
}

impl fmt::Display for Id {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Number(number) => number.fmt(f),
            Self::Text(text) => text.fmt(f),
        }
    }
}

impl<'de> Deserialize<'de> for Id {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let value = Value::deserialize(deserializer)?;
        Self::of_json(&value).ok_or_else(|| D::Error::custom("an id is neither a whole number nor a text"))
    }
}

/// A dataset in the making, of a format that names images and categories instead of numbering them.
#[derive(Default)]
pub(super) struct Builder {
    dataset: Dataset,
    images: HashMap<String, usize>,
    videos: HashMap<String, usize>,
    frames: HashMap<(usize, usize), usize>,
    categories: HashMap<String, usize>,
    exported: HashMap<(MediumId, usize), usize>,
}

impl Builder {
    /// The place of the image of this name, which is listed once.
    pub(super) fn image(&mut self, file_name: &str, size: Option<Size>) -> usize {
        let file_name = normalized(file_name);
        if let Some(known) = self.images.get(&file_name) {
            return *known;
        }
        let place = self.push_image(Some(file_name.clone()), size, None);
        self.images.insert(file_name, place);
        place
    }

    /// The place of a frame of a video, counted from 0, which is listed once. Its own image, where the data set has images
    /// of frames, is called `file_name`; without one, frames are known by their positions.
    pub(super) fn frame(
        &mut self,
        video: &str,
        frame: usize,
        file_name: Option<&str>,
        size: Option<Size>,
    ) -> usize {
        let video = self.video(video);
        if let Some(known) = self.frames.get(&(video, frame)) {
            return *known;
        }
        let place = self.push_image(file_name.map(normalized), size, Some((video, frame)));
        self.frames.insert((video, frame), place);
        place
    }

    /// Sets the split of an image, if it is known.
    pub(super) fn set_split(&mut self, image: usize, split: Option<&'static str>) {
        self.dataset.splits.extend(split.map(|split| (image, split)));
    }

    /// Adds a video that the labels do not name, under a path that may be its own.
    pub(super) fn add_unnamed_video(&mut self, path: &str) {
        let video = self.video(path);
        self.dataset.unnamed_videos.insert(video);
    }

    fn video(&mut self, path: &str) -> usize {
        let videos = &mut self.dataset.videos;
        *self.videos.entry(path.to_owned()).or_insert_with_key(|path| {
            videos.push(path.clone());
            videos.len() - 1
        })
    }

    /// The place of a frame of a video whose index is the number of its file, `file_name`; see [`Self::frame`].
    pub(super) fn frame_of_file(
        &mut self,
        video: &str,
        number: usize,
        file_name: &str,
        size: Option<Size>,
    ) -> usize {
        let image = self.frame(video, number, Some(file_name), size);
        self.dataset.file_numbered_videos.insert(self.videos[video]);
        image
    }

    /// The place of a frame of a video that the project knows by the video's id in an export.
    pub(super) fn exported_frame(&mut self, video: MediumId, frame: usize) -> usize {
        let id = Id::Number(coco::frame_id(video, frame) as i64);
        let images = &mut self.dataset.images;
        *self.exported.entry((video, frame)).or_insert_with(|| {
            images.push(Image { id, file_name: None, size: None, frame: None });
            images.len() - 1
        })
    }

    /// A category that the project knows by its id in an export.
    pub(super) fn exported_category(&mut self, id: &Id) -> usize {
        let categories = &mut self.dataset.categories;
        let known = categories.iter().position(|category| category.name.is_none() && category.id == *id);
        known.unwrap_or_else(|| {
            categories.push(Category {
                id: id.clone(),
                name: None,
                supercategory: String::new(),
                color: None,
            });
            categories.len() - 1
        })
    }

    fn push_image(
        &mut self,
        file_name: Option<String>,
        size: Option<Size>,
        frame: Option<(usize, usize)>,
    ) -> usize {
        let id = Id::Number(self.dataset.images.len() as i64 + 1);
        self.dataset.images.push(Image { id, file_name, size, frame });
        self.dataset.images.len() - 1
    }

    /// True if nothing was added.
    pub(super) fn is_empty(&self) -> bool {
        self.dataset.is_empty()
    }

    /// The size of an image, as far as it is known.
    pub(super) fn size(&self, image: usize) -> Option<Size> {
        self.dataset.images[image].size
    }

    /// A category of this name, which is listed once. Control characters in it are read as spaces.
    pub(super) fn category(&mut self, name: &str) -> usize {
        let name = one_line(name);
        let categories = &mut self.dataset.categories;
        *self.categories.entry(name.into_owned()).or_insert_with_key(|name| {
            let id = Id::Number(categories.len() as i64 + 1);
            categories.push(Category {
                id,
                name: Some(name.clone()),
                supercategory: String::new(),
                color: None,
            });
            categories.len() - 1
        })
    }

    /// Reads a category as COCO has it, and returns its id and place. One without a name is called by its id.
    ///
    /// # Errors
    /// If it has no id.
    pub(super) fn json_category(&mut self, item: &Value) -> Result<(Id, usize), String> {
        let told = coco::ToldCategory::read(item).map_err(|flaw| flaw.to_string())?;
        if !told.is_named {
            self.note("category record", coco::UNNAMED);
        }
        let place = self.category(&told.name);
        let category = self.category_mut(place);
        category.id = told.id.clone();
        category.supercategory = told.supercategory;
        category.color = told.color;
        Ok((told.id, place))
    }

    /// What else is known of a category.
    pub(super) fn category_mut(&mut self, category: usize) -> &mut Category {
        &mut self.dataset.categories[category]
    }

    /// An object on an image; a box is cut at its image's edges, and what then has no part of the image is refused as
    /// `what`.
    pub(super) fn annotate(
        &mut self,
        what: impl fmt::Display,
        image: usize,
        category: usize,
        shape: Shape,
    ) -> Option<&mut Annotation> {
        let shape = match (shape, self.size(image)) {
            (Shape::Mask(mask), Some(size)) if mask.size() != size => {
                self.refuse(what, format_args!("its mask is {}, its image {size}", mask.size()));
                return None;
            }
            (Shape::Mask(mask), _) => (!mask.is_empty()).then_some(Shape::Mask(mask)),
            (Shape::Box(rect), Some(size)) => {
                let clipped = clip(rect, size);
                let outside = clipped.map_or(0.0, |clipped| reach(rect, clipped));
                if outside > 1.0 {
                    let remark = format_args!(
                        "it reaches {outside:.0} pixels out of its image; its part there is taken"
                    );
                    self.dataset.notes.remark(&what, remark);
                }
                clipped.map(Shape::Box)
            }
            (Shape::Box(rect), None) => Some(Shape::Box(rect)),
        };
        let Some(shape) = shape else {
            self.refuse(what, "it has no part of its image");
            return None;
        };
        let attributes = BTreeMap::new();
        self.dataset.annotations.push(Annotation {
            image,
            category,
            track: None,
            score: None,
            shape,
            attributes,
        });
        self.dataset.annotations.last_mut()
    }

    /// Reports that something is not taken.
    pub(super) fn refuse(&mut self, what: impl fmt::Display, why: impl fmt::Display) {
        self.dataset.refused.refuse(what, why);
    }

    /// Counts items of a kind (a singular noun) that are taken in part or otherwise than the file has them, or not at all,
    /// such as "skeleton", "its box is kept, keypoints are not supported".
    pub(super) fn note(&mut self, kind: &str, why: &str) {
        self.dataset.notes.count(kind, why);
    }

    /// Reports something about an item that is taken.
    pub(super) fn remark(&mut self, item: impl fmt::Display, remark: impl fmt::Display) {
        self.dataset.notes.remark(item, remark);
    }

    /// Counts several items; see [`Self::note`].
    pub(super) fn note_many(&mut self, kind: &str, why: &str, n: usize) {
        self.dataset.notes.count_many(kind, why, n);
    }

    /// The dataset, if there is anything in it.
    pub(super) fn finish(self, path: &Path, lacks: &'static str) -> Result<Dataset, FormatError> {
        let Self { dataset, .. } = self;
        let path = path.to_owned();
        let reasons = dataset.refused.sentences().into_iter().chain(dataset.notes.sentences()).next();
        match (dataset.is_empty(), reasons) {
            (false, _) => Ok(dataset),
            (true, Some(first)) => Err(FormatError::Unusable { path, first }),
            (true, None) => Err(FormatError::Lacks { path, lacks }),
        }
    }
}

/// Returns how far a box reaches out of another, in pixels.
fn reach(rect: Rect, inner: Rect) -> f32 {
    let [x0, y0, x1, y1] = <[f32; 4]>::from(rect);
    let inner = <[f32; 4]>::from(inner);
    [inner[0] - x0, inner[1] - y0, x1 - inner[2], y1 - inner[3]].into_iter().fold(0.0, f32::max)
}

impl Dataset {
    /// Sets the split of all images that have none.
    pub(super) fn set_default_split(&mut self, split: &'static str) {
        for image in 0..self.images.len() {
            self.splits.entry(image).or_insert(split);
        }
    }

    /// Makes a project of all that it says, with its images and videos as media; and reports what has no place there. Its
    /// annotations move there. Images whose files are there in another size than stated are not taken.
    pub fn to_project(&mut self, files: &ImageFiles) -> (Project, Taken) {
        let mut project = Project::default();
        for annotation in &mut self.annotations {
            // A score would make the annotation a proposal, which labels from a file are not.
            if let Some(score) = annotation.score.take() {
                annotation.attributes.insert(coco::SCORE.to_owned(), score.to_string());
            }
        }
        let medium = |path: &str, kind, size, n_frames| {
            let path = path.to_owned();
            Medium { path, kind, size, n_frames, fps: None, content: None, done: false }
        };
        let photos = self.images.iter().filter(|image| image.frame.is_none());
        let photos = photos.filter_map(|image| {
            let path = image.file_name.as_deref()?;
            // Where the file has another size, labels of the stated size are refused below.
            let of_file = files.size(path).and_then(Result::ok);
            Some((path, of_file.or(image.size)?))
        });
        project.add_media(photos.map(|(path, size)| medium(path, MediumKind::Image, size, 1)).collect());
        let mut videos: BTreeMap<usize, (Size, usize)> = BTreeMap::new();
        for image in &self.images {
            if let Some(((video, frame), size)) = image.frame.zip(image.size) {
                // Of one frame it would be a photo.
                let (_, n_frames) = videos.entry(video).or_insert((size, 2));
                *n_frames = (*n_frames).max(frame + 1);
            }
        }
        let mut frames: BTreeMap<usize, Vec<(usize, &str)>> = BTreeMap::new();
        for image in &self.images {
            if let Some(((video, frame), path)) = image.frame.zip(image.file_name.as_deref()) {
                frames.entry(video).or_default().push((frame, path));
            }
        }
        for (video, frames) in frames {
            files.add_frames(&self.videos[video], &frames);
        }
        let video = |(video, (size, n_frames)): (usize, (Size, usize))| {
            medium(&self.videos[video], MediumKind::Video, size, n_frames)
        };
        project.add_media(videos.into_iter().map(video).collect());
        let taken = self.add_to(&mut project, files.folder(), true);
        (project, taken)
    }

    /// The sentences on what is not taken, is wrong, or is taken otherwise than the file has it.
    pub fn messages(&self) -> Vec<String> {
        [&self.refused, &self.doubts, &self.notes].into_iter().flat_map(Messages::sentences).collect()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.annotations.is_empty() && self.images.is_empty() && self.categories.is_empty()
    }
}

/// Returns a category's name with spaces in place of control characters, which break lists of a name a line, and without byte
/// order marks, which nobody sees.
pub(super) fn one_line(name: &str) -> Cow<'_, str> {
    const BYTE_ORDER_MARK: char = '\u{feff}';
    if name.contains(BYTE_ORDER_MARK) {
        return one_line(&name.replace(BYTE_ORDER_MARK, "")).into_owned().into();
    }
    if name.chars().any(char::is_control) { name.replace(char::is_control, " ").into() } else { name.into() }
}

/// Returns the name of a frame of a video as an image, with six digits.
pub(super) fn frame_name(folder: &str, frame: usize) -> String {
    format!("{folder}/{frame:06}.jpg")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn control_characters_in_names_are_spaces() {
        let mut builder = Builder::default();
        assert_eq!(builder.category("a\nb"), builder.category("a b"));
        assert_eq!((one_line("x\r\ny\u{85}"), one_line("x y")), ("x  y ".into(), "x y".into()));
    }
}
