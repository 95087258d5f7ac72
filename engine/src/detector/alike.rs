//! Detection of objects similar to an example, with only the built-in SAM 2 model.
//!
//! Points whose features of the image encoder resemble the example are point prompts for the mask decoder. If the mask
//! is much larger than the example, it may cover several objects that touch. Then boxes about as large as the example
//! are prompts too. Of all mask candidates, the one most similar to the example wins.

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

/// Minimum similarity of a point to the example for it to become a prompt.
const LEAST: f32 = 0.2;
/// Maximum number of points to use as prompts, the most similar first.
const MOST: usize = 48;
/// Minimum similarity of a point for it to be tried with box prompts too, if its mask is [`LARGER`] than the example.
const SURELY: f32 = 0.7;
/// Factor by which a mask's bounding box must exceed the example's area for box prompts to be tried.
const LARGER: f32 = 2.0;
/// Edges of the box prompts, relative to the example's.
const SCALES: [f32; 3] = [0.75, 1.0, 1.35];

/// The built-in model as a detector.
pub struct AlikeDetector {
    eye: Eye,
    examples: Known<Arc<Example>>,
}

/// An encoded example.
struct Example {
    appearance: Appearance,
    /// Width and height of its box, as shares of the image's.
    edges: [f32; 2],
}

/// The model and the features of the last encoded image.
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
    /// Loads the built-in model.
    ///
    /// # Errors
    /// If the built-in weights cannot be read or ONNX Runtime fails.
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
            let features = self.model.encode(picture.pixels(), picture.kind, cancel)?;
            let looks = Looks::of(&features, &self.model)?;
            Ok(Arc::new(Seen { features, looks, size: picture.size() }))
        })
    }

    /// Encodes the object in a box, given in image pixels.
    fn example(
        &mut self,
        picture: &Arc<Picture>,
        rect: Rect,
        cancel: &Cancel,
    ) -> Result<Example, DetectError> {
        let rect = rect.within(picture.size());
        if rect.area() < 1.0 {
            return Err(DetectError::EmptyExample);
        }
        let seen = self.look(picture, cancel)?;
        let prompt = Place::Rect(rect).prompt();
        let thing = self.model.predict(&seen.features, &prompt, None, cancel)?;
        let appearance = seen.looks.appearance(&thing.logits).ok_or(DetectError::EmptyExample)?;
        let Size { width, height } = picture.size();
        let edges = [(rect.x1 - rect.x0) / width as f32, (rect.y1 - rect.y0) / height as f32];
        Ok(Example { appearance, edges })
    }

    fn find(
        &mut self,
        seen: &Seen,
        example: &Example,
        own: Option<Rect>,
        class: usize,
        least: f32,
        cancel: &Cancel,
    ) -> Result<Vec<Detection>, DetectError> {
        let Size { width, height } = seen.size;
        let [w, h] = [example.edges[0] * width as f32, example.edges[1] * height as f32];
        let mut found = Vec::new();
        if let Some(rect) = own {
            // An example matches itself with certainty, and detections within it are removed as its parts.
            found.push(Detection { place: Place::Rect(rect), score: 1.0, class });
        }
        for (at, likeness) in peaks(&seen.looks.likeness(&example.appearance), seen.size) {
            let mut best = self.likest_at(seen, Place::Point(at), example, cancel)?;
            // Objects of one kind that touch often get a single mask.
            if likeness >= SURELY && best.is_some_and(|(rect, _)| rect.area() > LARGER * w * h) {
                for scale in SCALES {
                    let rect = Rect::from_center([at.x, at.y, scale * w, scale * h]).within(seen.size);
                    best = likest(best, self.likest_at(seen, Place::Rect(rect), example, cancel)?);
                }
            }
            let best = best.filter(|(_, score)| *score >= least);
            found.extend(best.map(|(rect, score)| Detection { place: Place::Rect(rect), score, class }));
        }
        Ok(without_parts(found))
    }

    /// Returns the bounding box of the mask candidate that is most similar to the example, and its score.
    fn likest_at(
        &mut self,
        seen: &Seen,
        place: Place,
        example: &Example,
        cancel: &Cancel,
    ) -> Result<Option<(Rect, f32)>, DetectError> {
        let candidates = self.model.candidates(&seen.features, &place.prompt(), None, cancel)?;
        let scored = candidates.iter().filter_map(|candidate| {
            let score = seen.looks.appearance(&candidate.logits)?.likeness(&example.appearance);
            // For box prompts that fit no object, the model's predicted IoU is low.
            let sure = if matches!(place, Place::Rect(_)) { candidate.iou.max(0.0).sqrt() } else { 1.0 };
            Some((&candidate.logits, score * sure))
        });
        let best = scored.max_by(|a, b| a.1.total_cmp(&b.1));
        Ok(best.map(|(logits, score)| (bounds(logits, seen.size), score)))
    }
}

/// Returns the candidate with the higher score.
fn likest(a: Option<(Rect, f32)>, b: Option<(Rect, f32)>) -> Option<(Rect, f32)> {
    a.into_iter().chain(b).max_by(|a, b| a.1.total_cmp(&b.1))
}

/// Removes detections that lie within one with a higher score.
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

/// Returns the local maxima of the similarity, in image pixels, most similar first.
fn peaks((likeness, side): &(Vec<f32>, usize), size: Size) -> Vec<(Point, f32)> {
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
    peaks.into_iter().map(|i| (point(i), likeness[i])).collect()
}

/// Returns the bounding box of a mask in image pixels.
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
            match known.get(of, Some(*rect), || eye.example(of, *rect, cancel).map(Arc::new)) {
                Ok(example) => examples.push(Some(example)),
                // This example is not usable, but others may be.
                Err(DetectError::EmptyExample) => examples.push(None),
                Err(error) => return Err(error),
            }
        }
        if examples.iter().all(Option::is_none) {
            return Err(DetectError::EmptyExample);
        }
        let seen = eye.look(picture, cancel)?;
        let mut found = Vec::new();
        for (class, (example, query)) in examples.iter().zip(queries).enumerate() {
            let Some(example) = example else { continue };
            let own = match query {
                Query::Example(of, rect) if Arc::ptr_eq(of, picture) => Some(rect.within(picture.size())),
                _ => None,
            };
            found.extend(eye.find(&seen, example, own, class, least, cancel)?);
        }
        Ok(found)
    }
}
