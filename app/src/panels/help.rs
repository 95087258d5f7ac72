//! The help sheet: the mouse, and every command with its keys.

use egui::{Context, Grid, RichText, ScrollArea, Ui};

use super::{Pane, dialog};
use crate::command::{CATALOG, Command, Group, Named};

/// What the mouse does on the image.
const MOUSE: [(&str, &str); 10] = [
    ("Left click", "On the object, or on a new one"),
    ("Right click", "Not on the object"),
    ("Drag", "A box round the object"),
    ("Ctrl+click", "Select; with Shift, add"),
    ("Digits", "Category of the selected"),
    ("Wheel, pinch", "Zoom"),
    ("Middle, Alt+drag", "Move the image"),
    ("Shift+wheel", "Size of the brush"),
    ("Click (polygon)", "Set a corner; twice to close"),
    ("Drag (polygon)", "Move or add a corner of the selected"),
];

/// False once it is left.
pub(crate) fn help_ui(ctx: &Context, pane: &Pane<'_>) -> bool {
    let modal = dialog("help").show(ctx, |ui| {
        let size = ctx.content_rect().size();
        ui.set_width((size.x * 0.9).min(1080.0));
        ui.heading("Keys and mouse");
        ui.weak("The keys can be changed in the settings");
        let height = size.y * 0.75;
        let list = ScrollArea::vertical().max_height(height).min_scrolled_height(height);
        list.auto_shrink([false, true]).show(ui, |ui| {
            ui.columns(3, |columns| {
                mouse_ui(&mut columns[0]);
                for group in Group::ALL {
                    let column = match group {
                        Group::File | Group::Go => 0,
                        Group::Edit | Group::Track => 1,
                        Group::Object | Group::Mask | Group::View | Group::Jobs => 2,
                    };
                    group_ui(&mut columns[column], pane, group);
                }
            });
        });
        ui.button("Close").clicked()
    });
    !modal.inner && !modal.should_close()
}

fn mouse_ui(ui: &mut Ui) {
    ui.strong("Mouse");
    Grid::new("mouse").num_columns(2).striped(true).show(ui, |ui| {
        for (gesture, meaning) in MOUSE {
            ui.label(RichText::new(gesture).monospace().size(11.0));
            ui.label(meaning);
            ui.end_row();
        }
    });
    ui.add_space(8.0);
}

fn group_ui(ui: &mut Ui, pane: &Pane<'_>, group: Group) {
    ui.strong(group.title());
    Grid::new(group.title()).num_columns(2).striped(true).show(ui, |ui| {
        let is_digit = |named: &&Named| matches!(named.command, Command::CategoryKey(_));
        for named in CATALOG.iter().filter(|named| named.group == group && !is_digit(named)) {
            let keys: Vec<String> =
                pane.preferences.keymap().keys_of(named.name).map(|key| key.shown()).collect();
            ui.label(RichText::new(keys.join("  ")).monospace().size(11.0));
            ui.label(named.title.trim_end_matches('…'));
            ui.end_row();
        }
    });
    ui.add_space(8.0);
}
