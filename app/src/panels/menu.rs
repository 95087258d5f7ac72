//! The menu bar: the catalog of commands, by group.

use egui::{MenuBar, Ui};

use super::Pane;
use crate::command::{CATALOG, Command, Group};

pub(crate) fn menu_ui(ui: &mut Ui, pane: &mut Pane<'_>) {
    MenuBar::new().ui(ui, |ui| {
        for group in Group::ALL {
            ui.menu_button(group.title(), |ui| {
                ui.set_min_width(240.0);
                // Digit keys are shown with their categories.
                let is_digit = |command: &Command| matches!(command, Command::CategoryKey(_));
                for named in CATALOG.iter().filter(|named| named.group == group && !is_digit(&named.command))
                {
                    pane.menu_item(ui, named);
                }
            });
        }
        let history = pane.session.history();
        let undo = history.undoable().map_or("Nothing to undo".to_owned(), |title| format!("Undo: {title}"));
        let redo = history.redoable().map_or("Nothing to redo".to_owned(), |title| format!("Redo: {title}"));
        ui.separator();
        for (sign, command, title) in [("Undo", Command::Undo, undo), ("Redo", Command::Redo, redo)] {
            let button = ui.add_enabled(pane.is_possible(&command), egui::Button::new(sign).frame(false));
            pane.on_click(button, &command, &title);
        }
    });
}
