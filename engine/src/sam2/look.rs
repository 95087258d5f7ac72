//! What a small model gains by looking with more care: closely at what a box is round, at the mirror image too, and at
//! the colors of what it found.
//!
//! SAM 2 has nothing of the kind and its own models gain little for the time, so plain looking is the default.

use std::borrow::Cow;

use image::{RgbImage, imageops};

use crate::{
    geometry::{Point, Rect, Size},
    mask::Mask,
    nn::{Cancel, RuntimeError},
    prompt::Prompt,
};

use super::{
    colors::Colors,
    image::{Features, ImageModel, Logits, Prediction, is_ambiguous},
};

/// How an image is looked at; plainly by default.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Look {
    /// Encode only the surroundings of a prompt's box, so that the object fills more of the model's square.
    pub close: bool,
    /// Answer for the image and its mirror image, and take the mean.
    pub mirror: bool,
    /// Let the colors of what was found and of the rest correct the mask, and the image's edges its border.
    pub colors: bool,
}

impl Look {
    /// All care, as the built-in model needs.
    pub const CAREFUL: Self = Self { close: true, mirror: true, colors: true };

    /// Whether `prompt` is looked at closely.
    pub fn is_close(self, prompt: &Prompt) -> bool {
        self.close && prompt.rect.is_some()
    }
}

/// A part of an image as the model sees it.
pub struct View {
    image_size: Size,
    /// The part's top left pixel.
    corner: (usize, usize),
    /// The part's size.
    size: Size,
    /// Of the part, then maybe of its mirror image.
    faces: Vec<Features>,
    colors: Option<Colors>,
}

/// Pixels left round a box that is looked at closely, as a share of its longer side.
const SURROUNDINGS: f32 = 0.25;

impl View {
    /// The mask of the whole image for logits of this part; nothing outside the part is on.
    ///
    /// `image` is what was viewed, and `prompt` what the logits answer.
    pub fn mask(&self, image: &RgbImage, prompt: &Prompt, logits: &Logits) -> Mask {
        let mask = match &self.colors {
            Some(colors) => {
                colors.mask(&cut(image, self.corner, self.size), &self.localize(prompt, false), logits)
            }
            None => logits.mask(self.size),
        };
        mask.placed(self.corner, self.image_size)
    }

    /// `prompt` in pixels of the part, or of its mirror image.
    fn localize(&self, prompt: &Prompt, mirrored: bool) -> Prompt {
        let (left, top) = (self.corner.0 as f32, self.corner.1 as f32);
        let x = |x: f32| if mirrored { self.size.width as f32 - (x - left) } else { x - left };
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

impl ImageModel {
    /// Looks at what `prompt` needs of an image: all, or with [`Look::close`] what its box is round.
    ///
    /// # Errors
    /// If canceled, or ONNX Runtime refuses.
    pub fn view(
        &mut self,
        image: &RgbImage,
        prompt: &Prompt,
        look: Look,
        cancel: &Cancel,
    ) -> Result<View, RuntimeError> {
        let image_size = Size::new(image.width() as usize, image.height() as usize);
        let rect = prompt.rect.filter(|_| look.close);
        let (corner, size) = rect.map_or(((0, 0), image_size), |rect| surroundings(rect, prompt, image_size));
        let part = cut(image, corner, size);
        let mut faces = vec![self.encode(&part, cancel)?];
        if look.mirror {
            faces.push(self.encode(&imageops::flip_horizontal(&*part), cancel)?);
        }
        Ok(View { image_size, corner, size, faces, colors: look.colors.then(|| Colors::of(&part)) })
    }

    /// The mask that a person's clicks give one after the other, each refining the last answer; its logits are of the
    /// view's part.
    ///
    /// # Errors
    /// If canceled, or ONNX Runtime refuses.
    pub fn click_through(
        &mut self,
        view: &View,
        prompt: &Prompt,
        cancel: &Cancel,
    ) -> Result<Prediction, RuntimeError> {
        let mut steps = prompt.steps();
        let first = steps.next().unwrap_or_default();
        let mut answer = self.predict_in(view, &first, None, cancel)?;
        for step in steps {
            answer = self.predict_in(view, &step, Some(&answer.logits), cancel)?;
        }
        Ok(answer)
    }

    fn predict_in(
        &mut self,
        view: &View,
        prompt: &Prompt,
        previous: Option<&Logits>,
        cancel: &Cancel,
    ) -> Result<Prediction, RuntimeError> {
        let mut answers = Vec::with_capacity(view.faces.len());
        for (features, mirrored) in view.faces.iter().zip([false, true]) {
            let previous = previous.map(|logits| if mirrored { logits.mirrored() } else { logits.clone() });
            answers.push(self.ask(features, &view.localize(prompt, mirrored), previous.as_ref(), cancel)?);
        }
        let [first, others @ ..] = &answers[..] else { unreachable!("a view has a face") };
        let i = first.choose_with(others, is_ambiguous(Some(prompt)));
        let n = answers.len() as f32;
        let mut logits = first.logits(i);
        for other in others {
            let other = other.logits(i).mirrored();
            logits.values.iter_mut().zip(other.values).for_each(|(sum, value)| *sum += value);
        }
        logits.values.iter_mut().for_each(|sum| *sum /= n);
        Ok(Prediction { logits, iou: answers.iter().map(|answer| answer.ious[i]).sum::<f32>() / n })
    }
}

/// The part of an image that begins at pixel `corner`.
fn cut(image: &RgbImage, corner: (usize, usize), size: Size) -> Cow<'_, RgbImage> {
    let (width, height) = (size.width as u32, size.height as u32);
    if image.dimensions() == (width, height) {
        return Cow::Borrowed(image);
    }
    Cow::Owned(imageops::crop_imm(image, corner.0 as u32, corner.1 as u32, width, height).to_image())
}

/// The top left pixel and the size of what lies round a box, and of the prompt's clicks.
fn surroundings(rect: Rect, prompt: &Prompt, image: Size) -> ((usize, usize), Size) {
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
    ((x, y), Size::new(width, height))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::prompt::{Label, PointPrompt};

    #[test]
    fn a_close_look_has_the_box_the_clicks_and_some_pixels_more() {
        let rect = Rect { x0: 100.0, y0: 50.0, x1: 140.0, y1: 60.0 };
        let size = Size::new(300, 200);
        let prompt = Prompt { points: vec![], rect: Some(rect) };
        assert_eq!(surroundings(rect, &prompt, size), ((90, 40), Size::new(60, 30)));
        let click = PointPrompt { at: Point { x: 20.5, y: 55.0 }, label: Label::Negative };
        let prompt = Prompt { points: vec![click], rect: Some(rect) };
        assert_eq!(surroundings(rect, &prompt, size), ((20, 40), Size::new(130, 30)));
        let rect = Rect { x0: 0.0, y0: 0.0, x1: 300.0, y1: 200.0 };
        assert_eq!(surroundings(rect, &Prompt::default(), size), ((0, 0), size));
    }
}
