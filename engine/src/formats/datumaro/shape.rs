//! The shapes of Datumaro's JSON.

use std::{collections::BTreeMap, sync::Arc};

use serde_json::Value;

use crate::{
    formats::{
        Shape,
        number::{json_float, json_whole},
        outlines,
    },
    geometry::Size,
    mask::Rle,
};

/// A kind of annotation that has no area: its name, and why it is not taken.
pub(super) fn without_area(kind: &str) -> Option<(&'static str, &'static str)> {
    match kind {
        "label" => Some(("image label", "not taken, labels of whole images are not supported")),
        "caption" => Some(("caption", "not taken, captions are not supported")),
        "points" => Some(("point set", "not taken, keypoints are not supported")),
        "skeleton" => Some(("skeleton", "not taken, keypoints are not supported")),
        "polyline" => Some(("polyline", "not taken, a line has no area")),
        "cuboid_3d" | "cuboid_2d" | "cuboid" => Some(("cuboid", "not taken, only flat shapes are supported")),
        "hash_key" | "feature_vector" | "tabular" | "depth_annotation" => {
            Some(("annotation without area", "not taken, it is not a shape"))
        }
        _ => None,
    }
}

/// The numbers of a list; none if it is not a list of numbers.
fn numbers(value: &Value) -> Option<Vec<f64>> {
    value.as_array()?.iter().map(json_float).collect()
}

/// The shape as a box or a mask.
pub(super) fn parse(json: &Value, size: Option<Size>) -> Result<Shape, String> {
    let rotation = json_float(&json["rotation"]).or_else(|| json_float(&json["attributes"]["rotation"]));
    let degrees = rotation.unwrap_or(0.0);
    let list = |keys: &[&str]| {
        let value = keys.iter().map(|key| &json[*key]).find(|value| !value.is_null());
        let value = value.ok_or_else(|| format!("it has no {}", keys[0]))?;
        numbers(value).ok_or_else(|| format!("its {} has what is not a number", keys[0]))
    };
    match json["type"].as_str().unwrap_or_default() {
        "mask" => rle(&json["rle"]).map(|mask| Shape::Mask(Arc::new(mask))),
        "bbox" => {
            let [x, y, width, height] = list(&["bbox"])?[..] else {
                return Err("its bbox is not four numbers".to_owned());
            };
            if width <= 0.0 || height <= 0.0 {
                return Err("its box has no area".to_owned());
            }
            if degrees.rem_euclid(360.0) == 0.0 {
                return outlines::upright([x, y, x + width, y + height]);
            }
            let center = [x + width / 2.0, y + height / 2.0];
            outlines::filled(outlines::turned(center, [width, height], degrees), size)
        }
        "rotated_bbox" => {
            let [x, y, width, height, degrees] = list(&["rbbox", "bbox", "points"])?[..] else {
                return Err("its box is not five numbers".to_owned());
            };
            outlines::filled(outlines::turned([x, y], [width, height], degrees), size)
        }
        "ellipse" => {
            let [x0, y0, x1, y1] = list(&["points", "bbox"])?[..] else {
                return Err("its ellipse is not four numbers".to_owned());
            };
            let [rx, ry] = [(x1 - x0).abs() / 2.0, (y1 - y0).abs() / 2.0];
            if rx == 0.0 || ry == 0.0 {
                return Err("its ellipse has no area".to_owned());
            }
            let center = [f64::midpoint(x0, x1), f64::midpoint(y0, y1)];
            outlines::filled(outlines::ellipse(center, [rx, ry], degrees), size)
        }
        "polygon" => outlines::filled(list(&["points"])?, size),
        "" => Err("it has no type".to_owned()),
        other => Err(format!("its type is not known: {other}")),
    }
}

/// Run lengths, as numbers or compressed.
fn rle(json: &Value) -> Result<Rle, String> {
    let side = |i: usize| json_whole(&json["size"][i]).and_then(|side| usize::try_from(side).ok());
    let size = side(1).zip(side(0)).and_then(|(width, height)| crate::formats::valid_size(width, height));
    let size = size.ok_or("its rle has no size of an image")?;
    match &json["counts"] {
        Value::String(text) => Rle::from_counts(size, text).map_err(|error| error.to_string()),
        Value::Array(runs) => {
            let runs = runs.iter().map(|run| u32::try_from(json_whole(run)?).ok());
            let runs: Option<Vec<u32>> = runs.collect();
            let runs = runs.ok_or("its rle has what is not a run length")?;
            Rle::from_runs(size, runs).map_err(|error| error.to_string())
        }
        _ => Err("its rle has no counts".to_owned()),
    }
}

/// What else is said of an annotation. Marks are attributes where they are set.
pub(super) fn attributes(json: &Value) -> BTreeMap<String, String> {
    let text = |name: &str, value: &Value| match value {
        Value::Null => None,
        Value::Bool(is_set) if name == "occluded" => is_set.then(|| "1".to_owned()),
        // The shape is turned already.
        value if name == "rotation" && json_float(value).is_some() => None,
        Value::String(text) => Some(text.clone()),
        value => Some(value.to_string()),
    };
    let all = json["attributes"].as_object().into_iter().flatten();
    all.filter_map(|(name, value)| Some((name.clone(), text(name, value)?))).collect()
}
