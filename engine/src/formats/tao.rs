//! TAO: COCO's lists with tracks, which say what an object is through its video.

use std::{collections::BTreeMap, io::Write as _};

use serde_json::json;

use super::{Carries, Files, Format, FormatError, Output, Read, Selection, coco, recognize::Recognize};
use crate::file::MARK;

/// TAO. It is read as COCO is.
pub const FORMAT: Format = Format {
    name: "tao",
    title: "TAO",
    is_of_videos: true,
    carries: Carries::ALL,
    reserved_folders: &[],
    usual_files: Files::Leave,
    write,
    read: Some(Read {
        recognize: Recognize::Json(|outline| outline.has(&["tracks", "annotations"])),
        together: false,
        read: coco::read,
    }),
};

fn write(selection: &Selection<'_>, output: &mut Output<'_>) -> Result<(), FormatError> {
    let mut ids = 1..;
    for (part, frames) in selection.parts() {
        let clips = selection.clips(&frames);
        for frame in &frames {
            output.place(selection, frame, &format!("frames/{}", selection.name(frame)));
        }
        let name = part.map_or_else(|| "annotations.json".to_owned(), |part| format!("{part}.json"));
        output.write_steps(&name, |out, report, step| {
            let videos = clips.iter().map(|clip| {
                let (name, size) = (selection.medium_name(clip.id), clip.medium.size);
                json!({"id": clip.id.0, "name": name, "width": size.width, "height": size.height,
                    "neg_category_ids": [], "not_exhaustive_category_ids": []})
            });
            let images = frames.iter().map(|frame| {
                let mut image = serde_json::to_value(coco::image(selection, frame)).unwrap_or_default();
                image["video"] = selection.medium_name(frame.at.medium).into();
                image
            });
            // Of each object its video and its category.
            let mut tracks: BTreeMap<u32, (u32, u32)> = BTreeMap::new();
            for label in frames.iter().flat_map(|frame| selection.labels(frame)) {
                tracks.insert(label.id.0, (label.at.medium.0, selection.categories[label.category].id));
            }
            let tracks = tracks
                .into_iter()
                .map(|(id, (video, category))| json!({"id": id, "video_id": video, "category_id": category}));
            write!(out, "{{\"info\": {{\"description\": \"{MARK}\"}},\n\"videos\": ")?;
            coco::write_list(out, videos, &mut || Ok(()))?;
            write!(out, ",\n\"categories\": ")?;
            coco::write_list(out, coco::categories(selection), &mut || Ok(()))?;
            write!(out, ",\n\"images\": ")?;
            coco::write_list(out, images, step)?;
            write!(out, ",\n\"tracks\": ")?;
            coco::write_list(out, tracks, &mut || Ok(()))?;
            write!(out, ",\n\"annotations\": ")?;
            let labels = frames
                .iter()
                .flat_map(|frame| selection.labels(frame).iter().map(move |label| (frame, label)));
            let annotations = labels.zip(&mut ids).map(|((frame, label), id)| {
                let annotation = coco::annotation(selection, coco::image_id(frame), label, id, report);
                let mut annotation = serde_json::to_value(annotation).unwrap_or_default();
                annotation["video_id"] = label.at.medium.0.into();
                annotation
            });
            coco::write_list(out, annotations, step)?;
            writeln!(out, "}}")
        })?;
    }
    Ok(())
}
