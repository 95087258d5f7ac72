//! SA-V: a file a video, with a mask for each object ("masklet") on each annotated frame.

use std::sync::Arc;

use serde::{Deserialize as _, Serialize};
use serde_json::Value;

use super::{
    Carries, Clip, Dataset, Files, Format, FormatError, Output, Read, Reading, Selection, Shape,
    dataset::{Builder, Id},
    json,
    number::{json_float, json_whole},
    recognize::Recognize,
    valid_size,
};
use crate::mask::Rle;

/// SA-V.
pub const FORMAT: Format = Format {
    name: "sa-v",
    title: "SA-V",
    is_of_videos: true,
    carries: Carries { boxes: false, attributes: false, categories: false, ..Carries::ALL },
    reserved_folders: &[],
    usual_files: Files::Leave,
    write,
    read: Some(Read {
        recognize: Recognize::Json(|outline| outline.has(&["video_id", "masklet"])),
        together: false,
        read,
    }),
};

/// Distance between annotated frames; see `sav_dataset/README.md` of SAM 2.
const STRIDE: usize = 4;

/// What our files add: SA-V's own have one frame in four.
#[derive(Serialize)]
struct File {
    video_id: String,
    video_duration: f64,
    video_frame_count: f64,
    video_height: f64,
    video_width: f64,
    /// By frame, and then by object.
    masklet: Vec<Vec<Rle>>,
    masklet_id: Vec<i64>,
    masklet_type: Vec<String>,
    masklet_num: usize,
    masklet_frame_count: Vec<usize>,
    masklet_first_appeared_frame: Vec<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    frame_indices: Option<Vec<usize>>,
}

fn write(selection: &Selection<'_>, output: &mut Output<'_>) -> Result<(), FormatError> {
    let frames: Vec<_> = selection.frames.iter().collect();
    for clip in selection.clips(&frames) {
        let stem = selection.medium_stem(clip.id);
        for frame in &clip.frames {
            output.step()?;
            output.place(selection, frame, &image_name(stem, &selection.frame_stem(frame.at, 5)));
        }
        let file = file(selection, &clip, stem);
        file.masklet.iter().flatten().filter(|mask| !mask.is_empty()).try_for_each(|_| output.step())?;
        output.write(&format!("{stem}_manual.json"), |out| Ok(serde_json::to_writer(out, &file)?))?;
    }
    Ok(())
}

fn image_name(video: &str, frame: &str) -> String {
    format!("{video}/{frame}.jpg")
}

fn file(selection: &Selection<'_>, clip: &Clip<'_, '_>, stem: &str) -> File {
    let (size, n_frames) = (clip.medium.size, clip.medium.n_frames);
    let tracks = selection.tracks(clip);
    let empty = Rle::empty(size);
    let mut masklet = vec![vec![empty; tracks.len()]; clip.frames.len()];
    for (object, track) in tracks.values().enumerate() {
        for (place, label) in track {
            if let Shape::Mask(mask) = &label.shape {
                masklet[*place][object] = (**mask).clone();
            }
        }
    }
    File {
        video_id: stem.to_owned(),
        video_duration: clip.medium.fps.map_or(0.0, |fps| n_frames as f64 / fps),
        video_frame_count: n_frames as f64,
        video_height: size.height as f64,
        video_width: size.width as f64,
        masklet,
        masklet_id: tracks.keys().map(|id| i64::from(id.0)).collect(),
        masklet_type: tracks.keys().map(|_| "manual".to_owned()).collect(),
        masklet_num: tracks.len(),
        masklet_frame_count: tracks.values().map(Vec::len).collect(),
        masklet_first_appeared_frame: tracks
            .values()
            .map(|track| track.first().map_or(0.0, |(place, _)| *place as f64))
            .collect(),
        frame_indices: Some(clip.frames.iter().map(|frame| frame.at.frame).collect()),
    }
}

fn read(reading: &Reading<'_>) -> Result<Dataset, FormatError> {
    let path = reading.path;
    let text = reading.texts.read(path)?;
    let file: Value = json::lenient(text.as_bytes())
        .map_err(|error| FormatError::Damaged { path: path.to_owned(), cause: error.to_string() })?;
    drop(text);
    let mut builder = Builder::default();
    let side = |key: &str| usize::try_from(json_whole(&file[key])?).ok();
    let size = side("video_width").zip(side("video_height"));
    let size = size.and_then(|(width, height)| valid_size(width, height));
    let lacks = |lacks| FormatError::Lacks { path: path.to_owned(), lacks };
    let size = size.ok_or_else(|| lacks("width and height of a video"))?;
    let video = file["video_id"]
        .as_str()
        .map(str::to_owned)
        .or_else(|| Some(json_whole(&file["video_id"])?.to_string()));
    let video = video.ok_or_else(|| lacks("video_id"))?;
    let masklet = file["masklet"].as_array().ok_or_else(|| lacks("masklet"))?;
    let indices = &file["frame_indices"];
    let n_frames = json_float(&file["video_frame_count"]);
    if n_frames.is_none() && indices.is_null() {
        return Err(lacks("video_frame_count"));
    }
    // Other files may use another stride.
    let n_listed = masklet.len().max(1);
    let stride = n_frames.map_or(1, |n| match (n / n_listed as f64).round() as usize {
        _ if (n as usize).div_ceil(STRIDE) == n_listed => STRIDE,
        stride => stride.max(1),
    });
    for (place, masks) in masklet.iter().enumerate() {
        if !(reading.progress)(place, masklet.len()) {
            return Err(FormatError::Canceled);
        }
        let frame = match indices {
            Value::Null => Some(place * stride),
            indices => json_whole(&indices[place]).and_then(|frame| usize::try_from(frame).ok()),
        };
        let Some(frame) = frame else {
            builder.refuse(format_args!("frame {place}"), "its number is not in the file");
            continue;
        };
        let Value::Array(masks) = masks else {
            builder.refuse(format_args!("frame {place}"), "its masks are not a list");
            continue;
        };
        for (object, mask) in masks.iter().enumerate() {
            if mask.is_null() {
                continue;
            }
            let what = format!("object {object} on frame {place}");
            let mask = match Rle::deserialize(mask) {
                Ok(mask) if mask.is_empty() => continue,
                Ok(mask) => mask,
                Err(why) => {
                    builder.refuse(what, format_args!("its mask is damaged: {why}"));
                    continue;
                }
            };
            let image =
                builder.frame(&video, frame, Some(&image_name(&video, &format!("{frame:05}"))), Some(size));
            let id = Id::of_json(&file["masklet_id"][object]).unwrap_or(Id::Number(object as i64));
            let category = builder.category("object");
            if let Some(annotation) = builder.annotate(what, image, category, Shape::Mask(Arc::new(mask))) {
                annotation.track = Some(id);
            }
        }
    }
    builder.finish(path, "masklets as SA-V has them")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{formats::tests::put, mask::testing::picture};

    fn read_text(text: &str) -> Result<Dataset, FormatError> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("v_manual.json");
        put(&path, text);
        read(&Reading::new(&path))
    }

    #[test]
    fn bad_mask_costs_no_other() {
        let good = serde_json::to_string(&Rle::encode(&picture(&["#.", ".."]))).unwrap();
        for bad in [r#"{"size": [2, 2], "counts": "~"}"#, "5", r#"{"size": [2, 3], "counts": "06"}"#] {
            let text = format!(
                r#"{{"video_id": "v", "video_duration": "?", "video_frame_count": 8, "video_height": 2, "video_width": "2",
                "masklet": [[{good}, {bad}], [{good}, {good}]], "masklet_id": ["3", 4]}}"#
            );
            let read = read_text(&text).unwrap();
            assert_eq!((read.annotations.len(), read.refused.len()), (3, 1), "{bad}: {}", read.refused);
            assert_eq!(read.images[1].frame, Some((0, 4)));
            assert!(read.refused.sentences()[0].starts_with("object 1 on frame 0"), "{}", read.refused);
            let read =
                read_text(&text.replacen(bad, "7", 1).replace(&format!("[{good}, 7]"), "null")).unwrap();
            assert_eq!((read.annotations.len(), read.refused.len()), (2, 1), "{}", read.refused);
        }
    }
}
