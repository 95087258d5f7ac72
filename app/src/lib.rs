//! Segue, the program: its window, and its command line.

pub mod command;
pub mod keymap;
pub mod settings;
