//! Which models there are, which are here, and getting them.

use std::{path::Path, time::Duration};

use egui::{
    Align, Button, Context, Label, Layout, ProgressBar, Response, RichText, Role, ScrollArea, Ui, Vec2,
    WidgetInfo,
};
use engine::{
    models::{BUILTIN, Finds, KnownModel, OwnModel},
    nn::{Device, Place},
    segmenter::ModelInfo,
    worker::Times,
};

use super::{Pane, dialog};
use crate::{
    command::Command,
    session::{Model, Stage},
    theme,
};

/// See the module.
#[derive(Default)]
pub(crate) struct ModelsScreen {
    /// The model whose removal waits for a second click.
    goes: Option<String>,
}

impl ModelsScreen {
    /// False once it is left.
    pub(crate) fn ui(&mut self, ctx: &Context, pane: &mut Pane<'_>) -> bool {
        let modal = dialog("models").show(ctx, |ui| {
            ui.set_width(620.0);
            ui.heading("Models");
            now_ui(ui, pane);
            ui.separator();
            // What is said of the model in use may be long.
            let above = ui.min_rect().height();
            let height = (ctx.content_rect().height() - above - 124.0).max(120.0);
            let list = ScrollArea::vertical().max_height(height).min_scrolled_height(height);
            list.auto_shrink([false, true]).show(ui, |ui| {
                builtin_ui(ui, pane);
                for finds in Finds::ALL {
                    ui.add_space(6.0);
                    ui.strong(finds.title());
                    for (model, stage) in pane.session.models().filter(|(model, _)| model.finds == finds) {
                        self.row_ui(ui, pane, model, &stage);
                    }
                    let own: Vec<OwnModel> = pane.session.own_models_for(&[finds]).cloned().collect();
                    for model in own {
                        self.own_ui(ui, pane, &model);
                    }
                }
            });
            ui.separator();
            ui.horizontal(|ui| {
                let add = ui.button("Add a file…");
                pane.on_click(
                    add,
                    &Command::ChooseModel,
                    "A file that was downloaded by hand; or drop it here",
                );
                ui.with_layout(Layout::right_to_left(Align::Center), |ui| ui.button("Close").clicked()).inner
            })
            .inner
        });
        !modal.inner && !modal.should_close()
    }

    fn row_ui(&mut self, ui: &mut Ui, pane: &mut Pane<'_>, model: &'static KnownModel, stage: &Stage) {
        let name = &model.name;
        ui.push_id(name, |ui| {
            row(
                ui,
                |ui| {
                    name_ui(ui, name).on_hover_text(format!("{}\n{}", model.license, model.page()));
                    match stage {
                        Stage::Coming { done, total, per_second } => {
                            let share = *done as f32 / (*total).max(1) as f32;
                            ui.add(ProgressBar::new(share).desired_width(110.0).desired_height(8.0));
                            ui.weak(progress(*done, *total, *per_second));
                        }
                        Stage::Begun(bytes) => {
                            let begun = format!("{} of {} MB are here", bytes / MEGABYTE, model.megabytes);
                            ui.label(RichText::new(begun).color(theme::REVIEW));
                        }
                        _ => about_ui(ui, &model.about),
                    }
                },
                |ui| self.buttons_ui(ui, pane, model, stage),
            );
        });
    }

    /// From the right to the left.
    fn buttons_ui(&mut self, ui: &mut Ui, pane: &mut Pane<'_>, model: &'static KnownModel, stage: &Stage) {
        let name = &model.name;
        let mut say = |ui: &mut Ui, title: &str, command: Command, about: String| {
            pane.on_click(small_button(ui, title, name), &command, &about);
        };
        match stage {
            Stage::Missing => {
                let about = format!("{} MB, {}", model.megabytes, model.license);
                say(ui, "Download", Command::GetModel(name.clone()), about);
                ui.weak(format!("{} MB", model.megabytes));
            }
            Stage::Begun(_) => {
                say(ui, "Discard", Command::RemoveModel(name.clone()), "Remove what has come".to_owned());
                say(ui, "Go on", Command::GetModel(name.clone()), "Download the rest".to_owned());
            }
            Stage::Waiting | Stage::Coming { .. } => {
                say(ui, "Cancel", Command::RemoveModel(name.clone()), "Remove what has come".to_owned());
                let about = "What has come stays, also when Segue is closed".to_owned();
                say(ui, "Pause", Command::PauseModel(name.clone()), about);
                if *stage == Stage::Waiting {
                    ui.weak("waits");
                }
            }
            Stage::Here(weights) => {
                self.remove_ui(ui, pane, name, weights);
                if model.finds == Finds::Points {
                    use_ui(ui, pane, name);
                }
                ui.label(RichText::new("here").color(theme::DONE));
                look_time_ui(ui, pane, name);
            }
        }
    }
}

impl ModelsScreen {
    /// A model that a person has added, with its hash.
    fn own_ui(&mut self, ui: &mut Ui, pane: &mut Pane<'_>, model: &OwnModel) {
        ui.push_id(("own", &model.name), |ui| {
            let about = |ui: &mut Ui| {
                name_ui(ui, &model.name).on_hover_text(format!("SHA-256 {}", model.sha256));
                about_ui(ui, &format!("{}, {}", model.short_hash(), model.about));
            };
            row(ui, about, |ui| {
                self.remove_ui(ui, pane, &model.name, &model.weights);
                if model.finds == Finds::Points {
                    use_ui(ui, pane, &model.name);
                }
                ui.label(RichText::new("here").color(theme::DONE));
                look_time_ui(ui, pane, &model.name);
            });
        });
    }

    /// A button that removes a model's files at the second click.
    fn remove_ui(&mut self, ui: &mut Ui, pane: &mut Pane<'_>, name: &str, weights: &Path) {
        let is_asked = self.goes.as_deref() == Some(name);
        let (title, about) = match is_asked {
            true => ("Remove it?", "Click again to remove its files".to_owned()),
            false => ("Remove", weights.display().to_string()),
        };
        let button = small_button(ui, title, name).on_hover_text(about);
        if button.clicked() && is_asked {
            pane.push(Command::RemoveModel(name.to_owned()));
        }
        if button.clicked() {
            self.goes = (!is_asked).then(|| name.to_owned());
        }
    }
}

const MEGABYTE: u64 = 1_000_000;

/// A line with something at its right end.
fn row(ui: &mut Ui, left: impl FnOnce(&mut Ui), right: impl FnOnce(&mut Ui)) {
    ui.horizontal(|ui| {
        ui.add_space(8.0);
        ui.with_layout(Layout::right_to_left(Align::Center), |ui| {
            // Beside the scroll bar.
            ui.add_space(12.0);
            right(ui);
            ui.with_layout(Layout::left_to_right(Align::Center), left);
        });
    });
}

/// Of one width, so that what is said of models begins in a column.
fn name_ui(ui: &mut Ui, name: &str) -> Response {
    let size = Vec2::new(124.0, ui.spacing().interact_size.y);
    let left = Layout::left_to_right(Align::Center);
    ui.allocate_ui_with_layout(size, left, |ui| {
        ui.set_min_width(size.x);
        ui.strong(name)
    })
    .inner
}

fn about_ui(ui: &mut Ui, about: &str) {
    ui.add(Label::new(RichText::new(about).weak()).truncate());
}

fn now_ui(ui: &mut Ui, pane: &mut Pane<'_>) {
    match pane.session.model() {
        Model::Loading => {
            ui.horizontal(|ui| {
                ui.spinner();
                ui.label(format!("Loading {}", pane.preferences.settings().model));
            });
        }
        Model::Ready(now) => {
            ui.weak(format!("Clicks are answered by {now}"));
            ui.weak(about_device(now, pane.session.times(&now.name)));
            let is_nvidia = now.hardware.as_ref().is_some_and(|hardware| hardware.contains("NVIDIA"));
            if is_nvidia && now.device == Place::Here(Device::WebGpu) {
                ui.weak("With CUDA it is several times as fast: run `make cuda`, and start Segue again");
            }
            for remark in &now.remarks {
                ui.label(RichText::new(remark).color(theme::REVIEW));
            }
            if !now.remarks.is_empty() {
                let again = Command::UseModel(pane.preferences.settings().model.clone());
                let about = "Tries the device again, as when other programs have left room in its memory";
                pane.on_click(ui.button("Load it again"), &again, about);
            }
        }
        Model::None(why) => drop(ui.label(RichText::new(why).color(ui.visuals().error_fg_color))),
    }
}

/// The hardware, how it computes, and how long things take.
fn about_device(now: &ModelInfo, times: Times) -> String {
    let mut about: Vec<String> = now.hardware.clone().into_iter().collect();
    about.push(now.precision.to_string());
    for (what, took) in
        [("a look", times.look), ("a click", times.click), ("an object on a frame of a video", times.frame)]
    {
        about.extend(took.map(|took| format!("{what} takes {}", milliseconds(took))));
    }
    about.join(" · ")
}

fn builtin_ui(ui: &mut Ui, pane: &mut Pane<'_>) {
    let about = |ui: &mut Ui| {
        name_ui(ui, BUILTIN);
        about_ui(ui, "comes with Segue; small and quick, to begin with");
    };
    row(ui, about, |ui| {
        use_ui(ui, pane, BUILTIN);
        look_time_ui(ui, pane, BUILTIN);
    });
}

/// How long a model took when it was used last.
fn look_time_ui(ui: &mut Ui, pane: &Pane<'_>, name: &str) {
    if let Some(look) = pane.preferences.looks().of(name) {
        let about = format!("What a look at a picture took when it was used last, on {}", look.on);
        ui.weak(format!("{} ms", look.milliseconds)).on_hover_text(about);
    }
}

/// A button that screen readers tell from those of other models.
fn small_button(ui: &mut Ui, title: &str, name: &str) -> Response {
    let button = ui.add(Button::new(title).small());
    button.widget_info(|| WidgetInfo::labeled(Role::Button, true, format!("{title} {name}")));
    button
}

/// Whether clicks are answered by a model, and a button to have it so; also if it was chosen and could not be loaded.
fn use_ui(ui: &mut Ui, pane: &mut Pane<'_>, name: &str) {
    match pane.session.model() {
        Model::Ready(now) if now.name == name => drop(ui.label(RichText::new("in use").color(theme::DONE))),
        Model::Loading if pane.preferences.settings().model == name => drop(ui.weak("loading")),
        _ => {
            let button = small_button(ui, "Use", name);
            pane.on_click(button, &Command::UseModel(name.to_owned()), "Clicks are then answered by it");
        }
    }
}

/// How much has come, how fast, and how long the rest takes.
fn progress(done: usize, total: usize, per_second: Option<f64>) -> String {
    let megabytes = |bytes: f64| bytes / MEGABYTE as f64;
    let mut text = format!("{:.0} of {:.0} MB", megabytes(done as f64), megabytes(total as f64));
    if let Some(per_second) = per_second.filter(|per_second| *per_second > 0.0) {
        text += &format!(", {:.1} MB/s", megabytes(per_second));
        if total > done {
            text += &format!(", {} left", duration((total - done) as f64 / per_second));
        }
    }
    text
}

fn milliseconds(took: Duration) -> String {
    format!("{:.0} ms", took.as_secs_f64() * 1e3)
}

fn duration(seconds: f64) -> String {
    match seconds {
        0.0..60.0 => format!("{seconds:.0} s"),
        60.0..3600.0 => format!("{:.0} min", seconds / 60.0),
        _ => format!("{:.1} h", seconds / 3600.0),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn progress_says_what_is_known() {
        assert_eq!(progress(12_400_000, 156_000_000, None), "12 of 156 MB");
        assert_eq!(progress(12_000_000, 156_000_000, Some(3e6)), "12 of 156 MB, 3.0 MB/s, 48 s left");
        assert_eq!(progress(0, 1_753_000_000, Some(1e6)), "0 of 1753 MB, 1.0 MB/s, 29 min left");
        assert_eq!(progress(0, 9_000_000_000, Some(1e6)), "0 of 9000 MB, 1.0 MB/s, 2.5 h left");
        assert_eq!(progress(5, 5, Some(0.0)), "0 of 0 MB");
    }
}
