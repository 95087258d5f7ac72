//! Objects of PASCAL VOC's XML, with the elements that labelImg, roLabelImg, Roboflow and CVAT add.

use std::collections::BTreeMap;

use super::MARKS;
use crate::{
    formats::{Shape, dataset::Builder, number::float, outlines, xml::Element},
    geometry::Size,
};

/// The corners of the box of an object, counted from 0.
///
/// # Errors
/// If it has none, or a corner is not a number.
pub(super) fn corners(object: &Element, builder: &mut Builder) -> Result<[f64; 4], String> {
    let bndbox = object.child("bndbox").ok_or("it has no bndbox")?;
    let number = |name: &str| {
        let text = bndbox.told(name).ok_or_else(|| format!("its bndbox has no {name}"))?;
        float(text).ok_or_else(|| format!("its {name} is not a number: {text}"))
    };
    let [x0, y0, x1, y1] = ["xmin", "ymin", "xmax", "ymax"].map(number);
    let ([x0, x1], is_x_swapped) = span(x0?, x1?);
    let ([y0, y1], is_y_swapped) = span(y0?, y1?);
    if is_x_swapped || is_y_swapped {
        builder.note("box", "its swapped corners are put in order");
    }
    Ok([x0, y0, x1, y1])
}

/// The begin and end of a box along an axis, from its first and last pixel, and true if these are swapped.
///
/// The first pixel of an image is 1, and the last one of a box is its own (devkit, section 3.4). A box narrower than a pixel
/// ends less than one before it begins.
fn span(first: f64, last: f64) -> ([f64; 2], bool) {
    let is_swapped = first - 1.0 >= last;
    (if is_swapped { [last - 1.0, first] } else { [first - 1.0, last] }, is_swapped)
}

/// The outline of an object as elements beside its box have it; none if there are none.
///
/// # Errors
/// If there are some that make no sense.
pub(super) fn outline(
    object: &Element,
    rect: Option<[f64; 4]>,
    size: Option<Size>,
) -> Result<Option<Shape>, String> {
    let number = |element: &Element, name: &str| {
        let text = element.told(name).ok_or_else(|| format!("its {} has no {name}", element.name))?;
        float(text).ok_or_else(|| format!("its {name} is not a number: {text}"))
    };
    if let Some(polygon) = object.child("polygon") {
        return outlines::filled(points(polygon)?, size).map(Some);
    }
    // roLabelImg turns by radians.
    if let Some(turned) = object.child("robndbox") {
        let [x, y, width, height, angle] = ["cx", "cy", "w", "h", "angle"].map(|name| number(turned, name));
        let corners = outlines::turned([x?, y?], [width?, height?], angle?.to_degrees());
        return outlines::filled(corners, size).map(Some);
    }
    // CVAT and Datumaro have degrees among the attributes.
    let degrees = pairs(object).find(|(name, _)| *name == "rotation").and_then(|(_, degrees)| float(degrees));
    match (degrees.filter(|degrees| degrees.rem_euclid(360.0) != 0.0), rect) {
        (Some(degrees), Some([x0, y0, x1, y1])) => {
            let center = [f64::midpoint(x0, x1), f64::midpoint(y0, y1)];
            outlines::filled(outlines::turned(center, [x1 - x0, y1 - y0], degrees), size).map(Some)
        }
        _ => Ok(None),
    }
}

/// The corners of a polygon: `<x1><y1><x2><y2>…`, or points with `<x>` and `<y>`.
fn points(polygon: &Element) -> Result<Vec<f64>, String> {
    let parse = |element: &Element| {
        let text = element.text.trim();
        float(text).ok_or_else(|| format!("its polygon has what is not a number: {text}"))
    };
    let number = |name: String| polygon.child(&name).map(parse);
    let numbered = (1..).map_while(|i| Some([number(format!("x{i}"))?, number(format!("y{i}"))?]));
    let mut corners = numbered.flatten().collect::<Result<Vec<f64>, String>>()?;
    for point in polygon.children.iter().filter(|child| ["point", "pt"].contains(&&*child.name)) {
        let (Some(x), Some(y)) = (point.child("x"), point.child("y")) else {
            return Err("a point of its polygon has no x or no y".to_owned());
        };
        corners.extend([parse(x)?, parse(y)?]);
    }
    Ok(corners)
}

/// The names and values of attributes as CVAT writes them.
fn pairs(object: &Element) -> impl Iterator<Item = (&str, &str)> {
    let all = object.child("attributes").into_iter().flat_map(|all| all.all("attribute"));
    all.filter_map(|one| Some((&*one.child("name")?.text, &*one.child("value")?.text)))
}

/// What else is said of an object. Marks are attributes where they are set.
pub(super) fn attributes(object: &Element) -> BTreeMap<String, String> {
    let marks = MARKS.into_iter().filter(|name| object.told(name).is_some_and(is_set));
    let actions = object.child("actions").into_iter().flat_map(|actions| &actions.children);
    let actions = actions.filter(|action| is_set(action.text.trim())).map(|action| &*action.name);
    let pose = object.told("pose").filter(|pose| !["", "Unspecified"].contains(pose));
    let set = marks.chain(actions).map(|name| (name, "1"));
    let all = set.chain(pose.map(|pose| ("pose", pose))).chain(pairs(object));
    // The outline is turned already.
    let all = all.filter(|(name, value)| *name != "rotation" || float(value).is_none());
    all.map(|(name, value)| (name.to_owned(), value.to_owned())).collect()
}

/// True if a mark is a positive number or `true`.
fn is_set(text: &str) -> bool {
    float(text).is_some_and(|number| number > 0.0) || text.eq_ignore_ascii_case("true")
}
