//! Looking with more care than SAM 2 does.

use engine::{
    geometry::{Point, Rect, Size},
    mask::Mask,
    nn::{Cancel, Device, Runtime},
    prompt::{Label, PointPrompt, Prompt},
    sam2::{ImageModel, Look, Weights},
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
    let view = model.view(image, prompt, look, &cancel).unwrap();
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
    let features = model.encode(&photo, &cancel).unwrap();
    let first = model.predict(&features, &prompt(&[], asked.rect.map(Into::into)), None, &cancel).unwrap();
    let second = model.predict(&features, &asked, Some(&first.logits), &cancel).unwrap();
    assert_eq!(mask(&mut model, &photo, &asked, Look::default()), second.logits.mask(SIZE));
}
