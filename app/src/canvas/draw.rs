//! Drawing the image, its masks, and what the user is in the middle of.

use std::time::{Duration, Instant};

use egui::{
    Align2, Color32, CursorIcon, FontId, Painter, Response, Shape, Stroke, StrokeKind, Ui,
    epaint::EllipseShape,
};
use engine::{
    geometry::{Point, Size},
    project::Segment,
    prompt::Label,
};

use super::{Canvas, Gesture, Paint, gpu, is_over, textures::MaskId, view::Transform};
use crate::{
    command::Tool,
    session::{Model, Session},
    theme,
};

/// Widths of outlines, in points.
const OUTLINE: f32 = 1.5;
const SELECTED_OUTLINE: f32 = 2.5;
/// Radius of a click's mark, in points.
const MARK: f32 = 5.0;

impl Canvas {
    pub(super) fn draw(
        &mut self,
        ui: &Ui,
        painter: &Painter,
        response: &Response,
        size: Size,
        session: &Session,
        paint: Paint,
    ) {
        let transform = self.view.transform(size, self.rect);
        self.draw_pixels(ui, painter, transform, session, paint);
        self.draw_boxes(painter, transform, session);
        draw_scores(painter, transform, session);
        self.draw_outline(painter, transform, session);
        self.draw_prompt(painter, transform, session);
        self.draw_gesture(painter, response, transform, session);
        self.dim(ui, painter, session);
        draw_state(ui, painter, session);
        if is_over(response) {
            let icon = match session.tools().tool {
                Tool::Brush | Tool::Eraser => CursorIcon::None,
                Tool::Point | Tool::Polygon => CursorIcon::Crosshair,
            };
            ui.ctx().set_cursor_icon(icon);
        }
    }

    /// The picture and the masks.
    fn draw_pixels(
        &mut self,
        ui: &Ui,
        painter: &Painter,
        transform: Transform,
        session: &Session,
        paint: Paint,
    ) {
        let (canvas, pixels_per_point) = (self.rect, ui.ctx().pixels_per_point());
        let Some(textures) = &mut self.textures else { return };
        textures.begin(session.frame_on_screen());
        // Masks are made first, and drawn over the picture.
        let mut masks = Vec::new();
        for (id, object, segment) in session.segments_on_screen().filter(|(id, ..)| session.is_visible(*id)) {
            let Some(mask) = &segment.mask else { continue };
            let is_selected = session.selection().contains(&id);
            let style = gpu::Style::Mask {
                color: with_alpha(session.color_of(id, object), paint.opacity),
                outline: if is_selected { SELECTED_OUTLINE } else { OUTLINE },
                is_hatched: object.proposal.is_some(),
            };
            textures.mask(MaskId::Object(id), mask, transform, canvas, style, &mut masks);
        }
        let ghost = |opacity| {
            let color = match session.selected() {
                Some((id, object, _)) => session.color_of(id, object),
                None => session.category().map_or([255; 3], |category| session.category_color(category)),
            };
            let color = with_alpha(color, opacity);
            gpu::Style::Mask { color, outline: OUTLINE, is_hatched: true }
        };
        if let Some(preview) = session.preview().filter(|_| matches!(self.gesture, Gesture::None)) {
            let hovers = ui.ctx().pointer_hover_pos().is_some_and(|pointer| canvas.contains(pointer));
            if hovers && paint.preview && session.tools().tool == Tool::Point {
                // Over a mask that is there already only the outline tells anything.
                let fill = if session.selected().is_some() { 0.0 } else { 0.35 };
                textures.mask(MaskId::Preview, &preview.mask, transform, canvas, ghost(fill), &mut masks);
            }
        }
        if let Gesture::Stroke { mask: Some(mask), label, .. } = &self.gesture {
            let style = match label {
                Label::Positive => ghost(0.6),
                Label::Negative => {
                    gpu::Style::Mask { color: [0.9, 0.2, 0.2, 0.5], outline: OUTLINE, is_hatched: true }
                }
            };
            textures.mask(MaskId::Stroke, mask, transform, canvas, style, &mut masks);
        }
        let mut quads = Vec::new();
        if let Some(Ok(picture)) = session.nearest_picture() {
            textures.picture(picture, transform, canvas, pixels_per_point, &mut quads);
        }
        quads.append(&mut masks);
        let frame = session.frame_on_screen();
        textures.keep_masks(|id| match id {
            MaskId::Object(id) => frame.is_some_and(|at| session.project().segment(id, at.frame).is_some()),
            MaskId::Preview | MaskId::Stroke => true,
        });
        if textures.is_incomplete() {
            ui.ctx().request_repaint();
        }
        painter.add(gpu::shape(canvas, quads));
    }

    /// Boxes of which no mask is known, and boxes that prompts have.
    fn draw_boxes(&self, painter: &Painter, transform: Transform, session: &Session) {
        for (id, object, segment) in session.segments_on_screen().filter(|(id, ..)| session.is_visible(*id)) {
            let is_selected = session.selection().contains(&id);
            let shown = if segment.mask.is_none() { segment.bounds() } else { segment.question.prompt.rect };
            let Some(rect) = shown.filter(|_| is_selected || segment.mask.is_none()) else { continue };
            let color = theme::color(session.color_of(id, object));
            let width = if is_selected { SELECTED_OUTLINE - 1.0 } else { OUTLINE };
            let rect = transform.rect_to_screen(rect);
            if object.proposal.is_some() || segment.mask.is_some() {
                dashed(painter, rect, Stroke::new(width, color));
            } else {
                painter.rect_stroke(rect, 0.0, Stroke::new(width, color), StrokeKind::Middle);
            }
        }
    }

    /// Corners that can be moved.
    fn draw_outline(&self, painter: &Painter, transform: Transform, session: &Session) {
        let Some(corners) = self.corners.as_ref().filter(|_| session.is_on_screen()) else { return };
        let rings = match &self.gesture {
            Gesture::Corner { rings, .. } => rings,
            _ => &corners.rings,
        };
        for ring in rings {
            let ring: Vec<egui::Pos2> = ring.iter().map(|at| transform.to_screen(*at)).collect();
            for corner in &ring {
                painter.circle(*corner, 3.5, Color32::WHITE, Stroke::new(1.0, Color32::BLACK));
            }
            painter.add(Shape::closed_line(ring, Stroke::new(1.0, Color32::WHITE)));
        }
    }

    /// Dims the picture while it is of another frame than the one that is meant, unless that takes but a moment.
    fn dim(&mut self, ui: &Ui, painter: &Painter, session: &Session) {
        const MOMENT: Duration = Duration::from_millis(150);
        if session.is_on_screen() {
            self.waits_since = None;
            return;
        }
        let since = *self.waits_since.get_or_insert_with(Instant::now);
        if since.elapsed() >= MOMENT {
            painter.rect_filled(self.rect, 0.0, Color32::from_black_alpha(110));
        } else {
            ui.ctx().request_repaint_after(MOMENT);
        }
    }

    fn draw_prompt(&self, painter: &Painter, transform: Transform, session: &Session) {
        let Some((id, _, segment)) = session.selected().filter(|_| session.tools().tool == Tool::Point)
        else {
            return;
        };
        if !session.is_visible(id) || !session.is_on_screen() {
            return;
        }
        for point in &segment.question.prompt.points {
            let color = match point.label {
                Label::Positive => theme::POSITIVE,
                Label::Negative => theme::NEGATIVE,
            };
            let at = transform.to_screen(point.at);
            painter.circle(at, MARK, color, Stroke::new(1.5, Color32::WHITE));
            let half = MARK * 0.55;
            let stroke = Stroke::new(1.5, Color32::WHITE);
            painter.hline(at.x - half..=at.x + half, at.y, stroke);
            if point.label == Label::Positive {
                painter.vline(at.x, at.y - half..=at.y + half, stroke);
            }
        }
        if !segment.is_answered {
            draw_waiting(painter, transform, segment);
        }
    }

    fn draw_gesture(&self, painter: &Painter, response: &Response, transform: Transform, session: &Session) {
        let pointer = response.hover_pos();
        match &self.gesture {
            Gesture::Box { from, to } => {
                let rect = egui::Rect::from_two_pos(transform.to_screen(*from), transform.to_screen(*to));
                painter.rect_filled(rect, 0.0, theme::ACCENT.gamma_multiply(0.12));
                painter.rect_stroke(rect, 0.0, Stroke::new(1.5, theme::ACCENT), StrokeKind::Middle);
            }
            Gesture::Polygon { points, label } => {
                let color = if *label == Label::Positive { theme::POSITIVE } else { theme::NEGATIVE };
                let corners = points.iter().map(|at| transform.to_screen(*at));
                let line: Vec<egui::Pos2> = corners.clone().chain(pointer).collect();
                painter.add(Shape::line(line, Stroke::new(1.5, color)));
                for corner in corners {
                    painter.circle(corner, 3.5, color, Stroke::new(1.0, Color32::WHITE));
                }
            }
            _ => {}
        }
        let brushes = matches!(session.tools().tool, Tool::Brush | Tool::Eraser);
        if let Some(at) = pointer.filter(|_| brushes) {
            let radius = session.tools().brush * transform.scale;
            for stroke in [Stroke::new(2.5, Color32::from_black_alpha(140)), Stroke::new(1.0, Color32::WHITE)]
            {
                painter.add(EllipseShape::stroke(at, radius, stroke));
            }
        }
    }
}

/// What proposals are, and how sure the machine is of them.
fn draw_scores(painter: &Painter, transform: Transform, session: &Session) {
    let proposals = session
        .segments_on_screen()
        .filter(|(id, object, _)| object.proposal.is_some() && session.is_visible(*id));
    for (id, object, segment) in proposals {
        let (Some(score), Some(rect)) = (object.proposal, segment.bounds()) else { continue };
        let rect = transform.rect_to_screen(rect);
        let is_selected = session.selection().contains(&id);
        // Between small boxes there is no room for words.
        if rect.width() < 30.0 && !is_selected {
            continue;
        }
        let category = session.project().categories.get(&object.category);
        let name = category.map_or("?", |category| category.name.as_str());
        let color = theme::color(session.color_of(id, object));
        let text = format!("{name} {:.0} %", score * 100.0);
        let text = painter.layout_no_wrap(text, FontId::proportional(11.0), Color32::BLACK);
        let margin = egui::vec2(3.0, 1.0);
        let place = Align2::LEFT_BOTTOM.anchor_size(rect.left_top(), text.size() + 2.0 * margin);
        // All of it is read, also at the edge.
        let space = (painter.clip_rect().size() - place.size()).max(egui::Vec2::ZERO);
        let place = place
            .translate(place.min.clamp(painter.clip_rect().min, painter.clip_rect().min + space) - place.min);
        painter.rect_filled(place, 2.0, color.gamma_multiply(if is_selected { 1.0 } else { 0.8 }));
        painter.galley(place.min + margin, text, Color32::BLACK);
    }
}

/// What the user has to know where they look: why there is no picture, or no model.
fn draw_state(ui: &Ui, painter: &Painter, session: &Session) {
    let text = match (session.nearest_picture(), session.model()) {
        (Some(Err(why)), _) => why.clone(),
        (None, _) => "Reading…".to_owned(),
        (_, Model::None(why)) => format!("No model, so clicks have no answer: {why}"),
        _ => return,
    };
    let rect = painter.clip_rect();
    let width = (rect.width() - 40.0).max(80.0);
    let color = ui.visuals().strong_text_color();
    let text = painter.layout(text, FontId::proportional(14.0), color, width);
    let place = Align2::CENTER_CENTER.anchor_size(rect.center(), text.size());
    painter.rect_filled(place.expand(8.0), 6.0, ui.visuals().panel_fill.gamma_multiply(0.9));
    painter.galley(place.min, text, color);
}

/// The click is kept, and is answered as soon as it can be.
fn draw_waiting(painter: &Painter, transform: Transform, segment: &Segment) {
    let last = segment.question.prompt.points.last().map(|point| point.at);
    let corner = segment.question.prompt.rect.map(|rect| Point { x: rect.x1, y: rect.y1 });
    if let Some(at) = last.or(corner) {
        painter.circle_stroke(transform.to_screen(at), MARK * 2.0, Stroke::new(1.5, theme::REVIEW));
    }
}

fn with_alpha([r, g, b]: [u8; 3], alpha: f32) -> [f32; 4] {
    [f32::from(r) / 255.0, f32::from(g) / 255.0, f32::from(b) / 255.0, alpha]
}

fn dashed(painter: &Painter, rect: egui::Rect, stroke: Stroke) {
    let corners =
        [rect.left_top(), rect.right_top(), rect.right_bottom(), rect.left_bottom(), rect.left_top()];
    painter.extend(Shape::dashed_line(&corners, stroke, 6.0, 4.0));
}
