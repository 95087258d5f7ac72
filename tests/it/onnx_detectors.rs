//! Detectors of one's own: ONNX files of every layout that training code exports, made here with known answers.

use std::{
    io::Write as _,
    path::{Path, PathBuf},
};

use engine::{
    detect::{Detection, Place, onnx::OnnxDetector},
    file::write_atomically,
    geometry::Rect,
    nn::{Cancel, Checkpoint, Device, Dim, Graph, Precision, Runtime, Value},
};
use image::RgbImage;
use tempfile::TempDir;

use crate::segue;

/// The side of what the models take; pictures are twice as wide as high.
pub(crate) const SIDE: usize = 64;
pub(crate) const WIDTH: u32 = 200;
pub(crate) const HEIGHT: u32 = 100;

fn write(path: &Path, bytes: &[u8]) {
    write_atomically(path, |file| file.write_all(bytes)).unwrap();
}

/// A model that takes a picture and makes what `outputs` adds; its classes by the metadata of Ultralytics.
pub(crate) struct Made {
    pub(crate) folder: TempDir,
}

impl Made {
    fn new(names: Option<&str>, outputs: impl FnOnce(&mut Graph, &Value)) -> Self {
        let names = names.map(|names| ("names", names));
        Self::described(names.as_slice(), outputs)
    }

    /// One with this metadata.
    pub(crate) fn described(metadata: &[(&str, &str)], outputs: impl FnOnce(&mut Graph, &Value)) -> Self {
        let mut graph = Graph::new("detector");
        let pixels = graph.input("images", &[1, 3, SIDE, SIDE].map(Dim::Fixed));
        metadata.iter().for_each(|(key, value)| graph.describe(key, value));
        outputs(&mut graph, &pixels);
        let folder = tempfile::tempdir().unwrap();
        write(&folder.path().join("own.onnx"), &graph.bind(&Checkpoint::default(), Precision::Full).unwrap());
        Self { folder }
    }

    fn path(&self) -> PathBuf {
        self.folder.path().join("own.onnx")
    }

    pub(crate) fn load(&self) -> Result<OnnxDetector, String> {
        let runtime = Runtime::start(Some(Device::Cpu), None).unwrap();
        OnnxDetector::load(&runtime, &self.path(), None).map_err(|error| error.to_string())
    }

    pub(crate) fn detect(&self) -> Vec<Detection> {
        let picture = RgbImage::from_pixel(WIDTH, HEIGHT, image::Rgb([90, 90, 90]));
        self.load().unwrap().detect(&picture, 0.5, &Cancel::default()).unwrap()
    }
}

pub(crate) fn constant(graph: &mut Graph, name: &str, shape: &[usize], values: &[f32]) -> Value {
    graph.constant(&format!("{name}.values"), shape, values)
}

/// One output of these values.
fn one(names: Option<&str>, shape: &[usize], values: &[f32]) -> Made {
    Made::new(names, |graph, _| {
        let value = constant(graph, "output0", shape, values);
        graph.output("output0", &value);
    })
}

/// A matrix with `rows` of which only the second finds something.
pub(crate) fn rows(n: usize, found: &[f32]) -> Vec<f32> {
    let mut values = vec![0.0; n * found.len()];
    values[found.len()..2 * found.len()].copy_from_slice(found);
    values
}

pub(crate) fn turned(values: &[f32], n_columns: usize) -> Vec<f32> {
    (0..n_columns).flat_map(|c| values.iter().skip(c).step_by(n_columns).copied()).collect()
}

#[track_caller]
pub(crate) fn assert_found(made: &Made, corners: [f32; 4], class: usize, score: f32) {
    let found = made.detect();
    let [Detection { place: Place::Rect(rect), score: got, class: is }] = found[..] else {
        panic!("{found:?}");
    };
    assert_eq!(is, class);
    assert!((got - score).abs() < 1e-3, "{got}");
    let wanted = Rect::from(corners);
    assert!(rect.iou(wanted) > 0.98, "{rect:?}, not {wanted:?}");
}

const NAMES: &str = "{0: 'cat', 1: 'dog', 2: 'cow'}";
/// In the middle of the gray square: the picture is 64 x 32 pixels there, 16 below the top.
pub(crate) const CENTERED: [f32; 4] = [32.0, 32.0, 16.0, 8.0];
pub(crate) const CORNERS: [f32; 4] = [24.0, 28.0, 40.0, 36.0];
/// The same box in the picture.
pub(crate) const IN_PICTURE: [f32; 4] = [75.0, 37.5, 125.0, 62.5];

#[test]
fn yolo_without_suppression_is_read() {
    let [x, y, w, h] = CENTERED;
    let row = [x, y, w, h, 0.1, 0.8, 0.2];
    let values = rows(2000, &row);
    assert_found(&one(Some(NAMES), &[1, 7, 2000], &turned(&values, 7)), IN_PICTURE, 1, 0.8);
    // Nobody names the classes.
    assert_found(&one(None, &[1, 7, 2000], &turned(&values, 7)), IN_PICTURE, 1, 0.8);
    // The last axis is classes.
    assert_found(&one(Some(NAMES), &[1, 2000, 7], &values), IN_PICTURE, 1, 0.8);
    // Divided by the input's size.
    let shares = [x / 64.0, y / 64.0, w / 64.0, h / 64.0, 0.1, 0.8, 0.2];
    assert_found(&one(Some(NAMES), &[1, 7, 2000], &turned(&rows(2000, &shares), 7)), IN_PICTURE, 1, 0.8);
}

#[test]
fn yolo_of_segmentation_is_read_as_boxes() {
    let [x, y, w, h] = CENTERED;
    let mut row = vec![x, y, w, h, 0.1, 0.8, 0.2];
    row.extend([9.0; 32]);
    let made = Made::new(Some(NAMES), |graph, _| {
        let boxes = constant(graph, "output0", &[1, 39, 2000], &turned(&rows(2000, &row), 39));
        graph.output("output0", &boxes);
        let masks = constant(graph, "output1", &[1, 32, 16, 16], &[0.0; 32 * 256]);
        graph.output("output1", &masks);
    });
    assert_found(&made, IN_PICTURE, 1, 0.8);
}

#[test]
fn yolo_with_objectness_is_read() {
    let [x, y, w, h] = CENTERED;
    let values = rows(2000, &[x, y, w, h, 0.9, 0.1, 0.8, 0.2]);
    assert_found(&one(Some(NAMES), &[1, 2000, 8], &values), IN_PICTURE, 1, 0.72);
    assert_found(&one(None, &[1, 2000, 8], &values), IN_PICTURE, 1, 0.72);
}

#[test]
fn yolo_with_suppression_inside_is_read() {
    let [x0, y0, x1, y1] = CORNERS;
    assert_found(
        &one(Some(NAMES), &[1, 300, 6], &rows(300, &[x0, y0, x1, y1, 0.8, 1.0])),
        IN_PICTURE,
        1,
        0.8,
    );
    assert_found(&one(None, &[50, 7], &rows(50, &[0.0, x0, y0, x1, y1, 1.0, 0.8])), IN_PICTURE, 1, 0.8);
    let separate = Made::new(None, |graph, _| {
        let count = constant(graph, "n", &[1, 1], &[2.0]);
        let count = graph.to_integer(&count);
        graph.output("num_dets", &count);
        let boxes = constant(graph, "b", &[1, 100, 4], &rows(100, &CORNERS));
        graph.output("det_boxes", &boxes);
        // What comes after as many as count is nothing.
        let scores: Vec<f32> = (0..100).map(|i| if i == 0 { 0.1 } else { 0.8 }).collect();
        let scores = constant(graph, "s", &[1, 100], &scores);
        graph.output("det_scores", &scores);
        let classes = constant(graph, "c", &[1, 100], &[1.0; 100]);
        let classes = graph.to_integer(&classes);
        graph.output("det_classes", &classes);
    });
    assert_found(&separate, IN_PICTURE, 1, 0.8);
}

#[test]
fn rt_detr_and_d_fine_as_their_authors_export_them_are_read() {
    let made = Made::new(None, |graph, _| {
        // It is told the picture's size, and here returns it as a box.
        let size = graph.input_integers("orig_target_sizes", &[1, 2].map(Dim::Fixed));
        let size = graph.to_float(&size);
        let zero = constant(graph, "z", &[1, 2], &[0.0, 0.0]);
        let boxes = graph.concat(&[&zero, &size], 1, None);
        let boxes = graph.reshape_to(&boxes, &[1, 1, 4]);
        let labels = constant(graph, "l", &[1, 1], &[2.0]);
        let labels = graph.to_integer(&labels);
        graph.output("labels", &labels);
        graph.output("boxes", &boxes);
        let scores = constant(graph, "s", &[1, 1], &[0.75]);
        graph.output("scores", &scores);
    });
    assert_found(&made, [0.0, 0.0, 200.0, 100.0], 2, 0.75);
}

/// Center and size in shares, of a picture that is stretched.
const SHARE: [f32; 4] = [0.5, 0.5, 0.25, 0.25];

fn detr(names: Option<&str>, [boxes, logits]: [&str; 2], row: &[f32]) -> Made {
    Made::new(names, |graph, _| {
        let value = constant(graph, "b", &[1, 10, 4], &rows(10, &SHARE));
        graph.output(boxes, &value);
        let low: Vec<f32> =
            (0..10).flat_map(|i| row.iter().map(move |v| if i == 1 { *v } else { -9.0 })).collect();
        let value = constant(graph, "l", &[1, 10, row.len()], &low);
        graph.output(logits, &value);
    })
}

#[test]
fn detr_and_rf_detr_are_read() {
    let own = ["pred_boxes", "logits"];
    let sigmoid = |x: f32| 1.0 / (1.0 + (-x).exp());
    assert_found(&detr(Some(NAMES), own, &[-3.0, 2.0, 0.5]), IN_PICTURE, 1, sigmoid(2.0));
    // A column more than there are names is that of nothing, and all columns share one certainty.
    let e = f32::exp;
    let share = e(2.0) / (e(-3.0) + e(2.0) + e(0.5) + e(1.0));
    assert_found(&detr(Some(NAMES), own, &[-3.0, 2.0, 0.5, 1.0]), IN_PICTURE, 1, share);
    // RF-DETR's last column is nothing, however high; with three classes both outputs have four columns.
    assert_found(&detr(Some(NAMES), ["dets", "labels"], &[-3.0, 2.0, 0.5, 4.0]), IN_PICTURE, 1, sigmoid(2.0));
    assert_found(&detr(None, ["dets", "labels"], &[-3.0, 2.0, 0.5, 4.0]), IN_PICTURE, 1, sigmoid(2.0));
    let shares = rows(300, &[0.5, 0.5, 0.25, 0.25, 0.1, 0.8, 0.2]);
    assert_found(&one(Some(NAMES), &[1, 300, 7], &shares), IN_PICTURE, 1, 0.8);
}

/// The model returns its pixels as rows of boxes and scores.
#[test]
fn pictures_are_given_as_planes_of_shares() {
    let n_rows = 3 * SIDE * SIDE / 6;
    let made = Made::new(Some("['cat', 'dog']"), |graph, pixels| {
        let all = graph.reshape_to(pixels, &[n_rows, 6]);
        let few = graph.slice(&all, 0, 0..8);
        let few = graph.reshape_to(&few, &[1, 8, 6]);
        graph.output("output0", &few);
    });
    let value = |x: u32| ((x * 7) % 200 + 40) as u8;
    let side = SIDE as u32;
    let picture = RgbImage::from_fn(side, side, |x, _| image::Rgb([value(x), 0, 0]));
    let mut detector = made.load().unwrap();
    let found = detector.detect(&picture, 0.0, &Cancel::default()).unwrap();
    let scores: Vec<f32> = found.iter().map(|detection| detection.score).collect();
    let share = |x: u32| f32::from(value(x)) / 255.0;
    let wanted: Vec<f32> = (0..8).map(|row| share(6 * row + 4)).collect();
    assert_eq!(scores, wanted);
}

#[test]
fn classes_are_named_by_a_text_file_too_and_must_be_as_many() {
    let values = turned(&rows(2000, &[32.0, 32.0, 16.0, 8.0, 0.1, 0.8, 0.2]), 7);
    let made = one(None, &[1, 7, 2000], &values);
    assert_eq!(made.load().unwrap().classes(), ["class 0", "class 1", "class 2"]);
    write(&made.folder.path().join("classes.txt"), b"cat\ndog\ncow\n");
    assert_eq!(made.load().unwrap().classes(), ["cat", "dog", "cow"]);
    // The file of the model's own name counts more.
    write(&made.folder.path().join("own.txt"), b"a\nb\n\nc\n");
    assert_eq!(made.load().unwrap().classes(), ["a", "b", "c"]);
    let values = turned(&rows(2000, &[32.0, 32.0, 16.0, 8.0, 0.1, 0.8, 0.2, 0.1]), 8);
    let made = one(None, &[1, 8, 2000], &values);
    write(&made.folder.path().join("own.txt"), b"a\nb\nc\nd\ne\nf\n");
    let error = made.load().map(|_| ()).unwrap_err();
    assert!(error.contains("own.onnx") && error.contains("4 classes apart and 6 are named"), "{error}");
}

#[test]
fn what_is_no_detector_is_refused_with_a_reason() {
    let picture = one(None, &[1, 1000], &[0.0; 1000]);
    let error = picture.load().map(|_| ()).unwrap_err();
    assert!(error.contains("output0 [1, 1000]") && error.contains("RF-DETR"), "{error}");

    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("text.onnx");
    let runtime = Runtime::start(Some(Device::Cpu), None).unwrap();
    let load = || OnnxDetector::load(&runtime, &path, None).map(|_| ()).unwrap_err().to_string();
    assert!(load().contains("text.onnx"), "{}", load());
    write(&path, b"this is a text");
    assert!(load().contains("text.onnx"), "{}", load());

    let mut graph = Graph::new("words");
    let words = graph.input("words", &[1, 16].map(Dim::Fixed));
    graph.output("same", &words);
    write(&path, &graph.bind(&Checkpoint::default(), Precision::Full).unwrap());
    assert!(load().contains("no input for a picture"), "{}", load());
}

#[test]
fn no_numbers_are_an_error_and_some_are_passed_over() {
    let nan = vec![f32::NAN; 7 * 2000];
    let mut detector = one(Some(NAMES), &[1, 7, 2000], &nan).load().unwrap();
    let picture = RgbImage::new(WIDTH, HEIGHT);
    let error = detector.detect(&picture, 0.5, &Cancel::default()).unwrap_err().to_string();
    assert!(error.contains("NaN"), "{error}");
    let mut values = rows(2000, &[32.0, 32.0, 16.0, 8.0, 0.1, 0.8, 0.2]);
    values[..7].fill(f32::NAN);
    assert_found(&one(Some(NAMES), &[1, 7, 2000], &turned(&values, 7)), IN_PICTURE, 1, 0.8);
}

/// Through the command line, which knows no class before something is found.
#[test]
fn classes_that_nobody_names_are_numbered() {
    let [x0, y0, x1, y1] = CORNERS;
    let made = one(None, &[1, 300, 6], &rows(300, &[x0, y0, x1, y1, 0.8, 7.0]));
    let folder = made.folder.path();
    RgbImage::new(WIDTH, HEIGHT).save(folder.join("photo.png")).unwrap();
    segue::succeed(folder, &["detect", "photo.png", "--detector", "own.onnx", "--out", "found.json"]);
    let coco: serde_json::Value =
        serde_json::from_slice(&std::fs::read(folder.join("found.json")).unwrap()).unwrap();
    assert_eq!(coco["categories"][0]["name"], "class 7");
    assert_eq!(coco["annotations"].as_array().unwrap().len(), 1);
    // A class of an absurd number is none.
    let absurd = one(None, &[1, 300, 6], &rows(300, &[x0, y0, x1, y1, 0.8, 1e9]));
    assert_eq!(absurd.detect(), []);
}

#[test]
fn a_hundred_thousand_boxes_are_thinned_out_in_no_time() {
    let n = 100_000;
    let row = |i: usize| [(i % 300) as f32 / 5.0, (i / 300) as f32 / 6.0, 3.0, 3.0, 0.9, 0.1, 0.1];
    let values: Vec<f32> = (0..n).flat_map(row).collect();
    let found = one(Some(NAMES), &[1, n, 7], &values).detect();
    assert_eq!(found.len(), n);
    let kept = engine::detect::suppress(&found, Default::default());
    assert!((1..=3000).contains(&kept.len()), "{}", kept.len());
}
