//! Looking with more care than SAM 2 does.

use std::convert::Infallible;

use engine::{
    frame::{Frames, PictureKind},
    geometry::{Point, Rect, Size},
    mask::Mask,
    nn::{Cancel, Device, Runtime},
    prompt::{Label, PointPrompt, Prompt},
    sam2::{Direction, ImageModel, Look, TrackOptions, Tracker, Weights},
};
use image::{RgbImage, imageops};

use crate::formula;

const SIZE: Size = Size::new(160, 96);

fn builtin() -> ImageModel {
    let runtime = Runtime::start(Some(Device::Cpu), None).unwrap();
    ImageModel::load(&runtime, &Weights::builtin().unwrap()).unwrap()
}

fn mask(model: &mut ImageModel, image: &RgbImage, prompt: &Prompt, look: Look) -> Mask {
    let cancel = Cancel::default();
    let view = model.view(image, PictureKind::Photo, prompt, look, &cancel).unwrap();
    let answer = model.click_through(&view, prompt, &cancel).unwrap();
    view.mask(image, prompt, &answer.logits)
}

fn prompt(points: &[(f32, f32)], rect: Option<[f32; 4]>) -> Prompt {
    let click = |&(x, y): &(f32, f32)| PointPrompt { at: Point { x, y }, label: Label::Positive };
    Prompt { points: points.iter().map(click).collect(), rect: rect.map(Rect::from) }
}

#[test]
fn a_mirrored_photo_has_the_mirrored_mask() {
    let mut model = builtin();
    let photo = formula::frame(0, SIZE);
    let mirrored = imageops::flip_horizontal(&photo);
    let width = SIZE.width as f32;
    let asked = prompt(&[(40.0, 36.0), (50.0, 50.0)], None);
    let asked_mirrored = prompt(&[(width - 40.0, 36.0), (width - 50.0, 50.0)], None);
    let mut iou = |look: Look| {
        let mask_of_mirrored = mask(&mut model, &mirrored, &asked_mirrored, look);
        let rows = mask_of_mirrored.bits().chunks_exact(SIZE.width);
        let back = Mask::new(SIZE, rows.flat_map(|row| row.iter().rev().copied()).collect());
        mask(&mut model, &photo, &asked, look).iou(&back)
    };
    assert!(iou(Look { mirror: true, ..Look::default() }) > 0.999);
    assert!(
        iou(Look::default()) < 0.999,
        "a plain look sees the two differently, or this test tells nothing"
    );
}

#[test]
fn a_close_look_at_a_box_does_not_see_what_is_far_from_it() {
    let mut model = builtin();
    let photo = formula::frame(0, SIZE);
    let mut larger = RgbImage::from_pixel(400, 300, image::Rgb([250, 20, 90]));
    imageops::replace(&mut larger, &photo, 200, 150);
    let close = Look { close: true, ..Look::default() };
    let small = mask(&mut model, &photo, &prompt(&[(60.0, 40.0)], Some([40.0, 30.0, 90.0, 66.0])), close);
    let asked = prompt(&[(260.0, 190.0)], Some([240.0, 180.0, 290.0, 216.0]));
    let large = mask(&mut model, &larger, &asked, close);
    assert!(small.area() > 0);
    assert_eq!(large, small.placed((200, 150), Size::new(400, 300)));
}

#[test]
fn a_plain_look_answers_as_sam_2_does() {
    let mut model = builtin();
    let photo = formula::frame(0, SIZE);
    let asked = prompt(&[(60.0, 40.0)], Some([40.0, 30.0, 90.0, 66.0]));
    let cancel = Cancel::default();
    let features = model.encode(&photo, PictureKind::Photo, &cancel).unwrap();
    let first = model.predict(&features, &prompt(&[], asked.rect.map(Into::into)), None, &cancel).unwrap();
    let second = model.predict(&features, &asked, Some(&first.logits), &cancel).unwrap();
    assert_eq!(mask(&mut model, &photo, &asked, Look::default()), second.logits.mask(SIZE));
}

/// A disk that moves to the right by four pixels a frame, drawn in noise on other noise.
struct Disk;

impl Disk {
    const RADIUS: f32 = 22.0;

    fn has(i: usize, x: u32, y: u32) -> bool {
        (x as f32 - 50.0 - 4.0 * i as f32).hypot(y as f32 - 48.0) < Self::RADIUS
    }

    fn mask(i: usize) -> Mask {
        let on = |at: usize| Self::has(i, (at % SIZE.width) as u32, (at / SIZE.width) as u32);
        Mask::new(SIZE, (0..SIZE.area()).map(on).collect())
    }

    /// A box round the disk on frame 0.
    fn asked() -> Prompt {
        prompt(&[], Some([27.0, 25.0, 73.0, 71.0]))
    }
}

impl Frames for Disk {
    type Error = Infallible;
    fn n_frames(&self) -> usize {
        4
    }
    fn size(&self) -> Size {
        SIZE
    }
    fn frame(&mut self, i: usize) -> Result<RgbImage, Infallible> {
        Ok(RgbImage::from_fn(SIZE.width as u32, SIZE.height as u32, |x, y| {
            let noise = ((x * 37 + y * 91 + x * y * 7) % 60) as u8;
            let color = [60 + noise, 110 + noise / 2, 50];
            image::Rgb(if Self::has(i, x, y) { [150 + noise, 60, 40 + noise] } else { color })
        }))
    }
}

#[test]
fn colors_correct_the_mask() {
    let mut model = builtin();
    let photo = Disk.frame(0).unwrap();
    let mut iou = |look| mask(&mut model, &photo, &Disk::asked(), look).iou(&Disk::mask(0));
    let (plain, colors) = (iou(Look::default()), iou(Look { colors: true, ..Look::default() }));
    assert!(colors > 0.97 && colors > plain, "{plain} without, {colors} with");
}

#[test]
fn a_box_in_a_clip_is_looked_at_as_one_in_a_photo() {
    let runtime = Runtime::start(Some(Device::Cpu), None).unwrap();
    let cancel = Cancel::default();
    let first = |look: Look| {
        let options = TrackOptions { look, ..TrackOptions::default() };
        let mut tracker = Tracker::load(&runtime, &Weights::builtin().unwrap(), options).unwrap();
        let first = tracker.prompt(&mut Disk, 1, 0, &Disk::asked(), &cancel).unwrap().mask;
        let later = tracker.track(&mut Disk, 1, Direction::Forward, &[1], &cancel).unwrap();
        assert!(later[0].mask.iou(&Disk::mask(1)) > 0.8);
        first
    };
    let mut model = builtin();
    for look in [Look::default(), Look::CAREFUL] {
        let photo = Disk.frame(0).unwrap();
        // A tracker keeps masks at stride 4 of the model's square.
        assert!(first(look).iou(&mask(&mut model, &photo, &Disk::asked(), look)) > 0.93);
    }
}
