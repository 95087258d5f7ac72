//! The program itself, as scripts run it.

use std::{
    path::{Path, PathBuf},
    process::{Child, Command, Output, Stdio},
};

/// The program that `cargo build` put beside this test.
pub(crate) fn program() -> PathBuf {
    let test = std::env::current_exe().unwrap();
    let program = test.parent().and_then(Path::parent).unwrap().join("segue");
    assert!(program.exists(), "{} is not built; `make test` builds it", program.display());
    program
}

/// Starts `segue` with these words in `folder`; what it prints is lost.
pub(crate) fn start(folder: &Path, words: &[&str]) -> Child {
    let mut command = Command::new(program());
    command.current_dir(folder).args(words).stdout(Stdio::null()).stderr(Stdio::null());
    command.spawn().unwrap()
}

/// Runs `segue` with these words in `folder`.
pub(crate) fn run(folder: &Path, words: &[&str]) -> Output {
    Command::new(program()).current_dir(folder).args(words).output().unwrap()
}

/// Runs it and expects success; what it printed.
#[track_caller]
pub(crate) fn succeed(folder: &Path, words: &[&str]) -> String {
    succeed_with(folder, words, &[])
}

/// Runs it with these variables of the environment and expects success; what it printed.
#[track_caller]
pub(crate) fn succeed_with(folder: &Path, words: &[&str], variables: &[(&str, &str)]) -> String {
    let output = Command::new(program())
        .current_dir(folder)
        .args(words)
        .envs(variables.iter().copied())
        .output()
        .unwrap();
    assert!(output.status.success(), "{words:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

/// Runs it and expects exit status `status` and a sentence that holds `says`.
#[track_caller]
pub(crate) fn fail(folder: &Path, words: &[&str], status: i32, says: &str) {
    let output = run(folder, words);
    let sentence = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(status), "{words:?}: {sentence}");
    assert!(sentence.contains(says), "{words:?}: '{sentence}' does not say '{says}'");
    assert!(!sentence.contains("panicked"), "{sentence}");
}
