//! A path to type, where the system has no dialog for files.

use std::path::PathBuf;

use egui::{Context, Key};

use super::{Pane, dialog};
use crate::command::Command;

/// What a path is wanted for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Purpose {
    Folder,
    Files,
    Import,
    ImportFolder,
    ExportFolder,
    FindMedia,
    Frames,
    Detector,
    Model,
}

impl Purpose {
    /// What a dialog is called.
    pub(crate) const fn title(self) -> &'static str {
        match self {
            Self::Folder => "Open a folder",
            Self::Files => "Open images, videos or a project",
            Self::Import => "Import labels",
            Self::ImportFolder => "Import a folder of labels",
            Self::ExportFolder => "Folder in which the export is made",
            Self::Frames => "Add a folder of frames as a video",
            Self::Detector => "A detector: .onnx, or .safetensors with its config.json",
            Self::Model => "A model's file: .pt or .safetensors",
            Self::FindMedia => "Folder in which the missing media are",
        }
    }

    /// The command that uses these paths.
    pub(crate) fn command(self, mut paths: Vec<PathBuf>) -> Option<Command> {
        Some(match self {
            Self::Folder | Self::Files => Command::Open(paths),
            Self::Import | Self::ImportFolder => Command::Import(paths.pop()?),
            Self::ExportFolder => Command::ExportInto(paths.pop()?),
            Self::FindMedia => Command::FindMedia(paths.pop()?),
            Self::Frames => Command::AddFrames(paths.pop()?),
            Self::Detector => Command::UseDetector(paths.pop()?),
            Self::Model => Command::AddModel(paths.pop()?),
        })
    }
}

/// The question for a path.
pub(crate) struct TypedPath {
    purpose: Purpose,
    text: String,
}

impl TypedPath {
    /// With a proposal.
    pub(crate) fn new(purpose: Purpose, text: String) -> Self {
        Self { purpose, text }
    }

    /// False once it is answered.
    pub(crate) fn ui(&mut self, ctx: &Context, pane: &mut Pane<'_>) -> bool {
        let modal = dialog("typed path").show(ctx, |ui| {
            ui.set_width(460.0);
            let label = ui.strong(self.purpose.title());
            let field = egui::TextEdit::singleline(&mut self.text).desired_width(f32::INFINITY);
            ui.add(field.hint_text("Path")).labelled_by(label.id).request_focus();
            let entered = ui.input(|input| input.key_pressed(Key::Enter));
            let chosen = (ui.button("OK").clicked() || entered) && !self.text.trim().is_empty();
            if chosen && let Some(command) = self.purpose.command(vec![PathBuf::from(self.text.trim())]) {
                pane.push(command);
            }
            chosen
        });
        !modal.inner && !modal.should_close()
    }
}
