//! How soon a frame of a 4K video is there after a jump to it: `make bench`. Times are of this machine's processor.

#![expect(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a benchmark prints, and ends when something is wrong"
)]

use std::{
    path::{Path, PathBuf},
    process::Command,
    time::{Duration, Instant},
};

use engine::{
    geometry::Size,
    media::{Sources, VideoWriter},
    project::{FrameId, MediumId},
    segmenter::{FakeSegmenter, Segmenter},
    worker::{Engine, Event, Load, Reads},
};
use image::{Rgb, RgbImage};

const WIDTH: u32 = 3840;
const HEIGHT: u32 = 2160;
const FRAMES: usize = 300;
const SCRUBS: usize = 60;

fn main() {
    let arguments: Vec<String> = std::env::args().collect();
    if let [_, make, path] = &arguments[..]
        && make == "make"
    {
        make_clip(Path::new(path));
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("clip.mp4");
    // In another process, whose memory is not counted.
    let made = Command::new(&arguments[0]).arg("make").arg(&path).status().unwrap();
    assert!(made.success());
    let bytes = std::fs::metadata(&path).unwrap().len();
    println!("{FRAMES} frames of {WIDTH}x{HEIGHT}, H.264, {:.1} MB", bytes as f64 / 1e6);

    let start = Instant::now();
    let mut source = Sources::default().open(&path).unwrap();
    let keys = (0..FRAMES).filter(|frame| source.key_frame(*frame) == *frame).count();
    println!("open: {:.2} s; {keys} key frames", start.elapsed().as_secs_f32());
    let start = Instant::now();
    (0..100).for_each(|frame| drop(source.frame(frame).unwrap()));
    println!("decode in order, to RGB: {:.1} ms a frame", start.elapsed().as_secs_f64() * 1e3 / 100.0);
    drop(source);
    scrub(path);
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let peak = status.lines().find(|line| line.starts_with("VmHWM:")).unwrap_or("VmHWM: unknown");
    println!("peak memory: {}", peak.trim_start_matches("VmHWM:").trim());
}

/// Jumps to frames at random; each time waits for the frame itself.
fn scrub(path: PathBuf) {
    let load = Load::new(|| Ok(Box::new(FakeSegmenter::default()) as Box<dyn Segmenter>));
    let engine = Engine::start(load, || {}).unwrap();
    let mut random = 1_u64;
    let (mut nearest, mut exact, mut n_reported) = (Vec::new(), Vec::new(), 0);
    // The first jump waits for the file to be opened.
    for i in 0..=SCRUBS {
        random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let at = FrameId { medium: MediumId(1), frame: (random >> 33) as usize % FRAMES };
        let start = Instant::now();
        assert!(engine.read(Reads { frames: vec![(at, path.clone())] }));
        let mut first = None;
        loop {
            let Some(event) = engine.event() else {
                std::thread::sleep(Duration::from_micros(200));
                continue;
            };
            let Event::Read(read, _, picture) = event else { continue };
            drop(picture.unwrap());
            let elapsed = *first.get_or_insert_with(|| start.elapsed());
            n_reported += usize::from(i > 0);
            if read == at {
                if i > 0 {
                    nearest.push(elapsed);
                    exact.push(start.elapsed());
                }
                break;
            }
        }
    }
    println!("{SCRUBS} jumps          p50      p99");
    print("a frame near it", nearest);
    print("the frame itself", exact);
    println!("pictures a jump: {:.1}", n_reported as f64 / SCRUBS as f64);
}

fn print(what: &str, mut times: Vec<Duration>) {
    times.sort();
    let share = |share: f64| times[((times.len() - 1) as f64 * share).round() as usize].as_secs_f64() * 1e3;
    println!("{what:<16} {:>5.0} ms {:>5.0} ms", share(0.5), share(0.99));
}

/// Two layers of fine grain and large shapes that move apart, with the encoder's usual distance between key frames.
fn make_clip(path: &Path) {
    let texture = RgbImage::from_fn(WIDTH, HEIGHT, |x, y| {
        let grain = (x / 2).wrapping_mul(2_654_435_761) ^ (y / 2).wrapping_mul(2_246_822_519);
        let shape = 60.0 * (x as f32 / 37.0).sin() * (y as f32 / 53.0).cos();
        let value = (120.0 + shape + (grain >> 13) as f32 % 6.0) as u8;
        Rgb([value, value / 2 + (x / 40) as u8, 255 - value])
    });
    let mut writer = VideoWriter::create(path, Size::new(WIDTH as usize, HEIGHT as usize), 25.0).unwrap();
    let row = 3 * WIDTH as usize;
    for frame in 0..FRAMES {
        let mut image = RgbImage::new(WIDTH, HEIGHT);
        for (y, line) in image.chunks_exact_mut(row).enumerate() {
            let layer = |y: usize| &texture.as_raw()[y % HEIGHT as usize * row..][..row];
            let (still, moving) = (layer(y), layer(y + 2 * frame));
            let shift = 3 * (3 * frame);
            for (value, (a, b)) in line.iter_mut().zip(still.iter().zip(moving.iter().cycle().skip(shift))) {
                *value = a / 2 + b / 2;
            }
        }
        writer.push(&image).unwrap();
    }
    writer.finish().unwrap();
}
