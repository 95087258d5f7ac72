//! A path to type, where the system has no dialog for files.

use std::path::{Path, PathBuf};

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
    SaveElsewhere,
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
            Self::SaveElsewhere => "Project file (.segue) to make",
        }
    }

    /// Returns why a path is no answer, if it is none.
    fn problem(self, path: &Path) -> Option<&'static str> {
        let is_folder = match self {
            Self::SaveElsewhere => {
                return path.exists().then_some("There is already a file or folder with this name");
            }
            Self::Folder | Self::ImportFolder | Self::ExportFolder | Self::FindMedia | Self::Frames => true,
            Self::Files | Self::Import | Self::Detector | Self::Model => false,
        };
        match path.metadata() {
            Err(_) => Some("There is no such file or folder"),
            Ok(metadata) if is_folder && !metadata.is_dir() => Some("This is a file, not a folder"),
            Ok(_) => None,
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
            Self::SaveElsewhere => Command::SaveElsewhere(paths.pop()?),
        })
    }
}

/// The question for a path.
pub(crate) struct TypedPath {
    purpose: Purpose,
    text: String,
    /// Why the text was no answer.
    problem: Option<&'static str>,
}

impl TypedPath {
    /// With a proposal.
    pub(crate) fn new(purpose: Purpose, text: String) -> Self {
        Self { purpose, text, problem: None }
    }

    /// False once it is answered.
    pub(crate) fn ui(&mut self, ctx: &Context, pane: &mut Pane<'_>) -> bool {
        let modal = dialog("typed path").show(ctx, |ui| {
            ui.set_width(460.0);
            let label = ui.strong(self.purpose.title());
            let field = egui::TextEdit::singleline(&mut self.text).desired_width(f32::INFINITY);
            let field = ui.add(field.hint_text("Path")).labelled_by(label.id);
            field.request_focus();
            if field.changed() {
                self.problem = None;
            }
            if let Some(problem) = self.problem {
                ui.colored_label(ui.visuals().error_fg_color, problem);
            }
            let entered = ui.input(|input| input.key_pressed(Key::Enter));
            ui.horizontal(|ui| {
                let is_given = ui.button("OK").clicked() || entered;
                if is_given && !self.text.trim().is_empty() {
                    let path = engine::file::typed_path(&self.text);
                    self.problem = self.purpose.problem(&path);
                    let command = self.purpose.command(vec![path]).filter(|_| self.problem.is_none());
                    pane.commands.extend(command.clone());
                    return command.is_some();
                }
                ui.button("Cancel").clicked()
            })
            .inner
        });
        !modal.inner && !modal.should_close()
    }
}
