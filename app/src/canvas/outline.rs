//! The outline of the selected object's mask, whose corners can be moved, added and removed.

use std::sync::Arc;

use egui::Pos2;
use engine::{
    geometry::Point,
    mask::{Outline, Rle},
    project::ObjectId,
};

use super::view::Transform;

/// A closed line of corners, in image pixels.
pub(super) type Ring = Vec<Point>;

/// How near, in points, the pointer has to be to take hold of a corner or an edge.
pub(super) const REACH: f32 = 8.0;
/// Pixels that the corners' polygon may be off the mask.
const TOLERANCE: f32 = 1.0;

/// A mask's outline with few corners, kept as long as the mask is the same.
pub(super) struct Corners {
    object: ObjectId,
    mask: Arc<Rle>,
    pub(super) rings: Vec<Ring>,
}

/// Which corner: its ring, and its place in it.
pub(super) type CornerId = (usize, usize);

impl Corners {
    pub(super) fn of(object: ObjectId, mask: &Arc<Rle>) -> Self {
        let rings = Outline::of_rle(mask).iter().flat_map(|part| part.simplified(TOLERANCE)).collect();
        Self { object, mask: mask.clone(), rings }
    }

    pub(super) fn are_of(&self, object: ObjectId, mask: &Arc<Rle>) -> bool {
        self.object == object && Arc::ptr_eq(&self.mask, mask)
    }

    /// The corner at a place on the screen.
    pub(super) fn corner_at(&self, pointer: Pos2, transform: Transform) -> Option<CornerId> {
        self.nearest(|ring, c| transform.to_screen(ring[c]).distance(pointer))
    }

    /// The outline with one more corner on the edge at a place on the screen, and which it is.
    pub(super) fn with_corner_at(
        &self,
        pointer: Pos2,
        transform: Transform,
    ) -> Option<(Vec<Ring>, CornerId)> {
        let (r, c) = self.nearest(|ring, c| {
            let [a, b] = [ring[c], ring[(c + 1) % ring.len()]].map(|at| transform.to_screen(at));
            let share =
                ((pointer - a).dot(b - a) / (b - a).length_sq().max(f32::MIN_POSITIVE)).clamp(0.0, 1.0);
            (a + (b - a) * share).distance(pointer)
        })?;
        let mut rings = self.rings.clone();
        rings[r].insert(c + 1, transform.to_image(pointer));
        Some((rings, (r, c + 1)))
    }

    /// The outline without a corner; none if the ring would enclose nothing.
    pub(super) fn without(&self, (ring, corner): CornerId) -> Option<Vec<Ring>> {
        let mut rings = self.rings.clone();
        rings[ring].remove(corner);
        (rings[ring].len() > 2).then_some(rings)
    }

    /// The corner for which `distance`, in points, is smallest and within reach.
    fn nearest(&self, distance: impl Fn(&Ring, usize) -> f32) -> Option<CornerId> {
        let rings = self.rings.iter().enumerate();
        let corners = rings.flat_map(|(r, ring)| (0..ring.len()).map(move |c| (r, c)));
        let distances = corners.map(|(r, c)| ((r, c), distance(&self.rings[r], c)));
        let near = distances.filter(|(_, distance)| *distance < REACH);
        near.min_by(|a, b| a.1.total_cmp(&b.1)).map(|(corner, _)| corner)
    }
}

#[cfg(test)]
mod tests {
    use egui::{Rect, Vec2};
    use engine::geometry::Size;

    use super::*;
    use crate::canvas::view::View;

    #[test]
    fn corners_are_found_added_and_removed() {
        let size = Size::new(100, 100);
        let square = engine::geometry::Rect { x0: 20.0, y0: 20.0, x1: 60.0, y1: 60.0 };
        let corners = Corners::of(ObjectId(1), &Arc::new(Rle::of_rect(square, size)));
        assert_eq!(corners.rings[0].len(), 4);
        let canvas = Rect::from_min_size(Pos2::ZERO, Vec2::splat(424.0));
        let transform = View::default().transform(size, canvas);
        let on_screen = |x, y| transform.to_screen(Point { x, y });
        let (ring, corner) = corners.corner_at(on_screen(20.5, 20.5), transform).unwrap();
        assert_eq!(corners.rings[ring][corner], Point { x: 20.0, y: 20.0 });
        assert!(corners.corner_at(on_screen(40.0, 20.0), transform).is_none());
        let (rings, (ring, corner)) = corners.with_corner_at(on_screen(40.0, 20.0), transform).unwrap();
        assert!((rings[ring][corner].x - 40.0).abs() < 1e-3 && rings[ring].len() == 5);
        assert!(corners.with_corner_at(on_screen(40.0, 40.0), transform).is_none());
        assert_eq!(corners.without((0, 1)).unwrap()[0].len(), 3);
    }
}
