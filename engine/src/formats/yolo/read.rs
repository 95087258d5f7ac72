//! YOLO's text files.

use std::{
    fs,
    io::{self, BufRead as _},
    path::{Path, PathBuf},
    sync::Arc,
};

use serde_yaml_ng::Value;

use crate::{
    formats::{
        Dataset, FormatError, Reading, Shape,
        dataset::{Builder, without_suffix},
        head,
        polygon::rasterize,
    },
    geometry::{Rect, Size},
    media::image_size,
};

/// What a folder's lines are: what its YAML file says, or what the first lines look like.
pub(super) fn task(path: &Path) -> Option<&'static str> {
    let folder = folder_of(path);
    let names = names_of(folder)?;
    if let Ok(Value::Mapping(yaml)) = serde_yaml_ng::from_str::<Value>(&fs::read_to_string(&names).ok()?) {
        yaml.get("names")?;
        let said = yaml.get("task").and_then(Value::as_str);
        if let Some(task) = ["detect", "segment", "obb"].into_iter().find(|task| Some(*task) == said) {
            return Some(task);
        }
    }
    let files = head::files(folder, "txt").into_iter().take(20);
    let lines: Vec<usize> = files
        .filter_map(|file| head::glance(&file))
        .flat_map(|text| text.lines().filter_map(n_numbers).collect::<Vec<usize>>())
        .collect();
    match () {
        // Of polygons, not all would have four corners.
        () if !lines.is_empty() && lines.iter().all(|n| *n == 9) => Some("obb"),
        () if lines.iter().any(|n| *n > 6) => Some("segment"),
        () if lines.contains(&5) => Some("detect"),
        () => None,
    }
}

/// How many numbers a line has, if it has any and nothing else.
fn n_numbers(line: &str) -> Option<usize> {
    let words = line.split_whitespace();
    let n = words.map(|word| word.parse::<f64>().ok().map(|_| 1)).sum::<Option<usize>>();
    n.filter(|n| *n > 0)
}

/// The folder that a path is or, if it is the YAML file itself, that it is in.
fn folder_of(path: &Path) -> &Path {
    let is_yaml =
        path.is_file() && path.extension().is_some_and(|suffix| suffix == "yaml" || suffix == "yml");
    path.parent().filter(|_| is_yaml).unwrap_or(path)
}

/// The file that names the classes: YAML, or a name a line, as Darknet and LabelImg have it.
fn names_of(folder: &Path) -> Option<PathBuf> {
    let plain = ["obj.names", "classes.txt", "labels/classes.txt"].map(|name| folder.join(name));
    yaml_of(folder).or_else(|| plain.into_iter().find(|file| file.is_file()))
}

fn yaml_of(folder: &Path) -> Option<PathBuf> {
    let entries = fs::read_dir(folder).ok()?;
    let mut files: Vec<PathBuf> = entries.flatten().map(|entry| entry.path()).collect();
    files.retain(|file| file.extension().is_some_and(|suffix| suffix == "yaml" || suffix == "yml"));
    files.sort();
    files.into_iter().next()
}

/// Boxes and polygons.
pub(super) fn read(reading: &Reading<'_>) -> Result<Dataset, FormatError> {
    read_lines(reading, &|numbers, size| match numbers {
        [x, y, width, height] => Ok(Shape::Box(pixels(
            [x - width / 2.0, y - height / 2.0, x + width / 2.0, y + height / 2.0],
            size,
        ))),
        _ if numbers.len() >= 6 && numbers.len().is_multiple_of(2) => {
            let polygon: Vec<f64> = numbers
                .chunks(2)
                .flat_map(|xy| [xy[0] * size.width as f64, xy[1] * size.height as f64])
                .collect();
            let mask = rasterize(&[polygon], size).map_err(|error| error.to_string())?;
            Ok(Shape::Mask(Arc::new(mask)))
        }
        _ => Err("it is neither a box nor a polygon".to_owned()),
    })
}

/// Four corners: the upright box round them.
pub(super) fn read_oriented(reading: &Reading<'_>) -> Result<Dataset, FormatError> {
    read_lines(reading, &|numbers, size| {
        if numbers.len() != 8 {
            return Err("it has not four corners".to_owned());
        }
        let range = |axis: usize| {
            let values = numbers.iter().skip(axis).step_by(2).copied();
            values.fold([f64::INFINITY, f64::NEG_INFINITY], |[min, max], v| [min.min(v), max.max(v)])
        };
        let ([x0, x1], [y0, y1]) = (range(0), range(1));
        Ok(Shape::Box(pixels([x0, y0, x1, y1], size)))
    })
}

fn pixels([x0, y0, x1, y1]: [f64; 4], size: Size) -> Rect {
    let (width, height) = (size.width as f64, size.height as f64);
    Rect::from([x0 * width, y0 * height, x1 * width, y1 * height].map(|v| v as f32))
}

/// What the numbers after the class say on an image of a size.
type Told = dyn Fn(&[f64], Size) -> Result<Shape, String>;

fn read_lines(reading: &Reading<'_>, told: &Told) -> Result<Dataset, FormatError> {
    let folder = folder_of(reading.path);
    let lacks = FormatError::Lacks { path: folder.to_owned(), lacks: "names of classes beside its labels" };
    let yaml = names_of(folder).ok_or(lacks)?;
    let text = fs::read_to_string(&yaml).map_err(|cause| FormatError::Read { path: yaml.clone(), cause })?;
    let is_yaml = yaml_of(folder).is_some();
    let plain = || Ok(text.lines().map(|line| line.trim().to_owned()).collect());
    let names = if is_yaml { names(&text) } else { plain() };
    let names = names.map_err(|cause| FormatError::Damaged { path: yaml.clone(), cause })?;
    let mut builder = Builder::default();
    let categories: Vec<usize> = names.iter().map(|name| builder.category(name)).collect();
    let mut files = head::files(folder, "txt");
    // Lists of images, and names.
    let others = ["classes.txt", "train.txt", "val.txt", "valid.txt", "test.txt"];
    files.retain(|file| {
        let name = file.file_name().unwrap_or_default().to_string_lossy();
        !others.contains(&&*name) && !name.starts_with("README")
    });
    for (i, file) in files.iter().enumerate() {
        if !(reading.progress)(i, files.len()) {
            return Err(FormatError::Canceled);
        }
        let (image_name, size) = image_of(folder, file, reading);
        let image = builder.image(&image_name, size);
        let lines = fs::File::open(file).map(io::BufReader::new);
        let lines = lines.map_err(|cause| FormatError::Read { path: file.clone(), cause })?.lines();
        for (line, n) in lines.zip(1..) {
            let what = format!("line {n} of {}", file.strip_prefix(folder).unwrap_or(file).display());
            let line = match line {
                Ok(line) => line,
                Err(error) => {
                    builder.refuse(what, error);
                    break;
                }
            };
            if line.trim().is_empty() {
                continue;
            }
            match parse(&line, &categories, size, told) {
                Ok((category, shape)) => drop(builder.annotate(what, image, category, shape)),
                Err(why) => builder.refuse(what, why),
            }
        }
    }
    builder.finish(folder, "labels as YOLO has them")
}

fn parse(
    line: &str,
    categories: &[usize],
    size: Option<Size>,
    told: &Told,
) -> Result<(usize, Shape), String> {
    let mut words = line.split_whitespace();
    let class =
        words.next().and_then(|word| word.parse::<usize>().ok()).ok_or("it does not begin with a class")?;
    let category = *categories.get(class).ok_or_else(|| format!("there is no class {class}"))?;
    let numbers: Vec<f64> = words
        .map(|word| word.parse().map_err(|error| format!("{word} is no number ({error})")))
        .collect::<Result<_, _>>()?;
    if let Some(number) = numbers.iter().find(|number| !(-1.0..=2.0).contains(*number)) {
        return Err(format!("{number} is no share of an image's side"));
    }
    let size = size.ok_or("the size of its image is not known, for the image is not there")?;
    Ok((category, told(&numbers, size)?))
}

/// The names of the classes, which are a list, or a map from numbers.
fn names(yaml: &str) -> Result<Vec<String>, String> {
    let yaml: Value = serde_yaml_ng::from_str(yaml).map_err(|error| error.to_string())?;
    let text = |value: &Value| match value {
        Value::String(text) => text.clone(),
        other => serde_yaml_ng::to_string(other).unwrap_or_default().trim().to_owned(),
    };
    match yaml.get("names") {
        Some(Value::Sequence(names)) => Ok(names.iter().map(text).collect()),
        Some(Value::Mapping(names)) => {
            let mut all = Vec::new();
            for i in 0..names.len() {
                let name = names.get(Value::from(i)).ok_or_else(|| format!("class {i} has no name"))?;
                all.push(text(name));
            }
            Ok(all)
        }
        _ => Err("it has no names".to_owned()),
    }
}

/// The image of a label file, with its size as far as it is known. Ultralytics has it in the same place of a folder of
/// images as the label is in one of labels; others have it beside the label.
fn image_of(folder: &Path, file: &Path, reading: &Reading<'_>) -> (String, Option<Size>) {
    const SUFFIXES: [&str; 8] = ["jpg", "jpeg", "png", "webp", "bmp", "tif", "tiff", "JPG"];
    /// Folders that are no part of an image's own name.
    const PARTS: [&str; 8] =
        ["labels", "train", "val", "valid", "test", "images", "obj_train_data", "obj_valid_data"];
    let path = file.strip_prefix(folder).unwrap_or(file).to_string_lossy().replace('\\', "/");
    let names: Vec<&str> = without_suffix(&path).split('/').collect();
    let twin: Vec<&str> = names.iter().map(|name| if *name == "labels" { "images" } else { *name }).collect();
    let n_parts = names[..names.len() - 1].iter().take_while(|name| PARTS.contains(*name)).count();
    let own = names[n_parts..].join("/");
    for suffix in SUFFIXES {
        let places = [&twin, &names].map(|names| folder.join(format!("{}.{suffix}", names.join("/"))));
        if let Some(file) = places.iter().find(|file| file.is_file()) {
            return (format!("{own}.{suffix}"), image_size(file).ok());
        }
    }
    let size = (reading.size)(&own);
    (own, size)
}
