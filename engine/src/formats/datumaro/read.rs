//! Datumaro's JSON, item by item.

use std::{collections::BTreeMap, io, path::Path, sync::Arc};

use serde::Deserialize;
use serde_json::Value;

use super::{
    TRACK,
    shape::{attributes, parse, without_area},
};
use crate::{
    file::{folder_of, has_suffix},
    formats::{
        Dataset, FormatError, Id, Reading, Shape, dataset::Builder, json, number::json_whole, valid_size,
    },
};

#[derive(Default, Deserialize)]
struct Head {
    #[serde(default)]
    categories: Value,
}

/// The categories of a file.
struct Labels {
    /// None if the file has no list.
    places: Option<Vec<usize>>,
}

pub(super) fn read(reading: &Reading<'_>) -> Result<Dataset, FormatError> {
    let path = reading.path;
    // The categories are not a list at the top: all but the items is skipped at first.
    let text = io::BufReader::new(reading.texts.open(path)?);
    let head = match serde_json::from_reader::<_, Head>(text) {
        Ok(head) => head,
        Err(error) if error.is_io() => return Err(FormatError::reading(path, error.into())),
        // NaN among the items.
        Err(_) => json::lenient(reading.texts.read(path)?.as_bytes())
            .map_err(|error| FormatError::Damaged { path: path.to_owned(), cause: error.to_string() })?,
    };
    let mut builder = Builder::default();
    let labels = Labels::read(&head.categories, &mut builder);
    let folder = Subset::of(path);
    json::read_lists(reading, &["items"], &mut builder, &mut |cut, builder| {
        read_item(&json::parse(cut.text)?, &labels, &folder, reading, builder);
        Ok(())
    })?;
    builder.finish(path, "items as Datumaro has them")
}

impl Labels {
    fn read(json: &Value, builder: &mut Builder) -> Self {
        let list = json["label"]["labels"].as_array();
        let places = list.map(|labels| {
            let add = |(place, label): (usize, &Value)| {
                let name = label["name"].as_str().or(label.as_str()).filter(|name| !name.is_empty());
                let category =
                    builder.category(&name.map_or_else(|| format!("label {place}"), str::to_owned));
                if let Some(parent) = label["parent"].as_str() {
                    parent.clone_into(&mut builder.category_mut(category).supercategory);
                }
                category
            };
            labels.iter().enumerate().map(add).collect::<Vec<usize>>()
        });
        for color in json["mask"]["colormap"].as_array().into_iter().flatten() {
            let number = |key| json_whole(&color[key]);
            let part = |key| number(key).and_then(|part| u8::try_from(part).ok());
            let place = number("label_id").and_then(|id| places.as_ref()?.get(usize::try_from(id).ok()?));
            if let (Some(place), [Some(r), Some(g), Some(b)]) = (place, ["r", "g", "b"].map(part)) {
                builder.category_mut(*place).color = Some([r, g, b]);
            }
        }
        Self { places }
    }

    fn category(&self, json: &Value, builder: &mut Builder) -> Result<usize, String> {
        let id = json_whole(&json["label_id"]).ok_or("it has no label")?;
        match &self.places {
            Some(places) => {
                let place = usize::try_from(id).ok().and_then(|id| places.get(id));
                place.copied().ok_or_else(|| format!("its label {id} is not in the file"))
            }
            None => {
                builder.note("annotation", "called after its label's number, the file has no names");
                Ok(builder.category(&format!("label {id}")))
            }
        }
    }
}

/// The subset that a file is of, and whether there are others.
struct Subset {
    name: String,
    has_others: bool,
}

impl Subset {
    fn of(path: &Path) -> Self {
        let entries = std::fs::read_dir(folder_of(path)).into_iter().flatten().flatten();
        let has_others = entries.filter(|entry| has_suffix(&entry.path(), &["json"])).take(2).count() > 1;
        Self { name: path.file_stem().unwrap_or_default().to_string_lossy().into_owned(), has_others }
    }

    /// The path of an image: those of several subsets may have one name.
    fn path_of(&self, path: &str, reading: &Reading<'_>) -> String {
        if !self.has_others {
            return path.to_owned();
        }
        let within = format!("images/{}/{path}", self.name);
        if reading.files.folder().join(&within).is_file() { within } else { format!("{}/{path}", self.name) }
    }
}

fn read_item(json: &Value, labels: &Labels, subset: &Subset, reading: &Reading<'_>, builder: &mut Builder) {
    let told = |value: &Value| match value {
        Value::String(text) => Some(text.clone()).filter(|text| !text.is_empty()),
        Value::Number(number) => Some(number.to_string()),
        _ => None,
    };
    let media: Vec<&Value> =
        ["image", "media"].map(|key| &json[key]).into_iter().filter(|media| media.is_object()).collect();
    let path = media.iter().find_map(|media| told(&media["path"])).or_else(|| told(&json["id"]));
    let side = |i: usize| {
        let side = media.iter().find_map(|media| json_whole(&media["size"][i]))?;
        usize::try_from(side).ok()
    };
    let stated = side(1).zip(side(0)).and_then(|(width, height)| valid_size(width, height));
    let clip = &json["video_frame"];
    let video = told(&clip["video_path"]).or_else(|| told(&clip["path"]));
    let frame = json_whole(&clip["frame_index"]).and_then(|frame| usize::try_from(frame).ok());
    let (image, title) = match (video.zip(frame), path) {
        (Some((video, frame)), _) => {
            let size = reading.size_of(&video, stated);
            (builder.frame(&video, frame, None, size), format!("frame {frame} of {video}"))
        }
        (None, Some(path)) => {
            let path = subset.path_of(&path, reading);
            (builder.image(&path, reading.size_of(&path, stated)), path)
        }
        (None, None) => return builder.refuse("an item", "it has neither an id nor a path"),
    };
    let size = builder.size(image);
    let mut annotations: Vec<(usize, &Value)> =
        (1..).zip(json["annotations"].as_array().into_iter().flatten()).collect();
    // Shapes of a greater z_order lie on top, as later ones do here.
    annotations.sort_by_key(|(_, json)| json_whole(&json["z_order"]).unwrap_or(0));
    // Annotations of a group are one object: polygons together, and a mask rather than the box around it.
    let mut objects: Vec<(String, usize, Shape, &Value)> = Vec::new();
    let mut groups: BTreeMap<(usize, i64), usize> = BTreeMap::new();
    for (n, json) in annotations {
        let what = format!("annotation {n} on {title}");
        if let Some((kind, why)) = json["type"].as_str().and_then(without_area) {
            builder.note(kind, why);
            continue;
        }
        let (shape, category) =
            match parse(json, size).and_then(|shape| Ok((shape, labels.category(json, builder)?))) {
                Ok(read) => read,
                Err(why) => {
                    builder.refuse(what, why);
                    continue;
                }
            };
        let group = json_whole(&json["group"]).filter(|group| *group != 0).map(|group| (category, group));
        let known = group.and_then(|group| groups.get(&group)).map(|place| &mut objects[*place].2);
        match (known, shape) {
            (Some(Shape::Mask(all)), Shape::Mask(part)) if all.size() == part.size() => {
                *all = Arc::new(all.union(&part));
            }
            (Some(Shape::Mask(_)), Shape::Box(_)) => {}
            (Some(known @ Shape::Box(_)), shape @ Shape::Mask(_)) => *known = shape,
            (_, shape) => {
                groups.extend(group.map(|group| (group, objects.len())));
                objects.push((what, category, shape, json));
            }
        }
    }
    for (what, category, shape, json) in objects {
        if let Some(annotation) = builder.annotate(what, image, category, shape) {
            annotation.attributes = attributes(json);
            annotation.track = annotation.attributes.remove(TRACK).map(|track| Id::of(&track));
        }
    }
}
