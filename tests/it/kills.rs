//! Programs that are killed in the middle of their work lose nothing that was shown as saved, and leave nothing half done.

use std::{
    collections::BTreeMap,
    fs,
    io::{BufRead as _, BufReader, Write as _},
    path::{Path, PathBuf},
    process::{Command, Stdio},
    time::{Duration, Instant},
};

use egui::{Key, Modifiers, PointerButton};
use egui_kittest::kittest::Queryable as _;
use engine::project::Store;
use serde_json::json;

use crate::{
    desk::{fake, photos, write},
    gui::Window,
    outputs::{restore, tree},
    segue,
    slow::asked_for,
};

/// Environment variable with the folder of the child process that shows the window.
const WINDOW: &str = "SEGUE_TEST_KILLED_WINDOW";

/// The `i`-th number of a sequence between 0 and 1 that leaves no gap.
fn fraction(i: usize) -> f64 {
    (i as f64 * 0.618_034).fract()
}

/// The place of the `i`-th click on a photo of 160 x 120: on its left, since notices lie over the right.
fn place(i: usize) -> (f32, f32) {
    ((4 + i * 37 % 64) as f32, (4 + i * 53 % 112) as f32)
}

/// Clicks one object after the other, and says how many the window shows as saved, until it is killed.
#[test]
fn child_window() {
    let Some(folder) = std::env::var_os(WINDOW) else { return };
    let mut window = Window::open(Path::new(&folder), fake());
    let mut out = std::io::stdout();
    loop {
        let n = window.session().project().objects.len();
        if window.harness.query_by_label("Saved").is_some() {
            writeln!(out, "saved {n}").unwrap();
            out.flush().unwrap();
        }
        let (x, y) = place(n);
        window.click(x, y, PointerButton::Primary);
        assert_eq!(window.session().project().objects.len(), n + 1);
        window.key(Modifiers::NONE, Key::Escape);
        if n % 3 == 2 {
            window.key(Modifiers::COMMAND, Key::Z);
            window.key(Modifiers::COMMAND, Key::Y);
        }
    }
}

/// Starts a window on a folder and kills it after a while; returns how many objects it had shown as saved.
fn kill_window(folder: &Path, delay: Duration) -> usize {
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["kills::child_window", "--exact", "--nocapture"])
        .env(WINDOW, folder)
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let mut lines = lines.map(|line| line.unwrap_or_default());
    let number = |line: String| line.split("saved ").nth(1)?.parse().ok();
    let mut saved: usize = lines.by_ref().find_map(number).unwrap();
    let reader = std::thread::Builder::new().name("lines".to_owned());
    let rest = reader.spawn(move || lines.filter_map(number).last()).unwrap();
    std::thread::sleep(delay);
    child.kill().unwrap();
    child.wait().unwrap();
    saved = rest.join().unwrap().unwrap_or(saved);
    saved
}

fn kill_windows(rounds: usize) {
    let folder = photos(1);
    let project = || {
        let mut entries = fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().path());
        entries.find(|path| path.extension().is_some_and(|suffix| suffix == "segue")).unwrap()
    };
    let mut n_before = 0;
    for round in 0..rounds {
        let saved = kill_window(folder.path(), Duration::from_secs_f64(1.5 * fraction(round)));
        let opened = Store::open(&project()).unwrap();
        let now = opened.history.now();
        let n = now.objects.len();
        assert!(saved >= n_before && n >= saved, "round {round}: {saved} of {n} objects were shown as saved");
        let masks: Vec<_> = now.objects.keys().flat_map(|(_, object)| now.track(*object)).collect();
        assert!(masks.len() >= saved, "round {round}: {} masks of {saved} objects", masks.len());
        n_before = n;
    }
    assert!(n_before > 0, "nothing was ever done");
}

#[test]
fn killed_window_keeps_saved_objects() {
    kill_windows(2);
}

#[test]
fn slow_killed_window_keeps_saved_objects() {
    if asked_for("slow_killed_window_keeps_saved_objects") {
        kill_windows(150);
    }
}

/// A data set of 20 photos, a project of it, an earlier export and a stranger's file in that.
fn data_set() -> tempfile::TempDir {
    let folder = photos(20);
    let root = folder.path();
    let numbers = || 0..20;
    let image = |i| json!({"id": i, "file_name": format!("photo-{i}.png"), "width": 160, "height": 120});
    let object = |i| json!({"id": i, "image_id": i, "category_id": 1, "bbox": [20, 20, 50, 50]});
    let coco = json!({
        "images": numbers().map(image).collect::<Vec<_>>(),
        "categories": [{"id": 1, "name": "cat"}],
        "annotations": numbers().map(object).collect::<Vec<_>>(),
    });
    write(&root.join("labels.json"), &coco.to_string());
    write(&root.join("more.json"), &coco.to_string().replace("[20,20,50,50]", "[60,60,30,30]"));
    segue::succeed(root, &["import", "labels.json", "--into", "work.segue"]);
    segue::succeed(root, &["export", "labels.json", "--format", "voc", "--out", "export"]);
    write(&root.join("export/notes.txt"), "mine");
    folder
}

/// Returns all files below a folder without Segue's temporary ones, which a killed program leaves.
fn kept(root: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let mut files = tree(root);
    files.retain(|path, _| !path.strip_prefix(root).unwrap().to_string_lossy().contains(".segue-"));
    files
}

fn kill_commands(rounds: usize) {
    let folder = data_set();
    let root = folder.path();
    let before = tree(root);
    let commands: [&[&str]; 6] = [
        &["export", "work.segue", "--format", "voc", "--out", "export", "--files", "copy"],
        &["export", "work.segue", "--format", "yolo", "--out", "new"],
        &["export", "labels.json", "--format", "coco", "--out", "export.json"],
        &["check", "labels.json", "--fix", "fixed.json"],
        &["import", "more.json", "--into", "work.segue"],
        &["models", "export", "builtin", "--out", "model"],
    ];
    for words in commands {
        let start = Instant::now();
        segue::succeed(root, words);
        let (whole, after) = (start.elapsed(), kept(root));
        let n_after = segue::succeed(root, &["stats", "work.segue"]);
        restore(&before, &tree(root));
        let n_before = segue::succeed(root, &["stats", "work.segue"]);
        for round in 0..rounds {
            let mut child = segue::start(root, words);
            std::thread::sleep(whole.mul_f64(fraction(round)));
            child.kill().unwrap();
            child.wait().unwrap();
            if words[0] == "import" {
                let n = segue::succeed(root, &["stats", "work.segue"]);
                assert!(n == n_before || n == n_after, "{words:?}: {n}");
            }
            let mut now = kept(root);
            let is_project = |path: &Path| path.to_string_lossy().contains("work.segue");
            now.retain(|path, _| !is_project(path));
            let is = |other: &BTreeMap<PathBuf, Vec<u8>>| {
                let files = other.iter().filter(|(path, _)| !is_project(path));
                files.eq(now.iter())
            };
            assert!(is(&before) || is(&after), "{words:?} left something half done");
            restore(&before, &tree(root));
        }
    }
}

#[test]
fn killed_commands_leave_no_partial_output() {
    kill_commands(2);
}

#[test]
fn slow_killed_commands_leave_no_partial_output() {
    if asked_for("slow_killed_commands_leave_no_partial_output") {
        kill_commands(25);
    }
}
