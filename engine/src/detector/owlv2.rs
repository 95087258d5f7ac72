//! OWLv2 as a detector that encodes an image once for all queries.

use std::sync::Arc;

use super::{Detector, N_EXAMPLES, Query, known::Known};
use crate::{
    detect::{
        DetectError, Detection,
        owlv2::{Embedding, Owlv2, Patches},
    },
    nn::Cancel,
    picture::Picture,
};

/// OWLv2 with caches of the last image and of examples.
pub(super) struct Owlv2Detector {
    model: Owlv2,
    seen: Known<Patches>,
    examples: Known<Embedding>,
}

impl Owlv2Detector {
    pub(super) fn new(model: Owlv2) -> Self {
        Self { model, seen: Known::new(1), examples: Known::new(N_EXAMPLES) }
    }

    fn look(&mut self, picture: &Arc<Picture>, cancel: &Cancel) -> Result<Patches, DetectError> {
        self.seen.get(picture, None, || self.model.look(picture.pixels(), cancel))
    }

    fn embed(&mut self, query: &Query, cancel: &Cancel) -> Result<Embedding, DetectError> {
        let Self { model, seen, examples } = self;
        match query {
            Query::Phrase(phrase) => model.embed(phrase, cancel),
            Query::Example(picture, rect) => examples.get(picture, Some(*rect), || {
                seen.get(picture, None, || model.look(picture.pixels(), cancel))?.like(*rect)
            }),
        }
    }
}

impl Detector for Owlv2Detector {
    fn classes(&self) -> Option<&[String]> {
        None
    }

    fn usual_threshold(&self) -> f32 {
        0.2
    }

    fn detect(
        &mut self,
        picture: &Arc<Picture>,
        queries: &[Query],
        least: f32,
        cancel: &Cancel,
    ) -> Result<Vec<Detection>, DetectError> {
        if queries.is_empty() {
            return Err(DetectError::NoPhrase);
        }
        let queries = queries.iter().map(|query| self.embed(query, cancel));
        let queries = queries.collect::<Result<Vec<_>, _>>()?;
        Ok(self.look(picture, cancel)?.detections(&queries, least))
    }
}
