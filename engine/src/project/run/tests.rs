//! Which frames are tracked, which are not, and what undo restores.

use super::*;
use crate::{
    geometry::Size,
    mask::Rle,
    project::{CategoryId, History, Medium, MediumKind, Object},
};

const VIDEO: MediumId = MediumId(1);
const CAT: ObjectId = ObjectId(1);
const N_FRAMES: usize = 30;

fn mask(i: u32) -> Rle {
    Rle::from_runs(Size::new(30, 1), [i, 1, 29 - i]).unwrap()
}

fn found(i: u32) -> Segment {
    Segment::tracked(mask(i), 0.9, 5.0)
}

/// A video with one object, given on some frames.
fn history(given: &[usize]) -> History {
    let mut history = History::default();
    history.edit("Begin", |project| {
        let medium = Medium {
            path: "clip.mp4".to_owned(),
            kind: MediumKind::Video,
            size: Size::new(30, 1),
            n_frames: N_FRAMES,
            fps: None,
            content: None,
            done: false,
        };
        project.media.insert(VIDEO, Arc::new(medium));
        project.objects.insert((VIDEO, CAT), Arc::new(Object::new(CategoryId(1))));
        for frame in given {
            project.segments.insert((CAT, *frame), Arc::new(Segment::by_hand(mask(0))));
        }
    });
    history
}

fn propagate(history: &mut History, from: usize, direction: Direction, extent: &Extent) -> bool {
    let step = history.next_step();
    history.edit("Track", |project| project.propagate(step, (VIDEO, CAT), from, direction, extent))
}

/// Works off all runs with masks of column `i`; the frames in the order in which they were tracked.
fn track(history: &mut History, i: u32) -> Vec<usize> {
    let mut frames = Vec::new();
    loop {
        let (due, finished) = history.now().due_runs();
        for run in finished {
            history.extend(run.step, |project| drop(project.runs.remove(&run)));
        }
        let Some((id, run)) = due.first() else { return frames };
        frames.push(run.next);
        history.extend(id.step, |project| assert!(project.record(*id, run.next, found(i))));
    }
}

fn correct(history: &mut History, frame: usize) -> bool {
    let step = history.next_step();
    history.edit("Correct", |project| {
        project.segments.insert((CAT, frame), Arc::new(Segment::by_hand(mask(1))));
        project.retrack(step, (VIDEO, CAT), frame)
    })
}

fn frames_with(history: &History, mask_of: u32) -> Vec<usize> {
    let has = |segment: &Segment| segment.mask.as_deref() == Some(&mask(mask_of));
    history.now().track(CAT).filter(|(_, segment)| has(segment)).map(|(frame, _)| frame).collect()
}

#[test]
fn tracking_fills_frames_without_masks_to_the_end_of_its_extent() {
    let check = |given: &[usize], from, direction, extent: Extent, want: Vec<usize>| {
        let mut history = history(given);
        assert_eq!(propagate(&mut history, from, direction, &extent), !want.is_empty());
        assert_eq!(track(&mut history, 2), want);
    };
    let (on, back) = (Direction::Forward, Direction::Backward);
    check(&[10], 10, on, Extent::End, (11..30).collect());
    check(&[10], 10, back, Extent::End, (0..10).rev().collect());
    check(&[10], 10, on, Extent::Frames(3), vec![11, 12, 13]);
    check(&[10], 12, on, Extent::Frames(3), vec![11, 12, 13, 14, 15]);
    check(&[10, 14, 20], 10, on, Extent::NextGiven, vec![11, 12, 13]);
    check(&[10, 14], 10, on, Extent::End, (11..14).chain(15..30).collect());
    check(&[10], 20, back, Extent::End, (0..10).rev().collect());
    check(&[10], 3, on, Extent::End, (11..30).collect());
    check(&[10], 10, on, Extent::Span(12..=15), vec![11, 12, 13, 14, 15]);
    check(&[29], 29, on, Extent::End, vec![]);
    check(&[], 0, on, Extent::End, vec![]);
}

#[test]
fn what_was_tracked_is_not_tracked_again() {
    let mut history = history(&[0]);
    propagate(&mut history, 0, Direction::Forward, &Extent::Frames(9));
    assert_eq!(track(&mut history, 2), (1..10).collect::<Vec<_>>());
    propagate(&mut history, 0, Direction::Forward, &Extent::End);
    assert_eq!(track(&mut history, 2), (10..30).collect::<Vec<_>>());
    assert!(!propagate(&mut history, 0, Direction::Forward, &Extent::End));
}

#[test]
fn a_correction_is_tracked_both_ways_as_far_as_frames_that_were_given() {
    let mut history = history(&[0, 20]);
    propagate(&mut history, 0, Direction::Forward, &Extent::End);
    track(&mut history, 2);
    assert!(correct(&mut history, 10));
    let mut frames = track(&mut history, 3);
    frames.sort_unstable();
    assert_eq!(frames, (1..10).chain(11..20).collect::<Vec<_>>());
    assert_eq!(frames_with(&history, 2), (21..30).collect::<Vec<_>>());
}

#[test]
fn a_correction_ends_where_the_new_masks_agree_with_the_old() {
    let mut history = history(&[0]);
    propagate(&mut history, 0, Direction::Forward, &Extent::End);
    track(&mut history, 2);
    correct(&mut history, 10);
    let frames = track(&mut history, 2);
    assert_eq!(frames, [9, 8, 7, 11, 12, 13]);
    let agreement = |frame| history.now().segment(CAT, frame).unwrap().tracked.unwrap().agreement;
    assert_eq!((agreement(11), agreement(14)), (Some(1.0), None));
}

#[test]
fn undo_takes_back_a_correction_with_all_that_followed_and_redo_brings_it_back() {
    let mut history = history(&[0]);
    propagate(&mut history, 0, Direction::Forward, &Extent::End);
    track(&mut history, 2);
    let before = history.now().clone();
    correct(&mut history, 10);
    track(&mut history, 3);
    let after = history.now().clone();
    assert_ne!(before, after);
    assert_eq!(history.undo().unwrap().title.as_ref(), "Correct");
    assert_eq!(history.now(), &before);
    history.redo();
    assert_eq!(history.now(), &after);
    history.undo();
    history.undo();
    assert_eq!(history.now().track(CAT).count(), 1, "the masks belong to the step that asked for them");
}

#[test]
fn a_correction_while_tracking_runs_comes_first_and_tracking_goes_on() {
    let mut history = history(&[0]);
    propagate(&mut history, 0, Direction::Forward, &Extent::End);
    for _ in 0..15 {
        let (due, _) = history.now().due_runs();
        let (id, run) = due[0].clone();
        history.extend(id.step, |project| assert!(project.record(id, run.next, found(2))));
    }
    correct(&mut history, 8);
    let frames = track(&mut history, 3);
    let want: Vec<usize> = (1..8).rev().chain(9..16).chain(16..30).collect();
    assert_eq!(frames, want);
    history.undo();
    assert_eq!(
        frames_with(&history, 2),
        (1..16).collect::<Vec<_>>(),
        "what the correction made anew is back"
    );
    assert_eq!(frames_with(&history, 3), (16..30).collect::<Vec<_>>(), "what tracking found meanwhile stays");
}

#[test]
fn a_second_correction_ends_the_first_where_it_is() {
    let mut history = history(&[0]);
    propagate(&mut history, 0, Direction::Forward, &Extent::End);
    track(&mut history, 2);
    correct(&mut history, 5);
    correct(&mut history, 15);
    let frames = track(&mut history, 3);
    assert!(!frames.contains(&5) && !frames.contains(&15));
    assert_eq!(frames_with(&history, 3).len(), N_FRAMES - 3, "all but the given ones");
    assert!(history.now().runs.is_empty());
}

#[test]
fn confirmed_frames_are_never_overwritten() {
    let mut history = history(&[0]);
    propagate(&mut history, 0, Direction::Forward, &Extent::End);
    track(&mut history, 2);
    history.edit("Confirm", |project| (12..=14).for_each(|f| project.segment_mut(CAT, f).confirmed = true));
    correct(&mut history, 10);
    let mut frames = track(&mut history, 3);
    frames.sort_unstable();
    assert_eq!(frames, (1..10).chain([11]).collect::<Vec<_>>());
    let run = RunId { step: 99, n: 0 };
    let mut project = (**history.now()).clone();
    let wild = Run {
        medium: VIDEO,
        object: CAT,
        direction: Direction::Forward,
        first: 1,
        next: 1,
        last: 29,
        anew: true,
        n_agreeing: 0,
    };
    project.runs.insert(run, Arc::new(wild));
    assert!(!project.record(run, 13, found(5)), "whatever a run says");
}

#[test]
fn objects_at_the_same_frame_go_together() {
    let mut history = history(&[0]);
    let dog = ObjectId(2);
    history.edit("Another", |project| {
        project.objects.insert((VIDEO, dog), Arc::new(Object::new(CategoryId(1))));
        project.segments.insert((dog, 0), Arc::new(Segment::by_hand(mask(7))));
    });
    let step = history.next_step();
    history.edit("Track", |project| {
        for object in [CAT, dog] {
            project.propagate(step, (VIDEO, object), 0, Direction::Forward, &Extent::End);
        }
    });
    let due = |history: &History| -> Vec<(ObjectId, usize)> {
        history.now().due_runs().0.iter().map(|(_, run)| (run.object, run.next)).collect()
    };
    assert_eq!(due(&history), [(dog, 1), (CAT, 1)]);
    // One may come first, as where tracking begins and ends; the other then catches up.
    let (id, run) = history.now().due_runs().0[0].clone();
    history.extend(id.step, |project| assert!(project.record(id, run.next, found(1))));
    assert_eq!(due(&history), [(CAT, 1)]);
    let (id, run) = history.now().due_runs().0[0].clone();
    history.extend(id.step, |project| assert!(project.record(id, run.next, found(1))));
    assert_eq!(due(&history), [(dog, 2), (CAT, 2)]);
}
