//! From words, examples and detectors to boxes, masks and files: small models that learned plain shapes, on scenes drawn here.

use std::{
    io::Write as _,
    path::{Path, PathBuf},
};

use engine::{
    file::write_atomically,
    geometry::Rect,
    mask::{Mask, Rle},
    project::{ObjectId, Store},
};
use image::{Rgb, RgbImage};
use serde_json::{Value as Json, json};
use tempfile::TempDir;

use crate::{desk::photo, python, segue};

const SIDE: u32 = 160;
const SHAPES: [&str; 3] = ["circle", "square", "triangle"];
const FILLS: [&str; 5] = ["red", "green", "blue", "yellow", "striped"];

/// The shapes that the models learned, as `tests/reference/shapes.py` names them.
fn classes() -> Vec<String> {
    FILLS.iter().flat_map(|fill| SHAPES.map(|shape| format!("{fill} {shape}"))).collect()
}

fn model(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("data/detect").join(name).canonicalize().unwrap()
}

/// Numbers as good as random, the same each time.
struct Chance(u64);

impl Chance {
    fn next(&mut self) -> f32 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 40) as f32 / (1_u64 << 24) as f32
    }

    fn within(&mut self, low: f32, high: f32) -> f32 {
        low + (high - low) * self.next()
    }
}

/// A shape in a scene.
struct Thing {
    class: usize,
    rect: Rect,
    mask: Mask,
}

fn is_inside(shape: &str, x: f32, y: f32) -> bool {
    match shape {
        "circle" => x * x + y * y < 1.0,
        "square" => x.abs().max(y.abs()) < 1.0,
        _ => y < 1.0 && x.abs() < f32::midpoint(y, 1.0),
    }
}

/// A picture of up to six shapes apart from each other, on a noisy ground.
fn scene(seed: u64) -> (RgbImage, Vec<Thing>) {
    let mut chance = Chance(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) + 1);
    let side = SIDE as f32;
    let (gray, slope) = (chance.within(60.0, 190.0), chance.within(-50.0, 50.0));
    let mut image = RgbImage::from_fn(SIDE, SIDE, |x, _| {
        let value = gray + slope * (x as f32 / side - 0.5) + chance.within(-10.0, 10.0);
        Rgb([value, value + 4.0, value - 4.0].map(|v| v.clamp(0.0, 255.0) as u8))
    });
    let mut things: Vec<Thing> = Vec::new();
    for _ in 0..6 {
        let half = side * chance.within(0.08, 0.19);
        let (cx, cy) = (chance.within(half, side - half), chance.within(half, side - half));
        let rect = Rect { x0: cx - half, y0: cy - half, x1: cx + half, y1: cy + half };
        let around = Rect { x0: rect.x0 - 3.0, y0: rect.y0 - 3.0, x1: rect.x1 + 3.0, y1: rect.y1 + 3.0 };
        let class = ((chance.next() * 15.0) as usize).min(14);
        if things.iter().any(|other| other.rect.intersection(around).area() > 0.0) {
            continue;
        }
        let (fill, shape) = (FILLS[class / 3], SHAPES[class % 3]);
        let (angle, width) = (chance.within(0.0, std::f32::consts::PI), half * 0.45);
        let at = |i: u32, j: u32| (i as f32 + 0.5, j as f32 + 0.5);
        let is_on = |i: u32, j: u32| {
            let (x, y) = at(i, j);
            is_inside(shape, (x - cx) / half, (y - cy) / half)
        };
        for (i, j, pixel) in image.enumerate_pixels_mut().filter(|(i, j, _)| is_on(*i, *j)) {
            let (x, y) = at(i, j);
            let is_dark = (x * angle.cos() + y * angle.sin()).rem_euclid(2.0 * width) < width;
            let color = match fill {
                "red" => [215, 50, 45],
                "green" => [50, 170, 70],
                "blue" => [50, 90, 215],
                "yellow" => [230, 205, 50],
                _ if is_dark => [30; 3],
                _ => [220; 3],
            };
            let noise = chance.within(-8.0, 8.0);
            *pixel = Rgb(color.map(|c| (c as f32 + noise).clamp(0.0, 255.0) as u8));
        }
        let places = (0..SIDE).flat_map(|j| (0..SIDE).map(move |i| (i, j)));
        let size = engine::geometry::Size::square(SIDE as usize);
        let mask = Mask::new(size, places.map(|(i, j)| is_on(i, j)).collect());
        things.push(Thing { class, rect, mask });
    }
    (image, things)
}

/// `n` scenes in `photos/`, and what is on them as COCO in `truth.json`.
fn scenes(n: u64) -> (TempDir, Vec<Vec<Thing>>) {
    let folder = tempfile::tempdir().unwrap();
    std::fs::create_dir(folder.path().join("photos")).unwrap();
    let (mut all, mut images, mut annotations) = (Vec::new(), Vec::new(), Vec::new());
    for i in 0..n {
        let (image, things) = scene(i);
        let name = format!("{i:03}.png");
        image.save(folder.path().join("photos").join(&name)).unwrap();
        images.push(json!({"id": i + 1, "file_name": name, "width": SIDE, "height": SIDE}));
        for Thing { class, rect, .. } in &things {
            let [x, y, w, h] = [rect.x0, rect.y0, rect.x1 - rect.x0, rect.y1 - rect.y0];
            annotations
                .push(json!({"id": annotations.len() + 1, "image_id": i + 1, "category_id": class + 1,
                "bbox": [x, y, w, h], "area": w * h, "iscrowd": 0}));
        }
        all.push(things);
    }
    let named = classes();
    let categories: Vec<Json> =
        named.iter().enumerate().map(|(i, name)| json!({"id": i + 1, "name": name})).collect();
    let truth = json!({"info": {}, "images": images, "annotations": annotations, "categories": categories});
    write_atomically(&folder.path().join("truth.json"), |file| write!(file, "{truth}")).unwrap();
    (folder, all)
}

/// Average precision at an IoU of 0.5 of `found/results.json`, by pycocotools.
fn average_precision(folder: &Path) -> f64 {
    const PROGRAM: &str = r#"
import contextlib, io, json, sys
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval
folder = sys.argv[1]
with contextlib.redirect_stdout(io.StringIO()):
    truth = COCO(folder + "/truth.json")
    found = truth.loadRes(folder + "/found/results.json")
    judge = COCOeval(truth, found, "bbox")
    judge.evaluate(); judge.accumulate(); judge.summarize()
print(json.dumps(judge.stats[1]))
"#;
    python::run(PROGRAM, folder).as_f64().unwrap()
}

#[test]
fn words_find_shapes_that_the_model_never_saw() {
    let (folder, _) = scenes(40);
    let (words, detector) = (classes().join("; "), model("owlv2"));
    let words = ["detect", "photos", "--text", &words, "--detector", detector.to_str().unwrap()];
    let rest = ["--threshold", "0.02", "--format", "coco-results", "--out", "found"];
    segue::succeed(folder.path(), &[&words[..], &rest].concat());
    let precision = average_precision(folder.path());
    assert!(precision >= 0.8, "AP@0.5 {precision}");
}

#[test]
fn a_detector_of_fixed_classes_finds_what_it_learned() {
    let (folder, _) = scenes(40);
    let detector = model("d_fine");
    let words = ["detect", "photos", "--detector", detector.to_str().unwrap(), "--detector-size", "160"];
    let rest = ["--threshold", "0.02", "--format", "coco-results", "--out", "found"];
    segue::succeed(folder.path(), &[&words[..], &rest].concat());
    let precision = average_precision(folder.path());
    assert!(precision >= 0.8, "AP@0.5 {precision}");
    // One class alone, called otherwise.
    let one = ["--class", "red circle=ball", "--out", "one.json"];
    segue::succeed(folder.path(), &[&words[..], &one].concat());
    let coco: Json = serde_json::from_slice(&std::fs::read(folder.path().join("one.json")).unwrap()).unwrap();
    assert_eq!(coco["categories"].as_array().unwrap().len(), 1);
    assert_eq!(coco["categories"][0]["name"], "ball");
    assert!(!coco["annotations"].as_array().unwrap().is_empty());
    let unknown = [&words[..], &["--class", "dog", "--out", "none.json"]].concat();
    segue::fail(folder.path(), &unknown, 1, "no class 'dog'; it has red circle");
    // It is asked for nothing else.
    let asked = [&words[..], &["--text", "dog", "--out", "none.json"]].concat();
    segue::fail(folder.path(), &asked, 1, "words and examples need OWLv2");
    assert!(!folder.path().join("none.json").exists());
}

fn annotations(folder: &Path, name: &str) -> Vec<Json> {
    let coco: Json = serde_json::from_slice(&std::fs::read(folder.join(name)).unwrap()).unwrap();
    coco["annotations"].as_array().unwrap().clone()
}

fn rect(annotation: &Json) -> Rect {
    let [x, y, w, h] = [0, 1, 2, 3].map(|i| annotation["bbox"][i].as_f64().unwrap() as f32);
    Rect { x0: x, y0: y, x1: x + w, y1: y + h }
}

/// Text, boxes, masks, COCO: the whole way.
#[test]
fn what_words_find_gets_its_mask() {
    let (folder, scenes) = scenes(12);
    let detector = model("owlv2");
    let is_plain = |class: &String| !class.starts_with("striped");
    let plain = classes().into_iter().filter(is_plain).collect::<Vec<_>>().join(", ");
    let words = ["detect", "photos", "--text", &format!("thing = {plain} @0.2")];
    let rest = ["--detector", detector.to_str().unwrap(), "--masks", "--out", "found.json"];
    segue::succeed(folder.path(), &[&words[..], &rest].concat());
    let found = annotations(folder.path(), "found.json");
    let (mut n_plain, mut n_masked) = (0, 0);
    for (i, things) in scenes.iter().enumerate() {
        for thing in things.iter().filter(|thing| FILLS[thing.class / 3] != "striped") {
            n_plain += 1;
            let here = found.iter().filter(|a| a["image_id"] == i + 1 && a["category_id"] == 1);
            let masks = here.map(|a| serde_json::from_value::<Rle>(a["segmentation"].clone()).unwrap());
            let truth = Rle::encode(&thing.mask);
            n_masked += usize::from(masks.map(|mask| mask.iou(&truth)).fold(0.0, f64::max) >= 0.75);
        }
    }
    assert!(n_masked * 4 >= n_plain * 3, "{n_masked} of {n_plain}, {} found", found.len());
}

/// Looks for all that is like each of the first scenes' things; how many of those alike were found, how many there are,
/// and how many were found altogether.
fn find_by_examples(detector: Option<&Path>, threshold: &str) -> (usize, usize, usize) {
    let (folder, scenes) = scenes(16);
    let (mut n_found, mut n_alike, mut n_all) = (0, 0, 0);
    for first in scenes[..4].iter().filter_map(|things| things.first().map(|thing| (things, thing))) {
        let (things, first) = first;
        let scene = scenes.iter().position(|other| std::ptr::eq(other, things)).unwrap();
        let Rect { x0, y0, x1, y1 } = first.rect;
        let example = format!("photos/{scene:03}.png:{x0},{y0},{x1},{y1}");
        let mut words = vec!["detect", "photos", "--example", &example, "--threshold", threshold];
        words.extend(detector.iter().flat_map(|path| ["--detector", path.to_str().unwrap()]));
        segue::succeed(folder.path(), &[&words[..], &["--out", "found.json"]].concat());
        let found = annotations(folder.path(), "found.json");
        n_all += found.len();
        for (i, thing) in scenes.iter().enumerate().flat_map(|(i, all)| all.iter().map(move |t| (i, t))) {
            if thing.class == first.class {
                n_alike += 1;
                let is_it = |a: &Json| a["image_id"] == i + 1 && rect(a).iou(thing.rect) >= 0.5;
                n_found += usize::from(found.iter().any(is_it));
            }
        }
    }
    (n_found, n_alike, n_all)
}

#[test]
fn an_example_finds_what_looks_like_it() {
    let (n_found, n_alike, n_all) = find_by_examples(Some(&model("owlv2")), "0.3");
    assert!(n_found * 4 >= n_alike * 3 && n_all <= 2 * n_alike, "{n_found} of {n_alike}, {n_all} in all");
}

#[test]
fn an_example_finds_what_looks_like_it_without_a_download() {
    let (n_found, n_alike, n_all) = find_by_examples(None, "0.7");
    assert!(n_found * 4 >= n_alike * 3 && n_all <= 3 * n_alike, "{n_found} of {n_alike}, {n_all} in all");
}

#[test]
fn what_is_found_waits_in_a_project_to_be_accepted() {
    let (folder, scenes) = scenes(3);
    let detector = model("owlv2");
    let text = classes().join("; ");
    let words = ["detect", "photos", "--text", &text, "--detector", detector.to_str().unwrap()];
    let said = segue::succeed(folder.path(), &[&words[..], &["--into", "own.segue"]].concat());
    let n_things: usize = scenes.iter().map(Vec::len).sum();
    let n: usize = said.split(' ').next().unwrap().parse().unwrap();
    assert!(
        said.contains("proposals added") && n + 3 >= n_things && n <= n_things + 3,
        "{said}, {n_things} things"
    );
    let report =
        segue::succeed(folder.path(), &["export", "own.segue", "--format", "coco", "--out", "own.json"]);
    assert!(report.contains("proposals that nobody has accepted"), "{report}");
    assert_eq!(annotations(folder.path(), "own.json").len(), 0);
}

#[test]
fn what_is_found_in_a_video_is_tracked() {
    let folder = tempfile::tempdir().unwrap();
    crate::tracks::write_clip(&folder.path().join("clip.mp4"), 24);
    let detector = model("owlv2");
    let detect = |video| {
        let words = ["detect", video, "--text", "red square", "--detector", detector.to_str().unwrap()];
        [&words[..], &["--every", "6", "--tracks", "--into", "own.segue"]].concat()
    };
    let said = segue::succeed(folder.path(), &detect("clip.mp4"));
    assert!(said.contains("1 track proposed"), "{said}");
    let project = Store::open(&folder.path().join("own.segue")).unwrap().history.now().clone();
    assert_eq!(project.objects.len(), 1);
    for frame in 0..24 {
        // The square moves two pixels a frame.
        let truth = Rect { x0: 10.0, y0: 40.0, x1: 40.0, y1: 70.0 };
        let x = 2.0 * frame as f32;
        let truth = Rect { x0: truth.x0 + x, x1: truth.x1 + x, ..truth };
        let mask = project.segment(ObjectId(1), frame).unwrap().mask.clone().unwrap();
        assert!(mask.rect().iou(truth) > 0.7, "frame {frame}: {:?}", mask.rect());
    }
    let said = segue::succeed(folder.path(), &detect("clip.mp4"));
    assert!(said.contains("0 tracks proposed"), "{said}");
    photo(0, 160, 120).save(folder.path().join("photo.png")).unwrap();
    segue::fail(folder.path(), &detect("photo.png"), 1, "tracks are for videos");
}

#[test]
fn what_cannot_be_looked_for_is_refused_in_a_sentence_and_leaves_nothing() {
    let (folder, _) = scenes(1);
    let detector = model("owlv2");
    let detector = detector.to_str().unwrap();
    let long = "word ".repeat(2000);
    for (words, says) in [
        (&["--text", "dog"][..], "or get model.safetensors, vocab.json, merges.txt"),
        (&["--text", "dog", "--detector", "nothing.onnx"], "there is no detector or file 'nothing.onnx'"),
        (&["--text", "dog", "--detector", "truth.json"], "truth.json"),
        (&[], "say what to look for"),
        (&["--detector", detector], "there is nothing to look for"),
        (&["--text", ";", "--detector", detector], "names nothing to look for"),
        (&["--text", "dog @2", "--detector", detector], "is no threshold"),
        (&["--text", &long, "--detector", detector], "say it shorter"),
        (&["--example", "photos/000.png:500,500,600,600", "--detector", detector], "not inside the picture"),
        (&["--example", "photos/none.png:0,0,9,9", "--detector", detector], "none.png"),
        (&["--text", "dog", "--detector", detector, "--detector-size", "100"], "multiple of 16"),
    ] {
        for out in ["--out", "--into"] {
            let all = [&["detect", "photos"], words, &[out, "new.segue"]].concat();
            segue::fail(folder.path(), &all, 1, says);
            assert!(!folder.path().join("new.segue").exists(), "{words:?}");
        }
    }
    segue::fail(
        folder.path(),
        &["detect", "nowhere", "--text", "dog", "--out", "x.json"],
        1,
        "there is no nowhere",
    );
}
