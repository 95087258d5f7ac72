//! What a person does in the middle of a gesture, and with what lies over the image: by pointer and keys.

use std::fs;

use egui::{Event, Key, Modifiers, PointerButton, Pos2};
use egui_kittest::kittest::Queryable as _;
use engine::project::MediumId;
use segue::{
    command::{Command, Tool},
    session::Thumbnail,
};

use crate::{
    desk::{Desk, fake, photos},
    gui::Window,
};

/// A window with two photos and an object on the second; the first is shown.
fn window() -> (tempfile::TempDir, Window) {
    let folder = photos(2);
    let mut window = Window::open(folder.path(), fake());
    let [first, second] = media(&window);
    window.say(Command::GoTo(second));
    window.until("the second is encoded", |s| s.is_encoded());
    window.turns(3);
    window.click(50.0, 50.0, PointerButton::Primary);
    window.say(Command::GoTo(first));
    window.until("the first is encoded", |s| s.is_encoded());
    window.turns(3);
    (folder, window)
}

fn media(window: &Window) -> [MediumId; 2] {
    let media: Vec<MediumId> = window.session().project().media.keys().copied().collect();
    media.try_into().unwrap()
}

/// The numbers of objects on the first and the second photo.
fn counts(window: &Window) -> [usize; 2] {
    media(window).map(|medium| window.session().project().objects_of(medium).count())
}

/// Drags from one pixel to another and does something half way.
fn drag_and(window: &mut Window, from: (f32, f32), to: (f32, f32), half_way: impl FnOnce(&mut Window)) {
    let [start, end] = [from, to].map(|(x, y)| window.to_screen(crate::desk::at(x, y)));
    let middle = start + (end - start) * 0.5;
    window.harness.hover_at(start);
    window.turns(1);
    window.button(start, PointerButton::Primary, true);
    window.harness.hover_at(middle);
    window.turns(1);
    half_way(window);
    window.harness.hover_at(end);
    window.turns(2);
    window.button(end, PointerButton::Primary, false);
    window.settle();
}

#[test]
fn undo_in_a_drag_takes_back_the_drag_and_nothing_else() {
    let (_folder, mut window) = window();
    for tool in [Tool::Brush, Tool::Eraser, Tool::Point] {
        window.say(Command::SetTool(tool));
        let project = window.session().project().clone();
        let shown = window.session().shown();
        drag_and(&mut window, (30.0, 30.0), (120.0, 90.0), |window| {
            window.harness.key_press_modifiers(Modifiers::COMMAND, Key::Z);
            window.turns(3);
        });
        assert_eq!(window.session().shown(), shown, "{tool:?}");
        assert_eq!(window.session().project(), &project, "{tool:?}");
    }
    // Undo means the last step again once the button is up.
    window.key(Modifiers::COMMAND, Key::Z);
    assert_eq!(counts(&window), [0, 0]);
    window.key(Modifiers::COMMAND | Modifiers::SHIFT, Key::Z);
    assert_eq!(counts(&window), [0, 1]);
}

#[test]
fn escape_cancels_a_drag() {
    let (_folder, mut window) = window();
    for tool in [Tool::Brush, Tool::Eraser, Tool::Point] {
        window.say(Command::SetTool(tool));
        drag_and(&mut window, (30.0, 30.0), (120.0, 90.0), |window| {
            window.harness.key_press(Key::Escape);
            window.turns(3);
        });
        assert_eq!(counts(&window), [0, 1], "{tool:?}");
    }
    drag_and(&mut window, (30.0, 30.0), (120.0, 90.0), |_| {});
    assert_eq!(counts(&window), [1, 1], "the next drag is one again");
}

#[test]
fn keys_pull_nothing_away_from_under_a_drag() {
    let (_folder, mut window) = window();
    let first = media(&window)[0];
    for (tool, n) in [(Tool::Brush, 1), (Tool::Point, 2)] {
        window.say(Command::SetTool(tool));
        window.say(Command::Deselect);
        drag_and(&mut window, (30.0, 30.0), (120.0, 90.0), |window| {
            for key in [Key::D, Key::ArrowRight, Key::N, Key::E] {
                window.harness.key_press(key);
                window.turns(2);
            }
            window.harness.key_press_modifiers(Modifiers::COMMAND, Key::W);
            window.turns(2);
        });
        assert_eq!(window.session().shown(), Some(first));
        assert_eq!(counts(&window), [n, 1], "{tool:?}");
    }
}

#[test]
fn undo_in_a_polygon_takes_back_its_last_corner() {
    let (_folder, mut window) = window();
    window.say(Command::SetTool(Tool::Polygon));
    for (x, y) in [(20.0, 20.0), (80.0, 20.0), (80.0, 80.0), (20.0, 80.0)] {
        window.click(x, y, PointerButton::Primary);
        // Two clicks close in time would be a double click.
        window.turns(60);
    }
    window.key(Modifiers::COMMAND, Key::Z);
    assert_eq!(counts(&window), [0, 1]);
    window.key(Modifiers::NONE, Key::Enter);
    let (.., segment) = window.session().segments().next().unwrap();
    let mask = segment.mask.clone().unwrap();
    assert!(mask.contains(70, 30) && !mask.contains(30, 70), "a triangle is left");
}

#[test]
fn a_polygon_goes_on_when_its_image_is_shown_again() {
    let (_folder, mut window) = window();
    let [first, second] = media(&window);
    window.say(Command::SetTool(Tool::Polygon));
    for (x, y) in [(20.0, 20.0), (80.0, 20.0)] {
        window.click(x, y, PointerButton::Primary);
        // Two clicks close in time would be a double click.
        window.turns(60);
    }
    for medium in [second, first] {
        window.say(Command::GoTo(medium));
        window.until("it is encoded", |s| s.is_encoded());
        window.turns(3);
    }
    window.click(80.0, 80.0, PointerButton::Primary);
    window.key(Modifiers::NONE, Key::Enter);
    assert_eq!(counts(&window), [1, 1]);
}

#[test]
fn a_category_is_renamed_with_the_mouse() {
    let (_folder, mut window) = window();
    let more = window.harness.get_by_label("…").rect().center();
    window.press_at(more);
    let field = window.harness.get_by_label("Name").rect().center();
    let field = field + egui::vec2(90.0, 0.0);
    window.press_at(field);
    window.turns(3);
    window.harness.key_press_modifiers(Modifiers::COMMAND, Key::A);
    window.harness.event(Event::Text("zebra".to_owned()));
    window.turns(2);
    window.key(Modifiers::NONE, Key::Enter);
    let names: Vec<String> =
        window.session().project().categories.values().map(|category| category.name.clone()).collect();
    assert_eq!(names, ["zebra"]);
}

#[test]
fn opening_a_folder_is_no_step() {
    let folder = photos(2);
    let mut window = Window::open(folder.path(), fake());
    assert_eq!(window.session().history().undoable(), None);
    window.key(Modifiers::COMMAND, Key::Z);
    assert_eq!(window.session().project().media.len(), 2);
}

#[test]
fn hidden_masks_are_announced_and_shown_again_by_a_click_or_new_work() {
    let (_folder, mut window) = window();
    let badge = |window: &Window| -> Option<Pos2> {
        window.harness.query_by_label("Masks are hidden  ×").map(|badge| badge.rect().center())
    };
    assert_eq!(badge(&window), None);
    window.key(Modifiers::NONE, Key::M);
    let place = badge(&window).unwrap();
    window.press_at(place);
    assert!(badge(&window).is_none() && window.session().visibility().masks);
    assert_eq!(counts(&window), [0, 1], "a badge is no place of the image");
    window.key(Modifiers::NONE, Key::M);
    window.click(50.0, 50.0, PointerButton::Primary);
    assert!(badge(&window).is_none() && window.session().visibility().masks);
}

#[test]
fn letters_mean_nothing_right_after_a_field_is_left() {
    let (_folder, mut window) = window();
    window.key(Modifiers::NONE, Key::N);
    window.harness.key_press(Key::Escape);
    // A turn takes a quarter of a second for the window.
    window.turns(2);
    for key in [Key::E, Key::M, Key::D] {
        window.harness.event(Event::Text(key.name().to_lowercase()));
        window.harness.key_press(key);
        window.turns(1);
    }
    let first = media(&window)[0];
    assert!(window.session().visibility().masks && window.session().shown() == Some(first));
    assert_eq!(window.session().tools().tool, Tool::Point);
}

#[test]
fn a_file_that_returns_is_seen_again() {
    let mut desk = Desk::new(2, fake());
    desk.settle();
    let away = desk.folder.path().with_extension("away");
    let photo = desk.folder.path().join("photo-1.png");
    fs::rename(&photo, &away).unwrap();
    let mut desk = desk.restart(fake());
    let second = desk.media()[1];
    desk.seen.thumbnails = desk.media();
    desk.step([Command::GoTo(second)]);
    desk.until("it is missed", |s| matches!(s.thumbnail(second), Some(Thumbnail::Missing(_))));
    desk.until("it is missed", |s| matches!(s.picture(), Some(Err(_))));
    fs::rename(&away, &photo).unwrap();
    desk.until("it is seen", |s| {
        matches!(s.thumbnail(second), Some(Thumbnail::Picture(_))) && s.is_on_screen()
    });
}
