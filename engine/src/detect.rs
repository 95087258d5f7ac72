//! Finds objects in pictures: what a phrase names, what looks like an example, or what a detector was trained on.
//!
//! `owlv2` finds by phrases and examples, `detr` what it was trained on. `suppress` thins out what means the same.

pub mod detr;
pub mod owlv2;
mod suppress;

use crate::{
    geometry::Rect,
    nn::{CheckpointError, RuntimeError},
};

pub use suppress::{NMS_IOU, suppress};

/// Something found.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Detection {
    /// Where, in pixels of the picture; within it.
    pub rect: Rect,
    /// How sure the model is, 0 to 1.
    pub score: f32,
    /// Which of the queries it answers, or of the detector's classes it is.
    pub class: usize,
}

/// Why nothing could be looked for.
#[derive(Debug, thiserror::Error)]
pub enum DetectError {
    /// Its [`crate::nn::Cancel`] was used.
    #[error("canceled")]
    Canceled,
    /// The model cannot run.
    #[error(transparent)]
    Model(RuntimeError),
    /// The weights do not fit.
    #[error(transparent)]
    Checkpoint(#[from] CheckpointError),
    /// The checkpoint is of no detector that Segue knows.
    #[error("cannot use checkpoint: {cause}: {path}")]
    Config {
        /// The file.
        path: String,
        /// What is wrong.
        cause: String,
    },
    /// The file of the model's words is missing or damaged.
    #[error("cannot read the words of the model: {cause}: {path}")]
    Vocabulary {
        /// The file.
        path: String,
        /// What is wrong.
        cause: String,
    },
    /// The phrase has no words.
    #[error("there is nothing to look for; say what, for example \"forklift; person without helmet\"")]
    NoPhrase,
    /// The phrase is longer than the model reads.
    #[error("'{start}…' has {n_pieces} pieces of words and the model reads at most {most}; say it shorter")]
    LongPhrase {
        /// How it begins.
        start: String,
        /// How many pieces it has.
        n_pieces: usize,
        /// How many the model reads.
        most: usize,
    },
    /// An example is a box with no pixels in the picture.
    #[error("the example is not inside the picture")]
    EmptyExample,
}

impl From<RuntimeError> for DetectError {
    fn from(error: RuntimeError) -> Self {
        match error {
            RuntimeError::Canceled => Self::Canceled,
            RuntimeError::Checkpoint(error) => Self::Checkpoint(error),
            error => Self::Model(error),
        }
    }
}

fn sigmoid(logit: f32) -> f32 {
    1.0 / (1.0 + (-logit).exp())
}
