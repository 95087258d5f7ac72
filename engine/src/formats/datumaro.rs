//! Datumaro's JSON: items with their annotations, and categories by their places.

use std::{collections::BTreeMap, io::Write as _, sync::Arc};

use serde::Deserialize;
use serde_json::{Value, json as value};

use super::{
    Carries, Dataset, Format, FormatError, Frame, Label, Output, Read, Reading, Selection, Shape, coco,
    dataset::Builder, head, json, polygon::rasterize,
};
use crate::{
    geometry::{Rect, Size},
    mask::Rle,
};

/// Datumaro.
pub const FORMAT: Format = Format {
    name: "datumaro",
    title: "Datumaro",
    is_of_videos: false,
    carries: Carries::ALL,
    write,
    read: Some(Read {
        suffix: Some("json"),
        is_like: |path| head::is_json(path, &["items", "categories"], &["segments_info"]),
        read,
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

#[derive(Deserialize)]
struct Item {
    id: String,
    #[serde(default)]
    annotations: Vec<Value>,
    image: Option<Image>,
}

#[derive(Deserialize)]
struct Image {
    #[serde(default)]
    path: String,
    size: Option<[usize; 2]>,
}

#[derive(Deserialize)]
struct Told {
    #[serde(rename = "type")]
    kind: String,
    label_id: Option<usize>,
    #[serde(default)]
    group: i64,
    #[serde(default)]
    attributes: BTreeMap<String, Value>,
    rle: Option<Rle>,
    bbox: Option<[f32; 4]>,
    points: Option<Vec<f64>>,
}

#[derive(Deserialize)]
struct Head {
    categories: Categories,
}

#[derive(Deserialize)]
struct Categories {
    label: Labels,
}

#[derive(Deserialize)]
struct Labels {
    labels: Vec<Name>,
}

#[derive(Deserialize)]
struct Name {
    name: String,
}

fn read(reading: &Reading<'_>) -> Result<Dataset, FormatError> {
    let path = reading.path;
    let file = std::fs::File::open(path);
    let file = file.map_err(|cause| FormatError::Read { path: path.to_owned(), cause })?;
    // The categories are no list at the top: all but the items is skipped at first.
    let head: Head = serde_json::from_reader(std::io::BufReader::new(file))
        .map_err(|error| FormatError::Damaged { path: path.to_owned(), cause: error.to_string() })?;
    let mut builder = Builder::default();
    let categories: Vec<usize> =
        head.categories.label.labels.iter().map(|label| builder.category(&label.name)).collect();
    json::read_lists(reading, &["items"], &mut builder, &mut |cut, builder| {
        read_item(serde_json::from_slice(cut.text)?, &categories, reading, builder);
        Ok(())
    })?;
    builder.finish(path, "items as Datumaro has them")
}

fn read_item(item: Item, categories: &[usize], reading: &Reading<'_>, builder: &mut Builder) {
    let image = item.image.as_ref();
    let path = image.map(|image| &*image.path).filter(|path| !path.is_empty()).unwrap_or(&item.id);
    let fits = |[height, width]: [usize; 2]| {
        let area = height.checked_mul(width)?;
        (1..=1 << 31).contains(&area).then_some(Size::new(width, height))
    };
    let size = image.and_then(|image| image.size).and_then(fits).or_else(|| (reading.size)(path));
    let image = builder.image(path, size);
    // What is of one group is one object: polygons together, and a mask rather than the box round it.
    let mut objects: Vec<(String, usize, Shape, Told)> = Vec::new();
    for (annotation, n) in item.annotations.into_iter().zip(1..) {
        let what = format!("annotation {n} on {path}");
        let told = serde_json::from_value::<Told>(annotation).map_err(|error| error.to_string());
        let read = told.and_then(|told| {
            let place =
                told.label_id.and_then(|id| categories.get(id)).ok_or("its label is not in the file")?;
            Ok((*place, shape(&told, size)?, told))
        });
        let (category, shape, told) = match read {
            Ok(read) => read,
            Err(why) => {
                builder.refuse(what, why);
                continue;
            }
        };
        let known = objects
            .iter_mut()
            .find(|(_, other, _, known)| told.group != 0 && (*other, known.group) == (category, told.group));
        match (known.map(|(.., shape, _)| shape), shape) {
            (Some(Shape::Mask(all)), Shape::Mask(part)) if all.size() == part.size() => {
                *all = Arc::new(all.union(&part));
            }
            (Some(Shape::Mask(_)), Shape::Box(_)) => {}
            (Some(known @ Shape::Box(_)), shape) => *known = shape,
            (_, shape) => objects.push((what, category, shape, told)),
        }
    }
    for (what, category, shape, Told { mut attributes, .. }) in objects {
        let track = attributes.remove(TRACK);
        if let Some(annotation) = builder.annotate(what, image, category, shape) {
            let text = |value: Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
            annotation.track = track.map(|track| super::Id::of(&text(track)));
            annotation.attributes = attributes.into_iter().map(|(name, value)| (name, text(value))).collect();
        }
    }
}

fn shape(told: &Told, size: Option<Size>) -> Result<Shape, String> {
    match (&*told.kind, &told.rle, told.bbox, &told.points) {
        ("mask", Some(mask), ..) => Ok(Shape::Mask(Arc::new(mask.clone()))),
        ("bbox", _, Some([x, y, width, height]), _) => {
            Ok(Shape::Box(Rect { x0: x, y0: y, x1: x + width, y1: y + height }))
        }
        ("polygon", _, _, Some(points)) if points.len().is_multiple_of(2) => {
            let size = size.ok_or("the size of its image is not known")?;
            let mask = rasterize(std::slice::from_ref(points), size).map_err(|error| error.to_string())?;
            Ok(Shape::Mask(Arc::new(mask)))
        }
        (kind, ..) => Err(format!("a {kind} like this has no area")),
    }
}
