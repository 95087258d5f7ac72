//! Detectors for fixed classes of the DETR family: RT-DETRv2 (Lv et al., 2024) and D-FINE (Peng et al., 2024).
//!
//! `config` reads the authors' `config.json`. `resnet` and `hgnet` are the backbones and `hybrid_encoder` is the neck.
//! `decoder` and `d_fine` select queries and decode them to boxes and logits. `layers` has the shared layers.

mod config;
mod d_fine;
mod decoder;
mod hgnet;
mod hybrid_encoder;
mod layers;
mod resnet;

use std::path::Path;

use image::RgbImage;

use crate::{
    frame::resized,
    geometry::{Rect, Size},
    nn::{Cancel, Checkpoint, Dim, Graph, Model, Runtime, Tensor, checkpoint::Rename, graph::Required},
};

use super::{DetectError, Detection, Place, Suppression, open, sigmoid};

pub use config::{Backbone, Config, Family, Points};

/// Names of the graph's input and outputs.
mod names {
    /// Bytes `[S, S, 3]`, RGB.
    pub(super) const PIXELS: &str = "pixels";
    /// `[queries, classes]`.
    pub(super) const LOGITS: &str = "logits";
    /// `[queries, 4]`: center x and y, width, height, as shares of the image.
    pub(super) const BOXES: &str = "boxes";
}

/// Substrings of the names of tensors that inference does not use: tensors for training, constants that follow from the
/// sizes, and the class heads of layers before the last.
const UNUSED: [&str; 7] = [
    "denoising_class_embed",
    "n_points_scale",
    "num_points_scale",
    "decoder.anchors",
    "decoder.valid_mask",
    "decoder.class_embed.",
    "decoder.lqe_layers.",
];

/// Builds the graph. Mirrors `RTDetrV2ForObjectDetection.forward` and `DFineForObjectDetection.forward`.
fn detr(config: &Config) -> Graph {
    let mut graph = Graph::new("detr");
    let side = config.image_size;
    let pixels = graph.input_u8(names::PIXELS, &[side, side, 3].map(Dim::Fixed));
    let pixels = graph.normalized_pixels(&pixels, [0.0; 3], [1.0; 3]);
    let stages = match config.family {
        Family::RtDetrV2 => resnet::resnet(&mut graph, &config.backbone_config, &pixels),
        Family::DFine => hgnet::hgnet(&mut graph, &config.backbone_config, &pixels),
    };
    let levels = &stages[stages.len() - config.feat_strides.len()..];
    let maps = hybrid_encoder::hybrid_encoder(&mut graph, config, levels);
    let found = decoder::decoder(&mut graph, config, &maps);
    graph.output(names::LOGITS, &found.logits);
    graph.output(names::BOXES, &found.boxes);
    graph
}

/// Returns all tensors of a model, named as in its authors' files.
pub fn required_tensors(config: &Config) -> Required {
    detr(config).required().clone()
}

/// Returns the name of a tensor in official files. Newer releases of transformers rename some tensors, and some files
/// store the decoder's heads outside the decoder.
fn official_name(name: &str) -> Rename {
    let mut name = name.to_owned();
    for (new, official) in [
        (".o_proj.", ".out_proj."),
        (".mlp.fc1.", ".fc1."),
        (".mlp.fc2.", ".fc2."),
        (".mlp.layers.0.", ".fc1."),
        (".mlp.layers.1.", ".fc2."),
        ("encoder.aifi.", "encoder.encoder."),
    ] {
        name = name.replace(new, official);
    }
    if name.starts_with("class_embed.") || name.starts_with("bbox_embed.") {
        name = format!("{}.{name}", decoder::PREFIX);
    }
    Rename::To(name)
}

/// Reads the weights and the `config.json` in the same folder; checks that the file has exactly the tensors of the
/// model.
fn read(path: &Path, image_size: Option<usize>) -> Result<(Config, Checkpoint), DetectError> {
    let checkpoint = open(path)?.renamed(official_name);
    let beside = checkpoint.folder().join("config.json");
    let config = Config::read(&beside).and_then(|config| config.with_image_size(image_size));
    let config = config.map_err(|cause| DetectError::Config { path: beside.display().to_string(), cause })?;
    let is_unused = |name: &str| UNUSED.iter().any(|part| name.contains(part));
    checkpoint.require_only(&required_tensors(&config), is_unused)?;
    Ok((config, checkpoint))
}

/// Reads the authors' `.safetensors` like [`Detr::load`], but returns the graph and its weights.
///
/// # Errors
/// If a file is missing, damaged or of another model, or the image size is not valid.
pub fn parts(path: &Path, image_size: Option<usize>) -> Result<(Vec<Graph>, Checkpoint), DetectError> {
    let (config, checkpoint) = read(path, image_size)?;
    Ok((vec![detr(&config)], checkpoint))
}

/// A loaded detector.
pub struct Detr {
    config: Config,
    model: Model,
    classes: Vec<String>,
}

impl Detr {
    /// Loads the authors' `.safetensors` and the `config.json` in the same folder. Images are resized to a square of
    /// `image_size` pixels, 640 if `None`.
    ///
    /// # Errors
    /// If a file is missing, damaged or of another model, the image size is not valid, or ONNX Runtime fails.
    pub fn load(runtime: &Runtime, path: &Path, image_size: Option<usize>) -> Result<Self, DetectError> {
        let (config, checkpoint) = read(path, image_size)?;
        let model = Model::load(runtime, detr(&config), &checkpoint)?;
        let classes = config.id2label.values().cloned().collect();
        Ok(Self { config, model, classes })
    }

    /// Checks that a file has exactly the tensors of a model and returns the model's sizes.
    ///
    /// # Errors
    /// If a file is missing, damaged or of another model.
    pub fn check(path: &Path) -> Result<Config, DetectError> {
        Ok(read(path, None)?.0)
    }

    /// Returns the suppression of duplicates: across classes, because one query may have high scores for several
    /// classes.
    pub fn suppression(&self) -> Suppression {
        Suppression::default()
    }

    /// Returns `None`: no output of the model is ignored.
    pub fn remark(&self) -> Option<String> {
        None
    }

    /// Returns the model's sizes.
    pub fn config(&self) -> &Config {
        &self.config
    }

    /// Returns the names of the classes.
    pub fn classes(&self) -> &[String] {
        &self.classes
    }

    /// Runs the model. Returns logits `[queries, classes]` and boxes `[queries, 4]` (center x and y, width, height, as
    /// shares of the image).
    ///
    /// # Errors
    /// If canceled, or the model cannot run.
    pub fn look(&mut self, image: &RgbImage, cancel: &Cancel) -> Result<[Tensor; 2], DetectError> {
        let side = self.config.image_size;
        let square = resized(image, side as u32, side as u32).into_raw();
        let pixels = Tensor::from_bytes(&[side, side, 3], square)?;
        let outputs = self.model.run(&[(names::PIXELS, &pixels)], cancel)?;
        Ok(<[Tensor; 2]>::try_from(outputs).unwrap_or_else(|_| unreachable!()))
    }

    /// Returns the detections with a score of at least `least`, by descending score, in image pixels. Mirrors
    /// `post_process_object_detection`.
    ///
    /// # Errors
    /// If canceled, or the model cannot run.
    pub fn detect(
        &mut self,
        image: &RgbImage,
        least: f32,
        cancel: &Cancel,
    ) -> Result<Vec<Detection>, DetectError> {
        let [logits, boxes] = self.look(image, cancel)?;
        let size = Size::new(image.width() as usize, image.height() as usize);
        let (width, height) = (size.width as f32, size.height as f32);
        let n_classes = self.config.n_classes();
        let mut found: Vec<Detection> = Vec::new();
        for (logits, share) in logits.floats().chunks_exact(n_classes).zip(boxes.floats().chunks_exact(4)) {
            let scores = logits.iter().map(|&logit| sigmoid(logit)).enumerate();
            let [x, y, w, h] = [share[0] * width, share[1] * height, share[2] * width, share[3] * height];
            let rect = Rect::from_center([x, y, w, h]).within(size);
            let sure = scores.filter(|(_, score)| *score >= least);
            found.extend(sure.map(|(class, score)| Detection { place: Place::Rect(rect), score, class }));
        }
        found.sort_by(|a, b| b.score.total_cmp(&a.score));
        found.truncate(self.config.num_queries);
        Ok(found)
    }
}
