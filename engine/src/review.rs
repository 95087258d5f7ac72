//! stub
use crate::project::{MediumId, ObjectId, Project};
#[derive(Debug, Default, Clone)]
pub struct Review {
    pub queue: Vec<Concern>,
    pub rest: Vec<Concern>,
    pub n_given: usize,
    pub n_segments: usize,
}
#[derive(Debug, Clone)]
pub struct Concern {
    pub object: ObjectId,
    pub frame: usize,
    pub reason: String,
}
#[derive(Default)]
pub struct Reviewer;
impl Reviewer {
    pub fn review(&mut self, _: &Project, _: MediumId) -> Review {
        Review::default()
    }
}
