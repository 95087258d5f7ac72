//! The system's file dialogs, and other things that take their time: each on a thread, so that the window never waits.

use std::{
    path::PathBuf,
    sync::mpsc::{Receiver, SyncSender, sync_channel},
    time::{Duration, Instant},
};

use egui::Context;
use engine::{media::image_suffixes, project::VIDEO_SUFFIXES};

use crate::{command::Command, demo, panels::Purpose, session::Session};

/// A command, or what a path is wanted for where the system could not ask, and a proposal for it.
type Answer = Result<Command, (Purpose, String)>;

/// Dialogs that are open, and their answers.
pub(crate) struct Dialogs {
    ctx: Context,
    answers: Receiver<Answer>,
    sender: SyncSender<Answer>,
}

/// A dialog that is gone sooner than this was none: there is no portal to ask.
const TOO_SOON: Duration = Duration::from_millis(400);

impl Dialogs {
    pub(crate) fn new(ctx: Context) -> Self {
        let (sender, answers) = sync_channel(4);
        Self { ctx, answers, sender }
    }

    /// The next answer, if there is one.
    pub(crate) fn answer(&self) -> Option<Answer> {
        self.answers.try_recv().ok()
    }

    /// Asks for files or folders.
    pub(crate) fn ask(&self, purpose: Purpose, session: &Session) {
        let file = session.file();
        let folder = file.map(|file| file.folder.clone());
        self.spawn(move || {
            let asked = Instant::now();
            let paths = paths(purpose, folder.as_deref());
            match paths.and_then(|paths| purpose.command(paths)) {
                Some(command) => Some(Ok(command)),
                None if asked.elapsed() > TOO_SOON => None,
                None => {
                    let folder = folder.or_else(|| std::env::current_dir().ok()).unwrap_or_default();
                    Some(Err((purpose, folder.display().to_string())))
                }
            }
        });
    }

    /// Draws the demo's photos, and opens them.
    pub(crate) fn make_demo(&self) {
        self.spawn(|| match demo::make() {
            Ok(folder) => Some(Ok(Command::Open(vec![folder]))),
            // The folder of data cannot be written; any folder does.
            Err(_) => Some(Err((Purpose::Folder, String::new()))),
        });
    }

    fn spawn(&self, ask: impl FnOnce() -> Option<Answer> + Send + 'static) {
        let (ctx, sender) = (self.ctx.clone(), self.sender.clone());
        let thread = std::thread::Builder::new().name("dialog".to_owned()).spawn(move || {
            if let Some(answer) = ask() {
                sender.try_send(answer).ok();
                ctx.request_repaint();
            }
        });
        // Without a thread there is no dialog; the next click tries again.
        drop(thread);
    }
}

fn paths(purpose: Purpose, folder: Option<&std::path::Path>) -> Option<Vec<PathBuf>> {
    let mut dialog = rfd::FileDialog::new().set_title(purpose.title());
    if let Some(folder) = folder {
        dialog = dialog.set_directory(folder);
    }
    let suffixes = |suffixes: &[&str]| -> Vec<String> {
        // Some desktops tell capital and small letters apart.
        suffixes.iter().flat_map(|suffix| [(*suffix).to_owned(), suffix.to_uppercase()]).collect()
    };
    match purpose {
        Purpose::Folder
        | Purpose::FindMedia
        | Purpose::Frames
        | Purpose::ImportFolder
        | Purpose::ExportFolder => Some(vec![dialog.pick_folder()?]),
        Purpose::Files => {
            let media: Vec<&str> = image_suffixes().chain(VIDEO_SUFFIXES).chain(["segue"]).collect();
            dialog
                .add_filter("Images, videos and projects", &suffixes(&media))
                .add_filter("Everything", &["*"])
                .pick_files()
        }
        Purpose::Detector => {
            Some(vec![dialog.add_filter("Detectors", &["onnx", "safetensors"]).pick_file()?])
        }
        Purpose::Model => Some(vec![dialog.add_filter("Models", &["pt", "pth", "safetensors"]).pick_file()?]),
        Purpose::SaveElsewhere => Some(vec![
            dialog.add_filter("Segue projects", &["segue"]).set_file_name("project.segue").save_file()?,
        ]),
        Purpose::Import => Some(vec![
            dialog
                .add_filter("Labels", &suffixes(&["data", "json", "txt", "xml", "yaml", "yml"]))
                .add_filter("Everything", &["*"])
                .pick_file()?,
        ]),
    }
}
