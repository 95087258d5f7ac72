//! YouTube-VIS and OVIS: videos with their frames, and objects with a mask for each frame; also lists of results.

mod read;

use std::io::Write as _;

use serde_json::{Value, json as value};

use super::{
    Carries, Clip, Files, Format, FormatError, Frame, Label, Output, Read, Selection, Shape,
    coco::{self, list_name, measures},
    recognize::Recognize,
};
use crate::{file::MARK, project::ObjectId};

/// YouTube-VIS.
pub const FORMAT: Format = Format {
    name: "youtube-vis",
    title: "YouTube-VIS",
    is_of_videos: true,
    carries: Carries::ALL,
    reserved_folders: &[],
    usual_files: Files::Leave,
    write,
    read: Some(Read {
        recognize: Recognize::Json(|outline| {
            let is_tracks =
                ["segmentations", "bboxes"].iter().any(|key| outline.item_has("annotations", key));
            let is_results = ["segmentations", "bboxes"]
                .iter()
                .any(|key| outline.is_list_of(&["video_id", "category_id", key]));
            let is_list = outline.has(&["videos", "annotations"]) || outline.has(&["videos", "categories"]);
            is_results || is_list && (is_tracks || !outline.has(&["images"]))
        }),
        together: false,
        read: read::read,
    }),
};

fn write(selection: &Selection<'_>, output: &mut Output<'_>) -> Result<(), FormatError> {
    let mut ids = 1..;
    for (part, frames) in selection.parts() {
        for frame in &frames {
            let name = file_name(selection, frame);
            output.place(selection, frame, &format!("JPEGImages/{name}"));
        }
        let clips = selection.clips(&frames);
        output.write_steps(&list_name("instances", part), |out, _, step| {
            write!(out, "{{\"info\": {{\"description\": \"{MARK}\"}},\n\"categories\": ")?;
            coco::write_list(out, coco::categories(selection), &mut || Ok(()))?;
            write!(out, ",\n\"videos\": ")?;
            coco::write_list(out, clips.iter().map(|clip| video(selection, clip)), step)?;
            write!(out, ",\n\"annotations\": ")?;
            let annotations = clips.iter().flat_map(|clip| {
                let tracks = selection.tracks(clip);
                tracks.into_iter().map(move |track| (clip, track))
            });
            let annotations = annotations
                .zip(&mut ids)
                .map(|((clip, (object, track)), id)| annotation(selection, clip, object, &track, id));
            coco::write_list(out, annotations, step)?;
            writeln!(out, "}}")
        })?;
    }
    Ok(())
}

fn file_name(selection: &Selection<'_>, frame: &Frame<'_>) -> String {
    format!("{}/{}.jpg", selection.medium_stem(frame.at.medium), selection.frame_stem(frame.at, 5))
}

fn video(selection: &Selection<'_>, clip: &Clip<'_, '_>) -> Value {
    let frames: Vec<usize> = clip.frames.iter().map(|frame| frame.at.frame).collect();
    let names: Vec<String> = clip.frames.iter().map(|frame| file_name(selection, frame)).collect();
    let size = clip.medium.size;
    value!({"id": clip.id.0, "name": selection.medium_name(clip.id), "width": size.width, "height": size.height,
        "length": frames.len(), "file_names": names, "frame_indices": frames})
}

fn annotation(
    selection: &Selection<'_>,
    clip: &Clip<'_, '_>,
    object: ObjectId,
    track: &[(usize, &Label<'_>)],
    id: usize,
) -> Value {
    let n = clip.frames.len();
    let (mut masks, mut boxes, mut areas) =
        (vec![Value::Null; n], vec![Value::Null; n], vec![Value::Null; n]);
    for (place, label) in track {
        if let Shape::Mask(mask) = &label.shape {
            // Not compressed, as in the original files, and for readers that take nothing else.
            masks[*place] =
                value!({"size": [mask.size().height, mask.size().width], "counts": mask.run_lengths()});
        }
        let (bbox, area) = measures(&label.shape);
        (boxes[*place], areas[*place]) = (value!(bbox), value!(area));
    }
    let size = clip.medium.size;
    let first = track.first().map(|(_, label)| label);
    let is_crowd = first.is_some_and(|label| label.object.attributes.contains_key(coco::CROWD));
    let scores: Vec<f32> = track.iter().filter_map(|(_, label)| label.score).collect();
    let mut annotation = value!({"id": id, "video_id": clip.id.0, "track_id": object.0,
        "category_id": first.map(|label| selection.categories[label.category].id),
        "attributes": first.map(|label| &label.object.attributes), "iscrowd": u8::from(is_crowd), "width": size.width,
        "height": size.height, "length": n, "segmentations": masks, "bboxes": boxes, "areas": areas});
    if !scores.is_empty() {
        // One for the whole track, as results of YouTube-VIS have it.
        annotation["score"] = (scores.iter().sum::<f32>() / scores.len() as f32).into();
    }
    annotation
}
