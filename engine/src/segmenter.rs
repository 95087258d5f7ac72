//! Who answers a person's clicks on pictures and carries masks through videos: a SAM 2 model, or a fake one for tests.

mod amend;
mod fake;
mod sam2;

use std::{fmt, sync::Arc};

use crate::{
    frame::{Direction, Frames},
    geometry::{Point, Size},
    mask::Rle,
    media::MediaError,
    nn::{Cancel, Place, Precision, RuntimeError},
    picture::Picture,
    project::{FrameId, Question, RunId},
    prompt::{Label, PointPrompt, Prompt, PromptError},
};

pub use fake::FakeSegmenter;
pub use sam2::Sam2Segmenter;

/// A mask and how sure the model is.
#[derive(Clone, Debug, PartialEq)]
pub struct Answer {
    /// The mask, of the whole image.
    pub mask: Rle,
    /// The IoU that the model expects of it, 0 to 1.
    pub iou: f32,
}

/// A mask that a click may mean, roughly: nothing was done for its border yet.
#[derive(Clone, Debug, PartialEq)]
pub struct Candidate {
    /// [`Question::choice`] that asks for it.
    pub choice: u8,
    /// The mask, of the whole image, at the size that the model makes; its aspect ratio may be another.
    pub mask: Rle,
    /// The IoU that the model expects of it, 0 to 1.
    pub iou: f32,
}

/// Why a question has no answer.
#[derive(Debug, thiserror::Error)]
pub enum SegmentError {
    /// Nothing is known of the object from which it could be tracked.
    #[error("there is no mask to track from; give the object one on some frame first")]
    NothingGiven,
    /// Its [`Cancel`] was used.
    #[error("canceled")]
    Canceled,
    /// The prompt is empty or lies outside the image.
    #[error(transparent)]
    Prompt(#[from] PromptError),
    /// The mask to refine is of another image.
    #[error("the mask to refine is {base} and the image {image}; remove the mask and draw it again")]
    BaseSize {
        /// The mask's size.
        base: Size,
        /// The image's.
        image: Size,
    },
    /// The model cannot run.
    #[error(transparent)]
    Model(RuntimeError),
    /// A frame of the video cannot be had.
    #[error(transparent)]
    Frame(#[from] MediaError),
}

impl SegmentError {
    /// The frame whose data are damaged, if that is what is wrong: the others can be worked with.
    pub fn damaged_frame(&self) -> Option<usize> {
        match self {
            Self::Frame(error) => error.damaged_frame(),
            _ => None,
        }
    }
}

impl From<RuntimeError> for SegmentError {
    fn from(error: RuntimeError) -> Self {
        match error {
            RuntimeError::Canceled => Self::Canceled,
            error => Self::Model(error),
        }
    }
}

/// What is found of an object on a frame, on the way from other frames.
#[derive(Clone, Debug, PartialEq)]
pub struct Found {
    /// The mask, of the whole frame; empty where the object is not there.
    pub mask: Rle,
    /// The IoU that the model expects of it, 0 to 1.
    pub iou: f32,
    /// Above zero if the model sees the object.
    pub object_score: f32,
}

/// How many other frames tracking looks at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reach {
    /// Frames of which a person has said what is there, the nearest.
    pub given: usize,
    /// Frames directly before on the way.
    pub recent: usize,
}

/// Frames of a video file or a folder.
pub type Video<'a> = dyn Frames<Error = MediaError> + 'a;

/// A model that is loaded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ModelInfo {
    /// Its name or file.
    pub name: String,
    /// What it runs on.
    pub device: Place,
    /// The hardware behind that and its driver, where the system tells.
    pub hardware: Option<String>,
    /// How its part that looks at pictures computes.
    pub precision: Precision,
    /// Why parts of it, or other models, run elsewhere, one sentence each.
    pub remarks: Vec<String>,
}

impl fmt::Display for ModelInfo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} on {}", self.name, self.device)
    }
}

/// A model that masks what is pointed at, and carries masks from frame to frame.
pub trait Segmenter {
    /// What it is, and what it runs on.
    fn info(&self) -> ModelInfo;

    /// Whether clicks on the picture are answered without looking at it first.
    fn is_encoded(&self, picture: &Picture) -> bool;

    /// Looks at the picture ahead of questions. The last few that were looked at or asked about are kept, four or more.
    ///
    /// # Errors
    /// If canceled, or the model cannot run.
    fn encode(&mut self, picture: &Arc<Picture>, cancel: &Cancel) -> Result<(), SegmentError>;

    /// The mask that answers a question; looks at the picture first if need be. Clicks on a base, without a box, change
    /// only the parts of it that they are on.
    ///
    /// # Errors
    /// If the prompt is empty or outside the image, the base is of another image, it was canceled, or the model cannot
    /// run.
    fn answer(
        &mut self,
        picture: &Arc<Picture>,
        question: &Question,
        cancel: &Cancel,
    ) -> Result<Answer, SegmentError>;

    /// What a single click at `at`, in image pixels, may mean as far as the model is sure that there is such a thing:
    /// maybe nothing.
    ///
    /// # Errors
    /// As [`Self::answer`].
    fn candidates(
        &mut self,
        picture: &Arc<Picture>,
        at: Point,
        cancel: &Cancel,
    ) -> Result<Vec<Candidate>, SegmentError>;

    /// How many other frames [`Self::track`] looks at.
    fn reach(&self) -> Reach;

    /// Takes in what an object is on a frame, for the tracking that `run` names: given by a person, or found earlier.
    /// Frames are read only as far as the model does not know them yet.
    ///
    /// # Errors
    /// If the mask is of another size than the video, the frame cannot be had, it was canceled, or the model cannot run.
    fn remember(
        &mut self,
        run: RunId,
        at: FrameId,
        mask: &Arc<Rle>,
        is_given: bool,
        video: &mut Video<'_>,
        cancel: &Cancel,
    ) -> Result<(), SegmentError>;

    /// How many objects [`Self::track`] does best at once: more would take as much longer as they are more.
    fn at_once(&self) -> usize;

    /// The object of each run on a frame, as far as can be told from what that remembers, which then remembers this too.
    ///
    /// # Errors
    /// If one remembers nothing given, the frame cannot be had, it was canceled, or the model cannot run.
    fn track(
        &mut self,
        runs: &[RunId],
        at: FrameId,
        direction: Direction,
        video: &mut Video<'_>,
        cancel: &Cancel,
    ) -> Result<Vec<Found>, SegmentError>;

    /// Forgets all that `run` remembers.
    fn forget(&mut self, run: RunId);

    /// Forgets all that it saw and all runs, as when a file was replaced or another project is opened: from now on a
    /// [`FrameId`] may name another frame than before.
    fn forget_frames(&mut self);
}

/// The question of a single click on an object.
pub(crate) fn click(at: Point, choice: u8) -> Question {
    let points = vec![PointPrompt { at, label: Label::Positive }];
    Question { prompt: Prompt { points, rect: None }, choice, base: None }
}
