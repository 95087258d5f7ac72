//! Annotations as nearly all files write them, read without a detour. What is written otherwise is read by the rules of the
//! module above, which also say what is wrong with it.

use std::{borrow::Cow, collections::BTreeMap, fmt};

use serde::{
    Deserialize, Deserializer,
    de::{self, IgnoredAny, MapAccess, SeqAccess, Visitor},
};
use serde_json::Value;

use super::{Annotation, Extras, ROTATION, Segmentation, answer, mark_crowd, track_among};
use crate::{
    formats::{Id, number::json_float, valid_size},
    geometry::{Rect, Size},
    mask::Rle,
};

pub(super) fn annotation(text: &[u8]) -> Option<(Option<Id>, Annotation)> {
    let Plain {
        id,
        image_id,
        category_id,
        track_id,
        score,
        bbox,
        area,
        iscrowd,
        segmentation,
        keypoints,
        num_keypoints,
        attributes,
        file_name,
    } = serde_json::from_slice(text).ok()?;
    let mut attributes = attributes.unwrap_or_default();
    if attributes.remove(ROTATION).is_some_and(|degrees| json_float(&degrees) != Some(0.0)) {
        return None;
    }
    let attributes = attributes.into_iter().filter_map(|(name, value)| Some((name, answer(&value)?)));
    let mut attributes = attributes.collect();
    mark_crowd(iscrowd == Some(1), &mut attributes);
    let track = track_id.map(Id::Number).or_else(|| track_among(&mut attributes));
    let extras = Extras { file_name, score: score.map(|score| score.clamp(0.0, 1.0) as f32), attributes };
    let annotation = Annotation {
        image: Id::Number(image_id),
        category: Id::Number(category_id),
        track,
        segmentation: segmentation.map_or(Segmentation::None, |told| told.0),
        rect: bbox.map(|[x, y, width, height]| Rect::from([x, y, x + width, y + height].map(|v| v as f32))),
        area,
        has_bad_box: false,
        has_keypoints: keypoints.is_some() && num_keypoints != Some(0),
        extras: extras.boxed(),
    };
    Some((id.map(Id::Number), annotation))
}

#[derive(Deserialize)]
struct Plain {
    id: Option<i64>,
    image_id: i64,
    category_id: i64,
    track_id: Option<i64>,
    score: Option<f64>,
    bbox: Option<[f64; 4]>,
    area: Option<f64>,
    iscrowd: Option<u8>,
    segmentation: Option<Told>,
    keypoints: Option<IgnoredAny>,
    num_keypoints: Option<u32>,
    attributes: Option<BTreeMap<String, Value>>,
    file_name: Option<Box<str>>,
}

struct Told(Segmentation);

impl<'de> Deserialize<'de> for Told {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(ToldVisitor)
    }
}

struct ToldVisitor;

impl<'de> Visitor<'de> for ToldVisitor {
    type Value = Told;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("polygons or run lengths")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Told, A::Error> {
        let wrong = || de::Error::custom("these are no run lengths");
        let (mut size, mut text) = (None, None);
        while let Some(key) = map.next_key::<Cow<'_, str>>()? {
            match &*key {
                "size" => {
                    let [height, width] = map.next_value::<[usize; 2]>()?;
                    size = Some(valid_size(width, height).ok_or_else(wrong)?);
                }
                "counts" => text = Some(map.next_value::<Borrowed<'de>>()?.0),
                _ => return Err(wrong()),
            }
        }
        let (size, text): (Size, _) = size.zip(text).ok_or_else(wrong)?;
        Rle::from_counts(size, &text).map(|mask| Told(Segmentation::Mask(mask))).map_err(de::Error::custom)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Told, A::Error> {
        let mut polygons = Vec::new();
        while let Some(polygon) = list.next_element::<Vec<f64>>()? {
            if polygon.len() % 2 == 1 || polygon.len() < 6 {
                return Err(de::Error::custom("this needs a closer look"));
            }
            polygons.push(polygon);
        }
        Ok(Told(if polygons.is_empty() {
            Segmentation::None
        } else {
            Segmentation::Polygons { polygons, doubt: None }
        }))
    }
}

/// A text that is only copied if it has escapes.
#[derive(Deserialize)]
struct Borrowed<'a>(#[serde(borrow)] Cow<'a, str>);
