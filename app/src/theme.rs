//! Colors and sizes of the window: the only place that says what anything looks like.

#![expect(clippy::disallowed_methods, reason = "colors live here")]

use egui::{Color32, Context, CornerRadius, Margin, Stroke, Theme, Vec2, Visuals};

/// A color as egui has it.
pub(crate) fn color([r, g, b]: [u8; 3]) -> Color32 {
    Color32::from_rgb(r, g, b)
}

/// What is behind the image.
pub(crate) fn canvas_background(dark: bool) -> Color32 {
    if dark { Color32::from_gray(16) } else { Color32::from_gray(206) }
}

/// Clicks on the object.
pub(crate) const POSITIVE: Color32 = Color32::from_rgb(60, 214, 110);
/// Clicks off it.
pub(crate) const NEGATIVE: Color32 = Color32::from_rgb(244, 76, 76);
/// What is chosen, running, or asked for.
pub(crate) const ACCENT: Color32 = Color32::from_rgb(52, 148, 255);
/// What is finished.
pub(crate) const DONE: Color32 = Color32::from_rgb(56, 178, 104);
/// What waits for a look.
pub(crate) const REVIEW: Color32 = Color32::from_rgb(240, 166, 40);

/// Space between things that belong together, in points.
pub(crate) const GAP: f32 = 6.0;

/// Sets both themes.
pub(crate) fn apply(ctx: &Context) {
    for theme in [Theme::Dark, Theme::Light] {
        ctx.style_mut_of(theme, |style| {
            style.spacing.item_spacing = Vec2::new(GAP, 5.0);
            style.spacing.button_padding = Vec2::new(8.0, 3.0);
            style.spacing.menu_margin = Margin::same(6);
            style.spacing.interact_size.y = 22.0;
            style.visuals = visuals(theme);
        });
    }
}

fn visuals(theme: Theme) -> Visuals {
    let mut visuals = theme.default_visuals();
    let radius = CornerRadius::same(5);
    for widget in [
        &mut visuals.widgets.noninteractive,
        &mut visuals.widgets.inactive,
        &mut visuals.widgets.hovered,
        &mut visuals.widgets.active,
        &mut visuals.widgets.open,
    ] {
        widget.corner_radius = radius;
        widget.expansion = 0.0;
    }
    visuals.selection.bg_fill = ACCENT.gamma_multiply(0.55);
    visuals.selection.stroke =
        Stroke::new(1.0, if theme == Theme::Dark { Color32::WHITE } else { Color32::BLACK });
    visuals.hyperlink_color = ACCENT;
    visuals.window_corner_radius = CornerRadius::same(8);
    visuals.menu_corner_radius = CornerRadius::same(6);
    if theme == Theme::Dark {
        visuals.panel_fill = Color32::from_gray(30);
        visuals.window_fill = Color32::from_gray(36);
        visuals.extreme_bg_color = Color32::from_gray(20);
        visuals.faint_bg_color = Color32::from_gray(38);
        visuals.widgets.noninteractive.bg_stroke = Stroke::new(1.0, Color32::from_gray(48));
        visuals.widgets.noninteractive.fg_stroke = Stroke::new(1.0, Color32::from_gray(196));
        visuals.widgets.inactive.fg_stroke = Stroke::new(1.0, Color32::from_gray(214));
    } else {
        visuals.panel_fill = Color32::from_gray(246);
        visuals.window_fill = Color32::from_gray(252);
        visuals.widgets.noninteractive.fg_stroke = Stroke::new(1.0, Color32::from_gray(50));
    }
    visuals
}
