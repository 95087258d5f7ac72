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
    /// The weights are not right.
    #[error(transparent)]
    Weights(#[from] WeightsError),
}

fn names() -> String {
    KNOWN.iter().map(|model| model.name).collect::<Vec<_>>().join(", ")
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
