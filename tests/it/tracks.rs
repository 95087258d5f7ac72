//! What a session does with a video: which frames are tracked, which are not, and what undo and a restart bring back.

use std::{
    collections::BTreeSet,
    path::Path,
    sync::{Arc, Mutex},
    time::Duration,
};

use engine::{
    frame::Direction,
    geometry::Size,
    mask::Rle,
    media::VideoWriter,
    project::{FrameId, ObjectId, Segment},
    segmenter::{FakeSegmenter, Sam2Segmenter, Segmenter},
    worker::Load,
};
use segue::{
    command::{Command, Extent, Proposals, Scope, Way},
    session::Session,
};

use crate::desk::{Desk, at, click, click_off, fake, rect, slow_fake};

pub(crate) const N_FRAMES: usize = 40;
pub(crate) const FORWARD: Command = Command::Propagate(Way::Forward, Extent::End);

/// A clip of a square that moves two pixels to the right each frame.
pub(crate) fn write_clip(path: &Path, n_frames: usize) {
    let mut writer = VideoWriter::create(path, Size::new(160, 120), 25.0).unwrap();
    for i in 0..n_frames as u32 {
        let is_square = |x: u32, y: u32| (10 + 2 * i..40 + 2 * i).contains(&x) && (40..70).contains(&y);
        let color =
            |x, y| if is_square(x, y) { [230, 40, 40] } else { [30, (60 + x / 4) as u8, (90 + y / 4) as u8] };
        writer.push(&image::RgbImage::from_fn(160, 120, |x, y| image::Rgb(color(x, y)))).unwrap();
    }
    writer.finish().unwrap();
}

/// A project with one clip.
pub(crate) fn clip(load: Load) -> Desk {
    let folder = tempfile::tempdir().unwrap();
    write_clip(&folder.path().join("clip.mp4"), N_FRAMES);
    Desk::on(folder, load)
}

/// Frames in the order in which they were tracked.
type Log = Arc<Mutex<Vec<FrameId>>>;

fn logged(answer: Duration) -> (Log, Load) {
    let log = Log::default();
    let to = log.clone();
    let load = Load::new(move || {
        let mut fake = FakeSegmenter::new(Duration::ZERO, answer);
        fake.tracked = to.clone();
        Ok(Box::new(fake) as Box<dyn Segmenter>)
    });
    (log, load)
}

fn tracked(log: &Log) -> Vec<usize> {
    std::mem::take(&mut *log.lock().unwrap()).iter().map(|at| at.frame).collect()
}

impl Desk {
    fn track_of(&self, object: ObjectId) -> Vec<(usize, Segment)> {
        self.session.project().track(object).map(|(frame, segment)| (frame, (**segment).clone())).collect()
    }

    pub(crate) fn masks(&self, object: ObjectId) -> Vec<(usize, Arc<Rle>)> {
        self.track_of(object)
            .into_iter()
            .filter_map(|(frame, segment)| Some((frame, segment.mask?)))
            .collect()
    }

    /// Until all that was asked for is tracked and saved.
    #[track_caller]
    pub(crate) fn finish(&mut self) {
        self.until("all is tracked and saved", |s| s.project().runs.is_empty() && s.is_saved());
    }

    fn segment(&self, object: ObjectId, frame: usize) -> Arc<Segment> {
        self.session.project().segment(object, frame).unwrap().clone()
    }
}

#[test]
fn a_video_opens_and_shows_its_frames() {
    let mut desk = clip(fake());
    let video = desk.session.video().unwrap();
    assert_eq!((video.n_frames, video.size, video.fps), (N_FRAMES, Size::new(160, 120), Some(25.0)));
    for (command, frame) in [
        (Command::Step(1), 1),
        (Command::Step(10), 11),
        (Command::Step(-1), 10),
        (Command::GoToFrame(33), 33),
        (Command::GoToFrame(999), N_FRAMES - 1),
        (Command::First, 0),
        (Command::Last, N_FRAMES - 1),
    ] {
        desk.run([command.clone()]);
        desk.until("the frame is read", |s| s.picture().is_some());
        assert_eq!(desk.session.player().frame, frame, "{command:?}");
        let pixels = desk.session.picture().unwrap().as_ref().unwrap().pixels().clone();
        let middle = pixels.get_pixel((25 + 2 * frame as u32).min(159), 55).0;
        assert!(middle[0] > 150 && middle[1] < 100, "frame {frame} has {middle:?}");
    }
}

#[test]
fn a_click_is_carried_to_the_end_and_one_undo_takes_it_back() {
    let mut desk = clip(fake());
    desk.step([Command::GoToFrame(5), click(40.0, 60.0), FORWARD]);
    desk.finish();
    let object = desk.objects()[0];
    let masks = desk.masks(object);
    assert_eq!(masks.iter().map(|(frame, _)| *frame).collect::<Vec<_>>(), (5..N_FRAMES).collect::<Vec<_>>());
    for (frame, mask) in &masks {
        let x = 40 + (FakeSegmenter::STRIDE as usize) * (frame - 5);
        assert!(mask.contains(x, 60) && !mask.contains(x + 30, 60), "frame {frame}");
    }
    desk.step([Command::Undo]);
    assert_eq!(desk.masks(object).len(), 1);
    desk.step([Command::Redo]);
    assert_eq!(desk.masks(object), masks);
}

#[test]
fn tracking_goes_back_and_both_ways_and_over_chosen_frames() {
    let frames = |commands: Vec<Command>| {
        let (log, load) = logged(Duration::ZERO);
        let mut desk = clip(load);
        desk.step([Command::GoToFrame(20), click(60.0, 60.0)]);
        desk.step(commands);
        desk.finish();
        tracked(&log)
    };
    assert_eq!(
        frames(vec![Command::Propagate(Way::Backward, Extent::End)]),
        (0..20).rev().collect::<Vec<_>>()
    );
    assert_eq!(frames(vec![Command::Propagate(Way::Forward, Extent::Frames(4))]), [21, 22, 23, 24]);
    let both: BTreeSet<usize> =
        frames(vec![Command::Propagate(Way::Both, Extent::End)]).into_iter().collect();
    assert_eq!(both.len(), N_FRAMES - 1);
    let span = vec![Command::SetSpan(Some((18, 23))), Command::Propagate(Way::Both, Extent::Span)];
    let chosen: BTreeSet<usize> = frames(span).into_iter().collect();
    assert_eq!(chosen.into_iter().collect::<Vec<_>>(), [18, 19, 21, 22, 23]);
    let next = vec![
        Command::GoToFrame(26),
        click(70.0, 60.0),
        Command::GoToFrame(20),
        Command::Propagate(Way::Forward, Extent::NextGiven),
    ];
    assert_eq!(frames(next), [21, 22, 23, 24, 25]);
}

#[test]
fn a_correction_while_tracking_is_answered_and_tracked_anew_first() {
    let (log, load) = logged(Duration::from_millis(15));
    let mut desk = clip(load);
    desk.step([click(40.0, 60.0)]);
    desk.run([FORWARD]);
    let object = desk.objects()[0];
    desk.until("some frames are tracked", |s| s.project().track(object).count() > 12);
    desk.run([Command::GoToFrame(6), click(60.0, 90.0)]);
    desk.until("the click is answered", |s| {
        let segment = s.project().segment(object, 6).unwrap();
        segment.is_answered && segment.mask.as_ref().is_some_and(|mask| mask.contains(60, 90))
    });
    assert!(!desk.session.project().runs.is_empty(), "long before the end");
    desk.finish();
    let frames = tracked(&log);
    let correction = frames.iter().position(|frame| *frame == 7).unwrap();
    let again = frames.iter().skip(correction + 1).position(|frame| *frame == 7);
    assert!(again.is_some(), "frame 7 is tracked twice: {frames:?}");
    // What is right of the correction carries it, and so does what is left of it down to the click.
    assert!(desk.segment(object, 20).mask.as_ref().unwrap().contains(60 + 28, 90));
    assert!(desk.segment(object, 5).mask.as_ref().unwrap().contains(58, 90));
    assert!(
        !desk.segment(object, 0).mask.as_ref().unwrap().contains(48, 90),
        "the first click stays as it is"
    );
    assert_eq!(desk.masks(object).len(), N_FRAMES);
    desk.step([Command::Undo]);
    assert!(!desk.segment(object, 5).mask.as_ref().unwrap().contains(58, 90));
    assert!(!desk.segment(object, 7).mask.as_ref().unwrap().contains(62, 90));
    assert_eq!(desk.masks(object).len(), N_FRAMES, "what tracking found stays");
}

#[test]
fn a_correction_touches_neither_other_objects_nor_what_lies_beyond_keyframes() {
    let (log, load) = logged(Duration::ZERO);
    let mut desk = clip(load);
    desk.step([click(40.0, 60.0), Command::Accept, click(40.0, 20.0), Command::Accept, FORWARD]);
    desk.finish();
    let [first, second] = desk.objects()[..] else { panic!() };
    desk.step([Command::Select(first), Command::GoToFrame(25), Command::Confirm]);
    let (before, other) = (desk.masks(first), desk.masks(second));
    tracked(&log);
    desk.step([Command::GoToFrame(10), click(60.0, 90.0)]);
    desk.finish();
    // As far as masks change, which near another keyframe they do not.
    let frames = tracked(&log);
    assert!(frames.contains(&9) && frames.contains(&11), "{frames:?}");
    assert!(frames.iter().all(|frame| (1..10).contains(frame) || (11..25).contains(frame)), "{frames:?}");
    assert_eq!(desk.masks(second), other);
    assert_eq!(desk.masks(first)[25..], before[25..]);
}

#[test]
fn locked_frames_are_never_overwritten() {
    let mut desk = clip(fake());
    desk.step([click(40.0, 60.0), FORWARD]);
    desk.finish();
    let object = desk.objects()[0];
    desk.step([Command::Select(object), Command::SetSpan(Some((12, 16))), Command::Confirm]);
    let before = desk.masks(object);
    desk.step([Command::SetSpan(None), Command::GoToFrame(10), click(60.0, 90.0)]);
    desk.finish();
    let after = desk.masks(object);
    assert_ne!(before[11], after[11]);
    assert_eq!(before[12..], after[12..], "and nothing beyond the lock either");
    desk.step([Command::GoToFrame(14), Command::Unconfirm]);
    assert!(!desk.segment(object, 14).is_given() && desk.segment(object, 13).is_given());
}

#[test]
fn not_here_is_said_over_chosen_frames() {
    let mut desk = clip(fake());
    desk.step([click(40.0, 60.0), FORWARD]);
    desk.finish();
    let object = desk.objects()[0];
    desk.step([Command::Select(object), Command::SetSpan(Some((20, 24))), Command::SetAbsent]);
    for frame in 20..=24 {
        assert_eq!(desk.segment(object, frame).mask.as_ref().unwrap().area(), 0);
    }
    assert!(desk.segment(object, 19).mask.as_ref().unwrap().area() > 0);
    desk.step([Command::Undo]);
    assert!(desk.segment(object, 22).mask.as_ref().unwrap().area() > 0);
}

#[test]
fn stopping_keeps_finished_frames_and_tracking_goes_on_from_there() {
    let (log, load) = logged(Duration::from_millis(10));
    let mut desk = clip(load);
    desk.step([click(40.0, 60.0)]);
    desk.run([FORWARD]);
    let object = desk.objects()[0];
    desk.until("some frames are tracked", |s| s.project().track(object).count() > 8);
    desk.run([Command::CancelTracking]);
    desk.finish();
    let n = desk.masks(object).len();
    assert!(n > 8 && n < N_FRAMES, "{n}");
    desk.step([FORWARD]);
    desk.finish();
    assert_eq!(desk.masks(object).len(), N_FRAMES);
    // Some frames were under way when it was stopped.
    assert!(tracked(&log).len() <= N_FRAMES + 8);
}

#[test]
fn tracking_waits_while_paused_and_then_goes_on() {
    let mut desk = clip(slow_fake(Duration::ZERO, Duration::from_millis(10)));
    desk.step([click(40.0, 60.0)]);
    desk.run([FORWARD]);
    let object = desk.objects()[0];
    desk.until("some frames are tracked", |s| s.project().track(object).count() > 5);
    desk.run([FORWARD]);
    assert!(desk.session.is_paused());
    std::thread::sleep(Duration::from_millis(60));
    desk.run([]);
    let n = desk.masks(object).len();
    std::thread::sleep(Duration::from_millis(100));
    desk.run([]);
    assert_eq!(desk.masks(object).len(), n);
    desk.step([click(60.0, 100.0)]);
    assert!(desk.mask(0).contains(60, 100), "clicks are answered all the while");
    desk.run([FORWARD]);
    desk.finish();
    assert_eq!(desk.masks(object).len(), N_FRAMES);
}

#[test]
fn tracking_goes_on_after_a_restart_when_it_is_told_to() {
    let mut whole = clip(fake());
    whole.step([click(40.0, 60.0), FORWARD]);
    whole.finish();
    let object = whole.objects()[0];

    let mut desk = clip(slow_fake(Duration::ZERO, Duration::from_millis(10)));
    desk.step([click(40.0, 60.0)]);
    desk.run([FORWARD]);
    desk.until("some frames are tracked", |s| s.project().track(object).count() > 8);
    let mut desk = desk.restart(fake());
    assert!(desk.session.is_paused() && desk.says("Tracking was interrupted"));
    let n = desk.masks(object).len();
    assert!(n > 8 && n < N_FRAMES, "{n}");
    desk.run([Command::TogglePause]);
    desk.finish();
    assert_eq!(desk.masks(object), whole.masks(object));
    desk.step([Command::Undo]);
    assert_eq!(desk.masks(object).len(), 1, "all of it is still one step");
}

#[test]
fn undo_of_tracking_while_it_runs_ends_it() {
    let mut desk = clip(slow_fake(Duration::ZERO, Duration::from_millis(10)));
    desk.step([click(40.0, 60.0)]);
    desk.run([FORWARD]);
    let object = desk.objects()[0];
    desk.until("some frames are tracked", |s| s.project().track(object).count() > 5);
    desk.run([Command::Undo]);
    std::thread::sleep(Duration::from_millis(60));
    desk.finish();
    assert_eq!(desk.masks(object).len(), 1);
    desk.run([FORWARD]);
    desk.finish();
    assert_eq!(desk.masks(object).len(), N_FRAMES);
}

#[test]
fn an_object_can_be_added_at_any_time() {
    let mut desk = clip(slow_fake(Duration::ZERO, Duration::from_millis(20)));
    desk.step([click(40.0, 60.0)]);
    desk.run([FORWARD]);
    desk.run([Command::Accept, Command::GoToFrame(10), click(100.0, 20.0)]);
    desk.until("the click is answered", |s| s.segments().all(|(.., segment)| segment.is_answered));
    assert!(!desk.session.project().runs.is_empty());
    desk.run([FORWARD]);
    assert!(!desk.session.is_paused(), "the key begins the new object's tracking, too");
    desk.finish();
    let [first, second] =
        desk.session.project().objects_of(desk.media()[0]).map(|(id, _)| id).collect::<Vec<_>>()[..]
    else {
        panic!()
    };
    assert_eq!(desk.masks(first).len(), N_FRAMES);
    assert_eq!(desk.masks(second).len(), N_FRAMES - 10);
}

#[test]
fn tracks_are_split_swapped_joined_and_renumbered() {
    let mut desk = clip(fake());
    desk.step([click(40.0, 60.0), Command::Accept, click(40.0, 20.0), Command::Accept, FORWARD]);
    desk.finish();
    let medium = desk.media()[0];
    let ids = |desk: &Desk| desk.session.project().objects_of(medium).map(|(id, _)| id).collect::<Vec<_>>();
    let [a, b] = ids(&desk)[..] else { panic!() };
    let (of_a, of_b) = (desk.masks(a), desk.masks(b));
    desk.step([Command::GoToFrame(20), Command::Select(a), Command::ToggleSelected(b), Command::SwapTracks]);
    assert_eq!((&desk.masks(a)[..20], &desk.masks(a)[20..]), (&of_a[..20], &of_b[20..]));
    desk.step([Command::Undo]);
    assert_eq!((desk.masks(a), desk.masks(b)), (of_a.clone(), of_b));
    desk.step([Command::Select(a), Command::SplitTrack]);
    let c = desk.session.selection()[0];
    assert_eq!((desk.masks(a).len(), desk.masks(c).len()), (20, 20));
    desk.step([Command::Select(a), Command::ToggleSelected(c), Command::Join]);
    assert_eq!(desk.masks(a), of_a);
    desk.step([Command::Renumber(a, 7)]);
    assert_eq!(desk.masks(ObjectId(7)), of_a);
    assert_eq!(ids(&desk), [b, ObjectId(7)]);
}

#[test]
fn masks_are_copied_pasted_and_deleted_over_frames() {
    let mut desk = clip(fake());
    desk.step([click(40.0, 60.0), Command::Propagate(Way::Forward, Extent::Frames(9))]);
    desk.finish();
    let object = desk.objects()[0];
    desk.step([Command::SetSpan(Some((2, 4))), Command::CopyTrack]);
    desk.step([Command::SetSpan(None), Command::GoToFrame(20), Command::PasteTrack]);
    let frames = |desk: &Desk| desk.masks(object).iter().map(|(frame, _)| *frame).collect::<Vec<_>>();
    assert_eq!(frames(&desk), (0..10).chain(20..23).collect::<Vec<_>>());
    assert_eq!(desk.segment(object, 21).mask, desk.segment(object, 3).mask);
    desk.step([Command::SetSpan(Some((5, 21))), Command::DeleteHere]);
    assert_eq!(frames(&desk), [0, 1, 2, 3, 4, 22]);
    desk.step([Command::SetSpan(None), Command::Delete]);
    assert!(desk.session.project().objects.is_empty(), "without chosen frames the whole object goes");
    desk.step([Command::Undo]);
    assert_eq!(frames(&desk), [0, 1, 2, 3, 4, 22]);
}

#[test]
fn boxes_between_boxes_are_interpolated() {
    let mut desk = clip(fake());
    desk.step([Command::SetBox(rect(10.0, 10.0, 30.0, 30.0))]);
    let object = desk.objects()[0];
    // A box without a mask, as imports have them.
    desk.step([Command::Undo]);
    assert!(desk.objects().is_empty());
    let file = desk.folder.path().join("boxes.json");
    let image = |id: usize, frame: usize| {
        format!(
            r#"{{"id":{id},"file_name":"clip/{frame:06}.jpg","width":160,"height":120,"video_id":1,"frame_index":{frame}}}"#
        )
    };
    let annotation = |id: usize, image: usize, x: usize| {
        format!(
            r#"{{"id":{id},"image_id":{image},"category_id":1,"bbox":[{x},10,20,20],"area":400,"iscrowd":0,"track_id":1,"segmentation":[]}}"#
        )
    };
    let text = format!(
        r#"{{"videos":[{{"id":1,"name":"clip.mp4","width":160,"height":120}}],"images":[{},{}],
        "categories":[{{"id":1,"name":"object"}}],"annotations":[{},{}]}}"#,
        image(1, 0),
        image(2, 10),
        annotation(1, 1, 10),
        annotation(2, 2, 50)
    );
    crate::desk::write(&file, &text);
    desk.step([Command::Import(file)]);
    let object = desk.objects().first().copied().unwrap_or(object);
    desk.step([Command::Select(object), Command::InterpolateBoxes]);
    let between = desk.segment(object, 5).bounds().unwrap();
    assert_eq!([between.x0, between.y0, between.x1, between.y1], [30.0, 10.0, 50.0, 30.0]);
    assert!(desk.masks(object).is_empty());
    desk.step([Command::MasksForBoxes(Scope::Image)]);
    assert_eq!(desk.masks(object).len(), 11);
    let mask = desk.segment(object, 5).mask.clone().unwrap();
    assert!(mask.contains(40, 20), "the mask of a box is where the box is: {:?}", mask.bbox());
}

#[test]
fn all_that_a_frame_shows_is_proposed_and_can_be_tracked() {
    let mut desk = clip(fake());
    desk.step([Command::GoToFrame(7), Command::SegmentEverything(Scope::Image)]);
    let objects = desk.objects();
    assert!(!objects.is_empty(), "{:?}", desk.session.notices.shown());
    let frames = |desk: &Desk| -> Vec<usize> {
        desk.track_of(objects[0]).into_iter().map(|(frame, _)| frame).collect()
    };
    assert_eq!(frames(&desk), [7]);
    desk.step([Command::NextObject, Command::Accept, Command::RejectAll(Proposals::HERE)]);
    desk.step([Command::Select(objects[0]), Command::Propagate(Way::Forward, Extent::Frames(3))]);
    desk.finish();
    assert_eq!(frames(&desk), [7, 8, 9, 10]);
}

#[test]
fn a_video_plays_forward_backward_faster_and_slower() {
    let mut desk = clip(fake());
    desk.run([Command::Play(Direction::Forward)]);
    let plays = |desk: &mut Desk, n: usize| {
        for _ in 0..n {
            desk.seen.elapsed = Duration::from_millis(40);
            let frame = desk.session.player().frame;
            desk.run([]);
            desk.seen.elapsed = Duration::ZERO;
            desk.until("the next frames are there", |s| {
                let next = s.player().frame + 1;
                s.player().frame != frame || !s.player().plays() || next > N_FRAMES
            });
        }
        desk.session.player().frame
    };
    desk.until("frames are read ahead", |s| s.picture().is_some());
    std::thread::sleep(Duration::from_millis(200));
    desk.run([]);
    let frame = plays(&mut desk, 1);
    assert!(frame >= 1, "{frame}");
    desk.run([Command::Play(Direction::Forward)]);
    assert!(!desk.session.player().plays());
    assert_eq!(desk.session.player().speed(), 1.0);
    desk.run([Command::Faster, Command::Faster]);
    assert_eq!(desk.session.player().speed(), 4.0);
    desk.run([Command::Slower, Command::Slower, Command::Slower]);
    assert_eq!(desk.session.player().speed(), 0.5);
}

#[test]
fn keyframes_are_gone_to_one_by_one() {
    let mut desk = clip(fake());
    desk.step([Command::GoToFrame(5), click(40.0, 60.0), Command::GoToFrame(30), click_off(90.0, 60.0)]);
    desk.step([Command::First]);
    for (command, frame) in [
        (Command::NextKeyframe, 5),
        (Command::NextKeyframe, 30),
        (Command::NextKeyframe, 30),
        (Command::PreviousKeyframe, 5),
    ] {
        desk.run([command]);
        assert_eq!(desk.session.player().frame, frame);
    }
}

#[test]
fn the_command_line_goes_on_with_a_project_and_makes_the_masks_that_the_window_makes() {
    let builtin = || -> Load {
        Load::new(|| {
            let runtime = engine::nn::Runtime::start(None, None).unwrap();
            let weights = engine::models::open(engine::models::BUILTIN).unwrap();
            let look = engine::sam2::Look::CAREFUL;
            Ok(Box::new(Sam2Segmenter::load("builtin", &runtime, &weights, look).unwrap())
                as Box<dyn Segmenter>)
        })
    };
    // The window: a box, tracked half way, stopped; then corrected and tracked to the end.
    let mut desk = clip(builtin());
    desk.step([
        Command::SetBox(rect(8.0, 38.0, 42.0, 72.0)),
        Command::Propagate(Way::Forward, Extent::Frames(12)),
    ]);
    desk.finish();
    let object = desk.objects()[0];
    let copy = tempfile::tempdir().unwrap();
    let (name, project) = ("clip.mp4", desk.file());
    std::fs::copy(desk.folder.path().join(name), copy.path().join(name)).unwrap();
    desk.run([Command::CloseProject]);
    desk.until("it is closed", |s| s.file().is_none());
    std::thread::sleep(Duration::from_millis(300));
    std::fs::copy(&project, copy.path().join("copy.segue")).unwrap();
    desk.run([Command::Open(vec![project])]);
    desk.until("it is open again", |s| s.picture().is_some());
    desk.step([Command::Select(object), Command::GoToFrame(6)]);
    desk.until("the frame is read", |s| s.picture().is_some());
    desk.step([click(35.0, 55.0)]);
    desk.finish();
    desk.step([Command::Deselect, Command::First, FORWARD]);
    desk.finish();
    let of_window = desk.masks(object);
    assert_eq!(of_window.len(), N_FRAMES);

    // The same without one.
    let corrections =
        format!(r#"{{"objects":[{{"id":{},"prompts":[{{"frame":6,"points":[[35,55,1]]}}]}}]}}"#, object.0);
    crate::desk::write(&copy.path().join("corrections.json"), &corrections);
    let args = [
        "track",
        "copy.segue",
        "--prompts",
        "corrections.json",
        "--direction",
        "forward",
        "--out",
        "out.json",
    ];
    crate::segue::succeed(copy.path(), &args);
    let history = engine::project::Store::open(&copy.path().join("copy.segue")).unwrap().history;
    let track = history.now().track(object);
    let of_command: Vec<_> =
        track.filter_map(|(frame, segment)| Some((frame, segment.mask.clone()?))).collect();
    assert!(of_window == of_command, "the masks differ");
    assert!(copy.path().join("out.json").exists());
}

#[test]
fn a_stroke_on_a_tracked_mask_is_a_correction_too() {
    let (log, load) = logged(Duration::ZERO);
    let mut desk = clip(load);
    desk.step([click(40.0, 60.0), FORWARD]);
    desk.finish();
    tracked(&log);
    let stroke = Command::Stroke {
        points: vec![at(20.0, 110.0), at(60.0, 110.0)],
        label: engine::prompt::Label::Positive,
    };
    desk.step([Command::GoToFrame(10), stroke]);
    desk.finish();
    let object = desk.objects()[0];
    assert!(desk.segment(object, 10).mask.as_ref().unwrap().contains(40, 110));
    assert!(desk.segment(object, 12).mask.as_ref().unwrap().contains(44, 110));
    assert!(!tracked(&log).is_empty());
}

#[test]
fn tracking_waits_for_a_server_that_is_away_and_goes_on() {
    let away = Arc::new(Mutex::new(None));
    let of_model = away.clone();
    let mut desk = clip(Load::new(move || {
        let mut fake = FakeSegmenter::new(Duration::ZERO, Duration::from_millis(5));
        fake.away = of_model.clone();
        Ok(Box::new(fake) as Box<dyn Segmenter>)
    }));
    desk.step([click(40.0, 60.0), FORWARD]);
    desk.until("some are tracked", |s| s.project().segments.len() > 5);
    *away.lock().unwrap() = Some("kserve://gpu:8000".parse().unwrap());
    desk.until("it waits", Session::is_paused);
    assert!(desk.says("Tracking pauses at frame") && desk.says("the server kserve://gpu:8000 is not ready"));
    assert!(!desk.session.project().runs.is_empty(), "what is left stays to be tracked");
    let object = desk.objects()[0];
    assert!((6..N_FRAMES).contains(&desk.masks(object).len()));
    *away.lock().unwrap() = None;
    desk.run([Command::TogglePause]);
    desk.finish();
    assert_eq!(desk.masks(object).len(), N_FRAMES);
}
