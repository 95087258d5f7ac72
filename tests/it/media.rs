//! Media files of all kinds: read exactly, refused in one sentence.
//!
//! Clips are made by the `ffmpeg` command, frame counts come from `ffprobe`.

use std::{io::Write as _, path::Path, process::Command};

use engine::{file::write_atomically, media::MediaError};

mod images;
mod reference;
mod seek;
mod video;
mod writer;

/// Runs an FFmpeg program in a folder and gives what it prints.
#[track_caller]
pub(crate) fn run(program: &str, folder: &Path, arguments: &str) -> String {
    let output = Command::new(program)
        .args(["-v", "error"])
        .args(arguments.split_whitespace())
        .current_dir(folder)
        .output()
        .unwrap_or_else(|e| panic!("these tests need the program '{program}' (package ffmpeg): {e}"));
    assert!(output.status.success(), "{program} {arguments}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

/// Makes a clip: 60 frames of 96 x 64 pixels in which everything moves, with these options for encoder and container.
#[track_caller]
fn make_clip(folder: &Path, options: &str) {
    run("ffmpeg", folder, &format!("-f lavfi -i testsrc2=s=96x64:r=25:d=2.4 {options}"));
}

/// Number of frames that FFmpeg itself decodes.
#[track_caller]
fn count_frames(folder: &Path, file: &str) -> usize {
    let options = "-select_streams v:0 -count_frames -show_entries stream=nb_read_frames -of csv=p=0";
    // Streams with side data print a line more and a comma at the end of the first.
    let printed = run("ffprobe", folder, &format!("{options} {file}"));
    printed.lines().next().unwrap().trim_end_matches(',').parse().unwrap()
}

pub(crate) fn write(path: &Path, bytes: &[u8]) {
    write_atomically(path, |out| out.write_all(bytes)).unwrap();
}

/// Fails unless the error is one sentence with the path at its end, and has this text before it.
#[track_caller]
fn check_error<T>(result: Result<T, MediaError>, path: &Path, text: &str) {
    let error = result.err().expect("this must fail").to_string();
    assert_eq!(error, format!("{text}: {}", path.display()));
}
