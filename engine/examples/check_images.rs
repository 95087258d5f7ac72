//! temporary
use engine::{
    geometry::Size,
    media::{FrameSource, image_size, read_image},
};
use serde_json::Value;
use std::{fs, path::Path};
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
fn main() {
    for group in std::env::args().skip(1) {
        if group.contains('/') {
            let start = std::time::Instant::now();
            let path = Path::new(&group);
            let size = image_size(path).map_err(|e| e.to_string());
            let t = start.elapsed();
            let image = read_image(path)
                .map(|i| {
                    (i.dimensions(), *i.as_raw().iter().min().unwrap(), *i.as_raw().iter().max().unwrap())
                })
                .map_err(|e| e.to_string());
            println!("{group}: {size:?} {t:?}; {image:?} {:?}", start.elapsed());
            continue;
        }
        let text = fs::read(format!("/tmp/imgtest/{group}.json")).unwrap();
        let files: Value = serde_json::from_slice(&text).unwrap();
        let files = files.as_array().unwrap();
        let n = files
            .iter()
            .filter(|file| match check_file(&Path::new("/tmp/imgtest").join(&group), file) {
                Ok(()) => true,
                Err(e) => {
                    println!("{group}: {e}");
                    false
                }
            })
            .count();
        println!("{group}: {n} of {}", files.len());
    }
}
