//! The command line: what can be asked, and what every command shares.

mod check;
mod demo;
mod detect;
mod detect_tracks;
mod devices;
mod export;
mod import;
mod media;
mod models;
mod new;
mod place;
mod prompts;
mod segment;
mod stats;
mod track;
mod track_project;
mod window;

use std::{
    io,
    io::Write as _,
    path::{Path, PathBuf},
};

use anyhow::Context as _;
use clap::{Args, Parser, Subcommand, ValueEnum};
use engine::{
    detector::{self, AlikeDetector, Detector},
    file::has_suffix,
    media::is_named_as_image,
    messages::kept_note,
    models as weights,
    nn::{Cancel, Place, Runtime},
    project::{VIDEO_SUFFIXES, is_work},
    sam2::{Look, Weights},
    segmenter::Sam2Segmenter,
    worker::Load,
};

use crate::settings::{self, Settings};

/// Label images and videos by pointing: masks from clicks and boxes, carried through videos, as COCO.
///
/// Without a command it opens its window.
#[derive(Parser)]
#[command(version, args_conflicts_with_subcommands = true, after_help = EXIT_CODES)]
pub struct Cli {
    #[command(subcommand)]
    command: Option<Command>,
    /// A project (.segue), or images, videos and folders, to open in the window
    paths: Vec<PathBuf>,
}

const EXIT_CODES: &str = "\
Exit codes: 0 if all is done, 1 if it cannot be done or nothing was taken, with a sentence on standard error, 2 if the command
line is not understood.";

#[derive(Subcommand)]
enum Command {
    App(window::Window),
    New(new::New),
    Segment(segment::Segment),
    Track(track::Track),
    Detect(detect::Detect),
    Export(export::Export),
    Import(import::Import),
    Check(check::Check),
    Stats(stats::StatsArgs),
    #[command(subcommand)]
    Models(models::Models),
    Devices(devices::Devices),
    Demo(demo::Demo),
}

/// The kind of file that a command writes.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum OutputKind {
    Labels,
    Image,
    Video,
}

/// Refuses an output that would overwrite an input, or a project, photo or video that no earlier run can have written, or that
/// is a file which SQLite keeps beside a project.
///
/// An output folder that contains an input is refused, too, since an export would replace files that are being read.
pub(super) fn check_output(out: &Path, inputs: &[&Path], kind: OutputKind) -> anyhow::Result<()> {
    let name = out.display();
    if out.is_dir() {
        anyhow::ensure!(
            !inputs.iter().any(|input| lies_in(input, out)),
            "{name} is or holds an input; choose another folder to write"
        );
    }
    if !out.is_file() {
        return Ok(());
    }
    let is_input = |input: &&Path| input.is_file() && lies_in(out, input);
    anyhow::ensure!(!inputs.iter().any(is_input), "{name} is an input; choose another file to write");
    let may_be_output = match kind {
        OutputKind::Labels => false,
        OutputKind::Image => is_named_as_image(out),
        OutputKind::Video => has_suffix(out, &VIDEO_SUFFIXES),
    };
    anyhow::ensure!(
        may_be_output || !is_work(out),
        "{name} already exists and is a project, photo or video; choose another file to write"
    );
    Ok(())
}

/// True if both exist, and one is the other or lies below it, through links or not.
fn lies_in(path: &Path, folder: &Path) -> bool {
    path.canonicalize()
        .ok()
        .zip(folder.canonicalize().ok())
        .is_some_and(|(path, folder)| path.starts_with(folder))
}

/// Refuses an output that is the label file, or a file in the folder of labels; otherwise as [`check_output`].
pub(super) fn check_output_of_labels(out: &Path, labels: &Path) -> anyhow::Result<()> {
    check_output(out, &[labels], OutputKind::Labels)?;
    let is_among = out.is_file() && lies_in(out, labels);
    anyhow::ensure!(!is_among, "{} is an input; choose another file to write", out.display());
    Ok(())
}

impl Cli {
    /// Does what is asked.
    ///
    /// # Errors
    /// If it cannot be done, and why.
    pub fn run(self) -> anyhow::Result<()> {
        limit_images();
        let Some(command) = self.command else { return window::Window::of(self.paths)?.run() };
        match command {
            Command::App(window) => window.run(),
            Command::New(new) => new.run(),
            Command::Segment(segment) => segment.run(),
            Command::Track(track) => track.run(),
            Command::Detect(detect) => detect.run(),
            Command::Export(export) => export.run(),
            Command::Import(import) => import.run(),
            Command::Check(check) => check.run(),
            Command::Stats(stats) => stats.run(),
            Command::Models(models) => models.run(),
            Command::Devices(devices) => devices.run(),
            Command::Demo(demo) => demo.run(),
        }
    }
}

/// Which model, and what it runs on.
#[derive(Args)]
pub(crate) struct ModelArgs {
    /// The model: builtin, a name (`segue models list`), or the path of a SAM 2 checkpoint (.pt, .safetensors)
    #[arg(long, default_value = weights::BUILTIN)]
    model: String,
    /// Side in pixels of the square that images are resized to, a multiple of 32; smaller is faster
    #[arg(long, value_name = "PIXELS")]
    size: Option<usize>,
    /// Where to run: cpu, webgpu, cuda, tensorrt, directml or coreml, by default the best that works; or on a server, for
    /// example kserve://host:8000 (see `segue models export --help`)
    #[arg(long, value_parser = place::PlaceParser)]
    device: Option<Place>,
    /// Processor threads; by default all
    #[arg(long, value_name = "N")]
    threads: Option<usize>,
    /// How to look at what is pointed at: plain, or with more care and time; by default all care for the built-in model,
    /// none for others
    #[arg(long, value_name = "HOW", value_delimiter = ',')]
    look: Vec<LookArg>,
}

#[derive(Clone, Copy, PartialEq, ValueEnum)]
enum LookArg {
    /// As SAM 2 does
    Plain,
    /// Closely at the surroundings of a box
    Close,
    /// At the mirror image too
    Mirror,
    /// At the colors of what was found, which then correct it
    Colors,
}

impl ModelArgs {
    pub(crate) fn look(&self) -> Look {
        if self.look.is_empty() {
            return look_of(&self.model);
        }
        let has = |look| self.look.contains(&look);
        Look { close: has(LookArg::Close), mirror: has(LookArg::Mirror), colors: has(LookArg::Colors) }
    }

    pub(crate) fn open(&self) -> anyhow::Result<(Runtime, Weights)> {
        let mut weights = weights::open(&self.model)?;
        if let Some(size) = self.size {
            weights = weights.with_image_size(size)?;
        }
        Ok((Runtime::start_at(self.device.as_ref(), self.threads)?, weights))
    }
}

/// How a model looks at images unless told otherwise: the built-in one with all care, official ones as their authors do.
fn look_of(model: &str) -> Look {
    if model == weights::BUILTIN { Look::CAREFUL } else { Look::default() }
}

/// How models are loaded, on the thread that will run them.
fn load(args: ModelArgs) -> Load {
    let (device, threads) = (args.device.clone(), args.threads);
    let segmenter = move || -> anyhow::Result<Sam2Segmenter> {
        let (runtime, weights) = args.open()?;
        Ok(Sam2Segmenter::load(&args.model, &runtime, &weights, args.look())?)
    };
    let detector =
        move |named: &str| open_detector(&Runtime::start_at(device.as_ref(), threads)?, named, None);
    Load::new(move || match segmenter() {
        Ok(segmenter) => Ok(Box::new(segmenter)),
        Err(error) => Err(format!("{error:#}")),
    })
    .detecting(move |named| detector(named).map_err(|error| format!("{error:#}")))
}

/// The detector of a name or in a file, for images of `image_size` pixels or of the size that suits it.
fn open_detector(
    runtime: &Runtime,
    named: &str,
    image_size: Option<usize>,
) -> anyhow::Result<Box<dyn Detector>> {
    if named == weights::BUILTIN {
        return Ok(Box::new(AlikeDetector::load(runtime)?));
    }
    Ok(detector::open(runtime, &weights::find_detector(named)?, image_size)?)
}

/// Prints the path of the backup of a replaced file, if one was made.
fn say_kept(kept: Option<PathBuf>) -> anyhow::Result<()> {
    kept.map_or(Ok(()), |kept| say(kept_note(&kept)))
}

/// Applies the image size limit of the user's settings.
fn limit_images() {
    let text = settings::user_folder().and_then(|folder| settings::read(&folder.join(settings::FILE)).ok());
    // The window says what is wrong with the settings.
    Settings::from_text(&text.unwrap_or_default()).unwrap_or_default().limit_images();
}

/// A token that Ctrl+C cancels.
fn cancel_on_interrupt() -> anyhow::Result<Cancel> {
    let cancel = Cancel::default();
    let on_interrupt = cancel.clone();
    ctrlc::set_handler(move || on_interrupt.cancel()).context("cannot listen for Ctrl+C")?;
    Ok(cancel)
}

/// Prints a line; a reader that has gone away is not an error.
fn say(line: impl std::fmt::Display) -> anyhow::Result<()> {
    match writeln!(io::stdout(), "{line}") {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => Err(error).context("cannot print"),
        _ => Ok(()),
    }
}
