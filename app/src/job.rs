//! Long work that runs while everything else goes on.

use std::path::PathBuf;

use engine::{
    nn::Cancel,
    project::{FrameId, ObjectId},
    segmenter::Answer,
    worker::JobId,
};

/// A long request: what it is, how far it is, and what it has found so far.
pub struct Job {
    /// Its name in the engine's events.
    pub id: JobId,
    /// What it is, such as "Segment everything"; also the title of its step.
    pub title: String,
    /// Pieces done.
    pub done: usize,
    /// Pieces in all; 0 while nobody knows.
    pub total: usize,
    /// Ends it.
    pub cancel: Cancel,
    /// Masks found so far: new proposals, or the masks of objects' boxes. They become one step when the job ends.
    pub found: Vec<(FrameId, Option<ObjectId>, Answer)>,
    /// Whether it ends without a word.
    pub is_quiet: bool,
    /// Whether it is of no project, so that it goes on when that is closed.
    pub is_of_models: bool,
    /// What is asked of the engine until it has taken the job.
    pub unsent: Option<Unsent>,
}

/// A request that did not fit into the engine's inbox yet.
pub enum Unsent {
    /// For the model.
    Work(engine::worker::Work),
    /// For the disk.
    Errand(engine::worker::Errand),
}

impl Job {
    /// The share that is done, if it is known.
    pub fn share(&self) -> Option<f32> {
        (self.total > 0).then(|| self.done as f32 / self.total as f32)
    }
}

/// The open project's file.
#[derive(Clone, Debug, PartialEq)]
pub struct ProjectFile {
    /// The file.
    pub path: PathBuf,
    /// Its folder, to which the paths of media are told.
    pub folder: PathBuf,
}

impl ProjectFile {
    /// Of a path.
    pub fn new(path: PathBuf) -> Self {
        Self { folder: engine::file::folder_of(&path), path }
    }

    /// What to call the project.
    pub fn name(&self) -> String {
        self.path.file_stem().unwrap_or_default().to_string_lossy().into_owned()
    }
}
