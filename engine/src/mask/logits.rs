//! Masks from logits. Models return logits at low resolution; only the part that can contain the object is resized.

use std::ops::Range;

use super::{Mask, Rle, resize_bilinear_part, spans::Turns};
use crate::geometry::Size;

impl Mask {
    /// Resizes `logits` from size `from` to `size` bilinearly and returns the pixels above zero.
    ///
    /// # Panics
    /// If the number of logits is not `from.area()`.
    pub fn from_logits(logits: &[f32], from: Size, size: Size) -> Self {
        let mut mask = Self::empty(size);
        let [columns, rows] = surroundings(logits, from, size);
        let mut first = rows.start * size.width + columns.start;
        resize_bilinear_part(logits, from, size, [columns, rows], |row| {
            mask.bits[first..].iter_mut().zip(row).for_each(|(bit, logit)| *bit = *logit > 0.0);
            first += size.width;
        });
        mask
    }
}

impl Rle {
    /// Resizes `logits` from size `from` to `size` bilinearly and returns the pixels above zero, like
    /// [`Mask::from_logits`], but as run lengths.
    ///
    /// # Panics
    /// If the number of logits is not `from.area()`.
    pub fn from_logits(logits: &[f32], from: Size, size: Size) -> Self {
        let [columns, rows] = surroundings(logits, from, size);
        let mut turns = Turns::new(size.width);
        let mut bits = vec![false; columns.len()];
        let mut y = rows.start;
        resize_bilinear_part(logits, from, size, [columns.clone(), rows], |row| {
            bits.iter_mut().zip(row).for_each(|(bit, logit)| *bit = *logit > 0.0);
            turns.add(y, columns.start, &bits);
            y += 1;
        });
        if y < size.height {
            bits.fill(false);
            turns.add(y, columns.start, &bits);
        }
        Self::of_turns(size, &turns.columns)
    }
}

/// Returns the columns and rows, at `size`, that contain all pixels whose resized logit can be above zero: the bounding
/// box of the logits above zero and their neighbors.
fn surroundings(logits: &[f32], from: Size, size: Size) -> [Range<usize>; 2] {
    let is_on = |row: &[f32]| row.iter().any(|logit| *logit > 0.0);
    let mut rows = logits.chunks_exact(from.width.max(1));
    let Some(top) = rows.position(is_on) else { return [0..0, 0..0] };
    let bottom = from.height - 1 - rows.rev().position(is_on).unwrap_or(from.height - 1 - top);
    let is_on = |x: &usize| (top..=bottom).any(|y| logits[y * from.width + x] > 0.0);
    let left = (0..from.width).find(is_on).unwrap_or(0);
    let right = (0..from.width).rfind(is_on).unwrap_or(left);
    // One more pixel than needed on either side allows for rounding.
    let span = |first: usize, last: usize, n_from: usize, n_to: usize| {
        let scale = n_to as f64 / n_from as f64;
        let (start, end) = ((first as f64 - 0.5) * scale - 1.5, (last as f64 + 1.5) * scale + 1.5);
        start.max(0.0) as usize..(end as usize).min(n_to)
    };
    [span(left, right, from.width, size.width), span(top, bottom, from.height, size.height)]
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::mask::resize_bilinear;

    /// Generates logits; any share of them, or none, may be above zero.
    fn any_logits() -> impl Strategy<Value = (Size, Vec<f32>)> {
        (1..12_usize, 1..12_usize, 0.0..1.0_f32).prop_flat_map(|(width, height, share)| {
            let logit = (-10.0..10.0_f32, 0.0..1.0_f32);
            let logit = logit.prop_map(move |(v, is_free)| if is_free < share { v } else { -v.abs() });
            let n = width * height;
            prop::collection::vec(logit, n).prop_map(move |logits| (Size::new(width, height), logits))
        })
    }

    proptest! {
        #[test]
        fn from_logits_equals_resizing_whole_plane(
            (from, logits) in any_logits(),
            width in 0..50_usize,
            height in 0..50_usize,
        ) {
            let size = Size::new(width, height);
            let bits = resize_bilinear(&logits, from, size).iter().map(|logit| *logit > 0.0).collect();
            let want = Mask::new(size, bits);
            prop_assert_eq!(Rle::from_logits(&logits, from, size), Rle::encode(&want));
            prop_assert_eq!(Mask::from_logits(&logits, from, size), want);
        }
    }
}
