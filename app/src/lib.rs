//! Segue, the program: its window, and its command line.
//!
//! `command` is the catalog of what a person can do, `keymap` gives the keys, `session` does it, `canvas` and `panels` show
//! what then is, and `app` is the window that holds them together. `cli` drives the same engine from the command line.

pub mod command;
pub mod job;
pub mod keymap;
pub mod looks;
pub mod notice;
pub mod preferences;
pub mod session;
pub mod settings;

pub mod app;
pub mod canvas;
mod demo;
mod dialogs;
mod panels;
mod theme;

pub mod cli;
mod overlay;
mod progress;
mod scene;
