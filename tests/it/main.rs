//! Segue's tests at its boundaries: one binary, one module a subject.

mod formula;
mod python;
mod segue;

mod checkpoints;
mod cli;
mod masks;
mod media;
mod parity;
mod tidy;
