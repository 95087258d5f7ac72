//! Connected components of a mask.

use super::Mask;
use crate::geometry::Size;

/// Neighborhood that decides which pixels are connected.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Connectivity {
    /// Pixels that share an edge are neighbors.
    Four,
    /// Pixels that share an edge or a corner are neighbors.
    Eight,
}

/// Connected components of a mask, labeled from 0.
#[derive(Debug)]
pub struct Components {
    /// Label of each pixel in row-major order; [`NONE`] off the mask.
    labels: Vec<u32>,
    areas: Vec<usize>,
    touches_edge: Vec<bool>,
}

const NONE: u32 = u32::MAX;

impl Components {
    /// Finds the components in one pass over the pixels and one over the labels (union-find).
    pub fn of(mask: &Mask, connectivity: Connectivity) -> Self {
        Self::of_bits(mask.size(), connectivity, |i| mask.bits()[i])
    }

    fn of_bits(size: Size, connectivity: Connectivity, bit: impl Fn(usize) -> bool) -> Self {
        let width = size.width;
        let mut labels = vec![NONE; size.area()];
        // A label's parent is an earlier label of the same component; a root is its own parent.
        let mut parents: Vec<u32> = Vec::new();
        for i in (0..size.area()).filter(|&i| bit(i)) {
            let (x, y) = (i % width, i / width);
            let diagonals = connectivity == Connectivity::Eight;
            let neighbors = [
                (x > 0).then(|| i - 1),
                (y > 0).then(|| i - width),
                (diagonals && y > 0 && x > 0).then(|| i - width - 1),
                (diagonals && y > 0 && x + 1 < width).then(|| i - width + 1),
            ];
            let mut own = NONE;
            for label in neighbors.into_iter().flatten().map(|n| labels[n]).filter(|&label| label != NONE) {
                let root = root_of(&mut parents, label);
                if own == NONE || root == own {
                    own = root;
                } else {
                    let (low, high) = (own.min(root), own.max(root));
                    parents[high as usize] = low;
                    own = low;
                }
            }
            if own == NONE {
                own = parents.len() as u32;
                parents.push(own);
            }
            labels[i] = own;
        }
        Self::numbered(size, labels, parents)
    }

    /// Numbers the roots from 0 and measures the components.
    fn numbered(size: Size, mut labels: Vec<u32>, mut parents: Vec<u32>) -> Self {
        let mut numbers = vec![NONE; parents.len()];
        let (mut areas, mut touches_edge) = (Vec::new(), Vec::new());
        for (i, label) in labels.iter_mut().enumerate().filter(|(_, label)| **label != NONE) {
            let number = &mut numbers[root_of(&mut parents, *label) as usize];
            if *number == NONE {
                *number = areas.len() as u32;
                areas.push(0);
                touches_edge.push(false);
            }
            *label = *number;
            let (x, y) = (i % size.width, i / size.width);
            areas[*number as usize] += 1;
            touches_edge[*number as usize] |= x == 0 || y == 0 || x + 1 == size.width || y + 1 == size.height;
        }
        Self { labels, areas, touches_edge }
    }

    /// Returns the number of components.
    pub fn n(&self) -> usize {
        self.areas.len()
    }

    /// Returns the label of pixel `i` (row-major index), or `None` if the pixel is off the mask.
    pub fn label(&self, i: usize) -> Option<usize> {
        Some(self.labels[i]).filter(|&label| label != NONE).map(|label| label as usize)
    }

    /// Returns the number of pixels of a component.
    pub fn area(&self, label: usize) -> usize {
        self.areas[label]
    }

    /// Returns true if a component has a pixel at the edge of the image.
    pub fn touches_edge(&self, label: usize) -> bool {
        self.touches_edge[label]
    }
}

pub(super) fn root_of(parents: &mut [u32], mut label: u32) -> u32 {
    while parents[label as usize] != label {
        // Path halving makes the next search shorter.
        parents[label as usize] = parents[parents[label as usize] as usize];
        label = parents[label as usize];
    }
    label
}

/// Fills small holes in mask logits: 8-connected components of up to `max_area` pixels with logits of at most zero
/// are set to 0.1. Mirrors SAM 2's `fill_holes_in_mask_scores`.
///
/// # Panics
/// If the number of logits is not `size.area()`.
pub fn fill_holes(logits: &mut [f32], size: Size, max_area: usize) {
    const FILLED: f32 = 0.1;
    assert_eq!(logits.len(), size.area(), "logits of {size}");
    let background = Components::of_bits(size, Connectivity::Eight, |i| logits[i] <= 0.0);
    for (i, logit) in logits.iter_mut().enumerate() {
        if background.label(i).is_some_and(|label| background.area(label) <= max_area) {
            *logit = FILLED;
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::mask::testing::any_mask;

    /// Labels components by flood fill from each pixel, as a slow but simple reference.
    fn painted(mask: &Mask, connectivity: Connectivity) -> Vec<Option<usize>> {
        let Size { width, height } = mask.size();
        let mut labels = vec![None; mask.bits().len()];
        let mut n = 0;
        for start in 0..labels.len() {
            if !mask.bits()[start] || labels[start].is_some() {
                continue;
            }
            let mut to_paint = vec![start];
            while let Some(i) = to_paint.pop() {
                if labels[i].is_some() {
                    continue;
                }
                labels[i] = Some(n);
                let (x, y) = ((i % width) as isize, (i / width) as isize);
                for (dx, dy) in (-1..=1).flat_map(|dy| (-1..=1).map(move |dx| (dx, dy))) {
                    let inside =
                        (0..width as isize).contains(&(x + dx)) && (0..height as isize).contains(&(y + dy));
                    let near = connectivity == Connectivity::Eight || dx == 0 || dy == 0;
                    let neighbor = (y + dy) * width as isize + x + dx;
                    if inside && near && mask.bits()[neighbor as usize] {
                        to_paint.push(neighbor as usize);
                    }
                }
            }
            n += 1;
        }
        labels
    }

    proptest! {
        #[test]
        fn components_match_flood_fill(mask in any_mask(), eight: bool) {
            let connectivity = if eight { Connectivity::Eight } else { Connectivity::Four };
            let parts = Components::of(&mask, connectivity);
            let painted = painted(&mask, connectivity);
            let labels: Vec<Option<usize>> = (0..mask.bits().len()).map(|i| parts.label(i)).collect();
            prop_assert_eq!(&labels, &painted);
            for label in 0..parts.n() {
                prop_assert_eq!(parts.area(label), painted.iter().filter(|l| **l == Some(label)).count());
            }
        }
    }

    #[test]
    fn diagonal_holes_in_logits_count_as_one() {
        let mut logits = [1.0, 1.0, 1.0, 1.0, -1.0, 1.0, 1.0, 1.0, -1.0, 2.0, 2.0, 2.0];
        let size = Size::new(3, 4);
        fill_holes(&mut logits, size, 1);
        assert_eq!(logits[4], -1.0);
        fill_holes(&mut logits, size, 2);
        assert_eq!([logits[4], logits[8]], [0.1, 0.1]);
    }
}
