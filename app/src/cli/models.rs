//! `segue models`: which models there are, and whether a file is one.

use std::path::PathBuf;

use clap::Subcommand;
use engine::{models, sam2::Weights};

use super::say;

/// Show the models that Segue knows, or check a checkpoint
#[derive(Subcommand)]
pub(crate) enum Models {
    /// Show the models that Segue knows, and which are here
    List,
    /// Say what a checkpoint is, or what is wrong with it
    Check {
        /// A SAM 2 checkpoint (.pt or .safetensors), by Meta's names or transformers'
        file: PathBuf,
    },
}

impl Models {
    pub(super) fn run(self) -> anyhow::Result<()> {
        match self {
            Self::List => list(),
            Self::Check { file } => {
                let weights = Weights::open(&file)?;
                say(format_args!("{}: {}", file.display(), describe(&weights)))
            }
        }
    }
}

fn list() -> anyhow::Result<()> {
    say(format_args!("{:17} here: {}", models::BUILTIN, describe(&Weights::builtin()?)))?;
    for known in models::KNOWN {
        let state = match models::open(known.name) {
            Ok(weights) => format!("here: {}", describe(&weights)),
            Err(models::ModelError::NotHere { url, .. }) => url.to_owned(),
            Err(error) => format!("here, but {error}"),
        };
        say(format_args!("{:17} {state}", known.name))?;
    }
    for known in models::DETECTORS {
        let state = match models::find_detector(known.name) {
            Ok(path) => format!("here: {}", path.display()),
            Err(_) => format!("https://huggingface.co/{}: {}", known.repository, known.files.join(", ")),
        };
        say(format_args!("{:17} {state}", known.name))?;
    }
    let folder = models::folder();
    say(format_args!(
        "weights of SAM are looked for in {}, the files of a detector in a folder of its name there",
        folder.display()
    ))
}

fn describe(weights: &Weights) -> String {
    let config = &weights.config;
    let version = if config.is_2_1 { "2.1" } else { "2.0" };
    let official = config.official_name().unwrap_or("of its own size");
    let n_weights: usize =
        weights.checkpoint.tensors().map(|(_, shape)| shape.iter().product::<usize>()).sum();
    let millions = n_weights as f64 / 1e6;
    format!("SAM {version} {official}, {millions:.1} million weights, {0}x{0} images", config.image_size)
}
