//! Photos in exports: the pixels that were labeled, and nothing that is no photo.

use std::{fs, path::Path, sync::Arc};

use engine::{
    formats::{self, Change, Files, ImageFiles, Options, Report},
    geometry::Rect,
    media::Sources,
    project::{Category, CategoryId, Object, ObjectId, Project, Segment, scan},
};

use crate::{python, segue};

/// A project of all media in a folder, with a box on each.
fn project(folder: &Path) -> Project {
    let mut project = Project::default();
    project.add_media(scan(&[folder.to_owned()], folder, &Sources::default(), &|_, _| true).media);
    project.categories.insert(CategoryId(1), Arc::new(Category::new("red", [200, 0, 0])));
    let media: Vec<_> = project.media.keys().copied().collect();
    for (n, medium) in (1..).zip(media) {
        let object = Object { category: CategoryId(1), proposal: None, attributes: Default::default() };
        project.objects.insert((medium, ObjectId(n)), Arc::new(object));
        let segment = Segment::boxed(Rect { x0: 1.0, y0: 1.0, x1: 9.0, y1: 8.0 });
        project.segments.insert((ObjectId(n), 0), Arc::new(segment));
    }
    project
}

fn export(folder: &Path, files: Files) -> Report {
    let options = Options { files: Some(files), ..Options::default() };
    let format = formats::named("yolo").unwrap();
    format
        .export(&project(folder), &ImageFiles::of_project(folder), &options, &folder.join("out"), &|_, _| {
            true
        })
        .unwrap()
}

/// Files of a group of `tests/reference/images.py`, with those names only.
fn make(folder: &Path, group: &str, names: &[&str]) {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("reference/images.py");
    python::script(&script, &[group, folder.to_str().unwrap()]);
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        if !names.contains(&name.trim_end_matches(".0.rgb")) {
            fs::remove_file(path).unwrap();
        }
    }
}

/// What Pillow reads of copies, as the largest difference from what is expected; fails if they are still to be turned.
const COMPARE: &str = r#"
import json, sys
from pathlib import Path
import numpy as np
from PIL import Image
folder, worst = Path(sys.argv[1]), {}
for path in sorted((folder / "out/images/train").iterdir()):
    image = Image.open(path)
    assert image.getexif().get(0x0112, 1) == 1, path
    assert image.mode in ("L", "RGB"), (path, image.mode)
    got = np.asarray(image.convert("RGB"), int)
    # A second image of the same stem has a number.
    name = path.name.replace("6-2.webp", "6.webp")
    want = np.frombuffer((folder / f"{name}.0.rgb").read_bytes(), np.uint8).reshape(got.shape)
    worst[name] = int(np.abs(got - want).max())
print(json.dumps(worst))
"#;

#[test]
fn copies_hold_the_pixels_that_were_labeled() {
    let folder = tempfile::tempdir().unwrap();
    let names = ["1.jpg", "3.jpg", "6.jpg", "8.png", "5.tif", "6.webp", "deep.tif"];
    make(folder.path(), "turned", &names);
    let report = export(folder.path(), Files::Copy);
    assert_eq!(report.files, names.len());
    assert_eq!(report.changed.into_iter().collect::<Vec<_>>(), [(Change::Turned, 6), (Change::Scaled, 1)]);
    let worst = python::run(COMPARE, folder.path());
    for name in names {
        let tolerance = if name.ends_with("jpg") { 4 } else { 1 };
        assert!(worst[name].as_u64().unwrap() <= tolerance, "{name}: {worst}");
    }
    let untouched = fs::read(folder.path().join("out/images/train/1.jpg")).unwrap();
    assert_eq!(untouched, fs::read(folder.path().join("1.jpg")).unwrap());
}

#[test]
fn links_are_copies_where_pixels_are_turned() {
    let folder = tempfile::tempdir().unwrap();
    make(folder.path(), "turned", &["1.jpg", "6.jpg", "2.png"]);
    image::ImageBuffer::from_fn(9, 8, |x, _| image::Luma([x as u16 * 99]))
        .save(folder.path().join("deep.png"))
        .unwrap();
    let report = export(folder.path(), Files::Link);
    assert_eq!(
        report.changed.clone().into_iter().collect::<Vec<_>>(),
        [(Change::Turned, 2), (Change::Deep, 1)]
    );
    let text = report.to_string();
    assert!(text.contains("2 image files turned upright"), "{text}");
    let is_link = |name: &str| folder.path().join("out/images/train").join(name).is_symlink();
    #[cfg(unix)]
    assert_eq!(["1.jpg", "6.jpg", "2.png", "deep.png"].map(is_link), [true, false, false, true]);
}

#[test]
fn what_is_no_image_is_never_copied() {
    let folder = tempfile::tempdir().unwrap();
    let secret = folder.path().join("secret");
    fs::create_dir(folder.path().join("labels")).unwrap();
    crate::media::write(&secret, b"root:x:0:0");
    let json = serde_json::json!({
        "images": [{"id": 1, "file_name": secret, "width": 20, "height": 10}],
        "categories": [{"id": 1, "name": "a"}],
        "annotations": [{"id": 1, "image_id": 1, "category_id": 1, "bbox": [1, 1, 5, 5], "area": 25, "iscrowd": 0}],
    });
    crate::media::write(&folder.path().join("labels/c.json"), json.to_string().as_bytes());
    for files in ["copy", "link"] {
        let words = ["export", "labels/c.json", "--format", "yolo", "--out", "out", "--files", files];
        segue::fail(folder.path(), &words, 1, "not all image files could be copied");
        let copied = std::fs::read_dir(folder.path().join("out/images/train")).map_or(0, Iterator::count);
        assert_eq!(copied, 0);
    }
}
