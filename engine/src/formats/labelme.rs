//! LabelMe's JSON, a file an image beside it; also as X-AnyLabeling writes it.

mod read;
mod shape;

use std::{collections::BTreeMap, io::Write as _, path::Path};

use base64::{Engine as _, engine::general_purpose::STANDARD as BASE64};
use serde::Serialize;

use super::{
    Carries, Files, Format, FormatError, Frame, Label, Masks, Output, Read, Selection, Shape, png, polygon,
    recognize::Recognize,
};
use crate::{geometry::Size, mask::Outline};

/// LabelMe.
pub const FORMAT: Format = Format {
    name: "labelme",
    title: "LabelMe",
    is_of_videos: false,
    carries: Carries { masks: Masks::Polygons, tracks: false, ..Carries::ALL },
    reserved_folders: &[],
    usual_files: Files::Leave,
    write,
    read: Some(Read { recognize: RECOGNIZE, together: true, read: read::read }),
};

/// The version of LabelMe whose files these are like: the first with masks as shapes.
const VERSION: &str = "5.4.0";

const RECOGNIZE: Recognize = Recognize::Json(|outline| {
    outline.has(&["shapes"]) || outline.has(&["imagePath"]) && !outline.has(&["annotations"])
});

/// The attribute that is the description of a shape.
const DESCRIPTION: &str = "description";

/// True if an attribute is the mark of difficult objects.
fn is_difficult(attribute: (&str, &str)) -> bool {
    attribute == ("difficult", "1")
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct File<'a> {
    version: &'a str,
    flags: BTreeMap<String, bool>,
    shapes: Vec<Written<'a>>,
    image_path: &'a str,
    image_data: Option<()>,
    image_height: usize,
    image_width: usize,
}

#[derive(Serialize)]
struct Written<'a> {
    label: &'a str,
    points: Vec<[f32; 2]>,
    group_id: Option<u32>,
    description: &'a str,
    shape_type: &'a str,
    flags: BTreeMap<String, bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    mask: Option<String>,
    /// As X-AnyLabeling has it, like `difficult` and `attributes`; LabelMe keeps what it does not know.
    #[serde(skip_serializing_if = "Option::is_none")]
    score: Option<f32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    difficult: Option<bool>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    attributes: BTreeMap<&'a str, &'a str>,
}

fn write(selection: &Selection<'_>, output: &mut Output<'_>) -> Result<(), FormatError> {
    for frame in &selection.frames {
        let name = selection.name(frame);
        output.place(selection, frame, &name);
        let mut shapes = Vec::new();
        for label in selection.labels(frame) {
            output.step()?;
            shapes.extend(shapes_of(selection, label, output)?);
        }
        output.step()?;
        let Frame { medium, .. } = frame;
        let file = File {
            version: VERSION,
            flags: BTreeMap::new(),
            shapes,
            image_path: name.rsplit('/').next().unwrap_or(&name),
            image_data: None,
            image_height: medium.size.height,
            image_width: medium.size.width,
        };
        output.write(&format!("{}.json", selection.stem(frame)), |out| {
            serde_json::to_writer_pretty(&mut *out, &file)?;
            writeln!(out)
        })?;
    }
    Ok(())
}

/// A box, a polygon for each part, or, where there are holes, which polygons here cannot have, a mask.
fn shapes_of<'a>(
    selection: &'a Selection<'_>,
    label: &'a Label<'_>,
    output: &mut Output<'_>,
) -> Result<Vec<Written<'a>>, FormatError> {
    let of_object = || label.object.attributes.iter().map(|(name, value)| (&**name, &**value));
    let shape = |shape_type, points, group_id, mask| Written {
        label: &selection.categories[label.category].category.name,
        points,
        group_id,
        description: label.object.attributes.get(DESCRIPTION).map_or("", |text| text),
        shape_type,
        flags: BTreeMap::new(),
        mask,
        score: label.score,
        difficult: of_object().any(is_difficult).then_some(true),
        attributes: of_object().filter(|pair| pair.0 != DESCRIPTION && !is_difficult(*pair)).collect(),
    };
    let mask = match &label.shape {
        Shape::Box(rect) => {
            let corners = vec![[rect.x0, rect.y0], [rect.x1, rect.y1]];
            return Ok(vec![shape("rectangle", corners, None, None)]);
        }
        Shape::Mask(mask) => mask,
    };
    if Outline::of_rle(mask).iter().any(|outline| !outline.holes.is_empty()) {
        let [x, y, width, height] = mask.bbox();
        let cut = mask.decode().part((x as usize, y as usize), Size::new(width as usize, height as usize));
        let bytes: Vec<u8> = cut.bits().iter().map(|on| if *on { 255 } else { 0 }).collect();
        let mut png = Vec::new();
        png::write_bytes(&mut png, cut.size(), 1, &bytes)
            .map_err(|error| FormatError::writing(Path::new("mask"), error))?;
        // The last pixel's own corner, not the one beyond it.
        let corners = vec![[x as f32, y as f32], [(x + width - 1) as f32, (y + height - 1) as f32]];
        return Ok(vec![shape("mask", corners, None, Some(BASE64.encode(png)))]);
    }
    let drawn = polygon::drawn(mask, selection.options.tolerance);
    output.report.polygon(drawn.iou);
    let group = (drawn.polygons.len() > 1).then_some(label.id.0);
    let points = |polygon: &Vec<f32>| polygon.chunks_exact(2).map(|xy| [xy[0], xy[1]]).collect();
    Ok(drawn.polygons.iter().map(|polygon| shape("polygon", points(polygon), group, None)).collect())
}
