//! `segue app`: the window.

use std::{cell::Cell, path::PathBuf};

use anyhow::{Context as _, ensure};
use clap::Args;
use engine::nn::Place;

use super::{ModelArgs, place::PlaceParser};
use crate::{
    app::App,
    demo,
    preferences::Preferences,
    settings::{self, ModelChoice},
};

/// Open the window; also what `segue` alone does
#[derive(Args, Default)]
pub(crate) struct Window {
    /// A project (.segue), or images, videos and folders whose project is opened, made if there is none
    paths: Vec<PathBuf>,
    /// Open the demo's photos, unless a project was opened before
    #[arg(long, conflicts_with = "paths")]
    demo: bool,
    /// The model, in place of the one in the settings: builtin, a name (`segue models list`), or a checkpoint's path
    #[arg(long)]
    model: Option<String>,
    /// Where to run, in place of what the settings say: cpu, webgpu, cuda, tensorrt, directml or coreml, or a server, for
    /// example kserve://host:8000
    #[arg(long, value_parser = PlaceParser)]
    device: Option<Place>,
    /// Side in pixels of the square that images are resized to, a multiple of 32
    #[arg(long, value_name = "PIXELS")]
    size: Option<usize>,
}

impl Window {
    /// The window of these paths.
    ///
    /// # Errors
    /// If one of them is not there: it may be meant as a command.
    pub(super) fn of(paths: Vec<PathBuf>) -> anyhow::Result<Self> {
        for path in &paths {
            ensure!(
                path.exists(),
                "there is no file, folder or command {}; see segue --help",
                path.display()
            );
        }
        Ok(Self { paths, ..Self::default() })
    }

    pub(super) fn run(self) -> anyhow::Result<()> {
        let folder = settings::user_folder();
        let preferences = Preferences::load(folder.as_deref());
        let kept = preferences.settings();
        let mut first = kept.model_choice();
        first.model = self.model.unwrap_or(first.model);
        first.device = self.device.or(first.device);
        first.image_size = self.size.or(first.image_size);
        // What the command line says is for the first model; what is chosen later in the window counts as it is.
        let first = Cell::new(Some(first));
        let load = move |choice: &ModelChoice| {
            let ModelChoice { model, device, image_size } = first.take().unwrap_or_else(|| choice.clone());
            super::load(ModelArgs { model, size: image_size, device, threads: None, look: Vec::new() })
        };
        let paths = match self.demo && kept.recent().is_empty() {
            true => vec![demo::make()?],
            false => {
                self.paths.iter().map(|path| path.canonicalize().unwrap_or_else(|_| path.clone())).collect()
            }
        };
        let options = eframe::NativeOptions {
            viewport: egui::ViewportBuilder::default()
                .with_title("Segue")
                .with_app_id("segue")
                .with_inner_size([1280.0, 820.0])
                .with_min_inner_size([640.0, 420.0]),
            renderer: eframe::Renderer::Wgpu,
            persistence_path: folder.map(|folder| folder.join("window.ron")),
            ..Default::default()
        };
        let app = |creation: &eframe::CreationContext<'_>| -> Result<Box<dyn eframe::App>, _> {
            Ok(Box::new(App::new(creation, load, preferences, paths)?))
        };
        // eframe's error may not go from thread to thread.
        eframe::run_native("segue", options, Box::new(app))
            .map_err(|error| anyhow::anyhow!("{error}"))
            .context("cannot open a window; `segue --help` says what Segue does without one")
    }
}
