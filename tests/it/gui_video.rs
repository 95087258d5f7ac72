//! A video in the real window: by its keys, its buttons and its timeline.

use std::time::Duration;

use egui::{Key, Modifiers, PointerButton, Vec2};
use egui_kittest::kittest::Queryable as _;
use engine::project::MediumKind;
use segue::{
    command::{Command, Export},
    session::Session,
};

use crate::{
    desk::{photo, slow_fake},
    gui::{Window, check_looks},
    tracks::write_clip,
};

const N_FRAMES: usize = 40;

fn window() -> (tempfile::TempDir, Window) {
    let folder = tempfile::tempdir().unwrap();
    write_clip(&folder.path().join("clip.mp4"), N_FRAMES);
    let load = slow_fake(Duration::ZERO, Duration::from_millis(8));
    let window = Window::open(folder.path(), load);
    (folder, window)
}

#[test]
fn a_clip_is_opened_clicked_tracked_corrected_undone_reviewed_and_exported() {
    let (folder, mut window) = window();
    assert!(window.session().video().is_some());
    window.click(30.0, 55.0, PointerButton::Primary);
    let object = window.session().segments().next().unwrap().0;

    window.harness.key_press(Key::Space);
    window.until("some frames are tracked", |s| s.project().track(object).count() > 10);
    window.harness.get_by_label_contains("frames to track");

    // Corrected while it runs, from the keyboard and with the mouse.
    for _ in 0..4 {
        window.key(Modifiers::NONE, Key::D);
    }
    assert_eq!(window.session().player().frame, 4);
    window.click(60.0, 100.0, PointerButton::Primary);
    window.until("all is tracked", |s| s.project().runs.is_empty());
    let has = |window: &Window, frame: usize, x: usize| {
        let segment = window.session().project().segment(object, frame).unwrap();
        segment.mask.as_ref().unwrap().contains(x, 100)
    };
    assert!(has(&window, 4, 60) && has(&window, 10, 72) && has(&window, 3, 58));
    assert_eq!(window.session().project().track(object).count(), N_FRAMES);

    window.key(Modifiers::COMMAND, Key::Z);
    assert!(!has(&window, 4, 60) && !has(&window, 10, 72));
    window.key(Modifiers::COMMAND | Modifiers::SHIFT, Key::Z);
    assert!(has(&window, 10, 72));

    // The timeline: a click goes to a frame, a drag with Shift chooses frames, K locks them.
    let timeline = window.harness.get_by_label("Timeline").rect();
    let on_timeline = |share: f32| timeline.left_top() + Vec2::new(timeline.width() * share, 12.0);
    window.press_at(on_timeline(0.5));
    assert!((18..=21).contains(&window.session().player().frame), "{}", window.session().player().frame);
    window.drag_with(&[on_timeline(0.25), on_timeline(0.3), on_timeline(0.4)], Modifiers::SHIFT);
    let span = window.session().span().unwrap();
    assert!((9..=11).contains(span.start()) && (15..=17).contains(span.end()), "{span:?}");
    window.key(Modifiers::NONE, Key::K);
    let confirmed = window.session().project().track(object).filter(|(_, segment)| segment.confirmed).count();
    assert_eq!(confirmed, span.count());

    // Review: what most needs a look is gone to and accepted.
    window.until("there is a review", |s| s.review().is_some_and(|review| review.progress.n_given > 1));
    window.press("Review");
    if let Some(frame) = window.session().concern().map(|concern| concern.frame) {
        window.key(Modifiers::NONE, Key::Enter);
        assert!(window.session().project().segment(object, frame).unwrap().is_given());
    }

    let file = folder.path().join("out.json");
    window.harness.state_mut().say(Command::Export(Export::coco(file.clone())));
    window.settle();
    window.until("it is written", |_| file.exists());
    let json: serde_json::Value = serde_json::from_slice(&std::fs::read(file).unwrap()).unwrap();
    assert_eq!(json["annotations"].as_array().unwrap().len(), N_FRAMES);
}

#[test]
fn objects_of_a_video_are_told_apart_by_their_colors_unless_categories_should_be() {
    let (_folder, mut window) = window();
    window.click(30.0, 55.0, PointerButton::Primary);
    window.key(Modifiers::NONE, Key::Enter);
    window.click(110.0, 55.0, PointerButton::Primary);
    let n_colors = |window: &Window| {
        let session = window.session();
        let colors = session.segments().map(|(id, object, _)| session.color_of(id, object));
        colors.collect::<std::collections::BTreeSet<_>>().len()
    };
    assert_eq!(window.session().segments().count(), 2);
    assert_eq!(n_colors(&window), 2);
    window.key(Modifiers::SHIFT, Key::M);
    assert_eq!(n_colors(&window), 1, "both are of one category");
    window.key(Modifiers::SHIFT, Key::M);
    assert_eq!(n_colors(&window), 2);
}

#[test]
fn a_video_plays_from_the_button_and_stops() {
    let (_folder, mut window) = window();
    window.press("Play");
    window.until("it plays", |s| s.player().frame > 3);
    window.press("Stop");
    assert!(!window.session().player().plays());
}

#[test]
fn a_folder_of_frames_is_a_video_and_looks_as_it_did() {
    // Encoders round pixels differently; frames of a folder are what they are.
    let folder = tempfile::tempdir().unwrap();
    let frames = folder.path().join("frames");
    std::fs::create_dir_all(&frames).unwrap();
    for i in 0..N_FRAMES {
        photo(0, 160, 120).save(frames.join(format!("{i:03}.png"))).unwrap();
    }
    photo(0, 160, 120).save(folder.path().join("photo.png")).unwrap();
    let mut window = Window::open(folder.path(), slow_fake(Duration::ZERO, Duration::ZERO));
    window.harness.state_mut().say(Command::AddFrames(frames));
    window.settle();
    let video =
        |s: &Session| s.project().media.iter().find(|(_, m)| m.kind == MediumKind::Video).map(|(id, _)| *id);
    window.until("the frames are a video", |s| video(s).is_some());
    let video = video(window.session()).unwrap();
    window.harness.state_mut().say(Command::GoTo(video));
    window.turns(2);
    window.until("the frame is ready", |s| s.is_encoded() && s.picture().is_some());
    window.click(45.0, 45.0, PointerButton::Primary);
    window.harness.key_press(Key::Space);
    window.turns(2);
    window.until("all is tracked", |s| s.project().runs.is_empty() && s.is_saved());
    window.until("there is a review", |s| {
        s.review().is_some_and(|review| review.progress.n_segments == N_FRAMES)
    });
    window.key(Modifiers::NONE, Key::K);
    check_looks(&mut window, "video");
}
