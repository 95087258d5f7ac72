//! Segue against PyTorch's `sam2`, in turns on the same threads, and memory over long videos: `make bench`.
//!
//! `cargo bench -- speed` and `-- memory` do one half. Prints medians and ratios. SAM 2.1 tiny at 1024 with weights from the formula; nothing here says anything of quality.
//! `cargo bench -- gpu cuda sam2.1_hiera_large.pt` is for a graphics card, against PyTorch on the same one, in floats, in bfloat16, and compiled. It takes the Python that `SEGUE_REFERENCE_PYTHON` names, or that of `make bench`.

#![expect(clippy::unwrap_used, reason = "a benchmark that panics says where")]

#[path = "it/formula.rs"]
#[expect(dead_code, reason = "tests use the rest")]
mod formula;

use std::{
    convert::Infallible,
    fmt,
    io::{BufRead as _, BufReader, Write as _},
    path::{Path, PathBuf},
    process::{Child, ChildStdin, ChildStdout, Command, Stdio},
    time::Instant,
};

use engine::{
    frame::{Frames, PictureKind},
    geometry::{Point, Size},
    mask::Mask,
    nn::{Cancel, Device, Runtime, model::time_in_models},
    prompt::{Label, PointPrompt, Prompt},
    sam2::{Config, Direction, Features, ImageModel, TrackOptions, Tracker, Weights},
};
use image::RgbImage;

const THREADS: usize = 2;
const ROUNDS: usize = 5;
const CLICKS: usize = 9;
const SIZE: Size = Size::new(1280, 720);

/// The formula's clip, of one picture: what is in it does not matter here.
struct Clip {
    picture: RgbImage,
    n_frames: usize,
}

impl Frames for Clip {
    type Error = Infallible;
    fn n_frames(&self) -> usize {
        self.n_frames
    }
    fn size(&self) -> Size {
        SIZE
    }
    fn frame(&mut self, _: usize) -> Result<RgbImage, Infallible> {
        Ok(self.picture.clone())
    }
}

/// `tests/reference/bench.py`, which times one thing a line.
struct Reference {
    child: Child,
    requests: ChildStdin,
    answers: BufReader<ChildStdout>,
}

impl Reference {
    fn start(words: &[&str]) -> Self {
        let root = Path::new(env!("CARGO_MANIFEST_DIR"));
        let python = std::env::var_os("SEGUE_REFERENCE_PYTHON").map(PathBuf::from);
        let mut child = Command::new(python.unwrap_or(root.join("../target/reference-venv/bin/python")))
            .arg(root.join("reference/bench.py"))
            .args(words)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("`make bench` sets up PyTorch");
        let requests = child.stdin.take().expect("it is piped");
        let answers = BufReader::new(child.stdout.take().expect("it is piped"));
        let mut reference = Self { child, requests, answers };
        reference.answer("ready");
        reference
    }

    fn ask(&mut self, what: &str) -> f64 {
        writeln!(self.requests, "{what}").expect("the reference listens");
        self.answer(what)
    }

    fn answer(&mut self, what: &str) -> f64 {
        let mut line = String::new();
        self.answers.read_line(&mut line).expect("the reference answers");
        let answer: serde_json::Value = serde_json::from_str(&line).expect("the reference answers in JSON");
        answer[what].as_f64().unwrap_or(0.0)
    }
}

impl Drop for Reference {
    fn drop(&mut self) {
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

/// Seconds of a step, and how many of them ONNX Runtime had.
#[derive(Clone, Copy)]
struct Time {
    whole: f64,
    in_models: f64,
}

fn timed<T>(run: impl FnOnce() -> T) -> (Time, T) {
    let (start, in_models) = (Instant::now(), time_in_models());
    let result = run();
    let time = Time {
        whole: start.elapsed().as_secs_f64(),
        in_models: (time_in_models() - in_models).as_secs_f64(),
    };
    (time, result)
}

fn median(values: impl Iterator<Item = f64>) -> f64 {
    let mut values: Vec<f64> = values.collect();
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

/// What is timed on both sides.
struct Row {
    what: &'static str,
    /// How many times as fast as PyTorch it has to be.
    bar: f64,
    ours: Vec<Time>,
    theirs: Vec<f64>,
}

impl fmt::Display for Row {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ours = median(self.ours.iter().map(|time| time.whole));
        let theirs = median(self.theirs.iter().copied());
        let beyond = median(self.ours.iter().map(|time| time.whole / time.in_models - 1.0));
        write!(
            f,
            "{:7} Segue {:7.1} ms ({:.1} % beyond ONNX Runtime, to reach: 5 %), PyTorch {:7.1} ms: {:.2}x as fast (to reach: {}x)",
            self.what,
            ours * 1e3,
            beyond * 1e2,
            theirs * 1e3,
            theirs / ours,
            self.bar
        )
    }
}

/// Peak resident memory of this process, in bytes.
fn peak_memory() -> f64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find(|line| line.starts_with("VmHWM:")).unwrap_or_default();
    line.split_whitespace().nth(1).and_then(|kb| kb.parse::<f64>().ok()).unwrap_or(f64::NAN) * 1024.0
}

/// Starts measuring the peak anew.
fn reset_peak_memory() {
    let file = std::fs::OpenOptions::new().write(true).open("/proc/self/clear_refs");
    file.and_then(|mut file| file.write_all(b"5")).expect("Linux lets a process reset its peak");
}

fn main() {
    let mut out = std::io::stdout();
    let mut say = |line: String| writeln!(out, "{line}").expect("standard output is open");
    let click = Prompt {
        points: vec![PointPrompt { at: Point { x: 400.0, y: 300.0 }, label: Label::Positive }],
        rect: None,
    };
    let picture = formula::frame(0, SIZE);
    let parts: Vec<String> = std::env::args().skip(1).filter(|word| !word.starts_with('-')).collect();
    if let [gpu, device, weights] = &*parts
        && gpu == "gpu"
    {
        let device = device.parse().expect("a device");
        on_a_gpu(device, Path::new(weights), &picture, &click, &mut say);
        return;
    }
    let runtime = Runtime::start(Some(Device::Cpu), Some(THREADS)).expect("ONNX Runtime is here");
    let wanted = |part: &str| parts.is_empty() || parts.iter().any(|p| p == part);
    if wanted("memory") {
        long_video(&runtime, picture.clone(), &click, &mut say);
    }
    if wanted("speed") {
        against_pytorch(&runtime, &picture, &click, &mut say);
    }
}

/// Two objects clicked on the first of 40 frames; what is made tracks some of them on a frame, and says how long it took.
fn tracking(
    runtime: &Runtime,
    weights: &Weights,
    picture: &RgbImage,
    click: &Prompt,
) -> impl FnMut(usize, &[u32]) -> Time + use<> {
    let cancel = Cancel::default();
    let mut clip = Clip { picture: picture.clone(), n_frames: 40 };
    let mut tracker = Tracker::load(runtime, weights, TrackOptions::default()).expect("it loads");
    for object in [1, 2] {
        tracker.prompt(&mut clip, object, 0, click, &cancel).expect("a click");
    }
    move |frame, objects| {
        timed(|| tracker.track(&mut clip, frame, Direction::Forward, objects, &cancel).expect("a frame")).0
    }
}

/// What a click may mean, at the picture's size.
fn three_masks(model: &mut ImageModel, features: &Features, click: &Prompt) -> Vec<Mask> {
    let three = model.candidates(features, click, None, &Cancel::default()).expect("a click");
    three.iter().map(|prediction| prediction.logits.mask(SIZE)).collect()
}

/// Speed and peak memory of SAM 2.1 tiny, in turns with PyTorch.
fn against_pytorch(runtime: &Runtime, picture: &RgbImage, click: &Prompt, say: &mut impl FnMut(String)) {
    let cancel = Cancel::default();
    let folder = tempfile::tempdir().expect("a scratch folder");
    let path = folder.path().join("tiny.safetensors");
    formula::write_tensors(&formula::tensors(&Config::tiny(), 0.0), None, &path);
    let weights = Weights::open(&path).expect("the formula's weights fit");
    // Peak memory is of the model, not of making its weights.
    reset_peak_memory();
    let before = peak_memory();
    let mut track = tracking(runtime, &weights, picture, click);
    // Fills the memory bank: seven memories from here on.
    for frame in 1..8 {
        track(frame, &[1, 2]);
    }
    say(format!(
        "peak memory, tracking with tiny: {:.0} MB (before: {:.0} MB)",
        peak_memory() / 1e6,
        before / 1e6
    ));

    let mut model = ImageModel::load(runtime, &weights).expect("tiny loads");
    let features = model.encode(picture, PictureKind::Photo, &cancel).expect("a picture");
    let mut reference = Reference::start(&["--threads", &THREADS.to_string()]);
    let mut rows = [0, 1, 2].map(|i| (WHAT[i], [1.15, 1.5, 1.2][i])).map(|(what, bar)| Row {
        what,
        bar,
        ours: vec![],
        theirs: vec![],
    });
    for round in 0..ROUNDS {
        let [encode, clicks, tracked] = &mut rows;
        encode.ours.push(timed(|| model.encode(picture, PictureKind::Photo, &cancel).expect("a picture")).0);
        encode.theirs.push(reference.ask("encode"));
        // Clicks follow each other, and the first finds cold caches.
        clicks.ours.extend((0..CLICKS).map(|_| timed(|| three_masks(&mut model, &features, click)).0));
        clicks.theirs.extend((0..CLICKS).map(|_| reference.ask("click")));
        // The first object pays for looking at the frame, the second's time is tracking alone.
        track(8 + round, &[1]);
        tracked.ours.push(track(8 + round, &[2]));
        tracked.theirs.push(reference.ask("track"));
    }
    for row in rows {
        say(row.to_string());
    }
    say(format!("peak memory, PyTorch: {:.0} MB", reference.ask("rss") / 1e6));
    drop(reference);
}

/// Speed of a checkpoint on a device, in turns with PyTorch on the same one.
fn on_a_gpu(device: Device, path: &Path, picture: &RgbImage, click: &Prompt, say: &mut impl FnMut(String)) {
    let cancel = Cancel::default();
    let runtime = Runtime::start(Some(device), None).expect("the device works");
    let weights = Weights::open(path).expect("a checkpoint");
    let name = weights.config.official_name().expect("an official model");
    let theirs: &[&[&str]] = match device {
        Device::Cpu => &[&["--dtype", "float32"]],
        _ => &[
            &["--device", "cuda", "--dtype", "float32"],
            &["--device", "cuda", "--dtype", "bfloat16"],
            &["--device", "cuda", "--dtype", "bfloat16", "--compile", "max-autotune-no-cudagraphs"],
        ],
    };
    let start = |words: &&[&str]| {
        let more = ["--config", name, "--weights", "random"];
        (words.join(" "), Reference::start(&[&more, *words].concat()))
    };
    let mut theirs: Vec<(String, Reference)> = theirs.iter().map(start).collect();
    let mut model = ImageModel::load(&runtime, &weights).expect("it loads");
    let mut track = tracking(&runtime, &weights, picture, click);
    // Fills the memory bank: seven memories and all pointers from here on.
    for frame in 1..20 {
        track(frame, &[1, 2]);
    }
    let features = model.encode(picture, PictureKind::Photo, &cancel).expect("a picture");
    let mut ours = [const { Vec::new() }; 3];
    let mut others: Vec<[Vec<f64>; 3]> = theirs.iter().map(|_| [const { Vec::new() }; 3]).collect();
    for round in 0..2 * ROUNDS {
        ours[0]
            .push(timed(|| model.encode(picture, PictureKind::Photo, &cancel).expect("a picture")).0.whole);
        ours[1].push(timed(|| three_masks(&mut model, &features, click)).0.whole);
        track(20 + round, &[1]);
        ours[2].push(track(20 + round, &[2]).whole);
        for ((_, reference), times) in theirs.iter_mut().zip(&mut others) {
            for (times, what) in times.iter_mut().zip(WHAT) {
                times.push(reference.ask(what));
            }
        }
    }
    let (place, precision) = model.encoder().place();
    say(format!("{name} on {place}, {}; looks in {precision}", place.hardware().unwrap_or_default()));
    for (i, what) in WHAT.iter().enumerate() {
        let mine = median(ours[i].iter().copied());
        say(format!("{what:7} Segue {:7.1} ms", mine * 1e3));
        for ((words, _), times) in theirs.iter().zip(&others) {
            let time = median(times[i].iter().copied());
            say(format!(
                "        PyTorch {words}: {:7.1} ms, Segue is {:.2}x as fast",
                time * 1e3,
                time / mine
            ));
        }
    }
}

/// What is timed, as the reference calls it.
const WHAT: [&str; 3] = ["encode", "click", "track"];

/// Peak memory after 200 frames and after 2,000.
fn long_video(runtime: &Runtime, picture: RgbImage, click: &Prompt, say: &mut impl FnMut(String)) {
    let cancel = Cancel::default();
    let weights = Weights::builtin().expect("the built-in model is whole");
    let mut clip = Clip { picture, n_frames: 2000 };
    let mut tracker = Tracker::load(runtime, &weights, TrackOptions::default()).expect("it loads");
    tracker.prompt(&mut clip, 1, 0, click, &cancel).expect("a click");
    reset_peak_memory();
    for frame in 0..clip.n_frames {
        tracker.track(&mut clip, frame, Direction::Forward, &[1], &cancel).expect("a frame");
        if frame == 199 || frame == 1999 {
            let megabytes = peak_memory() / 1e6;
            say(format!("peak memory after {} frames with the built-in model: {megabytes:.1} MB", frame + 1));
        }
    }
}
