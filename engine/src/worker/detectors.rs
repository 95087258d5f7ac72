//! Detectors on the thread that owns the models: which is loaded, and what it is asked.

use std::{path::PathBuf, sync::Arc};

use super::{LoadDetector, Stopped};
use crate::{
    detect::{Detection, Suppression, thin},
    detector::{Detector, Query},
    geometry::Rect,
    media::Sources,
    models,
    nn::Cancel,
    picture::Picture,
    project::FrameId,
};

/// What to look for, and what with.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Search {
    /// The detector's name or file; without one whichever suits what is looked for.
    pub detector: Option<String>,
    /// What is looked for; nothing for all that a detector of fixed classes knows.
    pub queries: Vec<Sought>,
    /// The lowest threshold that a person has said, if one is.
    pub least: Option<f32>,
}

/// One thing that is looked for.
#[derive(Clone, Debug, PartialEq)]
pub enum Sought {
    /// What a phrase names.
    Phrase(String),
    /// What looks like the thing in a box of a frame, in its pixels.
    Example {
        /// The frame.
        at: FrameId,
        /// Its file.
        path: PathBuf,
        /// The box.
        rect: Rect,
    },
}

/// What there is to know of a detector.
#[derive(Clone, Debug, PartialEq)]
pub struct DetectorInfo {
    /// What it finds, if that is fixed.
    pub classes: Option<Vec<String>>,
    /// The score from which on something counts, unless a person says otherwise.
    pub usual_threshold: f32,
    /// Which of its detections mean the same.
    pub suppression: Suppression,
    /// What of its answers is not used, in a sentence.
    pub remark: Option<String>,
}

/// Of the usual threshold, so that it can be lowered without looking again.
const LOWEST: f32 = 0.25;
/// Detections of a frame that are kept, the surest.
const MOST: usize = 300;

pub(super) struct Detectors<'a> {
    load: &'a LoadDetector,
    sources: Sources,
    loaded: Option<Loaded>,
    asked: Option<(Arc<Search>, Arc<[Query]>)>,
}

struct Loaded {
    name: String,
    detector: Box<dyn Detector>,
    info: Arc<DetectorInfo>,
}

impl<'a> Detectors<'a> {
    pub(super) fn new(load: &'a LoadDetector, sources: Sources) -> Self {
        Self { load, sources, loaded: None, asked: None }
    }

    /// What a search finds on a picture, and by whom.
    pub(super) fn find(
        &mut self,
        search: &Arc<Search>,
        picture: &Arc<Picture>,
        cancel: &Cancel,
    ) -> Result<(Arc<DetectorInfo>, Vec<Detection>), Stopped> {
        let queries = self.queries(search, picture)?;
        let Loaded { detector, info, .. } = self.open(search)?;
        let least = search.least.unwrap_or(1.0).min(info.usual_threshold * LOWEST);
        let found = detector.detect(picture, &queries, least, cancel)?;
        Ok((info.clone(), thin(found, MOST, info.suppression)))
    }

    /// The detector of a search; loaded, unless it is the one that was used last.
    fn open(&mut self, search: &Search) -> Result<&mut Loaded, String> {
        let has_words = search.queries.iter().any(|query| matches!(query, Sought::Phrase(_)));
        let name = search.detector.clone().unwrap_or_else(|| models::usual_detector(has_words).to_owned());
        if self.loaded.as_ref().is_some_and(|loaded| loaded.name != name) {
            // Two at once may not fit into memory.
            self.loaded = None;
        }
        match &mut self.loaded {
            Some(loaded) => Ok(loaded),
            none => {
                let detector = (self.load)(&name)?;
                let classes = detector.classes().map(<[String]>::to_vec);
                let info = Arc::new(DetectorInfo {
                    classes,
                    usual_threshold: detector.usual_threshold(),
                    suppression: detector.suppression(),
                    remark: detector.remark(),
                });
                Ok(none.insert(Loaded { name, detector, info }))
            }
        }
    }

    /// What a search asks; its examples are read once for all its frames.
    fn queries(&mut self, search: &Arc<Search>, picture: &Arc<Picture>) -> Result<Arc<[Query]>, String> {
        if let Some((_, queries)) = self.asked.as_ref().filter(|(known, _)| Arc::ptr_eq(known, search)) {
            return Ok(queries.clone());
        }
        let mut pictures = vec![picture.clone()];
        let mut query = |sought: &Sought| {
            let (at, path, rect) = match sought {
                Sought::Phrase(phrase) => return Ok(Query::Phrase(phrase.clone())),
                Sought::Example { at, path, rect } => (*at, path, *rect),
            };
            let known = pictures.iter().find(|picture| picture.at == at).cloned();
            let picture = match known {
                Some(picture) => picture,
                None => {
                    let read = self.sources.open(path).and_then(|mut source| {
                        Ok(Picture::new(at, source.picture_kind(), source.frame(at.frame)?))
                    });
                    let picture = read.map_err(|error| format!("the example cannot be read: {error}"))?;
                    let picture = Arc::new(picture);
                    pictures.push(picture.clone());
                    picture
                }
            };
            Ok(Query::Example(picture, rect))
        };
        let queries: Arc<[Query]> = search.queries.iter().map(&mut query).collect::<Result<_, String>>()?;
        self.asked = Some((search.clone(), queries.clone()));
        Ok(queries)
    }
}
