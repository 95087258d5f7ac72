//! `segue models`: which models there are, getting them, and whether a file is one.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, anyhow, ensure};
use clap::Subcommand;
use engine::{
    detect::DetectError,
    detector,
    file::has_suffix,
    models::{self, Downloader, Exportable, Finds, KnownModel, OwnModel, Progress, Shelf, State, recognize},
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
    /// Add a file that was downloaded by hand, or a model of your own, which is then used by its file's name
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
            Self::Add { file } => say(shelf.add(&file)?),
            Self::Remove { names } => {
                let own = shelf.own();
                let official: Vec<String> =
                    names.iter().filter(|name| own.iter().all(|own| own.name != **name)).cloned().collect();
                known(&official)?;
                names.iter().try_for_each(|name| {
                    let what = if shelf.remove_named(name)? { "removed" } else { "was not here" };
                    say(format_args!("{name} {what}"))
                })
            }
            Self::Export { model, out, size, portable } => export(&model, &out, size, portable),
            Self::Check { file: Some(file) } => {
                // A pipe would be waited for.
                let metadata = std::fs::metadata(&file);
                let is_special = metadata.is_ok_and(|metadata| !metadata.is_file() && !metadata.is_dir());
                ensure!(!is_special, "{} is not a regular file; give a file of weights", file.display());
                let is_onnx = has_suffix(&file, &["onnx"]);
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
                for OwnModel { name, weights, .. } in shelf.own() {
                    let found = recognize(&weights);
                    n_bad += usize::from(found.is_err());
                    let about = found.map_or_else(|error| error.to_string(), |found| found.about);
                    say(format_args!("{name:17} {about}"))?;
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
    let opened = detector::open(&Runtime::start(Some(Device::Cpu), None)?, path, None);
    // ONNX Runtime names the lines of its own code, which are no help.
    let refusal = |error: DetectError| {
        let text = error.to_string();
        let first = text.lines().next().unwrap_or_default();
        anyhow!("{}", first.chars().take(300).collect::<String>())
    };
    let detector = opened.map_err(refusal)?;
    let n_classes = detector.classes().map_or(0, <[String]>::len);
    let remark = detector.remark().map_or_else(String::new, |remark| format!("; {remark}"));
    Ok(format!(
        "a detector, finds {}{remark}",
        match n_classes {
            0 => "classes that the file does not name".to_owned(),
            1 => "1 class".to_owned(),
            n => format!("{n} classes"),
        }
    ))
}

fn list(shelf: &Shelf) -> anyhow::Result<()> {
    let builtin = Weights::builtin()?.config;
    let looks = settings::user_folder().map(|folder| LookTimes::load(&folder)).unwrap_or_default();
    let look = |name: &str| looks.of(name).map_or_else(String::new, |look| format!("; a look takes {look}"));
    let side = builtin.image_size;
    let builtin = models::BUILTIN;
    say(format_args!("{builtin:17} here: comes with Segue, {side}x{side} images{}", look(builtin)))?;
    let own = shelf.own();
    for finds in Finds::ALL {
        say(finds.title())?;
        for model in shelf.known.iter().filter(|model| model.finds == finds) {
            say(format_args!("  {:17} {}", model.name, state_of(shelf, model, &look)))?;
        }
        for model in own.iter().filter(|model| model.finds == finds) {
            let OwnModel { name, about, .. } = model;
            let hash = model.short_hash();
            say(format_args!("  {name:17} here, your own ({hash}): {about}{}", look(name)))?;
        }
    }
    say(format_args!(
        "`segue models get NAME` downloads one into {}; files from elsewhere: `segue models add FILE`",
        shelf.folder.display()
    ))
}

/// Returns one line on the state of an official model.
fn state_of(shelf: &Shelf, model: &KnownModel, look: &dyn Fn(&str) -> String) -> String {
    let KnownModel { megabytes, license, about, .. } = model;
    match shelf.state(model) {
        State::Here(path) if model.finds == Finds::Points => match recognize(&path) {
            Ok(found) => format!("here: {}{}", found.about, look(&model.name)),
            Err(error) => format!("here, but {error}"),
        },
        State::Here(path) => format!("here: {}", path.display()),
        State::Begun(bytes) => {
            format!("{} of {megabytes} MB are here, {license}; {about}", bytes / 1_000_000)
        }
        State::Missing => format!("{megabytes} MB, {license}; {about}"),
    }
}
