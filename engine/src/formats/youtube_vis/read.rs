//! Lists of YouTube-VIS, and results: a bare list of tracks that a model found.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::Value;

use crate::{
    formats::{
        Dataset, FormatError, Reading, Shape, coco,
        dataset::{Builder, Id},
        json,
        number::{json_float, json_whole},
        valid_size,
    },
    geometry::{Rect, Size},
};

#[derive(Deserialize)]
struct ToldVideo {
    id: Id,
    #[serde(default)]
    name: Value,
    #[serde(default)]
    width: Value,
    #[serde(default)]
    height: Value,
    #[serde(default)]
    file_names: Vec<String>,
    frame_indices: Option<Vec<usize>>,
}

/// A track of a file of labels or results. Fields that do not hold a track up are read as far as they make sense.
#[derive(Deserialize)]
struct ToldTrack {
    #[serde(default)]
    id: Value,
    video_id: Value,
    category_id: Id,
    #[serde(default)]
    segmentations: Value,
    #[serde(default)]
    bboxes: Value,
    #[serde(default)]
    attributes: Value,
    #[serde(default)]
    score: Value,
    #[serde(default)]
    iscrowd: Value,
}

pub(super) fn read(reading: &Reading<'_>) -> Result<Dataset, FormatError> {
    let mut builder = Builder::default();
    let (mut videos, mut categories, mut tracks) = (BTreeMap::new(), BTreeMap::new(), Vec::new());
    let mut is_results = false;
    json::read_lists(
        reading,
        &["videos", "categories", "annotations"],
        &mut builder,
        &mut |cut, builder| {
            match cut.key {
                "videos" => {
                    let video: ToldVideo = json::parse(cut.text)?;
                    videos.insert(video.id.clone(), video);
                }
                "categories" => categories.extend([builder.json_category(&json::parse(cut.text)?)?]),
                key => {
                    is_results = key.is_empty();
                    tracks.push((cut.line, json::parse::<ToldTrack>(cut.text)?));
                }
            }
            Ok(())
        },
    )?;
    for ((line, track), n) in tracks.into_iter().zip(1..) {
        let id = Id::of_json(&track.id);
        let what = match (&id, is_results) {
            (_, true) => format!("result {n} (line {line})"),
            (Some(id), _) => format!("annotation {id} (line {line})"),
            (None, _) => format!("annotation number {n} (line {line})"),
        };
        // Results are tracks of their own.
        let id = id.filter(|_| !is_results).unwrap_or(Id::Number(n));
        let read = match is_results {
            true => read_result(&what, id, &track, reading, &mut builder),
            false => {
                let video = Id::of_json(&track.video_id).and_then(|id| videos.get(&id));
                match (video, categories.get(&track.category_id)) {
                    (None, _) => Err("its video is not in the file".to_owned()),
                    (_, None) => Err("its category is not in the file".to_owned()),
                    (Some(video), Some(category)) => {
                        read_track(&what, id, &track, video, *category, &mut builder)
                    }
                }
            }
        };
        if let Err(why) = read {
            builder.refuse(what, why);
        }
    }
    builder.finish(reading.path, "videos or annotations as YouTube-VIS has them")
}

fn read_track(
    what: &str,
    id: Id,
    track: &ToldTrack,
    video: &ToldVideo,
    category: usize,
    builder: &mut Builder,
) -> Result<(), String> {
    let folder = video.file_names.first().and_then(|name| name.rsplit_once('/')).map(|(folder, _)| folder);
    let name = video.name.as_str().or(folder).map_or_else(|| video.id.to_string(), str::to_owned);
    let side = |side| usize::try_from(json_whole(side)?).ok();
    let size = side(&video.width).zip(side(&video.height));
    let size = size.and_then(|(width, height)| valid_size(width, height));
    let size = size.ok_or("the width and height of its video are not those of images")?;
    let mut attributes: BTreeMap<String, String> =
        serde_json::from_value(track.attributes.clone()).unwrap_or_default();
    if coco::is_crowd(&track.iscrowd) {
        attributes.insert(coco::CROWD.to_owned(), "1".to_owned());
    }
    for (place, shape) in shapes(what, track, Some(size), builder) {
        let what = format!("frame {place} of {what}");
        let frame = video.frame_indices.as_ref().map_or(Some(place), |all| all.get(place).copied());
        let Some(frame) = frame else {
            builder.refuse(what, "its video has no frame_indices for it");
            continue;
        };
        let file_name = video.file_names.get(place).map(String::as_str);
        let image = builder.frame(&name, frame, file_name, Some(size));
        if let Some(annotation) = builder.annotate(what, image, category, shape) {
            annotation.track = Some(id.clone());
            annotation.attributes = attributes.clone();
        }
    }
    Ok(())
}

/// Reads a result, whose video is a project's by its name or by the id that it has in exports.
fn read_result(
    what: &str,
    id: Id,
    track: &ToldTrack,
    reading: &Reading<'_>,
    builder: &mut Builder,
) -> Result<(), String> {
    let video = match &track.video_id {
        Value::String(name) => name.clone(),
        value => json_whole(value).ok_or("its video_id is neither a whole number nor a text")?.to_string(),
    };
    let (medium, n_frames) = match reading.sizes {
        Some(project) => project
            .video(&track.video_id)
            .ok_or_else(|| format!("no video of the project is called {video} or has this id in exports"))?,
        None => {
            return Err(format!(
                "the file does not say what video {video} is; import it into the project that it is of"
            ));
        }
    };
    let n = len(&track.segmentations).max(len(&track.bboxes));
    if n != n_frames {
        return Err(format!(
            "it is of {n} frames, and the video {video} has {n_frames}, so it is not known which frames it is of"
        ));
    }
    let score = json_float(&track.score).map_or(1.0, |score| score.clamp(0.0, 1.0) as f32);
    for (place, shape) in shapes(what, track, None, builder) {
        let image = builder.exported_frame(medium, place);
        let category = builder.exported_category(&track.category_id);
        if let Some(annotation) =
            builder.annotate(format_args!("frame {place} of {what}"), image, category, shape)
        {
            annotation.track = Some(id.clone());
            annotation.score = Some(score);
        }
    }
    Ok(())
}

fn len(list: &Value) -> usize {
    list.as_array().map_or(0, Vec::len)
}

/// The shapes of a track by their frames; those that are damaged are refused.
fn shapes(what: &str, track: &ToldTrack, size: Option<Size>, builder: &mut Builder) -> Vec<(usize, Shape)> {
    let mut shapes = Vec::new();
    for place in 0..len(&track.segmentations).max(len(&track.bboxes)) {
        let rect = rect(&track.bboxes[place]).unwrap_or_else(|why| {
            builder.refuse(format_args!("the box on frame {place} of {what}"), why);
            None
        });
        let shape = match coco::Segmentation::of(track.segmentations[place].clone()).mask(size, rect) {
            Ok(None) => rect.map(Shape::Box),
            Ok(Some((mask, _))) if mask.is_empty() => None,
            Ok(Some((mask, _))) => Some(Shape::Mask(mask)),
            Err(why) => {
                builder.refuse(format_args!("the mask on frame {place} of {what}"), why);
                rect.map(Shape::Box)
            }
        };
        shapes.extend(shape.map(|shape| (place, shape)));
    }
    shapes
}

/// The box of a frame. All zero is what some programs write for nothing.
fn rect(bbox: &Value) -> Result<Option<Rect>, &'static str> {
    if bbox.is_null() {
        return Ok(None);
    }
    let numbers: Option<Vec<f64>> = bbox.as_array().and_then(|list| list.iter().map(json_float).collect());
    match numbers.as_deref() {
        Some([x, y, width, height]) => {
            let rect = Rect::from([*x, *y, x + width, y + height].map(|v| v as f32));
            Ok(Some(rect).filter(|rect| rect.x1 > rect.x0 && rect.y1 > rect.y0))
        }
        Some([]) => Ok(None),
        _ => Err("it is not four numbers"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        formats::{
            Sizes,
            tests::{media, put},
        },
        project::Project,
    };

    fn read_text(text: &str, project: &Project) -> Result<Dataset, FormatError> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("y.json");
        put(&path, text);
        let sizes = Sizes::of_project(project);
        let (format, dataset) = crate::formats::read(&Reading::new(&path).with_sizes(&sizes))?;
        assert_eq!(format.name, "youtube-vis");
        Ok(dataset)
    }

    #[test]
    fn ids_may_be_text() {
        let text = r#"{"videos": [{"id": "1", "name": "e.mp4", "width": "9", "height": 7, "length": 2}],
            "categories": [{"id": "2", "name": "dog"}], "annotations": [{"id": "5", "video_id": 1, "category_id": "2",
            "bboxes": [null, [1, 1, "2", 2]]}, {"id": "a", "video_id": "1", "category_id": 2, "bboxes": [[1, 1, 2], [1, 1, 2, 2]]}]}"#;
        let read = read_text(text, &Project::default()).unwrap();
        assert_eq!((read.annotations.len(), read.refused.len()), (2, 1), "{}", read.refused);
        assert_eq!(read.annotations[0].track, Some(Id::Number(5)));
    }

    #[test]
    fn results_are_proposals_on_videos_of_the_project() {
        // e.mp4 is medium 4 of 20 frames.
        let mut boxes = vec!["null"; 20];
        boxes[3] = "[1, 1, 2, 2]";
        let result = |video: &str, n: usize| {
            let boxes = boxes[..n].join(", ");
            format!(r#"[{{"video_id": {video}, "category_id": 8, "bboxes": [{boxes}], "score": 0.5}}]"#)
        };
        for video in ["4", r#""4""#, r#""e""#, r#""e.mp4""#] {
            let mut project = media();
            let mut read = read_text(&result(video, 20), &project).unwrap();
            let taken = read.add_to(&mut project, std::path::Path::new(""), false);
            assert_eq!(taken.n_annotations, 1, "{video}: {taken}");
            let ((medium, object), kept) = project.objects.iter().next().unwrap();
            assert_eq!((medium.0, kept.proposal), (4, Some(0.5)));
            assert!(project.segment(*object, 3).is_some());
        }
        for (text, why) in [
            (result("5", 20), "no video of the project is called 5"),
            (result("4", 7), "it is of 7 frames, and the video 4 has 20"),
        ] {
            let error = read_text(&text, &media()).unwrap_err().to_string();
            assert!(error.contains(why), "{error}");
        }
    }
}
