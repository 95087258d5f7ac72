//! A fuzz target: any text as settings, keys, or prompts of a photo or a video: `make fuzz`.
//!
//! The first byte says which.

#![no_main]

mod seeds;

use std::{fs, sync::LazyLock};

use clap::Parser as _;
use libfuzzer_sys::fuzz_target;
use segue::{
    cli::Cli,
    keymap::{Keymap, Preset},
    settings::Settings,
};
use tempfile::TempDir;

static FOLDER: LazyLock<TempDir> = LazyLock::new(|| tempfile::tempdir().expect("a folder"));

const SEEDS: [&str; 4] = [
    "0theme = \"dark\"\nmask-opacity = 0.5\nprefetch = 2\nrecent = [\"/a.segue\"]",
    "1undo = \"Ctrl+Z\"\nredo = [\"Ctrl+Y\", \"Ctrl+Shift+Z\"]",
    r#"2{"objects": [{"id": 1, "category": "dog", "prompts": [{"frame": 0, "points": [[3, 2, 1]], "box": [1, 2, 3, 4]}]}]}"#,
    r#"3{"id": 7, "image": "dog.jpg", "points": [[320, 240, 1]], "box": [100, 80, 500, 400], "at_once": true}"#,
];

fn write_seeds() {
    seeds::write(SEEDS.iter().enumerate().map(|(i, seed)| (i.to_string(), seed.as_bytes().to_vec())));
}

/// Runs a command on prompts; it ends at the model or the video, which are not there.
fn run(words: [&str; 4], prompts: &[u8], out: &str) {
    let path = FOLDER.path().join("prompts");
    fs::write(&path, prompts).expect("a file");
    let path = path.to_str().expect("a path that is text");
    let words = ["segue"].into_iter().chain(words).chain([path, "--out", out, "--model", "none"]);
    let cli = Cli::try_parse_from(words).expect("a command");
    assert!(cli.run().is_err());
}

fuzz_target!(init: write_seeds(), |bytes: &[u8]| {
    let Some((which, bytes)) = bytes.split_first() else { return };
    let text = String::from_utf8_lossy(bytes);
    let out = FOLDER.path().join("out");
    let out = out.to_str().expect("a path that is text");
    match which % 4 {
        0 => {
            if let Ok(settings) = Settings::from_text(&text) {
                assert_eq!(Settings::from_text(&settings.to_text()).expect("own settings"), settings);
            }
        }
        1 => drop(Keymap::preset(Preset::default()).with_overrides(&text)),
        2 => run(["track", "none.mp4", "--look=plain", "--prompts"], bytes, out),
        _ => run(["segment", "--at-once", "--look=plain", "--in"], bytes, out),
    }
});
