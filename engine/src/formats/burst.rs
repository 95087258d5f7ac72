//! BURST: sequences, with a mask for each object on each frame that is annotated.

use std::{
    collections::{BTreeMap, HashMap},
    io::Write as _,
    sync::Arc,
};

use serde::{Deserialize, Serialize};

use super::{
    Carries, Clip, Dataset, Files, Format, FormatError, Output, Read, Reading, Selection, Shape, coco,
    dataset::{Builder, Id},
    json,
    recognize::Recognize,
    valid_size,
};
use crate::{mask::Rle, project::FrameId};

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

/// In both directions: what is not told has its default.
#[derive(Serialize, Deserialize)]
struct Sequence {
    #[serde(default)]
    id: i64,
    seq_name: String,
    #[serde(default)]
    dataset: String,
    #[serde(default)]
    fps: f64,
    width: usize,
    height: usize,
    #[serde(default)]
    all_image_paths: Vec<String>,
    annotated_image_paths: Vec<String>,
    #[serde(default)]
    neg_category_ids: Vec<i64>,
    #[serde(default)]
    not_exhaustive_category_ids: Vec<i64>,
    track_category_ids: BTreeMap<String, i64>,
    #[serde(default)]
    segmentations: Vec<BTreeMap<String, Segment>>,
}

#[derive(Serialize, Deserialize)]
struct Segment {
    rle: String,
    #[serde(default)]
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
    let mut categories: HashMap<i64, usize> = HashMap::new();
    let mut sequences: Vec<Sequence> = Vec::new();
    json::read_lists(reading, &["categories", "sequences"], &mut builder, &mut |cut, builder| {
        if cut.key == "categories" {
            let category: coco::Category = serde_json::from_slice(cut.text)?;
            categories.insert(category.id.into(), builder.told_category(&category));
        } else {
            sequences.push(serde_json::from_slice(cut.text)?);
        }
        Ok(())
    })?;
    sequences.iter().for_each(|sequence| read_sequence(sequence, &categories, &mut builder));
    builder.finish(reading.path, "sequences as BURST has them")
}

fn read_sequence(sequence: &Sequence, categories: &HashMap<i64, usize>, builder: &mut Builder) {
    let name = &sequence.seq_name;
    let Some(size) = valid_size(sequence.width, sequence.height) else {
        return builder.refuse(name, "its width and height are not those of images");
    };
    let places: HashMap<&str, usize> = sequence.all_image_paths.iter().map(|path| &**path).zip(0..).collect();
    for (path, segments) in sequence.annotated_image_paths.iter().zip(&sequence.segmentations) {
        let Some(frame) = places.get(&**path).copied() else {
            builder.refuse(format_args!("{path} of {name}"), "it is not among the sequence's images");
            continue;
        };
        for (id, segment) in segments {
            let what = format!("object {id} on {path} of {name}");
            let category = sequence.track_category_ids.get(id).and_then(|id| categories.get(id));
            let read = Rle::from_counts(size, &segment.rle).map_err(|error| error.to_string());
            match read.and_then(|mask| Ok((mask, category.ok_or("its category is not in the file")?))) {
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
}
