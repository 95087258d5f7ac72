//! The models against PyTorch's `sam2`: numbers that `tests/reference` made from the same weights and frames.

use std::{
    convert::Infallible,
    path::{Path, PathBuf},
};

use engine::{
    frame::{Frames, PictureKind},
    geometry::{Point, Rect, Size},
    mask::Rle,
    nn::{Cancel, Device, Runtime},
    prompt::{Label, PointPrompt, Prompt},
    sam2::{
        self, Direction, ImageModel, Logits, LooksAt, Prediction, Segment, TrackOptions, Tracker, Weights,
    },
};
use image::RgbImage;
use serde_json::Value as Json;

use crate::{formula, segue};

/// The largest difference of logits that counts as the same, where they are within ±[`CLAMP`] as SAM 2 returns them;
/// larger ones have proportionally larger rounding errors.
const TOLERANCE: f32 = 1e-3;
/// The same where memories were looked at: they are kept in 16 bits, to which a value half way between two is rounded either
/// way.
const TOLERANCE_IN_VIDEOS: f32 = 4e-3;
const CLAMP: f32 = 32.0;

/// One file of reference numbers.
pub(crate) struct Reference {
    bytes: Vec<u8>,
    pub(crate) about: Json,
}

impl Reference {
    pub(crate) fn read(path: &Path) -> Self {
        let bytes = std::fs::read(path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
        let (_, header) = safetensors::SafeTensors::read_metadata(&bytes).unwrap();
        let about = header.metadata().iter().flatten();
        let about = about
            .map(|(k, v)| (k.clone(), serde_json::from_str::<Json>(v).unwrap_or_else(|_| v.clone().into())));
        let about = about.collect();
        Self { bytes, about }
    }

    fn bytes(&self, name: &str) -> Vec<u8> {
        let tensors = safetensors::SafeTensors::deserialize(&self.bytes).unwrap();
        tensors.tensor(name).unwrap_or_else(|e| panic!("{name}: {e}")).data().to_vec()
    }

    pub(crate) fn floats(&self, name: &str) -> Vec<f32> {
        self.bytes(name).chunks_exact(4).map(|b| f32::from_le_bytes([b[0], b[1], b[2], b[3]])).collect()
    }

    /// A mask's bits, eight a byte, the first in the highest.
    fn bits(&self, name: &str) -> Vec<bool> {
        self.bytes(name).iter().flat_map(|byte| (0..8).map(move |i| byte >> (7 - i) & 1 == 1)).collect()
    }

    fn size(&self, of: &Json) -> Size {
        Size::new(of["width"].as_u64().unwrap() as usize, of["height"].as_u64().unwrap() as usize)
    }
}

#[track_caller]
pub(crate) fn assert_close(what: &str, got: &[f32], want: &[f32]) {
    assert_within(what, got, want, TOLERANCE);
}

#[track_caller]
fn assert_within(what: &str, got: &[f32], want: &[f32], tolerance: f32) {
    assert_eq!(got.len(), want.len(), "{what}");
    let worst = got.iter().zip(want).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
    let range = want.iter().map(|v| v.abs()).fold(CLAMP, f32::max);
    assert!(worst <= tolerance * range / CLAMP, "{what}: largest difference {worst}, largest value {range}");
}

#[track_caller]
fn assert_same_mask(what: &str, got: &[bool], want: &[bool]) {
    let both = got.iter().zip(want).filter(|(a, b)| **a && **b).count();
    let either = got.iter().zip(want).filter(|(a, b)| **a || **b).count();
    // One pixel of a small mask is more than a thousandth of it, and its logit may be almost zero.
    let same = either - both <= 1 || both as f64 / either as f64 >= 0.999;
    assert!(same, "{what}: IoU {both}/{either}");
}

fn points(points: &[Json], labels: impl Fn(usize) -> i64) -> Vec<PointPrompt> {
    let number = |v: &Json| v.as_f64().unwrap() as f32;
    let prompt = |(i, p): (usize, &Json)| PointPrompt {
        at: Point { x: number(&p[0]), y: number(&p[1]) },
        label: if labels(i) == 1 { Label::Positive } else { Label::Negative },
    };
    points.iter().enumerate().map(prompt).collect()
}

fn rect(json: &Json) -> Option<Rect> {
    let corners: Vec<f32> = json.as_array()?.iter().map(|v| v.as_f64().unwrap() as f32).collect();
    Some(Rect { x0: corners[0], y0: corners[1], x1: corners[2], y1: corners[3] })
}

fn check_image_mode(runtime: &Runtime, weights: &Weights, reference: &Reference) {
    let size = reference.size(&reference.about);
    let side = Size::square(weights.config.image_size);
    let frame = formula::frame(reference.about["frame"].as_u64().unwrap() as usize, side);
    let mut model = ImageModel::load(runtime, weights).unwrap();
    let cancel = Cancel::default();
    let mut features = model.encode(&frame, PictureKind::Photo, &cancel).unwrap();
    features.size = size;
    let mut best: std::collections::BTreeMap<String, Logits> = std::collections::BTreeMap::new();
    // A prompt that refines comes after the one it refines.
    let prompts = reference.about["prompts"].as_object().unwrap();
    for (name, json) in
        ["point", "points3", "box", "box_negative", "refine", "mask_only"].map(|name| (name, &prompts[name]))
    {
        let given = json["points"].as_array().map_or(&[][..], Vec::as_slice);
        let points = points(given, |i| given[i][2].as_i64().unwrap());
        let prompt = Prompt { points, rect: rect(&json["box"]) };
        let previous = json["previous"].as_str().map(|name| best[name].clone());
        let three = model.candidates(&features, &prompt, previous.as_ref(), &cancel).unwrap();
        check_three(reference, name, size, &three);
        if prompt.points.len() > 1 || prompt.rect.is_some() {
            let one = model.predict(&features, &prompt, previous.as_ref(), &cancel).unwrap();
            check_prediction(reference, &format!("image/{name}/single"), 0, size, &one);
        }
        best.insert(name.to_owned(), three[0].logits.clone());
    }
}

/// The reference has the three in the decoder's order, we have them the likeliest first.
fn check_three(reference: &Reference, name: &str, size: Size, three: &[Prediction]) {
    let key = format!("image/{name}/multi");
    let ious = reference.floats(&format!("{key}/iou"));
    let mut order = [0, 1, 2];
    order.sort_by(|&a, &b| ious[b].total_cmp(&ious[a]));
    for (prediction, i) in three.iter().zip(order) {
        check_prediction(reference, &key, i, size, prediction);
    }
}

fn check_prediction(reference: &Reference, key: &str, i: usize, size: Size, prediction: &Prediction) {
    let n = prediction.logits.values.len();
    let clamped: Vec<f32> = prediction.logits.values.iter().map(|v| v.clamp(-CLAMP, CLAMP)).collect();
    assert_close(key, &clamped, &reference.floats(&format!("{key}/logits"))[i * n..(i + 1) * n]);
    assert_close(key, &[prediction.iou], &reference.floats(&format!("{key}/iou"))[i..=i]);
    let bits = reference.bits(&format!("{key}/mask"));
    assert_same_mask(key, prediction.logits.mask(size).bits(), &bits[i * size.area()..(i + 1) * size.area()]);
}

/// The clip of the formula, drawn at the model's size: how a picture is resized is no part of the comparison.
struct Clip {
    n_frames: usize,
    size: Size,
    side: Size,
}

impl Frames for Clip {
    type Error = Infallible;
    fn n_frames(&self) -> usize {
        self.n_frames
    }
    fn size(&self) -> Size {
        self.size
    }
    fn frame(&mut self, i: usize) -> Result<RgbImage, Infallible> {
        Ok(formula::frame(i, self.side))
    }
}

fn check_video_mode(runtime: &Runtime, weights: &Weights, reference: &Reference, name: &str) {
    let script = &reference.about["script"];
    let mut clip = Clip {
        n_frames: script["frames"].as_u64().unwrap() as usize,
        size: reference.size(script),
        side: Size::square(weights.config.image_size),
    };
    let options = TrackOptions {
        max_cond_frames: usize::try_from(script["max_cond_frames"].as_i64().unwrap()).ok(),
        non_overlap: script["non_overlap"].as_bool().unwrap_or(false),
        fill_hole_area: script["fill_hole_area"].as_u64().map_or(8, |area| area as usize),
        // The reference keeps everything.
        n_kept_frames: clip.n_frames,
        ..TrackOptions::default()
    };
    let mut tracker = Tracker::load(runtime, weights, options).unwrap();
    let mut said = std::collections::BTreeMap::<(u32, usize), Prompt>::new();
    let mut first_frame = usize::MAX;
    let mut n_looks = 0;
    let cancel = Cancel::default();
    for (index, step) in script["steps"].as_array().unwrap().iter().enumerate() {
        let (kind, step) = step.as_object().unwrap().iter().next().unwrap();
        let number = |key: &str| step[key].as_u64().map(|n| n as usize);
        let check = |frame: usize, segment: &Segment, separated: bool| {
            check_segment(
                reference,
                &format!("video/{name}/{index}/{frame}/{}", segment.object),
                segment,
                separated,
            );
        };
        if kind == "propagate" {
            let start = number("start").unwrap_or(first_frame);
            let n = number("max_frames").unwrap_or(clip.n_frames);
            let mut order: Vec<usize> = (start..=(start + n).min(clip.n_frames - 1)).collect();
            let mut direction = Direction::Forward;
            if step["reverse"].as_bool().unwrap_or(false) {
                order = (start.saturating_sub(n)..=start).rev().collect();
                direction = Direction::Backward;
            }
            let objects: Vec<u32> = said.keys().map(|(object, _)| *object).collect();
            let objects: Vec<u32> =
                objects.into_iter().collect::<std::collections::BTreeSet<_>>().into_iter().collect();
            for frame in order {
                for segment in tracker.track(&mut clip, frame, direction, &objects, &cancel).unwrap() {
                    check(frame, &segment, true);
                    n_looks += check_looks(reference, index, &tracker, segment.object, frame, clip.n_frames);
                }
            }
            continue;
        }
        let (object, frame) = (number("object").unwrap() as u32, number("frame").unwrap());
        first_frame = first_frame.min(frame);
        let prompt = said.entry((object, frame)).or_default();
        let segment = if kind == "add_mask" {
            *prompt = Prompt::default();
            let circle: Vec<i64> =
                step["circle"].as_array().unwrap().iter().map(|v| v.as_i64().unwrap()).collect();
            let mask = formula::circle(clip.size, [circle[0], circle[1], circle[2]]);
            tracker.prompt_mask(&mut clip, object, frame, &mask, &cancel).unwrap()
        } else {
            if step["clear_old"].as_bool().unwrap_or(true) {
                *prompt = Prompt::default();
            }
            let given = step["points"].as_array().map_or(&[][..], Vec::as_slice);
            prompt.points.extend(points(given, |i| step["labels"][i].as_i64().unwrap()));
            prompt.rect = rect(&step["box"]).or(prompt.rect);
            tracker.prompt(&mut clip, object, frame, prompt, &cancel).unwrap()
        };
        check(frame, &segment, false);
        n_looks += check_looks(reference, index, &tracker, object, frame, clip.n_frames);
    }
    assert_eq!(n_looks, reference.about["memory"].as_array().unwrap().len(), "looks at memories in {name}");
}

/// Compares which earlier frames were looked at, if any were; how often.
fn check_looks(
    reference: &Reference,
    step: usize,
    tracker: &Tracker,
    object: u32,
    frame: usize,
    n_frames: usize,
) -> usize {
    let here = |look: &&Json| look["step"] == step && look["frame"] == frame && look["object"] == object;
    let looks: Vec<&Json> = reference.about["memory"].as_array().unwrap().iter().filter(here).collect();
    for look in &looks {
        let backward = look["reverse"].as_bool().unwrap();
        let direction = if backward { Direction::Backward } else { Direction::Forward };
        let LooksAt { memories, pointers } = tracker.looks_at(object, frame, direction, n_frames).unwrap();
        // The reference counts time slots from the other end.
        let sorted = |pairs: Vec<(usize, usize)>, n_slots: Option<usize>| {
            let pairs = pairs.into_iter().map(|(frame, n)| [n_slots.map_or(n, |slots| slots - 1 - n), frame]);
            let mut pairs: Vec<[usize; 2]> = pairs.collect();
            pairs.sort_unstable();
            serde_json::json!(pairs)
        };
        assert_eq!(sorted(memories, Some(7)), look["spatial"], "memories: {look}");
        if !look["pointers"].is_null() {
            assert_eq!(sorted(pointers, None), look["pointers"], "pointers: {look}");
        }
    }
    looks.len()
}

fn check_segment(reference: &Reference, key: &str, segment: &Segment, separated: bool) {
    let within = |got: &[f32], what: &str| {
        assert_within(key, got, &reference.floats(&format!("{key}/{what}")), TOLERANCE_IN_VIDEOS);
    };
    within(&segment.logits.values, "low");
    within(&[segment.object_score], "score");
    // When objects may not overlap, a prompt's answer is ours alone but the reference's mask is not.
    if separated {
        assert_same_mask(key, segment.mask.bits(), &reference.bits(&format!("{key}/mask")));
    }
}

/// Checks every file of `case` in `folder`: the model of `config` with formula weights, or the built-in one.
pub(crate) fn check_all(config: &sam2::Config, folder: &Path, case: &str) {
    let runtime = Runtime::start(Some(Device::Cpu), None).unwrap();
    let mut n_checked = 0;
    for file in std::fs::read_dir(folder).unwrap() {
        let path: PathBuf = file.unwrap().path();
        let name = path.file_stem().unwrap().to_str().unwrap();
        let Some(kind) = name.strip_prefix(case).and_then(|rest| rest.strip_prefix('_')) else { continue };
        let reference = Reference::read(&path);
        let scratch = tempfile::tempdir().unwrap();
        let weights = if reference.about["weights"] == "formula" {
            let path = scratch.path().join("formula.safetensors");
            let object_bias = reference.about["object_bias"].as_f64().unwrap() as f32;
            formula::write_tensors(&formula::tensors(config, object_bias), Some(config), &path);
            Weights::open(&path).unwrap()
        } else {
            Weights::builtin().unwrap()
        };
        if kind == "image" {
            check_image_mode(&runtime, &weights, &reference);
        } else if let Some(scenario) = kind.strip_prefix("video_") {
            check_video_mode(&runtime, &weights, &reference, scenario);
        } else {
            continue;
        }
        n_checked += 1;
    }
    assert!(n_checked > 0, "no reference numbers for {case} in {}", folder.display());
}

fn committed() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("data/reference")
}

#[test]
fn a_small_model_matches_pytorch() {
    check_all(&formula::nano(128), &committed(), "nano128");
}

/// Here windows do not fit the grid, and tokens are padded.
#[test]
fn a_side_that_windows_do_not_fit_matches_pytorch() {
    check_all(&formula::nano(160), &committed(), "nano160");
}

/// SAM 2.0 does without two kinds of weights.
#[test]
fn a_small_model_of_the_older_version_matches_pytorch() {
    check_all(&sam2::Config { is_2_1: false, ..formula::nano(128) }, &committed(), "old_nano128");
}

/// The reference gave all points to `SAM2ImagePredictor.predict` in one call, on the frame at the model's own size.
#[test]
fn clicks_given_at_once_match_sam2() {
    let reference = Reference::read(&committed().join("nano128_image.safetensors"));
    let (folder, side) = (tempfile::tempdir().unwrap(), Size::square(128));
    let weights = folder.path().join("nano.safetensors");
    let config = formula::nano(128);
    let bias = reference.about["object_bias"].as_f64().unwrap() as f32;
    formula::write_tensors(&formula::tensors(&config, bias), Some(&config), &weights);
    let n = reference.about["frame"].as_u64().unwrap() as usize;
    formula::frame(n, side).save(folder.path().join("photo.png")).unwrap();
    let size = reference.size(&reference.about);
    let mut lines = String::new();
    let mut words = vec!["segment", "photo.png", "--model", "nano.safetensors", "--at-once"];
    let mut points = Vec::new();
    for point in reference.about["prompts"]["points3"]["points"].as_array().unwrap() {
        let number = |i: usize| point[i].as_f64().unwrap();
        let (x, y) = (number(0) * 128.0 / size.width as f64, number(1) * 128.0 / size.height as f64);
        points.push(serde_json::json!([x, y, point[2]]));
        lines += &format!("{x},{y},{} ", point[2]);
    }
    words.extend(lines.split_whitespace().flat_map(|word| ["--point", word]));
    let logits = Logits { side: 32, values: reference.floats("image/points3/single/logits") };
    let wanted = Rle::encode(&logits.mask(side));
    let check = |answer: &str| {
        let answer: Json = serde_json::from_str(answer).unwrap();
        let mask: Rle = serde_json::from_value(answer["mask"].clone()).unwrap();
        assert_same_mask("points3", mask.decode().bits(), wanted.decode().bits());
        let iou = reference.floats("image/points3/single/iou");
        assert_close("points3", &[answer["score"].as_f64().unwrap() as f32], &iou);
    };
    check(&segue::succeed(folder.path(), &words));
    let line = |at_once: bool| {
        serde_json::json!({"id": 1, "image": "photo.png", "points": points, "at_once": at_once}).to_string()
    };
    let jobs = format!("{}\n{}\n", line(true), line(false));
    crate::media::write(&folder.path().join("in.jsonl"), jobs.as_bytes());
    let words = ["segment", "--in", "in.jsonl", "--out", "out.jsonl", "--model", "nano.safetensors"];
    segue::succeed(folder.path(), &words);
    let answers = std::fs::read_to_string(folder.path().join("out.jsonl")).unwrap();
    let answers: Vec<&str> = answers.lines().collect();
    check(answers[0]);
    let score = |line: &str| serde_json::from_str::<Json>(line).unwrap()["score"].as_f64().unwrap();
    assert!((score(answers[0]) - score(answers[1])).abs() > 1e-4, "click by click gives another answer");
}
