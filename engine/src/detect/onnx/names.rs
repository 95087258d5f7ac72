//! What an ONNX file, or a file beside it, says of the detector: its classes, its image size, how pictures are prepared.

use std::{collections::BTreeMap, path::Path};

use serde::Deserialize;

use super::{layout::Task, literal::Literal};
use crate::nn::Model;

/// Names by number, or a list of them.
#[derive(Deserialize)]
#[serde(untagged)]
enum Names {
    List(Vec<String>),
    Numbered(BTreeMap<usize, String>),
}

/// A class of a higher number is none.
const MAX_CLASSES: usize = 100_000;

impl Names {
    /// Reads metadata; none if it is neither a dict, a list nor a line a name.
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

    /// The names in the order of their numbers; numbers that are left out have names that say so.
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

/// The classes: a text file of the model's name, else the file's own metadata, else what commonly lies beside it; none if
/// nobody names them.
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

/// What exporters call the metadata with the names of classes; Ultralytics the first.
const NAMES: [&str; 4] = ["names", "class_names", "classes", "labels"];

/// What the model does, by the metadata of Ultralytics.
///
/// # Errors
/// If that is something else than finding objects.
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

/// Numbers of all keypoints of an object: of 17 keypoints with x, y and a score 51.
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

/// The image size that the file's metadata names, as Ultralytics writes it.
pub(super) fn image_size(model: &Model) -> Option<usize> {
    let sizes = Literal::read(&model.metadata("imgsz")?)?;
    let sizes = sizes.sizes().or_else(|| Some(vec![sizes.size()?]))?;
    sizes.first().copied().filter(|n| (32..=8192).contains(n))
}

#[derive(Deserialize)]
struct Preprocessing {
    do_normalize: bool,
}

/// Whether a `preprocessor_config.json` beside the file, as transformers writes it, says that colors are normalized.
pub(super) fn normalizes(path: &Path) -> Option<bool> {
    let text = std::fs::read_to_string(path.with_file_name("preprocessor_config.json")).ok()?;
    serde_json::from_str(&text).ok().map(|Preprocessing { do_normalize }| do_normalize)
}
