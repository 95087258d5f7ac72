//! The video below the canvas: how it plays, and a lane an object with what is known of it on each frame.

mod draw;
mod lanes;
mod transport;

use std::ops::Range;

use egui::{Pos2, Rect, Role, ScrollArea, Sense, Ui, Vec2, WidgetInfo};
use engine::{
    frame::Direction,
    project::{MediumId, ObjectId},
};

use self::{lanes::Lanes, transport::transport_ui};
use super::Pane;
use crate::{command::Command, theme};

/// Width of the names beside the lanes, in points.
const NAMES: f32 = 118.0;
const RULER: f32 = 18.0;
const LANE: f32 = 20.0;
/// A frame is at most so wide, in points.
const WIDEST: f32 = 24.0;

/// What the timeline remembers from turn to turn.
#[derive(Default)]
pub(crate) struct Timeline {
    lanes: Lanes,
    /// What is seen of which video.
    view: Option<(MediumId, View)>,
    /// The frame where choosing frames began.
    choosing: Option<usize>,
    /// The frame that was followed last.
    followed: usize,
}

/// Which frames are seen where.
#[derive(Clone, Copy, Debug)]
struct View {
    /// The frame at the left edge, and how many are seen.
    first: f64,
    n_seen: f64,
}

/// Frames on the screen.
#[derive(Clone, Copy)]
struct Scale {
    view: View,
    area: Rect,
    n_frames: usize,
}

impl Scale {
    /// Where a frame begins.
    fn x(&self, frame: f64) -> f32 {
        self.area.left() + ((frame - self.view.first) / self.view.n_seen) as f32 * self.area.width()
    }

    /// Where the middle of a frame is.
    fn middle(&self, frame: usize) -> f32 {
        self.x(frame as f64 + 0.5)
    }

    fn frame(&self, x: f32) -> usize {
        let share = f64::from((x - self.area.left()) / self.area.width());
        ((self.view.first + share * self.view.n_seen).max(0.0) as usize).min(self.n_frames - 1)
    }

    fn frames(&self) -> Range<usize> {
        let end = (self.view.first + self.view.n_seen).ceil() as usize;
        (self.view.first.max(0.0) as usize)..end.min(self.n_frames)
    }

    /// Points that a frame has.
    fn width(&self) -> f32 {
        self.area.width() / self.view.n_seen as f32
    }
}

impl View {
    /// The same within the video.
    fn within(self, n_frames: usize, width: f32) -> Self {
        let n_frames = n_frames as f64;
        let n_seen = self.n_seen.clamp((f64::from(width / WIDEST)).min(n_frames), n_frames);
        Self { first: self.first.clamp(0.0, n_frames - n_seen), n_seen }
    }
}

impl Timeline {
    pub(crate) fn ui(&mut self, ui: &mut Ui, pane: &mut Pane<'_>) {
        let session = pane.session;
        let Some((medium, video)) = session.shown().zip(session.video()) else { return };
        let n_frames = video.n_frames;
        self.lanes.update(session.project(), medium, n_frames);
        transport_ui(ui, pane, video);
        let objects: Vec<ObjectId> = self.lanes.lanes.keys().copied().collect();
        let whole = ui.available_rect_before_wrap();
        let area =
            Rect::from_min_max(Pos2::new(whole.left() + NAMES, whole.top()), whole.max - Vec2::new(6.0, 0.0));
        let everything = View { first: 0.0, n_seen: n_frames as f64 };
        let view = self.view.filter(|(of, _)| *of == medium).map_or(everything, |(_, view)| view);
        let mut scale = Scale { view: view.within(n_frames, area.width()), area, n_frames };
        self.follow(&mut scale, session.player().frame);

        let ruler = Rect::from_min_size(area.min, Vec2::new(area.width(), RULER));
        draw::ruler(ui, ruler, &scale, video.fps);
        let (_, response) = ui.allocate_exact_size(Vec2::new(whole.width(), RULER), Sense::hover());
        drop(response);
        ScrollArea::vertical().id_salt("lanes").auto_shrink([false, false]).show(ui, |ui| {
            if objects.is_empty() {
                ui.horizontal(|ui| {
                    ui.add_space(NAMES + 24.0);
                    ui.weak("Click an object in the picture; then Space carries its mask through the video");
                });
            }
            ui.spacing_mut().item_spacing.y = 1.0;
            for object in &objects {
                let (row, _) = ui.allocate_exact_size(Vec2::new(ui.available_width(), LANE), Sense::hover());
                Self::name(
                    ui,
                    pane,
                    Rect::from_min_max(row.min, Pos2::new(area.left() - 4.0, row.bottom())),
                    *object,
                );
                let lane = Rect::from_x_y_ranges(area.x_range(), row.y_range());
                draw::lane(ui, lane, &scale, &self.lanes.lanes[object], pane.session, *object);
            }
        });
        draw::over(ui, area, &scale, session);
        let response = ui.interact(area, ui.scope_id().with("frames"), Sense::click_and_drag());
        response.widget_info(|| WidgetInfo::labeled(Role::Slider, true, "Timeline"));
        self.mouse(ui, pane, &response, &mut scale);
        self.view = Some((medium, scale.view.within(n_frames, area.width())));
    }

    /// Keeps the shown frame in sight.
    fn follow(&mut self, scale: &mut Scale, frame: usize) {
        if self.followed != frame && self.choosing.is_none() {
            let seen = scale.frames();
            if !seen.contains(&frame) {
                scale.view.first = frame as f64 - 0.1 * scale.view.n_seen;
                scale.view = scale.view.within(scale.n_frames, scale.area.width());
            }
        }
        self.followed = frame;
    }

    /// Left scrubs, with Shift it chooses frames; the wheel moves along, with Ctrl closer or further away.
    fn mouse(&mut self, ui: &Ui, pane: &mut Pane<'_>, response: &egui::Response, scale: &mut Scale) {
        let (shift, scroll, zoom) =
            ui.input(|input| (input.modifiers.shift, input.smooth_scroll_delta(), input.zoom_delta()));
        if let Some(pointer) = response.interact_pointer_pos() {
            let frame = scale.frame(pointer.x);
            let begins = response.drag_started() || response.clicked();
            if begins && shift {
                // A drag is known as one only after some way.
                let pressed = ui.input(|input| input.pointer.press_origin()).unwrap_or(pointer);
                self.choosing = Some(scale.frame(pressed.x));
            }
            match self.choosing {
                Some(from) if response.dragged() => pane.push(Command::SetSpan(Some((from, frame)))),
                Some(_) => {}
                None if frame != pane.session.player().frame => pane.push(Command::GoToFrame(frame)),
                None => {}
            }
            if response.drag_stopped() || response.clicked() {
                self.choosing = None;
            }
        }
        let Some(hover) = response.hover_pos() else { return };
        let at = scale.frame(hover.x) as f64;
        if zoom != 1.0 {
            let n_seen = scale.view.n_seen / f64::from(zoom);
            let first = at - (at - scale.view.first) * n_seen / scale.view.n_seen;
            scale.view = View { first, n_seen };
        } else if scroll.x != 0.0 {
            scale.view.first -= f64::from(scroll.x / scale.width());
        }
    }

    fn name(ui: &Ui, pane: &mut Pane<'_>, rect: Rect, object: ObjectId) {
        let Some((medium, session)) = pane.session.shown().map(|medium| (medium, pane.session)) else {
            return;
        };
        let Some(known) = session.project().objects.get(&(medium, object)) else { return };
        let name = session.project().categories.get(&known.category).map_or("?", |category| &category.name);
        let response = ui.interact(rect, ui.scope_id().with(object.0), Sense::click());
        let title = format!("{name} {}", object.0);
        let is_selected = session.selection().contains(&object);
        response.widget_info(|| {
            WidgetInfo::selected(Role::Button, true, is_selected, format!("Lane of {title}"))
        });
        draw::name(
            ui,
            rect,
            &title,
            theme::color(session.color_of(object, known)),
            is_selected,
            response.hovered(),
        );
        if response.clicked() {
            let add = ui.input(|input| input.modifiers.command || input.modifiers.shift);
            pane.push(if add { Command::ToggleSelected(object) } else { Command::Select(object) });
        }
        if response.double_clicked()
            && let Some(first) = session.project().next_given(object, 0, Direction::Forward)
        {
            pane.push(Command::GoToFrame(first));
        }
    }
}
