//! `segue models`: which models there are, getting them, and whether a file is one.

use std::{
    path::{Path, PathBuf},
    time::Instant,
};

use anyhow::Context as _;
use clap::Subcommand;
use engine::{
    detector,
    models::{self, Downloader, Exportable, Finds, KnownModel, Progress},
    nn::{Cancel, Device, Runtime},
    sam2::Weights,
};

use super::{cancel_on_interrupt, say};
use crate::progress;

/// Show the models that Segue knows, get and remove them, or check a file
#[derive(Subcommand)]
pub(crate) enum Models {
    /// Show the models that Segue knows, and which are here
    List,
    /// Download models; what was begun goes on
    Get {
        /// Names, as `segue models list` shows them
        #[arg(required = true)]
        names: Vec<String>,
    },
    /// Put a file that was downloaded by hand where its model is looked for; it is recognized by what it holds
    Add {
        /// A checkpoint of SAM 2 or OWLv2; of OWLv2 vocab.json and merges.txt lie beside it
        file: PathBuf,
    },
    /// Remove the files of models
    Remove {
        /// Names, as `segue models list` shows them
        #[arg(required = true)]
        names: Vec<String>,
    },
    /// Write a model as a folder that inference servers read: Triton, OpenVINO Model Server, MLServer, KServe
    #[command(after_help = "Examples:
  segue models export sam2.1-large --out sam
  segue track clip.mp4 --prompts prompts.json --out clip.json --model sam2.1-large --device kserve+grpc://host:8001
The folder's README.md says how to start servers. What is small runs here, so the model has to be here, too.
--device takes kserve://host:port (HTTP), kserves:// (HTTPS), kserve+grpc:// and kserves+grpc:// (gRPC).
A token is read from the environment variable SEGUE_SERVER_TOKEN, or from the file that SEGUE_SERVER_TOKEN_FILE names, and
sent over TLS or within this machine only; a certificate authority of your own is a PEM file that SEGUE_SERVER_CA names.")]
    Export {
        /// builtin, a name as `segue models list` shows them, or a file
        model: String,
        /// The folder, which may only be there if it is an earlier export
        #[arg(long, value_name = "FOLDER")]
        out: PathBuf,
        /// Side in pixels of the square that images are resized to; the same must be given where the model is used
        #[arg(long, value_name = "PIXELS")]
        size: Option<usize>,
        /// Without operators that only ONNX Runtime has, for OpenVINO Model Server and others; slower
        #[arg(long)]
        portable: bool,
    },
    /// Say what a file is, or what is wrong with it; without one check all models that are here
    Check {
        /// A SAM 2 checkpoint (.pt or .safetensors), by Meta's names or transformers', or a detector
        file: Option<PathBuf>,
    },
}

impl Models {
    pub(super) fn run(self) -> anyhow::Result<()> {
        let folder = models::folder();
        match self {
            Self::List => list(),
            Self::Get { names } => {
                let (models, cancel) = (known(&names)?, cancel_on_interrupt()?);
                models.into_iter().try_for_each(|model| get(model, &folder, &cancel))
            }
            Self::Add { file } => {
                let (model, place) = models::add(&file, &folder)?;
                say(format_args!("{} is in {}", model.name, place.display()))
            }
            Self::Remove { names } => known(&names)?.into_iter().try_for_each(|model| {
                let what = if models::remove(model, &folder)? { "removed" } else { "was not here" };
                say(format_args!("{} {what}", model.name))
            }),
            Self::Export { model, out, size, portable } => export(&model, &out, size, portable),
            Self::Check { file: Some(file) } => {
                let what = match Weights::open(&file) {
                    Ok(weights) => describe(&weights),
                    // What is no SAM may be a detector; of what is neither, the first says more.
                    Err(error) => match check_detector(&file) {
                        Ok(what) => what,
                        Err(_) => return Err(error.into()),
                    },
                };
                say(format_args!("{}: {what}", file.display()))
            }
            Self::Check { file: None } => {
                let mut failures = 0;
                for model in models::known() {
                    let Some(path) = here(model) else { continue };
                    let state = check(model, &path);
                    failures += usize::from(state.is_err());
                    say(format_args!("{:17} {}", model.name, state.unwrap_or_else(|error| error)))?;
                }
                anyhow::ensure!(failures == 0, "{failures} of the models that are here cannot be used");
                Ok(())
            }
        }
    }
}

fn known(names: &[String]) -> anyhow::Result<Vec<&'static KnownModel>> {
    let all = || models::known().iter().map(|model| model.name.as_str()).collect::<Vec<_>>().join(", ");
    let model = |name: &String| {
        models::named(name).with_context(|| format!("there is no model '{name}'; models are {}", all()))
    };
    names.iter().map(model).collect()
}

/// The weights of a model, if its files are here.
fn here(model: &KnownModel) -> Option<PathBuf> {
    match model.finds {
        Finds::Points => models::find_segmenter(&model.name).ok(),
        _ => models::find_detector(&model.name).ok(),
    }
}

fn get(model: &'static KnownModel, folder: &Path, cancel: &Cancel) -> anyhow::Result<()> {
    if here(model).is_some() {
        return say(format_args!("{} is here already", model.name));
    }
    let bar = progress::bytes();
    let watch = |now: &Progress| {
        bar.set_message(now.file.clone());
        bar.set_length(now.total.unwrap_or(model.megabytes * 1_000_000));
        bar.set_position(now.done);
        !cancel.is_canceled()
    };
    let check = |path: &Path| {
        bar.set_message("checking");
        check(model, path).map(drop)
    };
    Downloader::default().get(model, folder, &check, &watch)?;
    bar.finish_and_clear();
    say(format_args!("{} is here: {}; {}", model.name, model.about, model.license))
}

fn export(model: &str, out: &Path, size: Option<usize>, portable: bool) -> anyhow::Result<()> {
    let (cancel, bar) = (cancel_on_interrupt()?, progress::bytes());
    let watch = |now: &Progress| {
        bar.set_message(now.file.clone());
        bar.set_length(now.total.unwrap_or(now.done));
        bar.set_position(now.done);
        !cancel.is_canceled()
    };
    let exportable = Exportable::find(model, size)?;
    let exportable = if portable { exportable.portable() } else { exportable };
    let exported = exportable.write(out, &watch)?;
    bar.finish_and_clear();
    for part in &exported.parts {
        say(part)?;
    }
    let (n, megabytes) = (exported.parts.len(), exported.n_bytes as f64 / 1e6);
    let n = if n == 1 { "1 part".to_owned() } else { format!("{n} parts") };
    say(format_args!("{n}, {megabytes:.1} MB; README.md in {} says how to serve them", out.display()))
}

/// Whether a file holds every tensor of its model, and nothing else; what it is.
fn check(model: &KnownModel, path: &Path) -> Result<String, String> {
    match model.finds {
        Finds::Points => Weights::open(path).map(|weights| describe(&weights)).map_err(|e| e.to_string()),
        _ => check_detector(path).map_err(|error| format!("{error:#}")),
    }
}

fn check_detector(path: &Path) -> anyhow::Result<String> {
    let start = Instant::now();
    let detector = detector::open(&Runtime::start(Some(Device::Cpu), None)?, path, None)?;
    let finds = detector.classes().map_or_else(
        || "finds by words and examples".to_owned(),
        |classes| format!("finds {} classes", classes.len()),
    );
    let took = start.elapsed().as_secs_f32();
    Ok(format!("a detector, {finds}; loaded in {took:.1} s"))
}

fn list() -> anyhow::Result<()> {
    say(format_args!("{:17} here: {}", models::BUILTIN, describe(&Weights::builtin()?)))?;
    for model in models::known() {
        let state = match (model.finds, here(model)) {
            (Finds::Points, Some(path)) => match Weights::open(&path) {
                Ok(weights) => format!("here: {}", describe(&weights)),
                Err(error) => format!("here, but {error}"),
            },
            (_, Some(path)) => format!("here: {}", path.display()),
            (_, None) => format!("{} MB, {}; {}", model.megabytes, model.license, model.about),
        };
        say(format_args!("{:17} {state}", model.name))?;
    }
    say(format_args!(
        "`segue models get NAME` downloads one into {}; files from elsewhere: `segue models add FILE`",
        models::folder().display()
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
