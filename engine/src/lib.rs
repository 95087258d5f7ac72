//! What Segue knows and computes, without a screen.
//!
//! Lowest first: `geometry`, `mask`, `frame`, `prompt`; on them, apart from each other, `media`, `formats`, and
//! `nn` with `sam2` on it; `models` finds weights.

pub mod file;
pub mod frame;
pub mod geometry;
pub mod mask;
pub mod prompt;

pub mod formats;
pub mod picture;
pub mod project;

pub mod media;

pub mod nn;
pub mod sam2;

pub mod models;
