//! Image files and folders of them.

use std::{fs, io::Cursor, path::Path};

use engine::{
    geometry::Size,
    media::{FrameSource, image_size, read_image},
};
use image::{DynamicImage, ImageBuffer, ImageFormat, Luma, LumaA, Rgb, RgbImage, Rgba};

use super::{check_error, write};

const FORMATS: [ImageFormat; 6] = [
    ImageFormat::Jpeg,
    ImageFormat::Png,
    ImageFormat::WebP,
    ImageFormat::Tiff,
    ImageFormat::Bmp,
    ImageFormat::Gif,
];

fn encode(image: impl Into<DynamicImage>, format: ImageFormat) -> Vec<u8> {
    let mut bytes = Cursor::new(Vec::new());
    image.into().write_to(&mut bytes, format).unwrap();
    bytes.into_inner()
}

/// Four plain quarters: white, red, green and blue, in reading order.
fn quarters() -> RgbImage {
    RgbImage::from_fn(32, 16, |x, y| {
        Rgb(match (x < 16, y < 8) {
            (true, true) => [255, 255, 255],
            (false, true) => [255, 0, 0],
            (true, false) => [0, 255, 0],
            (false, false) => [0, 0, 255],
        })
    })
}

/// Fails unless the file is read as pixels that differ by at most `tolerance`.
#[track_caller]
fn check(bytes: &[u8], expected: &RgbImage, tolerance: u8) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("picture.dat");
    write(&path, bytes);
    let image = read_image(&path).unwrap();
    assert_eq!(image.dimensions(), expected.dimensions());
    let worst = image.iter().zip(expected.iter()).map(|(a, b)| a.abs_diff(*b)).max().unwrap();
    assert!(worst <= tolerance, "pixels differ by {worst}");
    let source = FrameSource::open(&path).unwrap();
    let size = Size::new(expected.width() as usize, expected.height() as usize);
    assert_eq!((source.n_frames(), source.size()), (1, size));
}

#[test]
fn every_format_is_read_whatever_its_name() {
    for format in FORMATS {
        // JPEG and the WebP and GIF of other encoders lose something; plain quarters lose little.
        check(&encode(quarters(), format), &quarters(), if format == ImageFormat::Jpeg { 4 } else { 0 });
    }
}

#[test]
fn other_depths_and_channels_become_8_bit_rgb() {
    let one = |value: [u8; 3]| RgbImage::from_pixel(4, 4, Rgb(value));
    for format in [ImageFormat::Png, ImageFormat::Tiff] {
        check(&encode(ImageBuffer::from_pixel(4, 4, Luma([128_u8])), format), &one([128; 3]), 0);
        check(&encode(ImageBuffer::from_pixel(4, 4, Luma([0x8081_u16])), format), &one([128; 3]), 0);
        let deep = ImageBuffer::from_pixel(4, 4, Rgb([0xFFFF_u16, 0x8080, 0]));
        check(&encode(deep, format), &one([255, 128, 0]), 0);
    }
    check(&encode(ImageBuffer::from_pixel(4, 4, Luma([90_u8])), ImageFormat::Jpeg), &one([90; 3]), 1);
}

#[test]
fn transparency_shows_white() {
    let one = |value: [u8; 3]| RgbImage::from_pixel(4, 4, Rgb(value));
    for format in [ImageFormat::Png, ImageFormat::WebP] {
        check(&encode(ImageBuffer::from_pixel(4, 4, Rgba([9_u8, 8, 7, 0])), format), &one([255; 3]), 0);
        check(&encode(ImageBuffer::from_pixel(4, 4, Rgba([9_u8, 8, 7, 255])), format), &one([9, 8, 7]), 0);
        check(
            &encode(ImageBuffer::from_pixel(4, 4, Rgba([0_u8, 0, 255, 128])), format),
            &one([127, 127, 255]),
            0,
        );
    }
    check(
        &encode(ImageBuffer::from_pixel(4, 4, LumaA([0_u16, 0x7FFF])), ImageFormat::Png),
        &one([128; 3]),
        1,
    );
}

/// The JPEG with an EXIF segment that says how to turn it.
fn with_orientation(jpeg: &[u8], orientation: u8) -> Vec<u8> {
    let tiff =
        [b"MM\0*\0\0\0\x08\0\x01\x01\x12\0\x03\0\0\0\x01\0".as_slice(), &[orientation], &[0; 6]].concat();
    let length = u16::try_from(2 + 6 + tiff.len()).unwrap().to_be_bytes();
    [&jpeg[..2], b"\xFF\xE1", &length, b"Exif\0\0", &tiff, &jpeg[2..]].concat()
}

#[test]
fn images_are_turned_upright() {
    let jpeg = encode(quarters(), ImageFormat::Jpeg);
    let upright = DynamicImage::from(quarters());
    let turned = [
        upright.clone(),
        upright.fliph(),
        upright.rotate180(),
        upright.flipv(),
        upright.rotate90().fliph(),
        upright.rotate90(),
        upright.rotate270().fliph(),
        upright.rotate270(),
    ];
    for (orientation, expected) in (1..).zip(turned) {
        check(&with_orientation(&jpeg, orientation), &expected.into_rgb8(), 4);
    }
}

#[test]
fn files_that_end_early_are_refused() {
    let noise = RgbImage::from_fn(64, 48, |x, y| Rgb([x * y, x * x, 7 * y].map(|v| v as u8)));
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("cut");
    for format in FORMATS {
        let bytes = encode(noise.clone(), format);
        for length in [bytes.len() / 4, bytes.len() / 2, bytes.len() * 9 / 10] {
            write(&path, &bytes[..length]);
            let error =
                read_image(&path).err().unwrap_or_else(|| panic!("{format:?} cut to {length} is read"));
            assert!(error.to_string().starts_with("cannot read image: "), "{error}");
        }
    }
    let jpeg = encode(noise, ImageFormat::Jpeg);
    write(&path, &jpeg[..jpeg.len() - 2]);
    check_error(read_image(&path), &path, "cannot read image: the file ends too early");
}

#[test]
fn what_is_no_image_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("foo.jpg");
    let missing = fs::read(&path).unwrap_err();
    check_error(read_image(&path), &path, &format!("cannot read file: {missing}"));
    write(&path, b"");
    check_error(read_image(&path), &path, "cannot read file: it is empty");
    check_error(FrameSource::open(&path), &path, "cannot read file: it is empty");
    write(&path, b"hello, world");
    check_error(read_image(&path), &path, "cannot read image: it is not an image file that Segue knows");
}

/// A BMP or PNG whose header says that it is larger than its data.
fn with_size(format: ImageFormat, width: u32, height: u32) -> Vec<u8> {
    let mut bytes = encode(quarters(), format);
    if format == ImageFormat::Bmp {
        bytes[18..22].copy_from_slice(&width.to_le_bytes());
        bytes[22..26].copy_from_slice(&height.to_le_bytes());
    } else {
        bytes[16..20].copy_from_slice(&width.to_be_bytes());
        bytes[20..24].copy_from_slice(&height.to_be_bytes());
        let mut crc = 0xFFFF_FFFF_u32;
        for byte in &bytes[12..29] {
            crc ^= u32::from(*byte);
            for _ in 0..8 {
                crc = crc >> 1 ^ if crc & 1 == 1 { 0xEDB8_8320 } else { 0 };
            }
        }
        bytes[29..33].copy_from_slice(&(!crc).to_be_bytes());
    }
    bytes
}

#[test]
fn images_beyond_the_limit_are_refused_by_header() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("bomb");
    for (format, width, height) in [(ImageFormat::Bmp, 30_000, 30_000), (ImageFormat::Png, 60_000, 60_000)] {
        write(&path, &with_size(format, width, height));
        let text = format!(
            "cannot read image: {width}x{height} pixels need more than 1 GiB; raise the limit in the settings"
        );
        check_error(read_image(&path), &path, &text);
        check_error(image_size(&path), &path, &text);
    }
    // As large as the file of a blank image.
    let mut bytes = with_size(ImageFormat::Png, 60_000, 4_000);
    bytes.resize(2 << 20, 0);
    write(&path, &bytes);
    assert_eq!(image_size(&path).unwrap(), Size::new(60_000, 4_000));
}

#[test]
fn a_wide_panorama_is_read() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("wide.png");
    let wide = ImageBuffer::from_fn(60_000, 40, |x, y| Luma([(x / 300 + y) as u8]));
    write(&path, &encode(wide, ImageFormat::Png));
    let image = read_image(&path).unwrap();
    assert_eq!((image.dimensions(), image.get_pixel(59_999, 39).0), ((60_000, 40), [(199 + 39) as u8; 3]));
}

/// Makes a folder of plain images, each with its gray value.
fn make_folder(folder: &Path, files: &[(&str, u8)]) {
    for (name, gray) in files {
        let format = ImageFormat::from_path(name).unwrap();
        write(&folder.join(name), &encode(RgbImage::from_pixel(8, 6, Rgb([*gray; 3])), format));
    }
}

#[test]
fn a_folder_is_its_images_in_natural_order() {
    let folder = tempfile::tempdir().unwrap();
    make_folder(folder.path(), &[("f10.png", 30), ("f9.png", 20), ("f1.png", 10), ("cover.jpg", 99)]);
    write(&folder.path().join("notes.txt"), b"not a frame");
    fs::create_dir(folder.path().join("f2.png")).unwrap();
    let mut source = FrameSource::open(folder.path()).unwrap();
    let names: Vec<_> = (0..source.n_frames()).map(|n| source.name(n)).collect();
    assert_eq!(names, ["f1.png", "f9.png", "f10.png"]);
    assert_eq!((source.size(), source.time(2)), (Size::new(8, 6), 0.08));
    for (frame, gray) in [(2, 30), (0, 10), (1, 20)] {
        assert_eq!(source.frame(frame).unwrap().get_pixel(3, 3).0, [gray; 3]);
    }
    check_error(source.frame(3), folder.path(), "cannot read frame 3: there are 3, counted from 0");
}

#[test]
fn masks_beside_frames_are_no_frames() {
    let folder = tempfile::tempdir().unwrap();
    make_folder(folder.path(), &[("0.jpg", 10), ("0.png", 0), ("1.jpg", 20), ("1.png", 0), ("1_b.png", 0)]);
    let source = FrameSource::open(folder.path()).unwrap();
    assert_eq!((source.n_frames(), source.name(1)), (2, "1.jpg".into()));
}

#[test]
fn folders_that_are_no_frames_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    check_error(FrameSource::open(folder.path()), folder.path(), "cannot open folder: it holds no images");
    make_folder(folder.path(), &[("a.png", 1)]);
    let odd = folder.path().join("b.png");
    write(&odd, &encode(quarters(), ImageFormat::Png));
    let text = "cannot open folder: an image of 32x16 pixels is among frames of 8x6";
    check_error(FrameSource::open(folder.path()), &odd, text);
}

#[test]
fn a_damaged_image_among_frames_keeps_its_number() {
    let folder = tempfile::tempdir().unwrap();
    make_folder(folder.path(), &[("1.png", 10), ("2.png", 20), ("3.png", 30), ("4.png", 40)]);
    write(&folder.path().join("1.png"), b"");
    let cut = folder.path().join("3.png");
    let whole = fs::read(&cut).unwrap();
    write(&cut, &whole[..whole.len() - 20]);
    let mut source = FrameSource::open(folder.path()).unwrap();
    assert_eq!((source.n_frames(), source.size(), source.name(3)), (4, Size::new(8, 6), "4.png".to_owned()));
    let grays: Vec<_> =
        (0..4).map(|n| source.frame(n).ok().map(|image| image.get_pixel(3, 3).0[0])).collect();
    assert_eq!(grays, [None, Some(20), None, Some(40)]);
    let [(frame, why)] = source.unreadable() else { panic!("one header cannot be read") };
    assert!(*frame == 0 && why.contains("it is empty") && why.ends_with("1.png"), "{why}");
    let error = source.frame(2).unwrap_err().to_string();
    assert!(error.starts_with("cannot decode frame 2: ") && error.ends_with("3.png"), "{error}");
}

#[test]
fn pages_are_frames_and_one_page_is_a_photo() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("animation.dat");
    let mut bytes = Vec::new();
    let mut encoder = image::codecs::gif::GifEncoder::new(&mut bytes);
    for gray in [0, 80, 160] {
        let image = image::RgbaImage::from_pixel(8, 6, Rgba([gray, gray, gray, 255]));
        let delay = image::Delay::from_numer_denom_ms(200, 1);
        encoder.encode_frame(image::Frame::from_parts(image, 0, 0, delay)).unwrap();
    }
    drop(encoder);
    write(&path, &bytes);
    let mut source = FrameSource::open(&path).unwrap();
    assert_eq!((source.n_frames(), source.is_video(), source.time(2)), (3, true, 0.4));
    assert!((source.fps() - 5.0).abs() < 1e-9, "{}", source.fps());
    assert_eq!(source.name(2), "animation/000002.jpg");
    for frame in [2, 0, 1] {
        assert!(source.frame(frame).unwrap().get_pixel(4, 4).0[0].abs_diff(80 * frame as u8) < 3);
    }
    // What is cut off is missing, as in videos.
    write(&path, &bytes[..bytes.len() - 20]);
    assert_eq!(FrameSource::open(&path).unwrap().n_frames(), 2);
    write(&path, &encode(quarters(), ImageFormat::Gif));
    let source = FrameSource::open(&path).unwrap();
    assert_eq!(
        (source.n_frames(), source.is_video(), source.name(0)),
        (1, false, "animation.dat".to_owned())
    );
}
