//! Finds what looks like an example, with nothing but the model that comes with the program.
//!
//! Where the image encoder sees something like the example, the mask decoder is asked what is there; of what it may be, the
//! likest counts.

use std::sync::Arc;

use super::{Detector, N_EXAMPLES, Query, known::Known};
use crate::{
    detect::{DetectError, Detection, Place},
    geometry::{Point, Rect, Size},
    mask::Rle,
    nn::{Cancel, Runtime},
    picture::Picture,
    sam2::{Appearance, Features, ImageModel, Logits, Looks, Weights},
};

/// Places that look less like the example are not asked about.
const LEAST: f32 = 0.2;
/// As many places are asked about, the likest.
const MOST: usize = 48;

/// The built-in model as a detector.
pub struct AlikeDetector {
    eye: Eye,
    examples: Known<Arc<Appearance>>,
}

/// The model and what it saw last.
struct Eye {
    model: ImageModel,
    seen: Known<Arc<Seen>>,
}

struct Seen {
    features: Features,
    looks: Looks,
    size: Size,
}

impl AlikeDetector {
    /// Loads it.
    ///
    /// # Errors
    /// If ONNX Runtime refuses.
    pub fn load(runtime: &Runtime) -> Result<Self, DetectError> {
        let weights = Weights::builtin().map_err(|error| DetectError::Config {
            path: "the built-in model".to_owned(),
            cause: error.to_string(),
        })?;
        let eye = Eye { model: ImageModel::load(runtime, &weights)?, seen: Known::new(1) };
        Ok(Self { eye, examples: Known::new(N_EXAMPLES) })
    }
}

impl Eye {
    fn look(&mut self, picture: &Arc<Picture>, cancel: &Cancel) -> Result<Arc<Seen>, DetectError> {
        self.seen.get(picture, None, || {
            let features = self.model.encode(picture.pixels(), cancel)?;
            let looks = Looks::of(&features, self.model.config().grid());
            Ok(Arc::new(Seen { features, looks, size: picture.size() }))
        })
    }

    /// What the thing in a box looks like.
    fn example(
        &mut self,
        picture: &Arc<Picture>,
        rect: Rect,
        cancel: &Cancel,
    ) -> Result<Appearance, DetectError> {
        let rect = rect.within(picture.size());
        if rect.area() < 1.0 {
            return Err(DetectError::EmptyExample);
        }
        let seen = self.look(picture, cancel)?;
        let prompt = Place::Rect(rect).prompt();
        let thing = self.model.predict(&seen.features, &prompt, None, cancel)?;
        seen.looks.appearance(&thing.logits).ok_or(DetectError::EmptyExample)
    }

    fn find(
        &mut self,
        seen: &Seen,
        example: &Appearance,
        class: usize,
        least: f32,
        cancel: &Cancel,
    ) -> Result<Vec<Detection>, DetectError> {
        let mut found = Vec::new();
        for at in peaks(&seen.looks.likeness(example), seen.size) {
            let prompt = Place::Point(at).prompt();
            let candidates = self.model.candidates(&seen.features, &prompt, None, cancel)?;
            let scored = candidates.iter().filter_map(|candidate| {
                let score = seen.looks.appearance(&candidate.logits)?.likeness(example);
                Some((&candidate.logits, score))
            });
            let best = scored.max_by(|a, b| a.1.total_cmp(&b.1)).filter(|(_, score)| *score >= least);
            found.extend(best.map(|(logits, score)| {
                let place = Place::Rect(bounds(logits, seen.size));
                Detection { place, score, class }
            }));
        }
        Ok(without_parts(found))
    }
}

/// What does not lie within something that looks more like the example.
fn without_parts(mut found: Vec<Detection>) -> Vec<Detection> {
    const WITHIN: f32 = 0.8;
    found.sort_by(|a, b| b.score.total_cmp(&a.score));
    let mut kept: Vec<Detection> = Vec::new();
    for detection in found {
        let is_part = |whole: &Detection| match (detection.place, whole.place) {
            (Place::Rect(part), Place::Rect(whole)) => {
                part.intersection(whole).area() >= WITHIN * part.area()
            }
            _ => false,
        };
        if !kept.iter().any(is_part) {
            kept.push(detection);
        }
    }
    kept
}

/// Places that look more like the example than those round them, in pixels of the picture, the likest first.
fn peaks((likeness, side): &(Vec<f32>, usize), size: Size) -> Vec<Point> {
    let side = *side;
    let around = |i: usize| {
        let (x, y) = (i % side, i / side);
        let rows = y.saturating_sub(1)..=(y + 1).min(side - 1);
        rows.flat_map(move |j| (x.saturating_sub(1)..=(x + 1).min(side - 1)).map(move |k| j * side + k))
    };
    let is_peak = |&i: &usize| {
        likeness[i] >= LEAST && around(i).all(|j| (likeness[j], j) <= (likeness[i], i) || j == i)
    };
    let mut peaks: Vec<usize> = (0..likeness.len()).filter(is_peak).collect();
    peaks.sort_by(|&a, &b| likeness[b].total_cmp(&likeness[a]));
    peaks.truncate(MOST);
    let point = |i: usize| Point {
        x: ((i % side) as f32 + 0.5) / side as f32 * size.width as f32,
        y: ((i / side) as f32 + 0.5) / side as f32 * size.height as f32,
    };
    peaks.into_iter().map(point).collect()
}

/// The box round a mask, in pixels of the picture.
fn bounds(logits: &Logits, size: Size) -> Rect {
    Rle::encode(&logits.mask(size)).rect()
}

impl Detector for AlikeDetector {
    fn classes(&self) -> Option<&[String]> {
        None
    }

    fn usual_threshold(&self) -> f32 {
        0.7
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
        let Self { eye, examples: known } = self;
        let mut examples = Vec::new();
        for query in queries {
            let Query::Example(of, rect) = query else { return Err(DetectError::WordsNeedOwlv2) };
            examples.push(known.get(of, Some(*rect), || eye.example(of, *rect, cancel).map(Arc::new))?);
        }
        let seen = eye.look(picture, cancel)?;
        let mut found = Vec::new();
        for (class, example) in examples.iter().enumerate() {
            found.extend(eye.find(&seen, example, class, least, cancel)?);
        }
        Ok(found)
    }
}
