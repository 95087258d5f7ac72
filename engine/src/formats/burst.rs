//! BURST: sequences, with a mask for each object on each frame that is annotated.

use std::{
    collections::{BTreeMap, HashMap},
    io::Write as _,
    sync::Arc,
};

use serde::Serialize;
use serde_json::Value;

use super::{
    Carries, Clip, Dataset, Files, Format, FormatError, Output, Read, Reading, Selection, Shape, coco,
    dataset::{Builder, Id},
    json,
    number::json_whole,
    recognize::Recognize,
    valid_size,
};
use crate::{geometry::Size, mask::Rle, project::FrameId};

/// BURST.
pub const FORMAT: Format = Format {
    name: "burst",
    title: "BURST",
    is_of_videos: true,
    carries: Carries { boxes: false, attributes: false, ..Carries::ALL },
    reserved_folders: &[],
    usual_files: Files::Leave,
    write,
    read: Some(Read {
        recognize: Recognize::Json(|outline| outline.has(&["sequences"])),
        together: false,
        read,
    }),
};

/// A sequence as it is written.
#[derive(Serialize)]
struct Sequence {
    id: i64,
    seq_name: String,
    dataset: String,
    fps: f64,
    width: usize,
    height: usize,
    all_image_paths: Vec<String>,
    annotated_image_paths: Vec<String>,
    neg_category_ids: Vec<i64>,
    not_exhaustive_category_ids: Vec<i64>,
    track_category_ids: BTreeMap<String, i64>,
    segmentations: Vec<BTreeMap<String, Segment>>,
}

#[derive(Serialize)]
struct Segment {
    rle: String,
    is_gt: bool,
}

fn write(selection: &Selection<'_>, output: &mut Output<'_>) -> Result<(), FormatError> {
    for (part, frames) in selection.parts() {
        for frame in &frames {
            let name = image_name(selection, frame.at);
            output.place(
                selection,
                frame,
                &format!("frames/{}/{name}", selection.medium_stem(frame.at.medium)),
            );
        }
        let clips = selection.clips(&frames);
        let name = part.map_or_else(|| "annotations.json".to_owned(), |part| format!("{part}.json"));
        output.write_steps(&name, |out, _, step| {
            write!(
                out,
                "{{\"split\": {},\n\"categories\": ",
                serde_json::Value::from(part.unwrap_or("train"))
            )?;
            coco::write_list(out, coco::categories(selection), &mut || Ok(()))?;
            write!(out, ",\n\"sequences\": ")?;
            coco::write_list(out, clips.iter().map(|clip| sequence(selection, clip)), step)?;
            writeln!(out, "}}")
        })?;
    }
    Ok(())
}

fn image_name(selection: &Selection<'_>, at: FrameId) -> String {
    format!("{}.jpg", selection.frame_stem(at, 6))
}

fn sequence(selection: &Selection<'_>, clip: &Clip<'_, '_>) -> Sequence {
    let mut categories = BTreeMap::new();
    let mut segmentations = Vec::new();
    for frame in &clip.frames {
        let mut here = BTreeMap::new();
        for label in selection.labels(frame) {
            let Shape::Mask(mask) = &label.shape else { continue };
            let id = label.id.0.to_string();
            categories.insert(id.clone(), i64::from(selection.categories[label.category].id));
            here.insert(id, Segment { rle: mask.counts().to_owned(), is_gt: label.segment.is_given() });
        }
        segmentations.push(here);
    }
    Sequence {
        id: clip.id.0.into(),
        seq_name: selection.medium_stem(clip.id).to_owned(),
        dataset: String::new(),
        fps: clip.medium.fps.unwrap_or(0.0),
        width: clip.medium.size.width,
        height: clip.medium.size.height,
        all_image_paths: (0..clip.medium.n_frames)
            .map(|frame| image_name(selection, FrameId { medium: clip.id, frame }))
            .collect(),
        annotated_image_paths: clip.frames.iter().map(|frame| image_name(selection, frame.at)).collect(),
        neg_category_ids: Vec::new(),
        not_exhaustive_category_ids: Vec::new(),
        track_category_ids: categories,
        segmentations,
    }
}

fn read(reading: &Reading<'_>) -> Result<Dataset, FormatError> {
    let mut builder = Builder::default();
    let mut categories: HashMap<Id, usize> = HashMap::new();
    let mut sequences: Vec<Value> = Vec::new();
    json::read_lists(reading, &["categories", "sequences"], &mut builder, &mut |cut, builder| {
        let item = json::parse(cut.text)?;
        match cut.key {
            "categories" => categories.extend([builder.json_category(&item)?]),
            _ => sequences.push(item),
        }
        Ok(())
    })?;
    for (sequence, n) in sequences.into_iter().zip(1..) {
        let name = name_of(&sequence);
        let read = name
            .as_deref()
            .ok_or("its seq_name is missing or no text")
            .and_then(|name| read_sequence(name, &sequence, &categories, &mut builder));
        if let Err(why) = read {
            builder.refuse(name.unwrap_or_else(|| format!("sequence number {n}")), why);
        }
    }
    builder.finish(reading.path, "sequences as BURST has them")
}

fn name_of(sequence: &Value) -> Option<String> {
    match &sequence["seq_name"] {
        Value::String(name) if !name.is_empty() => Some(name.clone()),
        Value::Number(name) => Some(name.to_string()),
        _ => None,
    }
}

/// Reads a sequence. Each object and each frame is read on its own, so that a bad one costs no other.
fn read_sequence(
    name: &str,
    sequence: &Value,
    categories: &HashMap<Id, usize>,
    builder: &mut Builder,
) -> Result<(), &'static str> {
    let side = |key: &str| usize::try_from(json_whole(&sequence[key])?).ok();
    let size = side("width").zip(side("height")).and_then(|(width, height)| valid_size(width, height));
    let size = size.ok_or("its width and height are not those of images")?;
    let list = |key: &str| sequence[key].as_array().map_or(&[][..], Vec::as_slice);
    let places = list("all_image_paths").iter().zip(0..);
    let places: HashMap<&str, usize> =
        places.filter_map(|(path, place)| Some((path.as_str()?, place))).collect();
    let paths = list("annotated_image_paths");
    for (i, objects) in list("segmentations").iter().enumerate() {
        let Some(path) = paths.get(i).and_then(Value::as_str) else {
            builder.refuse(
                format_args!("annotated frame {i} of {name}"),
                "it has no path in annotated_image_paths",
            );
            continue;
        };
        let Some(frame) = places.get(path).copied() else {
            builder.refuse(format_args!("{path} of {name}"), "it is not among the sequence's images");
            continue;
        };
        let Value::Object(objects) = objects else {
            builder.refuse(format_args!("{path} of {name}"), "its segmentations are not an object");
            continue;
        };
        for (id, object) in objects {
            let what = format!("object {id} on {path} of {name}");
            let category =
                Id::of_json(&sequence["track_category_ids"][id]).and_then(|id| categories.get(&id));
            match mask_of(object, size)
                .and_then(|mask| Ok((mask, category.ok_or("its category is not in the file")?)))
            {
                Ok((mask, category)) => {
                    let image = builder.frame(name, frame, Some(&format!("{name}/{path}")), Some(size));
                    let shape = Shape::Mask(Arc::new(mask));
                    if let Some(annotation) = builder.annotate(what, image, *category, shape) {
                        annotation.track = Some(Id::of(id));
                    }
                }
                Err(why) => builder.refuse(what, why),
            }
        }
    }
    Ok(())
}

fn mask_of(object: &Value, size: Size) -> Result<Rle, String> {
    let counts = object["rle"].as_str().ok_or("its rle is missing or no text")?;
    Rle::from_counts(size, counts).map_err(|error| error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{formats::tests::put, mask::testing::picture};

    /// Reads a sequence of three frames of 2x2 pixels.
    fn read_text(fields: &str, segmentations: &str) -> Dataset {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("b.json");
        put(
            &path,
            format!(
                r#"{{"categories": [{{"id": "7", "name": "dog"}}], "sequences": [{{{fields} "seq_name": "s", "width": "2",
                "height": 2, "all_image_paths": ["0.jpg", "1.jpg", "2.jpg"], "annotated_image_paths": ["0.jpg", "1.jpg", "2.jpg"],
                "track_category_ids": {{"1": 7, "3": "7"}}, "segmentations": {segmentations}}}]}}"#
            ),
        );
        read(&Reading::new(&path)).unwrap()
    }

    #[test]
    fn bad_object_or_frame_costs_no_other() {
        let rle = Rle::encode(&picture(&["#.", ".."])).counts().to_owned();
        let good = format!(r#"{{"1": {{"rle": "{rle}", "is_gt": "?"}}}}"#);
        let mixed = format!(r#"{{"1": {{"rle": "{rle}"}}, "3": {{"bbox": [1, 1, 2, 2]}}}}"#);
        for (second, why) in [
            (&*mixed, "object 3 on 1.jpg of s is not taken: its rle is missing or no text"),
            ("null", "1.jpg of s is not taken: its segmentations are not an object"),
            (r#"{"3": {"rle": "~"}}"#, "damaged at character 0"),
            (r#"{"9": {"rle": "0"}}"#, "object 9 on 1.jpg of s is not taken"),
        ] {
            let read = read_text(r#""fps": "6", "id": "x","#, &format!("[{good}, {second}, {good}]"));
            assert_eq!(read.annotations.len(), if second == mixed { 3 } else { 2 }, "{second}");
            let sentences = read.refused.sentences();
            assert!(sentences.len() == 1 && sentences[0].contains(why), "{sentences:?}");
        }
    }
}
