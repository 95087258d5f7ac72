//! Frames of videos as SAM 2 resizes them: with Pillow, to the bit.

use engine::{
    frame::{PictureKind, resized_as_pillow},
    nn::{Cancel, Device, Runtime},
    sam2::{Config, Weights},
};
use image::RgbImage;

use crate::{formula, python};

/// From and to: smaller, larger, odd, far apart, one pixel, and one edge only.
const SIZES: [[u32; 4]; 12] = [
    [96, 64, 32, 32],
    [40, 30, 128, 128],
    [101, 67, 64, 64],
    [64, 64, 101, 67],
    [333, 7, 5, 200],
    [7, 333, 200, 5],
    [1, 1, 16, 16],
    [50, 40, 1, 1],
    [3, 2, 4, 3],
    [80, 60, 80, 45],
    [80, 60, 45, 60],
    [1000, 20, 31, 20],
];

/// Edges from black to white beside noise: the kernel reaches beyond both ends of a byte.
fn picture(width: u32, height: u32) -> RgbImage {
    let noise = |x: u32, y: u32, c: u32| {
        (x.wrapping_mul(2_654_435_761) ^ y.wrapping_mul(40_503) ^ c.wrapping_mul(97))
            .wrapping_mul(2_246_822_519)
            >> 24
    };
    RgbImage::from_fn(width, height, |x, y| {
        let channel = |c: u32| match (x / 3 + y / 5 + c) % 3 {
            0 => 0,
            1 => 255,
            _ => noise(x, y, c) as u8,
        };
        image::Rgb([channel(0), channel(1), channel(2)])
    })
}

#[test]
fn frames_are_resized_as_pillow_does_bit_for_bit() {
    let folder = tempfile::tempdir().unwrap();
    for (i, [width, height, ..]) in SIZES.iter().enumerate() {
        picture(*width, *height).save(folder.path().join(format!("{i}.png"))).unwrap();
    }
    let program = format!(
        "import json, sys
from PIL import Image
resized = [Image.open(f'{{sys.argv[1]}}/{{i}}.png').convert('RGB').resize((w, h)) for i, (_, _, w, h) in enumerate({SIZES:?})]
print(json.dumps([list(image.tobytes()) for image in resized]))"
    );
    let wanted: Vec<Vec<u8>> = serde_json::from_value(python::run(&program, folder.path())).unwrap();
    for ([from_width, from_height, width, height], wanted) in SIZES.into_iter().zip(wanted) {
        let resized = resized_as_pillow(&picture(from_width, from_height), width, height);
        assert!(*resized.as_raw() == wanted, "{from_width}x{from_height} to {width}x{height}");
    }
}

/// Official models take what is resized already as it is, and resize photos and frames with different filters; the built-in
/// model knows one filter only.
#[test]
fn only_official_models_tell_frames_from_photos() {
    let runtime = Runtime::start(Some(Device::Cpu), None).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("nano.safetensors");
    let config = formula::nano(128);
    formula::write_tensors(&formula::tensors(&config, 0.0), Some(&config), &path);
    assert!(Config::official().iter().all(|(_, config)| config.bicubic_frames));
    let builtin = Weights::builtin().unwrap();
    assert!(!builtin.config.bicubic_frames);
    let mut official = engine::sam2::ImageModel::load(&runtime, &Weights::open(&path).unwrap()).unwrap();
    let mut own = engine::sam2::ImageModel::load(&runtime, &builtin).unwrap();
    let (large, cancel) = (picture(300, 200), Cancel::default());
    let small = resized_as_pillow(&large, 128, 128);
    let encode = |model: &mut engine::sam2::ImageModel, image: &RgbImage, kind| {
        let features = model.encode(image, kind, &cancel).unwrap();
        let prompt = engine::prompt::Prompt {
            points: vec![engine::prompt::PointPrompt {
                at: engine::geometry::Point { x: image.width() as f32 / 2.0, y: image.height() as f32 / 2.0 },
                label: engine::prompt::Label::Positive,
            }],
            rect: None,
        };
        model.predict(&features, &prompt, None, &cancel).unwrap().logits.values
    };
    let frame = encode(&mut official, &large, PictureKind::Frame);
    assert!(frame == encode(&mut official, &small, PictureKind::Frame));
    assert!(frame == encode(&mut official, &small, PictureKind::Photo));
    assert!(frame != encode(&mut official, &large, PictureKind::Photo));
    let photo = encode(&mut own, &large, PictureKind::Photo);
    assert!(photo == encode(&mut own, &large, PictureKind::Frame));
}
