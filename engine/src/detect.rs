//! Finds objects in pictures: what a phrase names, what looks like an example, or what a detector was trained on.
//!
//! `owlv2` finds by phrases and examples, `detr` what it was trained on, `onnx` with a detector
//! that somebody else made. `suppress` thins out what means the same.

pub mod detr;
pub mod onnx;
pub mod owlv2;
mod suppress;

use std::path::Path;

use crate::{
    geometry::{Point, Rect},
    nn::{Checkpoint, CheckpointError, Graph, RuntimeError},
    prompt::{Label, PointPrompt, Prompt},
};

pub use suppress::{NMS_IOU, Suppression, suppress, thin};

/// Where something is, in pixels of the picture and within it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Place {
    /// In a box.
    Rect(Rect),
    /// At a point.
    Point(Point),
}

impl Place {
    /// The prompt that asks for its mask.
    pub fn prompt(self) -> Prompt {
        match self {
            Self::Rect(rect) => Prompt { points: Vec::new(), rect: Some(rect) },
            Self::Point(at) => {
                Prompt { points: vec![PointPrompt { at, label: Label::Positive }], rect: None }
            }
        }
    }

    /// Whether it is a point, or a box with an area; of numbers.
    fn is_somewhere(self) -> bool {
        match self {
            Self::Rect(rect) => rect.area() > 0.0,
            Self::Point(at) => at.x.is_finite() && at.y.is_finite(),
        }
    }

    /// How much two boxes overlap (intersection over union); points and boxes do not.
    pub fn iou(self, other: Self) -> f32 {
        match (self, other) {
            (Self::Rect(a), Self::Rect(b)) => a.iou(b),
            _ => 0.0,
        }
    }
}

/// Something found.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Detection {
    /// Where.
    pub place: Place,
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
    /// The built-in model is asked for words.
    #[error(
        "the built-in model finds what looks like an example, not words; for words get OWLv2: `segue models get owlv2-base`"
    )]
    WordsNeedOwlv2,
    /// A detector of fixed classes is asked for something else.
    #[error("this detector finds what it was trained on ({}); words and examples need OWLv2", classes.join(", "))]
    FixedClasses {
        /// What it finds.
        classes: Vec<String>,
    },
    /// An ONNX file is no detector that Segue knows.
    #[error("cannot use {file} as a detector: {cause}")]
    Layout {
        /// The file's name.
        file: String,
        /// What is wrong.
        cause: String,
    },
    /// A detector returns what is no number.
    #[error(
        "the detector returns no numbers (NaN) for this picture; its weights are damaged, or it overflows"
    )]
    NotNumbers,
    /// A detector returns what is no score.
    #[error(
        "the detector returns a score of {0}, where scores are from 0 to 1; export it with scores, not logits"
    )]
    NotScores(f32),
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

/// Opens a file of weights, by the names that OWLv2, RT-DETRv2 and D-FINE have in transformers.
///
/// # Errors
/// If it cannot be read.
pub(crate) fn open(path: &Path) -> Result<Checkpoint, CheckpointError> {
    Ok(Checkpoint::open(path)?.rooted(&["owlv2.vision_model.", "model.backbone."]))
}

/// The graphs of the detector in a file of official weights, for images of `image_size` pixels or of the size that suits it,
/// and the weights.
///
/// # Errors
/// If it is no detector, or a file that it needs is missing or damaged.
pub fn parts(path: &Path, image_size: Option<usize>) -> Result<(Vec<Graph>, Checkpoint), DetectError> {
    let is_owlv2 = owlv2::Config::of(&open(path)?).is_some();
    if is_owlv2 { owlv2::parts(path, image_size) } else { detr::parts(path, image_size) }
}

fn sigmoid(logit: f32) -> f32 {
    1.0 / (1.0 + (-logit).exp())
}
