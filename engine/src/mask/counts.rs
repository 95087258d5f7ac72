//! COCO's compressed text for run lengths, as written by pycocotools' `rleToString`.
//!
//! From the fourth run length on, the difference to the run length two places earlier is written instead. Each number
//! is split into groups of five bits, lowest first. A sixth bit says that another group follows. The character of a
//! group has the code 48 plus these six bits.

/// An encoder from run lengths to compressed text.
#[derive(Default)]
pub(super) struct Counts {
    text: Vec<u8>,
    n: usize,
    /// The last run length and the one before it.
    last: [u32; 2],
}

impl Counts {
    pub(super) fn of(runs: impl IntoIterator<Item = u32>) -> Self {
        let mut counts = Self::default();
        runs.into_iter().for_each(|run| counts.push(run));
        counts
    }

    /// Appends run lengths.
    pub(super) fn extend<const N: usize>(&mut self, lengths: [usize; N]) {
        lengths.into_iter().for_each(|length| self.push(length as u32));
    }

    pub(super) fn push(&mut self, run: u32) {
        let [last, before] = self.last;
        let mut value = i64::from(run) - if self.n > 2 { i64::from(before) } else { 0 };
        loop {
            let group = (value & 0x1f) as u8;
            value >>= 5;
            let sign = if group & 0x10 == 0 { 0 } else { -1 };
            let more = value != sign;
            self.text.push(group + 48 + if more { 0x20 } else { 0 });
            if !more {
                break;
            }
        }
        (self.n, self.last) = (self.n + 1, [run, last]);
    }
}

impl From<Counts> for Box<str> {
    fn from(counts: Counts) -> Self {
        // All characters are ASCII.
        String::from_utf8(counts.text).unwrap_or_default().into_boxed_str()
    }
}

/// Returns the number of pixels that the runs of a canonical text cover, or `None` for any other text. In a canonical
/// text each run has as few characters as possible and only the first run may be empty.
pub(super) fn covered(text: &str) -> Option<u64> {
    let (mut covered, mut last, mut before) = (0_u64, 0_i64, 0_i64);
    let mut is_first = true;
    let mut groups = text.bytes().map(|byte| byte.wrapping_sub(48));
    while let Some(mut group) = groups.next() {
        let mut value = sign_extended(group);
        let (mut shift, mut sign) = (0, 0);
        while group >= 0x20 {
            // A longer number is not a valid run length, or not written with the fewest characters.
            if group >= 0x40 || shift > 30 {
                return None;
            }
            sign = group & 0x10;
            value &= !(-0x20 << shift);
            shift += 5;
            group = groups.next()?;
            value |= sign_extended(group) << shift;
        }
        let repeats = shift > 0 && sign_extended(group) == if sign == 0 { 0 } else { -1 };
        let run = value + before;
        if repeats || run < i64::from(!is_first) {
            return None;
        }
        covered += run as u64;
        // The third run length is written as it is, not as the difference to the first.
        (last, before) = (if is_first { 0 } else { run }, last);
        is_first = false;
    }
    (!is_first).then_some(covered)
}

/// Returns the number in a group of five bits whose highest bit is the sign.
fn sign_extended(group: u8) -> i64 {
    (i64::from(group & 0x1f) ^ 0x10) - 0x10
}

/// A decoder from compressed text to run lengths.
#[derive(Clone)]
pub(super) struct Runs<'a> {
    text: &'a [u8],
    at: usize,
    n: usize,
    last: [u32; 2],
}

impl<'a> Runs<'a> {
    pub(super) fn of(text: &'a str) -> Self {
        Self { text: text.as_bytes(), at: 0, n: 0, last: [0; 2] }
    }

    /// Returns the next run length of an untrusted text, or the byte offset at which the text is damaged.
    pub(super) fn checked_next(&mut self) -> Option<Result<u32, usize>> {
        let first = self.at;
        let (mut value, mut shift) = (0_i64, 0);
        loop {
            let Some(&byte) = self.text.get(self.at) else {
                return (self.at > first).then_some(Err(self.at));
            };
            let group = byte.wrapping_sub(48);
            if group > 63 || shift > 30 {
                return Some(Err(self.at));
            }
            self.at += 1;
            value |= i64::from(group & 0x1f) << shift;
            shift += 5;
            if group & 0x20 == 0 {
                if group & 0x10 != 0 {
                    value |= -1 << shift;
                }
                break;
            }
        }
        if self.n > 2 {
            value += i64::from(self.last[1]);
        }
        let Ok(run) = u32::try_from(value) else { return Some(Err(self.at - 1)) };
        (self.n, self.last) = (self.n + 1, [run, self.last[0]]);
        Some(Ok(run))
    }
}

impl Iterator for Runs<'_> {
    type Item = u32;

    fn next(&mut self) -> Option<u32> {
        self.checked_next()?.ok()
    }
}
