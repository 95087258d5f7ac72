//! What the user should know, over the canvas's lower right corner.

use std::time::{Duration, Instant};

use egui::{
    Align2, Area, CollapsingHeader, Color32, Context, Frame, Id, Order, RichText, ScrollArea, Stroke, Ui,
    Vec2,
};

use super::dot;
use crate::{
    notice::{Level, Notice, Notices},
    theme,
};

/// The notices take this part of the window's height at most; more of them are scrolled.
const MAX_HEIGHT: f32 = 0.6;

/// Shows the notices, which stay while the pointer is on them.
pub(crate) fn notices_ui(ctx: &Context, notices: &mut Notices, lower_right: egui::Pos2) {
    let mut closed = None;
    notices.set_dialog(ctx.memory(|memory| memory.top_modal_layer().is_some()), Instant::now());
    let n_notices = notices.uncovered().count();
    if n_notices == 0 {
        return;
    }
    let place = lower_right - ctx.content_rect().right_bottom();
    // Over dialogs, which say what goes wrong nowhere else.
    let area = Area::new(Id::unique("notices"))
        .order(Order::Tooltip)
        .anchor(Align2::RIGHT_BOTTOM, place - Vec2::splat(12.0));
    let shown = area.show(ctx, |ui| {
        ui.set_max_width(380.0);
        let max_height = ctx.content_rect().height() * MAX_HEIGHT;
        ScrollArea::vertical().max_height(max_height).stick_to_bottom(true).show(ui, |ui| {
            for notice in notices.uncovered() {
                if notice_ui(ui, notice) {
                    closed = Some(notice.text.clone());
                }
            }
        });
        n_notices > 1 && ui.button("Close all").clicked()
    });
    if shown.response.contains_pointer() {
        notices.hold(Instant::now());
    }
    match closed {
        _ if shown.inner => notices.close_uncovered(),
        Some(closed) => notices.close(&closed),
        None => {}
    }
    // So that they go when their time is over.
    ctx.request_repaint_after(Duration::from_secs(1));
}

/// Shows a notice. Returns true if it was closed.
fn notice_ui(ui: &mut Ui, notice: &Notice) -> bool {
    let color = match notice.level {
        Level::Info => theme::ACCENT,
        Level::Warning => theme::REVIEW,
        Level::Error => ui.visuals().error_fg_color,
    };
    let frame = Frame::popup(ui.style()).stroke(Stroke::new(1.0, color));
    let content = |ui: &mut Ui| {
        dot(ui, color);
        ui.vertical(|ui| {
            ui.set_width(310.0);
            ui.label(&notice.text);
            details_ui(ui, &notice.text, &notice.details);
        });
        let close = egui::Button::new(RichText::new("×").size(16.0)).frame(false).fill(Color32::TRANSPARENT);
        ui.add(close).on_hover_text("Close").clicked()
    };
    frame.show(ui, |ui| ui.horizontal_top(content).inner).inner
}

fn details_ui(ui: &mut Ui, text: &str, details: &[String]) {
    if details.is_empty() {
        return;
    }
    if details.len() == 1 {
        ui.label(RichText::new(&details[0]).small());
        return;
    }
    // Several notices may have as many details.
    let header = CollapsingHeader::new(format!("{} details", details.len())).id_salt(text);
    header.show(ui, |ui| {
        ScrollArea::vertical().id_salt(text).max_height(160.0).show(ui, |ui| {
            for detail in details {
                ui.label(RichText::new(detail).small());
            }
        });
        if ui.small_button("Copy").clicked() {
            ui.ctx().copy_text(details.join("\n"));
        }
    });
}
