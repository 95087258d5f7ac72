//! The real window, driven through its accessible widgets, its keys and its mouse.

use std::{
    cell::Cell,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use egui::{Event, Key, Modifiers, PointerButton, Pos2, Vec2};
use egui_kittest::{Harness, SnapshotOptions, kittest::Queryable as _};
use engine::{geometry::Point, mask::Rle, models::Shelf, worker::Load};
use segue::{
    app::App,
    command::{Command, Export},
    preferences::Preferences,
    session::Session,
    settings::ModelChoice,
};

use crate::desk::{at, fake, photos};

/// Longer than anything here takes, on a busy machine.
const PATIENCE: Duration = Duration::from_secs(60);

pub(crate) struct Window {
    pub harness: Harness<'static, App>,
}

impl Window {
    fn new(load: Load, paths: Vec<PathBuf>) -> Self {
        let load = Cell::new(Some(load));
        Self::loading(move |_| load.take().unwrap_or_else(fake), paths)
    }

    /// With whatever model is loaded for a choice.
    pub(crate) fn loading(load: impl Fn(&ModelChoice) -> Load + 'static, paths: Vec<PathBuf>) -> Self {
        let build = |creation: &mut eframe::CreationContext<'static>| {
            let mut app = App::new(creation, load, Preferences::load(None), paths).unwrap();
            // The user's own models are nothing to a test.
            app.keep_models_on(Shelf { folder: PathBuf::from("no models"), ..Shelf::default() });
            app
        };
        let harness = Harness::builder()
            .with_size([1000.0, 700.0])
            .with_theme(egui::Theme::Dark)
            .wgpu()
            .build_eframe(build);
        Self { harness }
    }

    /// With the project of this folder open, and its first photo or frame ready.
    fn on(folder: &Path) -> Self {
        Self::open(folder, fake())
    }

    /// The same with this model.
    pub(crate) fn open(folder: &Path, load: Load) -> Self {
        let mut window = Self::new(load, vec![folder.to_owned()]);
        window.until("the photo is encoded", |s| s.is_encoded() && s.jobs().is_empty());
        // The panels have their places, and the canvas the rest.
        window.turns(3);
        window
    }

    pub(crate) fn session(&self) -> &Session {
        self.harness.state().session()
    }

    pub(crate) fn turns(&mut self, n: usize) {
        self.harness.run_steps(n);
    }

    #[track_caller]
    pub(crate) fn until(&mut self, what: &str, is_so: impl Fn(&Session) -> bool) {
        let start = Instant::now();
        while !is_so(self.session()) {
            let notices = self.session().notices.shown();
            assert!(start.elapsed() < PATIENCE, "never: {what}; {notices:?}");
            self.turns(1);
            std::thread::sleep(Duration::from_millis(1));
        }
    }

    #[track_caller]
    pub(crate) fn settle(&mut self) {
        // A turn takes in what was said, the next does it.
        self.turns(2);
        self.until("all is answered and saved", |s| {
            s.segments().all(|(.., segment)| segment.is_answered) && s.jobs().is_empty() && s.is_saved()
        });
        self.turns(2);
    }

    pub(crate) fn key(&mut self, modifiers: Modifiers, key: Key) {
        self.harness.key_press_modifiers(modifiers, key);
        self.settle();
    }

    pub(crate) fn to_screen(&self, at: Point) -> Pos2 {
        self.harness.state().to_screen(at).unwrap()
    }

    pub(crate) fn button(&mut self, pos: Pos2, button: PointerButton, pressed: bool) {
        self.button_with(pos, button, pressed, Modifiers::NONE);
    }

    fn button_with(&mut self, pos: Pos2, button: PointerButton, pressed: bool, modifiers: Modifiers) {
        self.harness.event(Event::PointerButton { pos, button, pressed, modifiers });
        self.turns(1);
    }

    /// A click on a pixel of the image.
    pub(crate) fn click(&mut self, x: f32, y: f32, button: PointerButton) {
        let pos = self.to_screen(at(x, y));
        self.harness.hover_at(pos);
        self.turns(1);
        self.button(pos, button, true);
        self.button(pos, button, false);
        self.settle();
    }

    /// A drag from pixel to pixel.
    fn drag(&mut self, way: &[(f32, f32)]) {
        let places: Vec<Pos2> = way.iter().map(|(x, y)| self.to_screen(at(*x, *y))).collect();
        self.drag_with(&places, Modifiers::NONE);
    }

    /// A drag from place to place on the screen.
    pub(crate) fn drag_with(&mut self, places: &[Pos2], modifiers: Modifiers) {
        self.harness.event(Event::ModifiersChanged(modifiers));
        self.harness.hover_at(places[0]);
        self.turns(1);
        self.button_with(places[0], PointerButton::Primary, true, modifiers);
        for place in places {
            self.harness.hover_at(*place);
            self.turns(1);
        }
        self.button_with(places[places.len() - 1], PointerButton::Primary, false, modifiers);
        self.harness.event(Event::ModifiersChanged(Modifiers::NONE));
        self.settle();
    }

    /// A click on a place on the screen.
    pub(crate) fn press_at(&mut self, place: Pos2) {
        self.drag_with(&[place], Modifiers::NONE);
    }

    #[track_caller]
    fn mask(&self, i: usize) -> Rle {
        let (.., segment) = self.session().segments().nth(i).unwrap();
        (**segment.mask.as_ref().unwrap()).clone()
    }

    pub(crate) fn say(&mut self, command: Command) {
        self.harness.state_mut().say(command);
        self.settle();
    }

    fn n_objects(&self) -> usize {
        self.session().segments().count()
    }

    /// A button or another widget by its label.
    #[track_caller]
    pub(crate) fn press(&mut self, label: &str) {
        self.harness.get_by_label(label).click();
        self.settle();
    }
}

#[test]
fn a_window_opens_a_folder() {
    let folder = photos(3);
    let window = Window::on(folder.path());
    assert_eq!(window.session().project().media.len(), 3);
    window.harness.get_by_label("Canvas");
    window.harness.get_by_label("photo-2.png");
    window.harness.get_by_label_contains("Click an object");
}

#[test]
fn without_a_project_the_window_welcomes() {
    let mut window = Window::new(fake(), Vec::new());
    window.turns(3);
    window.harness.get_by_label("Open a folder of images or videos…");
    window.harness.get_by_label("Try the demo");
}

#[test]
fn clicks_make_a_mask_and_the_right_button_takes_away() {
    let folder = photos(1);
    let mut window = Window::on(folder.path());
    window.click(50.0, 60.0, PointerButton::Primary);
    assert!(window.mask(0).contains(50, 60));
    window.harness.get_by_label("object 1");
    window.click(110.0, 60.0, PointerButton::Primary);
    window.click(50.0, 60.0, PointerButton::Secondary);
    let mask = window.mask(0);
    assert!(mask.contains(110, 60) && !mask.contains(50, 60));
}

#[test]
fn a_drag_is_a_box() {
    let folder = photos(1);
    let mut window = Window::on(folder.path());
    window.drag(&[(20.0, 20.0), (50.0, 40.0), (80.0, 60.0)]);
    let [x, y, width, height] = window.mask(0).bbox();
    assert!(x.abs_diff(20) < 3 && y.abs_diff(20) < 3 && width.abs_diff(60) < 5 && height.abs_diff(40) < 5);
}

#[test]
fn the_brush_paints_and_the_eraser_erases() {
    let folder = photos(1);
    let mut window = Window::on(folder.path());
    window.press("Brush");
    window.drag(&[(30.0, 60.0), (60.0, 60.0), (100.0, 60.0)]);
    assert!(window.mask(0).contains(60, 60));
    window.press("Eraser");
    window.drag(&[(60.0, 40.0), (60.0, 60.0), (60.0, 80.0)]);
    let mask = window.mask(0);
    assert!(!mask.contains(60, 60) && mask.contains(30, 60) && mask.contains(100, 60));
}

#[test]
fn a_polygon_is_drawn_corner_by_corner() {
    let folder = photos(1);
    let mut window = Window::on(folder.path());
    window.press("Polygon");
    for (x, y) in [(20.0, 20.0), (100.0, 20.0), (60.0, 90.0)] {
        window.click(x, y, PointerButton::Primary);
        // Two clicks close in time would be a double click.
        window.turns(60);
    }
    window.key(Modifiers::NONE, Key::Enter);
    assert!(window.mask(0).contains(60, 40) && !window.mask(0).contains(25, 80));
}

#[test]
fn digits_choose_the_category() {
    let folder = photos(1);
    let mut window = Window::on(folder.path());
    window.click(50.0, 60.0, PointerButton::Primary);
    window.harness.state_mut().say(Command::AddCategory("truck".to_owned()));
    window.settle();
    window.harness.get_by_label("truck 1");
    window.key(Modifiers::NONE, Key::Num1);
    window.harness.get_by_label("object 1");
    window.key(Modifiers::NONE, Key::Num2);
    window.harness.get_by_label("truck 1");
}

#[test]
fn the_palette_runs_what_is_typed() {
    let folder = photos(2);
    let mut window = Window::on(folder.path());
    window.harness.state_mut().say(Command::Palette);
    window.turns(3);
    window.harness.event(Event::Text("next image".to_owned()));
    window.turns(2);
    window.harness.key_press(Key::Enter);
    window.settle();
    assert_eq!(window.session().shown(), window.session().project().media.keys().nth(1).copied());
}

#[test]
fn undo_to_the_start_redo_to_the_end_and_after_a_restart() {
    let folder = photos(2);
    let mut window = Window::on(folder.path());
    window.click(50.0, 60.0, PointerButton::Primary);
    window.click(100.0, 60.0, PointerButton::Primary);
    window.key(Modifiers::NONE, Key::Enter);
    window.drag(&[(10.0, 10.0), (20.0, 20.0), (40.0, 30.0)]);
    assert_eq!(window.n_objects(), 2);
    let done = window.session().project().clone();
    for _ in 0..3 {
        window.key(Modifiers::COMMAND, Key::Z);
    }
    assert_eq!(window.n_objects(), 0);
    drop(window);
    let mut window = Window::on(folder.path());
    assert_eq!(window.n_objects(), 0);
    for _ in 0..3 {
        window.key(Modifiers::COMMAND | Modifiers::SHIFT, Key::Z);
    }
    assert_eq!(*window.session().project(), done);
}

#[test]
fn work_is_exported_as_coco() {
    let folder = photos(2);
    let mut window = Window::on(folder.path());
    window.click(50.0, 60.0, PointerButton::Primary);
    let out = folder.path().join("out.json");
    window.harness.state_mut().say(Command::Export(Export::coco(out.clone())));
    window.settle();
    let coco: serde_json::Value = serde_json::from_slice(&std::fs::read(out).unwrap()).unwrap();
    assert_eq!(coco["annotations"].as_array().unwrap().len(), 1);
    assert_eq!(coco["images"].as_array().unwrap().len(), 2);
}

#[test]
fn the_mask_is_drawn_where_it_is() {
    let folder = photos(1);
    let mut window = Window::on(folder.path());
    window.drag(&[(90.0, 20.0), (100.0, 40.0), (140.0, 100.0)]);
    // Away from the canvas, so that no preview is drawn.
    window.harness.hover_at(Pos2::new(2.0, 2.0));
    window.turns(4);
    let picture = window.harness.render().unwrap();
    let pixel = |x: f32, y: f32| {
        let place = window.to_screen(at(x, y)) + Vec2::splat(0.5);
        picture.get_pixel(place.x as u32, place.y as u32).0.map(i32::from)
    };
    let distance = |a: [i32; 4], b: [i32; 4]| a.iter().zip(b).map(|(a, b)| (a - b).abs()).sum::<i32>();
    let ground = [30, 60 + 80 / 8, 90 + 60 / 4, 255];
    assert!(
        distance(pixel(80.5, 60.5), ground) < 20,
        "beside the mask is the photo: {:?}",
        pixel(80.5, 60.5)
    );
    assert!(distance(pixel(115.5, 60.5), ground) > 60, "on the mask is its color: {:?}", pixel(115.5, 60.5));
}

/// Compares the window with the picture in `tests/snapshots`; `UPDATE_SNAPSHOTS=1` writes that anew.
#[track_caller]
pub(crate) fn check_looks(window: &mut Window, name: &str) {
    window.harness.hover_at(Pos2::new(2.0, 2.0));
    window.until("there are no notices", |s| s.notices.shown().is_empty());
    window.turns(8);
    // Drivers round the edges of letters differently.
    let options = SnapshotOptions::new()
        .output_path(Path::new(env!("CARGO_MANIFEST_DIR")).join("snapshots"))
        .max_failed_pixels(300);
    window.harness.snapshot_options(name, &options);
}

#[test]
fn the_welcome_looks_as_it_did() {
    let mut window = Window::new(fake(), Vec::new());
    check_looks(&mut window, "welcome");
}

#[test]
fn labeling_looks_as_it_did() {
    let folder = photos(3);
    let mut window = Window::on(folder.path());
    window.drag(&[(90.0, 20.0), (100.0, 40.0), (140.0, 100.0)]);
    window.key(Modifiers::NONE, Key::Enter);
    window.click(45.0, 45.0, PointerButton::Primary);
    window.harness.state_mut().say(Command::AddCategory("truck".to_owned()));
    window.settle();
    check_looks(&mut window, "labeling");
}

#[test]
fn what_is_to_be_found_is_typed_and_what_was_found_is_accepted_from_the_panel() {
    let folder = photos(1);
    let (_, load) = crate::proposals::told(None, crate::proposals::three);
    let mut window = Window::open(folder.path(), load);
    window.press("Find objects");
    window.turns(3);
    // The field has the focus.
    window.harness.event(Event::Text("square".to_owned()));
    window.turns(2);
    window.harness.key_press(Key::Enter);
    window.settle();
    assert_eq!(window.session().finding().rows()[0].n_counting, 2);
    window.harness.get_by_label("2 of 3");
    window.harness.get_by_label("2 proposals in all images");
    window.press("Accept all of this category");
    assert_eq!(window.n_objects(), 2);
    assert!(window.session().project().objects.values().all(|object| object.proposal.is_none()));
    assert!(window.mask(0).area() > 0 && window.mask(1).area() > 0);
}

#[test]
fn without_a_detector_for_words_the_panel_says_where_to_get_one() {
    let folder = photos(1);
    let load = fake().detecting(|name| {
        let (model, folder) = (engine::models::named(name).unwrap(), PathBuf::from("models").join(name));
        Err(engine::models::ModelError::NotHere { model, folder }.to_string())
    });
    let mut window = Window::open(folder.path(), load);
    window.press("Find objects");
    window.turns(3);
    window.harness.event(Event::Text("square".to_owned()));
    window.turns(2);
    window.press("Find");
    let failure = window.session().finding().failure().unwrap();
    assert!(failure.contains("get model.safetensors, vocab.json, merges.txt"), "{failure}");
    window.harness.get_by_label("Download owlv2-base (622 MB)");
    assert_eq!(window.n_objects(), 0);
}
