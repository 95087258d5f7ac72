//! Of detections that mean the same the surest is kept (non-maximum suppression).

use std::collections::BTreeMap;

use super::Detection;

/// Boxes that overlap by this IoU mean the same, unless somebody says otherwise.
pub const NMS_IOU: f32 = 0.5;

/// More detections than these are not looked at: the surest are.
const MOST: usize = 3000;

/// Which of `detections`, whatever their classes, no surer one overlaps by more than `iou`; the surest first.
///
/// What is no number or has no area means nothing and goes.
pub fn suppress(detections: &[Detection], iou: f32) -> Vec<usize> {
    let means_something = |&i: &usize| detections[i].score.is_finite() && detections[i].place.is_somewhere();
    let mut sure: Vec<usize> = (0..detections.len()).filter(means_something).collect();
    sure.sort_by(|&a, &b| detections[b].score.total_cmp(&detections[a].score));
    sure.truncate(MOST);
    let mut kept: Vec<usize> = Vec::new();
    for i in sure {
        if kept.iter().all(|&other| detections[other].place.iou(detections[i].place) <= iou) {
            kept.push(i);
        }
    }
    kept
}

/// The `most` surest of `detections`, of each class without those that [`NMS_IOU`] suppresses: what is worth keeping when
/// thresholds are to change later.
pub fn thin(detections: Vec<Detection>, most: usize) -> Vec<Detection> {
    let mut by_class: BTreeMap<usize, Vec<Detection>> = BTreeMap::new();
    for detection in detections {
        by_class.entry(detection.class).or_default().push(detection);
    }
    let kept = |of: &Vec<Detection>| suppress(of, NMS_IOU).into_iter().map(|i| of[i]).collect::<Vec<_>>();
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
        assert_eq!(suppress(&all, 0.5), [1, 2]);
        assert_eq!(thin(all.clone(), 9), [all[1], all[0], all[2]], "they are of two classes");
        assert_eq!(thin(all.clone(), 1), [all[1]]);
    }

    #[test]
    fn what_is_no_number_goes() {
        let mut odd = detection(0.0, f32::NAN, 0);
        let nowhere = detection(f32::NAN, 0.5, 0);
        assert_eq!(suppress(&[odd, nowhere], 0.5), [0; 0]);
        odd.score = 0.1;
        odd.place = Place::Rect(Rect { x0: 3.0, y0: 3.0, x1: 3.0, y1: 9.0 });
        assert_eq!(suppress(&[odd], 0.5), [0; 0]);
    }
}
