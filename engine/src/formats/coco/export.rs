//! A project as COCO instances.

use super::{Annotation, Category, Document, Image, Video, VideoFrame, frame_id};
use crate::{
    formats::{FormatError, Frame, Label, Output, Report, Selection, Shape, polygon},
    project::{FrameId, MediumId},
};

pub(super) fn write(selection: &Selection<'_>, output: &mut Output<'_>) -> Result<(), FormatError> {
    let mut ids = 1..;
    for (part, frames) in selection.parts() {
        let name = list_name("instances", part);
        for frame in &frames {
            output.place(selection, frame, &format!("images/{}", selection.name(frame)));
        }
        output.write_steps(&name, |out, report, step| {
            let labels = frames
                .iter()
                .flat_map(|frame| selection.labels(frame).iter().map(|label| (image_id(frame), label)));
            let document = Document {
                videos: videos(selection, &frames),
                categories: categories(selection),
                images: frames.iter().map(|frame| image(selection, frame)),
                annotations: labels
                    .zip(&mut ids)
                    .map(|((image_id, label), id)| annotation(selection, image_id, label, id, report)),
            };
            document.write_to(out, step)
        })?;
    }
    Ok(())
}

/// "annotations/instances_default.json" (as CVAT and Datumaro have it), "annotations/instances_train.json".
pub(in crate::formats) fn list_name(kind: &str, part: Option<&str>) -> String {
    format!("annotations/{kind}_{}.json", part.unwrap_or("default"))
}

pub(in crate::formats) fn categories(selection: &Selection<'_>) -> Vec<Category> {
    let category = |kind: &crate::formats::Kind<'_>| Category {
        id: kind.id,
        name: kind.category.name.clone(),
        supercategory: kind.category.supercategory.clone(),
        color: Some(kind.category.color),
    };
    selection.categories.iter().map(category).collect()
}

pub(in crate::formats) fn annotation(
    selection: &Selection<'_>,
    image_id: u64,
    label: &Label<'_>,
    id: u64,
    report: &mut Report,
) -> Annotation {
    let (mut shape, mut polygons) = (label.shape.clone(), None);
    if let Shape::Mask(mask) = &label.shape
        && selection.options.polygons
    {
        let drawn = polygon::drawn(mask, selection.options.tolerance);
        report.polygon(drawn.iou);
        polygons = Some(drawn.polygons);
        shape = Shape::Mask(drawn.mask.into());
    }
    Annotation {
        id,
        image_id,
        category_id: selection.categories[label.category].id,
        track_id: label.id.0,
        score: label.score,
        shape,
        polygons,
        attributes: label.object.attributes.clone(),
    }
}

/// A photo's medium; of frame 17 of medium 3, 30000017: the same in each export, and known again when results come back.
pub(in crate::formats) fn image_id(frame: &Frame<'_>) -> u64 {
    let FrameId { medium, frame: index } = frame.at;
    if frame.is_of_video() { frame_id(medium, index) } else { medium.0.into() }
}

pub(in crate::formats) fn image(selection: &Selection<'_>, frame: &Frame<'_>) -> Image {
    let FrameId { medium: MediumId(video_id), frame: frame_index } = frame.at;
    let size = frame.medium.size;
    let in_video = VideoFrame { video_id, frame_index, time: selection.time(frame) };
    Image {
        id: image_id(frame),
        file_name: selection.name(frame),
        width: size.width,
        height: size.height,
        frame: frame.is_of_video().then_some(in_video),
    }
}

/// The videos of which there are frames.
fn videos(selection: &Selection<'_>, frames: &[&Frame<'_>]) -> Vec<Video> {
    let mut videos: Vec<Video> = Vec::new();
    for frame in frames.iter().filter(|frame| frame.is_of_video()) {
        let id = frame.at.medium.0;
        if videos.last().is_none_or(|video| video.id != id) {
            let (name, size) = (selection.medium_name(frame.at.medium).to_owned(), frame.medium.size);
            videos.push(Video { id, name, width: size.width, height: size.height });
        }
    }
    videos
}
