//! Clicks that correct a hand-drawn mask and change only the parts that they are on.
//!
//! SAM 2 redraws the whole mask for each click. That is fine for its own masks, but would discard manual work.

use crate::{
    geometry::Rect,
    mask::{Components, Connectivity, Mask, Rle},
    prompt::{Label, PointPrompt, Prompt},
};

/// Returns the clicks with a box around the base mask. Each positive click outside extends the box as far beyond the
/// click as the click is beyond the mask, within the image.
pub(super) fn with_box(base: &Rle, clicks: &Prompt) -> Prompt {
    let mut rect = base.rect();
    let Rect { x0: x, y0: y, x1: right, y1: bottom } = rect;
    for PointPrompt { at, .. } in clicks.points.iter().filter(|point| point.label == Label::Positive) {
        rect.x0 = rect.x0.min(at.x - (x - at.x)).max(0.0);
        rect.y0 = rect.y0.min(at.y - (y - at.y)).max(0.0);
        rect.x1 = rect.x1.max(at.x + (at.x - right)).min(base.size().width as f32);
        rect.y1 = rect.y1.max(at.y + (at.y - bottom)).min(base.size().height as f32);
    }
    Prompt { points: clicks.points.clone(), rect: Some(rect) }
}

/// Returns `base` with those changes in `redrawn` that have a click on them.
pub(super) fn amended(base: &Mask, redrawn: &Mask, clicks: &Prompt) -> Mask {
    let added = clicked(&redrawn.subtract(base), clicks, Label::Positive);
    let removed = clicked(&base.subtract(redrawn), clicks, Label::Negative);
    base.union(&added).subtract(&removed)
}

/// Returns the connected components of a mask that have a click with this label on them.
fn clicked(mask: &Mask, clicks: &Prompt, label: Label) -> Mask {
    let size = mask.size();
    let parts = Components::of(mask, Connectivity::Four);
    let pixel = |point: &PointPrompt| {
        // A click on the right or bottom edge of the image belongs to the last column or row.
        let (x, y) = ((point.at.x as usize).min(size.width - 1), (point.at.y as usize).min(size.height - 1));
        y * size.width + x
    };
    let points = clicks.points.iter().filter(|point| point.label == label);
    let of_clicks: Vec<usize> = points.filter_map(|point| parts.label(pixel(point))).collect();
    let is_clicked = |i| parts.label(i).is_some_and(|part| of_clicks.contains(&part));
    Mask::new(size, (0..size.area()).map(is_clicked).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{geometry::Point, mask::testing::picture};

    fn clicks(points: &[(f32, f32, Label)]) -> Prompt {
        let point = |&(x, y, label): &(f32, f32, Label)| PointPrompt { at: Point { x, y }, label };
        Prompt { points: points.iter().map(point).collect(), rect: None }
    }

    use Label::{Negative, Positive};

    #[test]
    fn only_clicked_components_change() {
        let base = picture(&["###....", "###....", "###...."]);
        let redrawn = picture(&["##.##..", "##..#.#", ".#..#.#"]);
        let amended = |points| amended(&base, &redrawn, &clicks(points));
        assert_eq!(
            amended(&[(4.5, 1.5, Positive)]),
            picture(&["#####..", "###.#..", "###.#.."]).union(&base)
        );
        assert_eq!(amended(&[(7.0, 3.0, Positive)]), picture(&["###....", "###...#", "###...#"]));
        assert_eq!(
            amended(&[(2.5, 0.5, Negative)]),
            picture(&["##.....", "##.....", "##....."]).union(&picture(&[".......", ".......", "#......"]))
        );
        // Clicks neither apply changes that the model did not make, nor do harm where nothing changes.
        assert_eq!(amended(&[(5.5, 0.5, Positive), (0.5, 0.5, Negative), (5.5, 2.5, Negative)]), base);
    }

    #[test]
    fn box_covers_mask_and_positive_clicks() {
        let base = Rle::encode(&picture(&[".........", "..##.....", "........."]));
        let prompt = clicks(&[(5.5, 1.5, Positive), (3.0, 2.75, Positive), (0.5, 0.5, Negative)]);
        let rect = Rect { x0: 2.0, y0: 1.0, x1: 7.0, y1: 3.0 };
        assert_eq!(with_box(&base, &prompt), Prompt { rect: Some(rect), ..prompt });
    }
}
