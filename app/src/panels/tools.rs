//! The tool bar at the canvas's left edge.

use egui::{Color32, Painter, Pos2, Rect, Role, Sense, Shape, Stroke, StrokeKind, Ui, Vec2, WidgetInfo};

use super::Pane;
use crate::{
    command::{Command, Scope, Tool},
    theme,
};

/// A button's edge in points.
const EDGE: f32 = 34.0;

pub(crate) fn tools_ui(ui: &mut Ui, pane: &mut Pane<'_>) {
    ui.vertical_centered(|ui| {
        ui.add_space(theme::GAP);
        let tools = [
            (Tool::Point, "Point: left adds, right takes away, drag makes a box"),
            (Tool::Brush, "Brush: left paints, right erases"),
            (Tool::Eraser, "Eraser: left erases, right paints"),
            (
                Tool::Polygon,
                "Polygon: click corners; left adds, right takes away; drag corners of the selected",
            ),
        ];
        for (tool, title) in tools {
            let is_on = pane.session.tools().tool == tool;
            button(ui, pane, &Command::SetTool(tool), title, is_on, |painter, at, color| {
                icon(painter, at, color, tool)
            });
        }
        ui.separator();
        let only = pane.session.tools().only_unlabeled;
        button(
            ui,
            pane,
            &Command::ToggleOnlyUnlabeled,
            "Take only unlabeled pixels",
            only,
            |painter, at, color| {
                let stroke = Stroke::new(1.5, color);
                painter.circle_stroke(at + Vec2::new(-3.0, 0.0), 6.0, stroke);
                painter.circle_filled(at + Vec2::new(4.0, 0.0), 6.0, color);
            },
        );
        button(
            ui,
            pane,
            &Command::ShowFind,
            "Find objects: by words, by example, or with a detector",
            false,
            |painter, at, color| {
                let stroke = Stroke::new(1.8, color);
                painter.circle_stroke(at + Vec2::new(-2.0, -2.0), 6.0, stroke);
                painter.line_segment([at + Vec2::new(2.5, 2.5), at + Vec2::new(8.0, 8.0)], stroke);
            },
        );
        let everything = Command::SegmentEverything(Scope::Image);
        button(ui, pane, &everything, "Segment everything in the image", false, |painter, at, color| {
            for (x, y) in [(-5.0, -5.0), (5.0, -5.0), (-5.0, 5.0), (5.0, 5.0)] {
                let rect = Rect::from_center_size(at + Vec2::new(x, y), Vec2::splat(7.0));
                painter.rect_stroke(rect, 2.0, Stroke::new(1.5, color), StrokeKind::Middle);
            }
        });
    });
}

fn button(
    ui: &mut Ui,
    pane: &mut Pane<'_>,
    command: &Command,
    title: &str,
    is_on: bool,
    draw: impl FnOnce(&Painter, Pos2, Color32),
) {
    let (rect, response) = ui.allocate_exact_size(Vec2::splat(EDGE), Sense::click());
    let name = title.split(':').next().unwrap_or(title).to_owned();
    response.widget_info(|| WidgetInfo::selected(Role::Button, true, is_on, &name));
    let visuals = ui.style().interact_selectable(&response, is_on);
    if is_on || response.hovered() || response.has_focus() {
        ui.painter().rect_filled(rect.shrink(2.0), 6.0, visuals.weak_bg_fill);
    }
    draw(ui.painter(), rect.center(), visuals.text_color());
    pane.on_click(response, command, title);
}

fn icon(painter: &Painter, at: Pos2, color: Color32, tool: Tool) {
    let stroke = Stroke::new(1.6, color);
    let corner = |x: f32, y: f32| at + Vec2::new(x, y);
    match tool {
        Tool::Point => {
            painter.circle_filled(at, 2.5, color);
            painter.circle_stroke(at, 7.0, stroke);
            for (x, y) in [(1.0, 0.0), (-1.0, 0.0), (0.0, 1.0), (0.0, -1.0)] {
                painter.line_segment([corner(x * 7.0, y * 7.0), corner(x * 10.0, y * 10.0)], stroke);
            }
        }
        Tool::Brush => {
            painter.line_segment([corner(9.0, -9.0), corner(0.0, 0.0)], Stroke::new(3.0, color));
            painter.circle_filled(corner(-4.0, 4.0), 5.0, color);
        }
        Tool::Eraser => {
            let body = vec![corner(-9.0, 3.0), corner(2.0, -8.0), corner(9.0, -1.0), corner(-2.0, 10.0)];
            painter.add(Shape::closed_line(body, stroke));
            painter.line_segment([corner(-4.0, -2.0), corner(3.0, 5.0)], stroke);
        }
        Tool::Polygon => {
            let corners = vec![
                corner(0.0, -9.0),
                corner(9.0, -2.0),
                corner(5.0, 8.0),
                corner(-6.0, 8.0),
                corner(-9.0, -2.0),
            ];
            for at in &corners {
                painter.circle_filled(*at, 2.3, color);
            }
            painter.add(Shape::closed_line(corners, stroke));
        }
    }
}
