//! Files of other programs as public bug reports describe them, taken in by the command line.
//!
//! Each test writes its own input. What Segue made of it is exported as COCO and read as plain JSON; masks are decoded by
//! pycocotools. Expected values are arithmetic on the numbers of the input.

mod damage;
mod exports;
mod frames;
mod labels;
mod places;
mod spellings;

use std::{
    fs,
    path::{Path, PathBuf},
};

use image::RgbImage;
use serde_json::Value as Json;
use tempfile::TempDir;

use crate::{media::write, python, segue};

/// An exported annotation: image, category, and box as left, top, width and height.
type Label = (String, String, [f64; 4]);

/// A folder with input files.
struct Case {
    folder: TempDir,
}

impl Case {
    /// Writes text files, and 100 x 80 images where a name ends as an image's does.
    fn new(files: &[(&str, &str)]) -> Self {
        let case = Self { folder: tempfile::tempdir().unwrap() };
        for (name, text) in files {
            match name.ends_with(".png") || name.ends_with(".jpg") {
                true => case.image(name, 100, 80),
                false => case.bytes(name, text.as_bytes()),
            }
        }
        case
    }

    fn path(&self, name: &str) -> PathBuf {
        let path = self.folder.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        path
    }

    fn bytes(&self, name: &str, bytes: &[u8]) {
        write(&self.path(name), bytes);
    }

    fn image(&self, name: &str, width: u32, height: u32) {
        RgbImage::new(width, height).save(self.path(name)).unwrap();
    }

    /// Imports into a new project and returns what is said; `words` may be more options.
    #[track_caller]
    fn import(&self, labels: &str, words: &[&str]) -> String {
        let output =
            segue::run(self.folder.path(), &[&["import", labels, "--into", "p.segue"], words].concat());
        let said = [output.stdout, output.stderr].map(|bytes| String::from_utf8(bytes).unwrap()).concat();
        assert!(output.status.success(), "{labels}: {said}");
        said
    }

    /// Exports the project, or labels, as COCO.
    #[track_caller]
    fn coco(&self, source: &str) -> Json {
        segue::succeed(self.folder.path(), &["export", source, "--format", "coco", "--out", "out.json"]);
        read_json(&self.folder.path().join("out.json"))
    }

    /// The labels of the project, sorted.
    #[track_caller]
    fn labels(&self) -> Vec<Label> {
        labels(&self.coco("p.segue"))
    }

    /// Imports into a new project, and returns its labels and what is said.
    #[track_caller]
    fn imported(&self, labels: &str, words: &[&str]) -> (Vec<Label>, String) {
        let said = self.import(labels, words);
        let labels = self.labels();
        fs::remove_file(self.folder.path().join("p.segue")).unwrap();
        (labels, said)
    }
}

fn read_json(path: &Path) -> Json {
    serde_json::from_slice(&fs::read(path).unwrap()).unwrap()
}

/// The labels of a COCO file, sorted.
fn labels(coco: &Json) -> Vec<Label> {
    let named = |list: &str, id: &Json, name: &str| {
        let item = coco[list].as_array().unwrap().iter().find(|item| item["id"] == *id).unwrap();
        item[name].as_str().unwrap().to_owned()
    };
    let label = |item: &Json| {
        let sides: Vec<f64> = item["bbox"].as_array().unwrap().iter().map(|v| v.as_f64().unwrap()).collect();
        let rounded = |v: f64| (v * 1000.0).round() / 1000.0;
        let image = named("images", &item["image_id"], "file_name");
        let category = named("categories", &item["category_id"], "name");
        (image, category, [0, 1, 2, 3].map(|i| rounded(sides[i])))
    };
    let mut labels: Vec<Label> = coco["annotations"].as_array().unwrap().iter().map(label).collect();
    labels.sort_by(|a, b| (&a.0, &a.1).cmp(&(&b.0, &b.1)).then(a.2.partial_cmp(&b.2).unwrap()));
    labels
}

fn label(image: &str, category: &str, sides: [f64; 4]) -> Label {
    (image.to_owned(), category.to_owned(), sides)
}

/// The set pixels of each annotation of a COCO file, by pycocotools, as `[x, y]`; none for a box.
fn pixels(coco: &Path) -> Vec<Option<Vec<[u64; 2]>>> {
    let program = "import json, sys
from pycocotools.coco import COCO
import contextlib, io
with contextlib.redirect_stdout(io.StringIO()):
    coco = COCO(sys.argv[1])
def pixels(a):
    ys, xs = coco.annToMask(a).nonzero()
    return sorted(zip(xs.tolist(), ys.tolist()))
print(json.dumps([pixels(a) if a.get('segmentation') else None for a in coco.dataset['annotations']]))";
    serde_json::from_value(python::run(program, coco)).unwrap()
}

/// A COCO file of one 100 x 80 image `a.png` with the category `cat`.
fn coco(annotations: &[&str]) -> String {
    let numbered = annotations.iter().zip(1..).map(|(rest, id)| {
        format!(
            r#"{{"id": {id}, "image_id": 1, "category_id": 1, "bbox": [10, 10, 30, 20], "area": 600{rest}}}"#
        )
    });
    let annotations: Vec<String> = numbered.collect();
    format!(
        r#"{{"images": [{{"id": 1, "file_name": "a.png", "width": 100, "height": 80}}],
            "categories": [{{"id": 1, "name": "cat"}}], "annotations": [{}]}}"#,
        annotations.join(",")
    )
}
