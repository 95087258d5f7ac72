//! ONNX exports of segmentation, pose and oriented models: boxes are right, and what else they make is no class and no score.

use std::path::Path;

use engine::{
    detect::{Detection, suppress},
    nn::Cancel,
};
use image::RgbImage;

use crate::{
    onnx_detectors::{
        CENTERED, CORNERS, HEIGHT, IN_PICTURE, Made, SIDE, WIDTH, assert_found, constant, rows, turned,
    },
    python, segue,
};

/// Boxes of all anchors of a small image.
const N: usize = 2000;
const NAMES: (&str, &str) = ("names", "{0: 'cat', 1: 'dog', 2: 'cow'}");
const PERSON: (&str, &str) = ("names", "{0: 'person'}");
/// Mask coefficients, beyond scores on both sides.
const COEFFICIENTS: [f32; 32] = {
    let mut values = [3.5; 32];
    values[1] = -2.0;
    values
};

/// `shape` with this one row, and prototypes if there are any.
fn made(metadata: &[(&str, &str)], shape: [usize; 2], row: &[f32], n_prototypes: usize) -> Made {
    let [a, b] = shape;
    let boxes_last = a == row.len();
    let values = rows(if boxes_last { b } else { a }, row);
    let values = if boxes_last { turned(&values, row.len()) } else { values };
    Made::described(metadata, |graph, _| {
        let value = constant(graph, "output0", &[1, a, b], &values);
        graph.output("output0", &value);
        if n_prototypes > 0 {
            let zeros = vec![0.0; n_prototypes * 64];
            let value = constant(graph, "output1", &[1, n_prototypes, 8, 8], &zeros);
            graph.output("output1", &value);
        }
    })
}

fn row(parts: &[&[f32]]) -> Vec<f32> {
    parts.concat()
}

#[track_caller]
fn assert_boxes(made: &Made, class: usize, score: f32, n_classes: usize, remark: &str) {
    assert_found(made, IN_PICTURE, class, score);
    let detector = made.load().unwrap();
    assert_eq!(detector.classes().len(), n_classes);
    assert_eq!(detector.remark().unwrap_or_default(), remark);
}

const MASKS: &str = "masks of this segmentation model are ignored";
const KEYPOINTS: &str = "keypoints of this pose model are ignored";
const ANGLES: &str = "angles of this oriented model are ignored: boxes are the upright bounds of turned ones";

#[test]
fn segmentation_exports_give_boxes_and_no_coefficients() {
    let task = ("task", "segment");
    let yolo8 = row(&[&CENTERED, &[0.1, 0.8, 0.2], &COEFFICIENTS]);
    let yolo5 = row(&[&CENTERED, &[0.9], &[0.1, 0.8, 0.2], &COEFFICIENTS]);
    let end_to_end = row(&[&CORNERS, &[0.8, 1.0], &COEFFICIENTS]);
    for metadata in [&[task, NAMES][..], &[NAMES], &[task], &[]] {
        assert_boxes(&made(metadata, [39, N], &yolo8, 32), 1, 0.8, 3, MASKS);
        assert_boxes(&made(metadata, [N, 40], &yolo5, 32), 1, 0.72, 3, MASKS);
        let n_named = if metadata.contains(&NAMES) { 3 } else { 0 };
        assert_boxes(&made(metadata, [300, 38], &end_to_end, 32), 1, 0.8, n_named, MASKS);
    }
    // Sixteen prototypes instead of the usual 32.
    let few = row(&[&CENTERED, &[0.1, 0.8, 0.2], &COEFFICIENTS[..16]]);
    assert_boxes(&made(&[], [23, N], &few, 16), 1, 0.8, 3, MASKS);
    // Fewer boxes than columns, as of a very small image.
    assert_boxes(&made(&[task, NAMES], [39, 20], &yolo8, 32), 1, 0.8, 3, MASKS);
}

#[test]
fn pose_exports_give_boxes_and_no_keypoints() {
    let (task, shape) = (("task", "pose"), ("kpt_shape", "[17, 3]"));
    let keypoints: Vec<f32> = (0..17).flat_map(|i| [20.0 + i as f32, 30.0, 0.99]).collect();
    let yolo8 = row(&[&CENTERED, &[0.8], &keypoints]);
    let yolo7 = row(&[&CENTERED, &[0.9, 0.8], &keypoints]);
    let end_to_end = row(&[&CORNERS, &[0.8, 0.0], &keypoints]);
    for metadata in [&[task, shape, PERSON][..], &[task, PERSON], &[PERSON], &[shape, task], &[]] {
        assert_boxes(&made(metadata, [56, N], &yolo8, 0), 0, 0.8, 1, KEYPOINTS);
        assert_boxes(&made(metadata, [N, 57], &yolo7, 0), 0, 0.72, 1, KEYPOINTS);
        let n_named = usize::from(metadata.contains(&PERSON));
        assert_boxes(&made(metadata, [300, 57], &end_to_end, 0), 0, 0.8, n_named, KEYPOINTS);
    }
    // Three classes with two keypoints of x and y.
    let plain = row(&[&CENTERED, &[0.1, 0.8, 0.2], &[20.0, 30.0, 40.0, 33.0]]);
    for metadata in [&[task, ("kpt_shape", "[2, 2]"), NAMES][..], &[NAMES], &[]] {
        assert_boxes(&made(metadata, [11, N], &plain, 0), 1, 0.8, 3, KEYPOINTS);
    }
}

/// The bounds of turned boxes by NumPy, in the image: twice as wide as high, so that 16 pixels are above it.
fn bounds(center: [f32; 4], angle: f32) -> [f32; 4] {
    let program = format!(
        "import json, numpy as np
x, y, w, h = {center:?}
c, s = np.cos({angle:?}), np.sin({angle:?})
at = np.array([[-w, -h], [w, -h], [w, h], [-w, h]]) / 2 @ np.array([[c, s], [-s, c]]) + [x, y]
at = (at - [0, 16]) * {WIDTH} / {SIDE}
print(json.dumps([*at.min(0), *at.max(0)]))"
    );
    serde_json::from_value(python::run(&program, Path::new(""))).unwrap()
}

#[test]
fn oriented_exports_give_the_bounds_of_turned_boxes() {
    let task = ("task", "obb");
    for angle in [0.0, 0.4, -0.3, 1.2, 2.0] {
        let wanted = bounds(CENTERED, angle);
        let yolo8 = row(&[&CENTERED, &[0.1, 0.8, 0.2], &[angle]]);
        let end_to_end = row(&[&CENTERED, &[0.8, 1.0], &[angle]]);
        for metadata in [&[task, NAMES][..], &[NAMES]] {
            let made = [made(metadata, [8, N], &yolo8, 0), made(metadata, [300, 7], &end_to_end, 0)];
            for made in made {
                assert_found(&made, wanted, 1, 0.8);
                assert_eq!(made.load().unwrap().remark().as_deref(), Some(ANGLES), "{metadata:?}");
            }
        }
    }
    // Nobody says what it is: no score is negative.
    let unnamed = made(&[], [8, N], &row(&[&CENTERED, &[0.1, 0.8, 0.2], &[-0.3]]), 0);
    assert_found(&unnamed, bounds(CENTERED, -0.3), 1, 0.8);
    // DOTA's 15 classes, with an angle that might be a score.
    let mut dota = vec![0.1; 20];
    dota[..4].copy_from_slice(&CENTERED);
    (dota[7], dota[19]) = (0.8, 0.9);
    assert_found(&made(&[], [20, N], &dota, 0), bounds(CENTERED, 0.9), 3, 0.8);
}

#[test]
fn detectors_of_many_classes_stay_detectors() {
    // As many columns as a pose model of 17 keypoints has.
    let mut scores = vec![0.1; 52];
    scores[40] = 0.8;
    assert_boxes(&made(&[], [56, N], &row(&[&CENTERED, &scores]), 0), 40, 0.8, 52, "");
    let share = [0.5, 0.5, 0.25, 0.25];
    let shares = row(&[&share, &[0.1, 0.8, 0.2]]);
    for metadata in [&[("task", "detect"), NAMES][..], &[NAMES], &[]] {
        // Queries of RT-DETR, whose images are stretched.
        assert_boxes(&made(metadata, [300, 7], &shares, 0), 1, 0.8, 3, "");
    }
}

#[test]
fn other_tasks_and_scores_above_one_are_refused() {
    let error = made(&[("task", "classify")], [39, N], &[0.0; 39], 0).load().map(|_| ()).unwrap_err();
    assert!(error.contains("its task is \"classify\", which finds no objects"), "{error}");
    // Logits in place of scores.
    let logits = row(&[&CENTERED, &[-4.0, 3.0, -2.0]]);
    let mut detector = made(&[NAMES], [7, N], &logits, 0).load().unwrap();
    let picture = RgbImage::new(WIDTH, HEIGHT);
    let error = detector.detect(&picture, 0.5, &Cancel::default()).unwrap_err().to_string();
    assert!(error.contains("a score of 3, where scores are from 0 to 1"), "{error}");
}

#[test]
fn names_are_read_in_all_spellings() {
    for (names, wanted) in [
        (r#"{0: 'cat', 1: "dog's", 2: 'a "b" c\'d'}"#, ["cat", "dog's", "a \"b\" c'd"]),
        (r#"{"0": "cat", "1": "\u00e9", "2": "x, y: z"}"#, ["cat", "é", "x, y: z"]),
        ("['cat', 'dog', 'no']", ["cat", "dog", "no"]),
        ("{0: 0, 1: True, 2: 2.5}", ["0", "True", "2.5"]),
        ("('cat', 'dog', 'cow')", ["cat", "dog", "cow"]),
        ("cat,dog,cow", ["cat", "dog", "cow"]),
        ("cat\ndog\ncow\n", ["cat", "dog", "cow"]),
        ("OrderedDict({0: 'cat', 1: 'dog', 2: 'cow'})", ["cat", "dog", "cow"]),
    ] {
        let values = row(&[&CENTERED, &[0.1, 0.8, 0.2]]);
        assert_eq!(
            made(&[("names", names)], [7, N], &values, 0).load().unwrap().classes(),
            wanted,
            "{names}"
        );
    }
}

/// Boxes of three classes, many over each other, as Ultralytics' `non_max_suppression` thins them: scores from 0.4, each class
/// moved away from all others, IoU 0.7.
#[test]
fn boxes_are_suppressed_within_their_class() {
    let program = "import json, numpy as np
rng = np.random.default_rng(3)
n = 2000
rows = np.zeros((n, 7), np.float32)
rows[:, :2] = rng.integers(5, 10, (n, 2)) * 4 + rng.normal(0, 0.7, (n, 2))
rows[:, 2:4] = rng.uniform(8, 11, (n, 2))
rows[np.arange(n), 4 + rng.integers(0, 3, n)] = rng.uniform(0, 1, n)
score, klass = rows[:, 4:].max(1), rows[:, 4:].argmax(1)
box = np.concatenate([rows[:, :2] - rows[:, 2:4] / 2, rows[:, :2] + rows[:, 2:4] / 2], 1)
moved = box + 7680 * klass[:, None]
kept = []
for i in np.argsort(-score):
    a = moved[i]
    over = lambda b: np.prod(np.clip(np.minimum(a[2:], b[2:]) - np.maximum(a[:2], b[:2]), 0, None))
    area = lambda b: np.prod(b[2:] - b[:2])
    if score[i] >= 0.4 and all(over(b) / (area(a) + area(b) - over(b)) <= 0.7 for b in moved[kept]):
        kept.append(int(i))
print(json.dumps({'rows': rows.T.flatten().tolist(), 'scores': [float(score[i]) for i in kept],
    'classes': [int(klass[i]) for i in kept]}))";
    let reference = python::run(program, Path::new(""));
    let list = |key: &str| -> Vec<f32> { serde_json::from_value(reference[key].clone()).unwrap() };
    let made = Made::described(&[("task", "detect"), NAMES], |graph, _| {
        let value = constant(graph, "output0", &[1, 7, N], &list("rows"));
        graph.output("output0", &value);
    });
    let mut detector = made.load().unwrap();
    let picture = RgbImage::new(SIDE as u32, SIDE as u32);
    let found = detector.detect(&picture, 0.4, &Cancel::default()).unwrap();
    let kept: Vec<Detection> =
        suppress(&found, detector.suppression()).into_iter().map(|i| found[i]).collect();
    assert!(kept.len() > 50 && found.len() > 2 * kept.len(), "{} of {}", kept.len(), found.len());
    assert_eq!(kept.iter().map(|found| found.score).collect::<Vec<f32>>(), list("scores"));
    assert_eq!(kept.iter().map(|found| found.class as f32).collect::<Vec<f32>>(), list("classes"));
}

/// Where the file suppresses itself, or has queries, nothing is taken away.
#[test]
fn boxes_that_are_suppressed_already_all_stay() {
    let [x0, y0, x1, y1] = CORNERS;
    let values: Vec<f32> = (0..3).flat_map(|i| [x0, y0, x1, y1, 0.9 - 0.1 * i as f32, 1.0]).collect();
    let made = Made::described(&[NAMES], |graph, _| {
        let value = constant(graph, "output0", &[1, 3, 6], &values);
        graph.output("output0", &value);
    });
    let detector = made.load().unwrap();
    assert_eq!(suppress(&made.detect(), detector.suppression()), [0, 1, 2]);
}

#[test]
fn scores_are_written_in_formats_that_hold_them() {
    let found = row(&[&CENTERED, &[0.125, 0.75, 0.25], &COEFFICIENTS]);
    let made = made(&[("task", "segment"), NAMES], [39, N], &found, 32);
    let folder = made.folder.path();
    RgbImage::new(WIDTH, HEIGHT).save(folder.join("photo.png")).unwrap();
    let detect = |format: &str, out: &str| {
        let words = ["detect", "photo.png", "--detector", "own.onnx", "--format", format, "--out", out];
        let said = segue::succeed(folder, &words);
        assert!(said.contains(MASKS), "{said}");
    };
    let json = |file: &str| -> serde_json::Value {
        serde_json::from_slice(&std::fs::read(folder.join(file)).unwrap()).unwrap()
    };
    let text = |file: &str| std::fs::read_to_string(folder.join(file)).unwrap();
    detect("coco", "coco.json");
    assert_eq!(json("coco.json")["annotations"][0]["score"], 0.75);
    detect("coco-results", "results.json");
    assert_eq!(json("results.json")[0]["score"], 0.75);
    detect("labelme", "labelme");
    assert_eq!(json("labelme/photo.json")["shapes"][0]["score"], 0.75);
    detect("datumaro", "datumaro");
    let datumaro = json("datumaro/annotations/default.json");
    assert_eq!(datumaro["items"][0]["annotations"][0]["attributes"]["score"], 0.75);
    detect("cvat-images", "cvat");
    assert!(
        text("cvat/annotations.xml").contains("<attribute name=\"score\">0.75</attribute>"),
        "{}",
        text("cvat/annotations.xml")
    );
    detect("yolo", "yolo");
    assert_eq!(text("yolo/labels/train/photo.txt"), "1 0.5 0.5 0.25 0.25 0.75\n");
}

/// Outputs of these shapes, which hold zeros.
fn zeros(shapes: &[(&str, &[usize])]) -> Made {
    Made::described(&[], |graph, _| {
        for (name, shape) in shapes {
            let values = vec![0.0; shape.iter().product()];
            let value = constant(graph, name, shape, &values);
            graph.output(name, &value);
        }
    })
}

#[test]
fn columns_of_boxes_are_no_classes() {
    // MMDetection, YOLO-NAS.
    for shapes in [
        &[("dets", &[1, 100, 5][..]), ("labels", &[1, 100])][..],
        &[("boxes", &[1, 2000, 4]), ("scores", &[1, 2000, 80])],
    ] {
        let error = zeros(shapes).load().map(|_| ()).unwrap_err();
        assert!(error.contains("its outputs are none that Segue knows"), "{error}");
    }
    // YOLOX, whose sides are logarithms.
    let grid = made(&[], [N, 85], &row(&[&[0.4, 0.6, -1.2, -0.9, 0.9], &[0.5; 80]]), 0);
    assert!(grid.load().map(|_| ()).unwrap_err().contains("offsets in a grid"));
    // TensorFlow's Object Detection API and its EfficientDet, whose boxes begin with y.
    let boxes = [("detection_boxes", &[1, 100, 4][..]), ("num_detections", &[1])];
    let of_boxes = [("detection_scores", &[1, 100][..]), ("detection_classes", &[1, 100])];
    let error = zeros(&[boxes, of_boxes].concat()).load().map(|_| ()).unwrap_err();
    assert!(error.contains("y before x"), "{error}");
    let efficient = Made::described(&[], |graph, _| {
        let values = [0.0, 10.0, 20.0, 200.0, 300.0, 0.9, 1.0].repeat(100);
        let value = constant(graph, "detections", &[1, 100, 7], &values);
        graph.output("detections", &value);
    });
    let error = efficient.load().map(|_| ()).unwrap_err();
    assert!(error.contains("score"), "{error}");
    // YOLOv8 with a feature map that is no prototypes.
    let maps = Made::described(&[], |graph, _| {
        let values = turned(&rows(N, &row(&[&CENTERED, &[0.1, 0.8, 0.2]])), 7);
        let value = constant(graph, "output0", &[1, 7, N], &values);
        graph.output("output0", &value);
        let value = constant(graph, "map", &[1, 256, 2, 2], &[0.0; 1024]);
        graph.output("map", &value);
    });
    assert_boxes(&maps, 1, 0.8, 3, "1 output of this model is ignored");
    // The original DETR without a configuration: 91 ids, and nothing.
    let detr = zeros(&[("logits", &[1, 100, 92]), ("pred_boxes", &[1, 100, 4])]);
    assert_eq!(detr.load().unwrap().classes().len(), 91);
}
