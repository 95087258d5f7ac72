//! Metadata of a detector, from its ONNX file or files in the same folder: classes, task, image size, and whether
//! colors are normalized.

use std::{collections::BTreeMap, path::Path};

use serde::Deserialize;

use super::{layout::Task, literal::Literal};
use crate::nn::Model;

/// Class names, as a list or by class id.
#[derive(Deserialize)]
#[serde(untagged)]
enum Names {
    List(Vec<String>),
    Numbered(BTreeMap<usize, String>),
}

/// Upper limit of class ids; a file with higher ones is rejected.
const MAX_CLASSES: usize = 100_000;

impl Names {
    /// Parses a dict, a list, or names separated by newlines or commas; returns `None` for any other text.
    fn read(text: &str) -> Option<Self> {
        let text_of = |value: &Literal| value.word().map(str::to_owned);
        match Literal::read(text) {
            Some(Literal::List(items)) => items.iter().map(text_of).collect::<Option<_>>().map(Self::List),
            Some(Literal::Dict(pairs)) => {
                let pair = |(key, value): &(Literal, Literal)| Some((key.size()?, text_of(value)?));
                pairs.iter().map(pair).collect::<Option<_>>().map(Self::Numbered)
            }
            _ if text.contains(['{', '[']) => None,
            _ => {
                let parts = text.split(['\n', ',']).map(str::trim).filter(|part| !part.is_empty());
                let list: Vec<String> = parts.map(str::to_owned).collect();
                (!list.is_empty()).then_some(Self::List(list))
            }
        }
    }

    /// Returns the names in the order of their ids. Missing ids get names such as "class 3".
    fn list(self) -> Result<Vec<String>, String> {
        match self {
            Self::List(list) => Ok(list),
            Self::Numbered(mut names) => {
                let n = names.last_key_value().map_or(0, |(last, _)| last + 1);
                if n > MAX_CLASSES {
                    return Err(format!("a class has the number {}", n - 1));
                }
                Ok((0..n).map(|i| names.remove(&i).unwrap_or_else(|| format!("class {i}"))).collect())
            }
        }
    }
}

#[derive(Deserialize)]
struct DataYaml {
    names: Names,
}

#[derive(Deserialize)]
struct HubConfig {
    id2label: BTreeMap<usize, String>,
}

/// Returns the class names from the first of: a text file with the model's name, the model's metadata, and commonly
/// used files in the same folder. Returns `None` if there are no names.
pub(super) fn of(model: &Model, path: &Path) -> Result<Option<Vec<String>>, String> {
    if let Some(list) = lines(&path.with_extension("txt"))? {
        return Ok(Some(list));
    }
    if let Some((key, text)) = NAMES.iter().find_map(|key| Some((key, model.metadata(key)?))) {
        let names = Names::read(&text)
            .ok_or_else(|| format!("its metadata \"{key}\" is neither a list nor a dict of names"))?;
        return names.list().map(Some);
    }
    let beside = |name: &str| path.with_file_name(name);
    for name in ["classes.txt", "labels.txt", "names.txt"] {
        if let Some(list) = lines(&beside(name))? {
            return Ok(Some(list));
        }
    }
    if let Some(text) = read(&beside("data.yaml"))? {
        let data: DataYaml =
            serde_yaml_ng::from_str(&text).map_err(|e| format!("data.yaml beside it: {e}"))?;
        return data.names.list().map(Some);
    }
    if let Some(text) = read(&beside("config.json"))? {
        let config: HubConfig =
            serde_json::from_str(&text).map_err(|e| format!("config.json beside it: {e}"))?;
        return Names::Numbered(config.id2label).list().map(Some);
    }
    Ok(None)
}

/// Metadata keys under which exporters store class names; Ultralytics uses the first.
const NAMES: [&str; 4] = ["names", "class_names", "classes", "labels"];

/// Returns the task in the metadata of Ultralytics.
///
/// # Errors
/// If the task is not object detection, segmentation or pose estimation.
pub(super) fn task(model: &Model) -> Result<Option<Task>, String> {
    let Some(task) = model.metadata("task") else { return Ok(None) };
    Ok(Some(match task.trim() {
        "detect" => Task::Detect,
        "segment" => Task::Segment,
        "pose" => Task::Pose,
        "obb" => Task::Oriented,
        other => return Err(format!("its task is \"{other}\", which finds no objects")),
    }))
}

/// Returns the number of columns for all keypoints of an object: 51 for 17 keypoints with x, y and a score.
pub(super) fn n_keypoint_columns(model: &Model) -> Option<usize> {
    let shape = Literal::read(&model.metadata("kpt_shape")?)?.sizes()?;
    shape.iter().try_fold(1_usize, |product, n| product.checked_mul(*n)).filter(|_| shape.len() == 2)
}

fn lines(path: &Path) -> Result<Option<Vec<String>>, String> {
    let lines =
        |text: String| text.lines().map(str::trim).filter(|l| !l.is_empty()).map(str::to_owned).collect();
    Ok(read(path)?.map(lines))
}

fn read(path: &Path) -> Result<Option<String>, String> {
    match std::fs::read_to_string(path) {
        Ok(text) => Ok(Some(text)),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(format!("{}: {error}", path.display())),
    }
}

/// Returns the image size in pixels in the metadata of Ultralytics.
pub(super) fn image_size(model: &Model) -> Option<usize> {
    let sizes = Literal::read(&model.metadata("imgsz")?)?;
    let sizes = sizes.sizes().or_else(|| Some(vec![sizes.size()?]))?;
    sizes.first().copied().filter(|n| (32..=8192).contains(n))
}

#[derive(Deserialize)]
struct Preprocessing {
    do_normalize: bool,
}

/// Returns true if the `preprocessor_config.json` of transformers in the same folder says that colors are normalized;
/// `None` if there is no such file.
pub(super) fn normalizes(path: &Path) -> Option<bool> {
    let text = std::fs::read_to_string(path.with_file_name("preprocessor_config.json")).ok()?;
    serde_json::from_str(&text).ok().map(|Preprocessing { do_normalize }| do_normalize)
}
