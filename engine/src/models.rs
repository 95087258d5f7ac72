//! Which models exist, and where their files are.

mod download;
mod export;
mod own;
mod recognize;
mod shelf;

use std::{
    io,
    path::{Path, PathBuf},
    sync::LazyLock,
};

use serde::{Deserialize, Serialize};

pub use download::{DownloadError, Downloader, Progress};
pub use export::{ExportError, Exportable, Exported};
pub use own::OwnModel;
pub use recognize::{Recognized, recognize};
pub use shelf::{Added, Shelf, State};

use crate::{
    detect::DetectError,
    nn::CheckpointError,
    sam2::{Weights, WeightsError},
};

/// The model that comes with the program.
pub const BUILTIN: &str = "builtin";

/// A model whose files are published.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct KnownModel {
    /// Its name on the command line, and of the folder that a detector's files are put into.
    pub name: String,
    /// What it finds.
    pub finds: Finds,
    /// What it is good for.
    pub about: String,
    /// SPDX.
    pub license: String,
    /// The size of its files, rounded; a megabyte is a million bytes.
    pub megabytes: u64,
    /// Addresses that are followed by a file's name, the first to try first.
    pub sources: Vec<String>,
    /// Its files, the weights first.
    pub files: Vec<String>,
    /// SHA-256 of the weights, where it is known.
    #[serde(default)]
    pub sha256: Option<String>,
}

/// What a model finds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Finds {
    /// The mask of what is pointed at: SAM 2.
    Points,
    /// What words name, and what looks like examples.
    Words,
    /// The classes that it was trained on.
    Classes,
}

impl Finds {
    /// All, in the order in which they are listed.
    pub const ALL: [Self; 3] = [Self::Points, Self::Words, Self::Classes];

    /// In words.
    pub const fn title(self) -> &'static str {
        match self {
            Self::Points => "Masks by pointing, through videos too",
            Self::Words => "Objects by words and examples",
            Self::Classes => "Objects of the classes that a model was trained on",
        }
    }
}

static KNOWN: LazyLock<Vec<KnownModel>> = LazyLock::new(|| {
    #[derive(Default, Deserialize)]
    struct List {
        model: Vec<KnownModel>,
    }
    // That it can be read is tested.
    toml::from_str::<List>(include_str!("../../assets/models.toml")).unwrap_or_default().model
});

/// The official SAM 2.1 and 2.0 models.
pub fn segmenters() -> impl Iterator<Item = &'static KnownModel> + Clone {
    KNOWN.iter().filter(|model| model.finds == Finds::Points)
}

/// The official OWLv2, D-FINE and RT-DETRv2 models.
pub fn detectors() -> impl Iterator<Item = &'static KnownModel> + Clone {
    KNOWN.iter().filter(|model| model.finds != Finds::Points)
}

/// All models whose files are published.
pub fn known() -> &'static [KnownModel] {
    &KNOWN
}

/// The model of this name.
pub fn named(name: &str) -> Option<&'static KnownModel> {
    KNOWN.iter().find(|model| model.name == name)
}

impl KnownModel {
    /// Where its files are, if all models are in `folder`.
    fn place(&self, folder: &Path) -> PathBuf {
        if self.finds == Finds::Points { folder.to_owned() } else { folder.join(&self.name) }
    }

    /// Where its files are until all have come and are right.
    fn incoming(&self, folder: &Path) -> PathBuf {
        folder.join(".incoming").join(&self.name)
    }

    /// The page where it is published.
    pub fn page(&self) -> String {
        let source = self.sources.last().map_or("", String::as_str);
        source.replace("/resolve/main/", "/tree/main")
    }
}

/// Why a model cannot be had.
#[derive(Debug, thiserror::Error)]
pub enum ModelError {
    /// Neither a known name nor a file.
    #[error("there is no model or file '{0}'; models are builtin, {names}", names = names(&[Finds::Points]))]
    Unknown(String),
    /// Neither a known detector nor a file.
    #[error("there is no detector or file '{0}'; detectors are {names}", names = names(&DETECTORS))]
    UnknownDetector(String),
    /// A known model whose files are not here.
    #[error(
        "{name} is not here; `segue models get {name}` downloads it ({megabytes} MB), or get {files} from {page} and put \
         them into {}",
        folder.display(),
        name = model.name, megabytes = model.megabytes, files = model.files.join(", "), page = model.page()
    )]
    NotHere {
        /// The model.
        model: &'static KnownModel,
        /// Where its files are looked for.
        folder: PathBuf,
    },
    /// The weights are not right.
    #[error(transparent)]
    Weights(#[from] WeightsError),
    /// A file that belongs to a model is not beside its weights.
    #[error("{} needs {missing} beside it; put both into one folder", path.display())]
    Incomplete {
        /// The weights.
        path: PathBuf,
        /// The name of the file that is missing.
        missing: String,
    },
    /// The disk cannot be read.
    #[error("cannot read {}: {cause}", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// The cause that the system gives.
        cause: io::Error,
    },
    /// A file is of no model that has a name.
    #[error("{} is of no model that Segue knows by name: {cause}; give its path to --model or --detector", path.display())]
    Nameless {
        /// The file.
        path: PathBuf,
        /// Why.
        cause: String,
    },
    /// The file cannot be read.
    #[error(transparent)]
    Checkpoint(#[from] CheckpointError),
    /// The file is not the detector that it looks like.
    #[error(transparent)]
    Detector(#[from] DetectError),
    /// The disk.
    #[error("cannot write {}: {cause}", path.display())]
    Disk {
        /// The file or folder.
        path: PathBuf,
        /// What the system said.
        cause: io::Error,
    },
}

/// What a detector finds.
const DETECTORS: [Finds; 2] = [Finds::Words, Finds::Classes];

/// The names of official and own models.
fn names(finds: &[Finds]) -> String {
    let known = known().iter().filter(|model| finds.contains(&model.finds)).map(|model| model.name.clone());
    let own = Shelf::default().own().into_iter().filter(|model| finds.contains(&model.finds));
    known.chain(own.map(|model| model.name)).collect::<Vec<_>>().join(", ")
}

/// Where downloaded models are kept.
pub fn folder() -> PathBuf {
    let dirs = crate::file::user_folders();
    dirs.map_or_else(|| PathBuf::from("models"), |dirs| dirs.data_dir().join("models"))
}

/// The weights of `model`: `builtin`, a known name, or a checkpoint's path.
///
/// # Errors
/// If there is no such model, its file is not here, or does not hold what it should.
pub fn open(model: &str) -> Result<Weights, ModelError> {
    if model == BUILTIN {
        return Ok(Weights::builtin()?);
    }
    Ok(Weights::open(&find_segmenter(model)?)?)
}

/// The file of `model`: the name of an official or own SAM 2, or a file.
///
/// # Errors
/// If there is no such model, or its file is not here.
pub fn find_segmenter(model: &str) -> Result<PathBuf, ModelError> {
    let path = find(model, &[Finds::Points])?.unwrap_or_else(|| PathBuf::from(model));
    if path.exists() { Ok(path) } else { Err(ModelError::Unknown(model.to_owned())) }
}

/// The weights of the official or own model of a name that finds one of these; none if there is no such name.
fn find(name: &str, finds: &[Finds]) -> Result<Option<PathBuf>, ModelError> {
    let shelf = Shelf::default();
    let Some(model) = named(name).filter(|model| finds.contains(&model.finds)) else {
        let own = shelf.own().into_iter().find(|own| own.name == name && finds.contains(&own.finds));
        return Ok(own.map(|own| own.weights));
    };
    let weights = shelf.weights(model).map(Some);
    weights.ok_or_else(|| ModelError::NotHere { model, folder: model.place(&shelf.folder) })
}

/// The name of the detector that suits best: the built-in model for examples, and for words one that knows them, if
/// possible one whose files are here.
pub fn usual_detector(for_words: bool) -> &'static str {
    if !for_words {
        return BUILTIN;
    }
    let mut knowing = detectors().filter(|model| model.finds == Finds::Words);
    let first = knowing.clone().next().map_or(BUILTIN, |model| &model.name);
    knowing.find(|model| Shelf::default().weights(model).is_some()).map_or(first, |model| &model.name)
}

/// The file of `detector`: the name of an official or own detector, a file, or a folder with `model.safetensors`.
///
/// # Errors
/// If there is no such detector, or its files are not here.
pub fn find_detector(detector: &str) -> Result<PathBuf, ModelError> {
    let path = find(detector, &DETECTORS)?.unwrap_or_else(|| PathBuf::from(detector));
    let path = if path.is_dir() { path.join("model.safetensors") } else { path };
    if path.is_file() { Ok(path) } else { Err(ModelError::UnknownDetector(detector.to_owned())) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_list_is_whole() {
        assert_eq!((segmenters().count(), detectors().count()), (8, 13));
        for model in known() {
            let is_secure = |source: &String| source.starts_with("https://") && source.ends_with('/');
            assert!(model.sources.iter().all(is_secure) && !model.sources.is_empty(), "{model:?}");
            assert!(!model.files.is_empty() && model.megabytes > 0, "{model:?}");
            assert_eq!(known().iter().filter(|other| other.name == model.name).count(), 1);
        }
        assert_eq!(usual_detector(false), BUILTIN);
        assert!(usual_detector(true).starts_with("owlv2"));
    }
}
