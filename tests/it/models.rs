//! Models in the window: getting, pausing, removing, adding them; and another in place of the one that is loaded.

use std::{cell::RefCell, path::Path, rc::Rc, time::Duration};

use egui_kittest::kittest::Queryable as _;
use engine::{
    models::{Finds, KnownModel, Shelf},
    segmenter::{FakeSegmenter, Segmenter},
    worker::Load,
};
use segue::{
    command::Command,
    preferences::Preferences,
    session::{Model, Stage},
};

use crate::{
    desk::{Desk, click, fake, photos, slow_fake},
    downloads::{Manner, Server},
    gui::Window,
};

/// A small detector, from a server here, and nothing on the shelf.
fn shelf(folder: &Path, server: &Server) -> Shelf {
    let known = KnownModel {
        name: "some".to_owned(),
        finds: Finds::Classes,
        about: "shapes".to_owned(),
        license: "MIT".to_owned(),
        megabytes: 1,
        sha256: None,
        sources: vec![server.address.clone()],
        files: vec!["model.safetensors".to_owned(), "config.json".to_owned()],
    };
    Shelf { folder: folder.join("models"), known: Box::leak(Box::new([known])) }
}

fn server(manner: Manner) -> Server {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("data/detect/d_fine");
    let file = |name| (name, std::fs::read(folder.join(name)).unwrap());
    Server::of(manner, vec![file("model.safetensors"), file("config.json")])
}

fn stage(desk: &Desk) -> Option<Stage> {
    desk.session.models().next().map(|(_, stage)| stage)
}

/// A command on the model.
fn some(command: fn(String) -> Command) -> [Command; 1] {
    [command("some".to_owned())]
}

fn is_coming(stage: &Option<Stage>) -> bool {
    matches!(stage, Some(Stage::Coming { done, .. }) if *done > 100_000)
}

#[test]
fn what_the_model_takes_is_measured_while_it_works() {
    let mut desk = Desk::new(2, slow_fake(Duration::from_millis(30), Duration::from_millis(20)));
    // The first time does not count. A click would encode the first image within its answer, which is not measured.
    desk.until("both images are encoded", |s| s.times("fake").look.is_some());
    assert!(desk.session.times("fake").look >= Some(Duration::from_millis(30)));
    // News comes at most once a second.
    for i in 0..600 {
        desk.step([click(20.0 + (i % 60) as f32, 20.0)]);
        let times = desk.session.times("fake");
        if let Some(took) = times.click {
            assert!(took >= Duration::from_millis(20));
            assert_eq!(times.frame, None);
            return;
        }
    }
    panic!("nothing was measured: {:?}", desk.session.times("fake"));
}

#[test]
fn a_model_comes_is_paused_goes_on_after_a_restart_and_goes() {
    let (models, server) = (tempfile::tempdir().unwrap(), server(Manner::Slow));
    let mut desk = Desk::new(1, fake());
    desk.session.keep_models_on(shelf(models.path(), &server));
    desk.step([Command::ShowModels]);
    assert_eq!(stage(&desk), Some(Stage::Missing));
    desk.run(some(Command::GetModel));
    desk.until("some of it has come", |s| is_coming(&s.models().next().map(|(_, stage)| stage)));
    desk.step(some(Command::PauseModel));
    let Some(Stage::Begun(n_bytes)) = stage(&desk) else { panic!("{:?}", stage(&desk)) };
    assert!(n_bytes >= 100_000, "what has come stays: {n_bytes}");

    let mut desk = desk.restart(fake());
    desk.session.keep_models_on(shelf(models.path(), &server));
    desk.step([Command::ShowModels]);
    assert!(matches!(stage(&desk), Some(Stage::Begun(n)) if n >= n_bytes), "{:?}", stage(&desk));
    // The window may close its project meanwhile.
    desk.run(some(Command::GetModel));
    desk.run([Command::CloseProject]);
    desk.until("it is here", |s| matches!(s.models().next(), Some((_, Stage::Here(_)))));
    assert!(desk.says("some is here: shapes"));
    desk.run(some(Command::RemoveModel));
    desk.until("it is gone", |s| {
        matches!(s.models().next(), Some((_, Stage::Missing))) && s.jobs().is_empty()
    });
    assert!(!models.path().join("models/some").exists());
}

#[test]
fn a_canceled_download_leaves_nothing_and_a_bad_one_says_why() {
    let models = tempfile::tempdir().unwrap();
    let slow = server(Manner::Slow);
    let mut desk = Desk::new(1, fake());
    desk.session.keep_models_on(shelf(models.path(), &slow));
    desk.step([Command::ShowModels]);
    desk.run(some(Command::GetModel));
    desk.until("some of it has come", |s| is_coming(&s.models().next().map(|(_, stage)| stage)));
    desk.run(some(Command::RemoveModel));
    assert_eq!(stage(&desk), Some(Stage::Missing), "at once, as far as one can see");
    // Asked again before the first has ended.
    desk.run(some(Command::GetModel));
    desk.run(some(Command::RemoveModel));
    desk.settle();
    assert_eq!(stage(&desk), Some(Stage::Missing));
    assert!(!models.path().join("models/.incoming/some").exists());

    let gone = server(Manner::NotFound);
    desk.session.keep_models_on(shelf(models.path(), &gone));
    desk.step(some(Command::GetModel));
    assert!(desk.says("Download some failed: cannot download http://127.0.0.1"));
    assert_eq!(stage(&desk), Some(Stage::Missing));
    desk.step([Command::AddModel(desk.folder.path().join("photo-0.png"))]);
    assert!(desk.says("Add a model failed: "));
}

#[test]
fn another_model_is_used_from_now_on_and_one_that_cannot_be_loaded_gives_way_to_the_last() {
    let folder = photos(1);
    let asked = Rc::new(RefCell::new(Vec::new()));
    let log = asked.clone();
    let load = move |choice: &segue::settings::ModelChoice| {
        log.borrow_mut().push(choice.model.clone());
        if choice.model == "sam2.1-tiny" { Load::new(|| Err("it is damaged".to_owned())) } else { fake() }
    };
    let mut window = Window::loading(load, vec![folder.path().to_owned()]);
    window.until("the photo is encoded", |s| s.is_encoded() && s.jobs().is_empty());
    window.turns(3);
    let use_model = |window: &mut Window, name: &str| {
        window.harness.state_mut().say(Command::UseModel(name.to_owned()));
        window.turns(2);
        window.until("a model is there", |s| matches!(s.model(), Model::Ready(_)) && s.is_encoded());
        window.turns(2);
    };
    use_model(&mut window, "sam2.1-small");
    use_model(&mut window, "sam2.1-tiny");
    let is_told = |notice: &&segue::notice::Notice| notice.text.contains("it is damaged");
    assert!(window.session().notices.shown().iter().any(|notice| is_told(&notice)));
    // It is tried again when it is chosen again.
    use_model(&mut window, "sam2.1-tiny");
    assert_eq!(*asked.borrow(), ["builtin", "sam2.1-small", "sam2.1-tiny", "sam2.1-tiny"]);
    window.harness.state_mut().say(click(50.0, 50.0));
    window.settle();
    assert_eq!(window.session().segments().count(), 1, "clicks are still answered");
}

#[test]
fn a_model_that_gave_up_its_device_says_so_and_can_be_loaded_again() {
    const REMARK: &str = "its memory is full; it runs on the processor instead";
    let folder = photos(1);
    let asked = Rc::new(RefCell::new(Vec::new()));
    let log = asked.clone();
    let load = move |choice: &segue::settings::ModelChoice| {
        log.borrow_mut().push(choice.model.clone());
        let is_full = log.borrow().len() == 1;
        Load::new(move || {
            let mut fake = FakeSegmenter::default();
            fake.remarks.extend(is_full.then(|| REMARK.to_owned()));
            Ok(Box::new(fake) as Box<dyn Segmenter>)
        })
    };
    let mut window = Window::loading(load, vec![folder.path().to_owned()]);
    window.until("the photo is encoded", |s| s.is_encoded() && s.jobs().is_empty());
    assert!(window.session().notices.shown().iter().any(|notice| notice.text.contains(REMARK)));
    window.harness.state_mut().say(Command::ShowModels);
    window.turns(8);
    window.harness.get_by_label("Load it again").click();
    window.turns(2);
    let is_well = |model: &Model| matches!(model, Model::Ready(now) if now.remarks.is_empty());
    window.until("it is there again", |s| is_well(s.model()));
    window.turns(2);
    assert_eq!(*asked.borrow(), ["builtin", "builtin"]);
    assert!(window.harness.query_by_label("Load it again").is_none());
}

#[test]
fn the_panel_lists_models_and_gets_what_is_clicked() {
    let folder = photos(1);
    let builtin = Load::new(|| {
        let mut fake = FakeSegmenter::default();
        fake.name = "builtin";
        Ok(Box::new(fake) as Box<dyn Segmenter>)
    });
    let mut window = Window::open(folder.path(), builtin);
    window.harness.state_mut().say(Command::ShowModels);
    window.turns(2);
    window.until("models are known", |s| s.models().count() == 21);
    window.turns(3);
    window.harness.get_by_label("Download sam2.1-tiny");
    window.harness.get_by_label("Clicks are answered by builtin on cpu");
    window.harness.get_by_label("in use");
    crate::gui::check_looks(&mut window, "models");
}

#[test]
fn a_server_is_typed_in_the_settings_and_a_wrong_address_says_why() {
    let folder = photos(1);
    let asked = Rc::new(RefCell::new(Vec::new()));
    let log = asked.clone();
    let load = move |choice: &segue::settings::ModelChoice| {
        log.borrow_mut().push(choice.device.as_ref().map(ToString::to_string));
        fake()
    };
    let mut window = Window::loading(load, vec![folder.path().to_owned()]);
    window.until("the photo is encoded", |s| s.is_encoded() && s.jobs().is_empty());
    window.harness.state_mut().say(Command::Settings);
    window.turns(3);
    let connect = |window: &mut Window, address: &str| {
        window.harness.get_by_label("Or on a server").focus();
        window.turns(1);
        window.harness.get_by_label("Or on a server").type_text(address);
        window.turns(2);
        window.harness.get_by_label("Connect").click();
        window.turns(3);
    };
    connect(&mut window, "gpu:8000");
    window.harness.get_by_label_contains("a server's address begins with kserve://");
    assert_eq!(*asked.borrow(), [None]);
    for _ in 0.."gpu:8000".len() {
        window.harness.get_by_label("Or on a server").focus();
        window.harness.key_press(egui::Key::Backspace);
        window.turns(1);
    }
    connect(&mut window, "kserve://gpu:8000");
    assert!(window.harness.query_by_label_contains("a server's address begins with").is_none());
    let server = Some("kserve://gpu:8000".to_owned());
    assert_eq!(*asked.borrow(), [None, server.clone()]);
    window.harness.get_by_label("Connect").click();
    window.turns(3);
    assert_eq!(*asked.borrow(), [None, server.clone(), server], "it is tried again");
}

#[test]
fn how_long_a_look_takes_is_known_after_a_restart() {
    let folder = tempfile::tempdir().unwrap();
    let (slow, model) = (Duration::from_millis(500), FakeSegmenter::default().info());
    let shown = |preferences: &Preferences| preferences.looks().of("fake").map(ToString::to_string);
    let mut preferences = Preferences::load(Some(folder.path()));
    preferences.measured(&model, slow);
    assert_eq!(shown(&preferences), None, "another model was chosen");
    preferences.change(|settings| settings.model = "fake".to_owned());
    preferences.measured(&model, slow);
    preferences.measured(&model, slow.mul_f64(1.1));
    assert_eq!(shown(&preferences).as_deref(), Some("500 ms on cpu"), "about the same");
    preferences.measured(&model, slow / 2);
    drop(preferences);
    assert_eq!(shown(&Preferences::load(Some(folder.path()))).as_deref(), Some("250 ms on cpu"));
}
