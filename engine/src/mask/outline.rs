//! Outlines of masks and their holes, along pixel edges.

use std::collections::{BTreeMap, btree_map::Entry};

use super::{
    Connectivity, Mask, Rle,
    spans::{Span, labels},
};
use crate::geometry::Size;

/// Corners of a closed line along pixel edges, in image pixels. Each corner appears once; consecutive corners differ
/// in either x or y.
pub type Polygon = Vec<[u32; 2]>;

/// The outline of one 4-connected component of a mask.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outline {
    /// The outer edge, clockwise on the screen.
    pub exterior: Polygon,
    /// The edges of the holes, counterclockwise on the screen.
    pub holes: Vec<Polygon>,
}

impl Outline {
    /// Traces the outlines of all components of a mask. Pixels that share only a corner are in separate components.
    pub fn all_of(mask: &Mask) -> Vec<Self> {
        Self::of_rle(&Rle::encode(mask))
    }

    /// Traces the outlines of all components of a mask given as run lengths, without decoding it.
    pub fn of_rle(rle: &Rle) -> Vec<Self> {
        let spans: Vec<Span> = rle.spans().collect();
        let parts = labels(&spans, Connectivity::Four);
        // Components and outer edges are both in the order of their first pixels.
        let mut outlines: Vec<Self> = Vec::new();
        for Ring { start: [x, y], corners, is_hole } in rings(rle, &spans) {
            if is_hole {
                // The pixel to the left of the hole's start belongs to the component that has the hole.
                let beside = (x as usize - 1, y as usize);
                let span = spans.partition_point(|span| (span.x, span.y1) <= beside);
                outlines[parts[span]].holes.push(corners);
            } else {
                outlines.push(Self { exterior: corners, holes: Vec::new() });
            }
        }
        outlines
    }

    /// Fills outlines into a mask of `size`; the inverse of [`Self::all_of`].
    pub fn fill(outlines: &[Self], size: Size) -> Mask {
        let mut bits = vec![false; size.area()];
        let rings = outlines.iter().flat_map(|outline| outline.holes.iter().chain([&outline.exterior]));
        for ring in rings {
            for ([x, y0], [x1, y1]) in edges(ring) {
                // Each vertical edge flips all pixels to its right.
                for y in if x == x1 { y0.min(y1)..y0.max(y1) } else { 0..0 } {
                    let row = y as usize * size.width;
                    bits[row + x as usize..row + size.width].iter_mut().for_each(|bit| *bit = !*bit);
                }
            }
        }
        Mask::new(size, bits)
    }
}

fn edges(ring: &Polygon) -> impl Iterator<Item = ([u32; 2], [u32; 2])> {
    ring.iter().copied().zip(ring.iter().copied().cycle().skip(1))
}

/// A closed line with the mask on its right-hand side.
struct Ring {
    /// The topmost of the leftmost corners.
    start: [u32; 2],
    corners: Polygon,
    is_hole: bool,
}

/// Returns all closed lines, in the order of their start corners.
fn rings(rle: &Rle, spans: &[Span]) -> Vec<Ring> {
    let mut leaving = Leaving::of(rle, spans);
    let mut rings = Vec::new();
    while let Some(start) = leaving.first() {
        let first = leaving.take(start, None);
        let mut corners = Polygon::new();
        let (mut from, mut to) = (start, first);
        while to != start {
            let next = leaving.take(to, Some(direction(from, to)));
            if direction(to, next) != direction(from, to) {
                corners.push(to);
            }
            (from, to) = (to, next);
        }
        corners.push(start);
        // An outer edge first runs along the top of its first pixel; the edge of a hole first runs down the hole's
        // left side.
        rings.push(Ring { start, corners, is_hole: first[0] == start[0] });
    }
    rings
}

/// The directed edges between mask and background, by the corner at which they start, with the mask on their right-hand
/// side. One edge leaves a corner, or two where the mask touches itself or another component there.
struct Leaving(BTreeMap<[u32; 2], Vec<[u32; 2]>>);

impl Leaving {
    fn of(rle: &Rle, spans: &[Span]) -> Self {
        let mut leaving = Self(BTreeMap::new());
        let mut add = |x0: usize, y0: usize, x1: usize, y1: usize| {
            let [from, to] = [[x0, y0], [x1, y1]].map(|corner| corner.map(|v| v as u32));
            leaving.0.entry(from).or_default().push(to);
        };
        for &Span { x, y0, y1 } in spans {
            add(x, y0, x + 1, y0);
            add(x + 1, y1, x, y1);
        }
        let [onto, off] = rle.sides();
        onto.spans().for_each(|Span { x, y0, y1 }| add(x, y1, x, y0));
        off.spans().for_each(|Span { x, y0, y1 }| add(x, y0, x, y1));
        leaving
    }

    /// Returns the topmost of the leftmost corners.
    fn first(&self) -> Option<[u32; 2]> {
        self.0.first_key_value().map(|(corner, _)| *corner)
    }

    /// Removes the edge by which a line that arrives in direction `came` leaves a corner, and returns the edge's end.
    /// If two edges leave the corner, the line turns right and so stays with its own component.
    fn take(&mut self, corner: [u32; 2], came: Option<[i8; 2]>) -> [u32; 2] {
        let Entry::Occupied(mut ends) = self.0.entry(corner) else {
            unreachable!("as many edges leave a corner as arrive")
        };
        let right = came.map(|[dx, dy]| [-dy, dx]);
        let choice = ends.get().iter().position(|end| Some(direction(corner, *end)) == right);
        let end = ends.get_mut().swap_remove(choice.unwrap_or(0));
        if ends.get().is_empty() {
            ends.remove();
        }
        end
    }
}

/// Returns the direction of an edge along x or y.
fn direction(from: [u32; 2], to: [u32; 2]) -> [i8; 2] {
    [0, 1].map(|i| to[i].cmp(&from[i]) as i8)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::mask::testing::{any_mask, picture};

    #[test]
    fn ring_shape_has_exterior_and_hole() {
        let outlines = Outline::all_of(&picture(&["....", ".###", ".#.#", ".###"]));
        assert_eq!(
            outlines,
            [Outline {
                exterior: vec![[4, 1], [4, 4], [1, 4], [1, 1]],
                holes: vec![vec![[2, 3], [3, 3], [3, 2], [2, 2]]],
            }]
        );
    }

    #[test]
    fn parts_sharing_a_corner_have_two_outlines() {
        assert_eq!(Outline::all_of(&picture(&["#.", ".#"])).len(), 2);
    }

    proptest! {
        #[test]
        fn filling_outlines_restores_mask(mask in any_mask()) {
            let outlines = Outline::all_of(&mask);
            prop_assert_eq!(Outline::fill(&outlines, mask.size()), mask);
        }

        #[test]
        fn each_component_has_one_outline(mask in any_mask()) {
            let parts = crate::mask::Components::of(&mask, crate::mask::Connectivity::Four);
            prop_assert_eq!(Outline::all_of(&mask).len(), parts.n());
        }
    }
}
