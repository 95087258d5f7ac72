//! Proposes masks of all that can be seen in a picture, as SAM's automatic mask generator does.
//!
//! A grid of clicks is asked for rough masks; of those that mean the same the surest is kept, and asked for once more
//! with all care. Points on things already found are asked too: a small thing often lies on a large one.

use std::{collections::VecDeque, sync::Arc};

use crate::{
    geometry::{Point, Size},
    mask::Rle,
    nn::Cancel,
    picture::Picture,
    project::Question,
    segmenter::{Answer, Candidate, SegmentError, Segmenter, click},
};

/// Points along each edge of the picture. Twice as many took four times as long and found no more.
const GRID: usize = 16;
const N_POINTS: usize = GRID * GRID;
/// How much of the work the points are.
const POINTS_SHARE: f32 = 0.7;
/// Masks that overlap by this IoU mean the same.
const SAME: f64 = 0.5;
/// The same for a mask that a person has: better one too many than one too few beside it.
const KNOWN: f64 = 0.7;
/// A thing has at least this share of the picture's pixels, and at most that.
const LEAST_SHARE: f64 = 0.0015;
const MOST_SHARE: f64 = 0.9;

/// Looks for all things in one picture, a piece at a time.
pub struct Everything {
    known: Vec<Arc<Rle>>,
    /// How many points of the grid were asked about.
    n_asked: usize,
    /// The rough masks of the points so far.
    rough: Vec<Rough>,
    /// What is left to be asked for with care, the surest first, once all points were asked about.
    chosen: VecDeque<Question>,
    /// Answers with care.
    answers: Vec<Answer>,
}

struct Rough {
    question: Question,
    mask: Rle,
    iou: f32,
}

impl Everything {
    /// Everything but what has the masks `known`.
    pub fn new(known: Vec<Arc<Rle>>) -> Self {
        Self { known, n_asked: 0, rough: Vec::new(), chosen: VecDeque::new(), answers: Vec::new() }
    }

    /// One small piece more; the share that is done, 1 at the end. What fails or is canceled can be tried again.
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

    /// Of the rough masks that mean the same takes the surest.
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

    /// The masks, the surest first; of those that mean the same only the surest, and none that is known.
    pub fn found(self) -> Vec<Answer> {
        let mut answers = self.answers;
        answers.retain(|answer| is_thing(&answer.mask));
        answers.sort_by(|a, b| b.iou.total_cmp(&a.iou));
        let mut found: Vec<Answer> = Vec::new();
        for answer in answers {
            let overlaps = |other: &Rle, by: f64| {
                // A mask of another size is of another picture.
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

/// A point of the grid, in pixels of a picture of `size`.
fn point(i: usize, size: Size) -> Point {
    let at = |i: usize, n: usize| (i as f32 + 0.5) / GRID as f32 * n as f32;
    Point { x: at(i % GRID, size.width), y: at(i / GRID, size.height) }
}

fn is_thing(mask: &Rle) -> bool {
    (LEAST_SHARE..=MOST_SHARE).contains(&(mask.area() as f64 / mask.size().area() as f64))
}
