//! The outline of a mask, along the edges of its pixels, with its holes.

use std::collections::BTreeMap;

use super::Mask;
use crate::geometry::Size;

/// Corners of a closed line along pixel edges, each once, in image pixels; neighbors differ in x or in y alone.
pub type Polygon = Vec<[u32; 2]>;

/// One part of a mask: pixels that share an edge.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outline {
    /// Its outer edge, clockwise on the screen.
    pub exterior: Polygon,
    /// The edges of its holes, counterclockwise.
    pub holes: Vec<Polygon>,
}

impl Outline {
    /// The outlines of all parts of a mask. Pixels that share only a corner are two parts.
    pub fn all_of(mask: &Mask) -> Vec<Self> {
        let rings = rings(mask);
        let (exteriors, holes): (Vec<Polygon>, Vec<Polygon>) =
            rings.into_iter().partition(|ring| doubled_area(ring) > 0);
        let mut outlines: Vec<Self> =
            exteriors.into_iter().map(|exterior| Self { exterior, holes: Vec::new() }).collect();
        for hole in holes {
            let owner = outlines.iter_mut().filter(|outline| holds(&outline.exterior, &hole));
            // Of parts within parts, the innermost.
            if let Some(owner) = owner.min_by_key(|outline| doubled_area(&outline.exterior)) {
                owner.holes.push(hole);
            }
        }
        outlines
    }

    /// The mask that these outlines enclose; the inverse of [`Self::all_of`].
    pub fn fill(outlines: &[Self], size: Size) -> Mask {
        let mut bits = vec![false; size.area()];
        let rings = outlines.iter().flat_map(|outline| outline.holes.iter().chain([&outline.exterior]));
        for ring in rings {
            for ([x, y0], [x1, y1]) in edges(ring) {
                // Each upright edge turns over all pixels to its right.
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

/// Twice the area, positive if clockwise on the screen (y down).
fn doubled_area(ring: &Polygon) -> i64 {
    edges(ring)
        .map(|([x0, y0], [x1, y1])| i64::from(x0) * i64::from(y1) - i64::from(x1) * i64::from(y0))
        .sum()
}

/// Whether the hole's pixel below and right of its top left corner is within the exterior.
fn holds(exterior: &Polygon, hole: &Polygon) -> bool {
    let Some(&[x, y]) = hole.iter().min() else { return false };
    let crosses = |([x0, y0], [x1, y1]): ([u32; 2], [u32; 2])| {
        x0 == x1 && x0 <= x && (y0.min(y1)..y0.max(y1)).contains(&y)
    };
    edges(exterior).filter(|edge| crosses(*edge)).count() % 2 == 1
}

/// All closed lines with the mask on their right hand.
fn rings(mask: &Mask) -> Vec<Polygon> {
    let Size { width, height } = mask.size();
    let on = |x: i64, y: i64| {
        let inside = (0..width as i64).contains(&x) && (0..height as i64).contains(&y);
        inside && mask.bits()[y as usize * width + x as usize]
    };
    // From each corner the directions (dx, dy) that the outline leaves it in: two where parts touch.
    let mut leaving: BTreeMap<[u32; 2], Vec<[i8; 2]>> = BTreeMap::new();
    for (y, x) in
        (0..height as i64).flat_map(|y| (0..width as i64).map(move |x| (y, x))).filter(|&(y, x)| on(x, y))
    {
        let mut leave = |x: i64, y: i64, direction: [i8; 2]| {
            leaving.entry([x as u32, y as u32]).or_default().push(direction);
        };
        if !on(x, y - 1) {
            leave(x, y, [1, 0]);
        }
        if !on(x + 1, y) {
            leave(x + 1, y, [0, 1]);
        }
        if !on(x, y + 1) {
            leave(x + 1, y + 1, [-1, 0]);
        }
        if !on(x - 1, y) {
            leave(x, y + 1, [0, -1]);
        }
    }
    let mut rings = Vec::new();
    while let Some((&start, directions)) = leaving.first_key_value() {
        let mut direction = directions[0];
        let mut at = start;
        let mut ring = Polygon::new();
        loop {
            take(&mut leaving, at, direction);
            let next = [
                at[0].wrapping_add_signed(direction[0].into()),
                at[1].wrapping_add_signed(direction[1].into()),
            ];
            if next == start {
                // The start is a corner only if the line turns there.
                if direction != ring_direction(&ring, start) {
                    ring.push(start);
                }
                break;
            }
            let turned = turn(&leaving, next, direction);
            if turned != direction {
                ring.push(next);
            }
            (at, direction) = (next, turned);
        }
        rings.push(ring);
    }
    rings
}

/// The direction in which the ring leaves `start`.
fn ring_direction(ring: &Polygon, start: [u32; 2]) -> [i8; 2] {
    let first = ring.first().copied().unwrap_or(start);
    let step = |from: u32, to: u32| to.cmp(&from) as i8;
    [step(start[0], first[0]), step(start[1], first[1])]
}

/// Where the line goes on: where two parts touch at a corner, it turns right and stays with its own part.
fn turn(leaving: &BTreeMap<[u32; 2], Vec<[i8; 2]>>, at: [u32; 2], [dx, dy]: [i8; 2]) -> [i8; 2] {
    let right = [-dy, dx];
    match leaving.get(&at).map(Vec::as_slice) {
        Some([only]) => *only,
        Some(several) if several.contains(&right) => right,
        Some([first, ..]) => *first,
        _ => [dx, dy],
    }
}

fn take(leaving: &mut BTreeMap<[u32; 2], Vec<[i8; 2]>>, at: [u32; 2], direction: [i8; 2]) {
    if let Some(directions) = leaving.get_mut(&at) {
        directions.retain(|d| *d != direction);
        if directions.is_empty() {
            leaving.remove(&at);
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::mask::testing::{any_mask, picture};

    #[test]
    fn a_ring_has_an_outer_edge_and_a_hole() {
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
    fn parts_that_touch_at_a_corner_are_two() {
        assert_eq!(Outline::all_of(&picture(&["#.", ".#"])).len(), 2);
    }

    proptest! {
        #[test]
        fn filling_the_outlines_gives_the_mask_back(mask in any_mask()) {
            let outlines = Outline::all_of(&mask);
            prop_assert_eq!(Outline::fill(&outlines, mask.size()), mask);
        }

        #[test]
        fn each_part_has_one_outline(mask in any_mask()) {
            let parts = crate::mask::Components::of(&mask, crate::mask::Connectivity::Four);
            prop_assert_eq!(Outline::all_of(&mask).len(), parts.n());
        }
    }
}
