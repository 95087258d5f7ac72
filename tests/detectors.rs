//! Detectors against `transformers` on PyTorch, in turns on the same threads: `make bench`.
//!
//! Names of models as arguments choose among them. Prints medians, ratios and peak memory. Weights from the formula;
//! nothing here says anything of quality.

#![expect(clippy::unwrap_used, reason = "a benchmark that panics says where")]

#[path = "it/formula.rs"]
#[expect(dead_code, reason = "tests use the rest")]
mod formula;

use std::{
    io::{BufRead as _, BufReader, Write as _},
    path::{Path, PathBuf},
    process::{Child, ChildStdin, ChildStdout, Command, Stdio},
    time::Instant,
};

use engine::{
    detect::{
        detr::{self, Detr},
        owlv2::{self, Owlv2},
    },
    geometry::Size,
    nn::{Cancel, Device, Runtime},
};

const THREADS: usize = 2;
const ROUNDS: usize = 5;
const MODELS: [&str; 5] = ["owlv2_base", "rt_detr_v2_r18", "rt_detr_v2_r50", "d_fine_n", "d_fine_s"];

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).to_owned()
}

fn python(script: &str, words: &[&str]) -> Command {
    let mut command = Command::new(root().join("../target/reference-venv/bin/python"));
    command.arg(root().join("reference").join(script)).args(words);
    command
}

/// `tests/reference/detectors_bench.py`, which times one thing a line.
struct Reference {
    child: Child,
    requests: ChildStdin,
    answers: BufReader<ChildStdout>,
}

impl Reference {
    fn start(model: &str) -> Self {
        let mut child = python("detectors_bench.py", &[model, "--threads", &THREADS.to_string()])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("`make bench` sets up PyTorch");
        let requests = child.stdin.take().unwrap();
        let answers = BufReader::new(child.stdout.take().unwrap());
        let mut reference = Self { child, requests, answers };
        reference.answer("ready");
        reference
    }

    fn ask(&mut self, what: &str) -> f64 {
        writeln!(self.requests, "{what}").unwrap();
        self.answer(what)
    }

    fn answer(&mut self, what: &str) -> f64 {
        let mut line = String::new();
        self.answers.read_line(&mut line).unwrap();
        let answer: serde_json::Value = serde_json::from_str(&line).unwrap();
        answer[what].as_f64().unwrap_or(0.0)
    }
}

impl Drop for Reference {
    fn drop(&mut self) {
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

/// Peak resident memory of this process, in bytes.
fn peak_memory() -> f64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find(|line| line.starts_with("VmHWM:")).unwrap_or_default();
    line.split_whitespace().nth(1).and_then(|kb| kb.parse::<f64>().ok()).unwrap_or(f64::NAN) * 1024.0
}

/// Looks at a picture.
type Look = Box<dyn FnMut()>;

/// The model with the formula's weights, written to `folder`.
fn load(runtime: &Runtime, model: &str, folder: &Path) -> Look {
    let path = folder.join("model.safetensors");
    let write = |required| formula::write_tensors(&formula::of(required), None, &path);
    let picture = formula::frame(0, Size::new(1280, 720));
    let cancel = Cancel::default();
    if let Some(size) = model.strip_prefix("owlv2_") {
        let out = folder.to_str().unwrap();
        assert!(python("detectors.py", &["clip_vocabulary", "--out", out]).status().unwrap().success());
        let config = if size == "base" { owlv2::Config::base() } else { owlv2::Config::large() };
        write(owlv2::required_tensors(&config));
        let mut model = Owlv2::load(runtime, &path, None).unwrap();
        let query = model.embed("forklift", &cancel).unwrap();
        return Box::new(move || {
            drop(model.look(&picture, &cancel).unwrap().detections(std::slice::from_ref(&query), 0.2))
        });
    }
    let config = folder.join("config.json");
    let out = folder.to_str().unwrap();
    assert!(python("detectors.py", &["config", "--config", model, "--out", out]).status().unwrap().success());
    write(detr::required_tensors(&detr::Config::read(&config).unwrap()));
    let mut model = Detr::load(runtime, &path, None).unwrap();
    Box::new(move || drop(model.detect(&picture, 0.2, &cancel).unwrap()))
}

fn main() {
    let named: Vec<String> = std::env::args().skip(1).filter(|word| !word.starts_with('-')).collect();
    let mut out = std::io::stdout();
    // A process for each, so that each has a peak of its own.
    let [model] = &named[..] else {
        for model in MODELS {
            let this = std::env::current_exe().unwrap();
            assert!(Command::new(this).arg(model).status().unwrap().success());
        }
        return;
    };
    let folder = tempfile::tempdir().unwrap();
    let runtime = Runtime::start(Some(Device::Cpu), Some(THREADS)).unwrap();
    let mut look = load(&runtime, model, folder.path());
    // Peak memory is of the model, not of making its weights.
    std::fs::OpenOptions::new()
        .write(true)
        .open("/proc/self/clear_refs")
        .and_then(|mut file| file.write_all(b"5"))
        .expect("Linux lets a process reset its peak");
    look();
    let mut reference = Reference::start(model);
    let (mut ours, mut theirs) = (Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        let start = Instant::now();
        look();
        ours.push(start.elapsed().as_secs_f64() * 1e3);
        theirs.push(reference.ask("look") * 1e3);
    }
    let [ours, theirs] = [ours, theirs].map(|mut times| {
        times.sort_by(f64::total_cmp);
        times[times.len() / 2]
    });
    let (our_memory, their_memory) = (peak_memory() / 1e6, reference.ask("rss") / 1e6);
    writeln!(
        out,
        "{model:15} Segue {ours:7.1} ms, PyTorch {theirs:7.1} ms: {:.2}x as fast (to reach: 1.15x); \
         peak memory {our_memory:.0} and {their_memory:.0} MB: {:.2} (to reach: 0.5)",
        theirs / ours,
        our_memory / their_memory
    )
    .unwrap();
}
