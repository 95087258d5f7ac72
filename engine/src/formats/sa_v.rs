//! SA-V: a file a video, with a mask for each object ("masklet") on each annotated frame.

use std::{fs, io, sync::Arc};

use serde::{Deserialize, Serialize};

use super::{
    Carries, Clip, Dataset, Files, Format, FormatError, Output, Read, Reading, Selection, Shape,
    dataset::{Builder, Id},
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

/// What our files add: SA-V's own have one frame in four.
#[derive(Serialize, Deserialize)]
struct File {
    video_id: String,
    #[serde(default)]
    video_duration: f64,
    video_frame_count: f64,
    video_height: f64,
    video_width: f64,
    /// By frame, and then by object.
    masklet: Vec<Vec<Rle>>,
    masklet_id: Vec<i64>,
    #[serde(default)]
    masklet_type: Vec<String>,
    #[serde(default)]
    masklet_num: usize,
    #[serde(default)]
    masklet_frame_count: Vec<usize>,
    #[serde(default)]
    masklet_first_appeared_frame: Vec<f64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
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
    let file = fs::File::open(path).map_err(|cause| FormatError::Read { path: path.to_owned(), cause })?;
    let told: File = serde_json::from_reader(io::BufReader::new(file))
        .map_err(|error| FormatError::Damaged { path: path.to_owned(), cause: error.to_string() })?;
    let mut builder = Builder::default();
    let Some(size) = valid_size(told.video_width as usize, told.video_height as usize) else {
        return Err(FormatError::Lacks { path: path.to_owned(), lacks: "width and height of a video" });
    };
    // Of 24 frames a second SA-V annotates 6.
    let stride = ((told.video_frame_count / told.masklet.len().max(1) as f64).round() as usize).max(1);
    let category = builder.category("object");
    for (place, masks) in told.masklet.into_iter().enumerate() {
        if !(reading.progress)(place, place + 1) {
            return Err(FormatError::Canceled);
        }
        let frame = told.frame_indices.as_ref().map_or(Some(place * stride), |all| all.get(place).copied());
        let Some(frame) = frame else {
            builder.refuse(format_args!("frame {place}"), "its number is not in the file");
            continue;
        };
        for (object, mask) in masks.into_iter().enumerate().filter(|(_, mask)| !mask.is_empty()) {
            let what = format!("object {object} on frame {place}");
            let image = builder.frame(
                &told.video_id,
                frame,
                Some(&image_name(&told.video_id, &format!("{frame:05}"))),
                Some(size),
            );
            let id = told.masklet_id.get(object).copied().unwrap_or(object as i64);
            if let Some(annotation) = builder.annotate(what, image, category, Shape::Mask(Arc::new(mask))) {
                annotation.track = Some(Id::Number(id));
            }
        }
    }
    builder.finish(path, "masklets as SA-V has them")
}
