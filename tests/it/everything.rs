//! Proposals for all that can be seen.

use std::{
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use engine::{
    everything::Everything,
    frame::PictureKind,
    geometry::Size,
    mask::{Mask, Rle},
    nn::{Cancel, Device, Runtime},
    picture::Picture,
    project::{FrameId, MediumId},
    sam2::{Look, Weights},
    segmenter::{Answer, FakeSegmenter, Sam2Segmenter, SegmentError, Segmenter},
};
use image::{Rgb, RgbImage};

const SIZE: Size = Size::new(480, 320);

/// Which of six shapes a pixel is on, and their colors.
fn shape(x: f32, y: f32) -> Option<usize> {
    let disk = |cx: f32, cy: f32, r: f32| (x - cx).hypot(y - cy) < r;
    let rect = |x0: f32, y0: f32, x1: f32, y1: f32| (x0..x1).contains(&x) && (y0..y1).contains(&y);
    let shapes = [
        disk(80.0, 80.0, 48.0),
        rect(190.0, 40.0, 300.0, 120.0),
        ((x - 400.0) / 60.0).hypot((y - 80.0) / 35.0) < 1.0,
        rect(40.0, 190.0, 110.0, 290.0),
        (y - 280.0).min(0.0) > -90.0 && y < 280.0 && (x - 240.0).abs() < 0.6 * (y - 190.0),
        disk(395.0, 235.0, 50.0),
    ];
    shapes.into_iter().position(|has| has)
}

const COLORS: [[u8; 3]; 6] =
    [[200, 50, 40], [40, 80, 190], [220, 190, 50], [150, 60, 160], [230, 230, 230], [30, 30, 40]];

fn picture() -> Arc<Picture> {
    let pixels = RgbImage::from_fn(SIZE.width as u32, SIZE.height as u32, |x, y| {
        let noise = ((x * 37 + y * 91 + x * y * 7) % 24) as u8;
        let color = shape(x as f32, y as f32).map_or([90, 140, 80], |i| COLORS[i]);
        Rgb(color.map(|c| c + noise))
    });
    Arc::new(Picture::new(FrameId { medium: MediumId(1), frame: 0 }, PictureKind::Photo, pixels))
}

fn truth(i: usize) -> Rle {
    let on = |at: usize| shape((at % SIZE.width) as f32, (at / SIZE.width) as f32) == Some(i);
    Rle::encode(&Mask::new(SIZE, (0..SIZE.area()).map(on).collect()))
}

fn builtin() -> Sam2Segmenter {
    let runtime = Runtime::start(Some(Device::Cpu), None).unwrap();
    Sam2Segmenter::load("builtin", &runtime, &Weights::builtin().unwrap(), Look::CAREFUL).unwrap()
}

fn find(segmenter: &mut dyn Segmenter, known: Vec<Rle>) -> Vec<Answer> {
    let mut everything = Everything::new(known.into_iter().map(Arc::new).collect());
    let (picture, mut done) = (picture(), 0.0);
    while done < 1.0 {
        let now = everything.advance(segmenter, &picture, &Cancel::default()).unwrap();
        assert!(now >= done, "from {done} back to {now}");
        done = now;
    }
    everything.found()
}

#[test]
fn each_thing_is_found_once_but_not_what_is_known() {
    let mut segmenter = builtin();
    let found = find(&mut segmenter, Vec::new());
    let best = |found: &[Answer], i| found.iter().map(|a| a.mask.iou(&truth(i))).fold(0.0, f64::max);
    for i in 0..COLORS.len() {
        assert!(best(&found, i) > 0.7, "shape {i}: {}", best(&found, i));
    }
    assert!(found.len() <= COLORS.len() + 6, "{} things", found.len());
    assert!(found.is_sorted_by(|a, b| a.iou >= b.iou));
    assert!((0..found.len()).all(|i| (0..i).all(|j| found[i].mask.iou(&found[j].mask) < 0.5)));

    let rest = find(&mut segmenter, vec![truth(1), truth(5)]);
    for i in 0..COLORS.len() {
        assert_eq!(best(&rest, i) > 0.7, ![1, 5].contains(&i), "shape {i}: {}", best(&rest, i));
    }
}

#[test]
fn a_fake_thing_at_each_place_is_one_thing() {
    let mut fake = FakeSegmenter::default();
    let found = find(&mut fake, Vec::new());
    let likeliest = |found: &[Answer]| found.iter().filter(|answer| answer.iou == found[0].iou).count();
    // Neighbors overlap by less than half, and so do the first and the third candidate of a point.
    assert_eq!(likeliest(&found), 16 * 16);
    assert!((0..found.len()).all(|i| (0..i).all(|j| found[i].mask.iou(&found[j].mask) < 0.5)));
    assert_eq!(fake.n_encoded.load(Ordering::SeqCst), 1);
    assert!(fake.n_answered.load(Ordering::SeqCst) >= 16 * 16 + found.len());
    let known = found[0].mask.clone();
    assert_eq!(likeliest(&find(&mut fake, vec![known])), 16 * 16 - 1);
}

#[test]
fn what_was_canceled_can_go_on() {
    let mut fake = FakeSegmenter::new(Duration::ZERO, Duration::ZERO);
    let (picture, canceled) = (picture(), Cancel::default());
    canceled.cancel();
    let mut everything = Everything::new(Vec::new());
    for cancel in [&Cancel::default(), &canceled, &canceled, &Cancel::default()] {
        let advanced = everything.advance(&mut fake, &picture, cancel);
        assert_eq!(matches!(advanced, Err(SegmentError::Canceled)), cancel.is_canceled());
    }
    while everything.advance(&mut fake, &picture, &Cancel::default()).unwrap() < 1.0 {}
    assert_eq!(everything.found(), find(&mut fake, Vec::new()));
}
