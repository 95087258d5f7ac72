//! Formats that training code reads.

pub mod coco;
