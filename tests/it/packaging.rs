//! Getting ONNX Runtime: what goes wrong is said in one sentence, and nothing is installed.

use std::{
    io::{Cursor, Write as _},
    path::Path,
    process::Command,
};

/// Runs the script into an empty folder, on this kind of machine and with these variables, and expects it to fail.
fn check_fails(machine: &str, variables: &[(&str, &str)], says: &str) {
    let folder = tempfile::tempdir().unwrap();
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../packaging/fetch_runtime.py");
    let program = "import platform, runpy, sys
machine = sys.argv.pop()
sys.argv = sys.argv[1:]
platform.system, platform.machine = lambda: 'Linux', lambda: machine
runpy.run_path(sys.argv[0], run_name='__main__')";
    let output = Command::new("python3")
        .args(["-c", program])
        .args([script.as_path(), folder.path()])
        .arg(machine)
        .env("PIP_CONFIG_FILE", "/dev/null")
        .envs(variables.iter().copied())
        .output()
        .unwrap();
    let sentence = String::from_utf8_lossy(&output.stderr);
    assert!(!output.status.success(), "it should fail");
    assert!(sentence.contains(says), "'{sentence}' does not say '{says}'");
    assert_eq!(sentence.trim().lines().count(), 1, "'{sentence}' is not one sentence");
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0, "nothing is installed");
}

#[test]
fn a_machine_that_there_is_no_runtime_for() {
    check_fails("riscv64", &[], "there is none for Linux riscv64 here");
}

#[test]
fn no_network() {
    // Nothing listens there.
    let index = "http://127.0.0.1:9/simple";
    let variables =
        [("PIP_INDEX_URL", index), ("PIP_FIND_LINKS", ""), ("PIP_RETRIES", "1"), ("PIP_TIMEOUT", "1")];
    check_fails("x86_64", &variables, "the download failed; is there a network?");
}

#[test]
fn a_wheel_with_the_wrong_hash() {
    let folder = tempfile::tempdir().unwrap();
    let mut wheel = zip::ZipWriter::new(Cursor::new(Vec::new()));
    let options = zip::write::SimpleFileOptions::default();
    for (name, text) in [
        ("onnxruntime/capi/libonnxruntime.so.1.27.0", "not a library"),
        (
            "onnxruntime_webgpu-1.27.0.dist-info/METADATA",
            "Metadata-Version: 2.1\nName: onnxruntime-webgpu\nVersion: 1.27.0\n",
        ),
        (
            "onnxruntime_webgpu-1.27.0.dist-info/WHEEL",
            "Wheel-Version: 1.0\nTag: cp311-cp311-manylinux_2_27_x86_64\n",
        ),
        ("onnxruntime_webgpu-1.27.0.dist-info/RECORD", ""),
    ] {
        wheel.start_file(name, options).unwrap();
        wheel.write_all(text.as_bytes()).unwrap();
    }
    let wheel = wheel.finish().unwrap().into_inner();
    let name = "onnxruntime_webgpu-1.27.0-cp311-cp311-manylinux_2_27_x86_64.whl";
    engine::file::write_atomically(&folder.path().join(name), |out| out.write_all(&wheel)).unwrap();
    let links = folder.path().to_str().unwrap();
    check_fails("x86_64", &[("PIP_NO_INDEX", "1"), ("PIP_FIND_LINKS", links)], "has the wrong hash");
}
