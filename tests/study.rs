//! How much work it is to correct a video until every mask is good, by four ways of going about it: `make study`.
//!
//! `cargo bench --package tests --bench study -- FOLDER...` takes clips of folders with JPEG frames and PNG masks instead.

#![expect(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a benchmark prints, reads files, and ends when something is wrong"
)]

#[path = "study/annotator.rs"]
mod annotator;
#[path = "study/clips.rs"]
mod clips;

use engine::{
    models,
    nn::Runtime,
    sam2::Look,
    segmenter::{Sam2Segmenter, Segmenter},
};

use self::{
    annotator::{Effort, Way, correct},
    clips::Clip,
};

const WAYS: [Way; 4] = [Way::FixNext, Way::InOrder, Way::FrameByFrame, Way::AllAgain];
const N_CLIPS: u64 = 4;
const N_FRAMES: usize = 60;

fn main() {
    let folders: Vec<String> = std::env::args().skip(1).filter(|arg| !arg.starts_with('-')).collect();
    let clips: Vec<Clip> = match folders.is_empty() {
        true => (0..N_CLIPS).map(|i| clips::generated(i, N_FRAMES)).collect(),
        false => folders.iter().map(|folder| clips::read(folder.as_ref())).collect(),
    };
    let runtime = Runtime::start(None, None).unwrap();
    let weights = models::open(models::BUILTIN).unwrap();
    println!(
        "{:12} {:12} {:>7} {:>9} {:>6} {:>8} {:>8} {:>8}",
        "clip", "way", "clicks", "on first", "drawn", "touched", "tracked", "seconds"
    );
    let mut totals = [Effort::default(); WAYS.len()];
    for clip in &clips {
        for (way, total) in WAYS.iter().zip(&mut totals) {
            let mut segmenter = Sam2Segmenter::load("builtin", &runtime, &weights, Look::CAREFUL).unwrap();
            let effort = correct(clip, &mut segmenter as &mut dyn Segmenter, *way);
            print(&clip.name, *way, effort);
            total.add(effort);
        }
    }
    let n_frames: usize = clips.iter().map(|clip| clip.frames.len()).sum();
    for (way, total) in WAYS.iter().zip(totals) {
        print("all", *way, total);
        println!("{:12} {:.3} clicks a frame", "", total.n_clicks as f64 / n_frames as f64);
    }
    let [ours, others @ ..] = totals;
    for (way, other) in WAYS[1..].iter().zip(others) {
        let percent = |a: usize, b: usize| 100.0 * a as f64 / b.max(1) as f64;
        println!(
            "fix next against {way:?}: {:.0} % of the clicks ({:.0} % of those after the first frame), {:.0} % of the tracked frames",
            percent(ours.n_clicks, other.n_clicks),
            percent(ours.n_clicks - ours.n_first, other.n_clicks - other.n_first),
            percent(ours.n_tracked, other.n_tracked)
        );
    }
}

fn print(name: &str, way: Way, effort: Effort) {
    println!(
        "{name:12} {:12} {:>7} {:>9} {:>6} {:>8} {:>8} {:>8.1}",
        format!("{way:?}"),
        effort.n_clicks,
        effort.n_first,
        effort.n_drawn,
        effort.n_looked_at,
        effort.n_tracked,
        effort.computing.as_secs_f32()
    );
}
