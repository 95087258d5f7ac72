//! YouTube-VIS and OVIS: videos with their frames, and objects with a mask for each frame.

use std::{collections::BTreeMap, io::Write as _};

use serde::Deserialize;
use serde_json::{Value, json as value};

use super::{
    Carries, Clip, Dataset, Files, Format, FormatError, Frame, Label, Output, Read, Reading, Selection,
    Shape,
    coco::{self, list_name, measures},
    dataset::{Builder, Id},
    json,
    recognize::Recognize,
    valid_size,
};
use crate::{geometry::Rect, project::ObjectId};

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
            outline.has(&["videos"]) && (is_tracks || !outline.has(&["images"]))
        }),
        together: false,
        read,
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
            write!(out, "{{\"info\": {{\"description\": \"Made with Segue\"}},\n\"categories\": ")?;
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
    let scores: Vec<f32> = track.iter().filter_map(|(_, label)| label.score).collect();
    let mut annotation = value!({"id": id, "video_id": clip.id.0, "track_id": object.0,
        "category_id": first.map(|label| selection.categories[label.category].id),
        "attributes": first.map(|label| &label.object.attributes), "iscrowd": 0, "width": size.width,
        "height": size.height, "length": n, "segmentations": masks, "bboxes": boxes, "areas": areas});
    if !scores.is_empty() {
        // One for the whole track, as results of YouTube-VIS have it.
        annotation["score"] = (scores.iter().sum::<f32>() / scores.len() as f32).into();
    }
    annotation
}

#[derive(Deserialize)]
struct ToldVideo {
    id: i64,
    name: Option<String>,
    width: usize,
    height: usize,
    #[serde(default)]
    file_names: Vec<String>,
    frame_indices: Option<Vec<usize>>,
}

#[derive(Deserialize)]
struct ToldAnnotation {
    id: i64,
    video_id: i64,
    category_id: i64,
    #[serde(default)]
    segmentations: Vec<Value>,
    #[serde(default)]
    bboxes: Vec<Option<[f32; 4]>>,
    attributes: Option<BTreeMap<String, String>>,
}

fn read(reading: &Reading<'_>) -> Result<Dataset, FormatError> {
    let mut builder = Builder::default();
    let (mut videos, mut categories, mut annotations) = (BTreeMap::new(), BTreeMap::new(), Vec::new());
    json::read_lists(
        reading,
        &["videos", "categories", "annotations"],
        &mut builder,
        &mut |cut, builder| {
            match cut.key {
                "videos" => {
                    let video: ToldVideo = serde_json::from_slice(cut.text)?;
                    videos.insert(video.id, video);
                }
                "categories" => {
                    let category: coco::Category = serde_json::from_slice(cut.text)?;
                    categories.insert(i64::from(category.id), builder.told_category(&category));
                }
                _ => annotations.push((cut.line, serde_json::from_slice::<ToldAnnotation>(cut.text)?)),
            }
            Ok(())
        },
    )?;
    for (line, annotation) in annotations {
        let what = format!("annotation {} (line {line})", annotation.id);
        match (videos.get(&annotation.video_id), categories.get(&annotation.category_id)) {
            (None, _) => builder.refuse(what, "its video is not in the file"),
            (_, None) => builder.refuse(what, "its category is not in the file"),
            (Some(video), Some(category)) => read_track(&what, annotation, video, *category, &mut builder),
        }
    }
    builder.finish(reading.path, "videos or annotations as YouTube-VIS has them")
}

fn read_track(what: &str, told: ToldAnnotation, video: &ToldVideo, category: usize, builder: &mut Builder) {
    let folder = video.file_names.first().and_then(|name| name.rsplit_once('/')).map(|(folder, _)| folder);
    let name = video.name.as_deref().or(folder).unwrap_or_default();
    let Some(size) = valid_size(video.width, video.height) else {
        return builder.refuse(what, "the width and height of its video are not those of images");
    };
    let n = told.segmentations.len().max(told.bboxes.len());
    let mut segmentations = told.segmentations.into_iter();
    for place in 0..n {
        let what = format!("frame {place} of {what}");
        let segmentation = segmentations.next().unwrap_or_default();
        let rect = told.bboxes.get(place).copied().flatten();
        let rect = rect.map(|[x, y, width, height]| Rect { x0: x, y0: y, x1: x + width, y1: y + height });
        // All zero is what some programs write for nothing.
        let rect = rect.filter(|rect| rect.x1 > rect.x0 && rect.y1 > rect.y0);
        let shape = match coco::Segmentation::of(segmentation).mask(Some(size), rect) {
            Ok(None) => rect.map(Shape::Box),
            Ok(Some((mask, _))) if mask.is_empty() => None,
            Ok(Some((mask, _))) => Some(Shape::Mask(mask)),
            Err(why) => {
                builder.refuse(&what, why);
                rect.map(Shape::Box)
            }
        };
        let frame = video.frame_indices.as_ref().map_or(Some(place), |all| all.get(place).copied());
        let (Some(shape), Some(frame)) = (shape, frame) else { continue };
        let file_name = video.file_names.get(place).map(String::as_str);
        let image = builder.frame(name, frame, file_name, Some(size));
        if let Some(annotation) = builder.annotate(what, image, category, shape) {
            annotation.track = Some(Id::Number(told.id));
            annotation.attributes = told.attributes.clone().unwrap_or_default();
        }
    }
}
