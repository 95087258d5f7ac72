//! OWLv2 as a detector: looks at a picture once, whatever is then asked of it.

use std::sync::{Arc, Weak};

use super::{Detector, Query};
use crate::{
    detect::{
        DetectError, Detection,
        owlv2::{Embedding, Owlv2, Patches},
    },
    geometry::Rect,
    nn::Cancel,
    picture::Picture,
};

/// Examples that are remembered.
const N_EXAMPLES: usize = 32;

/// OWLv2, what it saw last, and the examples that it was shown.
pub(super) struct Owlv2Detector {
    model: Owlv2,
    /// A picture's address is not used again while its weak pointer lives.
    seen: Option<(Weak<Picture>, Patches)>,
    examples: Vec<(Weak<Picture>, Rect, Embedding)>,
}

impl Owlv2Detector {
    pub(super) fn new(model: Owlv2) -> Self {
        Self { model, seen: None, examples: Vec::new() }
    }

    fn look(&mut self, picture: &Arc<Picture>, cancel: &Cancel) -> Result<Patches, DetectError> {
        if let Some((_, patches)) = self.seen.as_ref().filter(|(seen, _)| is(seen, picture)) {
            return Ok(patches.clone());
        }
        let patches = self.model.look(picture.pixels(), cancel)?;
        self.seen = Some((Arc::downgrade(picture), patches.clone()));
        Ok(patches)
    }

    fn embed(&mut self, query: &Query, cancel: &Cancel) -> Result<Embedding, DetectError> {
        let (picture, rect) = match query {
            Query::Phrase(phrase) => return self.model.embed(phrase, cancel),
            Query::Example(picture, rect) => (picture, *rect),
        };
        let known = self.examples.iter().find(|(other, at, _)| is(other, picture) && *at == rect);
        if let Some((.., embedding)) = known {
            return Ok(embedding.clone());
        }
        let embedding = self.look(picture, cancel)?.like(rect)?;
        if self.examples.len() == N_EXAMPLES {
            self.examples.remove(0);
        }
        self.examples.push((Arc::downgrade(picture), rect, embedding.clone()));
        Ok(embedding)
    }
}

fn is(seen: &Weak<Picture>, picture: &Arc<Picture>) -> bool {
    std::ptr::eq(seen.as_ptr(), Arc::as_ptr(picture))
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
