//! One image, video, category or annotation of a COCO file, or why it is none.

mod quick;

use std::{collections::BTreeMap, sync::Arc};

use serde_json::Value;

use crate::{
    formats::{
        Id,
        polygon::{PolygonError, rasterize},
    },
    geometry::{Rect, Size},
    mask::{Rle, RleError},
};

/// Why an item is not taken.
#[derive(Debug, thiserror::Error)]
pub(super) enum Flaw {
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
    #[error("its category, {0}, is not in the file")]
    NoCategory(Id),
    #[error("its bbox is not four numbers")]
    Bbox,
    #[error("its segmentation is neither polygons nor run lengths")]
    Segmentation,
    #[error("a polygon ends with half a corner")]
    HalfCorner,
    #[error("it has neither a mask nor a box with a part of the image")]
    Nothing,
    #[error("its mask is {mask}, its image {image}")]
    OtherSize { mask: Size, image: Size },
    #[error("it is a polygon without an image's size; results need run lengths")]
    PolygonInResults,
    #[error("{0}")]
    Rle(#[from] RleError),
    #[error("{0}")]
    Polygon(#[from] PolygonError),
}

/// Something that a list of a file holds.
pub(super) trait Item: Sized {
    /// What people call it.
    const KIND: &'static str;

    fn of(item: Value) -> Result<Self, Flaw>;

    /// The same, with its id, of what is written as most files do; none of what needs a closer look.
    fn quick(_text: &[u8]) -> Option<(Option<Id>, Self)> {
        None
    }
}

/// An image of a file.
pub(super) struct Image {
    pub(super) id: Id,
    pub(super) file_name: String,
    pub(super) size: Size,
    /// Its video and its frame there.
    pub(super) frame: Option<(Id, usize)>,
}

/// A video of a file: its path.
pub(super) struct Video(pub(super) String);

/// A category of a file.
pub(super) struct Category {
    pub(super) id: Id,
    pub(super) name: String,
    pub(super) supercategory: String,
    pub(super) color: Option<[u8; 3]>,
}

/// An annotation of a file.
pub(super) struct Annotation {
    pub(super) image: Id,
    pub(super) category: Id,
    pub(super) track: Option<Id>,
    pub(super) score: Option<f32>,
    pub(super) segmentation: Segmentation,
    pub(super) rect: Option<Rect>,
    pub(super) area: Option<f64>,
    pub(super) attributes: BTreeMap<String, String>,
}

/// What tells an object's pixels.
pub(super) enum Segmentation {
    None,
    Mask(Arc<Rle>),
    /// Each as `x, y, x, y, …`, in full precision, since a last digit decides how they are rounded.
    Polygons(Vec<Vec<f64>>),
}

impl Item for Image {
    const KIND: &'static str = "image";

    fn of(item: Value) -> Result<Self, Flaw> {
        let frame = id_of(&item["video_id"]).zip(item["frame_index"].as_u64());
        Ok(Self {
            id: id(&item, "id")?,
            file_name: text(&item, "file_name")?,
            size: size(&item["width"], &item["height"])?,
            frame: frame.map(|(video, frame)| (video, frame as usize)),
        })
    }
}

impl Item for Video {
    const KIND: &'static str = "video";

    fn of(item: Value) -> Result<Self, Flaw> {
        id(&item, "id")?;
        text(&item, "name").map(Self)
    }
}

impl Item for Category {
    const KIND: &'static str = "category";

    fn of(item: Value) -> Result<Self, Flaw> {
        Ok(Self {
            id: id(&item, "id")?,
            name: text(&item, "name")?,
            supercategory: text(&item, "supercategory").unwrap_or_default(),
            color: serde_json::from_value(item["color"].clone()).ok(),
        })
    }
}

impl Item for Annotation {
    const KIND: &'static str = "annotation";

    fn quick(text: &[u8]) -> Option<(Option<Id>, Self)> {
        quick::annotation(text)
    }

    fn of(mut item: Value) -> Result<Self, Flaw> {
        let segmentation = segmentation(item.get_mut("segmentation").map_or(Value::Null, Value::take))?;
        let rect = match (&segmentation, rect(&item["bbox"])) {
            (Segmentation::None, rect) => rect?,
            // A bad box does no harm where there is a mask.
            (_, rect) => rect.unwrap_or_default(),
        };
        let attributes = item["attributes"].as_object();
        let attributes = attributes.into_iter().flatten();
        let mut attributes =
            attributes.filter_map(|(name, value)| Some((name.clone(), answer(value)?))).collect();
        Ok(Self {
            image: id(&item, "image_id")?,
            category: id(&item, "category_id")?,
            track: id_of(&item["track_id"]).or_else(|| track_among(&mut attributes)),
            score: item["score"].as_f64().map(|score| score.clamp(0.0, 1.0) as f32),
            segmentation,
            rect,
            area: item["area"].as_f64(),
            attributes,
        })
    }
}

fn whole(value: &Value) -> Option<i64> {
    let float = || value.as_f64().filter(|v| v.fract() == 0.0 && v.abs() < 1e15);
    value.as_i64().or_else(|| float().map(|v| v as i64))
}

/// An id, however it is written.
pub(super) fn id_of(value: &Value) -> Option<Id> {
    match value {
        Value::String(text) => Some(Id::of(text)),
        _ => whole(value).map(Id::Number),
    }
}

fn id(item: &Value, name: &'static str) -> Result<Id, Flaw> {
    id_of(&item[name]).ok_or(Flaw::NoId(name))
}

fn text(item: &Value, name: &'static str) -> Result<String, Flaw> {
    let text = item[name].as_str().filter(|text| !text.is_empty());
    text.map(str::to_owned).ok_or(Flaw::NoText(name))
}

fn size(width: &Value, height: &Value) -> Result<Size, Flaw> {
    let side = |value| whole(value).and_then(|side| usize::try_from(side).ok()).filter(|side| *side > 0);
    side(width).zip(side(height)).and_then(|(width, height)| size_of(width, height)).ok_or(Flaw::Size)
}

/// The mask that a segmentation is on an image; none of none.
pub(in crate::formats) fn mask_of(told: Value, size: Size) -> Result<Option<Arc<Rle>>, String> {
    let read = segmentation(told).and_then(|told| match told {
        Segmentation::None => Ok(None),
        Segmentation::Mask(mask) => Ok(Some(mask)),
        Segmentation::Polygons(polygons) => Ok(Some(Arc::new(rasterize(&polygons, size)?))),
    });
    read.map_err(|flaw| flaw.to_string())
}

/// An image's size; none if no image has so many pixels, or none.
pub(in crate::formats) fn size_of(width: usize, height: usize) -> Option<Size> {
    let area = width.checked_mul(height).filter(|area| (1..=1 << 31).contains(area));
    area.map(|_| Size::new(width, height))
}

fn rect(bbox: &Value) -> Result<Option<Rect>, Flaw> {
    if bbox.is_null() {
        return Ok(None);
    }
    match numbers(bbox).ok_or(Flaw::Bbox)?[..] {
        [x, y, width, height] => Ok(Some(Rect::from([x, y, x + width, y + height].map(|v| v as f32)))),
        [] => Ok(None),
        _ => Err(Flaw::Bbox),
    }
}

fn segmentation(value: Value) -> Result<Segmentation, Flaw> {
    match value {
        Value::Null => Ok(Segmentation::None),
        Value::Array(polygons) => {
            let mut polygons: Vec<Vec<f64>> = polygons.iter().map(polygon).collect::<Result<_, _>>()?;
            // Fewer than three corners have no pixel between them.
            polygons.retain(|polygon| polygon.len() >= 6);
            Ok(if polygons.is_empty() { Segmentation::None } else { Segmentation::Polygons(polygons) })
        }
        Value::Object(rle) => {
            let Some([height, width]) = rle.get("size").and_then(Value::as_array).map(Vec::as_slice) else {
                return Err(Flaw::Segmentation);
            };
            let size = size(width, height)?;
            let mask = match rle.get("counts") {
                Some(Value::String(text)) => Rle::from_counts(size, text)?,
                Some(Value::Array(runs)) => {
                    let run = |value: &Value| value.as_u64().and_then(|run| u32::try_from(run).ok());
                    let runs: Option<Vec<u32>> = runs.iter().map(run).collect();
                    Rle::from_runs(size, runs.ok_or(Flaw::Segmentation)?)?
                }
                _ => return Err(Flaw::Segmentation),
            };
            Ok(Segmentation::Mask(mask.into()))
        }
        _ => Err(Flaw::Segmentation),
    }
}

fn polygon(value: &Value) -> Result<Vec<f64>, Flaw> {
    let polygon = numbers(value).ok_or(Flaw::Segmentation)?;
    if polygon.len() % 2 == 1 { Err(Flaw::HalfCorner) } else { Ok(polygon) }
}

fn numbers(value: &Value) -> Option<Vec<f64>> {
    value.as_array()?.iter().map(Value::as_f64).collect()
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
