//! The list of categories: choose, add, rename, color, key, attributes.

use egui::{Key, Popup, PopupCloseBehavior, RichText, ScrollArea, Ui};
use engine::project::{Attribute, Category, CategoryId};

use super::{Pane, dialog};
use crate::{command::Command, theme};

pub(crate) fn categories_ui(ui: &mut Ui, pane: &mut Pane<'_>) {
    ui.horizontal(|ui| {
        ui.strong("Categories");
        let add = ui.small_button("+");
        pane.on_click(add, &Command::NewCategory, "New category");
    });
    let project = pane.session.project().clone();
    ScrollArea::vertical().id_salt("categories").auto_shrink([false, false]).show(ui, |ui| {
        for (id, category) in &project.categories {
            row(ui, pane, *id, category);
        }
    });
}

fn row(ui: &mut Ui, pane: &mut Pane<'_>, id: CategoryId, category: &Category) {
    ui.horizontal(|ui| {
        let mut color = category.color;
        if ui.color_edit_button_srgb(&mut color).changed() {
            pane.push(Command::ColorCategory(id, color));
        }
        let key = category.key.map_or(" ".to_owned(), |key| key.to_string());
        ui.label(RichText::new(key).monospace().color(theme::ACCENT))
            .on_hover_text("The key that chooses it");
        let is_current = pane.session.category() == Some(id);
        let name = ui.selectable_label(is_current, &category.name);
        if name.clicked() {
            pane.push(Command::SetCategory(id));
        }
        Popup::context_menu(&name)
            .close_behavior(PopupCloseBehavior::CloseOnClickOutside)
            .show(|ui| edit_ui(ui, pane, id, category));
        let menu = ui.button("…").on_hover_text("Rename, key, attributes");
        Popup::menu(&menu)
            .close_behavior(PopupCloseBehavior::CloseOnClickOutside)
            .show(|ui| edit_ui(ui, pane, id, category));
    });
}

/// What can be changed of a category; each field is taken over when it is left.
fn edit_ui(ui: &mut Ui, pane: &mut Pane<'_>, id: CategoryId, category: &Category) {
    ui.set_width(270.0);
    if let Some(name) = field(ui, "Name", &category.name) {
        pane.push(Command::RenameCategory(id, name));
    }
    // A list would close this popup: only one is open at a time.
    ui.horizontal_wrapped(|ui| {
        ui.label("Key");
        let mut key = category.key;
        ui.selectable_value(&mut key, None, "none");
        for digit in (1..=9).chain([0]) {
            ui.selectable_value(&mut key, Some(digit), digit.to_string());
        }
        if key != category.key {
            pane.push(Command::KeyCategory(id, key));
        }
    });
    let written: Vec<String> = category.attributes.iter().map(write_attribute).collect();
    if let Some(text) = field(ui, "Attributes", &written.join("; ")) {
        pane.push(Command::SetAttributes(id, read_attributes(&text)));
    }
    ui.weak("such as: occluded = yes, no; note");
    ui.separator();
    if ui.button("Remove category").clicked() {
        pane.push(Command::RemoveCategory(id));
        ui.close();
    }
}

/// A line to edit; the new text once it is left.
fn field(ui: &mut Ui, label: &str, now: &str) -> Option<String> {
    let id = ui.scope_id().with(label);
    let mut text = ui.data(|data| data.get_temp::<String>(id)).unwrap_or_else(|| now.to_owned());
    let response = ui.horizontal(|ui| {
        let label = ui.label(label);
        ui.text_edit_singleline(&mut text).labelled_by(label.id)
    });
    if response.inner.lost_focus() {
        ui.data_mut(|data| data.remove_temp::<String>(id));
        return (text != now).then_some(text);
    }
    if response.inner.has_focus() {
        ui.data_mut(|data| data.insert_temp(id, text));
    }
    None
}

/// "occluded = yes, no", or only a name.
fn write_attribute(attribute: &Attribute) -> String {
    if attribute.values.is_empty() {
        attribute.name.clone()
    } else {
        format!("{} = {}", attribute.name, attribute.values.join(", "))
    }
}

/// Reads attributes written like that, apart by semicolons.
fn read_attributes(text: &str) -> Vec<Attribute> {
    let read = |text: &str| {
        let (name, values) = text.split_once('=').unwrap_or((text, ""));
        let values = values.split(',').map(str::trim).filter(|value| !value.is_empty());
        Attribute { name: name.trim().to_owned(), values: values.map(str::to_owned).collect() }
    };
    text.split(';').map(read).filter(|attribute| !attribute.name.is_empty()).collect()
}

/// The question for a new category's name.
#[derive(Default)]
pub(crate) struct NewCategory {
    name: String,
}

impl NewCategory {
    /// False once it is answered.
    pub(crate) fn ui(&mut self, ctx: &egui::Context, pane: &mut Pane<'_>) -> bool {
        let modal = dialog("new category").show(ctx, |ui| {
            ui.set_width(260.0);
            let label = ui.label("Name of the new category");
            let field = ui.text_edit_singleline(&mut self.name).labelled_by(label.id);
            field.request_focus();
            let entered = ui.input(|input| input.key_pressed(Key::Enter));
            let added = ui.button("Add").clicked() || entered;
            if added {
                pane.push(Command::AddCategory(self.name.clone()));
            }
            added
        });
        !modal.inner && !modal.should_close()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn attributes_are_written_as_they_are_read() {
        let text = "occluded = yes, no; note";
        let attributes = read_attributes(text);
        assert_eq!(attributes.len(), 2);
        assert_eq!(attributes[0].values, ["yes", "no"]);
        assert_eq!(attributes.iter().map(write_attribute).collect::<Vec<_>>().join("; "), text);
        assert!(read_attributes(" ; = x;").is_empty());
    }
}
