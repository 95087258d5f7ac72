//! Segue: label images and videos by pointing.

use std::{io::Write as _, process::ExitCode};

use clap::Parser as _;
use engine::messages::bounded;

fn main() -> ExitCode {
    let ended = segue::cli::Cli::parse().run();
    for remark in engine::nn::runtime::remarks() {
        writeln!(std::io::stderr(), "segue: {remark}").ok();
    }
    match ended {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // Nobody is left to tell if standard error is closed.
            writeln!(std::io::stderr(), "segue: {}", bounded(format!("{error:#}"))).ok();
            ExitCode::FAILURE
        }
    }
}
