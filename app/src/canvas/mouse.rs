//! What the mouse does on the image.

use std::sync::Arc;

use egui::{PointerButton, Pos2, Response, Ui};
use engine::{
    geometry::{Point, Size},
    mask::Rle,
    prompt::Label,
};

use super::{Canvas, Gesture, outline::REACH, view::Transform};
use crate::{
    command::{Command, Tool},
    session::Session,
};

/// Boxes with an edge shorter than this, in points, are clicks that slipped.
const SMALLEST_BOX: f32 = 4.0;

/// One turn of the mouse.
pub(super) struct Turn<'a> {
    pub(super) ui: &'a Ui,
    pub(super) response: &'a Response,
    pub(super) transform: Transform,
    pub(super) size: Size,
    pub(super) session: &'a Session,
    pub(super) commands: &'a mut Vec<Command>,
}

impl Turn<'_> {
    /// Where the pointer is in the image while it hovers or drags here.
    fn at(&self) -> Option<(Pos2, Point)> {
        let pointer = self.response.interact_pointer_pos()?;
        Some((pointer, self.transform.to_image(pointer)))
    }

    /// Where the button went down.
    fn origin(&self) -> Option<Pos2> {
        self.ui.input(|input| input.pointer.press_origin())
    }
}

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
        if ui.input(|input| input.modifiers.alt) {
            return None;
        }
        if matches!(self.gesture, Gesture::Canceled) && !ui.input(|input| input.pointer.any_down()) {
            self.gesture = Gesture::None;
            return None;
        }
        // What is seen is not what a click would be on.
        if !session.is_on_screen() {
            return None;
        }
        let transform = self.view.transform(size, self.rect);
        let mut turn = Turn { ui, response, transform, size, session, commands };
        match session.tools().tool {
            Tool::Point => self.point(&mut turn),
            Tool::Brush => self.brush(&mut turn, Label::Positive),
            Tool::Eraser => self.brush(&mut turn, Label::Negative),
            Tool::Polygon => self.polygon(&mut turn),
        }
        // What a press leads to should not wait for a preview.
        let is_free = matches!(self.gesture, Gesture::None) && !response.is_pointer_button_down_on();
        let pointer = response.hover_pos().filter(|_| is_free)?;
        let at = transform.to_image(pointer);
        (session.tools().tool == Tool::Point && is_inside(at, size)).then_some(at)
    }

    fn zoom_and_pan(&mut self, ui: &Ui, response: &Response, size: Size, commands: &mut Vec<Command>) {
        let (scroll, pinch, shift, alt) = ui.input(|input| {
            (input.smooth_scroll_delta(), input.zoom_delta(), input.modifiers.shift, input.modifiers.alt)
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
        if dragged || (alt && response.dragged_by(PointerButton::Primary)) {
            self.view.pan(response.drag_delta(), size, self.rect);
        }
    }

    fn point(&mut self, turn: &mut Turn<'_>) {
        let Some((pointer, at)) = turn.at() else { return };
        let Turn { ui, response, transform, size, .. } = *turn;
        let modifiers = ui.input(|input| input.modifiers);
        if response.clicked() && modifiers.command {
            turn.commands.push(Command::SelectAt { at, add: modifiers.shift });
        } else if response.clicked() && is_inside(at, size) {
            turn.commands.push(Command::AddPoint { at, label: Label::Positive });
        } else if response.secondary_clicked() && is_inside(at, size) {
            turn.commands.push(Command::AddPoint { at, label: Label::Negative });
        }
        if response.drag_started_by(PointerButton::Primary) && matches!(self.gesture, Gesture::None) {
            let from = turn.origin().unwrap_or(pointer);
            self.gesture = Gesture::Box { from: transform.to_image(from), to: at };
        }
        if let Gesture::Box { from, to } = &mut self.gesture {
            *to = at;
            let corners = [transform.to_screen(*from), pointer];
            if response.drag_stopped() {
                let rect = transform.rect_to_image(corners[0], corners[1], size);
                let drawn = (corners[1] - corners[0]).abs();
                if drawn.min_elem() >= SMALLEST_BOX && rect.x1 > rect.x0 && rect.y1 > rect.y0 {
                    turn.commands.push(Command::SetBox(rect));
                }
                self.gesture = Gesture::None;
            }
        }
    }

    /// Paints from the moment on that a button is down, so that a click is a dot.
    fn brush(&mut self, turn: &mut Turn<'_>, left: Label) {
        let Turn { ui, response, transform, size, .. } = *turn;
        let (secondary, middle) =
            ui.input(|input| (input.pointer.secondary_down(), input.pointer.middle_down()));
        let is_down = response.is_pointer_button_down_on() && !middle;
        if let Some(origin) = turn.origin().filter(|_| is_down && matches!(self.gesture, Gesture::None)) {
            let label = if secondary { opposite(left) } else { left };
            self.gesture = Gesture::Stroke { points: vec![transform.to_image(origin)], label, mask: None };
        }
        let Gesture::Stroke { points, label, mask } = &mut self.gesture else { return };
        let radius = turn.session.tools().brush;
        if let Some((_, at)) = turn.at() {
            // A quarter of the radius is as fine as anybody sees.
            let step = (radius / 4.0).max(0.5);
            let is_far = points.last().is_none_or(|last| (last.x - at.x).hypot(last.y - at.y) >= step);
            if is_far || mask.is_none() {
                // Only what is new is painted, so that a long stroke costs no more than a short one.
                let from = points.last().copied();
                points.push(at);
                let new: Vec<Point> = from.into_iter().chain([at]).collect();
                let new = Rle::stroke(&new, radius, size);
                *mask = Some(Arc::new(mask.as_ref().map_or(new.clone(), |mask| mask.union(&new))));
            }
        }
        if !is_down {
            turn.commands.push(Command::Stroke { points: std::mem::take(points), label: *label });
            self.gesture = Gesture::None;
        }
    }

    fn polygon(&mut self, turn: &mut Turn<'_>) {
        let Some((pointer, at)) = turn.at() else { return };
        let Turn { response, transform, .. } = *turn;
        if self.reshape(turn, pointer, at) {
            return;
        }
        let clicked = response.clicked() || response.secondary_clicked();
        match &mut self.gesture {
            Gesture::Polygon { points, label } if clicked => {
                let closes = response.double_clicked()
                    || (points.len() > 2 && transform.to_screen(points[0]).distance(pointer) < REACH);
                if closes {
                    let points = std::mem::take(points);
                    turn.commands.push(Command::FillPolygon { points, label: *label });
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

    /// Moves, adds and removes corners of the selected object's outline; whether that is what the mouse does.
    fn reshape(&mut self, turn: &mut Turn<'_>, pointer: Pos2, at: Point) -> bool {
        let Turn { response, transform, .. } = *turn;
        let Some(corners) =
            self.corners.as_ref().filter(|_| !matches!(self.gesture, Gesture::Polygon { .. }))
        else {
            return false;
        };
        let from = || corners.rings.clone();
        if response.drag_started_by(PointerButton::Primary) && matches!(self.gesture, Gesture::None) {
            let origin = turn.origin().unwrap_or(pointer);
            let held = corners.corner_at(origin, transform).map(|corner| (from(), corner));
            if let Some((rings, corner)) = held.or_else(|| corners.with_corner_at(origin, transform)) {
                self.gesture = Gesture::Corner { rings, corner };
            }
        } else if response.secondary_clicked()
            && let Some(to) = corners.corner_at(pointer, transform).and_then(|corner| corners.without(corner))
        {
            turn.commands.push(Command::Reshape { from: from(), to });
            return true;
        }
        let Gesture::Corner { rings, corner: (ring, corner) } = &mut self.gesture else { return false };
        rings[*ring][*corner] = at;
        if response.drag_stopped() {
            turn.commands.push(Command::Reshape { from: corners.rings.clone(), to: std::mem::take(rings) });
            self.gesture = Gesture::None;
        }
        true
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
