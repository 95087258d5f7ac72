//! Run lengths as in COCO: in column-major order, the first run off the object.

use serde::{Deserialize, Serialize, de::Error as _};

use super::{
    Mask,
    counts::{self, Counts, Runs},
    spans::{Bounds, Turns},
};
use crate::geometry::{Rect, Size};

/// A mask as run lengths in column-major order: zeros, ones, zeros, … Only the first run may be empty.
///
/// They are stored as the compressed text used in COCO files. It takes a third of the memory of numbers, and files
/// with many masks are read and written without conversion.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rle {
    pub(super) size: Size,
    counts: Box<str>,
}

/// Error for run lengths that do not form a mask.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum RleError {
    /// The compressed string is truncated or has invalid characters.
    #[error("the run lengths are damaged at character {0}")]
    Damaged(usize),
    /// The runs cover too many or too few pixels.
    #[error("the run lengths cover {covered} pixels, the image of {size} has {}", size.area())]
    WrongArea {
        /// Sum of the run lengths.
        covered: u64,
        /// The image's size.
        size: Size,
    },
}

impl Rle {
    /// Returns a mask without object pixels.
    pub fn empty(size: Size) -> Self {
        Self::of(size, Counts::of([size.area() as u32]))
    }

    /// Creates a mask from runs that cover the image exactly.
    pub(super) fn of(size: Size, counts: Counts) -> Self {
        Self { size, counts: counts.into() }
    }

    /// Returns the run lengths, alternately off and on the object.
    pub(super) fn runs(&self) -> Runs<'_> {
        Runs::of(&self.counts)
    }

    /// Encodes a mask.
    pub fn encode(mask: &Mask) -> Self {
        let size = mask.size();
        let mut turns = Turns::new(size.width);
        // Row by row, in memory order.
        for (y, row) in mask.bits().chunks_exact(size.width.max(1)).enumerate() {
            turns.add(y, 0, row);
        }
        Self::of_turns(size, &turns.columns)
    }

    /// Decodes the run lengths into a bitmap.
    pub fn decode(&self) -> Mask {
        self.decode_within(&Bounds { x: 0..self.size.width, y: 0..self.size.height })
    }

    /// Decodes the pixels of a box that contains the whole object.
    pub(super) fn decode_within(&self, Bounds { x, y }: &Bounds) -> Mask {
        // Row by row, in memory order. `turns` has, for each row, the columns at which it enters or leaves the object.
        let [onto, off] = self.sides();
        let mut turns: Vec<Vec<usize>> = vec![Vec::new(); y.len()];
        for side in onto.union(&off).spans() {
            turns[side.y0 - y.start..side.y1 - y.start].iter_mut().for_each(|row| row.push(side.x - x.start));
        }
        let size = Size::new(x.len(), y.len());
        let mut bits = vec![false; size.area()];
        for (row, turns) in bits.chunks_exact_mut(size.width.max(1)).zip(turns) {
            turns.chunks_exact(2).for_each(|turns| row[turns[0]..turns[1]].fill(true));
        }
        Mask::new(size, bits)
    }

    /// Returns true if pixel (`x`, `y`) is on the object; false for pixels outside the image.
    pub fn contains(&self, x: usize, y: usize) -> bool {
        if x >= self.size.width || y >= self.size.height {
            return false;
        }
        let mut rest = x * self.size.height + y;
        let mut runs = self.runs().map(|run| run as usize);
        let run = runs.position(|run| {
            let has = rest < run;
            rest = rest.saturating_sub(run);
            has
        });
        run.is_some_and(|i| i % 2 == 1)
    }

    /// Returns the pixels that are in at least one of the masks.
    ///
    /// # Panics
    /// If the sizes differ, as for all methods that combine two masks.
    #[must_use]
    pub fn union(&self, other: &Self) -> Self {
        self.combine(other, |a, b| a | b)
    }

    /// Returns the pixels that are in both masks.
    #[must_use]
    pub fn intersection(&self, other: &Self) -> Self {
        self.combine(other, |a, b| a & b)
    }

    /// Returns the pixels that are in this mask but not in `other`.
    #[must_use]
    pub fn subtract(&self, other: &Self) -> Self {
        self.combine(other, |a, b| a & !b)
    }

    /// Returns the intersection over union, 0 to 1. For two empty masks it is 0, as in pycocotools.
    pub fn iou(&self, other: &Self) -> f64 {
        let intersection = self.intersection(other).area();
        intersection as f64 / (self.area() + other.area() - intersection).max(1) as f64
    }

    /// Combines two masks run by run, without decoding them.
    fn combine(&self, other: &Self, both: impl Fn(bool, bool) -> bool) -> Self {
        assert_eq!(self.size, other.size, "masks of two sizes");
        let mut runs = [self.runs(), other.runs()];
        let mut rests = [0, 0];
        // Each list starts with zeros, so its first run flips this to false.
        let mut values = [true, true];
        let mut counts = Counts::default();
        let (mut value, mut run) = (false, 0);
        loop {
            for i in [0, 1] {
                while rests[i] == 0 {
                    match runs[i].next() {
                        Some(next) => (rests[i], values[i]) = (next, !values[i]),
                        None => {
                            counts.push(run);
                            return Self::of(self.size, counts);
                        }
                    }
                }
            }
            let step = rests[0].min(rests[1]);
            if both(values[0], values[1]) != value {
                counts.push(run);
                (value, run) = (!value, 0);
            }
            run += step;
            rests = rests.map(|rest| rest - step);
        }
    }

    /// Returns the size of the image.
    pub fn size(&self) -> Size {
        self.size
    }

    /// Returns true if no pixel is on the object. Faster than [`Self::area`].
    pub fn is_empty(&self) -> bool {
        // Only the first run may be empty, and it is off the object.
        self.runs().nth(1).is_none()
    }

    /// Counts the pixels on the object.
    pub fn area(&self) -> u64 {
        self.runs().skip(1).step_by(2).map(u64::from).sum()
    }

    /// Returns the memory use in bytes.
    pub fn bytes(&self) -> usize {
        self.counts.len()
    }

    /// Returns the bounding box of the object in image pixels; a box without area if the mask is empty.
    pub fn rect(&self) -> Rect {
        let [x, y, width, height] = self.bbox().map(|v| v as f32);
        Rect { x0: x, y0: y, x1: x + width, y1: y + height }
    }

    /// Returns the bounding box of the object as `[x, y, width, height]` in image pixels; zeros if the mask is empty.
    pub fn bbox(&self) -> [u32; 4] {
        let height = self.size.height as u64;
        let (mut x0, mut y0, mut x1, mut y1) = (u64::MAX, u64::MAX, 0, 0);
        let mut at = 0;
        for (i, run) in self.runs().enumerate() {
            let run = u64::from(run);
            if i % 2 == 1 && run > 0 {
                let (first, last) = (at, at + run - 1);
                (x0, x1) = (x0.min(first / height), x1.max(last / height + 1));
                // A run that continues into the next column touches the top and bottom.
                let spans = first / height != last / height;
                y0 = y0.min(if spans { 0 } else { first % height });
                y1 = y1.max(if spans { height } else { last % height + 1 });
            }
            at += run;
        }
        if x1 == 0 { [0; 4] } else { [x0, y0, x1 - x0, y1 - y0].map(|v| v as u32) }
    }

    /// Returns the run lengths as the compressed string of pycocotools.
    pub fn counts(&self) -> &str {
        &self.counts
    }

    /// Returns the run lengths as numbers, in column-major order, the first off the object.
    pub fn run_lengths(&self) -> Vec<u32> {
        self.runs().collect()
    }

    /// Parses the compressed string that [`Self::counts`] returns.
    ///
    /// # Errors
    /// If the string is damaged or belongs to an image of another size.
    pub fn from_counts(size: Size, text: &str) -> Result<Self, RleError> {
        if counts::covered(text) == Some(size.area() as u64) {
            return Ok(Self { size, counts: text.into() });
        }
        Self::from_runs(size, Self::parse_counts(text)?)
    }

    /// Parses the compressed string that [`Self::counts`] returns into run lengths, which need not cover an image.
    ///
    /// # Errors
    /// If the string is damaged.
    pub fn parse_counts(text: &str) -> Result<Vec<u32>, RleError> {
        let mut runs = Runs::of(text);
        std::iter::from_fn(|| runs.checked_next()).collect::<Result<_, _>>().map_err(RleError::Damaged)
    }

    /// Creates a mask from run lengths as numbers.
    ///
    /// # Errors
    /// If they do not cover the image.
    pub fn from_runs(size: Size, runs: impl IntoIterator<Item = u32>) -> Result<Self, RleError> {
        // An empty run joins its two neighbors into one run.
        let mut joined: Vec<u32> = Vec::new();
        let (mut covered, mut joins) = (0_u64, false);
        for run in runs {
            covered += u64::from(run);
            match joined.last_mut() {
                Some(last) if joins => *last = last.saturating_add(run),
                Some(_) if run == 0 => {
                    joins = true;
                    continue;
                }
                _ => joined.push(run),
            }
            joins = false;
        }
        if covered != size.area() as u64 {
            return Err(RleError::WrongArea { covered, size });
        }
        Ok(Self::of(size, Counts::of(joined)))
    }
}

#[derive(Serialize)]
struct Written<'a> {
    size: [usize; 2],
    counts: &'a str,
}

#[derive(Deserialize)]
struct Json {
    size: [usize; 2],
    counts: Told,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Told {
    Compressed(String),
    Runs(Vec<u32>),
}

impl Serialize for Rle {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let size = [self.size.height, self.size.width];
        Written { size, counts: &self.counts }.serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Rle {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let Json { size: [height, width], counts } = Json::deserialize(deserializer)?;
        if height.checked_mul(width).is_none_or(|area| area > 1 << 31) {
            return Err(D::Error::custom("a mask of more pixels than any image has"));
        }
        let size = Size::new(width, height);
        let rle = match counts {
            Told::Compressed(text) => Self::from_counts(size, &text),
            Told::Runs(runs) => Self::from_runs(size, runs),
        };
        rle.map_err(D::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::mask::testing::{any_mask, picture};

    proptest! {
        #[test]
        fn masks_round_trip(mask in any_mask()) {
            let rle = Rle::encode(&mask);
            prop_assert_eq!(rle.decode(), mask.clone());
            prop_assert_eq!(rle.area(), mask.area() as u64);
            let again = Rle::from_counts(rle.size(), rle.counts());
            prop_assert_eq!(again.as_ref(), Ok(&rle));
            let json = serde_json::to_string(&rle).unwrap();
            prop_assert_eq!(serde_json::from_str::<Rle>(&json).unwrap(), rle);
        }

        #[test]
        fn bbox_is_smallest_box(mask in any_mask()) {
            let width = mask.size().width as u32;
            let on = || (0..).zip(mask.bits()).filter(|(_, on)| **on).map(|(i, _): (u32, _)| (i % width, i / width));
            let range = |values: Vec<u32>| {
                let (min, max) = (values.iter().min()?, values.iter().max()?);
                Some((*min, max - min + 1))
            };
            let x = range(on().map(|(x, _)| x).collect());
            let y = range(on().map(|(_, y)| y).collect());
            let want = x.zip(y).map_or([0; 4], |((x, width), (y, height))| [x, y, width, height]);
            prop_assert_eq!(Rle::encode(&mask).bbox(), want);
        }

        #[test]
        fn contains_agrees_with_bitmap(mask in any_mask()) {
            let Size { width, height } = mask.size();
            let rle = Rle::encode(&mask);
            for (x, y) in (0..width + 2).flat_map(|x| (0..height + 2).map(move |y| (x, y))) {
                prop_assert_eq!(rle.contains(x, y), x < width && y < height && mask.bits()[y * width + x]);
            }
        }

        #[test]
        fn arbitrary_text_parses_or_fails(text: String, width in 0..50_usize, height in 0..50_usize) {
            let size = Size::new(width, height);
            if let Ok(rle) = Rle::from_counts(size, &text) {
                prop_assert_eq!(rle.decode().size(), size);
            }
        }

        #[test]
        fn set_operations_agree_with_bitmaps(pair in any_mask().prop_flat_map(|a| {
            let n = a.bits().len();
            let size = a.size();
            (Just(a), prop::collection::vec(any::<bool>(), n).prop_map(move |bits| Mask::new(size, bits)))
        })) {
            let (a, b) = pair;
            let (ra, rb) = (Rle::encode(&a), Rle::encode(&b));
            prop_assert_eq!(ra.union(&rb), Rle::encode(&a.union(&b)));
            prop_assert_eq!(ra.intersection(&rb), Rle::encode(&a.intersection(&b)));
            prop_assert_eq!(ra.subtract(&rb), Rle::encode(&a.subtract(&b)));
            prop_assert!((ra.iou(&rb) - a.iou(&b)).abs() < 1e-12);
        }
    }

    #[test]
    fn empty_runs_join_their_neighbors() {
        let size = Size::new(1, 6);
        let rle = Rle::from_runs(size, [0, 2, 0, 1, 3]).unwrap();
        assert_eq!(rle, Rle::encode(&picture(&["#", "#", "#", ".", ".", "."])));
        assert!(Rle::from_runs(size, [2, 2]).is_err());
    }

    #[test]
    fn oversized_runs_are_rejected() {
        let size = Size::new(4, 4);
        assert!(Rle::from_counts(size, "ooooooooooooooooo0").is_err());
        assert!(serde_json::from_str::<Rle>(r#"{"size": [99999999999, 9], "counts": [4]}"#).is_err());
        assert!(
            serde_json::from_str::<Rle>(r#"{"size": [4, 4], "counts": [4294967295, 4294967295]}"#).is_err()
        );
    }
}
