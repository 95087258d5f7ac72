//! Rules of the repository, as tests.

use std::path::{Path, PathBuf};

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// Every Rust file of the workspace, as its path from the root and its text.
fn sources() -> Vec<(String, String)> {
    let mut folders: Vec<PathBuf> = ["app/src", "engine/src", "tests/it"].map(|dir| root().join(dir)).into();
    let mut sources = Vec::new();
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|e| e == "rs") {
                let name = path.strip_prefix(root()).unwrap().to_string_lossy().into_owned();
                sources.push((name, std::fs::read_to_string(path).unwrap()));
            }
        }
    }
    assert!(sources.len() > 30);
    sources
}

#[test]
fn every_file_says_what_it_is_for_and_is_short() {
    for (name, text) in sources() {
        assert!(text.starts_with("//! "), "{name} does not open with a sentence on what it is for");
        let n_lines = text.split("#[cfg(test)]").next().unwrap_or_default().lines().count();
        assert!(n_lines <= 600, "{name} has {n_lines} lines");
    }
}

/// `(folder or file, what it may not name)`: dependencies go one way.
#[test]
fn layers_do_not_look_up() {
    let rules = [
        ("engine/src", &["egui", "eframe", "wgpu::", "rfd"][..]),
        ("engine/src/nn", &["crate::sam2", "crate::media", "crate::formats"]),
        ("engine/src/sam2", &["crate::media", "crate::formats", "crate::models", "ort::"]),
        ("engine/src/detect/", &["crate::sam2", "crate::media", "crate::formats", "crate::project", "ort::"]),
        ("engine/src/media", &["crate::nn", "crate::sam2", "crate::formats"]),
        ("engine/src/formats", &["crate::nn", "crate::sam2", "crate::segmenter"]),
        ("engine/src/review", &["crate::nn", "crate::sam2", "crate::media", "crate::segmenter"]),
        ("engine/src/tracking.rs", &["crate::sam2", "crate::media", "crate::worker"]),
        ("engine/src/mask", &["crate::nn", "crate::sam2", "crate::media", "crate::formats"]),
    ];
    for (name, text) in sources() {
        for (place, forbidden) in rules {
            for word in forbidden.iter().filter(|_| name.starts_with(place)) {
                assert!(!text.contains(word), "{name} names {word}");
            }
        }
    }
}

#[test]
fn only_the_runtime_names_ort_and_only_devices_its_providers() {
    for (name, text) in sources().iter().filter(|(name, _)| name.starts_with("engine")) {
        let may_name = ["runtime", "model", "tensor", "device"]
            .into_iter()
            .any(|file| *name == format!("engine/src/nn/{file}.rs"));
        assert!(may_name || !text.contains("use ort::"), "{name} names ort");
    }
}

/// The version that is fetched is the one that is looked for.
#[test]
fn the_runtime_that_is_fetched_is_the_one_that_is_loaded() {
    let script = std::fs::read_to_string(root().join("packaging/fetch_runtime.py")).unwrap();
    assert!(script.contains(&format!("VERSION = \"{}\"", engine::nn::runtime::VERSION)));
}

#[test]
fn no_file_has_an_owner_less_todo() {
    for (name, text) in sources() {
        assert!(!text.contains(concat!("TODO", ":")), "{name} has a TODO without a name");
    }
}
