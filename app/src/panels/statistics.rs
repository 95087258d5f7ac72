//! What there is in the project: a table and two plots.

use egui::{Align2, Color32, Context, FontId, Grid, Rect, ScrollArea, Sense, Ui, Vec2, pos2, vec2};
use engine::formats::{CategoryStats, Stats, counted};

use super::{Pane, dialog};
use crate::theme;

/// Colors of small, medium and large objects.
const SIZES: [(&str, Color32); 3] = [
    ("small (below 32² pixels)", theme::REVIEW),
    ("medium", theme::ACCENT),
    ("large (from 96²)", theme::DONE),
];

/// False once it is left.
pub(crate) fn statistics_ui(ctx: &Context, pane: &Pane<'_>) -> bool {
    let modal = dialog("statistics").show(ctx, |ui| {
        ui.set_width(640.0);
        ui.heading("Statistics");
        match pane.session.stats() {
            Some(stats) => {
                ScrollArea::vertical()
                    .max_height(520.0)
                    .min_scrolled_height(460.0)
                    .show(ui, |ui| shown(ui, stats, pane))
                    .inner
            }
            None => {
                ui.spinner();
            }
        }
        ui.add_space(6.0);
        ui.button("Close").clicked()
    });
    !modal.inner && !modal.should_close()
}

fn shown(ui: &mut Ui, stats: &Stats, pane: &Pane<'_>) {
    let Stats { photos, videos, labeled_images, empty_photos, total, overlapping_pairs, .. } = stats;
    ui.label(format!(
        "{}, {} on {}; {} ({empty_photos} with nothing on them), {}; {:.0} % confirmed",
        counted(total.objects, "object"),
        counted(total.annotations, "annotation"),
        counted(*labeled_images, "image"),
        counted(*photos, "photo"),
        counted(*videos, "video"),
        100.0 * total.confirmed_share()
    ));
    if *overlapping_pairs > 0 {
        ui.label(format!(
            "Masks that overlap by half of the smaller, likely one object twice: {}",
            counted(*overlapping_pairs, "pair")
        ));
    }
    ui.add_space(8.0);
    table(ui, stats, pane);
    ui.add_space(10.0);
    ui.horizontal(|ui| {
        ui.strong("Annotations by size");
        for (name, color) in SIZES {
            let (rect, _) = ui.allocate_exact_size(Vec2::splat(10.0), Sense::hover());
            ui.painter().rect_filled(rect, 2.0, color);
            ui.weak(name);
        }
    });
    let most = stats.categories.values().map(|category| category.annotations).max().unwrap_or(0);
    for (name, category) in &stats.categories {
        sizes_bar(ui, name, category, most);
    }
    ui.add_space(10.0);
    ui.strong("Objects on an image");
    histogram(ui, &stats.objects_per_image);
}

fn table(ui: &mut Ui, stats: &Stats, pane: &Pane<'_>) {
    Grid::new("statistics").num_columns(7).striped(true).spacing([18.0, 4.0]).show(ui, |ui| {
        for title in [
            "Category",
            "Objects",
            "Annotations",
            "Boxes",
            "Confirmed",
            "Area: least, middle, most",
            "Frames of a track",
        ] {
            ui.strong(title);
        }
        ui.end_row();
        let all = stats.categories.iter().map(|(name, category)| (&**name, category));
        for (name, category) in all.chain([("all", &stats.total)]) {
            let color =
                pane.session.project().categories.values().find(|own| own.name == name).map(|own| own.color);
            ui.horizontal(|ui| {
                if let Some(color) = color {
                    let (rect, _) = ui.allocate_exact_size(Vec2::splat(10.0), Sense::hover());
                    ui.painter().rect_filled(rect, 2.0, theme::color(color));
                }
                ui.label(name);
            });
            let CategoryStats { objects, annotations, boxes, areas, track_lengths, .. } = category;
            for number in [objects, annotations, boxes] {
                ui.label(number.to_string());
            }
            ui.label(format!("{:.0} %", 100.0 * category.confirmed_share()));
            ui.label(format!("{}, {}, {}", areas.least, areas.median, areas.greatest));
            let lengths =
                format!("{}, {}, {}", track_lengths.least, track_lengths.median, track_lengths.greatest);
            ui.label(if track_lengths.greatest > 0 { lengths } else { "–".to_owned() });
            ui.end_row();
        }
    });
}

fn sizes_bar(ui: &mut Ui, name: &str, category: &CategoryStats, most: usize) {
    const NAMES: f32 = 130.0;
    ui.horizontal(|ui| {
        let (rect, response) = ui.allocate_exact_size(vec2(ui.available_width(), 16.0), Sense::hover());
        let painter = ui.painter();
        let font = FontId::proportional(12.0);
        painter.with_clip_rect(Rect::from_min_size(rect.min, vec2(NAMES - 8.0, 16.0))).text(
            rect.left_center(),
            Align2::LEFT_CENTER,
            name,
            font.clone(),
            ui.visuals().text_color(),
        );
        let width = (rect.width() - NAMES - 50.0).max(1.0) / most.max(1) as f32;
        let mut x = rect.left() + NAMES;
        for (n, (_, color)) in category.sizes.iter().zip(SIZES) {
            let end = x + width * *n as f32;
            let bar = Rect::from_min_max(pos2(x, rect.top() + 2.0), pos2(end, rect.bottom() - 2.0));
            painter.rect_filled(bar, 0.0, color);
            x = end;
        }
        painter.text(
            pos2(x + 6.0, rect.center().y),
            Align2::LEFT_CENTER,
            category.annotations,
            font,
            ui.visuals().weak_text_color(),
        );
        let [small, medium, large] = category.sizes;
        response.on_hover_text(format!("{small} small, {medium} medium, {large} large"));
    });
}

/// How many images have so many objects.
fn histogram(ui: &mut Ui, counts: &[usize]) {
    const HEIGHT: f32 = 90.0;
    let (rect, _) = ui.allocate_exact_size(vec2(ui.available_width(), HEIGHT + 32.0), Sense::hover());
    let (Some(most), painter) = (counts.iter().max().filter(|most| **most > 0), ui.painter()) else { return };
    let step = (rect.width() / counts.len() as f32).min(40.0);
    let font = FontId::proportional(11.0);
    let weak = ui.visuals().weak_text_color();
    for (i, n) in counts.iter().enumerate() {
        let x = rect.left() + i as f32 * step;
        let height = HEIGHT * *n as f32 / *most as f32;
        let base = rect.top() + HEIGHT + 14.0;
        let bar = Rect::from_min_max(pos2(x + 1.0, base - height), pos2(x + step - 1.0, base));
        painter.rect_filled(bar, 1.0, SIZES[1].1);
        // Where bars are thin, not each has room for its number.
        let is_labeled = step > 14.0 || i.is_multiple_of((14.0 / step).ceil() as usize);
        if is_labeled {
            painter.text(pos2(x + step / 2.0, base + 2.0), Align2::CENTER_TOP, i, font.clone(), weak);
        }
        if *n > 0 && step > 20.0 {
            painter.text(
                pos2(x + step / 2.0, base - height - 1.0),
                Align2::CENTER_BOTTOM,
                n,
                font.clone(),
                weak,
            );
        }
    }
}
