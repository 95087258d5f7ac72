//! What an ONNX file, or a file beside it, says of the detector: its classes, its image size, how pictures are prepared.

use std::{collections::BTreeMap, path::Path};

use serde::Deserialize;

use crate::nn::Model;

/// Names by number, or a list of them.
#[derive(Deserialize)]
#[serde(untagged)]
enum Names {
    List(Vec<String>),
    Numbered(BTreeMap<usize, String>),
}

impl Names {
    fn list(self) -> Result<Vec<String>, String> {
        match self {
            Self::List(list) => Ok(list),
            Self::Numbered(names) => {
                if !names.keys().copied().eq(0..names.len()) {
                    return Err("its classes are not numbered from 0 on".to_owned());
                }
                Ok(names.into_values().collect())
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
    if let Some(text) = model.metadata("names") {
        // Written by Python, whose dictionaries and lists are YAML.
        let names: Names = serde_yaml_ng::from_str(&text)
            .map_err(|e| format!("its metadata \"names\" is neither a list nor a dictionary ({e})"))?;
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
    let sizes: Vec<usize> = serde_yaml_ng::from_str(&model.metadata("imgsz")?).ok()?;
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
