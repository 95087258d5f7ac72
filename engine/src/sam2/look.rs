//! Careful inference for small models: a crop around the prompt's box, test-time augmentation with the mirror image,
//! and correction by the colors of the predicted mask.
//!
//! SAM 2 has no counterpart, and its own models gain little for the time, so plain inference is the default.

use std::borrow::Cow;

use image::{RgbImage, imageops};

use crate::{
    frame::PictureKind,
    geometry::{Point, Rect, Size},
    mask::Mask,
    nn::{Cancel, RuntimeError},
    prompt::Prompt,
};

use super::{
    colors::Colors,
    config::NUM_MASK_TOKENS,
    image::{Features, ImageModel, Logits, Prediction, is_ambiguous},
};

/// The options of careful inference; all are off by default.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Look {
    /// Encode only the surroundings of a prompt's box, so that the object fills more of the model's square input.
    pub close: bool,
    /// Average the predictions for the image and its mirror image.
    pub mirror: bool,
    /// Correct the mask by the colors of the object and of the background, and its border by the edges of the image.
    pub colors: bool,
}

impl Look {
    /// All options on, as the built-in model needs.
    pub const CAREFUL: Self = Self { close: true, mirror: true, colors: true };

    /// Returns true if `prompt` is answered on a crop around its box.
    pub fn is_close(self, prompt: &Prompt) -> bool {
        self.close && prompt.rect.is_some()
    }

    /// Returns the part of an image that is encoded for `prompt`.
    fn part(self, prompt: &Prompt, image: Size) -> Part {
        let rect = prompt.rect.filter(|_| self.close);
        rect.map_or(Part { corner: (0, 0), size: image }, |rect| surroundings(rect, prompt, image))
    }
}

/// A rectangle of whole pixels of an image.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Part {
    /// The top left pixel.
    corner: (usize, usize),
    size: Size,
}

/// An encoded part of an image.
pub struct View {
    image_size: Size,
    part: Part,
    /// Features of the part, followed by those of its mirror image if [`Look::mirror`] is on.
    faces: Vec<Features>,
    colors: Option<Colors>,
}

/// Margin around a box on a crop, as a share of the box's longer side.
const SURROUNDINGS: f32 = 0.25;

impl View {
    /// Returns true if [`ImageModel::view`] would encode the same part of this image for `prompt`.
    pub fn shows(&self, prompt: &Prompt, look: Look) -> bool {
        self.part == look.part(prompt, self.image_size)
    }

    /// Returns true if the part is the whole image.
    pub fn is_whole(&self) -> bool {
        self.part.size == self.image_size
    }

    /// Returns the features of the part, as [`ImageModel::encode`] computes them.
    pub fn features(&self) -> &Features {
        &self.faces[0]
    }

    /// Returns the memory use in bytes.
    pub fn bytes(&self) -> usize {
        self.faces.iter().map(Features::bytes).sum::<usize>() + self.colors.as_ref().map_or(0, Colors::bytes)
    }

    /// Converts logits of this part to a mask of the whole image, which is empty outside the part.
    ///
    /// `image` is the image that was encoded, and `prompt` is the prompt of the logits.
    pub fn mask(&self, image: &RgbImage, prompt: &Prompt, logits: &Logits) -> Mask {
        let mask = match &self.colors {
            Some(colors) => colors.mask(&cut(image, self.part), &self.localize(prompt, false), logits),
            None => logits.mask(self.part.size),
        };
        mask.placed(self.part.corner, self.image_size)
    }

    /// Returns `prompt` in pixels of the part, or of its mirror image.
    fn localize(&self, prompt: &Prompt, mirrored: bool) -> Prompt {
        let Part { corner, size } = self.part;
        let (left, top) = (corner.0 as f32, corner.1 as f32);
        let x = |x: f32| if mirrored { size.width as f32 - (x - left) } else { x - left };
        let mut local = prompt.clone();
        for point in &mut local.points {
            point.at = Point { x: x(point.at.x), y: point.at.y - top };
        }
        local.rect = prompt.rect.map(|rect| {
            let (x0, x1) = (x(rect.x0), x(rect.x1));
            Rect { x0: x0.min(x1), y0: rect.y0 - top, x1: x0.max(x1), y1: rect.y1 - top }
        });
        local
    }
}

/// A sequence of clicks in one view with the model's answers, so that later clicks need not repeat earlier ones.
#[derive(Default)]
pub struct Chain {
    /// Logits, of the view's part, of the mask that the first click refines.
    base: Option<Logits>,
    steps: Vec<Step>,
}

struct Step {
    prompt: Prompt,
    /// Predictions for this step, the model's choice first.
    candidates: Vec<Prediction>,
}

impl Chain {
    /// Returns the memory use in bytes of the candidates.
    pub fn bytes(&self) -> usize {
        let candidates = self.steps.iter().flat_map(|step| &step.candidates);
        candidates.map(|candidate| size_of_val(&*candidate.logits.values)).sum()
    }

    /// Drops the steps after the longest common prefix with `steps`.
    fn keep_common(&mut self, steps: &[Prompt]) {
        let is_common = |(known, asked): &(&Step, &Prompt)| known.prompt == **asked;
        let n_common = self.steps.iter().zip(steps).take_while(is_common).count();
        self.steps.truncate(n_common);
    }

    /// Returns the logits that the next click refines.
    fn previous(&self) -> Option<&Logits> {
        self.steps.last().map_or(self.base.as_ref(), |step| Some(&step.candidates[0].logits))
    }
}

/// IoU of masks from which two candidates count as the same.
const SAME: f64 = 0.9;

impl ImageModel {
    /// Encodes the part of an image that `prompt` needs: the whole image, or with [`Look::close`] a crop around the
    /// prompt's box.
    ///
    /// # Errors
    /// If canceled, or ONNX Runtime fails.
    pub fn view(
        &mut self,
        image: &RgbImage,
        kind: PictureKind,
        prompt: &Prompt,
        look: Look,
        cancel: &Cancel,
    ) -> Result<View, RuntimeError> {
        let image_size = Size::new(image.width() as usize, image.height() as usize);
        let part = look.part(prompt, image_size);
        let pixels = cut(image, part);
        let mut faces = vec![self.encode(&pixels, kind, cancel)?];
        if look.mirror {
            faces.push(self.encode(&imageops::flip_horizontal(&*pixels), kind, cancel)?);
        }
        Ok(View { image_size, part, faces, colors: look.colors.then(|| Colors::of(&pixels)) })
    }

    /// Creates a chain whose first click refines `base`, a mask of the whole image.
    pub fn chain(&self, view: &View, base: &Mask) -> Chain {
        let base = base.part(view.part.corner, view.part.size);
        Chain { base: Some(Logits::of_mask(&base, self.config())), steps: Vec::new() }
    }

    /// Returns the mask for clicks that are decoded one after the other, each refining the previous mask; the logits
    /// are of the view's part.
    ///
    /// # Errors
    /// If canceled, or ONNX Runtime fails.
    pub fn click_through(
        &mut self,
        view: &View,
        prompt: &Prompt,
        cancel: &Cancel,
    ) -> Result<Prediction, RuntimeError> {
        Ok(self.follow(view, &mut Chain::default(), prompt, cancel)?[0].clone())
    }

    /// Returns the mask for all clicks and the box, decoded in one call without refinement; the logits are of the
    /// view's part. Mirrors `SAM2ImagePredictor.predict`.
    ///
    /// # Errors
    /// If canceled, or ONNX Runtime fails.
    pub fn answer_at_once(
        &mut self,
        view: &View,
        prompt: &Prompt,
        cancel: &Cancel,
    ) -> Result<Prediction, RuntimeError> {
        Ok(self.predict_in(view, prompt, None, cancel)?.swap_remove(0))
    }

    /// Returns the candidate masks of a prompt whose clicks are decoded one after the other: the model's choice first,
    /// then the other readings of the last click by descending predicted IoU.
    ///
    /// `chain` must belong to this view; its steps are not decoded again. If the chain begins with a mask, a box is
    /// decoded together with the first click, because the mask says more than the box alone.
    ///
    /// # Errors
    /// If canceled, or ONNX Runtime fails.
    pub fn follow<'a>(
        &mut self,
        view: &View,
        chain: &'a mut Chain,
        prompt: &Prompt,
        cancel: &Cancel,
    ) -> Result<&'a [Prediction], RuntimeError> {
        let is_box_alone = |step: &Prompt| step.points.is_empty() && !prompt.points.is_empty();
        let steps = prompt.steps().filter(|step| chain.base.is_none() || !is_box_alone(step));
        let steps: Vec<Prompt> = steps.collect();
        chain.keep_common(&steps);
        for prompt in steps.into_iter().skip(chain.steps.len()) {
            let candidates = self.predict_in(view, &prompt, chain.previous(), cancel)?;
            chain.steps.push(Step { prompt, candidates });
        }
        Ok(chain.steps.last().map_or(&[], |step| &step.candidates))
    }

    fn predict_in(
        &mut self,
        view: &View,
        prompt: &Prompt,
        previous: Option<&Logits>,
        cancel: &Cancel,
    ) -> Result<Vec<Prediction>, RuntimeError> {
        let mut answers = Vec::with_capacity(view.faces.len());
        for (features, mirrored) in view.faces.iter().zip([false, true]) {
            let previous = previous.map(|logits| if mirrored { logits.mirrored() } else { logits.clone() });
            answers.push(self.ask(features, &view.localize(prompt, mirrored), previous.as_ref(), cancel)?);
        }
        let [first, others @ ..] = &answers[..] else { unreachable!("a view has a face") };
        let ambiguous = previous.is_none() && is_ambiguous(Some(prompt));
        let chosen = first.choose_with(others, ambiguous);
        let mean = |i: usize| {
            let n = answers.len() as f32;
            let mut logits = first.logits(i);
            for other in others {
                let other = other.logits(i).mirrored();
                logits.values.iter_mut().zip(other.values).for_each(|(sum, value)| *sum += value);
            }
            logits.values.iter_mut().for_each(|sum| *sum /= n);
            Prediction { logits, iou: answers.iter().map(|answer| answer.ious[i]).sum::<f32>() / n }
        };
        let rest = (usize::from(ambiguous)..NUM_MASK_TOKENS).filter(|&i| i != chosen);
        let mut rest: Vec<Prediction> = rest.map(mean).collect();
        rest.sort_by(|a, b| b.iou.total_cmp(&a.iou));
        Ok(distinct(mean(chosen), rest))
    }
}

/// Returns `first` and those others whose masks are not empty and differ from all masks before them.
fn distinct(first: Prediction, others: Vec<Prediction>) -> Vec<Prediction> {
    let own_mask = |prediction: &Prediction| prediction.logits.mask(Size::square(prediction.logits.side));
    let mut masks = vec![own_mask(&first)];
    let mut distinct = vec![first];
    for other in others {
        let mask = own_mask(&other);
        if mask.area() > 0 && masks.iter().all(|known| known.iou(&mask) < SAME) {
            masks.push(mask);
            distinct.push(other);
        }
    }
    distinct
}

/// Returns the pixels of a part, borrowed if the part is the whole image.
fn cut(image: &RgbImage, Part { corner, size }: Part) -> Cow<'_, RgbImage> {
    let (width, height) = (size.width as u32, size.height as u32);
    if image.dimensions() == (width, height) {
        return Cow::Borrowed(image);
    }
    Cow::Owned(imageops::crop_imm(image, corner.0 as u32, corner.1 as u32, width, height).to_image())
}

/// Returns the part around a box, with a margin, that also contains the prompt's clicks.
fn surroundings(rect: Rect, prompt: &Prompt, image: Size) -> Part {
    let margin = SURROUNDINGS * (rect.x1 - rect.x0).max(rect.y1 - rect.y0);
    let span = |from: f32, to: f32, clicks: &dyn Fn(Point) -> f32, n: usize| {
        let clicks = prompt.points.iter().map(|point| clicks(point.at));
        let (from, to) =
            clicks.fold((from - margin, to + margin), |(from, to), at| (from.min(at), to.max(at)));
        let first = (from.max(0.0) as usize).min(n - 1);
        (first, (to.ceil() as usize).clamp(first + 1, n) - first)
    };
    let (x, width) = span(rect.x0, rect.x1, &|at| at.x, image.width);
    let (y, height) = span(rect.y0, rect.y1, &|at| at.y, image.height);
    Part { corner: (x, y), size: Size::new(width, height) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::prompt::{Label, PointPrompt};

    #[test]
    fn chain_keeps_common_prefix_of_clicks() {
        let at = |x| PointPrompt { at: Point { x, y: 1.0 }, label: Label::Positive };
        let prompt = |xs: &[f32]| Prompt { points: xs.iter().copied().map(at).collect(), rect: None };
        let step = |prompt: Prompt| {
            let logits = Logits { side: 1, values: vec![prompt.points.len() as f32] };
            Step { prompt, candidates: vec![Prediction { logits, iou: 1.0 }] }
        };
        let n_kept = |asked: &[f32]| {
            let steps = prompt(&[1.0, 2.0, 3.0]).steps().map(step).collect();
            let mut chain = Chain { base: None, steps };
            chain.keep_common(&prompt(asked).steps().collect::<Vec<Prompt>>());
            assert_eq!(chain.previous().map_or(0.0, |logits| logits.values[0]), chain.steps.len() as f32);
            chain.steps.len()
        };
        assert_eq!([n_kept(&[1.0, 2.0, 3.0, 4.0]), n_kept(&[1.0, 2.0, 3.0])], [3, 3]);
        assert_eq!([n_kept(&[1.0, 2.0, 5.0]), n_kept(&[1.0]), n_kept(&[2.0, 1.0])], [2, 1, 0]);
    }

    #[test]
    fn candidates_with_equal_masks_are_merged() {
        let candidate = |n_on: usize, iou| {
            let values = (0..16).map(|i| if i < n_on { 1.0 } else { -1.0 }).collect();
            Prediction { logits: Logits { side: 4, values }, iou }
        };
        let others = vec![candidate(4, 0.9), candidate(8, 0.8), candidate(0, 0.7), candidate(12, 0.6)];
        let ious: Vec<f32> = distinct(candidate(8, 0.5), others).iter().map(|c| c.iou).collect();
        assert_eq!(ious, [0.5, 0.9, 0.6]);
    }

    #[test]
    fn close_view_has_box_margin_and_clicks() {
        let rect = Rect { x0: 100.0, y0: 50.0, x1: 140.0, y1: 60.0 };
        let size = Size::new(300, 200);
        let prompt = Prompt { points: vec![], rect: Some(rect) };
        let part = |x, y, width, height| Part { corner: (x, y), size: Size::new(width, height) };
        assert_eq!(surroundings(rect, &prompt, size), part(90, 40, 60, 30));
        let click = PointPrompt { at: Point { x: 20.5, y: 55.0 }, label: Label::Negative };
        let prompt = Prompt { points: vec![click], rect: Some(rect) };
        assert_eq!(surroundings(rect, &prompt, size), part(20, 40, 130, 30));
        let rect = Rect { x0: 0.0, y0: 0.0, x1: 300.0, y1: 200.0 };
        assert_eq!(surroundings(rect, &Prompt::default(), size), part(0, 0, 300, 200));
    }
}
