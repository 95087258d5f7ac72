//! Someone who corrects one object's masks until all are good, by clicks on the largest error.

use std::{
    collections::BTreeSet,
    sync::Arc,
    time::{Duration, Instant},
};

use engine::{
    frame::{Direction, PictureKind},
    geometry::Point,
    mask::Rle,
    nn::Cancel,
    picture::Picture,
    project::{
        CategoryId, Extent, FrameId, Medium, MediumId, MediumKind, Object, ObjectId, Project, Segment,
    },
    prompt::{Label, PointPrompt},
    review::Reviewer,
    segmenter::Segmenter,
    tracking::{Tracked, Tracking},
};

use super::clips::{Clip, Reel};

/// A mask is good from this IoU on.
pub(crate) const GOOD: f64 = 0.85;
/// Who corrects a mask makes it so good: not barely good, for what follows from it is no better.
const CORRECTED: f64 = 0.9;
/// Clicks on one frame, after which the mask is taken from what is known to be right, as a brush would.
const MOST_CLICKS: usize = 8;
const VIDEO: MediumId = MediumId(1);
const OBJECT: ObjectId = ObjectId(1);

/// How the annotator goes about it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Way {
    /// What "fix this next" says, until all is good.
    FixNext,
    /// From the first bad frame to the last, with corrections followed as Segue follows them.
    InOrder,
    /// The same where a correction changes its own frame alone.
    FrameByFrame,
    /// In order, and all that was not said by the annotator is tracked again after each click.
    AllAgain,
}

/// What it took.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Effort {
    pub n_clicks: usize,
    /// Of these on the first frame, before anything was tracked.
    pub n_first: usize,
    /// Frames that were drawn by hand in the end.
    pub n_drawn: usize,
    /// Frames that were gone to after the first; whoever goes in order has to watch all others, too.
    pub n_looked_at: usize,
    /// Frames that the model tracked.
    pub n_tracked: usize,
    pub computing: Duration,
}

impl Effort {
    pub(crate) fn add(&mut self, other: Self) {
        self.n_clicks += other.n_clicks;
        self.n_first += other.n_first;
        self.n_drawn += other.n_drawn;
        self.n_looked_at += other.n_looked_at;
        self.n_tracked += other.n_tracked;
        self.computing += other.computing;
    }
}

struct Desk<'a> {
    clip: &'a Clip,
    project: Project,
    tracking: Tracking,
    n_taken: u64,
    segmenter: &'a mut dyn Segmenter,
    reviewer: Reviewer,
    step: i64,
    effort: Effort,
}

/// Corrects a clip until every frame is good.
pub(crate) fn correct(clip: &Clip, segmenter: &mut dyn Segmenter, way: Way) -> Effort {
    let mut project = Project::default();
    let medium = Medium {
        path: "clip".to_owned(),
        kind: MediumKind::Video,
        size: clip.size(),
        n_frames: clip.frames.len(),
        fps: None,
        content: None,
        done: false,
    };
    project.media.insert(VIDEO, Arc::new(medium));
    project.objects.insert((VIDEO, OBJECT), Arc::new(Object::new(CategoryId(1))));
    let mut desk = Desk {
        clip,
        project,
        tracking: Tracking::default(),
        n_taken: 0,
        segmenter,
        reviewer: Reviewer::default(),
        step: 0,
        effort: Effort::default(),
    };
    let first = clip.masks.iter().position(|mask| mask.area() > 0).unwrap();
    desk.make_good(first, way);
    desk.propagate();
    desk.effort.n_first = desk.effort.n_clicks;
    let mut seen = BTreeSet::new();
    while let Some(frame) = desk.next(way, &mut seen) {
        desk.effort.n_looked_at += 1;
        if !desk.is_good(frame) {
            desk.make_good(frame, way);
        }
    }
    desk.effort
}

impl Desk<'_> {
    fn iou(&self, frame: usize) -> f64 {
        let mask = self.project.segment(OBJECT, frame).and_then(|segment| segment.mask.clone());
        let truth = &self.clip.masks[frame];
        mask.map_or(0.0, |mask| if mask.area() + truth.area() == 0 { 1.0 } else { mask.iou(truth) })
    }

    fn is_good(&self, frame: usize) -> bool {
        self.iou(frame) >= GOOD
    }

    /// The frame to look at next; none once all are good.
    fn next(&mut self, way: Way, seen: &mut BTreeSet<usize>) -> Option<usize> {
        let first_bad = (0..self.clip.frames.len()).find(|frame| !self.is_good(*frame))?;
        if way != Way::FixNext {
            return Some(first_bad);
        }
        let review = self.reviewer.review(&self.project, VIDEO);
        let mut concerns = review.queue.iter().chain(&review.rest).map(|concern| concern.frame);
        let next = concerns.find(|frame| !seen.contains(frame)).unwrap_or(first_bad);
        seen.insert(next);
        Some(next)
    }

    /// Clicks on the largest error until the mask is good.
    fn make_good(&mut self, frame: usize, way: Way) {
        for _ in 0..MOST_CLICKS {
            if self.iou(frame) >= CORRECTED {
                return;
            }
            let truth = self.clip.masks[frame].clone();
            let Some(click) =
                largest_error(self.project.segment(OBJECT, frame).and_then(|s| s.mask.as_deref()), &truth)
            else {
                break;
            };
            // Where nothing is, one key says so.
            self.effort.n_clicks += 1;
            if truth.area() == 0 {
                break;
            }
            self.project.segment_mut(OBJECT, frame).ask(|question| question.prompt.points.push(click));
            self.answer(frame);
            self.follow(frame, way);
        }
        if !self.is_good(frame) {
            let by_hand = Segment::by_hand(self.clip.masks[frame].clone());
            self.project.segments.insert((OBJECT, frame), Arc::new(by_hand));
            self.effort.n_drawn += usize::from(self.clip.masks[frame].area() > 0);
            self.follow(frame, way);
        }
    }

    fn answer(&mut self, frame: usize) {
        let start = Instant::now();
        let at = FrameId { medium: VIDEO, frame };
        let picture = Arc::new(Picture::new(at, PictureKind::Frame, self.clip.frames[frame].clone()));
        let question = self.project.segment(OBJECT, frame).unwrap().question.clone();
        let answer = self.segmenter.answer(&picture, &question, &Cancel::default()).unwrap();
        let segment = self.project.segment_mut(OBJECT, frame);
        (segment.mask, segment.iou, segment.is_answered) = (Some(Arc::new(answer.mask)), answer.iou, true);
        self.effort.computing += start.elapsed();
    }

    /// What follows from a correction.
    fn follow(&mut self, frame: usize, way: Way) {
        if way == Way::FrameByFrame {
            return;
        }
        if way == Way::AllAgain {
            let tracked: Vec<usize> = self
                .project
                .track(OBJECT)
                .filter(|(_, segment)| !segment.is_given())
                .map(|(frame, _)| frame)
                .collect();
            for frame in tracked {
                self.project.remove_within(OBJECT, frame..=frame);
            }
            self.propagate();
            return;
        }
        self.step += 1;
        self.project.retrack(self.step, (VIDEO, OBJECT), frame);
        self.track();
    }

    fn propagate(&mut self) {
        self.step += 1;
        for direction in [Direction::Forward, Direction::Backward] {
            self.project.propagate(self.step, (VIDEO, OBJECT), 0, direction, &Extent::End);
        }
        self.track();
    }

    fn track(&mut self) {
        let start = Instant::now();
        self.tracking.tell(&self.project, self.n_taken, self.segmenter);
        while !self.tracking.is_idle() {
            let reports =
                self.tracking.turn(self.segmenter, &mut Reel(self.clip), &Cancel::default()).unwrap();
            for report in reports {
                assert!(!matches!(report, Tracked::Failed(..)), "{report:?}");
                self.effort.n_tracked += usize::from(matches!(report, Tracked::Found { .. }));
                self.n_taken += 1;
                report.take_in(&mut self.project);
            }
        }
        self.effort.computing += start.elapsed();
    }
}

/// A click in the middle of the largest part that is missing or too much.
fn largest_error(mask: Option<&Rle>, truth: &Rle) -> Option<PointPrompt> {
    let empty = Rle::empty(truth.size());
    let mask = mask.unwrap_or(&empty);
    let parts = |error: Rle, label| error.parts().into_iter().map(move |part| (part, label));
    let missing = parts(truth.subtract(mask), Label::Positive);
    let too_much = parts(mask.subtract(truth), Label::Negative);
    let (part, label) = missing.chain(too_much).max_by_key(|(part, _)| part.area())?;
    Some(PointPrompt { at: middle(&part), label })
}

/// A pixel as far from the edge as any.
fn middle(part: &Rle) -> Point {
    let mut core = part.clone();
    while let Some(smaller) = Some(core.shrunk(1)).filter(|smaller| smaller.area() > 0) {
        core = smaller;
    }
    let [x, y, width, height] = core.bbox();
    let (cx, cy) = (x + width / 2, y + height / 2);
    let near = |(px, py): &(u32, u32)| px.abs_diff(cx) + py.abs_diff(cy);
    let pixels = (x..x + width).flat_map(|px| (y..y + height).map(move |py| (px, py)));
    let inside = pixels.filter(|(px, py)| core.contains(*px as usize, *py as usize));
    let (px, py) = inside.min_by_key(near).unwrap();
    Point { x: px as f32 + 0.5, y: py as f32 + 0.5 }
}
