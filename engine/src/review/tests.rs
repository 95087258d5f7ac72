//! Tests on synthetic tracks with one error each.

use std::{f32::consts::TAU, io::Write as _, sync::Arc, time::Instant};

use proptest::prelude::*;

use super::*;
use crate::{
    frame::Direction,
    geometry::{Point, Rect, Size},
    mask::Rle,
    project::{CategoryId, Medium, MediumKind, Object, Run, RunId, Segment, Tracked},
};

const CLIP: MediumId = MediumId(1);
const A: ObjectId = ObjectId(1);
const B: ObjectId = ObjectId(2);
const SIZE: Size = Size::new(320, 240);

fn empty_project(n_frames: usize) -> Project {
    let mut project = Project::default();
    let path = "clip.mp4".to_owned();
    let kind = MediumKind::Video;
    let medium = Medium { path, kind, size: SIZE, n_frames, fps: None, content: None, done: false };
    project.media.insert(CLIP, Arc::new(medium));
    project
}

/// An ellipse in image pixels.
#[derive(Clone, Copy)]
struct Body {
    x: f32,
    y: f32,
    long: f32,
    short: f32,
    angle: f32,
}

impl Body {
    /// Returns the body of an object that swings back and forth, turns, slowly grows and jitters by up to a pixel.
    fn at(frame: usize, lane: f32) -> Self {
        let tremble = |n: usize| ((frame * 7919 + n * 104_729) % 101) as f32 / 50.0 - 1.0;
        let t = frame as f32;
        Self {
            x: 160.0 + 90.0 * (t / 20.0).sin() + tremble(1),
            y: lane + tremble(2),
            long: 24.0 + t * 0.03 + 0.5 * tremble(3),
            short: 15.0 + t * 0.02 + 0.5 * tremble(4),
            angle: t * 0.05,
        }
    }

    fn mask(self) -> Rle {
        let (sin, cos) = self.angle.sin_cos();
        let corner = |i: usize| {
            let (v, u) = (i as f32 / 60.0 * TAU).sin_cos();
            let (u, v) = (u * self.long, v * self.short);
            Point { x: self.x + u * cos - v * sin, y: self.y + u * sin + v * cos }
        };
        Rle::of_polygons(&[(0..60).map(corner).collect()], SIZE)
    }
}

fn tracked(body: Body, frame: usize) -> Segment {
    Segment::tracked(body.mask(), 0.88 + (frame * 31 % 9) as f32 / 100.0, 8.0 + (frame % 5) as f32)
}

/// Adds an object without errors on frames 0 to `n_frames - 1`, given on the first.
fn add(project: &mut Project, object: ObjectId, n_frames: usize, lane: f32) {
    project.objects.insert((CLIP, object), Arc::new(Object::new(CategoryId(1))));
    for frame in 0..n_frames {
        let body = Body::at(frame, lane);
        let segment = if frame == 0 { Segment::by_hand(body.mask()) } else { tracked(body, frame) };
        project.segments.insert((object, frame), Arc::new(segment));
    }
}

/// Returns a project with one object without errors.
fn clean() -> Project {
    let mut project = empty_project(200);
    add(&mut project, A, 200, 100.0);
    project
}

fn review(project: &Project) -> Review {
    Reviewer::default().review(project, CLIP)
}

/// Changes the body of object `A` on some frames.
fn deform(project: &mut Project, frames: impl IntoIterator<Item = usize>, change: impl Fn(&mut Body)) {
    for frame in frames {
        let mut body = Body::at(frame, 100.0);
        change(&mut body);
        project.segments.insert((A, frame), Arc::new(tracked(body, frame)));
    }
}

/// Checks that the queue has only one entry, with this frame and text, and is empty after the frame is confirmed.
#[track_caller]
fn check(mut project: Project, frame: usize, text: &str) {
    let found = review(&project).queue;
    let told: Vec<(usize, String)> = found.iter().map(|c| (c.frame, c.reason.to_string())).collect();
    assert_eq!(told, [(frame, text.to_owned())], "{found:?}");
    assert!((WORTH_A_LOOK..=1.0).contains(&found[0].severity));
    if project.confirm(A, frame..=frame) > 0 {
        assert_eq!(review(&project).queue, []);
    }
}

#[test]
fn clean_track_has_only_unchecked_frames() {
    let review = review(&clean());
    assert_eq!(review.queue, []);
    let mut frames: Vec<usize> = review.rest.iter().map(|concern| concern.frame).collect();
    frames.sort_unstable();
    assert!(frames.len() >= 10 && frames.windows(2).all(|pair| pair[1] - pair[0] > 10), "{frames:?}");
    assert!(review.rest.iter().all(|concern| concern.severity < WORTH_A_LOOK));
    assert!(review.rest.is_sorted_by(|a, b| a.severity >= b.severity));
    assert_eq!(review.progress, Progress { n_given: 1, n_segments: 200 });
    assert_eq!(review.progress.share(), 0.005);
    assert_eq!(review.of_objects, [(A, review.progress)].into());
}

#[test]
fn low_iou_is_reported_where_it_begins() {
    let mut project = clean();
    for frame in 80..110 {
        project.segment_mut(A, frame).iou = 0.5;
    }
    check(project, 80, "expected IoU only 0.50");
}

#[test]
fn low_iou_is_ignored_if_given_mask_has_low_iou() {
    let mut project = clean();
    for frame in 1..200 {
        project.segment_mut(A, frame).iou = 0.5;
    }
    assert!(!review(&project).queue.is_empty());
    project.segment_mut(A, 0).iou = 0.55;
    assert_eq!(review(&project).queue, []);
}

#[test]
fn low_object_score_is_reported_if_unusual() {
    let weak = |object_score| Some(Tracked { object_score, agreement: None });
    let mut project = clean();
    project.segment_mut(A, 90).tracked = weak(0.2);
    check(project, 90, "barely seen, score 0.2");
    let mut project = clean();
    for frame in 1..200 {
        project.segment_mut(A, frame).tracked = weak(0.5);
    }
    assert_eq!(review(&project).queue, []);
}

#[test]
fn area_jump_is_reported_once() {
    let grow = |body: &mut Body| (body.long, body.short) = (body.long * 1.5, body.short * 1.5);
    let mut project = clean();
    deform(&mut project, 90..200, grow);
    check(project, 90, "area jumped 2.1 times");
    let mut project = clean();
    deform(&mut project, [90], |body| (body.long, body.short) = (body.long * 0.7, body.short * 0.7));
    check(project, 90, "area fell to 46 %");
}

#[test]
fn frame_farther_from_given_one_is_suspect() {
    let mut project = clean();
    deform(&mut project, 0..90, |body| (body.long, body.short) = (body.long * 1.5, body.short * 1.5));
    let last = Body::at(199, 100.0).mask();
    project.segments.insert((A, 199), Arc::new(Segment::by_hand(last)));
    check(project, 89, "area jumped 2.4 times");
}

#[test]
fn position_jump_of_moving_object_is_reported() {
    let mut project = clean();
    deform(&mut project, [90], |body| body.y += 60.0);
    check(project, 90, "jumped 1.1 times its length");
}

#[test]
fn fast_and_starting_objects_do_not_jump() {
    let mut project = clean();
    deform(&mut project, 1..200, |body| body.x = 160.0);
    // Two lengths within three frames, back and forth.
    deform(&mut project, 60..=160, |body| body.x = 160.0 + 110.0 * ((body.angle * 20.0 - 60.0) / 4.0).sin());
    let jumps =
        review(&project).queue.into_iter().filter(|c| matches!(c.reason, Reason::PositionJump { .. }));
    assert_eq!(jumps.count(), 0);
}

#[test]
fn shape_change_is_reported() {
    let mut project = clean();
    deform(&mut project, 90..95, |body| (body.long, body.short) = (body.long * 1.7, body.short / 1.7));
    let found = review(&project).queue;
    assert_eq!(found.len(), 1);
    assert_eq!(found[0].frame, 90);
    assert!(matches!(found[0].reason, Reason::ShapeChange { ratio } if ratio > 2.0), "{found:?}");
}

#[test]
fn split_object_is_reported() {
    let mut project = clean();
    for frame in 90..120 {
        let body = Body::at(frame, 100.0);
        let whole = body.mask();
        let gap = Rect { x0: body.x + 4.0, y0: 0.0, x1: body.x + 6.0, y1: 240.0 };
        let apart = whole.subtract(&Rle::of_rect(gap, SIZE));
        project.segment_mut(A, frame).mask = Some(Arc::new(apart));
    }
    check(project, 90, "fell into 2 parts");
}

#[test]
fn mask_that_fills_frame_is_reported() {
    let mut project = clean();
    // The mask leaks gradually, so that nothing jumps.
    for frame in 60..160_u16 {
        let share = 1.0 - (f32::from(frame) - 110.0).abs() / 50.0;
        let leak = Rect { x0: 0.0, y0: 0.0, x1: 320.0, y1: 230.0 * share };
        let body = Body::at(frame.into(), 100.0).mask();
        project.segment_mut(A, frame.into()).mask = Some(Arc::new(body.union(&Rle::of_rect(leak, SIZE))));
    }
    let found = review(&project).queue;
    let fills = |concern: &&Concern| matches!(concern.reason, Reason::FillsFrame { share } if share > 0.8);
    assert_eq!(found.iter().filter(fills).count(), 1, "{found:?}");
}

#[test]
fn overlap_is_reported_for_lower_iou() {
    let mut project = clean();
    add(&mut project, B, 200, 190.0);
    assert_eq!(review(&project).queue, []);
    for frame in 90..100 {
        let y = 190.0 - 12.0 * (5.0 - (frame as f32 - 95.0).abs());
        let body = Body { y, ..Body::at(frame, 0.0) };
        *project.segment_mut(B, frame) = Segment { iou: 0.8, ..tracked(body, frame) };
    }
    let found = review(&project).queue;
    assert_eq!(found.len(), 1, "{found:?}");
    assert!(matches!(found[0].reason, Reason::Overlap { with: A, .. }), "{found:?}");
    assert_eq!(found[0].object, B);
    // A given mask counts as right, so the other object is reported.
    project.confirm(B, 0..=199);
    assert_eq!(review(&project).queue[0].object, A);
}

#[test]
fn disagreeing_passes_near_correction_are_ignored() {
    let mut project = clean();
    for frame in 1..200 {
        let agreement = if (20..40).contains(&frame) || frame < 4 { 0.4 } else { 0.97 };
        project.segment_mut(A, frame).tracked.as_mut().unwrap().agreement = Some(agreement);
    }
    let found = review(&project).queue;
    assert_eq!(found.len(), 1);
    assert!((20..40).contains(&found[0].frame));
    assert_eq!(found[0].reason.to_string(), "two passes agree by 40 %");
}

/// Makes object `A` invisible on these frames.
fn lose(project: &mut Project, frames: impl IntoIterator<Item = usize>) {
    for frame in frames {
        *project.segment_mut(A, frame) = Segment::tracked(Rle::empty(SIZE), 0.0, -5.0);
    }
}

#[test]
fn lost_and_returned_object_is_reported() {
    let mut project = clean();
    lose(&mut project, 60..100);
    let found = review(&project).queue;
    let told: Vec<(usize, String)> = found.iter().map(|c| (c.frame, c.reason.to_string())).collect();
    assert_eq!(told, [(60, "lost all at once".to_owned()), (100, "back after 40 frames".to_owned())]);
    project.set_absent(CLIP, A, 60..=60);
    project.confirm(A, 100..=100);
    assert_eq!(review(&project).queue, []);
}

#[test]
fn object_that_leaves_image_is_not_lost() {
    let mut project = clean();
    deform(&mut project, 0..200, |body| body.x = 60.0 + body.angle * 20.0 * 3.0);
    let first = Body { x: 60.0, ..Body::at(0, 100.0) };
    *project.segment_mut(A, 0) = Segment::by_hand(first.mask());
    lose(&mut project, 97..200);
    assert_eq!(review(&project).queue, []);
}

#[test]
fn flickering_object_is_reported() {
    let mut project = clean();
    lose(&mut project, [90, 92, 93, 96]);
    let found = review(&project).queue;
    assert_eq!(found.len(), 1);
    assert!(matches!(found[0].reason, Reason::Flickers { n_turns: 5.. }), "{found:?}");
}

#[test]
fn gaps_are_reported_unless_a_run_fills_them() {
    let mut project = clean();
    project.remove_within(A, 90..=99);
    let run = |next, last, anew| {
        let direction = Direction::Forward;
        Arc::new(Run { medium: CLIP, object: A, direction, first: next, next, last, anew, n_agreeing: 0 })
    };
    let id = RunId { step: 1, n: 0 };
    project.runs.insert(id, run(120, 150, false));
    check(project.clone(), 90, "no mask on 10 frames");
    project.runs.insert(id, run(90, 150, false));
    assert_eq!(review(&project).queue, []);
    let mut project = clean();
    deform(&mut project, [90], |body| body.y += 60.0);
    let mut reviewer = Reviewer::default();
    assert_eq!(reviewer.review(&project, CLIP).queue.len(), 1);
    project.runs.insert(id, run(80, 150, true));
    assert_eq!(reviewer.review(&project, CLIP).queue, []);
}

#[test]
fn worst_stretch_comes_first_and_each_once() {
    let mut project = clean();
    for frame in (30..60).chain([62]) {
        project.segment_mut(A, frame).iou = 0.6;
    }
    for frame in 120..150 {
        project.segment_mut(A, frame).iou = 0.3;
    }
    let queue = review(&project).queue;
    assert_eq!(queue.iter().map(|concern| concern.frame).collect::<Vec<_>>(), [120, 30]);
}

#[test]
fn confirming_all_frames_empties_the_rest() {
    let mut project = clean();
    let mut reviewer = Reviewer::default();
    let mut n = 0;
    loop {
        let review = reviewer.review(&project, CLIP);
        assert_eq!(review.queue, []);
        let Some(next) = review.rest.first() else { break };
        assert_eq!(project.confirm(A, next.frame..=next.frame), 1);
        n += 1;
    }
    assert_eq!(n, 199);
    assert_eq!(reviewer.review(&project, CLIP).progress.share(), 1.0);
}

proptest! {
    #[test]
    fn repeated_review_equals_fresh_review(
        edits in prop::collection::vec((1..4_u32, 0..30_usize, 0..7_u8, 0..200_u8), 1..12),
    ) {
        let mut project = empty_project(30);
        add(&mut project, A, 30, 100.0);
        add(&mut project, B, 30, 120.0);
        let mut reviewer = Reviewer::default();
        reviewer.review(&project, CLIP);
        for (object, frame, what, value) in edits {
            let object = ObjectId(object);
            let body = Body { x: f32::from(value), ..Body::at(frame, 110.0) };
            match what {
                0 => drop(project.confirm(object, frame..=frame + 2)),
                1 => project.remove_from_track(CLIP, object, frame..=frame),
                2 => project.remove_object(CLIP, object),
                3 => project.set_absent(CLIP, object, frame..=frame),
                4 => project.swap_tracks(CLIP, A, B, frame),
                _ => {
                    project.objects.insert((CLIP, object), Arc::new(Object::new(CategoryId(1))));
                    *project.segment_mut(object, frame) = tracked(body, frame);
                }
            }
            prop_assert_eq!(reviewer.review(&project, CLIP), review(&project));
        }
        let other = Reviewer::default().review(&project, MediumId(2));
        prop_assert_eq!(reviewer.review(&project, MediumId(2)), other);
    }

    #[test]
    fn arbitrary_floats_keep_severity_in_range(iou: f32, score: f32, agreement: Option<f32>, frame in 0..20_usize) {
        let mut project = empty_project(20);
        add(&mut project, A, 20, 100.0);
        let tracked = Some(Tracked { object_score: score, agreement });
        let segment = project.segment_mut(A, frame);
        (segment.iou, segment.tracked) = (iou, tracked);
        let other = Rle::of_rect(Rect { x0: 0.0, y0: 0.0, x1: 3.0, y1: 3.0 }, Size::square(3));
        project.segment_mut(B, frame).mask = Some(Arc::new(other));
        project.objects.insert((CLIP, B), Arc::new(Object::new(CategoryId(1))));
        let review = review(&project);
        for concern in review.queue.iter().chain(&review.rest) {
            prop_assert!((0.0..=1.0).contains(&concern.severity), "{concern:?}");
        }
    }
}

#[test]
fn long_video_is_reviewed_incrementally() {
    let mut project = empty_project(20_000);
    let masks: Vec<Arc<Rle>> = (0..100).map(|i| Arc::new(Body::at(i, 100.0).mask())).collect();
    for id in 1..=5 {
        project.objects.insert((CLIP, ObjectId(id)), Arc::new(Object::new(CategoryId(1))));
        for frame in 0..20_000 {
            let mask = Some(masks[frame % 100].clone());
            let segment = Segment { mask, ..Segment::tracked(Rle::empty(SIZE), 0.9, 8.0) };
            project.segments.insert((ObjectId(id), frame), Arc::new(segment));
        }
    }
    let mut reviewer = Reviewer::default();
    let mut timed = |project: &Project| {
        let begin = Instant::now();
        let review = reviewer.review(project, CLIP);
        (review, begin.elapsed())
    };
    let (before, first) = timed(&project);
    project.confirm(A, 10_000..=10_000);
    let (after, second) = timed(&project);
    writeln!(std::io::stdout(), "first look {first:.1?}, second {second:.1?}").unwrap();
    assert_eq!((before.progress.n_given, after.progress.n_given), (0, 1));
}
