//! Datumaro's JSON: items with their annotations, and categories by their places.

mod read;
mod shape;

use std::{collections::BTreeMap, io::Write as _};

use serde_json::{Value, json as value};

use super::{
    Carries, Files, Format, FormatError, Frame, Label, Output, Read, Selection, Shape, coco,
    recognize::Recognize,
};

/// Datumaro.
pub const FORMAT: Format = Format {
    name: "datumaro",
    title: "Datumaro",
    is_of_videos: false,
    carries: Carries::ALL,
    reserved_folders: &[],
    usual_files: Files::Leave,
    write,
    read: Some(Read {
        recognize: Recognize::Json(|outline| {
            outline.has(&["items"])
                && (outline.has(&["categories"]) || outline.item_has("items", "annotations"))
        }),
        together: false,
        read: read::read,
    }),
};

/// Says which object of its video an annotation is, among the attributes.
const TRACK: &str = "track_id";

fn write(selection: &Selection<'_>, output: &mut Output<'_>) -> Result<(), FormatError> {
    for (part, frames) in selection.parts() {
        let subset = part.unwrap_or("default");
        for frame in &frames {
            output.place(selection, frame, &format!("images/{subset}/{}", selection.name(frame)));
        }
        output.write_steps(&format!("annotations/{subset}.json"), |out, _, step| {
            let labels = selection.categories.iter().map(|kind| {
                value!({"name": kind.category.name, "parent": kind.category.supercategory, "attributes": []})
            });
            let colors = selection.categories.iter().enumerate().map(|(i, kind)| {
                let [r, g, b] = kind.category.color;
                value!({"label_id": i, "r": r, "g": g, "b": b})
            });
            let categories = value!({
                "label": {"labels": labels.collect::<Vec<Value>>(), "attributes": []},
                "mask": {"colormap": colors.collect::<Vec<Value>>()},
            });
            write!(out, "{{\"dm_format_version\": \"1.0\", \"media_type\": 2, \"infos\": {{}},\n\"categories\": {categories},\n\"items\": ")?;
            let mut ids = 0;
            let items = frames.iter().map(|frame| {
                let annotations = selection.labels(frame).iter().map(|label| {
                    ids += 1;
                    annotation(ids, label)
                });
                item(selection, frame, annotations.collect())
            });
            coco::write_list(out, items, step)?;
            writeln!(out, "}}")
        })?;
    }
    Ok(())
}

fn item(selection: &Selection<'_>, frame: &Frame<'_>, annotations: Vec<Value>) -> Value {
    let size = frame.medium.size;
    let image = value!({"path": selection.name(frame), "size": [size.height, size.width]});
    let attributes = if frame.is_of_video() { value!({"frame": frame.at.frame}) } else { value!({}) };
    value!({"id": selection.stem(frame), "annotations": annotations, "attr": attributes, "image": image})
}

fn annotation(id: usize, label: &Label<'_>) -> Value {
    let mut attributes: BTreeMap<&str, Value> =
        label.object.attributes.iter().map(|(name, value)| (&**name, Value::from(&**value))).collect();
    attributes.insert(TRACK, label.id.0.into());
    if let Some(score) = label.score {
        attributes.insert("score", score.into());
    }
    let mut value =
        value!({"id": id, "label_id": label.category, "group": 0, "z_order": 0, "attributes": attributes});
    match &label.shape {
        Shape::Mask(mask) => {
            value["type"] = "mask".into();
            value["rle"] = serde_json::to_value(&**mask).unwrap_or_default();
        }
        Shape::Box(rect) => {
            value["type"] = "bbox".into();
            value["bbox"] = value!([rect.x0, rect.y0, rect.x1 - rect.x0, rect.y1 - rect.y0]);
        }
    }
    value
}
