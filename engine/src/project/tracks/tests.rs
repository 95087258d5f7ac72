//! Tests of what is done to tracks, by themselves and by their identities.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;
use crate::{
    mask::Rle,
    project::{CategoryId, Key, Medium, MediumKind, Object, RenumberError},
    prompt::Prompt,
};

const CLIP: MediumId = MediumId(1);
const OTHER_CLIP: MediumId = MediumId(2);
const A: ObjectId = ObjectId(1);
const B: ObjectId = ObjectId(2);
/// In the other clip.
const C: ObjectId = ObjectId(3);
const SIZE: Size = Size::new(12, 4);
const N_FRAMES: usize = 10;

fn rect(x: u8) -> Rect {
    let x = f32::from(x);
    Rect { x0: x, y0: 1.0, x1: x + 3.0, y1: 3.0 }
}

fn mask(x: u8) -> Rle {
    Rle::of_rect(rect(x), SIZE)
}

/// Two clips, with two objects and with one; each has a run.
fn project(segments: impl IntoIterator<Item = (ObjectId, usize, Segment)>) -> Project {
    let mut project = Project::default();
    for (id, path) in [(CLIP, "a.mp4"), (OTHER_CLIP, "b.mp4")] {
        let medium = Medium {
            path: path.to_owned(),
            kind: MediumKind::Video,
            size: SIZE,
            n_frames: N_FRAMES,
            fps: None,
            content: None,
            done: false,
        };
        project.media.insert(id, Arc::new(medium));
    }
    for (n, (medium, id)) in (0..).zip([(CLIP, A), (CLIP, B), (OTHER_CLIP, C)]) {
        project.objects.insert((medium, id), Arc::new(Object::new(CategoryId(id.0))));
        project.runs.insert(RunId { step: 1, n }, Arc::new(run(id, Direction::Forward, 6, 9)));
        project.segments.insert((id, 0), Arc::new(Segment::by_hand(mask(id.0 as u8))));
    }
    for (object, frame, segment) in segments {
        project.segments.insert((object, frame), Arc::new(segment));
    }
    project
}

fn run(object: ObjectId, direction: Direction, next: usize, last: usize) -> Run {
    let medium = if object == C { OTHER_CLIP } else { CLIP };
    Run { medium, object, direction, first: next, next, last, anew: false, n_agreeing: 0 }
}

fn any_segment() -> impl Strategy<Value = Segment> {
    (0..7_u8, 0..9_u8).prop_map(|(kind, x)| match kind {
        0 => Segment::by_hand(mask(x)),
        1 => Segment::boxed(rect(x)),
        2 => Segment::absent(SIZE),
        3 => Segment::tracked(Rle::empty(SIZE), 0.0, -5.0),
        4 => Segment { confirmed: true, ..Segment::tracked(mask(x), 0.8, 5.0) },
        5 => Segment::tracked_box(rect(x)),
        _ => Segment::tracked(mask(x), 0.8, 5.0),
    })
}

fn any_project() -> impl Strategy<Value = Project> {
    let object = prop_oneof![Just(A), Just(B), Just(C)];
    prop::collection::vec((object, 0..N_FRAMES, any_segment()), 0..40).prop_map(project)
}

fn any_frames() -> impl Strategy<Value = RangeInclusive<usize>> {
    (0..N_FRAMES + 2, 0..N_FRAMES + 2).prop_map(|(a, b)| a.min(b)..=a.max(b))
}

/// An object's frames, as values.
fn track(project: &Project, object: ObjectId) -> BTreeMap<usize, Segment> {
    project.track(object).map(|(frame, segment)| (frame, (**segment).clone())).collect()
}

/// Which objects differ, in what they are, where they are or what is still to be tracked of them.
fn changed(before: &Project, after: &Project) -> Vec<ObjectId> {
    let objects = before.changes_to(after).into_iter().map(|change| match change.key {
        Key::Object(_, object) | Key::Segment(object, _) => object,
        Key::Run(id) => before.runs.get(&id).or(after.runs.get(&id)).unwrap().object,
        Key::Medium(_) | Key::Category(_) | Key::Rejected(..) => panic!("{change:?}"),
    });
    objects.collect()
}

proptest! {
    #[test]
    fn what_is_done_to_one_track_leaves_the_others_and_the_other_frames(
        before in any_project(),
        what in 0..7_u8,
        frames in any_frames(),
        segment in any_segment(),
    ) {
        let mut after = before.clone();
        let copied = before.copy_track(B, frames.clone());
        match what {
            0 => drop(after.confirm(A, frames.clone())),
            1 => drop(after.unconfirm(A, frames.clone())),
            2 => after.set_absent(CLIP, A, frames.clone()),
            3 => after.remove_from_track(CLIP, A, frames.clone()),
            4 => drop(after.interpolate_boxes(CLIP, A, frames.clone())),
            5 => drop(after.paste_track(CLIP, A, *frames.start(), &copied)),
            _ => drop(after.paste_over(CLIP, A, frames.clone(), &segment)),
        }
        prop_assert!(changed(&before, &after).iter().all(|object| *object == A));
        let outside = |project: &Project| {
            let mut track = track(project, A);
            track.retain(|frame, _| !frames.contains(frame));
            track
        };
        prop_assert_eq!(outside(&before), outside(&after));
        prop_assert!(after.track(A).all(|(frame, _)| frame < N_FRAMES));
        let overwrites = [2, 3, 5, 6].contains(&what);
        for (frame, segment) in before.track(A).filter(|(_, segment)| segment.is_given() && !overwrites) {
            let now = after.segment(A, frame).unwrap();
            prop_assert_eq!((&now.mask, now.rect), (&segment.mask, segment.rect));
        }
    }

    #[test]
    fn to_take_a_confirmation_back_restores_what_was_tracked(before in any_project(), frames in any_frames()) {
        let mut plain = before.clone();
        plain.unconfirm(A, 0..=usize::MAX);
        let mut after = plain.clone();
        let n = after.confirm(A, frames.clone());
        let known = plain.track_within(A, frames.clone()).filter(|(_, segment)| segment.mask.is_some());
        prop_assert_eq!(n, known.count());
        for (_, segment) in after.track_within(A, frames.clone()).filter(|(_, s)| s.mask.is_some()) {
            prop_assert!(segment.is_given());
        }
        prop_assert_eq!(after.unconfirm(A, frames), n);
        prop_assert_eq!(after, plain);
    }

    #[test]
    fn joined_tracks_have_all_that_both_had(before in any_project()) {
        let mut after = before.clone();
        after.join_tracks(CLIP, A, &[B, A, C, ObjectId(99)]);
        prop_assert!(changed(&before, &after).iter().all(|object| [A, B].contains(object)));
        prop_assert!(after.objects_of(CLIP).map(|(id, _)| id).eq([A]));
        prop_assert!(after.runs.values().all(|run| run.object != B));
        prop_assert_eq!(after.track(B).count(), 0);
        for ((_, frame), segment) in before.segments.iter().filter(|((object, _), _)| *object != C) {
            let now = after.segment(A, *frame).unwrap();
            prop_assert!(now.is_given() || !segment.is_given());
            if let Some(mask) = segment.mask.as_ref().filter(|mask| mask.area() > 0) {
                prop_assert_eq!(mask.subtract(now.mask.as_ref().unwrap()).area(), 0);
            }
        }
        for (frame, segment) in after.track(A) {
            let [own, other] = [A, B].map(|object| before.segment(object, frame));
            if own.is_none() || other.is_none() {
                prop_assert_eq!(Some(segment), own.or(other));
            }
            let was_given = [own, other].iter().flatten().any(|segment| segment.is_given());
            prop_assert_eq!(segment.is_given(), was_given);
        }
    }

    #[test]
    fn to_split_and_join_changes_nothing(before in any_project(), at in 0..N_FRAMES + 2) {
        let mut after = before.clone();
        let new = after.split_track(CLIP, A, at);
        let has = |frames| before.track_within(A, frames).next().is_some();
        prop_assert_eq!(new.is_some(), at > 0 && has(0..=at - 1) && has(at..=usize::MAX));
        let Some(new) = new else { return Ok(()) };
        prop_assert!(!before.objects.keys().any(|(_, object)| *object == new));
        prop_assert!(after.track(A).all(|(frame, _)| frame < at));
        prop_assert!(after.track(new).all(|(frame, _)| frame >= at));
        for run in after.runs.values() {
            let mut frames = [run.first, run.next, run.last].into_iter();
            prop_assert!(run.object != A || frames.clone().all(|frame| frame < at));
            prop_assert!(run.object != new || frames.all(|frame| frame >= at));
        }
        after.join_tracks(CLIP, A, &[new]);
        prop_assert_eq!((&after.objects, &after.segments), (&before.objects, &before.segments));
    }

    #[test]
    fn to_swap_twice_changes_no_mask(before in any_project(), from in 0..N_FRAMES + 2) {
        let mut after = before.clone();
        after.swap_tracks(CLIP, A, B, from);
        prop_assert!(changed(&before, &after).iter().all(|object| [A, B].contains(object)));
        for (a, b) in [(A, B), (B, A)] {
            let (was, now) = (track(&before, a), track(&after, b));
            prop_assert!(was.range(from..).eq(now.range(from..)));
            prop_assert!(track(&before, b).range(..from).eq(now.range(..from)));
        }
        prop_assert!(after.runs.values().all(|run| run.object == C));
        after.swap_tracks(CLIP, A, B, from);
        prop_assert_eq!((after.objects, after.segments), (before.objects, before.segments));
    }

    #[test]
    fn to_renumber_moves_all_of_an_object(before in any_project(), to in 1..6_u32) {
        let (mut after, to) = (before.clone(), ObjectId(to));
        let outcome = after.renumber(CLIP, A, to);
        if to == C {
            let text = outcome.unwrap_err().to_string();
            prop_assert_eq!(text, "cannot renumber object 1: 3 is an object of b.mp4; choose another number");
            prop_assert_eq!(after, before);
            return Ok(());
        }
        prop_assert_eq!(outcome, Ok(()));
        prop_assert_eq!(track(&after, to), track(&before, A));
        prop_assert_eq!(after.objects.get(&(CLIP, to)), before.objects.get(&(CLIP, A)));
        if to == B {
            prop_assert_eq!(track(&after, A), track(&before, B));
        }
        prop_assert!(changed(&before, &after).iter().all(|object| [A, to].contains(object)));
        after.renumber(CLIP, to, A).unwrap();
        prop_assert_eq!(after, before);
    }
}

#[test]
fn what_waits_for_an_answer_is_not_confirmed() {
    let mut asked = Segment::tracked(mask(1), 0.9, 5.0);
    asked.ask(|question| question.prompt = Prompt { points: Vec::new(), rect: Some(rect(2)) });
    let mut project = project([(A, 1, asked), (A, 2, Segment::tracked(mask(1), 0.9, 5.0))]);
    assert_eq!(project.confirm(A, 1..=5), 1);
    assert!(!project.segment(A, 1).unwrap().confirmed);
}

#[test]
fn absence_ends_with_the_video_and_overwrites_what_was_confirmed() {
    let confirmed = Segment { confirmed: true, ..Segment::tracked(mask(1), 0.9, 5.0) };
    let mut project = project([(A, 8, confirmed)]);
    project.set_absent(CLIP, A, 7..=usize::MAX);
    let absent: Vec<usize> = project.track_within(A, 1..=99).map(|(frame, _)| frame).collect();
    assert_eq!(absent, [7, 8, 9]);
    assert_eq!(**project.segment(A, 8).unwrap(), Segment::absent(SIZE));
    let before = project.clone();
    project.set_absent(CLIP, C, 0..=3);
    project.set_absent(MediumId(9), A, 0..=3);
    assert_eq!(project, before);
}

#[track_caller]
fn check_left(run: Run, frames: RangeInclusive<usize>, left: Option<(usize, usize)>) {
    let mut project = project([(A, 0, Segment::boxed(rect(0)))]);
    project.runs.insert(RunId { step: 2, n: 0 }, Arc::new(run));
    project.remove_from_track(CLIP, A, frames);
    let run = project.runs.get(&RunId { step: 2, n: 0 });
    assert_eq!(run.map(|run| (run.next, run.last)), left);
}

#[test]
fn runs_end_before_what_is_removed() {
    let [forward, backward] = [run(A, Direction::Forward, 2, 8), run(A, Direction::Backward, 8, 2)];
    check_left(forward.clone(), 5..=6, Some((2, 4)));
    check_left(backward.clone(), 5..=6, Some((8, 7)));
    check_left(forward.clone(), 1..=6, None);
    check_left(backward.clone(), 5..=9, None);
    check_left(forward.clone(), 9..=9, Some((2, 8)));
    check_left(backward, 1..=1, Some((8, 2)));
    check_left(forward, 1..=9, None);
}

#[test]
fn an_object_of_which_nothing_is_left_is_gone() {
    let mut project = project([(A, 3, Segment::boxed(rect(0)))]);
    project.remove_from_track(CLIP, A, 3..=3);
    assert!(project.objects.contains_key(&(CLIP, A)));
    project.remove_from_track(CLIP, A, 0..=2);
    assert!(!project.objects.contains_key(&(CLIP, A)));
    assert!(project.runs.values().all(|run| run.object != A));
}

#[test]
fn runs_are_split_where_the_track_is() {
    let mut project = project([(A, 9, Segment::boxed(rect(0)))]);
    for (n, run) in (0..).zip([
        run(A, Direction::Forward, 2, 8),
        run(A, Direction::Backward, 8, 2),
        run(A, Direction::Forward, 1, 3),
        run(A, Direction::Backward, 9, 6),
    ]) {
        project.runs.insert(RunId { step: 2, n }, Arc::new(run));
    }
    let new = project.split_track(CLIP, A, 5).unwrap();
    let runs: Vec<(ObjectId, usize, usize)> = project
        .runs
        .range(RunId { step: 2, n: 0 }..)
        .map(|(_, run)| (run.object, run.next, run.last))
        .collect();
    assert_eq!(runs, [(A, 2, 4), (new, 8, 5), (A, 1, 3), (new, 9, 6)]);
}

#[test]
fn boxes_go_straight_from_one_to_the_next_and_follow_when_one_is_changed() {
    let mut project = project([
        (A, 1, Segment::boxed(rect(0))),
        (A, 2, Segment::tracked(mask(7), 0.9, 5.0)),
        (A, 5, Segment::boxed(rect(8))),
        (A, 7, Segment::by_hand(mask(1))),
        (A, 9, Segment::boxed(rect(2))),
    ]);
    assert_eq!(project.interpolate_boxes(CLIP, A, 0..=usize::MAX), 3);
    assert_eq!(project.segment(A, 2).unwrap().rect, Some(rect(2)));
    assert_eq!(project.segment(A, 4).unwrap().rect, Some(rect(6)));
    assert_eq!(project.segment(A, 2).unwrap().mask, None);
    assert!(project.segment(A, 6).is_none() && project.segment(A, 8).is_none());
    project.segment_mut(A, 5).rect = Some(rect(4));
    assert_eq!(project.interpolate_boxes(CLIP, A, 1..=5), 3);
    assert_eq!(project.segment(A, 4).unwrap().rect, Some(rect(3)));
    assert_eq!(project.interpolate_boxes(CLIP, A, 2..=5), 0);
}

#[test]
fn what_is_pasted_is_given_and_ends_with_the_video() {
    let tracked = Segment::tracked(mask(3), 0.7, 5.0);
    let lost = Segment::tracked(Rle::empty(SIZE), 0.0, -5.0);
    let mut project = project([(B, 2, tracked), (B, 3, lost), (B, 4, Segment::boxed(rect(5)))]);
    let mut copied = project.copy_track(B, 1..=6);
    assert_eq!(copied.iter().map(|(offset, _)| *offset).collect::<Vec<_>>(), [1, 2, 3]);
    copied.push((0, Arc::new(Segment::by_hand(Rle::empty(Size::square(3))))));
    assert_eq!(project.paste_track(CLIP, A, 6, &copied), 3);
    assert_eq!(**project.segment(A, 7).unwrap(), Segment::by_hand(mask(3)));
    assert_eq!(**project.segment(A, 8).unwrap(), Segment::absent(SIZE));
    assert_eq!(**project.segment(A, 9).unwrap(), Segment::boxed(rect(5)));
    assert!(project.segment(A, 6).is_none());
    assert_eq!(project.paste_track(CLIP, A, 8, &copied), 1);
    assert_eq!(project.paste_track(CLIP, A, usize::MAX, &copied), 0);
    let segment = project.segment(A, 7).unwrap().clone();
    assert_eq!(project.paste_over(CLIP, A, 8..=20, &segment), 2);
    assert_eq!(project.segment(A, 8), project.segment(A, 9));
}

#[test]
fn frames_the_wrong_way_round_are_none() {
    let mut project = project([(A, 3, Segment::tracked(mask(3), 0.7, 5.0))]);
    let before = project.clone();
    let frames = RangeInclusive::new(8, 1);
    assert_eq!(project.confirm(A, frames.clone()) + project.unconfirm(A, frames.clone()), 0);
    project.set_absent(CLIP, A, frames.clone());
    project.remove_from_track(CLIP, A, frames.clone());
    project.interpolate_boxes(CLIP, A, frames.clone());
    assert!(project.copy_track(A, frames.clone()).is_empty());
    assert_eq!(project.paste_over(CLIP, A, frames, &Segment::boxed(rect(1))), 0);
    assert_eq!(project, before);
}

#[test]
fn ids_that_others_cannot_read_are_refused() {
    let mut project = project([]);
    let error = project.renumber(CLIP, A, ObjectId(1 << 31)).unwrap_err();
    assert_eq!(error, RenumberError::TooLarge { object: 1, to: 1 << 31 });
    assert_eq!(project.renumber(CLIP, ObjectId(77), A), Ok(()));
}
