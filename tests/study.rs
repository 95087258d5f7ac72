//! How much work it is to correct a video until every mask is good, by three ways of going about it: `make study`.
//!
//! `cargo bench --package tests --bench study -- FOLDER...` takes clips of folders with JPEG frames and PNG masks instead.

#![expect(
    clippy::unwrap_used,
    clippy::print_stdout,
    clippy::disallowed_methods,
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

const WAYS: [Way; 3] = [Way::FixNext, Way::InOrder, Way::AllAgain];
const N_CLIPS: u64 = 6;
const N_FRAMES: usize = 60;

fn main() {
    let folders: Vec<String> = std::env::args().skip(1).filter(|arg| !arg.starts_with('-')).collect();
    let clips: Vec<Clip> = match folders.is_empty() {
            .unwrap()
            .split(',')
            .map(|i| clips::generated(i.parse().unwrap(), N_FRAMES))
            .collect(),
        true => (0..N_CLIPS).map(|i| clips::generated(i, N_FRAMES)).collect(),
        false => folders.iter().map(|folder| clips::read(folder.as_ref())).collect(),
    };
    let runtime = Runtime::start(None, None).unwrap();
    let weights = models::open(models::BUILTIN).unwrap();
    println!(
        "{:24} {:10} {:>7} {:>6} {:>6} {:>8} {:>8}",
        "clip", "way", "clicks", "drawn", "looks", "tracked", "seconds"
    );
    let mut totals = [Effort::default(); WAYS.len()];
    for clip in &clips {
        for (way, total) in WAYS.iter().zip(&mut totals) {
            let mut segmenter = Sam2Segmenter::load("builtin", &runtime, &weights, Look::CAREFUL).unwrap();
            let effort = correct(clip, &mut segmenter as &mut dyn Segmenter, *way);
            print(&clip.name, *way, effort);
            total.n_clicks += effort.n_clicks;
            total.n_drawn += effort.n_drawn;
            total.n_looked_at += effort.n_looked_at;
            total.n_tracked += effort.n_tracked;
            total.computing += effort.computing;
        }
    }
    for (way, total) in WAYS.iter().zip(totals) {
        print("all", *way, total);
    }
    let [ours, in_order, all_again] = totals;
    println!(
        "fix next against in order: {:.0} % of the clicks; against all again: {:.0} % of the tracked frames",
        100.0 * ours.n_clicks as f64 / in_order.n_clicks as f64,
        100.0 * ours.n_tracked as f64 / all_again.n_tracked as f64
    );
}

fn print(name: &str, way: Way, effort: Effort) {
    println!(
        "{name:24} {:10} {:>7} {:>6} {:>6} {:>8} {:>8.1}",
        format!("{way:?}"),
        effort.n_clicks,
        effort.n_drawn,
        effort.n_looked_at,
        effort.n_tracked,
        effort.computing.as_secs_f32()
    );
}
