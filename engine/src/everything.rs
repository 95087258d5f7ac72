//! Proposes masks of all objects in an image, like the automatic mask generator of
//! [Segment Anything](https://github.com/facebookresearch/segment-anything).
//!
//! A grid of clicks gives rough masks. Of overlapping masks the one with the highest predicted IoU is kept, and its
//! click is answered once more with full refinement. Points on masks found earlier are not skipped, because a small
//! object often lies on a large one.

use std::{collections::VecDeque, sync::Arc};

use crate::{
    geometry::{Point, Size},
    mask::Rle,
    nn::Cancel,
    picture::Picture,
    project::Question,
    segmenter::{Answer, Candidate, SegmentError, Segmenter, click},
};

/// Points along each edge of the image. Twice as many took four times as long and found no more objects.
const GRID: usize = 16;
const N_POINTS: usize = GRID * GRID;
/// Share of the progress that the grid accounts for.
const POINTS_SHARE: f32 = 0.7;
/// IoU from which two masks count as the same object.
const SAME: f64 = 0.5;
/// IoU from which a proposal counts as the same object as an existing mask. It is higher because a duplicate proposal
/// is better than a missing one.
const KNOWN: f64 = 0.7;
/// Minimum and maximum share of the image's pixels for an object.
const LEAST_SHARE: f64 = 0.0015;
const MOST_SHARE: f64 = 0.9;

/// A search for all objects in one image, in small steps.
pub struct Everything {
    known: Vec<Arc<Rle>>,
    /// Number of grid points asked so far.
    n_asked: usize,
    /// Rough masks of these points.
    rough: Vec<Rough>,
    /// Questions that remain to be answered with full refinement, by descending IoU; filled after the last grid point.
    chosen: VecDeque<Question>,
    /// Refined answers.
    answers: Vec<Answer>,
}

struct Rough {
    question: Question,
    mask: Rle,
    iou: f32,
}

impl Everything {
    /// Creates a search for all objects except those with the masks `known`.
    pub fn new(known: Vec<Arc<Rle>>) -> Self {
        Self { known, n_asked: 0, rough: Vec::new(), chosen: VecDeque::new(), answers: Vec::new() }
    }

    /// Performs one step and returns the progress, 1 at the end. A step that fails or is canceled can be repeated.
    ///
    /// # Errors
    /// If canceled, or the model cannot run.
    pub fn advance(
        &mut self,
        segmenter: &mut dyn Segmenter,
        picture: &Arc<Picture>,
        cancel: &Cancel,
    ) -> Result<f32, SegmentError> {
        if self.n_asked < N_POINTS {
            let at = point(self.n_asked, picture.size());
            for Candidate { choice, mask, iou } in segmenter.candidates(picture, at, cancel)? {
                if is_thing(&mask) {
                    self.rough.push(Rough { question: click(at, choice), mask, iou });
                }
            }
            self.n_asked += 1;
            if self.n_asked == N_POINTS {
                self.choose();
            }
        } else if let Some(question) = self.chosen.front() {
            self.answers.push(segmenter.answer(picture, question, cancel)?);
            self.chosen.pop_front();
        }
        Ok(self.done())
    }

    fn done(&self) -> f32 {
        match (self.answers.len(), self.chosen.len()) {
            _ if self.n_asked < N_POINTS => POINTS_SHARE * self.n_asked as f32 / N_POINTS as f32,
            (_, 0) => 1.0,
            (n_done, n_left) => {
                POINTS_SHARE + (1.0 - POINTS_SHARE) * n_done as f32 / (n_done + n_left) as f32
            }
        }
    }

    /// Chooses the rough masks to refine: of those that overlap, the one with the highest predicted IoU.
    fn choose(&mut self) {
        let mut rough = std::mem::take(&mut self.rough);
        rough.sort_by(|a, b| b.iou.total_cmp(&a.iou));
        let mut kept: Vec<Rough> = Vec::new();
        for one in rough {
            if kept.iter().all(|other| other.mask.iou(&one.mask) < SAME) {
                kept.push(one);
            }
        }
        self.chosen = kept.into_iter().map(|one| one.question).collect();
    }

    /// Returns the masks by descending predicted IoU, without duplicates and without known masks.
    pub fn found(self) -> Vec<Answer> {
        let mut answers = self.answers;
        answers.retain(|answer| is_thing(&answer.mask));
        answers.sort_by(|a, b| b.iou.total_cmp(&a.iou));
        let mut found: Vec<Answer> = Vec::new();
        for answer in answers {
            let overlaps = |other: &Rle, by: f64| {
                // A mask of another size belongs to another image.
                other.size() == answer.mask.size() && other.iou(&answer.mask) >= by
            };
            let is_known = self.known.iter().any(|known| overlaps(known, KNOWN));
            if !is_known && !found.iter().any(|other| overlaps(&other.mask, SAME)) {
                found.push(answer);
            }
        }
        found
    }
}

/// Returns a point of the grid, in pixels of an image of `size`.
fn point(i: usize, size: Size) -> Point {
    let at = |i: usize, n: usize| (i as f32 + 0.5) / GRID as f32 * n as f32;
    Point { x: at(i % GRID, size.width), y: at(i / GRID, size.height) }
}

fn is_thing(mask: &Rle) -> bool {
    (LEAST_SHARE..=MOST_SHARE).contains(&(mask.area() as f64 / mask.size().area() as f64))
}
