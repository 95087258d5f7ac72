//! The image with its masks, and what the mouse does on it.

mod draw;
mod gpu;
mod modes;
mod mouse;
mod outline;
mod textures;
mod view;

use std::{sync::Arc, time::Instant};

use eframe::egui_wgpu::RenderState;
use egui::{Rect, Response, Role, Sense, Ui, WidgetInfo};
use engine::{
    geometry::Point,
    mask::Rle,
    project::{FrameId, MediumId},
    prompt::Label,
};

use self::{
    outline::{CornerId, Corners, Ring},
    textures::Textures,
    view::View,
};
use crate::{
    command::{Command, Tool},
    panels::Pane,
    session::Session,
    theme,
};

/// What the canvas remembers from turn to turn.
pub struct Canvas {
    view: View,
    textures: Option<Textures>,
    gesture: Gesture,
    /// The frame that the gesture is of.
    at: Option<FrameId>,
    /// A polygon that is not finished, while another tool is used or another frame is shown, and its frame.
    unfinished: Option<(FrameId, Gesture)>,
    /// The medium that the view is of.
    shown: Option<MediumId>,
    /// Since when the picture of another frame is on the screen.
    waits_since: Option<Instant>,
    rect: Rect,
    pointer: Option<Point>,
    /// Corners that can be moved, of the selected object's mask.
    corners: Option<Corners>,
}

/// What the user is in the middle of.
#[derive(Clone, Debug, Default)]
enum Gesture {
    #[default]
    None,
    /// Dragging a box from this corner to that one, in image pixels.
    Box { from: Point, to: Point },
    /// Painting along these points.
    Stroke { points: Vec<Point>, label: Label, mask: Option<Arc<Rle>> },
    /// Setting corners of a polygon.
    Polygon { points: Vec<Point>, label: Label },
    /// Moving a corner of the selected object's outline.
    Corner { rings: Vec<Ring>, corner: CornerId },
    /// A drag that was given up, while its button is still down.
    Canceled,
}

/// How masks are painted.
#[derive(Clone, Copy)]
struct Paint {
    /// How strongly, 0 to 1.
    opacity: f32,
    /// Whether the mask that a click would give is.
    preview: bool,
}

/// What a view command does to the canvas.
#[derive(Clone, Copy, Debug)]
pub enum ViewChange {
    /// Show everything.
    Fit,
    /// One image pixel on one of the screen's.
    ActualSize,
    /// So many times as large.
    Zoom(f32),
}

impl Canvas {
    /// With a graphics card, or without one, as in tests: then only lines are drawn.
    pub fn new(render_state: Option<&RenderState>) -> Self {
        Self {
            view: View::default(),
            textures: render_state.map(|state| Textures::new(gpu::Gpu::new(state))),
            gesture: Gesture::None,
            at: None,
            unfinished: None,
            shown: None,
            waits_since: None,
            rect: Rect::NOTHING,
            pointer: None,
            corners: None,
        }
    }

    /// Changes how large the image is.
    pub fn change_view(&mut self, change: ViewChange, session: &Session, pixels_per_point: f32) {
        let Some(size) = session.size() else { return };
        match change {
            ViewChange::Fit => self.view.fit(),
            ViewChange::ActualSize => self.view.zoom_to(1.0 / pixels_per_point, size, self.rect),
            ViewChange::Zoom(factor) => self.view.zoom(factor, self.rect.center(), size, self.rect),
        }
    }

    /// Screen points per image pixel, from top to bottom.
    pub fn scale(&self, session: &Session) -> Option<f32> {
        Some(self.view.transform(session.size()?, self.rect).scale.y)
    }

    /// Where the pointer is, in image pixels, if it is on the canvas.
    pub fn pointer(&self) -> Option<Point> {
        self.pointer
    }

    /// Where an image pixel is on the screen.
    pub fn to_screen(&self, at: Point, session: &Session) -> Option<egui::Pos2> {
        Some(self.view.transform(session.size()?, self.rect).to_screen(at))
    }

    /// The lower right corner of the canvas, or of the window while there is no image.
    pub fn lower_right(&self, ctx: &egui::Context) -> egui::Pos2 {
        if self.rect.is_positive() { self.rect.right_bottom() } else { ctx.content_rect().right_bottom() }
    }

    /// Draws the shown image, and says what the mouse does on it. Returns where a click would mean something.
    pub(crate) fn ui(&mut self, ui: &mut Ui, pane: &mut Pane<'_>) -> Option<Point> {
        let session = pane.session;
        let (rect, response) = ui.allocate_exact_size(ui.available_size(), Sense::click_and_drag());
        response.widget_info(|| WidgetInfo::labeled(Role::Image, true, "Canvas"));
        let painter = ui.painter_at(rect);
        painter.rect_filled(rect, 0.0, theme::canvas_background(ui.visuals().dark_mode));
        self.rect = rect;
        self.leave_frame(session.frame());
        if self.shown != session.shown() {
            let (textures, unfinished) = (self.textures.take(), self.unfinished.take());
            let (gesture, at) = (std::mem::take(&mut self.gesture), self.at);
            let kept = Self { textures, unfinished, gesture, at, ..Self::new(None) };
            *self = Self { shown: session.shown(), rect, ..kept };
        }
        let size = session.size()?;
        self.view.set_aspect(session.pixel_aspect());
        self.put_polygon_aside(session.tools().tool);
        self.update_corners(session);
        let hover = self.mouse(ui, &response, size, session, pane.commands);
        let transform = self.view.transform(size, rect);
        self.pointer = response.hover_pos().map(|at| transform.to_image(at));
        let settings = pane.preferences.settings();
        let paint = Paint { opacity: settings.mask_opacity, preview: settings.preview };
        self.draw(ui, &painter, &response, size, session, paint);
        modes::modes_ui(ui, rect, pane);
        hover
    }

    /// True while a button is held for a gesture.
    pub fn is_dragging(&self) -> bool {
        !matches!(self.gesture, Gesture::None | Gesture::Polygon { .. })
    }

    /// Takes back the last corner of a polygon, or gives up a drag. Returns false if there is no gesture.
    pub fn take_back(&mut self) -> bool {
        match &mut self.gesture {
            Gesture::None => return false,
            Gesture::Polygon { points, .. } => {
                points.pop();
                if points.is_empty() {
                    self.gesture = Gesture::None;
                }
            }
            _ => self.gesture = Gesture::Canceled,
        }
        true
    }

    /// Ends a gesture whose frame is no longer shown; a polygon goes on once it is shown again.
    fn leave_frame(&mut self, now: Option<FrameId>) {
        if self.at == now {
            return;
        }
        match (std::mem::take(&mut self.gesture), self.at) {
            (Gesture::None, _) => {}
            (polygon @ Gesture::Polygon { .. }, Some(at)) => self.unfinished = Some((at, polygon)),
            _ => self.gesture = Gesture::Canceled,
        }
        self.at = now;
    }

    /// Applies Enter, Escape and Backspace to the gesture in progress.
    pub fn keys(&mut self, ctx: &egui::Context, commands: &mut Vec<Command>) {
        let pressed = |key| ctx.input_mut(|input| input.consume_key(egui::Modifiers::NONE, key));
        if self.is_dragging() && pressed(egui::Key::Escape) {
            self.take_back();
        }
        let Gesture::Polygon { points, label } = &mut self.gesture else { return };
        if pressed(egui::Key::Enter) {
            commands.push(Command::FillPolygon { points: std::mem::take(points), label: *label });
            self.gesture = Gesture::None;
        } else if pressed(egui::Key::Escape) {
            self.gesture = Gesture::None;
        } else if pressed(egui::Key::Backspace) {
            self.take_back();
        }
    }

    /// Other tools could do nothing as long as a polygon is not finished; it goes on with its own tool.
    fn put_polygon_aside(&mut self, tool: Tool) {
        match (&self.gesture, tool) {
            (Gesture::None, Tool::Polygon) => {
                let of_frame = self.unfinished.take_if(|(at, _)| Some(*at) == self.at);
                self.gesture = of_frame.map(|(_, polygon)| polygon).unwrap_or_default();
            }
            (_, Tool::Polygon) => {}
            (Gesture::Polygon { .. }, _) => {
                self.unfinished = self.at.map(|at| (at, std::mem::take(&mut self.gesture)));
            }
            (Gesture::Corner { .. }, _) => self.gesture = Gesture::None,
            _ => {}
        }
    }

    /// Corners that can be moved: with the polygon tool, those of the selected object.
    fn update_corners(&mut self, session: &Session) {
        let wanted = session.selected().filter(|_| session.tools().tool == Tool::Polygon);
        let mask = wanted.and_then(|(id, _, segment)| Some((id, segment.mask.as_ref()?)));
        self.corners = mask.map(|(id, mask)| match self.corners.take() {
            Some(known) if known.are_of(id, mask) => known,
            _ => Corners::of(id, mask),
        });
    }
}

/// What the pointer is over.
fn is_over(response: &Response) -> bool {
    response.hovered() || response.dragged()
}
