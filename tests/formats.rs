//! COCO files and run lengths against pycocotools and json, side by side: `make bench`.
//!
//! Each part runs in a process of its own, so that peak memory is its own. 100,000 annotations on 10,000 images.

#![expect(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a benchmark prints, and ends when something is wrong"
)]

use std::{
    collections::BTreeMap,
    hint::black_box,
    path::{Path, PathBuf},
    process::Command,
    sync::Arc,
    time::{Duration, Instant},
};

use engine::{
    formats::{ImageFiles, Options, Reading, Sizes, coco::INSTANCES},
    geometry::Size,
    mask::{Mask, Rle},
    project::{Category, CategoryId, Medium, MediumId, MediumKind, Object, ObjectId, Project, Segment},
};

const SIZE: Size = Size::new(640, 480);
const N_IMAGES: u32 = 10_000;
const N_ON_IMAGE: u32 = 10;
/// Different masks; the file repeats them.
const N_MASKS: u32 = 500;
const TURNS: usize = 3;

/// What the two are compared in.
///
/// `read` is a file as what it says, which is all that pycocotools does; `import` also takes it into a project.
const PARTS: [&str; 5] = ["export", "read", "import", "encode", "decode"];

fn main() {
    let words: Vec<String> = std::env::args().skip(1).filter(|word| !word.starts_with("--")).collect();
    if let [part, file, n_images] = &words[..] {
        let took = work(part, Path::new(file), n_images.parse().unwrap());
        println!("{} {}", took.as_secs_f64(), peak_memory());
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("instances.json");
    if words.iter().any(|word| word == "million") {
        million(&file);
        return;
    }
    export(&project(N_IMAGES), &file);
    println!("{} annotations, {} MB", N_IMAGES * N_ON_IMAGE, file.metadata().unwrap().len() >> 20);
    println!("part     Segue s   MB  pycocotools s   MB  times as fast  share of memory");
    for part in PARTS {
        let mut rows = Vec::new();
        for _ in 0..TURNS {
            let ours = run(Command::new(std::env::current_exe().unwrap()).args([
                part,
                &file.display().to_string(),
                &N_IMAGES.to_string(),
            ]));
            let theirs = run(Command::new(python()).arg(script()).arg(part).arg(&file));
            rows.push((ours, theirs));
        }
        rows.sort_by(|a, b| (a.1.0 / a.0.0).total_cmp(&(b.1.0 / b.0.0)));
        let ((ours, our_memory), (theirs, their_memory)) = rows[TURNS / 2];
        let (faster, share) = (theirs / ours, our_memory / their_memory);
        println!(
            "{part:8} {ours:7.3} {our_memory:4.0} {theirs:14.3} {their_memory:4.0} {faster:14.1} {share:16.2}"
        );
    }
}

/// What a million annotations take; they are in memory as a project, which is written and read.
fn million(file: &Path) {
    let n_images = 1_000_000 / N_ON_IMAGE;
    export(&project(n_images), file);
    println!("1,000,000 annotations, {} MB", file.metadata().unwrap().len() >> 20);
    for part in ["project", "export", "read", "import"] {
        let words = [part, &file.display().to_string(), &n_images.to_string()];
        let (seconds, memory) = run(Command::new(std::env::current_exe().unwrap()).args(words));
        println!("{part:8} {seconds:6.2} s, peak memory {memory:.0} MB");
    }
}

/// Seconds and peak memory in MB that a process tells of itself.
fn run(command: &mut Command) -> (f64, f64) {
    let output = command.output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let text = String::from_utf8(output.stdout).unwrap();
    let [seconds, kilobytes] =
        <[f64; 2]>::try_from(text.split_whitespace().map(|word| word.parse().unwrap()).collect::<Vec<f64>>())
            .unwrap();
    (seconds, kilobytes / 1024.0)
}

fn work(part: &str, file: &Path, n_images: u32) -> Duration {
    let n_annotations = (n_images * N_ON_IMAGE) as usize;
    match part {
        "project" => timed(|| drop(black_box(project(n_images)))),
        "export" => {
            let project = project(n_images);
            let out = file.with_file_name("again.json");
            timed(|| export(&project, &out))
        }
        "read" => timed(|| {
            assert_eq!(INSTANCES.import(&Reading::new(file)).unwrap().annotations.len(), n_annotations);
        }),
        "import" => {
            let mut project = media(n_images);
            timed(|| {
                let sizes = Sizes::of_project(&project);
                let reading = Reading::new(file).with_sizes(&sizes);
                let taken = INSTANCES.import(&reading).unwrap().add_to(&mut project, Path::new("."), false);
                assert_eq!(taken.n_annotations, n_annotations);
            })
        }
        "encode" => {
            let masks: Vec<Mask> = (0..N_MASKS).map(|i| blob(i).decode()).collect();
            timed(|| {
                for _ in 0..10 {
                    masks.iter().for_each(|mask| drop(black_box(Rle::encode(mask))));
                }
            })
        }
        "decode" => {
            let texts: Vec<String> = (0..N_MASKS).map(|i| blob(i).counts().to_owned()).collect();
            timed(|| {
                for _ in 0..10 {
                    let decode =
                        |text: &String| drop(black_box(Rle::from_counts(SIZE, text).unwrap().decode()));
                    texts.iter().for_each(decode);
                }
            })
        }
        _ => panic!("there is no part {part}"),
    }
}

fn timed(work: impl FnOnce()) -> Duration {
    let start = Instant::now();
    work();
    start.elapsed()
}

fn export(project: &Project, file: &Path) {
    INSTANCES
        .export(project, &ImageFiles::of_project(Path::new(".")), &Options::default(), file, &|_, _| true)
        .unwrap();
}

fn media(n_images: u32) -> Project {
    let mut project = Project::default();
    for id in 1..=n_images {
        let path = format!("images/{id:06}.jpg");
        let kind = MediumKind::Image;
        let medium = Medium { path, kind, size: SIZE, n_frames: 1, fps: None, content: None, done: false };
        project.media.insert(MediumId(id), Arc::new(medium));
    }
    project
}

fn project(n_images: u32) -> Project {
    let mut project = media(n_images);
    for id in 1..=80 {
        project
            .categories
            .insert(CategoryId(id), Arc::new(Category::new(&format!("category {id}"), [id as u8; 3])));
    }
    let masks: Vec<Arc<Rle>> = (0..N_MASKS).map(|i| Arc::new(blob(i))).collect();
    for i in 0..n_images * N_ON_IMAGE {
        let (id, medium) = (ObjectId(i + 1), MediumId(i / N_ON_IMAGE + 1));
        let object = Object { category: CategoryId(i % 80 + 1), proposal: None, attributes: BTreeMap::new() };
        project.objects.insert((medium, id), Arc::new(object));
        let mask = masks[(i % N_MASKS) as usize].clone();
        project.segments.insert((id, 0), Arc::new(Segment::by_hand(mask)));
    }
    project
}

/// A disk with waves in its edge.
fn blob(i: u32) -> Rle {
    let (cx, cy) = (100.0 + (i * 37 % 440) as f32, 100.0 + (i * 53 % 280) as f32);
    let radius = 15.0 + (i * 29 % 70) as f32;
    let on = |p: usize| {
        let (x, y) = ((p % SIZE.width) as f32 - cx, (p / SIZE.width) as f32 - cy);
        x.hypot(y) < radius * (1.0 + 0.15 * (7.0 * y.atan2(x) + i as f32).sin())
    };
    Rle::encode(&Mask::new(SIZE, (0..SIZE.area()).map(on).collect()))
}

fn python() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../target/test-venv/bin/python")
}

fn script() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("reference/formats_bench.py")
}

/// In kilobytes.
fn peak_memory() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    peak.and_then(|text| text.trim().trim_end_matches(" kB").parse().ok()).unwrap_or(0)
}
