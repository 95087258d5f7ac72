//! Segue's tests at its boundaries: one binary, one module a subject.

mod formula;
mod parity;
mod tidy;
