//! Commands overwrite no file that Segue did not write: every command with its output aimed at every file of a folder.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
};

use engine::{file::MARK, geometry::Size};
use serde_json::json;

use crate::{desk::write, formula, segue, slow::asked_for};

const SIZE: Size = Size::new(64, 48);

/// Makes a folder with a file of each kind that people have: photos, frames, a project, label files, a split data set, an
/// export, a model, notes.
fn folder() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path();
    for (t, name) in
        ["photo.png", "other.jpg", "clip/1.png", "clip/2.png", "set/images/a.png"].iter().enumerate()
    {
        let path = root.join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        formula::frame(t, SIZE).save(path).unwrap();
    }
    let coco = json!({
        "images": [{"id": 1, "file_name": "photo.png", "width": 64, "height": 48}],
        "categories": [{"id": 1, "name": "cat"}],
        "annotations": [{"id": 1, "image_id": 1, "category_id": 1, "bbox": [4, 4, 20, 20]}],
    });
    write(&root.join("labels.json"), &coco.to_string());
    write(&root.join("labels-of-others.json"), &coco.to_string().replace("cat", "dog"));
    write(&root.join("set/labels/a.txt"), "0 0.5 0.5 0.2 0.2\n");
    write(&root.join("set/data.yaml"), "train: images\nval: images\nnames: [cat]\n");
    let prompts = json!({"objects": [{"id": 1, "category": "cat", "prompts": [{"frame": 0, "points": [[20, 20, 1]]}]}]});
    write(&root.join("prompts.json"), &prompts.to_string());
    write(
        &root.join("clicks.jsonl"),
        &json!({"id": 1, "image": "photo.png", "points": [[9, 9, 1]]}).to_string(),
    );
    write(&root.join("model.safetensors"), "weights");
    write(&root.join("notes.txt"), "do not lose me");
    write(&root.join("noted"), "nor me");
    segue::succeed(root, &["import", "labels.json", "--into", "work.segue"]);
    segue::succeed(root, &["export", "labels.json", "--format", "coco", "--out", "export.json"]);
    segue::succeed(root, &["export", "set/data.yaml", "--format", "yolo", "--out", "export"]);
    write(&root.join("export/notes.txt"), "mine, in an export");
    #[cfg(unix)]
    for (to, link) in [("photo.png", "link.png"), ("labels.json", "link.json"), ("work.segue", "link.segue")]
    {
        std::os::unix::fs::symlink(to, root.join(link)).unwrap();
    }
    folder
}

/// The bytes of all files below a folder, those behind links too.
pub(crate) fn tree(folder: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let mut files = BTreeMap::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            files.append(&mut tree(&path));
        } else {
            files.insert(path.clone(), fs::read(&path).unwrap());
        }
    }
    files
}

/// True for a file that Segue wrote, so that an output may take its place.
fn is_own(path: &Path, bytes: &[u8]) -> bool {
    String::from_utf8_lossy(bytes).contains(MARK)
        || path.components().any(|part| part.as_os_str() == "export")
}

/// Checks that a file that is not as before was Segue's own, or is kept beside it.
fn check(words: &[&str], before: &BTreeMap<PathBuf, Vec<u8>>, after: &BTreeMap<PathBuf, Vec<u8>>) {
    for (path, bytes) in before {
        let is_kept = |(other, now): (&PathBuf, &Vec<u8>)| {
            let name = other.file_name().unwrap().to_string_lossy().into_owned();
            now == bytes && other.parent() == path.parent() && name.contains(".bak")
        };
        let is_safe = after.get(path) == Some(bytes)
            || after.iter().any(is_kept)
            || is_own(path, bytes) && !path.ends_with("notes.txt");
        assert!(is_safe, "{words:?} lost {}", path.display());
    }
}

/// Makes all files as they were before.
pub(crate) fn restore(before: &BTreeMap<PathBuf, Vec<u8>>, after: &BTreeMap<PathBuf, Vec<u8>>) {
    for path in after.keys().filter(|path| !before.contains_key(*path)) {
        fs::remove_file(path).unwrap();
    }
    for (path, bytes) in before.iter().filter(|(path, bytes)| after.get(*path) != Some(bytes)) {
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        engine::file::write_atomically(path, |out| std::io::Write::write_all(out, bytes)).unwrap();
    }
}

/// Commands whose last word is where they write.
const COMMANDS: [&[&str]; 14] = [
    &["segment", "photo.png", "--point", "9,9", "--out"],
    &["segment", "--in", "clicks.jsonl", "--out"],
    &["track", "clip", "--prompts", "prompts.json", "--out"],
    &["track", "clip", "--prompts", "prompts.json", "--out", "new.json", "--overlay"],
    &["track", "work.segue", "--out"],
    &["detect", "photo.png", "--example", "photo.png:4,4,24,24", "--format", "coco", "--out"],
    &["export", "work.segue", "--format", "coco", "--out"],
    &["export", "labels.json", "--format", "coco", "--out"],
    &["export", "set/data.yaml", "--format", "yolo", "--out"],
    &["export", "set/labels/a.txt", "--from", "yolo", "--format", "voc", "--out", "new", "--report"],
    &["export", "set", "--format", "coco", "--out", "new2.json", "--report"],
    &["check", "labels.json", "--fix"],
    &["check", "set/data.yaml", "--fix"],
    &["models", "export", "builtin", "--out"],
];

/// Commands whose last word is a project, which may get more labels.
const INTO: [&[&str]; 3] = [
    &["new", "--media", "photo.png"],
    &["import", "labels-of-others.json", "--into"],
    &["detect", "photo.png", "--example", "photo.png:4,4,24,24", "--into"],
];

/// Runs every `nth` pair of a command and a target.
fn aim(nth: usize) {
    let folder = folder();
    let root = folder.path();
    let before = tree(root);
    let targets: Vec<String> = before
        .keys()
        .map(|path| path.strip_prefix(root).unwrap().to_str().unwrap().to_owned())
        .chain(["", "clip", "set", "set/images", "set/labels", "export"].map(|name| format!("./{name}")))
        .collect();
    let is_project = |target: &str| target.ends_with(".segue");
    let out = COMMANDS.iter().flat_map(|command| targets.iter().map(move |target| (command, target)));
    let into = INTO.iter().flat_map(|command| targets.iter().map(move |target| (command, target)));
    let into = into.filter(|(_, target)| !is_project(target));
    let (mut n_run, mut n_done) = (0, 0);
    for (command, target) in out.chain(into).step_by(nth) {
        let words = [command, &[&**target][..]].concat();
        let output = segue::run(root, &words);
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(matches!(output.status.code(), Some(0 | 1)), "{words:?}: {said}");
        (n_run, n_done) = (n_run + 1, n_done + usize::from(output.status.success()));
        let after = tree(root);
        check(&words, &before, &after);
        restore(&before, &after);
    }
    assert!(n_done * 10 > n_run, "{n_done} of {n_run} were written: the commands themselves fail");
}

#[test]
fn outputs_keep_files_of_others() {
    aim(11);
}

#[test]
fn slow_outputs_keep_files_of_others() {
    if asked_for("slow_outputs_keep_files_of_others") {
        aim(1);
    }
}

#[test]
fn images_outside_of_the_folder_are_reported() {
    let parent = tempfile::tempdir().unwrap();
    let root = parent.path().join("set");
    fs::create_dir(&root).unwrap();
    formula::frame(0, SIZE).save(parent.path().join("secret.png")).unwrap();
    let secret = parent.path().join("secret.png").to_str().unwrap().to_owned();
    let coco = json!({
        "images": [{"id": 1, "file_name": &secret, "width": 64, "height": 48}],
        "categories": [{"id": 1, "name": "cat"}],
        "annotations": [{"id": 1, "image_id": 1, "category_id": 1, "bbox": [4, 4, 20, 20]}],
    });
    write(&root.join("labels.json"), &coco.to_string());
    let said = segue::succeed(&root, &["check", "labels.json"]);
    assert!(said.contains("1 image outside of the folder of the labels, not checked"), "{said}");
    let words = ["export", "labels.json", "--format", "yolo", "--out", "yolo", "--files", "copy"];
    let output = segue::run(&root, &words);
    assert!(String::from_utf8_lossy(&output.stdout).contains("not copied: 1 image file"));
    assert!(!tree(&root.join("yolo")).keys().any(|path| path.ends_with("secret.png")));
    // An absolute path into the folder is one like any other.
    formula::frame(0, SIZE).save(root.join("own.png")).unwrap();
    let own = root.join("own.png").to_str().unwrap().to_owned();
    write(&root.join("own.json"), &coco.to_string().replace(&secret, &own));
    let said = segue::succeed(&root, &["check", "own.json"]);
    assert!(!said.contains("outside"), "{said}");
    // A user who adds a photo to a project has named its folder, so that it is copied; the report says so.
    segue::succeed(&root, &["new", "work.segue", "--media", "../secret.png"]);
    let words = ["export", "work.segue", "--format", "coco", "--out", "coco", "--files", "copy"];
    let said = segue::succeed(&root, &words);
    assert!(said.contains("copied from outside of the project's folder: 1 image file"), "{said}");
}
