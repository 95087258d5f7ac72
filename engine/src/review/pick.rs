//! Which frames stand for all that is suspicious of an object: one of each stretch, and of what is left some way apart.

use std::collections::BTreeSet;

use super::{Concern, WORTH_A_LOOK, judge::Suspicion};
use crate::project::ObjectId;

/// Bad frames with fewer good ones between are one stretch.
const GAP: usize = 3;
/// A stretch is not longer than this.
const LONGEST: usize = 100;
/// Entries of an object are farther apart than this.
const APART: usize = 10;

/// What is worth a look and what is not, each worst first, of suspicions in the order of their frames.
pub(super) fn pick(object: ObjectId, suspicions: &[Suspicion]) -> (Vec<Concern>, Vec<Concern>) {
    let concern = |suspicion: &Suspicion| {
        let Suspicion { frame, reason, severity, .. } = *suspicion;
        Concern { object, frame, reason, severity }
    };
    let (worth, other): (Vec<&Suspicion>, Vec<&Suspicion>) =
        suspicions.iter().partition(|suspicion| suspicion.severity >= WORTH_A_LOOK);
    let mut taken = BTreeSet::new();
    let queue = apart(stretches(&worth).map(standing_for).collect(), &mut taken);
    let rest = apart(other, &mut taken);
    (queue.into_iter().map(concern).collect(), rest.into_iter().map(concern).collect())
}

/// Frames that go bad together.
fn stretches<'a, 'b>(worth: &'b [&'a Suspicion]) -> impl Iterator<Item = &'b [&'a Suspicion]> {
    let close = worth.chunk_by(|a, b| b.frame - a.frame <= GAP);
    close.flat_map(|stretch| stretch.chunks(LONGEST))
}

/// The first frame on the way from a given one that is nearly as bad as the worst: where that is put right, what
/// follows from it is.
fn standing_for<'a>(stretch: &[&'a Suspicion]) -> &'a Suspicion {
    let worst = stretch.iter().map(|suspicion| suspicion.severity).fold(0.0, f32::max);
    let bad = stretch.iter().filter(|suspicion| suspicion.severity >= 0.8 * worst);
    bad.min_by_key(|suspicion| suspicion.n_away).expect("the worst is one")
}

/// The worst first, without what is near a worse one or one that is taken.
fn apart<'a>(mut suspicions: Vec<&'a Suspicion>, taken: &mut BTreeSet<usize>) -> Vec<&'a Suspicion> {
    suspicions.sort_by(|a, b| b.severity.total_cmp(&a.severity).then(a.n_away.cmp(&b.n_away)));
    suspicions.retain(|Suspicion { frame, .. }| {
        let is_free = taken.range(frame.saturating_sub(APART)..=frame + APART).next().is_none();
        is_free && taken.insert(*frame)
    });
    suspicions
}
