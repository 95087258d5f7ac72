//! Spans: a mask as vertical stretches of pixels. Edits work on spans, so their cost grows with the object, not the
//! image.

use std::ops::Range;

use super::{Connectivity, Rle, components::root_of, counts::Counts};
use crate::geometry::Size;

/// Consecutive pixels of column `x`: the rows `y0 <= y < y1`, at least one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Span {
    pub(super) x: usize,
    pub(super) y0: usize,
    pub(super) y1: usize,
}

/// A box of whole pixels.
#[derive(Clone, Debug)]
pub(super) struct Bounds {
    pub(super) x: Range<usize>,
    pub(super) y: Range<usize>,
}

impl Rle {
    /// Returns the object's spans, column by column from left to right, each column downward.
    pub(super) fn spans(&self) -> impl Iterator<Item = Span> {
        let height = self.size.height;
        let mut at = 0;
        let runs = self.runs().enumerate().filter_map(move |(i, run)| {
            let first = at;
            at += run as usize;
            (i % 2 == 1 && run > 0).then_some(first..at)
        });
        runs.flat_map(move |run| {
            (run.start / height..run.end.div_ceil(height)).map(move |x| {
                let top = x * height;
                Span { x, y0: run.start.max(top) - top, y1: run.end.min(top + height) - top }
            })
        })
    }

    /// Creates a mask from spans in the order of [`Self::spans`]; they may touch but not overlap.
    pub(super) fn of_spans(size: Size, spans: impl IntoIterator<Item = Span>) -> Self {
        let mut counts = Counts::default();
        // Spans that touch become one run.
        let (mut off, mut on, mut at) = (0, 0, 0);
        for Span { x, y0, y1 } in spans {
            let first = x * size.height + y0;
            if on > 0 && first == at {
                on += y1 - y0;
            } else {
                if on > 0 {
                    counts.extend([off, on]);
                }
                (off, on) = (first - at, y1 - y0);
            }
            at = first + (y1 - y0);
        }
        if on > 0 {
            counts.extend([off, on]);
        }
        if at < size.area() || on == 0 {
            counts.extend([size.area() - at]);
        }
        Self::of(size, counts)
    }

    /// Creates a mask from the rows at which each column, downward, alternately enters and leaves the object.
    pub(super) fn of_turns(size: Size, turns: &[Vec<usize>]) -> Self {
        let spans = turns.iter().enumerate().flat_map(|(x, rows)| {
            rows.chunks(2).map(move |rows| Span { x, y0: rows[0], y1: *rows.get(1).unwrap_or(&size.height) })
        });
        Self::of_spans(size, spans.filter(|span| span.y0 < span.y1))
    }

    /// Returns the pixels at which rows, from left to right, enter the object and those at which they leave it: the
    /// first pixels on the object and the first pixels after it, each as a mask one column wider than the image.
    pub(super) fn sides(&self) -> [Self; 2] {
        let size = Size::new(self.size.width + 1, self.size.height);
        let own = Self::of_spans(size, self.spans());
        let left = Self::of_spans(size, self.spans().map(|span| Span { x: span.x + 1, ..span }));
        [own.subtract(&left), left.subtract(&own)]
    }

    /// Returns the bounding box of the object, grown by `margin` pixels and clipped to the image; empty for an empty
    /// mask.
    pub(super) fn bounds(&self, margin: usize) -> Bounds {
        let [x, y, width, height] = self.bbox().map(|v| v as usize);
        let margin = if width == 0 { 0 } else { margin };
        let grown = |from: usize, n: usize, end: usize| {
            from.saturating_sub(margin)..(from + n).saturating_add(margin).min(end)
        };
        Bounds { x: grown(x, width, self.size.width), y: grown(y, height, self.size.height) }
    }

    /// Returns a mask of all pixels of a box that lies within the image.
    pub(super) fn of_bounds(Bounds { x, y }: Bounds, size: Size) -> Self {
        let columns = if y.is_empty() { 0..0 } else { x };
        Self::of_spans(size, columns.map(|x| Span { x, y0: y.start, y1: y.end }))
    }
}

/// Labels each span with its connected component. Components are numbered from 0 in the order of their first spans.
pub(super) fn labels(spans: &[Span], connectivity: Connectivity) -> Vec<usize> {
    let reach = usize::from(connectivity == Connectivity::Eight);
    // A span's parent is an earlier span of the same component; a root is its own parent.
    let mut parents: Vec<u32> = (0..spans.len() as u32).collect();
    let mut first = 0;
    for (i, span) in spans.iter().enumerate() {
        // Spans too far left or above to touch this span cannot touch any later one.
        while spans[first].x + 1 < span.x
            || spans[first].x + 1 == span.x && spans[first].y1 + reach <= span.y0
        {
            first += 1;
        }
        let near = |other: &Span| other.x + 1 == span.x && other.y0 < span.y1 + reach;
        for neighbor in (first..i).take_while(|&j| near(&spans[j])) {
            let roots = [i, neighbor].map(|j| root_of(&mut parents, j as u32));
            parents[roots[0].max(roots[1]) as usize] = roots[0].min(roots[1]);
        }
    }
    let mut labels: Vec<usize> = Vec::with_capacity(spans.len());
    let mut n = 0;
    for i in 0..spans.len() {
        let root = root_of(&mut parents, i as u32) as usize;
        labels.push(if root == i { n } else { labels[root] });
        n += usize::from(root == i);
    }
    labels
}

/// A collector of the rows at which columns enter and leave an object, filled row by row.
pub(super) struct Turns {
    /// For each column, the rows at which it alternately enters and leaves the object.
    pub(super) columns: Vec<Vec<usize>>,
    above: Vec<bool>,
}

impl Turns {
    pub(super) fn new(width: usize) -> Self {
        Self { columns: vec![Vec::new(); width], above: vec![false; width] }
    }

    /// Adds row `y`, which begins at column `x`. Rows are added downward; a row equal to the one above may be left out.
    pub(super) fn add(&mut self, y: usize, x: usize, row: &[bool]) {
        // Most of a row equals the one above. Comparing many pixels together finds that faster.
        const N: usize = 64;
        let (columns, above) = (self.columns[x..].chunks_mut(N), self.above[x..x + row.len()].chunks_mut(N));
        let pieces = columns.zip(above).zip(row.chunks(N));
        for ((columns, above), row) in pieces.filter(|((_, above), row)| above != row) {
            let turned = above.iter().zip(row).map(|(above, bit)| above != bit);
            columns.iter_mut().zip(turned).filter(|(_, turned)| *turned).for_each(|(rows, _)| rows.push(y));
            above.copy_from_slice(row);
        }
    }
}

/// A collector of spans in any order; they may overlap.
pub(super) struct Columns {
    size: Size,
    /// For each column, the covered rows, sorted downward with gaps between them.
    rows: Vec<Vec<Range<usize>>>,
}

impl Columns {
    pub(super) fn new(size: Size) -> Self {
        Self { size, rows: vec![Vec::new(); size.width] }
    }

    /// Adds rows of column `x`; both must be within the image.
    pub(super) fn cover(&mut self, x: usize, rows: Range<usize>) {
        if rows.is_empty() {
            return;
        }
        let covered = &mut self.rows[x];
        let first = covered.partition_point(|other| other.end < rows.start);
        let end = first + covered[first..].partition_point(|other| other.start <= rows.end);
        if first == end {
            covered.insert(first, rows);
        } else {
            covered[first] = covered[first].start.min(rows.start)..covered[end - 1].end.max(rows.end);
            if end - first > 1 {
                covered.drain(first + 1..end);
            }
        }
    }

    pub(super) fn into_rle(self) -> Rle {
        let spans =
            self.rows.into_iter().enumerate().flat_map(|(x, rows)| {
                rows.into_iter().map(move |rows| Span { x, y0: rows.start, y1: rows.end })
            });
        Rle::of_spans(self.size, spans)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::mask::{Components, testing::any_mask};

    proptest! {
        #[test]
        fn spans_round_trip(mask in any_mask()) {
            let rle = Rle::encode(&mask);
            prop_assert_eq!(Rle::of_spans(rle.size(), rle.spans()), rle);
        }

        #[test]
        fn span_labels_agree_with_components(mask in any_mask(), eight: bool) {
            let connectivity = if eight { Connectivity::Eight } else { Connectivity::Four };
            let pixels = Components::of(&mask, connectivity);
            let spans: Vec<Span> = Rle::encode(&mask).spans().collect();
            let labels = labels(&spans, connectivity);
            prop_assert_eq!(labels.iter().max().map_or(0, |label| label + 1), pixels.n());
            let of_pixels = |span: &Span| pixels.label(span.y0 * mask.size().width + span.x);
            for (i, j) in (0..spans.len()).flat_map(|i| (0..i).map(move |j| (i, j))) {
                let together = of_pixels(&spans[i]) == of_pixels(&spans[j]);
                prop_assert_eq!(labels[i] == labels[j], together);
            }
        }

        #[test]
        fn overlapping_spans_are_united(spans in prop::collection::vec((0..3_usize, 0..12_usize, 0..12_usize), 0..30)) {
            let size = Size::new(3, 12);
            let mut columns = Columns::new(size);
            let mut bits = vec![false; size.area()];
            for (x, y0, y1) in spans {
                columns.cover(x, y0..y1);
                (y0..y1).for_each(|y| bits[y * size.width + x] = true);
            }
            prop_assert_eq!(columns.into_rle(), Rle::encode(&crate::mask::Mask::new(size, bits)));
        }
    }
}
