//! Suspicions about one track: compares each frame with surrounding ones and with the nearest given one.
//!
//! Lengths and areas are relative to the object's own, so that small and large, slow and fast objects are judged alike.

use super::{
    Reason,
    look::{Ahead, Look},
    typical::{distance, local_medians, median, surprises},
};
use crate::{geometry::Size, mask::Shape};

/// A frame with the most severe reason to suspect it.
#[derive(Debug)]
pub(super) struct Suspicion {
    pub(super) frame: usize,
    pub(super) reason: Reason,
    pub(super) severity: f32,
    /// Number of frames to the nearest given one.
    pub(super) n_away: usize,
}

/// Distance in frames from a given frame below which severity is reduced, because tracking has had little time to fail.
const SETTLED: f32 = 4.0;

/// Number of looks to either side among which appearances and disappearances are counted.
const FLICKER: usize = 8;

/// Surprise at each step from the previous look; zero unless the frames are adjacent and the object is visible on both.
struct Steps {
    areas: Vec<f32>,
    places: Vec<f32>,
    /// Surprise at changes of elongation and scatter.
    forms: Vec<f32>,
}

/// One track and its typical values.
pub(super) struct Judge<'a> {
    looks: &'a [Look],
    ahead: &'a [Ahead],
    size: Size,
    given: Nearest,
    /// Nearest given looks with a nonempty mask.
    known: Nearest,
    steps: Steps,
    usual_areas: Vec<f32>,
    usual_parts: Vec<f32>,
    /// Median object score on frames where the object is visible.
    usual_score: f32,
    /// For each look, the number of appearances and disappearances up to it.
    n_turns: Vec<usize>,
}

impl<'a> Judge<'a> {
    /// Creates a judge of looks in the order of their frames, in images of `size`.
    pub(super) fn new(looks: &'a [Look], ahead: &'a [Ahead], size: Size) -> Self {
        let of_shapes = |value: &dyn Fn(&Shape) -> f32| {
            let values: Vec<f32> =
                looks.iter().map(|look| look.shape.as_ref().map_or(f32::NAN, value)).collect();
            local_medians(&values)
        };
        let scores = looks.iter().filter(|look| look.shape.is_some()).filter_map(object_score);
        let turns = std::iter::once(false).chain(looks.windows(2).map(|pair| is_turn(&pair[0], &pair[1])));
        let n_turns = turns.scan(0, |n, turn| {
            *n += usize::from(turn);
            Some(*n)
        });
        Self {
            looks,
            ahead,
            size,
            given: Nearest::new(looks, |look| look.segment.is_given()),
            known: Nearest::new(looks, |look| look.segment.is_given() && look.shape.is_some()),
            steps: Steps::new(looks),
            usual_areas: of_shapes(&|shape| shape.area as f32),
            usual_parts: of_shapes(&|shape| shape.n_parts as f32),
            usual_score: median(scores).unwrap_or(0.0),
            n_turns: n_turns.collect(),
        }
    }

    /// Returns a suspicion for each frame with a mask that is not given and for each gap, in the order of frames.
    pub(super) fn suspicions(&self) -> Vec<Suspicion> {
        let is_unsettled =
            |frame: usize| self.ahead.iter().any(|ahead| ahead.anew && ahead.frames.contains(&frame));
        let mut suspicions = Vec::new();
        for (i, look) in self.looks.iter().enumerate() {
            suspicions.extend(self.hole_before(i));
            let is_open = !look.segment.is_given() && look.segment.mask.is_some();
            if is_open && !is_unsettled(look.frame) {
                suspicions.push(self.suspicion(i));
            }
        }
        suspicions
    }

    fn suspicion(&self, i: usize) -> Suspicion {
        let look = &self.looks[i];
        let n_away = self.given.of(self.looks, i).map(|given| given.frame.abs_diff(look.frame));
        let known = self.known.of(self.looks, i);
        let mut found: Vec<(f32, Reason)> = Vec::new();
        if let Some(shape) = &look.shape {
            found.extend(self.of_model(look, known));
            found.extend(self.of_mask(i, shape, known));
            found.extend(of_passes(look, n_away));
        }
        for step in [i, i + 1] {
            if (1..self.looks.len()).contains(&step) && self.suspect(step) == i {
                found.extend(self.of_step(step));
            }
        }
        let settled = n_away.map_or(1.0, |n| (n as f32 / SETTLED).min(1.0));
        found.iter_mut().for_each(|(severity, _)| *severity *= settled);
        let distance = n_away.map_or(1.0, |n| n as f32 / (n as f32 + 30.0));
        found.push((0.1 * (1.0 - look.iou()) + 0.1 * distance, Reason::Unchecked { n_away }));
        let worst = found.into_iter().max_by(|a, b| a.0.total_cmp(&b.0));
        let (severity, reason) = worst.expect("at least unchecked");
        Suspicion { frame: look.frame, reason, severity, n_away: n_away.unwrap_or(usize::MAX) }
    }

    /// Returns reasons from the model's own scores.
    fn of_model(&self, look: &Look, known: Option<&Look>) -> impl Iterator<Item = (f32, Reason)> {
        // If even a mask that a person accepted has a low predicted IoU, a low IoU means little.
        let usual = known.map_or(1.0, Look::iou).min(0.9);
        let iou = look.iou();
        let low = (ramp(usual - iou, 0.0, 0.6), Reason::LowIou { iou });
        let enough = (self.usual_score / 2.0).min(1.5);
        let weak = object_score(look).filter(|_| enough > 0.0).map(|object_score| {
            (ramp(enough - object_score, 0.0, enough), Reason::WeaklySeen { object_score })
        });
        std::iter::once(low).chain(weak)
    }

    /// Returns reasons from the mask on this frame.
    fn of_mask(&self, i: usize, shape: &Shape, known: Option<&Look>) -> impl Iterator<Item = (f32, Reason)> {
        let share_of = |shape: &Shape| shape.area as f32 / self.size.area() as f32;
        let share = share_of(shape);
        let known_share = known.and_then(|look| look.shape.as_ref()).map_or(0.0, share_of);
        let fills =
            (share > 1.5 * known_share).then(|| (ramp(share, 0.45, 0.95), Reason::FillsFrame { share }));
        let known_parts = known.and_then(|look| look.shape.as_ref()).map_or(1, |shape| shape.n_parts);
        let n_parts = shape.n_parts;
        let split = (n_parts > known_parts && n_parts as f32 > self.usual_parts[i]).then(|| {
            let apart = 1.0 - shape.largest_part as f32 / shape.area as f32;
            (0.2 + 0.8 * apart, Reason::Split { n_parts })
        });
        let known_overlap = known.and_then(|look| look.overlap).map_or(0.0, |overlap| overlap.share);
        let overlap = self.looks[i].overlap.filter(|overlap| overlap.is_to_blame).map(|overlap| {
            let (with, share) = (overlap.with, overlap.share);
            (ramp(share - known_overlap, 0.05, 0.8), Reason::Overlap { with, share })
        });
        [fills, split, overlap].into_iter().flatten()
    }

    /// Returns reasons from the step between looks `step - 1` and `step`, for the look that [`Self::suspect`] returns.
    fn of_step(&self, step: usize) -> impl Iterator<Item = (f32, Reason)> {
        let here = self.suspect(step);
        let there = 2 * step - 1 - here;
        let (look, other) = (&self.looks[here], &self.looks[there]);
        let jumps = look.shape.as_ref().zip(other.shape.as_ref()).map(|(shape, other)| {
            let ratio = shape.area as f32 / other.area as f32;
            let lengths = self.steps.places[step];
            let change = distance(form(shape), form(other)).exp();
            // One pixel more or less along the edge is not a jump, and the last visible part of a disappearing object
            // is small anyway.
            let edge = 2.0 / (shape.area.min(other.area) as f32).sqrt();
            let left = (shape.area.max(other.area) as f32 / self.usual_areas[step].max(1.0)).min(1.0);
            let [area, form] = [self.steps.areas[step] - edge, self.steps.forms[step] - edge];
            [
                (left * ramp(area, 0.1, 0.9), Reason::AreaJump { ratio }),
                (left * ramp(lengths - edge, 0.05, 0.85), Reason::PositionJump { lengths }),
                (left * 0.8 * ramp(form, 0.15, 1.0), Reason::ShapeChange { ratio: change }),
            ]
        });
        let turns = is_turn(look, other).then(|| {
            let last = (here + FLICKER).min(self.looks.len() - 1);
            let n_turns = self.n_turns[last] - self.n_turns[here.saturating_sub(FLICKER)];
            [
                if look.shape.is_some() { self.returned(here, there) } else { self.lost(there) },
                (0.2 * n_turns as f32 - 0.2, Reason::Flickers { n_turns }),
            ]
        });
        jumps.into_iter().flatten().chain(turns.into_iter().flatten().map(|(s, r)| (s.min(0.8), r)))
    }

    /// Returns the reason for a disappearance. It is less severe if the object was small or at the edge before, as
    /// when it moves behind something or out of the image.
    fn lost(&self, last_seen: usize) -> (f32, Reason) {
        let shape = self.looks[last_seen].shape.as_ref();
        let left = shape.map_or(0.0, |shape| shape.area as f32 / self.usual_areas[last_seen].max(1.0));
        let at_edge = shape.is_some_and(|shape| is_at_edge(shape, self.size));
        (0.6 * left.min(1.0) * if at_edge { 0.3 } else { 1.0 }, Reason::Lost)
    }

    fn returned(&self, here: usize, last_lost: usize) -> (f32, Reason) {
        let is_lost = |look: &&Look| look.shape.is_none() && look.segment.mask.is_some();
        let n_frames = if last_lost < here {
            self.looks[..=last_lost].iter().rev().take_while(is_lost).count()
        } else {
            self.looks[last_lost..].iter().take_while(is_lost).count()
        };
        let at_edge = self.looks[here].shape.as_ref().is_some_and(|shape| is_at_edge(shape, self.size));
        (if at_edge { 0.25 } else { 0.5 }, Reason::LostAndReturned { n_frames })
    }

    /// Returns a suspicion for the gap before look `i`, if there is one that no run will fill.
    fn hole_before(&self, i: usize) -> Option<Suspicion> {
        let (before, after) = (self.looks.get(i.checked_sub(1)?)?, &self.looks[i]);
        let n_frames = after.frame - before.frame - 1;
        let is_coming =
            |ahead: &Ahead| *ahead.frames.start() < after.frame && *ahead.frames.end() > before.frame;
        let all_given = before.segment.is_given() && after.segment.is_given();
        if n_frames == 0 || all_given || self.ahead.iter().any(is_coming) {
            return None;
        }
        let frame = if self.suspect(i) == i { before.frame + 1 } else { after.frame - 1 };
        Some(Suspicion { frame, reason: Reason::Missing { n_frames }, severity: 0.4, n_away: 0 })
    }

    /// Returns which of looks `step - 1` and `step` is more likely wrong if they differ: the one farther from the
    /// nearest given frame, because errors grow with the distance.
    fn suspect(&self, step: usize) -> usize {
        let frame = |i: usize| self.looks[i].frame;
        let before = self.given.before[step - 1].map(|given| frame(step - 1) - frame(given));
        let after = self.given.after[step].map(|given| frame(given) - frame(step));
        match (before, after) {
            (Some(before), Some(after)) if before <= after => step,
            (_, Some(_)) => step - 1,
            _ => step,
        }
    }
}

/// Returns the reason from the IoU of two passes. The IoU is not finite if both masks are empty; then there is none.
fn of_passes(look: &Look, n_away: Option<usize>) -> Option<(f32, Reason)> {
    let agreement = look.segment.tracked?.agreement.filter(|agreement| agreement.is_finite())?;
    // Next to a correction, passes disagree because the mask before the correction was wrong.
    let n_away = n_away.map_or(f32::MAX, |n| n as f32);
    let weight = 0.6 * n_away / (n_away + 10.0);
    Some((weight * ramp(1.0 - agreement, 0.1, 0.6), Reason::PassesDisagree { agreement }))
}

impl Steps {
    fn new(looks: &[Look]) -> Self {
        let steps = |step: &dyn Fn(&Shape, &Shape) -> [f32; 2]| -> Vec<[f32; 2]> {
            let between = looks.windows(2).map(|pair| {
                let both = pair[0].shape.as_ref().zip(pair[1].shape.as_ref());
                let both = both.filter(|_| pair[0].frame + 1 == pair[1].frame);
                both.map_or([f32::NAN; 2], |(from, to)| step(from, to))
            });
            std::iter::once([f32::NAN; 2]).chain(between).take(looks.len()).collect()
        };
        let moves = steps(&|from, to| {
            let length = length(from).min(length(to));
            [(to.center.x - from.center.x) / length, (to.center.y - from.center.y) / length]
        });
        let growth = steps(&|from, to| [(to.area as f32 / from.area as f32).ln(), 0.0]);
        let forms = steps(&|from, to| {
            let (from, to) = (form(from), form(to));
            [to[0] - from[0], to[1] - from[1]]
        });
        let mut places = surprises(&moves);
        // An object that starts to move keeps moving; one that jumps does not.
        for (i, pair) in moves.windows(2).enumerate() {
            let turn = distance(pair[0], pair[1]);
            for place in &mut places[i..i + 2] {
                *place = place.min(turn);
            }
        }
        Self { areas: surprises(&growth), places, forms: surprises(&forms) }
    }
}

/// For each look, the nearest look of a subset: at or before it, and at or after it.
struct Nearest {
    before: Vec<Option<usize>>,
    after: Vec<Option<usize>>,
}

impl Nearest {
    fn new(looks: &[Look], is_meant: impl Fn(&Look) -> bool) -> Self {
        let follow = |last: &mut Option<usize>, i: usize| {
            *last = Some(i).filter(|&i| is_meant(&looks[i])).or(*last);
            Some(*last)
        };
        let before = (0..looks.len()).scan(None, follow).collect();
        let mut after: Vec<Option<usize>> = (0..looks.len()).rev().scan(None, follow).collect();
        after.reverse();
        Self { before, after }
    }

    fn of<'a>(&self, looks: &'a [Look], i: usize) -> Option<&'a Look> {
        let both = [self.before[i], self.after[i]].into_iter().flatten().map(|near| &looks[near]);
        both.min_by_key(|near| near.frame.abs_diff(looks[i].frame))
    }
}

fn object_score(look: &Look) -> Option<f32> {
    look.segment.tracked.map(|tracked| tracked.object_score).filter(|score| score.is_finite())
}

/// Returns true if the object appears or disappears between two looks.
fn is_turn(a: &Look, b: &Look) -> bool {
    a.segment.mask.is_some() && b.segment.mask.is_some() && a.shape.is_some() != b.shape.is_some()
}

/// Returns the length of an object, roughly: the diameter of a disc, the length of a bar.
fn length(shape: &Shape) -> f32 {
    3.5 * shape.axes[0]
}

/// Returns the logarithms of an object's elongation and scatter. Both are 0 for a disc and do not depend on size or
/// angle.
fn form(shape: &Shape) -> [f32; 2] {
    let [long, short] = shape.axes;
    let spread = 4.0 * std::f32::consts::PI * long * short / shape.area as f32;
    [(long / short).ln(), spread.ln()]
}

fn is_at_edge(shape: &Shape, size: Size) -> bool {
    let [x, y, width, height] = shape.bbox.map(|v| v as usize);
    x == 0 || y == 0 || x + width == size.width || y + height == size.height
}

/// Maps a value to 0 up to `from`, to 1 from `to` onward, and linearly between them.
fn ramp(value: f32, from: f32, to: f32) -> f32 {
    ((value - from) / (to - from)).clamp(0.0, 1.0)
}
