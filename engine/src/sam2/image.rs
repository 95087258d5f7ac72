//! Masks on one image: the image is encoded once and then prompted any number of times.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use image::RgbImage;

use crate::{
    frame::{PictureKind, resized, resized_as_pillow},
    geometry::{Rect, Size},
    mask::{self, Mask, Rle},
    nn::{Cancel, Device, Model, Precision, Runtime, RuntimeError, Tensor},
    prompt::{Label, PointPrompt, Prompt},
};

use super::{
    config::{Config, NUM_MASK_TOKENS},
    image_encoder::{self, image_encoder},
    mask_decoder::{self, mask_decoder},
    prompt_encoder::{self, BOX_CORNERS, NEGATIVE, NO_MASK, NOT_A_POINT, POSITIVE, mask_encoder},
    weights::Weights,
};

/// Mask logits at stride 4 of the model's square input: `[side, side]`, above zero on the object.
#[derive(Clone, Debug, PartialEq)]
pub struct Logits {
    /// Pixels along each edge.
    pub side: usize,
    /// Row-major.
    pub values: Vec<f32>,
}

impl Logits {
    /// Returns the logits of an absent object.
    pub(super) fn absent(side: usize) -> Self {
        Self { side, values: vec![ABSENT_LOGIT; side * side] }
    }

    /// Converts an existing mask to logits, so that the model can refine it. Mirrors the first half of
    /// `_use_mask_as_output`.
    pub fn of_mask(mask: &Mask, config: &Config) -> Self {
        let (whole, low) = (Size::square(config.image_size), Size::square(config.mask_side()));
        let high: Vec<f32> =
            mask.resize(whole).bits().iter().map(|&on| if on { 10.0 } else { -10.0 }).collect();
        Self { side: low.width, values: mask::resize_bilinear_antialias(&high, whole, low) }
    }

    /// Returns the logits at another size, interpolated bilinearly.
    pub fn resized(&self, size: Size) -> Vec<f32> {
        mask::resize_bilinear(&self.values, Size::square(self.side), size)
    }

    /// Interpolates bilinearly at column `x` and row `y`, where integers are pixel centers; positions outside take the
    /// nearest pixel.
    pub(super) fn at(&self, x: f32, y: f32) -> f32 {
        mask::sample_bilinear(&self.values, Size::square(self.side), x, y)
    }

    /// Returns the mask at another size, usually that of the image.
    pub fn mask(&self, size: Size) -> Mask {
        Mask::from_logits(&self.values, Size::square(self.side), size)
    }

    /// Returns [`Self::mask`] as run lengths; the cost grows with the size of the object, not of the image.
    pub fn rle(&self, size: Size) -> Rle {
        Rle::from_logits(&self.values, Size::square(self.side), size)
    }

    /// Returns how little the mask depends on the threshold, 0 to 1: the IoU of the masks that thresholds at `offset`
    /// and `-offset` give. Mirrors `calculate_stability_score`.
    pub fn stability(&self, offset: f32) -> f32 {
        stability(&self.values, offset)
    }

    /// Returns the logits flipped horizontally.
    pub(super) fn mirrored(&self) -> Self {
        Self {
            values: self.values.chunks_exact(self.side).flat_map(|row| row.iter().rev().copied()).collect(),
            ..*self
        }
    }

    /// Returns the logits clamped for use as a mask prompt. Mirrors the clamp in `_run_single_frame_inference`.
    pub(super) fn as_prompt(&self) -> Self {
        Self { values: self.values.iter().map(|v| v.clamp(-32.0, 32.0)).collect(), ..*self }
    }
}

/// Logit of absent objects; `NO_OBJ_SCORE` of the original.
pub(super) const ABSENT_LOGIT: f32 = -1024.0;

/// The features of an encoded image.
#[derive(Clone)]
pub struct Features {
    /// Size of the image; prompts and masks are in its pixels.
    pub size: Size,
    /// Stride 16: `[1, grid², d_model]`
    pub(super) features: Tensor,
    pub(super) fine: Tensor,
    pub(super) middle: Tensor,
}

impl Features {
    /// Wraps the outputs of the encoder for an image.
    fn of(image: &RgbImage, made: Vec<Tensor>) -> Self {
        let [features, fine, middle] = <[Tensor; 3]>::try_from(made).unwrap_or_else(|_| unreachable!());
        let size = Size::new(image.width() as usize, image.height() as usize);
        Self { size, features, fine, middle }
    }

    /// Returns the memory use in bytes.
    pub fn bytes(&self) -> usize {
        [&self.features, &self.fine, &self.middle].map(Tensor::n_bytes).iter().sum()
    }
}

/// A mask with its predicted quality.
#[derive(Clone, Debug)]
pub struct Prediction {
    /// Logits of the mask.
    pub logits: Logits,
    /// IoU of the mask as predicted by the model, 0 to 1.
    pub iou: f32,
}

/// The outputs of the decoder for one object.
pub(super) struct Decoded {
    /// `[B, 4, side, side]`: one mask for clear prompts, then three for ambiguous ones.
    masks: Tensor,
    /// `[B, 4, d_model]`
    pointers: Tensor,
    /// Index of the object in the batch of B.
    object: usize,
    side: usize,
    pub ious: [f32; NUM_MASK_TOKENS],
    /// Above zero if the object is in the image.
    pub object_score: f32,
}

impl Decoded {
    pub(super) fn logits(&self, i: usize) -> Logits {
        Logits { side: self.side, values: self.mask(i).to_vec() }
    }

    fn mask(&self, i: usize) -> &[f32] {
        let n = self.side * self.side;
        &self.masks.floats()[(self.object * NUM_MASK_TOKENS + i) * n..][..n]
    }

    /// `[d_model]`
    pub(super) fn pointer(&self, i: usize) -> &[f32] {
        let d_model = self.pointers.shape()[2];
        &self.pointers.floats()[(self.object * NUM_MASK_TOKENS + i) * d_model..][..d_model]
    }

    /// Returns the index of the mask with the highest predicted IoU among the three for ambiguous prompts, summed over
    /// `self` and `others`.
    fn best_of_three(&self, others: &[Self]) -> usize {
        let ious: [f32; NUM_MASK_TOKENS] =
            std::array::from_fn(|i| self.ious[i] + others.iter().map(|other| other.ious[i]).sum::<f32>());
        // The first of equal values wins, as in PyTorch's argmax.
        (2..NUM_MASK_TOKENS).fold(1, |best, i| if ious[i] > ious[best] { i } else { best })
    }

    /// Returns the index of the mask for a prompt. Mirrors `_dynamic_multimask_via_stability`.
    pub(super) fn choose(&self, ambiguous: bool) -> usize {
        self.choose_with(&[], ambiguous)
    }

    /// Returns the index of the mask for a prompt that other views of the image (`others`) have answered too.
    pub(super) fn choose_with(&self, others: &[Self], ambiguous: bool) -> usize {
        const DELTA: f32 = 0.05;
        const STABLE: f32 = 0.98;
        if ambiguous {
            return self.best_of_three(others);
        }
        if stability(self.mask(0), DELTA) >= STABLE { 0 } else { self.best_of_three(others) }
    }
}

/// Returns the share of logits above `-offset` that are also above `offset`. Mirrors `_get_stability_scores`.
fn stability(logits: &[f32], offset: f32) -> f32 {
    let inner = logits.iter().filter(|v| **v > offset).count() as f32;
    let outer = logits.iter().filter(|v| **v > -offset).count() as f32;
    if outer == 0.0 { 1.0 } else { inner / outer }
}

/// The prompts of the decoder.
#[derive(Default)]
pub(super) struct Question<'a> {
    pub prompt: Option<&'a Prompt>,
    /// Logits of the previous answer, or of a mask prompt.
    pub mask: Option<&'a Logits>,
    /// True if the features were not fused with memories, so that the decoder adds the no-memory embedding.
    pub no_memory: bool,
}

/// The image encoder. Clones share one model, so that it can encode an image while the other parts process another.
#[derive(Clone)]
pub struct ImageEncoder {
    side: usize,
    bicubic_frames: bool,
    model: Arc<Mutex<Model>>,
}

impl ImageEncoder {
    /// Encodes an image. Mirrors `SAM2ImagePredictor.set_image`, and for frames `load_video_frames`.
    ///
    /// # Errors
    /// If canceled, or ONNX Runtime fails.
    pub fn encode(
        &self,
        image: &RgbImage,
        kind: PictureKind,
        cancel: &Cancel,
    ) -> Result<Features, RuntimeError> {
        let pixels = self.pixels(image, kind)?;
        let outputs = self.lock().run(&[(image_encoder::names::PIXELS, &pixels)], cancel)?;
        Ok(Features::of(image, outputs))
    }

    /// Encodes a frame ahead of its turn; returns `None` if the device fails, for example for lack of memory.
    pub fn encode_ahead(&self, image: &RgbImage) -> Option<Features> {
        let pixels = self.pixels(image, PictureKind::Frame).ok()?;
        let outputs = self.lock().attempt(&[(image_encoder::names::PIXELS, &pixels)], &Cancel::default());
        Some(Features::of(image, outputs.ok()?))
    }

    fn pixels(&self, image: &RgbImage, kind: PictureKind) -> Result<Tensor, RuntimeError> {
        let side = self.side;
        let resize = match kind {
            PictureKind::Frame if self.bicubic_frames => resized_as_pillow,
            _ => resized,
        };
        Tensor::from_bytes(&[side, side, 3], resize(image, side as u32, side as u32).into_raw())
    }

    /// Returns the device and precision of the encoder.
    pub fn place(&self) -> (Device, Precision) {
        self.lock().place()
    }

    fn lock(&self) -> MutexGuard<'_, Model> {
        self.model.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The image encoder, the prompt encoder and the mask decoder.
pub struct ImageModel {
    config: Config,
    encoder: ImageEncoder,
    decoder: Model,
    mask_encoder: Model,
    /// The decoder's dense input in place of a mask prompt.
    no_mask: Tensor,
}

impl ImageModel {
    /// Loads the parts.
    ///
    /// # Errors
    /// If ONNX Runtime fails.
    pub fn load(runtime: &Runtime, weights: &Weights) -> Result<Self, RuntimeError> {
        let Weights { config, checkpoint } = weights;
        let n_places = config.grid().pow(2);
        let no_mask = checkpoint.floats(NO_MASK)?.repeat(n_places);
        let encoder = Model::load(runtime, image_encoder(config), checkpoint)?;
        Ok(Self {
            config: config.clone(),
            encoder: ImageEncoder {
                side: config.image_size,
                bicubic_frames: config.bicubic_frames,
                model: Arc::new(Mutex::new(encoder)),
            },
            // Not on a server: each click would have to send it the image features.
            decoder: Model::load_here(runtime, mask_decoder(config), checkpoint)?,
            mask_encoder: Model::load_here(runtime, mask_encoder(config), checkpoint)?,
            no_mask: Tensor::from_floats(&[n_places, config.d_model], no_mask)?,
        })
    }

    /// Returns the model's sizes.
    pub fn config(&self) -> &Config {
        &self.config
    }

    /// Returns the image encoder.
    pub fn encoder(&self) -> &ImageEncoder {
        &self.encoder
    }

    /// Encodes an image.
    ///
    /// # Errors
    /// If canceled, or ONNX Runtime fails.
    pub fn encode(
        &self,
        image: &RgbImage,
        kind: PictureKind,
        cancel: &Cancel,
    ) -> Result<Features, RuntimeError> {
        self.encoder.encode(image, kind, cancel)
    }

    /// Copies the features of strides 4, 8 and 16 to the CPU, in this order, one row per pixel; strides 4 and 8 are in
    /// cell order.
    ///
    /// # Errors
    /// If ONNX Runtime fails.
    pub(super) fn fetch(&self, features: &Features) -> Result<[Tensor; 3], RuntimeError> {
        let encoder = self.encoder.lock();
        let Features { fine, middle, features, .. } = features;
        Ok([encoder.fetch(fine)?, encoder.fetch(middle)?, encoder.fetch(features)?])
    }

    /// Predicts the mask for a prompt; `previous` holds the logits of the last prediction, to refine it.
    ///
    /// A single click is ambiguous; the mask with the highest predicted IoU is returned. See [`Self::candidates`].
    ///
    /// # Errors
    /// If canceled, or ONNX Runtime fails.
    pub fn predict(
        &mut self,
        features: &Features,
        prompt: &Prompt,
        previous: Option<&Logits>,
        cancel: &Cancel,
    ) -> Result<Prediction, RuntimeError> {
        let decoded = self.ask(features, prompt, previous, cancel)?;
        let i = decoded.choose(is_ambiguous(Some(prompt)));
        Ok(Prediction { logits: decoded.logits(i), iou: decoded.ious[i] })
    }

    /// Predicts the three masks of an ambiguous prompt (such as whole, part, subpart), by descending predicted IoU.
    ///
    /// # Errors
    /// If canceled, or ONNX Runtime fails.
    pub fn candidates(
        &mut self,
        features: &Features,
        prompt: &Prompt,
        previous: Option<&Logits>,
        cancel: &Cancel,
    ) -> Result<Vec<Prediction>, RuntimeError> {
        let decoded = self.ask(features, prompt, previous, cancel)?;
        let three =
            (1..NUM_MASK_TOKENS).map(|i| Prediction { logits: decoded.logits(i), iou: decoded.ious[i] });
        let mut three: Vec<Prediction> = three.collect();
        three.sort_by(|a, b| b.iou.total_cmp(&a.iou));
        Ok(three)
    }

    pub(super) fn ask(
        &mut self,
        features: &Features,
        prompt: &Prompt,
        previous: Option<&Logits>,
        cancel: &Cancel,
    ) -> Result<Decoded, RuntimeError> {
        let previous = previous.map(Logits::as_prompt);
        let question = Question { prompt: Some(prompt), mask: previous.as_ref(), no_memory: true };
        self.decode(features, &features.features, &question, cancel)
    }

    /// Decodes one object. Mirrors `_forward_sam_heads`; `fused` holds the features, fused with memories or not.
    pub(super) fn decode(
        &mut self,
        features: &Features,
        fused: &Tensor,
        question: &Question<'_>,
        cancel: &Cancel,
    ) -> Result<Decoded, RuntimeError> {
        Ok(self.decode_all(features, fused, question, cancel)?.remove(0))
    }

    /// Decodes one object for each entry of `fused` `[B, grid², d_model]`, with the same prompts for all; see
    /// [`Self::decode`].
    pub(super) fn decode_all(
        &mut self,
        features: &Features,
        fused: &Tensor,
        question: &Question<'_>,
        cancel: &Cancel,
    ) -> Result<Vec<Decoded>, RuntimeError> {
        use mask_decoder::names;
        let n_objects = fused.shape()[0];
        let side = self.config.mask_side();
        let (points, labels) = self.points_in_model(question.prompt, features.size);
        let n_points = labels.len();
        let (points, labels) = (points.concat().repeat(n_objects), labels.repeat(n_objects));
        let dense = match question.mask {
            Some(mask) => {
                let mask = Tensor::from_floats(&[side * side, 1], mask.values.clone())?;
                self.mask_encoder.run(&[(prompt_encoder::names::MASK, &mask)], cancel)?.remove(0)
            }
            None => self.no_mask.clone(),
        };
        let inputs = [
            (names::FEATURES, fused),
            (names::NO_MEMORY, &Tensor::from_floats(&[1], vec![f32::from(u8::from(question.no_memory))])?),
            (names::FINE, &features.fine),
            (names::MIDDLE, &features.middle),
            (names::POINTS, &Tensor::from_floats(&[n_objects, n_points, 2], points)?),
            (names::LABELS, &Tensor::from_floats(&[n_objects, n_points], labels)?),
            (names::DENSE, &dense),
        ];
        let outputs = self.decoder.run_batch(n_objects, &inputs, cancel)?;
        let [masks, ious, pointers, scores] =
            <[Tensor; 4]>::try_from(outputs).unwrap_or_else(|_| unreachable!());
        let decoded = |object: usize| Decoded {
            masks: masks.clone(),
            pointers: pointers.clone(),
            object,
            side,
            ious: std::array::from_fn(|i| ious.floats()[object * NUM_MASK_TOKENS + i]),
            object_score: scores.floats()[object],
        };
        Ok((0..n_objects).map(decoded).collect())
    }

    /// Returns points in pixels of the model's square input and their labels; the corners of the box come first.
    fn points_in_model(&self, prompt: Option<&Prompt>, size: Size) -> (Vec<[f32; 2]>, Vec<f32>) {
        let scale_x = self.config.image_size as f32 / size.width as f32;
        let scale_y = self.config.image_size as f32 / size.height as f32;
        let corners = |rect: Rect| {
            let [first, second] = BOX_CORNERS;
            [(rect.x0, rect.y0, first), (rect.x1, rect.y1, second)]
        };
        let click = |point: &PointPrompt| match point.label {
            Label::Positive => (point.at.x, point.at.y, POSITIVE),
            Label::Negative => (point.at.x, point.at.y, NEGATIVE),
        };
        let said: Vec<(f32, f32, f32)> = match prompt {
            Some(prompt) => {
                prompt.rect.into_iter().flat_map(corners).chain(prompt.points.iter().map(click)).collect()
            }
            // The original gives a tracked frame one padding point.
            None => vec![(0.0, 0.0, NOT_A_POINT)],
        };
        // The original appends another to any points, but not to none: a mask may be the whole prompt.
        let padding = (!said.is_empty()).then_some((0.0, 0.0, NOT_A_POINT));
        let all = said.into_iter().chain(padding);
        all.map(|(x, y, label)| ([x * scale_x, y * scale_y], label)).unzip()
    }
}

/// Returns true if the prompt is ambiguous: at most one point and no box. Mirrors `_use_multimask`.
pub(super) fn is_ambiguous(prompt: Option<&Prompt>) -> bool {
    prompt.is_none_or(|prompt| prompt.points.len() <= 1 && prompt.rect.is_none())
}
