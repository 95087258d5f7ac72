//! Image files of all kinds against Pillow, NumPy and tifffile.

use std::{fs, path::Path};

use engine::{
    geometry::Size,
    media::{FrameSource, image_size, read_image},
};
use serde_json::Value;

use crate::python;

/// Checks all files of a group of `tests/reference/images.py`.
#[track_caller]
fn check(group: &str) {
    let folder = tempfile::tempdir().unwrap();
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("reference/images.py");
    let files = python::script(&script, &[group, folder.path().to_str().unwrap()]);
    let files = files.as_array().unwrap();
    let wrong: Vec<String> = files.iter().filter_map(|file| check_file(folder.path(), file).err()).collect();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// Compares sizes, times and pixels of one file, reading frames forward and then from the end.
fn check_file(folder: &Path, file: &Value) -> Result<(), String> {
    let name = file["file"].as_str().unwrap();
    let path = folder.join(name);
    let [width, height] = [0, 1].map(|i| file["size"][i].as_u64().unwrap() as usize);
    let frames: Vec<Vec<u8>> = file["frames"]
        .as_array()
        .unwrap()
        .iter()
        .map(|frame| fs::read(folder.join(frame.as_str().unwrap())).unwrap())
        .collect();
    let tolerance = file["tolerance"].as_u64().unwrap() as u8;
    let size = Size::new(width, height);

    let found = image_size(&path).map_err(|error| error.to_string())?;
    if found != size {
        return Err(format!("{name} is {found}, not {size}"));
    }
    let mut source = FrameSource::open(&path).map_err(|error| error.to_string())?;
    if (source.n_frames(), source.size()) != (frames.len(), size) {
        return Err(format!(
            "{name} has {} frames of {}, not {} of {size}",
            source.n_frames(),
            source.size(),
            frames.len()
        ));
    }
    assert_eq!(source.is_video(), frames.len() > 1, "{name}");
    let differ = |frame: usize, pixels: &[u8]| {
        let worst = pixels.iter().zip(&frames[frame]).map(|(a, b)| a.abs_diff(*b)).max();
        let n = pixels.iter().zip(&frames[frame]).filter(|(a, b)| a.abs_diff(**b) > tolerance).count();
        if pixels.len() == frames[frame].len() && n == 0 {
            return Ok(());
        }
        let at =
            pixels.iter().zip(&frames[frame]).position(|(a, b)| a.abs_diff(*b) > tolerance).unwrap_or(0) / 3;
        let (x, y) = (at % width, at / width);
        let (a, b) = (&pixels[3 * at..3 * at + 3], &frames[frame][3 * at..3 * at + 3]);
        Err(format!(
            "{name}, frame {frame}: {n} values differ, by up to {worst:?}; first at {x},{y}: {a:?}, not {b:?}"
        ))
    };
    let first = read_image(&path).map_err(|error| error.to_string())?;
    differ(0, first.as_raw())?;
    for frame in (0..frames.len()).chain((0..frames.len()).rev()) {
        let pixels = source.frame(frame).map_err(|error| error.to_string())?;
        differ(frame, pixels.as_raw())?;
    }
    for (frame, time) in file["times"].as_array().into_iter().flatten().enumerate() {
        let (time, found) = (time.as_f64().unwrap(), source.time(frame));
        if (time - found).abs() > 1e-6 {
            return Err(format!("{name}, frame {frame} is at {found} s, not {time} s"));
        }
    }
    Ok(())
}

#[test]
fn deep_samples_are_scaled_by_their_values() {
    check("deep");
}

#[test]
fn tiff_colors_and_layouts_are_as_in_pillow() {
    check("tiff");
}

#[test]
fn pages_and_animations_are_as_in_pillow() {
    check("pages");
}

#[test]
fn unusual_images_are_as_in_pillow() {
    check("common");
}

#[test]
fn orientation_tags_turn_images_upright() {
    check("turned");
}

/// Checks that no file of a group is read once its end is missing.
#[track_caller]
fn check_cut(group: &str) {
    let folder = tempfile::tempdir().unwrap();
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("reference/images.py");
    let files = python::script(&script, &[group, folder.path().to_str().unwrap()]);
    for file in files.as_array().unwrap() {
        let path = folder.path().join(file["file"].as_str().unwrap());
        let bytes = fs::read(&path).unwrap();
        for length in [bytes.len() / 8, bytes.len() / 2, bytes.len() * 9 / 10] {
            super::write(&path, &bytes[..length]);
            let error = read_image(&path).err().map(|error| error.to_string()).unwrap_or_default();
            assert!(error.starts_with("cannot read "), "{} cut to {length}: '{error}'", path.display());
        }
    }
}

#[test]
fn cut_files_of_new_kinds_are_refused() {
    for kind in ["avif", "heic", "jxl"] {
        check_cut(kind);
    }
}

#[test]
fn avif_is_as_in_pillow() {
    check("avif");
}

#[test]
fn heic_grids_are_put_together() {
    check("heic");
}

#[test]
fn jpeg_xl_is_as_libjxl_writes_it() {
    check("jxl");
}
