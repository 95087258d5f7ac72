//! The memory bank of one object: its memories of earlier frames, and the choice of those that a frame attends to.

use std::{collections::BTreeMap, sync::Arc};

use half::bf16;

use super::{
    config::{MAX_OBJ_PTRS, NUM_MASKMEM},
    image::Logits,
};
use crate::{frame::Direction, geometry::Size, mask::Rle, nn::Tensor};

/// The spatial memory of a frame, `[grid², mem_dim]`: image features combined with the object's mask. Clones share
/// data.
#[derive(Clone)]
pub(super) enum Spatial {
    /// On the CPU, rounded to bfloat16 as in the original.
    Here(Arc<[bf16]>),
    /// On the device of the models that compute it and attend to it.
    There(Tensor),
}

impl Spatial {
    fn bytes(&self) -> usize {
        match self {
            Self::Here(values) => size_of_val(&**values),
            Self::There(tensor) => tensor.n_bytes(),
        }
    }
}

/// The memory of an object on one frame. Clones share data.
#[derive(Clone)]
pub struct Memory {
    /// The mask; dropped together with `spatial` when the bank no longer needs them.
    pub(super) logits: Option<Arc<Logits>>,
    pub(super) spatial: Option<Spatial>,
    /// `[d_model]`
    pub(super) pointer: Arc<[f32]>,
    /// Above zero if the object is on the frame.
    pub object_score: f32,
    /// IoU of the mask as predicted by the model, 0 to 1.
    pub iou: f32,
}

impl Memory {
    /// Returns the mask on a frame of `size`; empty if the object is absent or the mask has been dropped.
    pub fn mask(&self, size: Size) -> Rle {
        self.logits.as_ref().map_or_else(|| Rle::empty(size), |logits| logits.rle(size))
    }

    /// Returns the mask logits, or `None` if they have been dropped.
    pub fn logits(&self) -> Option<&Logits> {
        self.logits.as_deref()
    }

    /// Returns the memory use in bytes.
    pub fn bytes(&self) -> usize {
        let logits = self.logits.as_ref().map_or(0, |logits| size_of_val(&*logits.values));
        let spatial = self.spatial.as_ref().map_or(0, Spatial::bytes);
        logits + spatial + size_of_val(&*self.pointer)
    }
}

/// The memories of one object. Conditioning frames are those with a prompt or mask from a person.
#[derive(Default)]
pub struct MemoryBank {
    /// Conditioning frames with their memories, in order of insertion.
    conditioning: Vec<(usize, Memory)>,
    tracked: BTreeMap<usize, Memory>,
}

/// The memories that a frame attends to.
pub struct Selection<'a> {
    /// Frame, its memory, and its time slot: 0 for the previous frame, [`NUM_MASKMEM`] - 1 for a conditioning frame.
    pub(super) memories: Vec<(usize, &'a Memory, usize)>,
    /// Frame, its memory, and its distance in frames.
    pub(super) pointers: Vec<(usize, &'a Memory, usize)>,
    /// Number of frames of the video.
    pub(super) n_frames: usize,
}

impl Selection<'_> {
    /// Returns the spatial memories that have not been dropped, with their time slots.
    pub(super) fn spatials(&self) -> impl Iterator<Item = (&Spatial, usize)> {
        self.memories.iter().filter_map(|(_, memory, slot)| Some((memory.spatial.as_ref()?, *slot)))
    }

    /// Returns the number of spatial memories and the number of pointers.
    pub(super) fn sizes(&self) -> (usize, usize) {
        (self.spatials().count(), self.pointers.len())
    }
}

impl MemoryBank {
    /// Returns true if the frame is a conditioning frame.
    pub fn is_given(&self, frame: usize) -> bool {
        self.conditioning(frame).is_some()
    }

    pub(super) fn conditioning(&self, frame: usize) -> Option<&Memory> {
        self.conditioning.iter().find(|(f, _)| *f == frame).map(|(_, memory)| memory)
    }

    pub(super) fn get(&self, frame: usize) -> Option<&Memory> {
        self.conditioning(frame).or_else(|| self.tracked.get(&frame))
    }

    /// Returns true if there are no conditioning frames.
    pub fn is_empty(&self) -> bool {
        self.conditioning.is_empty()
    }

    /// Returns the conditioning frame that was inserted first.
    pub(super) fn first_conditioning(&self) -> Option<usize> {
        self.conditioning.first().map(|(frame, _)| *frame)
    }

    /// Inserts the memory of a conditioning frame, and removes a tracked memory of that frame.
    pub fn put_conditioning(&mut self, frame: usize, memory: Memory) {
        self.tracked.remove(&frame);
        match self.conditioning.iter_mut().find(|(f, _)| *f == frame) {
            Some((_, old)) => *old = memory,
            None => self.conditioning.push((frame, memory)),
        }
    }

    /// Inserts the memory of a tracked frame, unless it is a conditioning frame.
    pub fn put_tracked(&mut self, frame: usize, memory: Memory) {
        if self.conditioning(frame).is_none() {
            self.tracked.insert(frame, memory);
        }
    }

    /// Frees the memories that no frame after `frame` in this direction attends to, if each frame attends to at most
    /// `max_conditioning` conditioning frames as such.
    pub fn forget_behind(&mut self, frame: usize, direction: Direction, max_conditioning: usize) {
        // The next frame is one farther away, so the distance from it is `back + 1`.
        let is_within =
            |past: usize, n: usize| direction.distance(past, frame).is_none_or(|back| back + 1 < n);
        self.tracked.retain(|past, _| is_within(*past, MAX_OBJ_PTRS));
        self.shrink_except(|past| is_within(past, NUM_MASKMEM));
        let mut behind: Vec<usize> =
            self.conditioning.iter().filter_map(|(past, _)| direction.distance(*past, frame)).collect();
        behind.sort_unstable();
        // Keep one more than a frame attends to: with fewer left, `select_conditioning` would return them in another
        // order.
        let farthest = behind.get(max_conditioning).copied();
        self.conditioning.retain(|(past, _)| {
            is_within(*past, MAX_OBJ_PTRS)
                || farthest.is_none_or(|farthest| direction.distance(*past, frame) <= Some(farthest))
        });
    }

    /// Reduces tracked memories for which `keep` is false to pointer and scores, which are small.
    pub(super) fn shrink_except(&mut self, keep: impl Fn(usize) -> bool) {
        for (_, memory) in self.tracked.iter_mut().filter(|(frame, _)| !keep(**frame)) {
            memory.logits = None;
            memory.spatial = None;
        }
    }

    /// Returns the memories that `frame` attends to. Mirrors the first half of `_prepare_memory_conditioned_features`.
    ///
    /// `max_conditioning` limits the conditioning frames that are attended to as such; the rest count as tracked
    /// frames.
    pub fn select(
        &self,
        frame: usize,
        direction: Direction,
        n_frames: usize,
        max_conditioning: Option<usize>,
    ) -> Selection<'_> {
        let (selected, unselected) = self.select_conditioning(frame, max_conditioning);
        let at = |i: usize| {
            self.tracked.get(&i).or_else(|| unselected.iter().find(|(f, _)| *f == i).map(|(_, m)| *m))
        };
        let recent = |n: usize| direction.before(frame, n, n_frames).and_then(|i| Some((i, at(i)?)));

        let conditioning = selected.iter().map(|&(f, memory)| (f, memory, NUM_MASKMEM - 1));
        let tracked = (1..NUM_MASKMEM).rev().filter_map(|n| recent(n).map(|(f, memory)| (f, memory, n - 1)));
        let memories = conditioning.chain(tracked).collect();

        let conditioning =
            selected.iter().filter_map(|&(f, memory)| Some((f, memory, direction.distance(f, frame)?)));
        let tracked =
            (1..n_frames.min(MAX_OBJ_PTRS)).filter_map(|n| recent(n).map(|(f, memory)| (f, memory, n)));
        let pointers = conditioning.chain(tracked).collect();
        Selection { memories, pointers, n_frames }
    }

    /// Splits the conditioning frames into selected and unselected ones. Mirrors `select_closest_cond_frames`: selects
    /// the nearest before the frame, the nearest at or after it, and then by distance.
    fn select_conditioning(&self, frame: usize, max: Option<usize>) -> (Vec<Entry<'_>>, Vec<Entry<'_>>) {
        let all: Vec<Entry<'_>> = self.conditioning.iter().map(|(f, memory)| (*f, memory)).collect();
        let Some(max) = max.filter(|&max| max < all.len()) else { return (all, Vec::new()) };
        let before = all.iter().filter(|(f, _)| *f < frame).max_by_key(|(f, _)| *f);
        let after = all.iter().filter(|(f, _)| *f >= frame).min_by_key(|(f, _)| *f);
        let mut selected: Vec<Entry<'_>> = before.into_iter().chain(after).copied().take(max).collect();
        let is_in = |selected: &[Entry<'_>], f: usize| selected.iter().any(|(s, _)| *s == f);
        let mut others: Vec<Entry<'_>> = all.into_iter().filter(|(f, _)| !is_in(&selected, *f)).collect();
        others.sort_by_key(|(f, _)| f.abs_diff(frame));
        let unselected = others.split_off(max - selected.len());
        selected.append(&mut others);
        (selected, unselected)
    }
}

type Entry<'a> = (usize, &'a Memory);

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn memory() -> Memory {
        let spatial = Some(Spatial::Here(Arc::new([])));
        Memory { logits: None, spatial, pointer: Arc::new([]), object_score: 1.0, iou: 1.0 }
    }

    fn bank(conditioning: &[usize], tracked: std::ops::Range<usize>) -> MemoryBank {
        let mut bank = MemoryBank::default();
        tracked.for_each(|f| bank.put_tracked(f, memory()));
        conditioning.iter().for_each(|&f| bank.put_conditioning(f, memory()));
        bank
    }

    fn check(
        bank: &MemoryBank,
        frame: usize,
        direction: Direction,
        max: Option<usize>,
        want: &[(usize, usize)],
    ) {
        let selection = bank.select(frame, direction, 40, max);
        let got: Vec<(usize, usize)> = selection.memories.iter().map(|(f, _, slot)| (*f, *slot)).collect();
        assert_eq!(got, want);
    }

    #[test]
    fn forward_selects_conditioning_and_six_before() {
        let slots = [(0, 6), (14, 5), (15, 4), (16, 3), (17, 2), (18, 1), (19, 0)];
        check(&bank(&[0], 1..20), 20, Direction::Forward, None, &slots);
    }

    #[test]
    fn backward_selects_the_frames_after() {
        check(
            &bank(&[30], 21..30),
            20,
            Direction::Backward,
            None,
            &[(30, 6), (26, 5), (25, 4), (24, 3), (23, 2), (22, 1), (21, 0)],
        );
    }

    #[test]
    fn unselected_conditioning_frames_count_as_tracked() {
        check(&bank(&[0, 18, 30, 39], 0..0), 20, Direction::Forward, Some(2), &[(18, 6), (30, 6)]);
        check(&bank(&[0, 17, 18, 30], 0..0), 20, Direction::Forward, Some(2), &[(18, 6), (30, 6), (17, 2)]);
    }

    #[test]
    fn pointers_reach_farther_back_but_never_ahead() {
        let bank = bank(&[5, 30], 6..20);
        let selection = bank.select(20, Direction::Forward, 40, None);
        let frames: Vec<usize> = selection.pointers.iter().map(|(f, ..)| *f).collect();
        let mut want = vec![5];
        want.extend((6..20).rev());
        assert_eq!(frames, want);
    }

    proptest! {
        #[test]
        fn memories_that_no_frame_needs_are_freed(
            given in prop::collection::btree_map(0..90_usize, 0..90_usize, 1..20),
            forward: bool,
        ) {
            let direction = if forward { Direction::Forward } else { Direction::Backward };
            let way = |i: usize| if forward { i } else { 89 - i };
            let (mut all, mut bank) = (MemoryBank::default(), MemoryBank::default());
            for i in 0..90 {
                // A conditioning frame may be given before tracking reaches it.
                for (frame, _) in given.iter().filter(|(frame, said)| i == **said.min(frame)) {
                    all.put_conditioning(way(*frame), memory());
                    bank.put_conditioning(way(*frame), memory());
                }
                let looks = |bank: &MemoryBank| {
                    let Selection { memories, pointers, .. } = bank.select(way(i), direction, 90, Some(4));
                    prop_assert!(memories.iter().all(|(_, memory, _)| memory.spatial.is_some()));
                    let memories: Vec<_> = memories.iter().map(|(f, _, slot)| (*f, *slot)).collect();
                    let pointers: Vec<_> = pointers.iter().map(|(f, _, distance)| (*f, *distance)).collect();
                    Ok((memories, pointers))
                };
                prop_assert_eq!(looks(&bank)?, looks(&all)?);
                all.put_tracked(way(i), memory());
                bank.put_tracked(way(i), memory());
                bank.forget_behind(way(i), direction, 4);
                let n_ahead = bank.conditioning.iter().filter(|(f, _)| direction.distance(*f, way(i)).is_none());
                prop_assert!(bank.tracked.len() + bank.conditioning.len() <= 15 + 5 + n_ahead.count());
                let n_spatial = bank.tracked.values().filter(|memory| memory.spatial.is_some()).count();
                prop_assert!(n_spatial <= 6);
            }
        }
    }
}
