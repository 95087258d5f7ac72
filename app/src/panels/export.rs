//! What is exported, how, and where to.

use std::path::{Path, PathBuf};

use egui::{ComboBox, Context, DragValue, Grid, Key, Popup, TextEdit, Ui};
use engine::formats::{Carries, FORMATS, Files, Format, Frames, Masks, Options, Splits};

use super::{Pane, dialog};
use crate::{
    command::{Command, Export},
    session::Session,
};

/// The question what to export.
pub(crate) struct ExportScreen {
    format: &'static Format,
    options: Options,
    /// The shares of training, validation and test in percent, and whether they are wanted.
    shares: [f32; 3],
    is_split: bool,
    every: usize,
    /// The folder of the export; its name follows the format until it is changed.
    target: String,
    proposal: String,
    folder: PathBuf,
    name: String,
}

impl ExportScreen {
    /// For the open project.
    pub(crate) fn new(session: &Session) -> Option<Self> {
        let file = session.file()?;
        let mut screen = Self {
            format: FORMATS[0],
            options: Options::default(),
            shares: [80.0, 10.0, 10.0],
            is_split: false,
            every: 10,
            target: String::new(),
            proposal: String::new(),
            folder: file.folder.clone(),
            name: file.name(),
        };
        screen.propose();
        Some(screen)
    }

    /// Returns the treatment of image files.
    fn files(&self) -> Files {
        self.options.files.unwrap_or(self.format.usual_files)
    }

    /// Exports to another folder.
    pub(crate) fn set_folder(&mut self, folder: &Path) {
        self.folder = folder.to_owned();
        self.target.clone_from(&self.proposal);
        self.propose();
    }

    /// What was typed stays.
    fn propose(&mut self) {
        let proposal = self.folder.join(format!("{}-{}", self.name, self.format.name)).display().to_string();
        if self.target == self.proposal {
            self.target.clone_from(&proposal);
        }
        self.proposal = proposal;
    }

    /// False once it is answered.
    pub(crate) fn ui(&mut self, ctx: &Context, pane: &mut Pane<'_>) -> bool {
        let modal = dialog("export").show(ctx, |ui| {
            ui.set_width(480.0);
            ui.heading("Export");
            ui.add_space(4.0);
            Grid::new("export").num_columns(2).spacing([20.0, 8.0]).show(ui, |ui| self.rows(ui, pane));
            ui.add_space(8.0);
            ui.horizontal(|ui| {
                let can = !self.target.trim().is_empty();
                let export = ui.add_enabled(can, egui::Button::new("Export"));
                // In a list of choices Enter chooses.
                let is_free = ui.memory(|memory| memory.focused().is_none()) && !Popup::is_any_open(ui.ctx());
                let entered = is_free && ui.input(|input| input.key_pressed(Key::Enter));
                let exports = export.clicked() || (can && entered);
                if exports {
                    pane.push(Command::Export(Box::new(self.export())));
                }
                exports || ui.button("Cancel").clicked()
            })
            .inner
        });
        !modal.inner && !modal.should_close()
    }

    fn rows(&mut self, ui: &mut Ui, pane: &mut Pane<'_>) {
        let label = ui.label("Format");
        let before = self.format;
        ui.vertical(|ui| {
            ComboBox::from_id_salt("format")
                .selected_text(self.format.title)
                .width(220.0)
                .height(420.0)
                .show_ui(ui, |ui| {
                    for format in FORMATS {
                        ui.selectable_value(&mut self.format, format, format.title);
                    }
                })
                .response
                .labelled_by(label.id);
            ui.weak(told(self.format));
        });
        ui.end_row();
        if self.format != before {
            self.propose();
        }

        let label = ui.label("Which images");
        ui.horizontal(|ui| {
            let now = frames_title(self.options.frames, self.format);
            ComboBox::from_id_salt("frames")
                .selected_text(now)
                .width(220.0)
                .show_ui(ui, |ui| {
                    let all = [
                        Frames::Usual,
                        Frames::All,
                        Frames::Labeled,
                        Frames::Confirmed,
                        Frames::Every(self.every),
                    ];
                    for frames in all {
                        let title = frames_title(frames, self.format);
                        ui.selectable_value(&mut self.options.frames, frames, title);
                    }
                })
                .response
                .labelled_by(label.id);
            if let Frames::Every(n) = &mut self.options.frames {
                ui.add(DragValue::new(n).range(1..=1000));
                self.every = *n;
            }
        });
        ui.end_row();

        ui.label("");
        ui.vertical(|ui| {
            ui.checkbox(&mut self.options.empty, "Also images with nothing on them");
            ui.checkbox(&mut self.options.unconfirmed, "Also tracked masks that nobody has confirmed");
        });
        ui.end_row();

        let label = ui.label("Image files");
        ComboBox::from_id_salt("files")
            .selected_text(files_title(self.files()))
            .width(220.0)
            .show_ui(ui, |ui| {
                for files in [Files::Leave, Files::Copy, Files::Link] {
                    ui.selectable_value(&mut self.options.files, Some(files), files_title(files));
                }
            })
            .response
            .labelled_by(label.id);
        ui.end_row();

        ui.label("Split");
        ui.horizontal(|ui| {
            ui.checkbox(&mut self.is_split, "");
            ui.add_enabled_ui(self.is_split, |ui| {
                for (share, name) in self.shares.iter_mut().zip(Splits::NAMES) {
                    ui.label(name);
                    ui.add(DragValue::new(share).range(0.0..=100.0).suffix(" %"));
                }
            });
        });
        ui.end_row();

        let has_both = matches!(self.format.name, "coco" | "tao");
        if has_both || self.format.carries.masks == Masks::Polygons {
            ui.label("Polygons");
            ui.horizontal(|ui| {
                if has_both {
                    ui.checkbox(&mut self.options.polygons, "in place of run lengths");
                }
                ui.label("within");
                ui.add(
                    DragValue::new(&mut self.options.tolerance).range(0.0..=20.0).speed(0.05).suffix(" px"),
                );
            });
            ui.end_row();
        }

        let label = ui.label("Folder");
        ui.horizontal(|ui| {
            ui.add(TextEdit::singleline(&mut self.target).desired_width(270.0)).labelled_by(label.id);
            let choose = ui.button("Choose…");
            pane.on_click(choose, &Command::ChooseExportFolder, "Choose the folder in which it is made");
        });
        ui.end_row();
    }

    fn export(&self) -> Export {
        let splits = self.is_split.then_some(Splits { shares: self.shares, seed: 0 });
        let splits = splits.filter(|splits| splits.shares.iter().sum::<f32>() > 0.0);
        let options = Options { splits, ..self.options.clone() };
        Export { format: self.format, options, target: PathBuf::from(self.target.trim()) }
    }
}

/// What a format can and cannot say.
fn told(format: &Format) -> String {
    let Carries { masks, boxes, overlaps, tracks, attributes, categories, objects } = format.carries;
    let mut told = vec![match masks {
        Masks::Exact => "masks to the pixel",
        Masks::Polygons => "masks as polygons",
        Masks::None => "boxes only",
    }];
    let lacks = [
        (boxes, "no boxes without a mask"),
        (overlaps, "no overlaps"),
        (tracks, "no tracks"),
        (attributes, "no attributes"),
        (categories, "no categories"),
        (objects, "no single objects"),
        (!format.is_of_videos, "videos only"),
    ];
    told.extend(lacks.into_iter().filter(|(can, _)| !can).map(|(_, text)| text));
    told.join(", ")
}

fn frames_title(frames: Frames, format: &Format) -> String {
    match frames {
        Frames::Usual if format.is_of_videos => "All frames".to_owned(),
        Frames::Usual => "Images, and labeled frames".to_owned(),
        Frames::All => "All images and all frames".to_owned(),
        Frames::Labeled => "With something on them".to_owned(),
        Frames::Confirmed => "With all on them confirmed".to_owned(),
        Frames::Every(n) => format!("Images, and every {n}th frame"),
    }
}

const fn files_title(files: Files) -> &'static str {
    match files {
        Files::Leave => "Left where they are",
        Files::Copy => "Copied, frames extracted",
        Files::Link => "Linked, frames extracted",
    }
}
