//! `segue models`: which models there are, getting them, and whether a file is one.

use std::path::{Path, PathBuf};

use anyhow::Context as _;
use clap::Subcommand;
use engine::{
    detector,
    models::{self, Downloader, Exportable, Finds, KnownModel, Progress, Shelf, State, recognize},
    nn::{Cancel, Device, Runtime},
    sam2::Weights,
};

use super::{cancel_on_interrupt, say};
use crate::{looks::LookTimes, progress, settings};

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
        /// A checkpoint of SAM 2, or a detector's model.safetensors with config.json or vocab.json and merges.txt beside it
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
        let shelf = Shelf::default();
        match self {
            Self::List => list(&shelf),
            Self::Get { names } => {
                let (models, cancel) = (known(&names)?, cancel_on_interrupt()?);
                models.into_iter().try_for_each(|model| get(&shelf, model, &cancel))
            }
            Self::Add { file } => {
                let (model, place) = shelf.add(&file)?;
                say(format_args!("{} is in {}", model.name, place.display()))
            }
            Self::Remove { names } => known(&names)?.into_iter().try_for_each(|model| {
                let what = if shelf.remove(model)? { "removed" } else { "was not here" };
                say(format_args!("{} {what}", model.name))
            }),
            Self::Export { model, out, size, portable } => export(&model, &out, size, portable),
            Self::Check { file: Some(file) } => {
                let is_onnx = file.extension().is_some_and(|suffix| suffix.eq_ignore_ascii_case("onnx"));
                let about = if is_onnx { check_onnx(&file)? } else { recognize(&file)?.about };
                say(format_args!("{}: {about}", file.display()))
            }
            Self::Check { file: None } => {
                let is_here = |model: &&KnownModel| matches!(shelf.state(model), State::Here(_));
                let mut n_bad = 0;
                for model in shelf.known.iter().filter(is_here) {
                    let state = shelf.check(model);
                    n_bad += usize::from(state.is_err());
                    say(format_args!("{:17} {}", model.name, state.unwrap_or_else(|error| error)))?;
                }
                anyhow::ensure!(n_bad == 0, "{n_bad} of the models that are here cannot be used");
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

fn get(shelf: &Shelf, model: &'static KnownModel, cancel: &Cancel) -> anyhow::Result<()> {
    if let State::Here(_) = shelf.state(model) {
        return say(format_args!("{} is here already", model.name));
    }
    let bar = progress::bytes();
    let watch = |now: &Progress| {
        bar.set_message(now.file.clone());
        bar.set_length(now.total.unwrap_or(model.megabytes * 1_000_000));
        bar.set_position(now.done);
        !cancel.is_canceled()
    };
    shelf.get(model, &Downloader::default(), &watch)?;
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

/// What an ONNX file of somebody else finds, which only shows when it is loaded.
fn check_onnx(path: &Path) -> anyhow::Result<String> {
    let detector = detector::open(&Runtime::start(Some(Device::Cpu), None)?, path, None)?;
    let n_classes = detector.classes().map_or(0, <[String]>::len);
    Ok(format!("a detector, finds {n_classes} classes"))
}

fn list(shelf: &Shelf) -> anyhow::Result<()> {
    let builtin = Weights::builtin()?.config;
    let looks = settings::user_folder().map(|folder| LookTimes::load(&folder)).unwrap_or_default();
    let look = |name: &str| looks.of(name).map_or_else(String::new, |look| format!("; a look takes {look}"));
    let side = builtin.image_size;
    let builtin = models::BUILTIN;
    say(format_args!("{builtin:17} here: comes with Segue, {side}x{side} images{}", look(builtin)))?;
    for (i, model) in shelf.known.iter().enumerate() {
        if i == 0 || shelf.known[i - 1].finds != model.finds {
            say(model.finds.title())?;
        }
        let KnownModel { megabytes, license, about, .. } = model;
        let state = match shelf.state(model) {
            State::Here(path) if model.finds == Finds::Points => match recognize(&path) {
                Ok(found) => format!("here: {}{}", found.about, look(&model.name)),
                Err(error) => format!("here, but {error}"),
            },
            State::Here(path) => format!("here: {}", path.display()),
            State::Begun(bytes) => {
                format!("{} of {megabytes} MB are here, {license}; {about}", bytes / 1_000_000)
            }
            State::Missing => format!("{megabytes} MB, {license}; {about}"),
        };
        say(format_args!("  {:17} {state}", model.name))?;
    }
    say(format_args!(
        "`segue models get NAME` downloads one into {}; files from elsewhere: `segue models add FILE`",
        shelf.folder.display()
    ))
}
