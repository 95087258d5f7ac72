//! Any bytes as a file of labels of any format: `make fuzz`.
//!
//! Labels are exported once in every format that is read. The files of these exports are the seeds, written into the folder
//! named by `SEEDS`. In each run the fuzzer's bytes stand in for one of the files, which the first byte says. The export is
//! recognized, read again, and matched with the media of a project.

#![no_main]

mod seeds;

use std::{
    fs,
    path::{Path, PathBuf},
    sync::LazyLock,
};

use engine::{
    formats::{self, FORMATS, Format, ImageFiles, Options, Reading, coco::INSTANCES},
    project::Project,
};
use libfuzzer_sys::fuzz_target;
use tempfile::TempDir;

/// Two images with a mask, polygons and a box, and a track on two frames of a video.
const LABELS: &str = r#"{
    "images": [
        {"id": 1, "file_name": "a.png", "width": 8, "height": 6}, {"id": 2, "file_name": "b/c.png", "width": 8, "height": 6},
        {"id": 3, "file_name": "v/000000.jpg", "width": 8, "height": 6, "video_id": 1, "frame_index": 0},
        {"id": 4, "file_name": "v/000002.jpg", "width": 8, "height": 6, "video_id": 1, "frame_index": 2}],
    "videos": [{"id": 1, "name": "v.mp4"}],
    "categories": [{"id": 1, "name": "cat"}, {"id": 2, "name": "dog", "supercategory": "animal", "color": [9, 8, 7]}],
    "annotations": [
        {"id": 1, "image_id": 1, "category_id": 1, "segmentation": {"size": [6, 8], "counts": [7, 4, 2, 4, 31]}},
        {"id": 2, "image_id": 1, "category_id": 2, "segmentation": [[4, 1, 7, 1, 7, 4], [1, 4, 3, 4, 3, 6, 1, 6]],
         "attributes": {"color": "black", "old": true}},
        {"id": 3, "image_id": 2, "category_id": 2, "bbox": [1.5, 0, 4, 3]},
        {"id": 4, "image_id": 3, "category_id": 1, "track_id": 7, "segmentation": [[1, 1, 4, 1, 4, 4, 1, 4]]},
        {"id": 5, "image_id": 4, "category_id": 1, "track_id": 7, "segmentation": [[2, 1, 5, 1, 5, 4, 2, 4]]}]}"#;

/// A file of an export.
struct Label {
    format: &'static Format,
    /// All of the export.
    folder: PathBuf,
    path: PathBuf,
    bytes: Vec<u8>,
}

/// What goes when the process ends.
static FOLDER: LazyLock<TempDir> = LazyLock::new(|| tempfile::tempdir().expect("a folder"));

static PROJECT: LazyLock<Project> = LazyLock::new(|| {
    let labels = FOLDER.path().join("labels.json");
    fs::write(&labels, LABELS).expect("labels are written");
    read(&INSTANCES, &labels).expect("labels are read").to_project(&ImageFiles::around(&labels)).0
});

static FILES: LazyLock<Vec<Label>> = LazyLock::new(|| {
    let project = &*PROJECT;
    let mut files = Vec::new();
    for format in FORMATS.iter().filter(|format| format.is_read()) {
        let folder = FOLDER.path().join(format.name);
        format
            .export(project, &ImageFiles::of_project(FOLDER.path()), &Options::default(), &folder, &|_, _| true)
            .expect("an export");
        list(&folder, &mut |path| {
            let bytes = fs::read(path).expect("a file");
            files.push(Label { format, folder: folder.clone(), path: path.to_owned(), bytes });
        });
    }
    files
});

fn list(path: &Path, found: &mut dyn FnMut(&Path)) {
    if path.is_file() {
        return found(path);
    }
    let mut entries: Vec<PathBuf> =
        fs::read_dir(path).expect("a folder").map(|entry| entry.expect("an entry").path()).collect();
    entries.sort();
    entries.iter().for_each(|entry| list(entry, found));
}

fn read(format: &Format, path: &Path) -> Result<formats::Dataset, formats::FormatError> {
    format.import(&Reading::new(path).with_checks())
}

fn write_seeds() {
    assert!(FILES.len() <= 256, "a byte says which file");
    seeds::write(FILES.iter().enumerate().map(|(i, file)| {
        (format!("{}-{i}", file.format.name), [&[i as u8], &*file.bytes].concat())
    }));
}

fuzz_target!(init: write_seeds(), |bytes: &[u8]| {
    let Some((which, bytes)) = bytes.split_first() else { return };
    let Label { format, folder, path, bytes: whole } = &FILES[usize::from(*which) % FILES.len()];
    fs::write(path, bytes).expect("a file");
    // Whichever it looks like now.
    drop(formats::recognize(&Reading::new(folder)));
    if let Ok(mut dataset) = read(format, folder) {
        let files = ImageFiles::around(folder);
        formats::check(&dataset, &files);
        dataset.clone().to_project(&files);
        let mut project = PROJECT.clone();
        let n_before = project.segments.len();
        let taken = dataset.add_to(&mut project, folder, true);
        assert_eq!(project.segments.len(), n_before + taken.n_annotations, "annotations replace others");
    }
    fs::write(path, whole).expect("a file");
});
