//! What the tracking of one object remembers, and which masks it tells the next one from.

use std::{collections::BTreeMap, sync::Arc};

use super::track::REACH;
use crate::{
    frame::Direction,
    mask::Rle,
    sam2::{Memory, MemoryBank, Palette},
};

/// The mask of the frame before counts as this logit: where it says the opposite, not even a sure model decides alone.
const CARRIED: f32 = 12.0;
/// It counts e times less this many frames away from one that was given.
const FADES: f32 = 30.0;
/// A given mask ahead counts as much up to so many frames away, and e times less this many frames away.
const AHEAD: usize = 3;
const FADES_AHEAD: f32 = 2.0;

/// What the tracking of one object looks at.
#[derive(Default)]
pub(super) struct Run {
    pub bank: MemoryBank,
    given: BTreeMap<usize, Given>,
    /// Masks on frames that were not given, as far as they are still of use.
    found: BTreeMap<usize, Arc<Rle>>,
}

struct Given {
    mask: Arc<Rle>,
    palette: Option<Arc<Palette>>,
}

impl Run {
    pub(super) fn put(
        &mut self,
        frame: usize,
        is_given: bool,
        mask: &Arc<Rle>,
        (memory, palette): (Memory, Option<Arc<Palette>>),
    ) {
        let mask = mask.clone();
        if is_given {
            self.bank.put_conditioning(frame, memory);
            self.given.insert(frame, Given { mask, palette });
        } else {
            self.bank.put_tracked(frame, memory);
            self.found.insert(frame, mask);
        }
    }

    /// Puts in what was found on the next frame.
    pub(super) fn put_found(&mut self, frame: usize, direction: Direction, mask: Arc<Rle>, memory: Memory) {
        self.bank.put_tracked(frame, memory);
        self.bank.forget_behind(frame, direction, REACH.given);
        self.given.retain(|frame, _| self.bank.is_given(*frame));
        self.found.clear();
        self.found.insert(frame, mask);
    }

    /// The object's colors on the given frames that are nearest.
    pub(super) fn palettes(&self, frame: usize) -> Vec<Arc<Palette>> {
        const NEAREST: usize = 2;
        let palettes = self.given.iter().filter_map(|(at, given)| Some((*at, given.palette.as_ref()?)));
        let mut nearest: Vec<_> = palettes.collect();
        nearest.sort_by_key(|(given, _)| given.abs_diff(frame));
        nearest.into_iter().take(NEAREST).map(|(_, palette)| palette.clone()).collect()
    }

    /// The masks that a frame's can be told from, with their frames and how much each counts: one that a person gave a little
    /// ahead on the way, and that of the frame before, less the longer ago a person looked.
    pub(super) fn nearby(&self, frame: usize, direction: Direction) -> Vec<(usize, Arc<Rle>, f32)> {
        let mut nearby = Vec::new();
        let mut left = CARRIED;
        let ahead = |n: usize| Some((n, direction.ahead(frame, n, usize::MAX)?));
        let given = |(n, ahead)| Some((n, ahead, self.given.get(&ahead)?));
        if let Some((n, ahead, given)) = (1..=AHEAD).filter_map(ahead).find_map(given) {
            let weight = CARRIED * fading(n, FADES_AHEAD);
            nearby.push((ahead, given.mask.clone(), weight));
            left -= weight;
        }
        let distances = self.given.keys().filter_map(|given| direction.distance(*given, frame));
        if let Some(given) = distances.min()
            && let Some(before) = direction.before(frame, 1, usize::MAX)
            && let Some(mask) = self.given.get(&before).map(|given| &given.mask).or(self.found.get(&before))
        {
            nearby.push((before, mask.clone(), left * fading(given, FADES)));
        }
        nearby
    }
}

/// 1 for the next frame, and e times less each `length` frames.
fn fading(n: usize, length: f32) -> f32 {
    (-(n as f32 - 1.0) / length).exp()
}
