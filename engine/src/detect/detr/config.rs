//! The sizes and class names of an RT-DETRv2 or D-FINE model, from the authors' `config.json`.

use std::{collections::BTreeMap, path::Path};

use serde::Deserialize;

/// Model family.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Family {
    /// RT-DETRv2 (Lv et al., 2024).
    RtDetrV2,
    /// D-FINE (Peng et al., 2024).
    DFine,
}

/// Sizes of a model. Names and defaults of the fields are those of transformers.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[expect(missing_docs, reason = "transformers documents them")]
pub struct Config {
    #[serde(rename = "model_type")]
    pub family: Family,
    #[serde(default)]
    pub backbone_config: Backbone,
    /// Side in pixels of the square that images are resized to; not part of `config.json`.
    #[serde(skip, default = "image_size")]
    pub image_size: usize,
    #[serde(default = "d_model")]
    pub encoder_hidden_dim: usize,
    #[serde(default = "ffn")]
    pub encoder_ffn_dim: usize,
    #[serde(default = "one")]
    pub encoder_layers: usize,
    #[serde(default = "heads")]
    pub encoder_attention_heads: usize,
    #[serde(default = "last_of_three")]
    pub encode_proj_layers: Vec<usize>,
    #[serde(default = "strides")]
    pub feat_strides: Vec<usize>,
    #[serde(default = "whole")]
    pub hidden_expansion: f64,
    #[serde(default = "whole")]
    pub depth_mult: f64,
    #[serde(default = "d_model")]
    pub d_model: usize,
    #[serde(default = "num_queries")]
    pub num_queries: usize,
    #[serde(default = "ffn")]
    pub decoder_ffn_dim: usize,
    #[serde(default)]
    pub decoder_n_points: Points,
    #[serde(default = "decoder_layers")]
    pub decoder_layers: usize,
    #[serde(default = "heads")]
    pub decoder_attention_heads: usize,
    #[serde(default = "half")]
    pub decoder_offset_scale: f32,
    #[serde(default = "method")]
    pub decoder_method: String,
    #[serde(default = "max_num_bins")]
    pub max_num_bins: usize,
    #[serde(default = "four")]
    pub top_prob_values: usize,
    #[serde(default = "lqe_hidden_dim")]
    pub lqe_hidden_dim: usize,
    #[serde(default = "two")]
    pub lqe_layers: usize,
    /// Names of the classes by class id.
    #[serde(default)]
    pub id2label: BTreeMap<usize, String>,
}

/// Number of points that the decoder samples on each level.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(untagged)]
pub enum Points {
    /// A single number for all levels.
    Same(usize),
    /// One number per level.
    Each(Vec<usize>),
}

impl Default for Points {
    fn default() -> Self {
        Self::Same(4)
    }
}

/// Sizes of a backbone of either kind. Names and defaults of the fields are those of transformers.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(default)]
#[expect(missing_docs, reason = "transformers documents them")]
pub struct Backbone {
    pub embedding_size: usize,
    pub hidden_sizes: Vec<usize>,
    pub depths: Vec<usize>,
    pub layer_type: String,
    pub downsample_in_first_stage: bool,
    pub downsample_in_bottleneck: bool,
    pub stem_channels: [usize; 3],
    pub stage_in_channels: Vec<usize>,
    pub stage_mid_channels: Vec<usize>,
    pub stage_out_channels: Vec<usize>,
    pub stage_num_blocks: Vec<usize>,
    pub stage_downsample: Vec<bool>,
    pub stage_light_block: Vec<bool>,
    pub stage_kernel_size: Vec<usize>,
    pub stage_numb_of_layers: Vec<usize>,
    pub use_learnable_affine_block: bool,
}

impl Default for Backbone {
    fn default() -> Self {
        Self {
            embedding_size: 64,
            hidden_sizes: vec![256, 512, 1024, 2048],
            depths: vec![3, 4, 6, 3],
            layer_type: "bottleneck".to_owned(),
            downsample_in_first_stage: false,
            downsample_in_bottleneck: false,
            stem_channels: [3, 32, 48],
            stage_in_channels: vec![48, 128, 512, 1024],
            stage_mid_channels: vec![48, 96, 192, 384],
            stage_out_channels: vec![128, 512, 1024, 2048],
            stage_num_blocks: vec![1, 1, 3, 1],
            stage_downsample: vec![false, true, true, true],
            stage_light_block: vec![false, false, true, true],
            stage_kernel_size: vec![3, 3, 5, 5],
            stage_numb_of_layers: vec![6; 4],
            use_learnable_affine_block: false,
        }
    }
}

fn image_size() -> usize {
    640
}
fn d_model() -> usize {
    256
}
fn ffn() -> usize {
    1024
}
fn one() -> usize {
    1
}
fn two() -> usize {
    2
}
fn four() -> usize {
    4
}
fn heads() -> usize {
    8
}
fn last_of_three() -> Vec<usize> {
    vec![2]
}
fn strides() -> Vec<usize> {
    vec![8, 16, 32]
}
fn whole() -> f64 {
    1.0
}
fn half() -> f32 {
    0.5
}
fn num_queries() -> usize {
    300
}
fn decoder_layers() -> usize {
    6
}
fn method() -> String {
    "default".to_owned()
}
fn max_num_bins() -> usize {
    32
}
fn lqe_hidden_dim() -> usize {
    64
}

impl Config {
    /// Reads the `config.json` of a model.
    ///
    /// # Errors
    /// A sentence that says why the file is not valid.
    pub fn read(path: &Path) -> Result<Self, String> {
        let text = std::fs::read_to_string(path).map_err(|e| {
            format!("{e}; get config.json of the model's own repository and put it beside its weights")
        })?;
        let config: Self = serde_json::from_str(&text).map_err(|e| e.to_string())?;
        config.checked()
    }

    /// Returns the model for images of another size, or unchanged for `None`.
    pub(super) fn with_image_size(mut self, image_size: Option<usize>) -> Result<Self, String> {
        self.image_size = image_size.unwrap_or(self.image_size);
        self.checked()
    }

    fn checked(self) -> Result<Self, String> {
        let divides = |part: usize, whole: usize| part > 0 && whole.is_multiple_of(part);
        let stages = &self.backbone_config;
        let n_stages = stages.stage_in_channels.len();
        let lists = [
            stages.stage_mid_channels.len(),
            stages.stage_out_channels.len(),
            stages.stage_num_blocks.len(),
            stages.stage_downsample.len(),
            stages.stage_light_block.len(),
            stages.stage_kernel_size.len(),
            stages.stage_numb_of_layers.len(),
        ];
        let n_levels = self.feat_strides.len();
        let in_range = |sizes: &[usize]| sizes.iter().all(|n| (4..=8192).contains(n));
        let are_counts = |counts: &[usize]| counts.iter().all(|n| (1..=64).contains(n));
        let n_places: usize = self.sides().iter().map(|side| side * side).sum();
        let sizes = [
            self.encoder_hidden_dim,
            self.encoder_ffn_dim,
            self.d_model,
            self.decoder_ffn_dim,
            stages.embedding_size,
        ];
        let rules = [
            (divides(4 * self.encoder_attention_heads, self.encoder_hidden_dim), "encoder_hidden_dim"),
            (divides(4 * self.decoder_attention_heads, self.d_model), "d_model"),
            (in_range(&sizes), "encoder_hidden_dim, encoder_ffn_dim, decoder_ffn_dim, embedding_size"),
            (lists.iter().all(|&n| n == n_stages) && n_stages == 4, "stage_in_channels"),
            (stages.hidden_sizes.len() == 4 && stages.depths.len() == 4, "hidden_sizes, depths"),
            (are_counts(&stages.depths) && !stages.downsample_in_first_stage, "depths"),
            (in_range(&stages.hidden_sizes), "hidden_sizes"),
            (
                in_range(&stages.stage_in_channels) && in_range(&stages.stage_mid_channels),
                "stage_in_channels",
            ),
            (
                in_range(&stages.stage_out_channels) && in_range(&stages.stem_channels[1..]),
                "stage_out_channels",
            ),
            (
                are_counts(&stages.stage_num_blocks) && are_counts(&stages.stage_numb_of_layers),
                "stage_num_blocks",
            ),
            (stages.stage_kernel_size.iter().all(|k| [1, 3, 5, 7].contains(k)), "stage_kernel_size"),
            (stages.stage_downsample == [false, true, true, true], "stage_downsample"),
            ((1..=n_places).contains(&self.num_queries), "num_queries"),
            ((2..=3).contains(&n_levels) && self.strides_are_last(), "feat_strides"),
            (
                self.points().len() == n_levels && self.points().iter().all(|n| (1..=64).contains(n)),
                "decoder_n_points",
            ),
            (self.encode_proj_layers.iter().all(|&i| i < n_levels), "encode_proj_layers"),
            (self.decoder_method == "default", "decoder_method"),
            ((1..=16).contains(&self.decoder_layers) && self.encoder_layers <= 4, "decoder_layers"),
            (
                (0.1..=4.0).contains(&self.hidden_expansion) && (0.0..=4.0).contains(&self.depth_mult),
                "depth_mult",
            ),
            ((8..=64).contains(&self.max_num_bins) && self.max_num_bins.is_multiple_of(2), "max_num_bins"),
            (
                (1..=self.max_num_bins).contains(&self.top_prob_values) && (1..=4).contains(&self.lqe_layers),
                "top_prob_values",
            ),
            (
                !self.id2label.is_empty() && self.id2label.keys().copied().eq(0..self.id2label.len()),
                "id2label",
            ),
        ];
        if !(64..=2048).contains(&self.image_size) || !self.image_size.is_multiple_of(32) {
            return Err(format!(
                "image size {} does not work; it is a multiple of 32 up to 2048",
                self.image_size
            ));
        }
        match rules.into_iter().find(|(holds, _)| !holds) {
            Some((_, fields)) => Err(format!("its sizes make no model that Segue knows ({fields})")),
            None => Ok(self),
        }
    }

    /// Returns true if the levels are the backbone's last ones; its last level has a stride of 32.
    fn strides_are_last(&self) -> bool {
        self.feat_strides.iter().rev().zip([32, 16, 8]).all(|(&stride, last)| stride == last)
    }

    /// Returns the number of points that the decoder samples on each level.
    pub(super) fn points(&self) -> Vec<usize> {
        match &self.decoder_n_points {
            Points::Same(n) => vec![*n; self.feat_strides.len()],
            Points::Each(list) => list.clone(),
        }
    }

    /// Returns the sides of the levels' feature maps, finest first.
    pub(super) fn sides(&self) -> Vec<usize> {
        self.feat_strides.iter().map(|stride| self.image_size.checked_div(*stride).unwrap_or(0)).collect()
    }

    /// Returns the number of classes.
    pub fn n_classes(&self) -> usize {
        self.id2label.len()
    }
}
