//! Of detections that mean the same the surest is kept (non-maximum suppression).

use super::Detection;

/// Boxes that overlap by this IoU mean the same, unless somebody says otherwise.
pub const NMS_IOU: f32 = 0.5;

/// More detections than these are not looked at: the surest are.
const MOST: usize = 3000;

/// Of `detections`, whatever their classes, those that no surer one overlaps by more than `iou`; the surest first.
///
/// What is no number or has no area means nothing and goes.
pub fn suppress(mut detections: Vec<Detection>, iou: f32) -> Vec<Detection> {
    detections.retain(|d| d.score.is_finite() && d.place.is_somewhere());
    detections.sort_by(|a, b| b.score.total_cmp(&a.score));
    detections.truncate(MOST);
    let mut kept: Vec<Detection> = Vec::new();
    for detection in detections {
        if kept.iter().all(|other| other.place.iou(detection.place) <= iou) {
            kept.push(detection);
        }
    }
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
        assert_eq!(suppress(all, 0.5), [detection(1.0, 0.9, 1), detection(20.0, 0.2, 0)]);
    }

    #[test]
    fn what_is_no_number_goes() {
        let mut odd = detection(0.0, f32::NAN, 0);
        let nowhere = detection(f32::NAN, 0.5, 0);
        assert_eq!(suppress(vec![odd, nowhere], 0.5), []);
        odd.score = 0.1;
        odd.place = Place::Rect(Rect { x0: 3.0, y0: 3.0, x1: 3.0, y1: 9.0 });
        assert_eq!(suppress(vec![odd], 0.5), []);
    }
}
