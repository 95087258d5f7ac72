//! Segue's tests at its boundaries: one binary, one module a subject.

#![expect(clippy::unwrap_used, reason = "a test that panics has failed, and says where")]

mod desk;
mod detect;
mod formula;
mod python;
mod segue;

mod cases;
mod checkpoints;
mod cli;
mod coco;
mod downloads;
mod end_to_end;
mod everything;
mod finding;
mod foreign_labels;
mod formats;
mod gestures;
mod gui;
mod gui_video;
mod kills;
mod look;
mod masks;
mod media;
mod media_change;
mod models;
mod onnx_detectors;
mod onnx_tasks;
mod outputs;
mod packaging;
mod parity;
mod photos;
mod pillow;
mod proposals;
mod remote;
mod saving;
mod segmenter;
mod session;
mod slow;
mod slow_remote;
mod tidy;
mod tracking;
mod tracks;
mod trainers;
