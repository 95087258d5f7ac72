//! The status bar: the image, the pointer, running jobs, and what the model runs on.

use egui::{Align, Layout, RichText, Ui};
use engine::geometry::Point;

use super::{Pane, dot, jobs::jobs_ui};
use crate::{
    command::Command,
    session::{Model, Session},
    theme,
};

pub(crate) fn status_ui(ui: &mut Ui, pane: &mut Pane<'_>, pointer: Option<Point>, scale: Option<f32>) {
    ui.horizontal(|ui| {
        let session = pane.session;
        let medium = session.shown().and_then(|id| session.project().media.get(&id).cloned());
        if let Some(medium) = medium {
            let done = ui.selectable_label(medium.done, if medium.done { "Done" } else { "Done?" });
            pane.on_click(done, &Command::ToggleDone, "Say that the image is labeled");
            ui.label(medium.name());
            ui.weak(medium.size.to_string());
            if let Some(scale) = scale {
                let percent = scale * ui.ctx().pixels_per_point() * 100.0;
                ui.weak(format!("{percent:.0} %"));
            }
            if let Some(at) = pointer {
                ui.weak(format!("{:.0}, {:.0}", at.x.floor(), at.y.floor()));
            }
        }
        ui.with_layout(Layout::right_to_left(Align::Center), |ui| {
            model_ui(ui, session);
            if session.file().is_some() {
                match session.save_failure() {
                    Some(why) => {
                        let text = RichText::new("Not saved").color(ui.visuals().error_fg_color);
                        ui.label(text).on_hover_text(why);
                    }
                    None => _ = ui.weak(if session.is_saved() { "Saved" } else { "Saving…" }),
                }
            }
            jobs_ui(ui, pane);
        });
    });
}

fn model_ui(ui: &mut Ui, session: &Session) {
    match session.model() {
        Model::Loading => {
            ui.spinner();
            ui.label("Loading the model");
        }
        Model::Ready(model) => {
            let (color, state) = match session.is_encoded() {
                true => (theme::DONE, "clicks are answered at once"),
                false => (theme::REVIEW, "looking at the image; clicks are kept"),
            };
            let remarks = model.remarks.iter().map(|remark| format!("\n{remark}"));
            ui.label(model.to_string()).on_hover_text(state.to_owned() + &remarks.collect::<String>());
            if session.shown().is_some() {
                dot(ui, color).on_hover_text(state);
            }
        }
        Model::None(why) => {
            ui.label(RichText::new("No model").color(ui.visuals().error_fg_color)).on_hover_text(why);
        }
    }
}
