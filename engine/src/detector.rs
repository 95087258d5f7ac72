//! Who finds objects on pictures: models behind one trait, so that another is one more file; and what of it counts.

mod alike;
mod kinds;
mod known;
mod owlv2;
mod query;
mod trained;

use std::{path::Path, sync::Arc};

use crate::{
    detect::{
        self, DetectError, Detection, Suppression,
        detr::Detr,
        onnx::OnnxDetector,
        owlv2::{Config as Owlv2Config, Owlv2},
    },
    file::has_suffix,
    geometry::Rect,
    nn::{Cancel, Runtime},
    picture::Picture,
};

/// Examples that a detector remembers.
const N_EXAMPLES: usize = 256;

pub use alike::AlikeDetector;
pub use kinds::{Kind, Kinds, Role};
pub use query::{QueryError, Wanted};

/// What to look for.
#[derive(Clone, Debug)]
pub enum Query {
    /// What a phrase names.
    Phrase(String),
    /// What looks like the thing in a box of a picture, in its pixels.
    Example(Arc<Picture>, Rect),
}

/// A model that finds objects: boxes or points for phrases and examples, or whatever it was trained on.
pub trait Detector {
    /// What it finds, if that is fixed; such a detector is asked no queries.
    fn classes(&self) -> Option<&[String]>;

    /// The score from which on something counts, unless a person says otherwise.
    fn usual_threshold(&self) -> f32;

    /// Which of its detections mean the same, unless a person says otherwise.
    fn suppression(&self) -> Suppression {
        Suppression::default()
    }

    /// What of its answers is not used, in a sentence.
    fn remark(&self) -> Option<String> {
        None
    }

    /// All that it finds on a picture with a score of at least `least`, unordered and as often as it finds it;
    /// [`Detection::class`] is the query, or the class.
    ///
    /// # Errors
    /// If a query cannot be understood, it was canceled, or the model cannot run.
    fn detect(
        &mut self,
        picture: &Arc<Picture>,
        queries: &[Query],
        least: f32,
        cancel: &Cancel,
    ) -> Result<Vec<Detection>, DetectError>;
}

/// Loads the detector in a file, whichever it is, for images of `image_size` pixels or of the size that suits it.
///
/// # Errors
/// If it is no detector, a file that it needs is missing or damaged, or ONNX Runtime refuses.
pub fn open(
    runtime: &Runtime,
    path: &Path,
    image_size: Option<usize>,
) -> Result<Box<dyn Detector>, DetectError> {
    if has_suffix(path, &["onnx"]) {
        return Ok(Box::new(OnnxDetector::load(runtime, path, image_size)?));
    }
    let is_owlv2 = Owlv2Config::of(&detect::open(path)?).is_some();
    Ok(if is_owlv2 {
        Box::new(owlv2::Owlv2Detector::new(Owlv2::load(runtime, path, image_size)?))
    } else {
        Box::new(Detr::load(runtime, path, image_size)?)
    })
}
