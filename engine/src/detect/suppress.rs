//! Of detections that mean the same the surest is kept (non-maximum suppression).

use std::collections::BTreeMap;

use super::Detection;

/// Boxes that overlap by this IoU mean the same, unless somebody says otherwise.
pub const NMS_IOU: f32 = 0.5;

/// More detections than these are not looked at: the surest are.
const MOST: usize = 3000;

/// Which detections mean the same.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Suppression {
    /// Boxes that overlap by more than this share mean the same.
    pub iou: f32,
    /// True if only boxes of one class can.
    pub within_class: bool,
}

impl Default for Suppression {
    /// Whatever their classes: several phrases may name one thing.
    fn default() -> Self {
        Self { iou: NMS_IOU, within_class: false }
    }
}

/// Returns which of `detections` no surer one overlaps by more than that; the surest first.
///
/// What is no number or has no area means nothing and goes.
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

/// Returns the `most` surest of `detections`, of each class without those that are suppressed: what is worth keeping when
/// thresholds are to change later.
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
    fn of_two_that_overlap_the_surer_is_kept_whatever_they_are_called() {
        let all = vec![detection(0.0, 0.3, 0), detection(1.0, 0.9, 1), detection(20.0, 0.2, 0)];
        let any = Suppression::default();
        assert_eq!(suppress(&all, any), [1, 2]);
        assert_eq!(suppress(&all, Suppression { within_class: true, ..any }), [1, 0, 2]);
        assert_eq!(thin(all.clone(), 9, any), [all[1], all[0], all[2]], "they are of two classes");
        assert_eq!(thin(all.clone(), 1, any), [all[1]]);
    }

    #[test]
    fn what_is_no_number_goes() {
        let mut odd = detection(0.0, f32::NAN, 0);
        let nowhere = detection(f32::NAN, 0.5, 0);
        assert_eq!(suppress(&[odd, nowhere], Suppression::default()), [0; 0]);
        odd.score = 0.1;
        odd.place = Place::Rect(Rect { x0: 3.0, y0: 3.0, x1: 3.0, y1: 9.0 });
        assert_eq!(suppress(&[odd], Suppression::default()), [0; 0]);
    }
}
