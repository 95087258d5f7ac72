//! The welcome screen: open something.

use egui::{RichText, Ui, Vec2};
use engine::{
    models::Finds,
    nn::{Device, Place},
};

use super::Pane;
use crate::{
    command::Command,
    session::{Model, Stage},
};

pub(crate) fn welcome_ui(ui: &mut Ui, pane: &mut Pane<'_>) {
    ui.vertical_centered(|ui| {
        ui.add_space((ui.available_height() * 0.18).max(12.0));
        ui.label(RichText::new("Segue").size(44.0).strong());
        ui.label(RichText::new("Label images and videos by pointing").size(16.0));
        ui.add_space(24.0);
        let wide = Vec2::new(240.0, 36.0);
        for (command, title) in [
            (Command::ChooseFolder, "Open a folder of images or videos…"),
            (Command::ChooseFiles, "Open images, videos or a project…"),
            (Command::OpenDemo, "Try the demo"),
        ] {
            let button = ui.add(egui::Button::new(RichText::new(title).size(15.0)).min_size(wide));
            pane.on_click(button, &command, title);
        }
        ui.add_space(8.0);
        ui.weak("or drop files and folders on this window");
        if let Some(hint) = hint(pane) {
            ui.add_space(16.0);
            let link = ui.link(hint);
            pane.on_click(link, &Command::ShowModels, "Models");
        }
        let recent = pane.preferences.settings().recent();
        if !recent.is_empty() {
            ui.add_space(24.0);
            ui.strong("Recent");
            for path in recent {
                let name = path.file_stem().unwrap_or_default().to_string_lossy();
                let folder = path.parent().map(|folder| folder.display().to_string()).unwrap_or_default();
                if ui.link(name).on_hover_text(folder).clicked() {
                    pane.push(Command::Open(vec![path.clone()]));
                }
            }
        }
    });
}

/// Which model would serve better than the built-in one, if none is here or coming.
fn hint(pane: &Pane<'_>) -> Option<String> {
    let Model::Ready(now) = pane.session.model() else { return None };
    let mut segmenters = pane.session.models().filter(|(model, _)| model.finds == Finds::Points);
    if segmenters.clone().any(|(_, stage)| stage != Stage::Missing) {
        return None;
    }
    let suits = if now.device != Place::Here(Device::Cpu) { "sam2.1-large" } else { "sam2.1-tiny" };
    let (model, _) = segmenters.find(|(model, _)| model.name == suits)?;
    Some(format!("Better masks on this machine: get {suits} ({} MB)…", model.megabytes))
}
