//! Segue: label images and videos by pointing.

fn main() {}
