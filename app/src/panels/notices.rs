//! What the user should know, over the canvas's lower right corner.

use egui::{Align2, Area, Color32, Context, Frame, Id, Order, RichText, Stroke, Vec2};

use super::dot;
use crate::{
    notice::{Level, Notices},
    theme,
};

/// Returns the text of one that was closed.
pub(crate) fn notices_ui(ctx: &Context, notices: &Notices, lower_right: egui::Pos2) -> Option<String> {
    let mut closed = None;
    if notices.shown().is_empty() {
        return None;
    }
    let place = lower_right - ctx.content_rect().right_bottom();
    // Over dialogs, which say what goes wrong nowhere else.
    let area = Area::new(Id::unique("notices"))
        .order(Order::Tooltip)
        .anchor(Align2::RIGHT_BOTTOM, place - Vec2::splat(12.0));
    area.show(ctx, |ui| {
        ui.set_max_width(380.0);
        for notice in notices.shown() {
            let color = match notice.level {
                Level::Info => theme::ACCENT,
                Level::Warning => theme::REVIEW,
                Level::Error => ui.visuals().error_fg_color,
            };
            Frame::popup(ui.style()).stroke(Stroke::new(1.0, color)).show(ui, |ui| {
                ui.horizontal_top(|ui| {
                    dot(ui, color);
                    ui.vertical(|ui| {
                        ui.set_max_width(310.0);
                        ui.label(&notice.text);
                        details_ui(ui, &notice.text, &notice.details);
                    });
                    let close = egui::Button::new(RichText::new("×").size(16.0))
                        .frame(false)
                        .fill(Color32::TRANSPARENT);
                    if ui.add(close).on_hover_text("Close").clicked() {
                        closed = Some(notice.text.clone());
                    }
                });
            });
        }
    });
    // So that they go when their time is over.
    ctx.request_repaint_after(std::time::Duration::from_secs(1));
    closed
}

fn details_ui(ui: &mut egui::Ui, text: &str, details: &[String]) {
    if details.is_empty() {
        return;
    }
    if details.len() == 1 {
        ui.weak(&details[0]);
        return;
    }
    ui.collapsing(format!("{} details", details.len()), |ui| {
        egui::ScrollArea::vertical().id_salt(text).max_height(160.0).show(ui, |ui| {
            for detail in details {
                ui.weak(detail);
            }
        });
        if ui.small_button("Copy").clicked() {
            ui.ctx().copy_text(details.join("\n"));
        }
    });
}
