//! Non-maximum suppression: keeps the detection with the highest score among duplicates.

use std::collections::BTreeMap;

use super::Detection;

/// Default IoU above which boxes are duplicates.
pub const NMS_IOU: f32 = 0.5;

/// Maximum number of detections to compare; those with the highest scores are kept.
const MOST: usize = 3000;

/// Rule for which detections are duplicates.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Suppression {
    /// IoU above which boxes are duplicates.
    pub iou: f32,
    /// True if only boxes of the same class can be duplicates.
    pub within_class: bool,
}

impl Default for Suppression {
    /// Suppresses across classes, because several phrases may name the same object.
    fn default() -> Self {
        Self { iou: NMS_IOU, within_class: false }
    }
}

/// Returns the indices of `detections` that no kept one with a higher score overlaps by more than `by.iou`, highest
/// score first.
///
/// Detections with NaN or infinite scores or coordinates, or boxes without area, are dropped.
pub fn suppress(detections: &[Detection], by: Suppression) -> Vec<usize> {
    let means_something = |&i: &usize| detections[i].score.is_finite() && detections[i].place.is_somewhere();
    let mut sure: Vec<usize> = (0..detections.len()).filter(means_something).collect();
    sure.sort_by(|&a, &b| detections[b].score.total_cmp(&detections[a].score));
    sure.truncate(MOST);
    let mut kept: Vec<usize> = Vec::new();
    for i in sure {
        let is_same = |&other: &usize| {
            let (a, b) = (&detections[other], &detections[i]);
            (!by.within_class || a.class == b.class) && a.place.iou(b.place) > by.iou
        };
        if !kept.iter().any(is_same) {
            kept.push(i);
        }
    }
    kept
}

/// Applies suppression within each class and returns up to `most` detections with the highest scores. These are worth
/// keeping if thresholds may change later.
pub fn thin(detections: Vec<Detection>, most: usize, by: Suppression) -> Vec<Detection> {
    let mut by_class: BTreeMap<usize, Vec<Detection>> = BTreeMap::new();
    for detection in detections {
        by_class.entry(detection.class).or_default().push(detection);
    }
    let kept = |of: &Vec<Detection>| suppress(of, by).into_iter().map(|i| of[i]).collect::<Vec<_>>();
    let mut kept: Vec<Detection> = by_class.values().flat_map(kept).collect();
    kept.sort_by(|a, b| b.score.total_cmp(&a.score));
    kept.truncate(most);
    kept
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{detect::Place, geometry::Rect};

    fn detection(x: f32, score: f32, class: usize) -> Detection {
        let rect = Rect { x0: x, y0: 0.0, x1: x + 10.0, y1: 10.0 };
        Detection { place: Place::Rect(rect), score, class }
    }

    #[test]
    fn overlapping_box_with_lower_score_is_suppressed() {
        let all = vec![detection(0.0, 0.3, 0), detection(1.0, 0.9, 1), detection(20.0, 0.2, 0)];
        let any = Suppression::default();
        assert_eq!(suppress(&all, any), [1, 2]);
        assert_eq!(suppress(&all, Suppression { within_class: true, ..any }), [1, 0, 2]);
        assert_eq!(thin(all.clone(), 9, any), [all[1], all[0], all[2]], "they are of two classes");
        assert_eq!(thin(all.clone(), 1, any), [all[1]]);
    }

    #[test]
    fn invalid_detections_are_dropped() {
        let mut odd = detection(0.0, f32::NAN, 0);
        let nowhere = detection(f32::NAN, 0.5, 0);
        assert_eq!(suppress(&[odd, nowhere], Suppression::default()), [0; 0]);
        odd.score = 0.1;
        odd.place = Place::Rect(Rect { x0: 3.0, y0: 3.0, x1: 3.0, y1: 9.0 });
        assert_eq!(suppress(&[odd], Suppression::default()), [0; 0]);
    }
}
