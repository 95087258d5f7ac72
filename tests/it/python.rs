//! Python with the packages that independent checks need.

use std::{
    path::{Path, PathBuf},
    process::Command,
};

/// The interpreter that `make test` sets up.
fn interpreter() -> PathBuf {
    let set_up = Path::new(env!("CARGO_MANIFEST_DIR")).join("../target/test-venv/bin/python");
    let python = std::env::var_os("SEGUE_TEST_PYTHON").map_or(set_up, PathBuf::from);
    assert!(python.exists(), "there is no Python for tests; `make test` sets it up: {}", python.display());
    python
}

/// What a program prints as JSON; `argument` is its `sys.argv[1]`.
pub(crate) fn run(program: &str, argument: &Path) -> serde_json::Value {
    let output = Command::new(interpreter()).args(["-c", program]).arg(argument).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).unwrap()
}

/// What a program in a file prints as JSON.
pub(crate) fn script(file: &Path, words: &[&str]) -> serde_json::Value {
    let output = Command::new(interpreter()).arg(file).args(words).output().unwrap();
    assert!(output.status.success(), "{words:?}: {}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).unwrap()
}
