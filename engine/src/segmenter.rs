//! The interface for interactive segmentation and tracking, implemented by SAM 2 models and by a fake model for tests.

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

/// A mask with its predicted quality.
#[derive(Clone, Debug, PartialEq)]
pub struct Answer {
    /// The mask, of the whole image.
    pub mask: Rle,
    /// IoU of the mask as predicted by the model, 0 to 1.
    pub iou: f32,
}

/// A rough mask that a click may mean; its border is not refined yet.
#[derive(Clone, Debug, PartialEq)]
pub struct Candidate {
    /// The value of [`Question::choice`] that asks for this mask.
    pub choice: u8,
    /// Mask of the whole image, at the size of the model's output; its aspect ratio may differ from the image's.
    pub mask: Rle,
    /// IoU of the mask as predicted by the model, 0 to 1.
    pub iou: f32,
}

/// A reason why the model returns no mask.
#[derive(Debug, thiserror::Error)]
pub enum SegmentError {
    /// The object has no mask to track from.
    #[error("there is no mask to track from; give the object one on some frame first")]
    NothingGiven,
    /// The call was canceled through its [`Cancel`].
    #[error("canceled")]
    Canceled,
    /// The prompt is empty or lies outside the image.
    #[error(transparent)]
    Prompt(#[from] PromptError),
    /// The mask to refine has another size than the image.
    #[error("the mask to refine is {base} and the image {image}; remove the mask and draw it again")]
    BaseSize {
        /// The mask's size.
        base: Size,
        /// The image's size.
        image: Size,
    },
    /// The model cannot run.
    #[error(transparent)]
    Model(RuntimeError),
    /// A frame of the video could not be read.
    #[error(transparent)]
    Frame(#[from] MediaError),
}

impl SegmentError {
    /// Returns the number of the frame if the error is a damaged frame; other frames of the video remain usable.
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

/// A tracked mask of an object on one frame.
#[derive(Clone, Debug, PartialEq)]
pub struct Found {
    /// The mask, of the whole frame; empty if the object is absent.
    pub mask: Rle,
    /// IoU of the mask as predicted by the model, 0 to 1.
    pub iou: f32,
    /// Above zero if the object is on the frame.
    pub object_score: f32,
}

/// The number of other frames that tracking a frame attends to, by kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reach {
    /// Maximum number of frames with a mask from a person; the nearest are chosen.
    pub given: usize,
    /// Number of frames directly before the tracked one, in the direction of tracking.
    pub recent: usize,
}

/// The frames of a video file or a folder.
pub type Video<'a> = dyn Frames<Error = MediaError> + 'a;

/// A description of a loaded model.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ModelInfo {
    /// Its name or file.
    pub name: String,
    /// The device or server that it runs on.
    pub device: Place,
    /// Name of the hardware and its driver, if the system reports them.
    pub hardware: Option<String>,
    /// Precision of the image encoder.
    pub precision: Precision,
    /// Reasons why parts of this model, or other models, run on another device, one sentence each.
    pub remarks: Vec<String>,
}

impl fmt::Display for ModelInfo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} on {}", self.name, self.device)
    }
}

/// A model that segments objects from prompts and tracks masks from frame to frame.
pub trait Segmenter {
    /// Describes the model and the device that it runs on.
    fn info(&self) -> ModelInfo;

    /// Returns true if the whole image is encoded already, so that clicks on it are answered without delay.
    fn is_encoded(&self, picture: &Picture) -> bool;

    /// Encodes the image ahead of questions. At least the four images encoded or asked about last are kept.
    ///
    /// # Errors
    /// If canceled, or the model cannot run.
    fn encode(&mut self, picture: &Arc<Picture>, cancel: &Cancel) -> Result<(), SegmentError>;

    /// Returns the mask that answers a question, and encodes the image first if necessary. Clicks that refine a base
    /// without a box change only those parts of the base that they are on.
    ///
    /// # Errors
    /// If the prompt is empty or outside the image, the base has another size than the image, it was canceled, or the
    /// model cannot run.
    fn answer(
        &mut self,
        picture: &Arc<Picture>,
        question: &Question,
        cancel: &Cancel,
    ) -> Result<Answer, SegmentError>;

    /// Returns the masks that a single click at `at`, in image pixels, may mean, without those that the model is unsure
    /// of; possibly none.
    ///
    /// # Errors
    /// The errors of [`Self::answer`].
    fn candidates(
        &mut self,
        picture: &Arc<Picture>,
        at: Point,
        cancel: &Cancel,
    ) -> Result<Vec<Candidate>, SegmentError>;

    /// Returns the number of other frames that [`Self::track`] attends to.
    fn reach(&self) -> Reach;

    /// Stores the mask of an object on a frame as a memory of `run`; `is_given` is true for a mask from a person, false
    /// for one from tracking. The frame is read only if the model does not know it yet.
    ///
    /// # Errors
    /// If the mask has another size than the video, the frame cannot be read, it was canceled, or the model cannot run.
    fn remember(
        &mut self,
        run: RunId,
        at: FrameId,
        mask: &Arc<Rle>,
        is_given: bool,
        video: &mut Video<'_>,
        cancel: &Cancel,
    ) -> Result<(), SegmentError>;

    /// Returns the most efficient number of objects per call of [`Self::track`]; with more, the time grows in
    /// proportion.
    fn at_once(&self) -> usize;

    /// Tracks the object of each run on a frame, from the memories of the run, and stores the result as a new memory.
    ///
    /// # Errors
    /// If a run has no memory of a given mask, the frame cannot be read, it was canceled, or the model cannot run.
    fn track(
        &mut self,
        runs: &[RunId],
        at: FrameId,
        direction: Direction,
        video: &mut Video<'_>,
        cancel: &Cancel,
    ) -> Result<Vec<Found>, SegmentError>;

    /// Drops all memories of `run`.
    fn forget(&mut self, run: RunId);

    /// Drops all encoded frames and all runs. Called when a file was replaced or another project is opened, after which
    /// a [`FrameId`] may name another frame.
    fn forget_frames(&mut self);
}

/// Returns the question of a single click on an object.
pub(crate) fn click(at: Point, choice: u8) -> Question {
    let points = vec![PointPrompt { at, label: Label::Positive }];
    Question { prompt: Prompt { points, rect: None }, choice, base: None }
}
