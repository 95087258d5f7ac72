//! Detectors of fixed classes, those that they were trained on.

use std::sync::Arc;

use super::{Detector, Query};
use crate::{
    detect::{DetectError, Detection, Suppression, detr::Detr, onnx::OnnxDetector},
    nn::Cancel,
    picture::Picture,
};

macro_rules! trained {
    ($($model:ty),*) => {$(
        impl Detector for $model {
            fn classes(&self) -> Option<&[String]> {
                Some(self.classes())
            }

            fn usual_threshold(&self) -> f32 {
                0.4
            }

            fn suppression(&self) -> Suppression {
                self.suppression()
            }

            fn remark(&self) -> Option<String> {
                self.remark()
            }

            fn detect(
                &mut self,
                picture: &Arc<Picture>,
                queries: &[Query],
                least: f32,
                cancel: &Cancel,
            ) -> Result<Vec<Detection>, DetectError> {
                if !queries.is_empty() {
                    return Err(DetectError::FixedClasses { classes: self.classes().to_vec() });
                }
                self.detect(picture.pixels(), least, cancel)
            }
        }
    )*};
}

trained!(Detr, OnnxDetector);
