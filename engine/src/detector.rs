//! Object detectors behind one trait, so that a new model is one more file, and the selection of their detections.

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

/// Number of examples whose embeddings a detector caches.
const N_EXAMPLES: usize = 256;

pub use alike::AlikeDetector;
pub use kinds::{Kind, Kinds, Role};
pub use query::{QueryError, Wanted};

/// A search query.
#[derive(Clone, Debug)]
pub enum Query {
    /// Objects that a phrase names.
    Phrase(String),
    /// Objects similar to the one in a box, in pixels of the given image.
    Example(Arc<Picture>, Rect),
}

/// A model that detects objects, as boxes or points: by phrases and examples, or of the classes that it was trained on.
pub trait Detector {
    /// Returns the names of the classes if they are fixed; such a detector takes no queries.
    fn classes(&self) -> Option<&[String]>;

    /// Returns the default minimum score.
    fn usual_threshold(&self) -> f32;

    /// Returns the default suppression of duplicates.
    fn suppression(&self) -> Suppression {
        Suppression::default()
    }

    /// Returns a sentence on the outputs that are ignored, if there are any.
    fn remark(&self) -> Option<String> {
        None
    }

    /// Returns all detections on an image with a score of at least `least`, in any order and with duplicates.
    /// [`Detection::class`] is the index of the query, or of the class.
    ///
    /// # Errors
    /// If a query is not valid for this detector, the run was canceled, or the model cannot run.
    fn detect(
        &mut self,
        picture: &Arc<Picture>,
        queries: &[Query],
        least: f32,
        cancel: &Cancel,
    ) -> Result<Vec<Detection>, DetectError>;
}

/// Loads a detector of any kind from a file, for images of `image_size` pixels or else of the model's default size.
///
/// # Errors
/// If the file is not a detector, a file that it needs is missing or damaged, or ONNX Runtime fails.
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
