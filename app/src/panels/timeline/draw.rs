//! How the timeline looks.

use egui::{Align2, Color32, FontId, Mesh, Painter, Pos2, Rect, Shape, Stroke, Ui, Vec2};
use engine::{frame::Direction, project::ObjectId};

use super::{
    Scale,
    lanes::{Cell, Kind},
};
use crate::{session::Session, theme};

/// Frame numbers and times.
pub(super) fn ruler(ui: &Ui, rect: Rect, scale: &Scale, fps: Option<f64>) {
    const APART: f32 = 90.0;
    let painter = ui.painter_at(rect);
    let steps = [1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000, 10_000, 50_000, 100_000];
    let is_wide = |step: &&usize| **step as f32 * scale.width() >= APART;
    let step = steps.iter().find(is_wide).copied().unwrap_or(500_000);
    let color = ui.visuals().weak_text_color();
    let first = scale.frames().start / step * step;
    for frame in (first..scale.n_frames).step_by(step).take_while(|frame| *frame < scale.frames().end) {
        let x = scale.middle(frame);
        painter.vline(x, rect.bottom() - 5.0..=rect.bottom(), Stroke::new(1.0, color));
        let time = fps.map(|fps| format!("  {}", clock(frame as f64 / fps))).unwrap_or_default();
        let at = Pos2::new(x + 3.0, rect.top());
        painter.text(at, Align2::LEFT_TOP, format!("{frame}{time}"), FontId::proportional(10.5), color);
    }
}

/// Minutes, seconds and hundredths.
pub(super) fn clock(seconds: f64) -> String {
    let hundredths = (seconds * 100.0).round() as u64;
    format!("{}:{:02}.{:02}", hundredths / 6000, hundredths / 100 % 60, hundredths % 100)
}

/// An object's name beside its lane.
pub(super) fn name(ui: &Ui, rect: Rect, title: &str, color: Color32, is_selected: bool, is_hovered: bool) {
    let painter = ui.painter_at(rect);
    if is_selected {
        painter.rect_filled(rect, 4.0, ui.visuals().selection.bg_fill);
    } else if is_hovered {
        painter.rect_filled(rect, 4.0, ui.visuals().widgets.hovered.weak_bg_fill);
    }
    let swatch = Rect::from_center_size(rect.left_center() + Vec2::new(11.0, 0.0), Vec2::splat(10.0));
    painter.rect_filled(swatch, 3.0, color);
    let at = rect.left_center() + Vec2::new(22.0, 0.0);
    painter.text(at, Align2::LEFT_CENTER, title, FontId::proportional(12.5), ui.visuals().text_color());
}

/// Visible spans in the object's color, over a strip that tells how sure the model is.
pub(super) fn lane(ui: &Ui, rect: Rect, scale: &Scale, cells: &[Cell], session: &Session, object: ObjectId) {
    const STRIP: f32 = 4.0;
    let painter = ui.painter_at(rect);
    painter.rect_filled(rect.shrink2(Vec2::new(0.0, 1.0)), 2.0, ui.visuals().extreme_bg_color);
    let known = session.shown().and_then(|medium| session.project().objects.get(&(medium, object)));
    let color = known.map_or(Color32::GRAY, |known| theme::color(session.color_of(object, known)));
    let body = Rect::from_min_max(rect.min + Vec2::new(0.0, 2.0), rect.max - Vec2::new(0.0, STRIP + 3.0));
    let strip = Rect::from_min_max(
        Pos2::new(rect.left(), rect.bottom() - STRIP - 2.0),
        rect.max - Vec2::new(0.0, 2.0),
    );
    let mut mesh = Mesh::default();
    for (x, cell) in spans(scale, cells) {
        let part = |rect: Rect| Rect::from_x_y_ranges(x, rect.y_range());
        match cell.kind {
            Kind::Unknown => {}
            Kind::Absent => mesh.add_colored_rect(part(middle_of(body)), color.gamma_multiply(0.35)),
            Kind::GivenAbsent => mesh.add_colored_rect(part(middle_of(body)), color),
            Kind::Tracked => mesh.add_colored_rect(part(body), color.gamma_multiply(0.5)),
            Kind::Given | Kind::Confirmed => mesh.add_colored_rect(part(body), color),
        }
        match cell.kind {
            Kind::Tracked | Kind::Absent => mesh.add_colored_rect(part(strip), heat(cell.confidence)),
            Kind::Confirmed | Kind::GivenAbsent => mesh.add_colored_rect(part(strip), theme::DONE),
            Kind::Given | Kind::Unknown => {}
        }
    }
    painter.add(Shape::mesh(mesh));
    marks(&painter, body, scale, cells);
    runs(&painter, body, scale, session, object);
    for (_, frame, brightness) in session.lit().filter(|(lit, ..)| *lit == object) {
        let width = scale.width().max(1.5);
        let part = Rect::from_center_size(
            Pos2::new(scale.middle(frame), body.center().y),
            Vec2::new(width, body.height()),
        );
        painter.rect_filled(part, 0.0, Color32::from_white_alpha((brightness.clamp(0.0, 1.0) * 150.0) as u8));
    }
}

fn middle_of(rect: Rect) -> Rect {
    Rect::from_center_size(rect.center(), Vec2::new(rect.width(), 2.0))
}

/// Neighboring frames that look the same, or share a pixel: of those the one that most needs a look.
fn spans(scale: &Scale, cells: &[Cell]) -> Vec<(egui::Rangef, Cell)> {
    const STEPS: u8 = 16;
    let rounded = |cell: &Cell| Cell { confidence: cell.confidence / STEPS * STEPS, ..*cell };
    let mut spans: Vec<(egui::Rangef, Cell)> = Vec::new();
    for frame in scale.frames() {
        let Some(cell) = cells.get(frame).map(rounded) else { break };
        let (from, to) = (scale.x(frame as f64), scale.x(frame as f64 + 1.0));
        match spans.last_mut() {
            Some((x, last)) if *last == cell => x.max = to,
            Some((x, last)) if to - x.min < 1.0 => {
                x.max = to;
                let is_worse = cell.kind != Kind::Unknown
                    && (last.kind == Kind::Unknown || cell.confidence < last.confidence);
                *last = if is_worse { cell } else { *last };
            }
            _ => spans.push((egui::Rangef::new(from, to), cell)),
        }
    }
    spans
}

/// Frames of which a person has said what is there.
fn marks(painter: &Painter, rect: Rect, scale: &Scale, cells: &[Cell]) {
    const APART: f32 = 3.0;
    let mut last = f32::NEG_INFINITY;
    for frame in scale.frames() {
        let Some(cell) = cells.get(frame) else { break };
        let before = frame.checked_sub(1).and_then(|before| cells.get(before)).map(|cell| cell.kind);
        let is_mark = cell.kind == Kind::Given || (cell.kind != Kind::Tracked && before != Some(cell.kind));
        let x = scale.middle(frame);
        if !is_mark || matches!(cell.kind, Kind::Unknown | Kind::Absent) || x - last < APART {
            continue;
        }
        last = x;
        let (center, r) = (Pos2::new(x, rect.center().y), 4.0);
        let corners = [Vec2::new(0.0, -r), Vec2::new(r, 0.0), Vec2::new(0.0, r), Vec2::new(-r, 0.0)];
        let fill = if cell.kind == Kind::Given { Color32::WHITE } else { theme::DONE };
        let diamond = corners.map(|corner| center + corner).to_vec();
        painter.add(Shape::convex_polygon(diamond, fill, Stroke::new(1.0, Color32::BLACK)));
    }
}

/// What is still to be tracked: a line as far as it goes, and where it is.
fn runs(painter: &Painter, rect: Rect, scale: &Scale, session: &Session, object: ObjectId) {
    let color = if session.is_paused() { theme::REVIEW } else { theme::ACCENT };
    for run in session.project().runs.values().filter(|run| run.object == object) {
        let (next, last) = (scale.middle(run.next), scale.middle(run.last));
        painter.hline(next.min(last)..=next.max(last), rect.bottom(), Stroke::new(1.5, color));
        let tip = match run.direction {
            Direction::Forward => 6.0,
            Direction::Backward => -6.0,
        };
        let corners = [
            Pos2::new(next + tip, rect.center().y),
            Pos2::new(next, rect.top()),
            Pos2::new(next, rect.bottom()),
        ];
        painter.add(Shape::convex_polygon(corners.to_vec(), color, Stroke::NONE));
    }
}

/// What lies over all lanes: the chosen frames and the shown one.
pub(super) fn over(ui: &Ui, area: Rect, scale: &Scale, session: &Session) {
    let painter = ui.painter_at(area);
    if let Some(span) = session.span() {
        let x = scale.x(*span.start() as f64)..=scale.x(*span.end() as f64 + 1.0);
        let rect = Rect::from_x_y_ranges(x.clone(), area.y_range());
        painter.rect_filled(rect, 0.0, theme::ACCENT.gamma_multiply(0.16));
        for edge in [x.start(), x.end()] {
            painter.vline(*edge, area.y_range(), Stroke::new(1.0, theme::ACCENT));
        }
    }
    let frame = session.player().frame;
    let x = scale.middle(frame);
    let color = ui.visuals().strong_text_color();
    if scale.width() > 3.0 {
        let rect = Rect::from_x_y_ranges(scale.x(frame as f64)..=scale.x(frame as f64 + 1.0), area.y_range());
        painter.rect_filled(rect, 0.0, color.gamma_multiply(0.12));
    }
    painter.vline(x, area.y_range(), Stroke::new(1.5, color));
    let top = Pos2::new(x, area.top());
    let handle = [top + Vec2::new(-5.0, 0.0), top + Vec2::new(5.0, 0.0), top + Vec2::new(0.0, 7.0)];
    painter.add(Shape::convex_polygon(handle.to_vec(), color, Stroke::NONE));
}

/// From red where the model is unsure to green where it is sure.
fn heat(confidence: u8) -> Color32 {
    let sure = ((f32::from(confidence) / 255.0 - 0.4) / 0.5).clamp(0.0, 1.0);
    let mix = |from: Color32, to: Color32, share: f32| from.lerp_to_gamma(to, share);
    match sure {
        sure if sure < 0.5 => mix(theme::NEGATIVE, theme::REVIEW, sure * 2.0),
        sure => mix(theme::REVIEW, theme::DONE, sure * 2.0 - 1.0),
    }
}
