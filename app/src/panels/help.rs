//! The help sheet: the mouse, and every command with its keys.

use egui::{Context, Grid, Id, Modal, RichText, ScrollArea, Ui};

use super::Pane;
use crate::command::{CATALOG, Group};

/// What the mouse does on the image.
const MOUSE: [(&str, &str); 9] = [
    ("Left click", "This belongs to the object; begins one if none is selected"),
    ("Right click", "This does not"),
    ("Drag", "A box round the object"),
    ("Ctrl+click", "Select the object there; with Shift, add it"),
    ("Wheel, pinch", "Zoom"),
    ("Middle drag, Space+drag", "Move the image"),
    ("Shift+wheel", "Size of the brush"),
    ("Polygon: click, double click", "Set a corner; close"),
    ("Polygon: drag a corner", "Move it, of the selected object"),
];

/// False once it is left.
pub(crate) fn help_ui(ctx: &Context, pane: &Pane<'_>) -> bool {
    let modal = Modal::new(Id::unique("help")).show(ctx, |ui| {
        let size = ctx.content_rect().size();
        ui.set_width((size.x * 0.8).min(880.0));
        ui.heading("Keys and mouse");
        ui.weak("The keys can be changed in the settings");
        ScrollArea::vertical().max_height(size.y * 0.7).auto_shrink([false, true]).show(ui, |ui| {
            ui.columns(2, |columns| {
                mouse_ui(&mut columns[0]);
                for (i, group) in Group::ALL.into_iter().enumerate() {
                    let left = matches!(group, Group::File | Group::Edit | Group::View);
                    group_ui(&mut columns[usize::from(!left)], pane, group, i);
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

fn group_ui(ui: &mut Ui, pane: &Pane<'_>, group: Group, i: usize) {
    ui.strong(group.title());
    Grid::new(("keys", i)).num_columns(2).striped(true).show(ui, |ui| {
        for named in CATALOG.iter().filter(|named| named.group == group) {
            let keys: Vec<String> = pane.preferences.keymap().keys_of(named.name).map(|key| key.shown()).collect();
            ui.label(RichText::new(keys.join("  ")).monospace().size(11.0));
            ui.label(named.title.trim_end_matches('…'));
            ui.end_row();
        }
    });
    ui.add_space(8.0);
}
