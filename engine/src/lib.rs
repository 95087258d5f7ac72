//! What Segue knows and computes, without a screen.
//!
//! Lowest first: `geometry`, `mask`, `frame`, `prompt`; on them, apart from each other, `media`, `project` with
//! `formats` and `review` on it, and `nn` with `sam2` and `detect` on it; `models` finds weights. On all of them
//! `segmenter` answers clicks on pictures and carries masks from frame to frame, `detector` finds objects on them,
//! `tracking` has the segmenter work off a project's runs, and `everything` asks it about all that can be seen; `worker`
//! is the threads that do all this for a window.

pub mod file;
pub mod frame;
pub mod geometry;
pub mod mask;
pub mod messages;
pub mod prompt;

pub mod formats;
pub mod picture;
pub mod project;
pub mod review;

pub mod media;

pub mod detect;
pub mod nn;
pub mod sam2;

pub mod detector;
pub mod everything;
pub mod segmenter;
pub mod tracking;

pub mod models;

pub mod worker;
