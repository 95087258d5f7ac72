//! Object detection in images, by a phrase, by an example or by a detector's own classes.
//!
//! `owlv2` searches by phrases and examples, `detr` detects the classes that it was trained on, and `onnx` runs a
//! user's own detector. `suppress` removes duplicate detections.

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

/// The location of an object, in image pixels and inside the image.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Place {
    /// A bounding box.
    Rect(Rect),
    /// A point on the object.
    Point(Point),
}

impl Place {
    /// Returns the prompt for the mask of the object at this location.
    pub fn prompt(self) -> Prompt {
        match self {
            Self::Rect(rect) => Prompt { points: Vec::new(), rect: Some(rect) },
            Self::Point(at) => {
                Prompt { points: vec![PointPrompt { at, label: Label::Positive }], rect: None }
            }
        }
    }

    /// Returns true if it is a box with an area or a point with finite coordinates.
    fn is_somewhere(self) -> bool {
        match self {
            Self::Rect(rect) => rect.area() > 0.0,
            Self::Point(at) => at.x.is_finite() && at.y.is_finite(),
        }
    }

    /// Returns the intersection over union of two boxes; 0 if either location is a point.
    pub fn iou(self, other: Self) -> f32 {
        match (self, other) {
            (Self::Rect(a), Self::Rect(b)) => a.iou(b),
            _ => 0.0,
        }
    }
}

/// A detected object.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Detection {
    /// Location in the image.
    pub place: Place,
    /// Confidence of the model, 0 to 1.
    pub score: f32,
    /// Index of the query that the object matches, or of its class among the detector's classes.
    pub class: usize,
}

/// Error that prevents a detection.
#[derive(Debug, thiserror::Error)]
pub enum DetectError {
    /// The run was canceled by its [`crate::nn::Cancel`].
    #[error("canceled")]
    Canceled,
    /// The model cannot run.
    #[error(transparent)]
    Model(RuntimeError),
    /// The weights cannot be read or do not fit the model.
    #[error(transparent)]
    Checkpoint(#[from] CheckpointError),
    /// The checkpoint does not belong to a supported detector.
    #[error("cannot use checkpoint: {cause}: {path}")]
    Config {
        /// Path of the file.
        path: String,
        /// Reason.
        cause: String,
    },
    /// The vocabulary file of the model is missing or damaged.
    #[error("cannot read the words of the model: {cause}: {path}")]
    Vocabulary {
        /// Path of the file.
        path: String,
        /// Reason.
        cause: String,
    },
    /// The phrase has no words.
    #[error("there is nothing to look for; say what, for example \"forklift; person without helmet\"")]
    NoPhrase,
    /// The phrase has more tokens than the model accepts.
    #[error("'{start}…' has {n_pieces} pieces of words and the model reads at most {most}; say it shorter")]
    LongPhrase {
        /// Beginning of the phrase.
        start: String,
        /// Number of tokens in the phrase, without the start and end tokens.
        n_pieces: usize,
        /// Maximum number of tokens, without the start and end tokens.
        most: usize,
    },
    /// The built-in model was given a phrase.
    #[error(
        "the built-in model finds what looks like an example, not words; for words get OWLv2: `segue models get owlv2-base`"
    )]
    WordsNeedOwlv2,
    /// A detector of fixed classes was given a phrase of another class or an example.
    #[error("this detector finds what it was trained on ({}); words and examples need OWLv2", classes.join(", "))]
    FixedClasses {
        /// Names of its classes.
        classes: Vec<String>,
    },
    /// An ONNX file is not a supported detector.
    #[error("cannot use {file} as a detector: {cause}")]
    Layout {
        /// Name of the file.
        file: String,
        /// Reason.
        cause: String,
    },
    /// A detector returns NaN.
    #[error(
        "the detector returns no numbers (NaN) for this picture; its weights are damaged, or it overflows"
    )]
    NotNumbers,
    /// A detector returns a score above 1.
    #[error(
        "the detector returns a score of {0}, where scores are from 0 to 1; export it with scores, not logits"
    )]
    NotScores(f32),
    /// An example box contains no pixels of the image.
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

/// Opens a file of weights whose tensors are named as those of OWLv2, RT-DETRv2 or D-FINE in transformers.
///
/// # Errors
/// If it cannot be read.
pub(crate) fn open(path: &Path) -> Result<Checkpoint, CheckpointError> {
    Ok(Checkpoint::open(path)?.rooted(&["owlv2.vision_model.", "model.backbone."]))
}

/// Reads a detector's file of official weights. Returns its graphs, for images of `image_size` pixels or else of the
/// model's default size, and the weights.
///
/// # Errors
/// If the file is not a detector, or a file that it needs is missing or damaged.
pub fn parts(path: &Path, image_size: Option<usize>) -> Result<(Vec<Graph>, Checkpoint), DetectError> {
    let is_owlv2 = owlv2::Config::of(&open(path)?).is_some();
    if is_owlv2 { owlv2::parts(path, image_size) } else { detr::parts(path, image_size) }
}

fn sigmoid(logit: f32) -> f32 {
    1.0 / (1.0 + (-logit).exp())
}
