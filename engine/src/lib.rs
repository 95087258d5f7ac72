//! What Segue knows and computes, without a screen.
//!
//! Lowest first: `geometry`, `mask`, `frame`, `prompt`; then `nn` and on it `sam2`, beside them `media` and `formats`.

pub mod file;
pub mod frame;
pub mod geometry;
pub mod mask;
pub mod prompt;

pub mod nn;
pub mod sam2;
