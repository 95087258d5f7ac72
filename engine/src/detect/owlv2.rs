//! OWLv2 (Minderer et al., 2023): open-vocabulary detection by phrases or examples.
//!
//! The image tower runs once per image and returns, for each patch, the box and the embedding of the object that the
//! patch belongs to. A query is then one dot product with each patch. Phrases and examples give the same kind of query.

mod config;
mod image_tower;
mod text_tower;
mod tokenizer;
mod transformer;

use std::{collections::HashMap, path::Path, sync::Arc};

use image::RgbImage;

use crate::{
    frame::resized,
    geometry::{Rect, Size},
    nn::{Cancel, Checkpoint, Graph, Model, Runtime, Tensor, graph::Required},
};

use super::{DetectError, Detection, Place, open, sigmoid};
use image_tower::image_tower;
use text_tower::text_tower;

pub use config::{Config, Tower};
pub use tokenizer::Tokenizer;

/// Prefixes of the two towers' tensors.
const IMAGE: &str = "owlv2.vision_model";
const TEXT: &str = "owlv2.text_model";

/// Tensors of official files that inference does not use.
const UNUSED: [&str; 2] = ["owlv2.logit_scale", "owlv2.visual_projection.weight"];

/// Query embedding: a direction in the embedding space that patches and phrases share.
pub type Embedding = Arc<[f32]>;

/// Reads the sizes, the weights and the vocabulary in the same folder; checks that the file has exactly the tensors
/// of the model.
fn read(path: &Path, image_size: Option<usize>) -> Result<(Config, Checkpoint, Tokenizer), DetectError> {
    let checkpoint = open(path)?;
    let bad = |cause: String| DetectError::Config { path: path.display().to_string(), cause };
    let config = Config::of(&checkpoint)
        .ok_or_else(|| bad("these are not the weights of an OWLv2 model".to_owned()))?;
    let config = config.with_image_size(image_size).map_err(bad)?;
    checkpoint.require_only(&required_tensors(&config), |name| UNUSED.contains(&name))?;
    let tokenizer = Tokenizer::open(checkpoint.folder(), config.n_tokens, config.n_words)?;
    Ok((config, checkpoint, tokenizer))
}

/// A loaded model.
pub struct Owlv2 {
    config: Config,
    image_tower: Model,
    text_tower: Model,
    tokenizer: Tokenizer,
    /// Cached embeddings by phrase.
    embeddings: HashMap<String, Embedding>,
}

impl Owlv2 {
    /// Loads the official `.safetensors` and the vocabulary in the same folder. Images are padded and resized to a
    /// square of `image_size` pixels, or of the size in training if `None`.
    ///
    /// # Errors
    /// If a file is missing, damaged or of another model, the image size is not valid (for example not a multiple of
    /// the patch size), or ONNX Runtime fails.
    pub fn load(runtime: &Runtime, path: &Path, image_size: Option<usize>) -> Result<Self, DetectError> {
        let (config, checkpoint, tokenizer) = read(path, image_size)?;
        Ok(Self {
            image_tower: Model::load(runtime, image_tower(&config), &checkpoint)?,
            text_tower: Model::load(runtime, text_tower(&config), &checkpoint)?,
            config,
            tokenizer,
            embeddings: HashMap::new(),
        })
    }

    /// Checks that a file has exactly the tensors of a model and returns the model's sizes.
    ///
    /// # Errors
    /// If a file is missing, damaged or of another model.
    pub fn check(path: &Path) -> Result<Config, DetectError> {
        Ok(read(path, None)?.0)
    }

    /// Returns the model's sizes.
    pub fn config(&self) -> &Config {
        &self.config
    }

    /// Returns the embedding of a phrase, `[text width]`. Embeddings are cached.
    ///
    /// # Errors
    /// If the phrase is empty or too long, the run was canceled, or the model cannot run.
    pub fn embed(&mut self, phrase: &str, cancel: &Cancel) -> Result<Embedding, DetectError> {
        use text_tower::names;
        if let Some(known) = self.embeddings.get(phrase) {
            return Ok(known.clone());
        }
        let mut tokens: Vec<f32> = self.tokenizer.encode(phrase)?.iter().map(|&id| id as f32).collect();
        let end = tokens.len() - 1;
        tokens.resize(self.config.n_tokens, 0.0);
        let inputs = [
            (names::TOKENS, &Tensor::from_floats(&[tokens.len()], tokens)?),
            (names::END, &Tensor::from_floats(&[1], vec![end as f32])?),
        ];
        let embedding: Embedding = self.text_tower.run(&inputs, cancel)?[0].floats().into();
        self.embeddings.insert(phrase.to_owned(), embedding.clone());
        Ok(embedding)
    }

    /// Encodes an image.
    ///
    /// # Errors
    /// If canceled, or the model cannot run.
    pub fn look(&mut self, image: &RgbImage, cancel: &Cancel) -> Result<Patches, DetectError> {
        let side = self.config.image_size;
        let pixels = Tensor::from_bytes(&[side, side, 3], padded(image, side as u32).into_raw())?;
        let outputs = self.image_tower.run(&[(image_tower::names::PIXELS, &pixels)], cancel)?;
        let [boxes, objectness, embeddings, shift, scale] =
            <[Tensor; 5]>::try_from(outputs).unwrap_or_else(|_| unreachable!());
        let size = Size::new(image.width() as usize, image.height() as usize);
        Ok(Patches { size, boxes, objectness, embeddings, shift, scale })
    }
}

/// Reads the official `.safetensors` like [`Owlv2::load`], but returns the graphs and their weights.
///
/// # Errors
/// If a file is missing, damaged or of another model, or the image size is not valid.
pub fn parts(path: &Path, image_size: Option<usize>) -> Result<(Vec<Graph>, Checkpoint), DetectError> {
    let (config, checkpoint, _) = read(path, image_size)?;
    Ok((vec![image_tower(&config), text_tower(&config)], checkpoint))
}

/// Returns all tensors of a model.
pub fn required_tensors(config: &Config) -> Required {
    let parts = [image_tower, text_tower].map(|part| part(config).required().clone());
    parts.into_iter().flatten().collect()
}

/// Resizes the image to fit a black square and places it at the top left. Mirrors `Owlv2ImageProcessor`, but on bytes
/// and with the filter that all our models use.
fn padded(image: &RgbImage, side: u32) -> RgbImage {
    let (width, height) = image.dimensions();
    let longer = width.max(height);
    let edge = |n: u32| ((f64::from(n) * f64::from(side) / f64::from(longer)).round() as u32).max(1);
    let mut square = RgbImage::new(side, side);
    image::imageops::replace(&mut square, &resized(image, edge(width), edge(height)), 0, 0);
    square
}

/// The model's outputs for an image, patch by patch. Clones share the data.
#[derive(Clone)]
pub struct Patches {
    size: Size,
    boxes: Tensor,
    objectness: Tensor,
    embeddings: Tensor,
    shift: Tensor,
    scale: Tensor,
}

impl Patches {
    /// Returns the size of the image.
    pub fn size(&self) -> Size {
        self.size
    }

    /// Returns the logit of each patch for `query`, above zero for a match. Mirrors `Owlv2ClassPredictionHead`.
    pub fn logits(&self, query: &[f32]) -> Vec<f32> {
        let rows = self.embeddings.floats().chunks_exact(query.len());
        let more = self.shift.floats().iter().zip(self.scale.floats());
        rows.zip(more).map(|(row, (shift, scale))| (dot(row, query) + shift) * scale).collect()
    }

    /// Returns the objectness logit of each patch, above zero for an object.
    pub fn objectness(&self) -> &[f32] {
        self.objectness.floats()
    }

    /// Returns the box of each patch's object, `[patches, 4]`: center x and y, width, height, as shares of the padded
    /// square.
    pub fn boxes(&self) -> &[f32] {
        self.boxes.floats()
    }

    /// Returns the box of patch `i`'s object in image pixels.
    fn rect(&self, i: usize) -> Rect {
        let longer = self.size.width.max(self.size.height) as f32;
        Rect::from_center([0, 1, 2, 3].map(|k| self.boxes()[4 * i + k] * longer)).within(self.size)
    }

    /// Returns the detections for each of `queries` with a score of at least `least`, in image pixels.
    pub fn detections(&self, queries: &[Embedding], least: f32) -> Vec<Detection> {
        let answers = |(class, query): (usize, &Embedding)| {
            let scores = self.logits(query).into_iter().map(sigmoid).enumerate();
            let sure = scores.filter(move |(_, score)| *score >= least);
            sure.map(move |(i, score)| Detection { place: Place::Rect(self.rect(i)), score, class })
        };
        queries.iter().enumerate().flat_map(answers).collect()
    }

    /// Returns the query for objects similar to the one in `example` (in image pixels): the embedding of the patch
    /// with the highest objectness among those whose boxes fit `example` best.
    ///
    /// # Errors
    /// If `example` contains no pixels of the image.
    pub fn like(&self, example: Rect) -> Result<Embedding, DetectError> {
        /// Share of the best IoU that a box must reach to be a candidate, as in the original's image-conditioned
        /// detection.
        const ALMOST: f32 = 0.8;
        let example = example.within(self.size);
        if example.area() < 1.0 {
            return Err(DetectError::EmptyExample);
        }
        let fits: Vec<f32> = (0..self.objectness().len()).map(|i| self.rect(i).iou(example)).collect();
        let best = fits.iter().copied().fold(0.0, f32::max);
        let objectness = self.objectness();
        let fitting = (0..fits.len()).filter(|&i| fits[i] >= ALMOST * best);
        let chosen = fitting.max_by(|&a, &b| objectness[a].total_cmp(&objectness[b])).unwrap_or(0);
        let width = self.embeddings.floats().len() / fits.len();
        Ok(self.embeddings.floats()[chosen * width..][..width].into())
    }
}

fn dot(a: &[f32], b: &[f32]) -> f32 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}
