//! COCO panoptic: a PNG file an image, whose pixels are the ids of segments as R + 256 G + 65536 B, and what each segment is.

use std::{
    collections::{BTreeMap, BTreeSet},
    io::Write as _,
    path::Path,
    sync::Arc,
};

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{
    CROWD,
    document::{Image, write_list},
    export::{categories, image, image_id, list_name},
    is_crowd,
};
use crate::{
    formats::{
        Dataset, FormatError, Frame, Id, Output, Reading, Selection, Shape, dataset::Builder, json, png,
        report::Loss, valid_size,
    },
    geometry::Size,
    mask::{Mask, Rle},
};

#[derive(Serialize)]
struct Annotation {
    image_id: u64,
    file_name: String,
    segments_info: Vec<Segment>,
}

#[derive(Serialize)]
struct Segment {
    id: u32,
    category_id: u32,
    iscrowd: u8,
    bbox: [u32; 4],
    area: u64,
}

pub(super) fn write(selection: &Selection<'_>, output: &mut Output<'_>) -> Result<(), FormatError> {
    for (part, frames) in selection.parts() {
        let list = list_name("panoptic", part);
        let folder = list.trim_end_matches(".json");
        let mut annotations = Vec::new();
        for frame in &frames {
            output.place(selection, frame, &format!("images/{}", selection.name(frame)));
            annotations.push(write_frame(selection, frame, folder, output)?);
        }
        let mut kinds = Vec::new();
        for category in categories(selection) {
            let mut kind = serde_json::to_value(category).unwrap_or_default();
            kind["isthing"] = 1.into();
            kinds.push(kind);
        }
        let images: Vec<Image> = frames.iter().map(|frame| image(selection, frame)).collect();
        output.write(&list, |out| {
            write!(out, "{{\"images\": ")?;
            write_list(out, images, &mut || Ok(()))?;
            write!(out, ",\n\"categories\": ")?;
            write_list(out, kinds, &mut || Ok(()))?;
            write!(out, ",\n\"annotations\": ")?;
            write_list(out, annotations, &mut || Ok(()))?;
            writeln!(out, "}}")
        })?;
    }
    Ok(())
}

fn write_frame(
    selection: &Selection<'_>,
    frame: &Frame<'_>,
    folder: &str,
    output: &mut Output<'_>,
) -> Result<Annotation, FormatError> {
    let size = frame.medium.size;
    let mut ids = vec![0_u32; size.area()];
    let labels = selection.labels(frame);
    for (label, id) in labels.iter().zip(1..) {
        output.step()?;
        if let Shape::Mask(mask) = &label.shape {
            let n_covered = png::paint(&mut ids, mask, id);
            output.report.lose(Loss::Overlaps, usize::from(n_covered > 0));
        }
    }
    output.step()?;
    let file_name = format!("{}.png", selection.stem(frame));
    let bytes: Vec<u8> = ids.iter().flat_map(|id| [*id as u8, (id >> 8) as u8, (id >> 16) as u8]).collect();
    output.write(&format!("{folder}/{file_name}"), |out| png::write_bytes(out, size, 3, &bytes))?;
    let segment = |(id, mask): (u32, Rle)| Segment {
        id,
        category_id: selection.categories[labels[id as usize - 1].category].id,
        iscrowd: labels[id as usize - 1].object.attributes.contains_key(CROWD).into(),
        bbox: mask.bbox(),
        area: mask.area(),
    };
    let segments: Vec<Segment> = png::masks_of(size, &ids).into_iter().map(segment).collect();
    output.report.annotations -= labels.len() - segments.len();
    Ok(Annotation { image_id: image_id(frame), file_name, segments_info: segments })
}

#[derive(Deserialize)]
struct ToldImage {
    id: Id,
    file_name: String,
    width: usize,
    height: usize,
}

#[derive(Deserialize)]
struct ToldAnnotation {
    image_id: Id,
    file_name: String,
    segments_info: Vec<Value>,
}

#[derive(Deserialize)]
struct ToldSegment {
    id: u32,
    category_id: Id,
    #[serde(default)]
    iscrowd: Value,
}

pub(super) fn read(reading: &Reading<'_>) -> Result<Dataset, FormatError> {
    let path = reading.path;
    let mut builder = Builder::default();
    let mut images: BTreeMap<Id, (usize, ToldImage)> = BTreeMap::new();
    let mut categories: BTreeMap<Id, usize> = BTreeMap::new();
    let mut annotations = Vec::new();
    json::read_lists(
        reading,
        &["images", "categories", "annotations"],
        &mut builder,
        &mut |cut, builder| {
            match cut.key {
                "images" => {
                    let image: ToldImage = json::parse(cut.text)?;
                    let place = builder.image(&image.file_name, valid_size(image.width, image.height));
                    images.insert(image.id.clone(), (place, image));
                }
                "categories" => {
                    categories.extend([builder.json_category(&json::parse(cut.text)?)?]);
                }
                _ => annotations.push((cut.line, json::parse::<ToldAnnotation>(cut.text)?)),
            }
            Ok(())
        },
    )?;
    // The pictures are in a folder of the file's name, or beside it.
    let folder = path.with_extension("");
    let n = annotations.len();
    for (i, (line, annotation)) in annotations.into_iter().enumerate() {
        if !(reading.progress)(i, n) {
            return Err(FormatError::Canceled);
        }
        let what = format!("the annotation on line {line}");
        let Some((image, told)) = images.get(&annotation.image_id) else {
            builder.refuse(what, "its image is not in the file");
            continue;
        };
        match pixels(&folder, &annotation.file_name) {
            Ok((size, ids)) => {
                let mut unlisted: BTreeSet<u32> = ids.iter().copied().filter(|id| *id != 0).collect();
                for (segment, n) in annotation.segments_info.into_iter().zip(1..) {
                    let segment: ToldSegment = match serde_json::from_value(segment) {
                        Ok(segment) => segment,
                        Err(why) => {
                            builder.refuse(format_args!("segment number {n} on {}", told.file_name), why);
                            continue;
                        }
                    };
                    let what = format!("segment {} on {}", segment.id, told.file_name);
                    unlisted.remove(&segment.id);
                    let Some(category) = categories.get(&segment.category_id) else {
                        builder.refuse(what, "its category is not in the file");
                        continue;
                    };
                    let bits = ids.iter().map(|id| *id == segment.id).collect();
                    let mask = Shape::Mask(Arc::new(Rle::encode(&Mask::new(size, bits))));
                    if let Some(annotation) = builder.annotate(what, *image, *category, mask)
                        && is_crowd(&segment.iscrowd)
                    {
                        annotation.attributes.insert(CROWD.to_owned(), "1".to_owned());
                    }
                }
                for id in unlisted {
                    let what = format!("segment {id} on {}", told.file_name);
                    builder.refuse(what, "it is in the PNG file but not in segments_info");
                }
            }
            Err(why) => builder.refuse(what, why),
        }
    }
    builder.finish(path, "images, categories or annotations as COCO panoptic has them")
}

fn pixels(folder: &Path, name: &str) -> Result<(Size, Vec<u32>), String> {
    let places = [folder.join(name), folder.parent().unwrap_or(folder).join(name)];
    let place = places.iter().find(|place| place.is_file());
    png::read_numbers(place.ok_or_else(|| format!("its picture {name} is missing"))?)
}
