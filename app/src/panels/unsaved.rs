//! The questions about a project that cannot be saved: when it is left, and when it cannot be kept in its place.

use egui::{Context, Ui};
use engine::formats::counted;

use super::{Pane, dialog};
use crate::{
    command::Command,
    session::{Homeless, Unsaved},
};

/// Titles of steps that are listed.
const N_LISTED: usize = 5;
const WIDTH: f32 = 440.0;

/// Asks what is to become of work that would be lost, and of a project that cannot be kept in its place.
pub(crate) fn unsaved_ui(ctx: &Context, pane: &mut Pane<'_>) {
    if let Some(homeless) = pane.session.homeless() {
        let modal = dialog("project elsewhere").show(ctx, |ui| homeless_ui(ui, pane, homeless));
        if modal.should_close() {
            pane.push(Command::GiveUpProject);
        }
        return;
    }
    let Some(unsaved) = pane.session.leaving() else { return };
    let modal = dialog("unsaved").show(ctx, |ui| match &unsaved.why {
        Some(why) => leaving_ui(ui, pane, &unsaved, why),
        None => {
            ui.horizontal(|ui| {
                ui.spinner();
                ui.label("Saving the project");
            });
            if ui.button("Cancel").clicked() {
                pane.push(Command::Stay);
            }
        }
    });
    if modal.should_close() {
        pane.push(Command::Stay);
    }
}

fn leaving_ui(ui: &mut Ui, pane: &mut Pane<'_>, unsaved: &Unsaved, why: &str) {
    ui.set_width(WIDTH);
    let lost = if let Some([n_objects, n_media]) = unsaved.whole_project {
        ui.heading("The project is not saved");
        ui.label(why);
        let (objects, media) = (counted(n_objects, "object"), counted(n_media, "image or video file"));
        ui.label(format!("No file holds it any more: {objects} on {media}."));
        "the whole project".to_owned()
    } else {
        let steps = counted(unsaved.steps.len(), "step");
        ui.heading(format!("{steps} not saved"));
        ui.label(why);
        steps
    };
    for title in unsaved.steps.iter().take(N_LISTED) {
        ui.weak(format!("• {title}"));
    }
    if unsaved.steps.len() > N_LISTED {
        ui.weak(format!("and {} more", unsaved.steps.len() - N_LISTED));
    }
    ui.add_space(6.0);
    let leave = if unsaved.quits { "Quit" } else { "Leave" };
    ui.horizontal_wrapped(|ui| {
        let lose = format!("{leave} and lose {lost}");
        for (text, command) in [
            ("Try again", Command::SaveAgain),
            ("Save elsewhere…", Command::ChooseSaveElsewhere),
            (&*lose, Command::LoseUnsaved),
            ("Cancel", Command::Stay),
        ] {
            if ui.button(text).clicked() {
                pane.push(command);
            }
        }
    });
}

fn homeless_ui(ui: &mut Ui, pane: &mut Pane<'_>, homeless: &Homeless) {
    ui.set_width(WIDTH);
    ui.heading("Keep the project elsewhere?");
    ui.label(&homeless.why);
    ui.label("Images and videos stay where they are.");
    ui.add_space(6.0);
    ui.horizontal(|ui| {
        if ui.button("Choose a file…").clicked() {
            pane.push(Command::ChooseSaveElsewhere);
        }
        if ui.button("Cancel").clicked() {
            pane.push(Command::GiveUpProject);
        }
    });
}
