//! The memories of one run (the tracking of one object), and the choice of nearby masks for the next frame.

use std::{collections::BTreeMap, sync::Arc};

use super::track::REACH;
use crate::{
    frame::Direction,
    mask::Rle,
    sam2::{Memory, MemoryBank, Palette},
};

/// Weight of the mask on the previous frame, as a logit. It is so large that even a confident model does not overrule
/// that mask alone.
const CARRIED: f32 = 12.0;
/// Number of frames from a given one over which that weight decreases by a factor of e.
const FADES: f32 = 30.0;
/// Maximum distance of a given frame ahead, and the number of frames over which its weight decreases by a factor of e.
/// One frame ahead it has the weight [`CARRIED`].
const AHEAD: usize = 3;
const FADES_AHEAD: f32 = 2.0;

/// The memories of one run.
#[derive(Default)]
pub(super) struct Run {
    pub bank: MemoryBank,
    given: BTreeMap<usize, Given>,
    /// Tracked masks that are still needed, by frame.
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

    /// Stores the result of tracking the next frame, and drops memories that are no longer needed.
    pub(super) fn put_found(&mut self, frame: usize, direction: Direction, mask: Arc<Rle>, memory: Memory) {
        self.bank.put_tracked(frame, memory);
        self.bank.forget_behind(frame, direction, REACH.given);
        self.given.retain(|frame, _| self.bank.is_given(*frame));
        self.found.clear();
        self.found.insert(frame, mask);
    }

    /// Returns the object's colors on the nearest given frames.
    pub(super) fn palettes(&self, frame: usize) -> Vec<Arc<Palette>> {
        const NEAREST: usize = 2;
        let palettes = self.given.iter().filter_map(|(at, given)| Some((*at, given.palette.as_ref()?)));
        let mut nearest: Vec<_> = palettes.collect();
        nearest.sort_by_key(|(given, _)| given.abs_diff(frame));
        nearest.into_iter().take(NEAREST).map(|(_, palette)| palette.clone()).collect()
    }

    /// Returns the nearby masks that help to predict the mask on `frame`, with their frames and weights: a given mask
    /// slightly ahead, and the mask of the previous frame, whose weight decreases with the distance from the last given
    /// frame.
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

/// Returns 1 for `n` = 1, decreasing by a factor of e every `length` frames.
fn fading(n: usize, length: f32) -> f32 {
    (-(n as f32 - 1.0) / length).exp()
}
