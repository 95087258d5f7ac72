//! Badges over the image for modes that hide objects or change what tools do; a click ends a mode.

use egui::{Align, Button, Layout, Rect, RichText, Ui, UiBuilder, Vec2};

use crate::{command::Command, panels::Pane, theme};

pub(super) fn modes_ui(ui: &mut Ui, canvas: Rect, pane: &mut Pane<'_>) {
    let (visibility, tools) = (pane.session.visibility(), pane.session.tools());
    let modes = [
        (!visibility.masks, "Masks are hidden", Command::ToggleMasks),
        (visibility.solo, "Only selected objects are shown", Command::ToggleSolo),
        (tools.only_unlabeled, "Only unlabeled pixels are taken", Command::ToggleOnlyUnlabeled),
    ];
    let builder =
        UiBuilder::new().max_rect(canvas.shrink2(Vec2::splat(8.0))).layout(Layout::top_down(Align::Center));
    let mut badges = ui.new_child(builder);
    for (_, text, command) in modes.into_iter().filter(|(is_on, ..)| *is_on) {
        let text = RichText::new(format!("{text}  ×")).color(egui::Color32::BLACK);
        let badge = badges.add(Button::new(text).fill(theme::REVIEW));
        pane.on_click(badge, &command, "Click to end this");
    }
}
