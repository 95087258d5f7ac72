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
    sync::{Arc, Condvar, Mutex},
    time::{Duration, Instant},
};

use engine::{
    frame::{Direction, PictureKind},
    geometry::{Rect, Size},
    mask::Rle,
    media::{FrameSource, VideoWriter},
    models,
    nn::{Cancel, Device, Runtime, model::time_in_models},
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
const N_THINGS: usize = 4;
const FORWARD: Command = Command::Propagate(Way::Forward, Extent::End);
/// Conditioning frames that tracking looks at.
const N_GIVEN: usize = 4;
/// What is compared is tracked in turns, so many frames each: others who use the machine slow down all alike.
const STRETCH: usize = 10;
const TURNS: usize = 15;
/// Some 200 frames are decoded ahead. In so many, decoding has its work on each of the frames that are timed.
const N_FRAMES: usize = 360;
/// Ample for those that are decoded when tracking begins.
const CATCH_UP: Duration = Duration::from_secs(3);

fn main() {
    let words: Vec<String> = std::env::args().skip(1).filter(|word| !word.starts_with("--")).collect();
    if let [track, clip] = &words[..]
        && track == "track"
    {
        let took = Desk::new(Path::new(clip), 1, Look::CAREFUL).track_all();
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

/// A session against the model's parts alone on the same frames in memory: as official models are run, and with what the
/// built-in one does besides.
fn speed() {
    println!("tracked as official models are");
    compare(Look::default());
    println!("with colors and motion");
    compare(Look::CAREFUL);
}

fn compare(look: Look) {
    let folder = make_clip(N_FRAMES, SIZE);
    let clip = folder.path().join("clip.mp4");
    let mut video = FrameSource::open(&clip).unwrap();
    let mut frame = |i: usize| video.frame(i).unwrap();
    let mut desk = Desk::new(&clip, 1, look);
    let mut parts = Parts::new(&frame(0), &desk.mask(0));
    let first = desk.begin();
    println!("one object, {SIZE}; {}; the first mask takes {:.0} ms", load_average(), ms(first));
    std::thread::sleep(CATCH_UP);
    parts.track(&[frame(1)], &[desk.mask(1)]);

    println!("milliseconds a frame:                          of that within ONNX Runtime:");
    println!("frames     end to end  model's parts  share    end to end  model's parts");
    let mut rows = Vec::new();
    for turn in 0..TURNS {
        let of_turn = turn * STRETCH + 2..(turn + 1) * STRETCH + 2;
        let images: Vec<RgbImage> = of_turn.clone().map(&mut frame).collect();
        let before = time_in_models();
        let whole = desk.track(STRETCH);
        let between = time_in_models();
        let masks: Vec<Rle> = of_turn.clone().map(|i| desk.mask(i)).collect();
        let alone = parts.track(&images, &masks);
        let row = [whole, alone, between - before, time_in_models() - between];
        let row = row.map(|time| ms(time) / STRETCH as f64);
        print_row(&format!("{}-{}", of_turn.start, of_turn.end - 1), row);
        rows.push(row);
    }
    print_row("median", [0, 1, 2, 3].map(|i| median(rows.iter().map(|row| row[i]))));
    let share = median(rows.iter().map(|[whole, parts, ..]| parts / whole));
    println!("median share {:.1} % (to reach: 95 %); {}", share * 1e2, load_average());
}

fn print_row(what: &str, [whole, parts, of_whole, of_parts]: [f64; 4]) {
    let share = parts / whole * 1e2;
    println!("{what:10} {whole:10.2} {parts:14.2} {share:5.1}% {of_whole:13.2} {of_parts:14.2}");
}

/// What the model does to track: its image encoder with the resizing before it, memory attention, mask decoder and memory
/// encoder.
struct Parts {
    model: VideoModel,
    bank: MemoryBank,
    next: usize,
}

impl Parts {
    fn new(frame: &RgbImage, given: &Rle) -> Self {
        let weights = models::open(models::BUILTIN).unwrap();
        let options = TrackOptions::default();
        let mut model = VideoModel::load(&runtime(), &weights, options.fill_hole_area).unwrap();
        let mut bank = MemoryBank::default();
        let features = model.image.encode(frame, PictureKind::Frame, &Cancel::default()).unwrap();
        bank.put_conditioning(0, model.remember(&features, &given.decode(), &Cancel::default()).unwrap());
        Self { model, bank, next: 1 }
    }

    /// The time that the next frames take; the masks are those that the session found on them.
    fn track(&mut self, frames: &[RgbImage], masks: &[Rle]) -> Duration {
        let (direction, cancel) = (Direction::Forward, Cancel::default());
        let mut time = Duration::ZERO;
        for (frame, mask) in frames.iter().zip(masks) {
            let selection = self.bank.select(self.next, direction, N_FRAMES, Some(N_GIVEN));
            let start = Instant::now();
            let features = self.model.image.encode(frame, PictureKind::Frame, &cancel).unwrap();
            let memory = self.model.track(&features, &[selection], &cancel).unwrap().remove(0);
            time += start.elapsed();
            // The session corrects what the model finds.
            assert!(memory.mask(SIZE).iou(mask) > 0.5, "frame {} is tracked otherwise there", self.next);
            self.bank.put_tracked(self.next, memory);
            self.bank.forget_behind(self.next, direction, N_GIVEN);
            self.next += 1;
        }
        time
    }
}

/// What each object more costs.
fn objects() {
    let folder = make_clip(N_FRAMES, SIZE);
    let counts = [1, 2, 4];
    let mut desks = counts.map(|n| Desk::new(&folder.path().join("clip.mp4"), n, Look::CAREFUL));
    for desk in &mut desks {
        desk.begin();
    }
    std::thread::sleep(CATCH_UP);
    let mut times = counts.map(|_| Vec::new());
    for _ in 0..TURNS {
        for (desk, times) in desks.iter_mut().zip(&mut times) {
            times.push(ms(desk.track(STRETCH)) / STRETCH as f64);
        }
    }
    println!("objects on {SIZE}; {}", load_average());
    for (n, of_n) in counts.into_iter().zip(&times) {
        let ratio = median(of_n.iter().zip(&times[0]).map(|(time, one)| time / one));
        println!("{n}: {:6.1} ms a frame, {ratio:.2} times one object's", median(of_n.iter().copied()));
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
    gate: Arc<Gate>,
    n_objects: usize,
    folder: TempDir,
}

/// Lets the model's thread go on after a report only as long as there is a pass for it.
#[derive(Default)]
struct Gate {
    n_passes: Mutex<usize>,
    changed: Condvar,
}

impl Gate {
    fn pass(&self) {
        let n_passes = self.n_passes.lock().unwrap();
        *self.changed.wait_while(n_passes, |n| *n == 0).unwrap() -= 1;
    }

    fn set(&self, n: usize) {
        *self.n_passes.lock().unwrap() = n;
        self.changed.notify_all();
    }
}

impl Desk {
    /// With boxes round so many things on the first frame, and their masks.
    fn new(clip: &Path, n_objects: usize, look: Look) -> Self {
        let folder = tempfile::tempdir().unwrap();
        std::fs::copy(clip, folder.path().join("clip.mp4")).unwrap();
        let gate = Arc::new(Gate::default());
        gate.set(usize::MAX);
        let (here, of_model) = (std::thread::current(), gate.clone());
        let wake = move || {
            here.unpark();
            if std::thread::current().name() == Some("inference") {
                of_model.pass();
            }
        };
        let engine = Engine::start(load(look), wake).unwrap();
        let mut desk = Self { session: Session::default(), engine, gate, n_objects, folder };
        desk.say(Command::Open(vec![desk.folder.path().to_owned()]));
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

    /// All to the end of the clip, and saved.
    fn track_all(&mut self) -> Duration {
        let start = Instant::now();
        self.say(FORWARD);
        self.until(|session| session.project().runs.is_empty() && session.is_saved());
        assert_eq!(Some(n_masks(&self.session)), self.session.video().map(|video| video.n_frames));
        start.elapsed()
    }

    /// Tells to track to the end, and tracks the first frame. The model then waits until it is to go on.
    fn begin(&mut self) -> Duration {
        self.gate.set(self.n_objects - 1);
        let start = Instant::now();
        self.say(FORWARD);
        self.until(|session| n_masks(session) > 1);
        start.elapsed()
    }

    /// So many frames more: from when the model may go on to when the last mask is recorded.
    fn track(&mut self, n_frames: usize) -> Duration {
        let goal = n_masks(&self.session) + n_frames;
        let start = Instant::now();
        self.gate.set(n_frames * self.n_objects);
        self.until(|session| n_masks(session) >= goal);
        start.elapsed()
    }

    /// Of the first object.
    fn mask(&self, frame: usize) -> Rle {
        let segment = self.session.project().segment(ObjectId(1), frame).unwrap();
        (**segment.mask.as_ref().unwrap()).clone()
    }
}

impl Drop for Desk {
    fn drop(&mut self) {
        self.gate.set(usize::MAX);
    }
}

/// Of the first object, which is tracked last on each frame.
fn n_masks(session: &Session) -> usize {
    session.project().track(ObjectId(1)).count()
}

fn runtime() -> Runtime {
    Runtime::start(Some(Device::Cpu), None).unwrap()
}

fn load(look: Look) -> Load {
    Load::new(move || {
        let weights = models::open(models::BUILTIN).unwrap();
        let segmenter = Sam2Segmenter::load(models::BUILTIN, &runtime(), &weights, look).unwrap();
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

fn ms(time: Duration) -> f64 {
    time.as_secs_f64() * 1e3
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
