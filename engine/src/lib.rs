//! What Segue knows and computes, without a screen.

pub mod file;
pub mod geometry;
pub mod media;
