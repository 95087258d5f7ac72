//! A mask column by column, as stretches of pixels: what editing works on, so that it costs what the object is large.

use std::ops::Range;

use super::{Connectivity, Rle, components::root_of, counts::Counts};
use crate::geometry::Size;

/// Pixels of one column, one below the other: `y0 <= y < y1`, never none.
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
    /// The object's spans, column by column and downward.
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

    /// From spans in the order of [`Self::spans`]; they may touch but not overlap.
    pub(super) fn of_spans(size: Size, spans: impl IntoIterator<Item = Span>) -> Self {
        let mut counts = Counts::default();
        // Spans that touch are one run.
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

    /// From the rows of each column, downward, from which on its pixels are on the object and off it in turn.
    pub(super) fn of_turns(size: Size, turns: &[Vec<usize>]) -> Self {
        let spans = turns.iter().enumerate().flat_map(|(x, rows)| {
            rows.chunks(2).map(move |rows| Span { x, y0: rows[0], y1: *rows.get(1).unwrap_or(&size.height) })
        });
        Self::of_spans(size, spans.filter(|span| span.y0 < span.y1))
    }

    /// Where rows come onto the object and where they leave it, from left to right: the first pixels on it and the
    /// first off it, in an image that is one column wider.
    pub(super) fn sides(&self) -> [Self; 2] {
        let size = Size::new(self.size.width + 1, self.size.height);
        let own = Self::of_spans(size, self.spans());
        let left = Self::of_spans(size, self.spans().map(|span| Span { x: span.x + 1, ..span }));
        [own.subtract(&left), left.subtract(&own)]
    }

    /// The smallest box round the object, grown by `margin` and clipped to the image; empty if there is no object.
    pub(super) fn bounds(&self, margin: usize) -> Bounds {
        let [x, y, width, height] = self.bbox().map(|v| v as usize);
        let margin = if width == 0 { 0 } else { margin };
        let grown = |from: usize, n: usize, end: usize| {
            from.saturating_sub(margin)..(from + n).saturating_add(margin).min(end)
        };
        Bounds { x: grown(x, width, self.size.width), y: grown(y, height, self.size.height) }
    }

    /// All pixels of a box within the image.
    pub(super) fn of_bounds(Bounds { x, y }: Bounds, size: Size) -> Self {
        let columns = if y.is_empty() { 0..0 } else { x };
        Self::of_spans(size, columns.map(|x| Span { x, y0: y.start, y1: y.end }))
    }
}

/// Which connected part each span is of, numbered from 0 in the order of their first spans.
pub(super) fn labels(spans: &[Span], connectivity: Connectivity) -> Vec<usize> {
    let reach = usize::from(connectivity == Connectivity::Eight);
    // A span's parent is an earlier span of the same part; a root is its own.
    let mut parents: Vec<u32> = (0..spans.len() as u32).collect();
    let mut first = 0;
    for (i, span) in spans.iter().enumerate() {
        // What is too far left or above for this span is so for all that follow.
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

/// Gathers, row by row, where columns come onto an object and leave it.
pub(super) struct Turns {
    /// Of each column the rows from which on it is on the object and off it in turn.
    pub(super) columns: Vec<Vec<usize>>,
    above: Vec<bool>,
}

impl Turns {
    pub(super) fn new(width: usize) -> Self {
        Self { columns: vec![Vec::new(); width], above: vec![false; width] }
    }

    /// Takes in row `y` from column `x` on, the next one that is not as the one above.
    pub(super) fn add(&mut self, y: usize, x: usize, row: &[bool]) {
        // Most of a row is as the one above, which is seen sooner of many pixels at once.
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

/// Gathers spans in any order; they may overlap.
pub(super) struct Columns {
    size: Size,
    /// Of each column the rows covered, downward with gaps between.
    rows: Vec<Vec<Range<usize>>>,
}

impl Columns {
    pub(super) fn new(size: Size) -> Self {
        Self { size, rows: vec![Vec::new(); size.width] }
    }

    /// Covers rows of column `x`, both within the image.
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
        fn spans_are_the_mask(mask in any_mask()) {
            let rle = Rle::encode(&mask);
            prop_assert_eq!(Rle::of_spans(rle.size(), rle.spans()), rle);
        }

        #[test]
        fn parts_of_spans_are_parts_of_pixels(mask in any_mask(), eight: bool) {
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
        fn columns_are_the_union(spans in prop::collection::vec((0..3_usize, 0..12_usize, 0..12_usize), 0..30)) {
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
