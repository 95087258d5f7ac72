//! One image, video, category or annotation of a COCO file, or the reason why it is none.

mod quick;

use std::{collections::BTreeMap, fmt};

use serde_json::Value;

use super::segmentation::Segmentation;
use crate::{
    formats::{
        Id,
        dataset::one_line,
        number::{json_float, json_whole},
        outlines,
        polygon::PolygonError,
        valid_size,
    },
    geometry::{Rect, Size},
    mask::RleError,
};

/// Why an item, or the mask of one, is not taken.
#[derive(Clone, Debug, thiserror::Error)]
pub(in crate::formats) enum Flaw {
    #[error("its {0} is missing, or neither a whole number nor a text")]
    NoId(&'static str),
    #[error("it is no JSON ({0})")]
    Json(String),
    #[error("an earlier one has the same id")]
    SameId,
    #[error("its {0} is missing or no text")]
    NoText(&'static str),
    #[error("its width and height are not those of an image")]
    Size,
    #[error("its image, {0}, is not in the file")]
    NoImage(Id),
    #[error("its image, {0}, may be one of several with this id")]
    ManyImages(Id),
    #[error("its category, {0}, is not in the file")]
    NoCategory(Id),
    #[error("its category, {0}, may be one of several with this id")]
    ManyCategories(Id),
    #[error("its bbox is not four numbers")]
    Bbox,
    #[error("its segmentation is neither polygons nor run lengths")]
    Segmentation,
    #[error("a polygon ends with half a corner")]
    HalfCorner,
    #[error("a polygon has fewer than three corners")]
    TwoCorners,
    #[error("it has neither a mask nor a box with a part of the image")]
    Nothing,
    #[error("its mask is {mask}, its image {image}")]
    OtherSize { mask: Size, image: Size },
    #[error("its run lengths cover {covered} pixels, its image of {size} has {}", size.area())]
    Covered { covered: u64, size: Size },
    #[error("its run lengths have no size, and that of its image is not known")]
    NoMaskSize,
    #[error("it is a polygon, and the size of its image is not known")]
    PolygonWithoutSize,
    #[error("{0}")]
    Rle(#[from] RleError),
    #[error("{0}")]
    Polygon(#[from] PolygonError),
}

/// The kind of an item.
#[derive(Clone, Copy, Debug)]
pub(super) enum Kind {
    Image,
    Video,
    Category,
    Annotation,
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Image => "image",
            Self::Video => "video",
            Self::Category => "category",
            Self::Annotation => "annotation",
        })
    }
}

/// Something that a list of a file holds.
pub(super) trait Item: Sized {
    const KIND: Kind;

    fn of(item: Value) -> Result<Self, Flaw>;

    /// True if an item that follows with the same id is the same.
    fn is_same(&self, _later: &Self) -> bool {
        false
    }

    /// The same, with its id, of what is written as most files do; none of what needs a closer look.
    fn quick(_text: &[u8]) -> Option<(Option<Id>, Self)> {
        None
    }
}

/// An image of a file.
pub(super) struct Image {
    pub(super) id: Id,
    pub(super) file_name: String,
    /// None if the file does not state the size of an image.
    pub(super) size: Option<Size>,
    /// Its frame in a video.
    pub(super) frame: Option<RawFrame>,
}

/// The frame of an image as the file has it.
pub(super) struct RawFrame {
    /// The video's id; without one, the video is the folder of the image.
    pub(super) video: Option<Id>,
    /// Its frame index, or its number if `is_number`.
    pub(super) index: usize,
    /// True if it is called `frame_id`, which some tools count from 0 and others as the files.
    pub(super) is_number: bool,
}

/// A video of a file: its path.
pub(super) struct Video(pub(super) String);

/// A category of a file.
pub(in crate::formats) struct Category {
    pub(in crate::formats) id: Id,
    pub(in crate::formats) name: String,
    /// False if the file has no name for it, so that it is called by its id.
    pub(in crate::formats) is_named: bool,
    pub(in crate::formats) supercategory: String,
    pub(in crate::formats) color: Option<[u8; 3]>,
}

/// The note on categories without a name.
pub(in crate::formats) const UNNAMED: &str = "it has no name and is called by its id";

impl Category {
    /// Reads a category.
    ///
    /// # Errors
    /// If it has no id.
    pub(in crate::formats) fn read(item: &Value) -> Result<Self, Flaw> {
        let id = id(item, "id")?;
        let name = text(item, "name").ok();
        Ok(Self {
            is_named: name.is_some(),
            name: name.map_or_else(|| format!("category {id}"), |name| one_line(&name).into_owned()),
            id,
            supercategory: text(item, "supercategory").unwrap_or_default(),
            color: serde_json::from_value(item["color"].clone()).ok(),
        })
    }
}

/// An annotation of a file.
pub(super) struct Annotation {
    pub(super) image: Id,
    pub(super) category: Id,
    pub(super) track: Option<Id>,
    pub(super) segmentation: Segmentation,
    pub(super) rect: Option<Rect>,
    pub(super) area: Option<f64>,
    /// True if it has a mask, and a box that makes no sense.
    pub(super) has_bad_box: bool,
    /// True if it has keypoints.
    pub(super) has_keypoints: bool,
    /// `None` if all fields are empty. Boxed, since files have millions of annotations, nearly all without.
    pub(super) extras: Option<Box<Extras>>,
}

/// Fields that few annotations have.
#[derive(Default)]
pub(super) struct Extras {
    /// The image's path, which some tools write into results.
    pub(super) file_name: Option<Box<str>>,
    pub(super) score: Option<f32>,
    pub(super) attributes: BTreeMap<String, String>,
}

impl Extras {
    /// Moves them into a box; returns None if there are none.
    fn boxed(self) -> Option<Box<Self>> {
        let is_empty = matches!(
            &self,
            Self { file_name: None, score: None, attributes } if attributes.is_empty()
        );
        (!is_empty).then(|| self.into())
    }
}

impl Item for Image {
    const KIND: Kind = Kind::Image;

    fn of(item: Value) -> Result<Self, Flaw> {
        let video = Id::of_json(&item["video_id"]);
        let number = |key: &str| usize::try_from(json_whole(&item[key])?).ok();
        let told = |key, is_number| Some(RawFrame { video: video.clone(), index: number(key)?, is_number });
        let by_id = || told("frame_id", true).filter(|told| told.video.is_some());
        Ok(Self {
            frame: told("frame_index", false).or_else(by_id),
            id: id(&item, "id")?,
            file_name: text(&item, "file_name").or_else(|flaw| name_in_url(&item).ok_or(flaw))?,
            size: size(&item["width"], &item["height"]),
        })
    }

    fn is_same(&self, later: &Self) -> bool {
        self.file_name == later.file_name
    }
}

impl Item for Video {
    const KIND: Kind = Kind::Video;

    fn of(item: Value) -> Result<Self, Flaw> {
        id(&item, "id")?;
        text(&item, "name").map(Self)
    }
}

impl Item for Category {
    const KIND: Kind = Kind::Category;

    fn of(item: Value) -> Result<Self, Flaw> {
        Self::read(&item)
    }

    fn is_same(&self, later: &Self) -> bool {
        self.name == later.name
    }
}

impl Item for Annotation {
    const KIND: Kind = Kind::Annotation;

    fn quick(text: &[u8]) -> Option<(Option<Id>, Self)> {
        quick::annotation(text)
    }

    fn of(mut item: Value) -> Result<Self, Flaw> {
        let segmentation = Segmentation::of(item.get_mut("segmentation").map_or(Value::Null, Value::take));
        let rect = rect(&item["bbox"]);
        let has_bad_box = rect.is_err() && !matches!(segmentation, Segmentation::None);
        // A bad box does no harm where there is a mask.
        let rect = if has_bad_box { None } else { rect? };
        let attributes = item["attributes"].as_object().into_iter().flatten();
        let mut attributes =
            attributes.filter_map(|(name, value)| Some((name.clone(), answer(value)?))).collect();
        mark_crowd(is_crowd(&item["iscrowd"]), &mut attributes);
        let (segmentation, rect) = match (segmentation, rect) {
            (Segmentation::None, Some(rect)) => turned(rect, &item, &mut attributes),
            as_told => as_told,
        };
        let has_keypoints = item["keypoints"].as_array().is_some_and(|points| !points.is_empty());
        let track = Id::of_json(&item["track_id"]).or_else(|| track_among(&mut attributes));
        let extras = Extras {
            file_name: text(&item, "file_name").ok().map(Into::into),
            score: json_float(&item["score"]).map(|score| score.clamp(0.0, 1.0) as f32),
            attributes,
        };
        Ok(Self {
            image: id(&item, "image_id")?,
            category: id(&item, "category_id")?,
            track,
            segmentation,
            rect,
            area: json_float(&item["area"]),
            has_bad_box,
            has_keypoints: has_keypoints && json_whole(&item["num_keypoints"]) != Some(0),
            extras: extras.boxed(),
        })
    }
}

/// The attribute that keeps `iscrowd`, where it is 1.
pub(in crate::formats) const CROWD: &str = "iscrowd";

/// True if `iscrowd` is set.
pub(in crate::formats) fn is_crowd(value: &Value) -> bool {
    json_whole(value) == Some(1) || *value == true
}

/// The attribute in which CVAT keeps how a box is turned, in degrees.
const ROTATION: &str = "rotation";

/// Returns the outline of a box that is turned clockwise around its center, as CVAT has it in an attribute, which is dropped, and
/// the upright box around it.
fn turned(
    rect: Rect,
    item: &Value,
    attributes: &mut BTreeMap<String, String>,
) -> (Segmentation, Option<Rect>) {
    let Some(degrees) = json_float(&item["attributes"][ROTATION]) else {
        return (Segmentation::None, Some(rect));
    };
    attributes.remove(ROTATION);
    if degrees.rem_euclid(360.0) == 0.0 {
        return (Segmentation::None, Some(rect));
    }
    let [x0, y0, x1, y1] = <[f32; 4]>::from(rect).map(f64::from);
    let center = [f64::midpoint(x0, x1), f64::midpoint(y0, y1)];
    let outline = outlines::turned(center, [x1 - x0, y1 - y0], degrees);
    let around = outlines::around(&outline);
    (Segmentation::Polygons { polygons: vec![outline], doubt: None }, Some(around))
}

fn mark_crowd(is_crowd: bool, attributes: &mut BTreeMap<String, String>) {
    if is_crowd {
        attributes.insert(CROWD.to_owned(), "1".to_owned());
    }
}

/// The name of an image in the address that LVIS has for it: its folder and its file.
fn name_in_url(item: &Value) -> Option<String> {
    let url = text(item, "coco_url").ok()?;
    let mut names = url.rsplit('/').filter(|name| !name.is_empty());
    let (file, folder) = (names.next()?, names.next()?);
    Some(format!("{folder}/{file}"))
}

fn id(item: &Value, name: &'static str) -> Result<Id, Flaw> {
    Id::of_json(&item[name]).ok_or(Flaw::NoId(name))
}

fn text(item: &Value, name: &'static str) -> Result<String, Flaw> {
    match &item[name] {
        Value::String(text) if !text.is_empty() => Ok(text.clone()),
        Value::Number(number) => Ok(number.to_string()),
        _ => Err(Flaw::NoText(name)),
    }
}

fn size(width: &Value, height: &Value) -> Option<Size> {
    let side = |value| json_whole(value).and_then(|side| usize::try_from(side).ok());
    valid_size(side(width)?, side(height)?)
}

fn rect(bbox: &Value) -> Result<Option<Rect>, Flaw> {
    let numbers = |list: &[Value]| list.iter().map(json_float).collect::<Option<Vec<f64>>>();
    let list = match bbox {
        Value::Null => return Ok(None),
        // A box in a list of one.
        Value::Array(list) if list.len() == 1 => list[0].as_array(),
        _ => bbox.as_array(),
    };
    match list.and_then(|list| numbers(list)).as_deref() {
        Some([x, y, width, height]) => {
            Ok(Some(Rect::from([*x, *y, x + width, y + height].map(|v| v as f32))))
        }
        Some([]) => Ok(None),
        _ => Err(Flaw::Bbox),
    }
}

/// The track that CVAT and Datumaro tell as an attribute.
fn track_among(attributes: &mut BTreeMap<String, String>) -> Option<Id> {
    attributes.remove("track_id").map(|id| Id::of(&id))
}

/// A value of an attribute as text.
fn answer(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Bool(_) | Value::Number(_) => Some(value.to_string()),
        _ => None,
    }
}
