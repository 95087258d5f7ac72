//! How fast a video is tracked, and in how much memory: `make bench`.
//!
//! `cargo bench --package tests --bench tracks -- speed`, `-- objects` and `-- memory` do one part each, and `-- long`
//! tracks 20,000 frames, which takes a while. A session with all its threads does what a person's command asks for, with
//! the built-in model on the processor, and writes the project file.

#![expect(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a benchmark prints, and ends when something is wrong"
)]

use std::{
    path::Path,
    process,
    time::{Duration, Instant},
};

use engine::{
    frame::Direction,
    geometry::{Rect, Size},
    mask::Rle,
    media::{FrameSource, VideoWriter},
    models,
    nn::{Cancel, Device, Runtime, runtime::time_in_models},
    project::ObjectId,
    sam2::{Look, MemoryBank, TrackOptions, VideoModel},
    segmenter::{Sam2Segmenter, Segmenter},
    worker::{Engine, Load},
};
use image::{Rgb, RgbImage, imageops};
use segue::{
    command::{Command, Extent, Way},
    session::{Seen, Session},
};
use tempfile::TempDir;

const SIZE: Size = Size::new(640, 360);
const SMALL: Size = Size::new(320, 180);
const N_FRAMES: usize = 100;
const ROUNDS: usize = 9;
const ROUNDS_OF_OBJECTS: usize = 3;
const N_THINGS: usize = 4;
const FORWARD: Command = Command::Propagate(Way::Forward, Extent::End);
/// Conditioning frames that tracking looks at.
const N_GIVEN: usize = 4;

fn main() {
    let words: Vec<String> = std::env::args().skip(1).filter(|word| !word.starts_with("--")).collect();
    if let [track, clip] = &words[..]
        && track == "track"
    {
        let took = Desk::new(Path::new(clip), 1).track();
        println!("{:.0} s, peak memory {}", took.as_secs_f64(), peak_memory());
        return;
    }
    let wanted = |part: &str| words.is_empty() || words.iter().any(|word| word == part);
    if wanted("speed") {
        speed();
    }
    if wanted("objects") {
        objects();
    }
    if wanted("memory") {
        memory(200, SIZE);
        memory(2000, SIZE);
    }
    if words.iter().any(|word| word == "long") {
        memory(20_000, SMALL);
    }
}

/// From the command to the last mask recorded, and the model's parts alone on the same frames in memory, in turns.
fn speed() {
    let folder = make_clip(N_FRAMES, SIZE);
    let clip = folder.path().join("clip.mp4");
    let mut frames = FrameSource::open(&clip).unwrap();
    let frames: Vec<RgbImage> = (0..N_FRAMES).map(|frame| frames.frame(frame).unwrap()).collect();
    let per_frame = |time: Duration| time.as_secs_f64() * 1e3 / (N_FRAMES - 1) as f64;
    println!("one object on {N_FRAMES} frames of {SIZE}, milliseconds a frame; {}", load_average());
    println!("round  end to end  model's parts  share  within ONNX Runtime: of the whole  of the parts");
    let mut rows = Vec::new();
    for round in 1..=ROUNDS {
        let mut desk = Desk::new(&clip, 1);
        let before = time_in_models();
        let whole = desk.track();
        let of_whole = time_in_models() - before;
        let masks = desk.masks();
        drop(desk);
        let before = time_in_models();
        let parts = parts(&frames, &masks);
        let of_parts = time_in_models() - before;
        let row = [whole, parts, of_whole, of_parts].map(per_frame);
        print_row(&round.to_string(), row);
        rows.push(row);
    }
    print_row("median", [0, 1, 2, 3].map(|i| median(rows.iter().map(|row| row[i]))));
    let share = median(rows.iter().map(|[whole, parts, ..]| parts / whole));
    println!("median share {:.1} % (to reach: 95 %); {}", share * 1e2, load_average());
}

fn print_row(what: &str, [whole, parts, of_whole, of_parts]: [f64; 4]) {
    let share = parts / whole * 1e2;
    println!("{what:6} {whole:10.2} {parts:14.2} {share:5.1}% {of_whole:34.2} {of_parts:13.2}");
}

/// The time of what the model does to track: its image encoder with the resizing before it, memory attention, mask
/// decoder and memory encoder. The masks are those that the session found.
fn parts(frames: &[RgbImage], masks: &[Rle]) -> Duration {
    let weights = models::open(models::BUILTIN).unwrap();
    let options = TrackOptions::default();
    let mut model = VideoModel::load(&runtime(), &weights, options.fill_hole_area).unwrap();
    let (mut bank, cancel) = (MemoryBank::default(), Cancel::default());
    let features = model.image.encode(&frames[0], &cancel).unwrap();
    let given = masks[0].decode();
    let start = Instant::now();
    bank.put_conditioning(0, model.remember(&features, &given, &cancel).unwrap());
    let mut time = start.elapsed();
    for frame in 1..frames.len() {
        let selection = bank.select(frame, Direction::Forward, frames.len(), Some(N_GIVEN));
        let start = Instant::now();
        let features = model.image.encode(&frames[frame], &cancel).unwrap();
        let memory = model.track(&features, &selection, &cancel).unwrap();
        time += start.elapsed();
        assert!(memory.mask(SIZE) == masks[frame], "frame {frame} is tracked otherwise in the session");
        bank.put_tracked(frame, memory);
        bank.forget_behind(frame, Direction::Forward, N_GIVEN);
    }
    time
}

/// What each object more costs.
fn objects() {
    let folder = make_clip(N_FRAMES, SIZE);
    let counts = [1, 2, 4];
    let mut times = counts.map(|_| Vec::new());
    println!("{N_FRAMES} frames of {SIZE}; {}", load_average());
    for _ in 0..ROUNDS_OF_OBJECTS {
        for (n, times) in counts.into_iter().zip(&mut times) {
            let took = Desk::new(&folder.path().join("clip.mp4"), n).track();
            times.push(took.as_secs_f64() * 1e3 / (N_FRAMES - 1) as f64);
        }
    }
    let times = times.map(|times| median(times.into_iter()));
    for (n, time) in counts.into_iter().zip(times) {
        let each = (time - times[0]) / (n - 1).max(1) as f64;
        let ratio = time / times[0];
        println!("{n} objects: {time:6.1} ms a frame, {ratio:.2} times one; each more costs {each:.1} ms");
    }
}

/// The peak of a process that tracks a clip, which is made by this one.
fn memory(n_frames: usize, size: Size) {
    let folder = make_clip(n_frames, size);
    print!("one object on {n_frames} frames of {size}: ");
    let program = std::env::current_exe().unwrap();
    let child = process::Command::new(program).arg("track").arg(folder.path().join("clip.mp4")).output();
    print!("{}", String::from_utf8(child.unwrap().stdout).unwrap());
}

/// A session at work on a clip, without a window, and with a project of its own.
struct Desk {
    session: Session,
    engine: Engine,
    _folder: TempDir,
}

impl Desk {
    /// With boxes round so many things on the first frame, and their masks.
    fn new(clip: &Path, n_objects: usize) -> Self {
        let folder = tempfile::tempdir().unwrap();
        std::fs::copy(clip, folder.path().join("clip.mp4")).unwrap();
        let here = std::thread::current();
        let engine = Engine::start(load(), move || here.unpark()).unwrap();
        let mut desk = Self { session: Session::default(), engine, _folder: folder };
        desk.say(Command::Open(vec![desk._folder.path().to_owned()]));
        desk.until(|session| session.is_encoded() && session.jobs().is_empty());
        let size = desk.session.size().unwrap();
        for thing in 0..n_objects {
            desk.say(Command::SetBox(place(thing, 0, size)));
            desk.until(|session| session.segments().all(|(.., segment)| segment.is_answered));
            desk.say(Command::Accept);
        }
        desk.until(Session::is_saved);
        desk
    }

    fn say(&mut self, command: Command) {
        self.session.turn(&self.engine, [command], &Seen::default());
    }

    /// Turns whenever the engine has something to tell.
    fn until(&mut self, is_so: impl Fn(&Session) -> bool) {
        while !is_so(&self.session) {
            std::thread::park_timeout(Duration::from_millis(100));
            self.session.turn(&self.engine, [], &Seen::default());
        }
    }

    /// All objects to the end of the clip.
    fn track(&mut self) -> Duration {
        let start = Instant::now();
        self.say(FORWARD);
        self.until(|session| session.project().runs.is_empty());
        let took = start.elapsed();
        self.until(Session::is_saved);
        let n_frames = self.session.video().unwrap().n_frames;
        let project = self.session.project();
        for (object, _) in project.objects_of(self.session.shown().unwrap()) {
            assert_eq!(project.track(object).count(), n_frames);
        }
        took
    }

    fn masks(&self) -> Vec<Rle> {
        let track = self.session.project().track(ObjectId(1));
        track.map(|(_, segment)| (**segment.mask.as_ref().unwrap()).clone()).collect()
    }
}

fn runtime() -> Runtime {
    Runtime::start(Some(Device::Cpu), None).unwrap()
}

fn load() -> Load {
    Box::new(|| {
        let weights = models::open(models::BUILTIN).unwrap();
        let segmenter = Sam2Segmenter::load(models::BUILTIN, &runtime(), &weights, Look::CAREFUL).unwrap();
        Ok(Box::new(segmenter) as Box<dyn Segmenter>)
    })
}

/// Striped disks that sway on a ground that drifts.
fn make_clip(n_frames: usize, size: Size) -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    let (width, height) = (size.width as u32, size.height as u32);
    let ground = RgbImage::from_fn(2 * width, height, |x, y| {
        let grain = (x.wrapping_mul(2_654_435_761) ^ y.wrapping_mul(2_246_822_519)) >> 13;
        let wave = 40.0 * (x as f32 / 37.0).sin() * (y as f32 / 23.0).cos();
        let value = (110.0 + wave + (grain % 12) as f32) as u8;
        Rgb([value / 2, value, 200 - value / 2])
    });
    let mut writer = VideoWriter::create(&folder.path().join("clip.mp4"), size, 25.0).unwrap();
    for frame in 0..n_frames {
        let drift = (0.5 + 0.5 * (frame as f32 / 50.0).sin()) * width as f32;
        let mut image = imageops::crop_imm(&ground, drift as u32, 0, width, height).to_image();
        for thing in 0..N_THINGS {
            draw(&mut image, thing, place(thing, frame, size));
        }
        writer.push(&image).unwrap();
    }
    writer.finish().unwrap();
    folder
}

/// Where a thing is on a frame, in pixels.
fn place(thing: usize, frame: usize, size: Size) -> Rect {
    let (n, t) = (thing as f32, frame as f32);
    let (width, height) = (size.width as f32, size.height as f32);
    let x = width * ((n + 0.5) / N_THINGS as f32 + 0.04 * (0.11 * t + n).sin());
    let y = height * (0.5 + 0.3 * (0.07 * t + 2.0 * n).sin());
    let radius = 0.07 * width;
    Rect { x0: x - radius, y0: y - radius, x1: x + radius, y1: y + radius }
}

fn draw(image: &mut RgbImage, thing: usize, rect: Rect) {
    const COLORS: [[u8; 3]; N_THINGS] = [[220, 60, 40], [240, 200, 40], [60, 50, 60], [240, 240, 240]];
    let radius = (rect.x1 - rect.x0) / 2.0;
    for y in rect.y0 as u32..rect.y1 as u32 {
        for x in rect.x0 as u32..rect.x1 as u32 {
            let (dx, dy) = (x as f32 - rect.x0 - radius, y as f32 - rect.y0 - radius);
            if dx.hypot(dy) < radius {
                let is_stripe = (dx / radius * 9.0).sin() > 0.6;
                let color = COLORS[thing].map(|value| if is_stripe { value / 2 + 40 } else { value });
                image.put_pixel(x, y, Rgb(color));
            }
        }
    }
}

fn median(values: impl Iterator<Item = f64>) -> f64 {
    let mut values: Vec<f64> = values.collect();
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

fn peak_memory() -> String {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    peak.unwrap_or("unknown").trim().to_owned()
}

/// How many threads wanted a processor in the last minute.
fn load_average() -> String {
    let load = std::fs::read_to_string("/proc/loadavg").unwrap_or_default();
    format!("load average {}", load.split(' ').next().unwrap_or("unknown"))
}
