//! COCO results: a bare list of what a model found, with how sure it is.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
};

use serde::Serialize;

use super::{
    SCORE,
    document::{measures, write_list},
    export::image_id,
    reading::File,
};
use crate::{
    file::{folder_of, has_suffix},
    formats::{FormatError, Id, Label, Output, Reading, Selection, Shape},
    mask::Rle,
};

/// Maximum number of JSON files in the folder of the results that are searched for their images.
const MAX_SEARCHED: usize = 20;

/// Adds the images and categories of the annotation file in the same folder that lists all image ids of the results. Returns
/// the path of that file; none if there is no such file, or if two such files disagree.
pub(super) fn add_ground_truth(results: &mut File, reading: &Reading<'_>) -> Option<PathBuf> {
    let ids: Vec<Id> = results
        .annotations
        .items()
        .filter(|result| result.extras.as_ref().is_none_or(|extras| extras.file_name.is_none()))
        .map(|result| result.image.clone())
        .collect();
    if ids.is_empty() || results.images.n_good > 0 {
        return None;
    }
    let mut found: Option<(PathBuf, File, BTreeMap<Id, String>)> = None;
    for path in json_files_beside(reading.path) {
        let Ok(text) = reading.texts.open(&path) else { continue };
        let truth = File::read_truth(text);
        let names: BTreeMap<Id, String> =
            truth.images.items().map(|image| (image.id.clone(), image.file_name.clone())).collect();
        if !ids.iter().all(|id| names.contains_key(id)) {
            continue;
        }
        match &found {
            Some((_, _, known)) if ids.iter().any(|id| known[id] != names[id]) => return None,
            Some(_) => {}
            None => found = Some((path, truth, names)),
        }
    }
    let (path, truth, _) = found?;
    (results.images, results.videos, results.categories) = (truth.images, truth.videos, truth.categories);
    Some(path)
}

fn json_files_beside(results: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder_of(results)).into_iter().flatten().flatten();
    let own = results.file_name();
    let files = entries
        .map(|entry| entry.path())
        .filter(|path| path.file_name() != own && has_suffix(path, &["json"]));
    let mut files: Vec<PathBuf> = files.filter(|path| path.is_file()).collect();
    files.sort();
    files.truncate(MAX_SEARCHED);
    files
}

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

/// The score that a file of labels states; of others, 1 if a person made them.
fn score(label: &Label<'_>) -> f32 {
    let stated = label.object.attributes.get(SCORE).and_then(|score| score.parse().ok());
    let stated = stated.filter(|score| (0.0..=1.0).contains(score));
    stated.unwrap_or(if label.segment.is_given() { 1.0 } else { label.segment.iou })
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
                score: score(label),
            })
        });
        output.write_steps(&name, |out, _, step| write_list(out, results, step))?;
    }
    Ok(())
}
