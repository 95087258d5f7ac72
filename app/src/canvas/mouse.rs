//! What the mouse does on the image.

use std::sync::Arc;

use egui::{Key, PointerButton, Pos2, Response, Ui};
use engine::{
    geometry::{Point, Size},
    mask::Rle,
    prompt::Label,
};

use super::{Canvas, Gesture, view::Transform};
use crate::{
    command::{Command, Tool},
    session::Session,
};

/// How near, in points, the pointer has to be to take hold of a corner.
const REACH: f32 = 8.0;
/// Boxes with an edge shorter than this, in points, are clicks that slipped.
const SMALLEST_BOX: f32 = 4.0;

impl Canvas {
    /// Returns where a click of the point tool would mean something.
    pub(super) fn mouse(
        &mut self,
        ui: &Ui,
        response: &Response,
        size: Size,
        session: &Session,
        commands: &mut Vec<Command>,
    ) -> Option<Point> {
        self.zoom_and_pan(ui, response, size, commands);
        let transform = self.view.transform(size, self.rect);
        let is_panning = ui.input(|input| input.key_down(Key::Space));
        if is_panning {
            return None;
        }
        match session.tools().tool {
            Tool::Point => self.point(ui, response, transform, size, commands),
            Tool::Brush => self.brush(response, transform, size, session, commands, Label::Positive),
            Tool::Eraser => self.brush(response, transform, size, session, commands, Label::Negative),
            Tool::Polygon => self.polygon(ui, response, transform, commands),
        }
        let pointer = response.hover_pos().filter(|_| matches!(self.gesture, Gesture::None))?;
        let at = transform.to_image(pointer);
        (session.tools().tool == Tool::Point && is_inside(at, size)).then_some(at)
    }

    fn zoom_and_pan(&mut self, ui: &Ui, response: &Response, size: Size, commands: &mut Vec<Command>) {
        let (scroll, pinch, shift, space) = ui.input(|input| {
            (input.smooth_scroll_delta(), input.zoom_delta(), input.modifiers.shift, input.key_down(Key::Space))
        });
        if let Some(pointer) = response.hover_pos() {
            // With Shift, systems turn the wheel's direction sideways.
            let wheel = scroll.x + scroll.y;
            if shift && wheel != 0.0 {
                commands.push(if wheel > 0.0 { Command::LargerBrush } else { Command::SmallerBrush });
            } else {
                let factor = pinch * (scroll.y / 240.0).exp();
                if factor != 1.0 {
                    self.view.zoom(factor, pointer, size, self.rect);
                }
            }
        }
        let dragged = response.dragged_by(PointerButton::Middle);
        if dragged || (space && response.dragged_by(PointerButton::Primary)) {
            self.view.pan(response.drag_delta(), size, self.rect);
        }
    }

    fn point(
        &mut self,
        ui: &Ui,
        response: &Response,
        transform: Transform,
        size: Size,
        commands: &mut Vec<Command>,
    ) {
        let Some(pointer) = response.interact_pointer_pos() else { return };
        let at = transform.to_image(pointer);
        let modifiers = ui.input(|input| input.modifiers);
        if response.clicked() && modifiers.command {
            commands.push(Command::SelectAt { at, add: modifiers.shift });
        } else if response.clicked() && is_inside(at, size) {
            commands.push(Command::AddPoint { at, label: Label::Positive });
        } else if response.secondary_clicked() && is_inside(at, size) {
            commands.push(Command::AddPoint { at, label: Label::Negative });
        }
        if response.drag_started_by(PointerButton::Primary) {
            let from = ui.input(|input| input.pointer.press_origin()).unwrap_or(pointer);
            self.gesture = Gesture::Box { from: transform.to_image(from), to: at };
        }
        if let Gesture::Box { from, to } = &mut self.gesture {
            *to = at;
            let corners = [transform.to_screen(*from), pointer];
            if response.drag_stopped() {
                let rect = transform.rect_to_image(corners[0], corners[1], size);
                let drawn = (corners[1] - corners[0]).abs();
                if drawn.min_elem() >= SMALLEST_BOX && rect.x1 > rect.x0 && rect.y1 > rect.y0 {
                    commands.push(Command::SetBox(rect));
                }
                self.gesture = Gesture::None;
            }
        }
    }

    fn brush(
        &mut self,
        response: &Response,
        transform: Transform,
        size: Size,
        session: &Session,
        commands: &mut Vec<Command>,
        left: Label,
    ) {
        let Some(pointer) = response.interact_pointer_pos() else { return };
        let at = transform.to_image(pointer);
        let label_of = |secondary: bool| if secondary { opposite(left) } else { left };
        if response.clicked() || response.secondary_clicked() {
            commands.push(Command::Stroke { points: vec![at], label: label_of(response.secondary_clicked()) });
        }
        if response.drag_started_by(PointerButton::Primary) || response.drag_started_by(PointerButton::Secondary) {
            let label = label_of(response.drag_started_by(PointerButton::Secondary));
            self.gesture = Gesture::Stroke { points: Vec::new(), label, mask: None };
        }
        if let Gesture::Stroke { points, label, mask } = &mut self.gesture {
            // A quarter of the radius is as fine as anybody sees.
            let step = (session.tools().brush / 4.0).max(0.5);
            if points.last().is_none_or(|last| (last.x - at.x).hypot(last.y - at.y) >= step) {
                points.push(at);
                *mask = Some(Arc::new(Rle::stroke(points, session.tools().brush, size)));
            }
            if response.drag_stopped() {
                commands.push(Command::Stroke { points: std::mem::take(points), label: *label });
                self.gesture = Gesture::None;
            }
        }
    }

    fn polygon(&mut self, ui: &Ui, response: &Response, transform: Transform, commands: &mut Vec<Command>) {
        let Some(pointer) = response.interact_pointer_pos() else { return };
        let at = transform.to_image(pointer);
        if response.drag_started_by(PointerButton::Primary) && !matches!(self.gesture, Gesture::Polygon { .. }) {
            let from = ui.input(|input| input.pointer.press_origin()).unwrap_or(pointer);
            if let Some((ring, corner)) = self.corner_at(from, transform) {
                self.gesture = Gesture::Corner { ring, corner, to: at };
            }
        }
        if let Gesture::Corner { ring, corner, to } = &mut self.gesture {
            *to = at;
            if response.drag_stopped() {
                let (ring, corner) = (*ring, *corner);
                if let Some(outline) = &self.outline {
                    let from = outline.rings.clone();
                    let mut to = from.clone();
                    to[ring][corner] = at;
                    commands.push(Command::Reshape { from, to });
                }
                self.gesture = Gesture::None;
            }
            return;
        }
        let clicked = response.clicked() || response.secondary_clicked();
        match &mut self.gesture {
            Gesture::Polygon { points, label } if clicked => {
                let closes = response.double_clicked()
                    || (points.len() > 2 && transform.to_screen(points[0]).distance(pointer) < REACH);
                if closes {
                    commands.push(Command::FillPolygon { points: std::mem::take(points), label: *label });
                    self.gesture = Gesture::None;
                } else {
                    points.push(at);
                }
            }
            Gesture::None if clicked => {
                let label = if response.secondary_clicked() { Label::Negative } else { Label::Positive };
                self.gesture = Gesture::Polygon { points: vec![at], label };
            }
            _ => {}
        }
    }

    /// The corner of the selected object's outline at a place on the screen.
    pub(super) fn corner_at(&self, pointer: Pos2, transform: Transform) -> Option<(usize, usize)> {
        let rings = self.outline.as_ref()?.rings.iter().enumerate();
        let corners = rings.flat_map(|(r, ring)| ring.iter().enumerate().map(move |(c, at)| (r, c, at)));
        let near = corners
            .map(|(r, c, at)| ((r, c), transform.to_screen(*at).distance(pointer)))
            .filter(|(_, distance)| *distance < REACH);
        near.min_by(|a, b| a.1.total_cmp(&b.1)).map(|(corner, _)| corner)
    }
}

fn is_inside(at: Point, size: Size) -> bool {
    (0.0..size.width as f32).contains(&at.x) && (0.0..size.height as f32).contains(&at.y)
}

fn opposite(label: Label) -> Label {
    match label {
        Label::Positive => Label::Negative,
        Label::Negative => Label::Positive,
    }
}
