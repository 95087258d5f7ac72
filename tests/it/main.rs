//! Segue's tests at its boundaries: one binary, one module a subject.

#![expect(clippy::unwrap_used, reason = "a test that panics has failed, and says where")]

mod formula;
mod look;
mod python;
mod segue;

mod checkpoints;
mod cli;
mod everything;
mod masks;
mod media;
mod packaging;
mod parity;
mod segmenter;
mod slow;
mod tidy;
