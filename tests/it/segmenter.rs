//! What answers clicks: the built-in model with its memory, and the fake one.

use std::{
    sync::{Arc, atomic::Ordering},
    time::{Duration, Instant},
};

use engine::{
    frame::{Direction, Frames, PictureKind},
    geometry::{Point, Rect, Size},
    mask::{Mask, Rle},
    media::MediaError,
    nn::{Cancel, Device, Runtime},
    picture::Picture,
    project::{FrameId, MediumId, Question, RunId},
    prompt::{Label, PointPrompt, Prompt},
    sam2::{ImageModel, Look, Weights},
    segmenter::{Answer, FakeSegmenter, Sam2Segmenter, SegmentError, Segmenter},
};
use image::{Rgb, RgbImage};

use crate::formula;

const SIZE: Size = Size::new(160, 96);

fn segmenter(look: Look) -> Sam2Segmenter {
    let runtime = Runtime::start(Some(Device::Cpu), None).unwrap();
    Sam2Segmenter::load("builtin", &runtime, &Weights::builtin().unwrap(), look).unwrap()
}

fn picture(pixels: RgbImage) -> Arc<Picture> {
    Arc::new(Picture::new(FrameId { medium: MediumId(1), frame: 0 }, PictureKind::Photo, pixels))
}

/// Three blobs on a noisy ground.
fn blobs() -> Arc<Picture> {
    picture(formula::frame(0, SIZE))
}

/// A red disk of radius 24 at 50,48 beside a blue one at 115,48, on green.
fn disks() -> Arc<Picture> {
    picture(RgbImage::from_fn(160, 96, |x, y| {
        let noise = ((x * 37 + y * 91 + x * y * 7) % 40) as u8;
        let has = |center: f32| (x as f32 - center).hypot(y as f32 - 48.0) < 24.0;
        let other = if has(115.0) { [50, 60 + noise, 190] } else { [60 + noise, 130, 50] };
        Rgb(if has(50.0) { [190, 60 + noise, 50] } else { other })
    }))
}

fn disk(center: f32, radius: f32) -> Mask {
    let on = |i: usize| ((i % 160) as f32 - center).hypot((i / 160) as f32 - 48.0) < radius;
    Mask::new(SIZE, (0..SIZE.area()).map(on).collect())
}

fn clicks(points: &[(f32, f32, Label)]) -> Question {
    let point = |&(x, y, label): &(f32, f32, Label)| PointPrompt { at: Point { x, y }, label };
    let prompt = Prompt { points: points.iter().map(point).collect(), rect: None };
    Question { prompt, ..Question::default() }
}

fn ask(segmenter: &mut dyn Segmenter, picture: &Arc<Picture>, question: &Question) -> Answer {
    segmenter.answer(picture, question, &Cancel::default()).unwrap()
}

use Label::{Negative, Positive};

#[test]
fn questions_that_share_clicks_are_answered_as_if_each_came_alone() {
    let picture = blobs();
    let all =
        [(40.0, 36.0, Positive), (50.0, 50.0, Positive), (20.0, 80.0, Negative), (90.0, 70.0, Negative)];
    let hover = [all[0], all[1], (60.0, 30.0, Positive)];
    let boxed = |points: &[(f32, f32, Label)]| {
        let mut question = clicks(points);
        question.prompt.rect = Some(Rect { x0: 20.0, y0: 20.0, x1: 100.0, y1: 80.0 });
        question
    };
    let base = Some(Arc::new(Rle::encode(&disk(50.0, 20.0))));
    let questions = [
        clicks(&all[..1]),
        clicks(&all[..2]),
        clicks(&all),
        clicks(&hover),
        Question { choice: 1, ..clicks(&hover) },
        Question { base: base.clone(), ..clicks(&hover) },
        Question { base, ..clicks(&all[..3]) },
        clicks(&all[..2]),
        boxed(&[]),
        boxed(&all[..2]),
        boxed(&all),
        boxed(&all[..1]),
    ];
    for look in [Look::default(), Look::CAREFUL] {
        let mut last = segmenter(look);
        for question in &questions {
            assert_eq!(ask(&mut last, &picture, question), ask(&mut segmenter(look), &picture, question));
        }
    }
}

#[test]
fn answers_are_those_of_the_model_clicked_through() {
    let picture = blobs();
    let runtime = Runtime::start(Some(Device::Cpu), None).unwrap();
    let mut model = ImageModel::load(&runtime, &Weights::builtin().unwrap()).unwrap();
    let cancel = Cancel::default();
    let mut question = clicks(&[(40.0, 36.0, Positive), (50.0, 50.0, Positive)]);
    for rect in [None, Some(Rect { x0: 25.0, y0: 20.0, x1: 70.0, y1: 66.0 })] {
        question.prompt.rect = rect;
        for look in [Look::default(), Look { mirror: true, ..Look::default() }, Look::CAREFUL] {
            let view =
                model.view(picture.pixels(), PictureKind::Photo, &question.prompt, look, &cancel).unwrap();
            let said = model.click_through(&view, &question.prompt, &cancel).unwrap();
            let mask = Rle::encode(&view.mask(picture.pixels(), &question.prompt, &said.logits));
            assert_eq!(ask(&mut segmenter(look), &picture, &question), Answer { mask, iou: said.iou });
        }
    }
}

#[test]
fn choices_differ_and_come_round_again() {
    let (picture, mut segmenter) = (blobs(), segmenter(Look::CAREFUL));
    let click = Point { x: 40.0, y: 36.0 };
    let question = |choice| Question { choice, ..clicks(&[(click.x, click.y, Positive)]) };
    let answers: Vec<Answer> =
        (0..8).map(|choice| ask(&mut segmenter, &picture, &question(choice))).collect();
    let n = 1 + answers[1..].iter().position(|answer| *answer == answers[0]).unwrap();
    assert!(n > 1, "one click means one thing only, so this test tells nothing");
    assert!((n..8).all(|i| answers[i] == answers[i % n]));
    assert!((0..n).all(|i| (0..i).all(|j| answers[i].mask != answers[j].mask)));
    assert!(answers[1..n].is_sorted_by(|a, b| a.iou >= b.iou));
    for candidate in segmenter.candidates(&picture, click, &Cancel::default()).unwrap() {
        let answer = &answers[usize::from(candidate.choice)];
        assert_eq!(candidate.iou, answer.iou);
        let rough = candidate.mask.decode().resize(SIZE);
        assert!(rough.iou(&answer.mask.decode()) > 0.5, "choice {} is another mask", candidate.choice);
    }
}

#[test]
fn a_click_beside_a_mask_made_by_hand_adds_to_it_and_one_off_it_takes_away() {
    let (picture, mut segmenter) = (disks(), segmenter(Look::CAREFUL));
    let hand = disk(50.0, 24.0);
    let base = Some(Arc::new(Rle::encode(&hand)));
    let grown = ask(&mut segmenter, &picture, &Question { base, ..clicks(&[(115.0, 48.0, Positive)]) });
    let grown = grown.mask.decode();
    let share = |mask: &Mask| grown.intersection(mask).area() as f64 / mask.area() as f64;
    assert_eq!(share(&hand), 1.0, "what was drawn stays");
    assert!(share(&disk(115.0, 24.0)) > 0.8, "{} of what was clicked came", share(&disk(115.0, 24.0)));
    assert!(grown.area() < 2 * hand.area() + 400);

    let both = hand.union(&disk(115.0, 24.0));
    let base = Some(Arc::new(Rle::encode(&both)));
    let less = ask(&mut segmenter, &picture, &Question { base, ..clicks(&[(115.0, 48.0, Negative)]) });
    let less = less.mask.decode();
    assert!(less.iou(&hand) > 0.9, "{} of the rest", less.iou(&hand));
    assert_eq!(less.union(&both), both, "nothing came that nobody asked for");

    // A mask without a pixel is none.
    let nothing = Some(Arc::new(Rle::encode(&Mask::empty(SIZE))));
    let question = clicks(&[(50.0, 48.0, Positive)]);
    let of_nothing = ask(&mut segmenter, &picture, &Question { base: nothing, ..question.clone() });
    assert_eq!(of_nothing, ask(&mut segmenter, &picture, &question));
}

#[test]
fn a_box_round_a_mask_made_by_hand_asks_for_all_of_it_anew() {
    let (picture, mut segmenter) = (disks(), segmenter(Look::CAREFUL));
    let base = Some(Arc::new(Rle::encode(&disk(50.0, 12.0))));
    let rect = Some(Rect { x0: 25.0, y0: 23.0, x1: 75.0, y1: 73.0 });
    let question = Question { base, prompt: Prompt { points: vec![], rect }, choice: 0 };
    let redrawn = ask(&mut segmenter, &picture, &question).mask.decode();
    assert!(redrawn.iou(&disk(50.0, 24.0)) > 0.8, "{}", redrawn.iou(&disk(50.0, 24.0)));
}

#[test]
fn what_cannot_be_asked_is_refused_in_a_sentence() {
    let picture = blobs();
    let cancel = Cancel::default();
    let base = Some(Arc::new(Rle::encode(&Mask::empty(Size::new(96, 160)))));
    let segmenters: [Box<dyn Segmenter>; 2] =
        [Box::new(segmenter(Look::CAREFUL)), Box::<FakeSegmenter>::default()];
    for mut segmenter in segmenters {
        let mut refusal =
            |question: &Question| segmenter.answer(&picture, question, &cancel).unwrap_err().to_string();
        assert_eq!(refusal(&Question::default()), "the prompt is empty; give a point, a box or a mask");
        let outside = clicks(&[(161.0, 5.0, Positive)]);
        assert_eq!(refusal(&outside), "point (161, 5) is outside the image, which is 160x96");
        let other = Question { base: base.clone(), ..clicks(&[(5.0, 5.0, Positive)]) };
        assert!(refusal(&other).starts_with("the mask to refine is 96x160 and the image 160x96"));
        assert!(segmenter.candidates(&picture, Point { x: f32::NAN, y: 1.0 }, &cancel).is_err());
    }
}

#[test]
fn canceled_means_canceled_and_the_next_question_is_answered() {
    let (picture, mut segmenter) = (blobs(), segmenter(Look::CAREFUL));
    let question = clicks(&[(40.0, 36.0, Positive)]);
    let canceled = Cancel::default();
    canceled.cancel();
    assert!(matches!(segmenter.encode(&picture, &canceled), Err(SegmentError::Canceled)));
    assert!(!segmenter.is_encoded(&picture));
    assert!(matches!(segmenter.answer(&picture, &question, &canceled), Err(SegmentError::Canceled)));
    let answer = ask(&mut segmenter, &picture, &question);
    assert!(segmenter.is_encoded(&picture));
    assert!(matches!(
        segmenter.answer(&picture, &clicks(&[(9.0, 9.0, Positive)]), &canceled),
        Err(SegmentError::Canceled)
    ));
    assert_eq!(ask(&mut segmenter, &picture, &question), answer);
}

#[test]
fn the_pictures_seen_last_are_kept_and_memory_is_bounded() {
    let mut segmenter = segmenter(Look::CAREFUL);
    let cancel = Cancel::default();
    let pictures: Vec<Arc<Picture>> = (0..100).map(|_| blobs()).collect();
    for picture in &pictures {
        segmenter.encode(picture, &cancel).unwrap();
        // Whoever asks about the first all the time keeps it.
        assert!(segmenter.is_encoded(&pictures[0]));
        ask(&mut segmenter, &pictures[0], &clicks(&[(40.0, 36.0, Positive)]));
    }
    let kept: Vec<bool> = pictures.iter().map(|picture| segmenter.is_encoded(picture)).collect();
    let n_kept = kept.iter().filter(|kept| **kept).count();
    assert!((16..90).contains(&n_kept), "{n_kept} pictures are kept");
    assert!(kept[0] && kept[100 - n_kept + 1..].iter().all(|kept| *kept));
    // The same frame of another project, at the same place in memory perhaps, is another picture.
    drop(pictures);
    assert!(!segmenter.is_encoded(&disks()));
}

/// The formula's clip, and which of its frames were read.
#[derive(Default)]
struct Clip {
    read: Vec<usize>,
}

impl Frames for Clip {
    type Error = MediaError;

    fn n_frames(&self) -> usize {
        4
    }

    fn size(&self) -> Size {
        SIZE
    }

    fn frame(&mut self, i: usize) -> Result<RgbImage, MediaError> {
        self.read.push(i);
        Ok(formula::frame(i, SIZE))
    }
}

#[test]
fn looking_ahead_changes_no_mask_and_reads_no_frame_again() {
    let at = |frame| FrameId { medium: MediumId(1), frame };
    let masks = |looks_ahead: bool, look: Look| {
        let mut segmenter = segmenter(look).looking_ahead(looks_ahead);
        let (mut clip, cancel) = (Clip::default(), Cancel::default());
        let runs = [0, 1].map(|n| RunId { step: 1, n });
        for (run, center) in runs.iter().zip([50.0, 115.0]) {
            let mask = Arc::new(Rle::encode(&disk(center, 24.0)));
            segmenter.remember(*run, at(0), &mask, true, &mut clip, &cancel).unwrap();
        }
        let frames = (1..4).flat_map(|frame| runs.map(|run| (frame, run)));
        let found = frames.map(|(frame, run)| {
            segmenter.track(&[run], at(frame), Direction::Forward, &mut clip, &cancel).unwrap().remove(0)
        });
        (found.collect::<Vec<_>>(), clip.read)
    };
    for look in [Look::default(), Look::CAREFUL] {
        let ((ahead, mut read), (alone, mut read_alone)) = (masks(true, look), masks(false, look));
        assert!(ahead.iter().all(|found| found.mask.area() > 0));
        assert_eq!(ahead, alone);
        read.sort_unstable();
        read_alone.sort_unstable();
        assert_eq!(read, read_alone);
    }
}

#[test]
fn the_fake_is_as_slow_as_told_counts_and_can_be_canceled() {
    let mut fake = FakeSegmenter::new(Duration::from_millis(30), Duration::from_millis(20));
    let (n_encoded, n_answered) = (fake.n_encoded.clone(), fake.n_answered.clone());
    let picture = blobs();
    let start = Instant::now();
    let first = ask(&mut fake, &picture, &clicks(&[(40.0, 40.0, Positive)]));
    assert!(start.elapsed() >= Duration::from_millis(50));
    let question = clicks(&[(40.0, 40.0, Positive), (120.0, 40.0, Positive), (40.0, 40.0, Negative)]);
    let moved = ask(&mut fake, &picture, &question);
    assert_eq!((n_encoded.load(Ordering::SeqCst), n_answered.load(Ordering::SeqCst)), (1, 2));
    assert_eq!(first.mask.bbox(), [20, 20, 40, 40]);
    assert_eq!(moved.mask.bbox(), [100, 20, 40, 40]);

    let mut slow = FakeSegmenter::new(Duration::from_secs(60), Duration::ZERO);
    let cancel = Cancel::default();
    let canceler = cancel.clone();
    let thread = std::thread::Builder::new().spawn(move || {
        std::thread::sleep(Duration::from_millis(20));
        canceler.cancel();
    });
    assert!(matches!(slow.encode(&picture, &cancel), Err(SegmentError::Canceled)));
    assert!(start.elapsed() < Duration::from_secs(30) && !slow.is_encoded(&picture));
    thread.unwrap().join().unwrap();
}
