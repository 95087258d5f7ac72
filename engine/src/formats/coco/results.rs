//! COCO results: a bare list of what a model found, with how sure it is.

use serde::Serialize;

use super::{
    document::{measures, write_list},
    export::image_id,
};
use crate::{
    formats::{FormatError, Output, Selection, Shape},
    mask::Rle,
};

#[derive(Serialize)]
struct Result<'a> {
    image_id: u64,
    file_name: String,
    category_id: u32,
    #[serde(skip_serializing_if = "Option::is_none")]
    segmentation: Option<&'a Rle>,
    bbox: [f64; 4],
    score: f32,
}

pub(super) fn write(
    selection: &Selection<'_>,
    output: &mut Output<'_>,
) -> std::result::Result<(), FormatError> {
    for (part, frames) in selection.parts() {
        let name = part.map_or_else(|| "results.json".to_owned(), |part| format!("results_{part}.json"));
        for frame in &frames {
            output.step()?;
            output.place(selection, frame, &format!("images/{}", selection.name(frame)));
        }
        let results = frames.iter().flat_map(|frame| {
            selection.labels(frame).iter().map(|label| Result {
                image_id: image_id(frame),
                file_name: selection.name(frame),
                category_id: selection.categories[label.category].id,
                segmentation: match &label.shape {
                    Shape::Mask(mask) => Some(&**mask),
                    Shape::Box(_) => None,
                },
                bbox: measures(&label.shape).0,
                // What a person made is sure.
                score: if label.segment.is_given() { 1.0 } else { label.segment.iou },
            })
        });
        output.write_steps(&name, |out, _, step| write_list(out, results, step))?;
    }
    Ok(())
}
