//! The shapes of LabelMe's JSON.

use std::{collections::BTreeMap, io, sync::Arc};

use base64::{Engine as _, engine::general_purpose::STANDARD as BASE64};
use serde_json::Value;

use crate::{
    formats::{Shape, number::json_float, outlines, png},
    geometry::Size,
    mask::{Mask, Patch, Rle},
};

/// A kind of shape that has no area, and why it is not taken.
pub(super) fn without_area(kind: &str) -> Option<&'static str> {
    match kind {
        "point" | "points" => Some("not taken, keypoints are not supported"),
        "line" | "linestrip" => Some("not taken, a line has no area"),
        "cuboid" => Some("not taken, only flat shapes are supported"),
        _ => None,
    }
}

/// Kinds of shapes with area: those of LabelMe, and those of X-AnyLabeling for turned boxes and boxes of four corners.
pub(super) const WITH_AREA: [&str; 7] =
    ["polygon", "rectangle", "circle", "mask", "oriented_rectangle", "rotation", "quadrilateral"];

/// The kind of a shape; those without one are polygons.
pub(super) fn kind(shape: &Value) -> &str {
    shape["shape_type"].as_str().filter(|kind| !kind.is_empty()).unwrap_or("polygon")
}

/// The label of a shape, which may be a number.
pub(super) fn label(shape: &Value) -> Option<String> {
    match &shape["label"] {
        Value::String(text) => Some(text.clone()).filter(|text| !text.is_empty()),
        Value::Number(number) => Some(number.to_string()),
        _ => None,
    }
}

/// The shape as a box or a mask.
pub(super) fn parse(shape: &Value, size: Option<Size>) -> Result<Shape, String> {
    let points = points(&shape["points"])?;
    match (kind(shape), &points[..]) {
        ("rectangle", [a, b]) => outlines::upright([a[0], a[1], b[0], b[1]]),
        ("rectangle", [a, b, c, d]) if is_upright([a, b, c, d]) => {
            outlines::upright([a[0], a[1], c[0], c[1]])
        }
        ("rectangle", corners) if corners.len() != 4 => Err("it does not have two corners".to_owned()),
        ("circle", [[x, y], edge]) => {
            let radius = (edge[0] - x).hypot(edge[1] - y);
            if radius == 0.0 {
                return Err("its circle has no area".to_owned());
            }
            outlines::filled(outlines::ellipse([*x, *y], [radius, radius], 0.0), size)
        }
        ("circle", _) => Err("it does not have two points".to_owned()),
        ("mask", [corner, ..]) => mask(shape["mask"].as_str().ok_or("it has no mask")?, *corner, size),
        ("mask", []) => Err("it has no corner".to_owned()),
        // Turned boxes have all their corners, whatever programs call them.
        (_, corners) => outlines::filled(corners.iter().flatten().copied().collect(), size),
    }
}

/// The box of a shape that is a mask, in which the mask lies.
pub(super) fn box_of_mask(shape: &Value) -> Option<Shape> {
    match (kind(shape), &points(&shape["points"]).ok()?[..]) {
        ("mask", [a, b]) => outlines::upright([a[0], a[1], b[0] + 1.0, b[1] + 1.0]).ok(),
        _ => None,
    }
}

fn points(value: &Value) -> Result<Vec<[f64; 2]>, String> {
    let point = |value: &Value| match value.as_array().map(Vec::as_slice) {
        Some([x, y, ..]) => Some([json_float(x)?, json_float(y)?]),
        _ => None,
    };
    let all = value.as_array().ok_or("it has no points")?;
    let parse =
        |value| point(value).ok_or_else(|| format!("its points have what is not a pair of numbers: {value}"));
    all.iter().map(parse).collect()
}

/// True if each side of a box is along an axis.
fn is_upright(corners: [&[f64; 2]; 4]) -> bool {
    let is_side = |a: &[f64; 2], b: &[f64; 2]| (a[0] - b[0]).abs() < 0.01 || (a[1] - b[1]).abs() < 0.01;
    (0..4).all(|i| is_side(corners[i], corners[(i + 1) % 4]))
}

/// The pixels of an image in a box of the photo.
fn mask(text: &str, corner: [f64; 2], size: Option<Size>) -> Result<Shape, String> {
    let png = BASE64.decode(text.trim()).map_err(|error| format!("its mask is damaged: {error}"))?;
    let (cut, numbers) = png::decode(io::Cursor::new(png)).map_err(|why| format!("its mask: {why}"))?;
    let size = size.ok_or("the size of its image is not known")?;
    let corner = png::corner(corner, cut, size)?;
    let bits = numbers.into_iter().map(|number| number > 0).collect();
    Ok(Shape::Mask(Arc::new(Rle::of_patch(&Patch { corner, mask: Mask::new(cut, bits) }, size))))
}

/// What else is said of a shape.
pub(super) fn attributes(shape: &Value) -> BTreeMap<String, String> {
    let is_said = |value: &Value| !value.is_null() && *value != "";
    let text = |value: &Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    let mut all = BTreeMap::new();
    for (name, value) in shape["flags"].as_object().into_iter().flatten() {
        if *value != false && is_said(value) {
            all.insert(name.clone(), text(value));
        }
    }
    if shape["difficult"] == true {
        all.insert("difficult".to_owned(), "1".to_owned());
    }
    for name in ["description", "score"].into_iter().filter(|name| is_said(&shape[*name])) {
        all.insert(name.to_owned(), text(&shape[name]));
    }
    // A box is not part of anything; the parts of masks are joined by their group.
    if kind(shape) == "rectangle" && is_said(&shape["group_id"]) {
        all.insert("group_id".to_owned(), text(&shape["group_id"]));
    }
    let others = shape["attributes"].as_object().into_iter().flatten().filter(|(_, value)| !value.is_null());
    all.extend(others.map(|(name, value)| (name.clone(), text(value))));
    all
}
