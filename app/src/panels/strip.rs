//! The strip of media below the canvas: thumbnails, how far each is, and how far all are.

use std::{collections::HashMap, sync::Arc};

use egui::{
    Align2, Color32, ColorImage, FontId, Pos2, Rect, Role, ScrollArea, Sense, Stroke, StrokeKind,
    TextureHandle, TextureOptions, Ui, Vec2, WidgetInfo,
};
use engine::project::{Medium, MediumId, Project};
use image::RgbImage;

use super::Pane;
use crate::{
    command::Command,
    session::{Progress, Thumbnail},
    theme,
};

/// A thumbnail with its frame, in points.
const CELL: Vec2 = Vec2::new(104.0, 78.0);
/// Textures that are kept.
const TEXTURES: usize = 400;

/// What the strip remembers from turn to turn.
#[derive(Default)]
pub(crate) struct Strip {
    textures: HashMap<MediumId, (Arc<RgbImage>, TextureHandle)>,
    /// What it scrolled to last.
    followed: Option<MediumId>,
    /// Done media of a project, so as to count them only when it changes.
    done: Option<(Arc<Project>, usize)>,
}

impl Strip {
    /// Returns the media that can be seen, whose thumbnails are wanted.
    pub(crate) fn ui(&mut self, ui: &mut Ui, pane: &mut Pane<'_>) -> Vec<MediumId> {
        self.progress_ui(ui, pane);
        let project = pane.session.project().clone();
        let n = project.media.len();
        let step = CELL.x + theme::GAP;
        let mut visible = Vec::new();
        ScrollArea::horizontal().id_salt("strip").auto_shrink([false, false]).show_viewport(
            ui,
            |ui, viewport| {
                ui.set_width(step * n as f32);
                ui.set_height(CELL.y);
                let origin = ui.max_rect().min;
                let first = (viewport.left() / step).max(0.0) as usize;
                let n_visible = (viewport.width() / step) as usize + 2;
                for (i, (id, medium)) in project.media.iter().enumerate().skip(first).take(n_visible) {
                    let rect = Rect::from_min_size(origin + Vec2::new(i as f32 * step, 0.0), CELL);
                    visible.push(*id);
                    self.cell(ui, pane, rect, *id, medium);
                }
                let shown = pane.session.shown();
                if shown != self.followed {
                    self.followed = shown;
                    if let Some(i) = shown.map(|id| project.media.range(..id).count()) {
                        let rect = Rect::from_min_size(origin + Vec2::new(i as f32 * step, 0.0), CELL);
                        ui.scroll_to_rect(rect, Some(egui::Align::Center));
                    }
                }
            },
        );
        if self.textures.len() > TEXTURES {
            self.textures.retain(|id, _| visible.contains(id));
        }
        visible
    }

    fn progress_ui(&mut self, ui: &mut Ui, pane: &Pane<'_>) {
        let project = pane.session.project();
        let n = project.media.len();
        let known = self.done.as_ref().filter(|(known, _)| known.media.ptr_eq(&project.media));
        let n_done = known.map_or_else(|| project.media.values().filter(|m| m.done).count(), |(_, n)| *n);
        self.done = Some((project.clone(), n_done));
        ui.horizontal(|ui| {
            let position = pane.session.shown().map_or(0, |id| project.media.range(..=id).count());
            ui.label(format!("{position} / {n}"));
            let bar = egui::ProgressBar::new(n_done as f32 / n.max(1) as f32)
                .desired_width(160.0)
                .desired_height(8.0);
            ui.add(bar.fill(theme::DONE));
            ui.weak(format!("{n_done} done"));
        });
    }

    fn cell(&mut self, ui: &Ui, pane: &mut Pane<'_>, rect: Rect, id: MediumId, medium: &Medium) {
        let response = ui.interact(rect, ui.scope_id().with(id.0), Sense::click());
        response.widget_info(|| WidgetInfo::labeled(Role::Button, true, medium.name()));
        let is_shown = pane.session.shown() == Some(id);
        let painter = ui.painter();
        painter.rect_filled(rect, 5.0, ui.visuals().extreme_bg_color);
        let thumbnail = pane.session.thumbnail(id);
        match thumbnail {
            Some(Thumbnail::Picture(picture)) => {
                let texture = self.texture(ui, id, picture);
                let size = texture.size_vec2();
                let scale = ((CELL - Vec2::splat(6.0)) / size).min_elem();
                let whole = Rect::from_min_max(Pos2::ZERO, Pos2::new(1.0, 1.0));
                let place = Rect::from_center_size(rect.center(), size * scale);
                painter.image(texture.id(), place, whole, Color32::WHITE);
            }
            Some(failed) => {
                let text = if matches!(failed, Thumbnail::Missing(_)) { "missing" } else { "unreadable" };
                let color = ui.visuals().error_fg_color;
                painter.text(rect.center(), Align2::CENTER_CENTER, text, FontId::proportional(12.0), color);
            }
            None => {}
        }
        if medium.is_video() {
            let corner = rect.left_bottom() + Vec2::new(7.0, -7.0);
            let triangle = [Vec2::new(0.0, -11.0), Vec2::new(10.0, -5.5), Vec2::ZERO].map(|way| corner + way);
            let stroke = Stroke::new(1.0, Color32::BLACK);
            painter.add(egui::Shape::convex_polygon(triangle.to_vec(), Color32::WHITE, stroke));
        }
        if let Some(color) = progress_color(Progress::of(pane.session.project(), id)) {
            painter.circle(
                rect.right_top() + Vec2::new(-9.0, 9.0),
                5.0,
                color,
                Stroke::new(1.0, Color32::BLACK),
            );
        }
        let stroke = match (is_shown, response.hovered()) {
            (true, _) => Stroke::new(2.5, theme::ACCENT),
            (false, true) => ui.visuals().widgets.hovered.bg_stroke,
            (false, false) => Stroke::NONE,
        };
        painter.rect_stroke(rect, 5.0, stroke, StrokeKind::Inside);
        if response.clicked() {
            pane.push(Command::GoTo(id));
        }
        response.on_hover_text(match thumbnail {
            Some(Thumbnail::Missing(why) | Thumbnail::Unreadable(why)) => why.clone(),
            _ => format!("{}  {}", medium.path, medium.size),
        });
    }

    fn texture(&mut self, ui: &Ui, id: MediumId, picture: &Arc<RgbImage>) -> TextureHandle {
        if let Some((known, texture)) = self.textures.get(&id)
            && Arc::ptr_eq(known, picture)
        {
            return texture.clone();
        }
        let size = [picture.width() as usize, picture.height() as usize];
        let image = ColorImage::from_rgb(size, picture.as_raw());
        let texture = ui.ctx().load_texture("thumbnail", image, TextureOptions::LINEAR);
        self.textures.insert(id, (picture.clone(), texture.clone()));
        texture
    }
}

fn progress_color(progress: Progress) -> Option<Color32> {
    match progress {
        Progress::Unlabeled => None,
        Progress::ToReview => Some(theme::REVIEW),
        Progress::Labeled => Some(theme::ACCENT),
        Progress::Done => Some(theme::DONE),
    }
}
