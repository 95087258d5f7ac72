//! Selection of frames that represent all suspicions about an object: one frame per stretch, and spaced frames of the
//! rest.

use std::collections::BTreeSet;

use super::{Concern, WORTH_A_LOOK, judge::Suspicion};
use crate::project::ObjectId;

/// Maximum distance between consecutive suspicious frames of one stretch.
const GAP: usize = 3;
/// Maximum number of suspicious frames in a stretch.
const LONGEST: usize = 100;
/// Distance in frames that entries of an object must exceed.
const APART: usize = 10;

/// Selects the queue and the remaining concerns, each worst first, from suspicions in the order of their frames.
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

/// Splits suspicions into stretches of frames close to each other.
fn stretches<'a, 'b>(worth: &'b [&'a Suspicion]) -> impl Iterator<Item = &'b [&'a Suspicion]> {
    let close = worth.chunk_by(|a, b| b.frame - a.frame <= GAP);
    close.flat_map(|stretch| stretch.chunks(LONGEST))
}

/// Returns, of the frames nearly as suspicious as the worst one, the frame nearest to a given one: its correction also
/// corrects the errors that follow from it.
fn standing_for<'a>(stretch: &[&'a Suspicion]) -> &'a Suspicion {
    let worst = stretch.iter().map(|suspicion| suspicion.severity).fold(0.0, f32::max);
    let bad = stretch.iter().filter(|suspicion| suspicion.severity >= 0.8 * worst);
    bad.min_by_key(|suspicion| suspicion.n_away).expect("the worst is one")
}

/// Sorts suspicions worst first and drops those near a worse one or near a taken frame.
fn apart<'a>(mut suspicions: Vec<&'a Suspicion>, taken: &mut BTreeSet<usize>) -> Vec<&'a Suspicion> {
    suspicions.sort_by(|a, b| b.severity.total_cmp(&a.severity).then(a.n_away.cmp(&b.n_away)));
    suspicions.retain(|Suspicion { frame, .. }| {
        let is_free = taken.range(frame.saturating_sub(APART)..=frame + APART).next().is_none();
        is_free && taken.insert(*frame)
    });
    suspicions
}
