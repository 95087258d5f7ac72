//! Tracking through the segmenter: as the tracker does it, without reading or looking twice.

use std::{ops::Range, path::PathBuf, sync::Arc};

use engine::{
    frame::{Direction, Frames, PictureKind},
    geometry::{Rect, Size},
    mask::{Mask, Rle},
    media::MediaError,
    nn::{Cancel, Device, Runtime},
    picture::Picture,
    project::{FrameId, MediumId, RunId},
    sam2::{Look, Segment, TrackOptions, Tracker, Weights},
    segmenter::{FakeSegmenter, Found, Sam2Segmenter, SegmentError, Segmenter},
};
use image::{Rgb, RgbImage};

const SIZE: Size = Size::new(160, 96);
const N_FRAMES: usize = 24;

/// A red disk goes to the right and a blue one down, on green; it counts how often a frame is read.
#[derive(Default)]
struct Clip {
    n_read: usize,
}

impl Clip {
    const RED: u32 = 0;
    const BLUE: u32 = 1;

    fn has(disk: u32, i: usize, x: usize, y: usize) -> bool {
        let (center_x, center_y) =
            if disk == Self::RED { (30.0 + 3.0 * i as f32, 40.0) } else { (128.0, 14.0 + 2.0 * i as f32) };
        (x as f32 - center_x).hypot(y as f32 - center_y) < if disk == Self::RED { 20.0 } else { 12.0 }
    }

    /// Where the red disk covers the blue one, it is not seen.
    fn mask(disk: u32, i: usize) -> Mask {
        let on = |at: usize| {
            let (x, y) = (at % SIZE.width, at / SIZE.width);
            Self::has(disk, i, x, y) && (disk == Self::RED || !Self::has(Self::RED, i, x, y))
        };
        Mask::new(SIZE, (0..SIZE.area()).map(on).collect())
    }

    fn given(disk: u32, i: usize) -> Arc<Rle> {
        Arc::new(Rle::encode(&Self::mask(disk, i)))
    }
}

impl Frames for Clip {
    type Error = MediaError;
    fn n_frames(&self) -> usize {
        N_FRAMES
    }
    fn size(&self) -> Size {
        SIZE
    }
    fn frame(&mut self, i: usize) -> Result<RgbImage, MediaError> {
        if i >= N_FRAMES {
            return Err(MediaError::NoSuchFrame {
                path: PathBuf::from("clip"),
                frame: i,
                n_frames: N_FRAMES,
            });
        }
        self.n_read += 1;
        Ok(RgbImage::from_fn(SIZE.width as u32, SIZE.height as u32, |x, y| {
            let noise = ((x * 37 + y * 91 + x * y * 7) % 40) as u8;
            let has = |disk| Self::has(disk, i, x as usize, y as usize);
            let other = if has(Self::BLUE) { [50, 60 + noise, 190] } else { [60 + noise, 130, 50] };
            Rgb(if has(Self::RED) { [190, 60 + noise, 50] } else { other })
        }))
    }
}

fn at(frame: usize) -> FrameId {
    FrameId { medium: MediumId(1), frame }
}

fn run(n: u32) -> RunId {
    RunId { step: 1, n }
}

fn runtime() -> Runtime {
    Runtime::start(Some(Device::Cpu), None).unwrap()
}

fn segmenter() -> Sam2Segmenter {
    looking(Look::default())
}

fn looking(look: Look) -> Sam2Segmenter {
    Sam2Segmenter::load("builtin", &runtime(), &Weights::builtin().unwrap(), look).unwrap()
}

fn remember(segmenter: &mut dyn Segmenter, n: u32, frame: usize, mask: &Arc<Rle>, clip: &mut Clip) {
    segmenter.remember(run(n), at(frame), mask, true, clip, &Cancel::default()).unwrap();
}

fn track(segmenter: &mut dyn Segmenter, n: u32, frames: Range<usize>, clip: &mut Clip) -> Vec<Found> {
    let mut track =
        |frame| segmenter.track(&[run(n)], at(frame), Direction::Forward, clip, &Cancel::default()).unwrap();
    frames.flat_map(&mut track).collect()
}

fn is_nothing_given(segmenter: &mut dyn Segmenter, n: u32, clip: &mut Clip) -> bool {
    let tracked = segmenter.track(&[run(n)], at(5), Direction::Forward, clip, &Cancel::default());
    matches!(tracked, Err(SegmentError::NothingGiven))
}

#[test]
fn colors_that_a_person_has_checked_correct_tracked_masks() {
    let mean = |look| {
        let (mut segmenter, mut clip) = (looking(look), Clip::default());
        remember(&mut segmenter, 0, 0, &Clip::given(Clip::RED, 0), &mut clip);
        let found = track(&mut segmenter, 0, 1..N_FRAMES, &mut clip);
        let ious = (1..).zip(&found).map(|(i, found)| found.mask.iou(&Clip::given(Clip::RED, i)));
        ious.sum::<f64>() / found.len() as f64
    };
    let (plain, careful) = (mean(Look::default()), mean(Look::CAREFUL));
    assert!(careful > plain + 0.01 && careful > 0.95, "{careful:.3} with colors, {plain:.3} without");
}

/// A person wants the upper half of a disk, where a model would rather have it whole.
#[test]
fn a_correction_holds_on_the_frames_behind_and_before_it() {
    let upper = |frame: usize| {
        let disk = Clip::given(Clip::RED, frame);
        let [_, y, _, height] = disk.bbox();
        let above = Rect { x0: 0.0, y0: 0.0, x1: SIZE.width as f32, y1: (y + height / 2) as f32 };
        Arc::new(disk.intersection(&Rle::of_rect(above, SIZE)))
    };
    let ious = |look| {
        let (mut segmenter, mut clip) = (looking(look), Clip::default());
        remember(&mut segmenter, 0, 0, &upper(0), &mut clip);
        remember(&mut segmenter, 0, 7, &upper(7), &mut clip);
        let found = track(&mut segmenter, 0, 1..7, &mut clip);
        [1, 6].map(|frame| found[frame - 1].mask.iou(&upper(frame)))
    };
    let (plain, careful) = (ious(Look::default()), ious(Look::CAREFUL));
    let is_held = |i: usize| careful[i] > 0.75 && careful[i] > plain[i] + 0.2;
    assert!(is_held(0) && is_held(1), "{careful:?}, the model alone {plain:?}");
}

/// Some masks are right, one is of the other disk, and one says that the disk is not there.
#[test]
fn a_run_finds_what_the_tracker_finds() {
    let cancel = Cancel::default();
    let absent = Arc::new(Rle::empty(SIZE));
    let said: [&[(usize, Arc<Rle>)]; 3] = [
        &[(2, Clip::given(Clip::RED, 2))],
        &[(4, absent), (8, Clip::given(Clip::BLUE, 8))],
        &[0, 1, 3, 5, 20].map(|i| (i, Clip::given(if i == 3 { Clip::BLUE } else { Clip::RED }, i))),
    ];
    let ways: [(Direction, Vec<usize>); 2] =
        [(Direction::Forward, (0..N_FRAMES).collect()), (Direction::Backward, (0..N_FRAMES).rev().collect())];
    let (mut segmenter, mut clip) = (segmenter(), Clip::default());
    for (direction, way) in ways {
        for said in said {
            let options = TrackOptions::default();
            let mut tracker = Tracker::load(&runtime(), &Weights::builtin().unwrap(), options).unwrap();
            let mut any = false;
            for frame in way.iter().copied() {
                if let Some((_, mask)) = said.iter().find(|(f, _)| *f == frame) {
                    tracker.prompt_mask(&mut clip, 1, frame, &mask.decode(), &cancel).unwrap();
                    segmenter.remember(run(0), at(frame), mask, true, &mut clip, &cancel).unwrap();
                    any = true;
                } else if any {
                    let want = tracker.track(&mut clip, frame, direction, &[1], &cancel).unwrap().remove(0);
                    let found = segmenter
                        .track(&[run(0)], at(frame), direction, &mut clip, &cancel)
                        .unwrap()
                        .remove(0);
                    let mask = Rle::encode(&want.mask);
                    let want = Found { mask, iou: want.iou, object_score: want.object_score };
                    assert_eq!(found, want, "frame {frame} {direction:?}");
                }
            }
            segmenter.forget(run(0));
        }
    }
}

/// One is given on two frames, so that it looks at more than the other two.
#[test]
fn objects_that_go_through_the_model_together_are_found_as_they_are_alone() {
    let cancel = Cancel::default();
    let tracked = |batch: usize| {
        let options = TrackOptions { batch: Some(batch), ..TrackOptions::default() };
        let mut tracker = Tracker::load(&runtime(), &Weights::builtin().unwrap(), options).unwrap();
        let mut clip = Clip::default();
        for (object, disk, frames) in
            [(1, Clip::RED, &[0][..]), (2, Clip::BLUE, &[0, 1]), (3, Clip::BLUE, &[0])]
        {
            for frame in frames {
                let mask = Clip::given(disk, *frame).decode();
                tracker.prompt_mask(&mut clip, object, *frame, &mask, &cancel).unwrap();
            }
        }
        let mut track =
            |frame| tracker.track(&mut clip, frame, Direction::Forward, &[1, 2, 3], &cancel).unwrap();
        (0..6).flat_map(&mut track).collect::<Vec<Segment>>()
    };
    let (alone, together) = (tracked(1), tracked(8));
    assert_eq!(alone.len(), 18);
    for (alone, together) in alone.iter().zip(&together) {
        assert_eq!(alone.object, together.object);
        let pairs = alone.logits.values.iter().zip(&together.logits.values);
        let off = pairs.map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
        assert!(off < 0.02, "object {}: logits are {off} apart", alone.object);
        assert!(alone.mask.bits().iter().any(|on| *on), "object {} was lost", alone.object);
    }
}

/// Those of a batch share what is known of the frame, and each remembers its own.
#[test]
fn runs_that_are_tracked_together_find_what_they_find_alone() {
    for look in [Look::default(), Look::CAREFUL] {
        let (mut segmenter, mut clip) = (looking(look), Clip::default());
        for (n, disk) in [(0, Clip::RED), (1, Clip::BLUE), (2, Clip::RED), (3, Clip::BLUE)] {
            remember(&mut segmenter, n, 0, &Clip::given(disk, 0), &mut clip);
        }
        let alone = [track(&mut segmenter, 0, 1..5, &mut clip), track(&mut segmenter, 1, 1..5, &mut clip)];
        for frame in 1..5 {
            let runs = [run(2), run(3)];
            let found = segmenter.track(&runs, at(frame), Direction::Forward, &mut clip, &Cancel::default());
            for (found, alone) in found.unwrap().iter().zip(&alone) {
                let alone = &alone[frame - 1];
                assert!(found.mask.iou(&alone.mask) > 0.99 && alone.mask.area() > 0, "frame {frame}");
                assert!((found.iou - alone.iou).abs() < 1e-3);
                assert!((found.object_score - alone.object_score).abs() < 1e-3);
            }
        }
    }
}

#[test]
fn a_run_that_is_resumed_goes_on_much_as_if_it_had_not_stopped() {
    let (mut segmenter, mut clip) = (segmenter(), Clip::default());
    let given = Clip::given(Clip::RED, 0);
    remember(&mut segmenter, 0, 0, &given, &mut clip);
    let whole = track(&mut segmenter, 0, 1..N_FRAMES, &mut clip);
    remember(&mut segmenter, 1, 0, &given, &mut clip);
    for frame in 6..12 {
        let mask = Arc::new(whole[frame - 1].mask.clone());
        segmenter.remember(run(1), at(frame), &mask, false, &mut clip, &Cancel::default()).unwrap();
    }
    let rest = track(&mut segmenter, 1, 12..N_FRAMES, &mut clip);
    let ious = rest.iter().zip(&whole[11..]).map(|(found, before)| found.mask.iou(&before.mask));
    let mean = ious.sum::<f64>() / rest.len() as f64;
    assert!(mean >= 0.9, "mean IoU {mean}");
    let last = whole.last().unwrap().mask.iou(&Clip::given(Clip::RED, N_FRAMES - 1));
    assert!(last >= 0.7, "the disk was lost, IoU {last}, so this test tells nothing");
}

#[test]
fn frames_and_masks_that_are_known_are_not_read_again() {
    let (mut segmenter, mut clip) = (segmenter(), Clip::default());
    let red = Clip::given(Clip::RED, 0);
    remember(&mut segmenter, 0, 0, &red, &mut clip);
    let first = track(&mut segmenter, 0, 1..5, &mut clip);
    assert_eq!(clip.n_read, 5);
    // Another object, and the same one again, known by a mask that is equal.
    remember(&mut segmenter, 1, 0, &Clip::given(Clip::BLUE, 0), &mut clip);
    track(&mut segmenter, 1, 1..5, &mut clip);
    remember(&mut segmenter, 2, 0, &Arc::new((*red).clone()), &mut clip);
    assert_eq!(track(&mut segmenter, 2, 1..5, &mut clip), first);
    assert_eq!(clip.n_read, 5);
    // What is shown was looked at for clicks.
    let picture = Arc::new(Picture::new(at(5), PictureKind::Frame, clip.frame(5).unwrap()));
    segmenter.encode(&picture, &Cancel::default()).unwrap();
    let lent = track(&mut segmenter, 0, 5..6, &mut clip);
    assert_eq!(clip.n_read, 6);
    segmenter.forget_frames();
    assert!(is_nothing_given(&mut segmenter, 0, &mut clip) && !segmenter.is_encoded(&picture));
    remember(&mut segmenter, 0, 0, &red, &mut clip);
    assert_eq!(track(&mut segmenter, 0, 1..6, &mut clip), [first, lent].concat());
    assert_eq!(clip.n_read, 12);
}

#[test]
fn a_frame_of_another_video_is_another_frame() {
    let (mut segmenter, mut clip, cancel) = (segmenter(), Clip::default(), Cancel::default());
    let red = Clip::given(Clip::RED, 0);
    for medium in [MediumId(1), MediumId(2)] {
        let at = FrameId { medium, frame: 0 };
        segmenter.remember(run(medium.0), at, &red, true, &mut clip, &cancel).unwrap();
    }
    assert_eq!(clip.n_read, 2);
}

#[test]
fn what_cannot_be_tracked_is_refused() {
    let (mut clip, cancel) = (Clip::default(), Cancel::default());
    let segmenters: [Box<dyn Segmenter>; 2] = [Box::new(segmenter()), Box::<FakeSegmenter>::default()];
    for mut segmenter in segmenters {
        let segmenter = &mut *segmenter;
        assert!(is_nothing_given(segmenter, 0, &mut clip));
        let tall = Arc::new(Rle::empty(Size::new(96, 160)));
        let refused = segmenter.remember(run(0), at(0), &tall, true, &mut clip, &cancel);
        assert!(matches!(refused, Err(SegmentError::BaseSize { .. })));
        // What was found earlier says nothing without what was given.
        segmenter.remember(run(0), at(0), &Clip::given(0, 0), false, &mut clip, &cancel).unwrap();
        assert!(is_nothing_given(segmenter, 0, &mut clip));
        remember(segmenter, 0, 0, &Clip::given(0, 0), &mut clip);
        let past = segmenter.track(&[run(0)], at(N_FRAMES), Direction::Forward, &mut clip, &cancel);
        assert!(matches!(past, Err(SegmentError::Frame(MediaError::NoSuchFrame { .. }))));
        let canceled = Cancel::default();
        canceled.cancel();
        let tracked = segmenter.track(&[run(0)], at(1), Direction::Forward, &mut clip, &canceled);
        assert!(matches!(tracked, Err(SegmentError::Canceled)));
        track(segmenter, 0, 1..2, &mut clip);
        assert!(is_nothing_given(segmenter, 1, &mut clip), "another run knows nothing of it");
        segmenter.forget(run(0));
        assert!(is_nothing_given(segmenter, 0, &mut clip));
    }
}
