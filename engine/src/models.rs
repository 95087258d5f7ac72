//! Which models exist, and where their weights are.

use std::path::{Path, PathBuf};

use crate::sam2::{Weights, WeightsError};

/// The model that comes with the program.
pub const BUILTIN: &str = "builtin";

/// A model whose weights are published.
#[derive(Debug)]
pub struct KnownModel {
    /// Its name on the command line.
    pub name: &'static str,
    /// The file that its authors publish; the same model as `.safetensors` is found too.
    pub file: &'static str,
    /// Where they publish it.
    pub url: &'static str,
}

macro_rules! known_models {
    ($($name:literal, $folder:literal, $file:literal;)*) => {
        /// The official SAM 2.1 and 2.0 models.
        pub const KNOWN: &[KnownModel] = &[$(KnownModel {
            name: $name,
            file: $file,
            url: concat!("https://dl.fbaipublicfiles.com/segment_anything_2/", $folder, "/", $file),
        }),*];
    };
}

known_models! {
    "sam2.1-tiny", "092824", "sam2.1_hiera_tiny.pt";
    "sam2.1-small", "092824", "sam2.1_hiera_small.pt";
    "sam2.1-base-plus", "092824", "sam2.1_hiera_base_plus.pt";
    "sam2.1-large", "092824", "sam2.1_hiera_large.pt";
    "sam2-tiny", "072824", "sam2_hiera_tiny.pt";
    "sam2-small", "072824", "sam2_hiera_small.pt";
    "sam2-base-plus", "072824", "sam2_hiera_base_plus.pt";
    "sam2-large", "072824", "sam2_hiera_large.pt";
}

/// A detector whose weights are published.
#[derive(Debug)]
pub struct KnownDetector {
    /// Its name on the command line, and of the folder that its files are put into.
    pub name: &'static str,
    /// Its repository on Hugging Face.
    pub repository: &'static str,
    /// The files that are needed.
    pub files: &'static [&'static str],
}

impl KnownDetector {
    /// Whether it finds by words.
    pub fn knows_words(&self) -> bool {
        self.files == OPEN
    }
}

macro_rules! known_detectors {
    ($($name:literal, $repository:literal, $files:expr;)*) => {
        /// The official OWLv2, D-FINE and RT-DETRv2 models.
        pub const DETECTORS: &[KnownDetector] =
            &[$(KnownDetector { name: $name, repository: $repository, files: $files }),*];
    };
}

const OPEN: &[&str] = &["model.safetensors", "vocab.json", "merges.txt"];
const CLOSED: &[&str] = &["model.safetensors", "config.json"];

known_detectors! {
    "owlv2-base", "google/owlv2-base-patch16-ensemble", OPEN;
    "owlv2-large", "google/owlv2-large-patch14-ensemble", OPEN;
    "owlv2-base-plain", "google/owlv2-base-patch16", OPEN;
    "owlv2-large-plain", "google/owlv2-large-patch14", OPEN;
    "dfine-nano", "ustc-community/dfine-nano-coco", CLOSED;
    "dfine-small", "ustc-community/dfine-small-coco", CLOSED;
    "dfine-medium", "ustc-community/dfine-medium-coco", CLOSED;
    "dfine-large", "ustc-community/dfine-large-coco", CLOSED;
    "dfine-xlarge", "ustc-community/dfine-xlarge-coco", CLOSED;
    "rtdetr-r18", "PekingU/rtdetr_v2_r18vd", CLOSED;
    "rtdetr-r34", "PekingU/rtdetr_v2_r34vd", CLOSED;
    "rtdetr-r50", "PekingU/rtdetr_v2_r50vd", CLOSED;
    "rtdetr-r101", "PekingU/rtdetr_v2_r101vd", CLOSED;
}

/// The name of the detector that suits best: the built-in model for examples, and for words one that knows them, if
/// possible one whose files are here.
pub fn usual_detector(for_words: bool) -> &'static str {
    if !for_words {
        return BUILTIN;
    }
    let mut knowing = DETECTORS.iter().filter(|known| known.knows_words());
    let first = knowing.clone().next().map_or(BUILTIN, |known| known.name);
    knowing.find(|known| find_detector(known.name).is_ok()).map_or(first, |known| known.name)
}

/// The file of `detector`: a known name, a file, or a folder with `model.safetensors`.
///
/// # Errors
/// If there is no such detector, or its files are not here.
pub fn find_detector(detector: &str) -> Result<PathBuf, ModelError> {
    let known = DETECTORS.iter().find(|known| known.name == detector);
    let path = known.map_or_else(|| PathBuf::from(detector), |known| folder().join(known.name));
    let path = if path.is_dir() { path.join(CLOSED[0]) } else { path };
    match known {
        _ if path.is_file() => Ok(path),
        Some(known) => Err(ModelError::DetectorNotHere { known, folder: folder().join(known.name) }),
        None => Err(ModelError::UnknownDetector(detector.to_owned())),
    }
}

/// Why a model cannot be had.
#[derive(Debug, thiserror::Error)]
pub enum ModelError {
    /// Neither a known name nor a file.
    #[error("there is no model or file '{0}'; models are builtin, {names}", names = names())]
    Unknown(String),
    /// A known model whose file is not here.
    #[error("the weights of {name} are not here; get {url} and put the file into {}", folder.display())]
    NotHere {
        /// The model.
        name: &'static str,
        /// Where its weights are published.
        url: &'static str,
        /// Where they are looked for.
        folder: PathBuf,
    },
    /// Neither a known detector nor a file.
    #[error("there is no detector or file '{0}'; detectors are {names}", names = detector_names())]
    UnknownDetector(String),
    /// A known detector whose files are not here.
    #[error(
        "{} is not here; get {} from https://huggingface.co/{} and put them into {}",
        known.name, known.files.join(", "), known.repository, folder.display()
    )]
    DetectorNotHere {
        /// The detector.
        known: &'static KnownDetector,
        /// Where its files are looked for.
        folder: PathBuf,
    },
    /// The weights are not right.
    #[error(transparent)]
    Weights(#[from] WeightsError),
}

fn names() -> String {
    KNOWN.iter().map(|model| model.name).collect::<Vec<_>>().join(", ")
}

fn detector_names() -> String {
    DETECTORS.iter().map(|known| known.name).collect::<Vec<_>>().join(", ")
}

/// Where downloaded weights are kept.
pub fn folder() -> PathBuf {
    let dirs = directories::ProjectDirs::from("", "", "segue");
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
    if let Some(known) = KNOWN.iter().find(|known| known.name == model) {
        let folder = folder();
        let published = folder.join(known.file);
        let candidates = [published.with_extension("safetensors"), published];
        let not_here = ModelError::NotHere { name: known.name, url: known.url, folder };
        let path = candidates.iter().find(|path| path.is_file()).ok_or(not_here)?;
        return Ok(Weights::open(path)?);
    }
    let path = Path::new(model);
    if !path.exists() {
        return Err(ModelError::Unknown(model.to_owned()));
    }
    Ok(Weights::open(path)?)
}
