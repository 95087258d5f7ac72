//! The sizes of a SAM 2 model.

use serde::{Deserialize, Serialize};

use crate::nn::Checkpoint;

/// Sizes of the official models and of ours; what all SAM 2 models share is not here.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// Side in pixels of the square that images are resized to, a multiple of 32.
    pub image_size: usize,
    /// Channels of the trunk's first stage; each next stage has twice as many.
    pub embed_dim: usize,
    /// Attention heads of the first stage, doubled likewise.
    pub num_heads: usize,
    /// Blocks of each stage.
    pub stages: [usize; 4],
    /// Blocks (counted over all stages) that attend to the whole image.
    pub global_blocks: Vec<usize>,
    /// Side of the attention windows of each stage.
    pub windows: [usize; 4],
    /// Side of the stored position embedding.
    pub pos_embed_size: usize,
    /// Channels of image features, prompts and tokens.
    pub d_model: usize,
    /// Channels of a memory; divides `d_model`.
    pub mem_dim: usize,
    /// Layers of memory attention.
    pub memory_layers: usize,
    /// Hidden channels of memory attention's feed-forward layers.
    pub memory_ffn: usize,
    /// Hidden channels of the mask decoder's MLPs.
    pub decoder_mlp: usize,
    /// Attention heads of the mask decoder.
    pub decoder_heads: usize,
    /// SAM 2.1, which knows how far back a pointer is and marks absent objects in memory; SAM 2.0 does neither.
    #[serde(default = "yes")]
    pub is_2_1: bool,
    /// True if frames of videos are resized bicubically, as `sam2` reads them; photos are resized bilinearly by all.
    /// The built-in model was trained with bilinear frames.
    #[serde(default)]
    pub bicubic_frames: bool,
}

fn yes() -> bool {
    true
}

/// Why sizes make no model.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The checkpoint is of no model that Segue knows.
    #[error("these are not the weights of a SAM 2 model ({0})")]
    Unknown(&'static str),
    /// The built-in model's sizes cannot be read.
    #[error("its sizes cannot be read ({0})")]
    Metadata(#[from] serde_json::Error),
    /// The side is no multiple of 32, too small or too large.
    #[error("image size {0} does not work; it is a multiple of 32 from 128 to 2048")]
    ImageSize(usize),
    /// Sizes that contradict each other.
    #[error("its sizes contradict each other ({0})")]
    Contradiction(&'static str),
}

/// The trunk's first tensor, whose shape tells its width.
pub(super) const PATCH_EMBED: &str = "image_encoder.trunk.patch_embed.proj.weight";
/// Side of the window that the trunk's position embedding repeats in.
pub(super) const POS_EMBED_WINDOW: usize = 8;
/// Memories that a frame attends to: a conditioning frame and six others.
pub(super) const NUM_MASKMEM: usize = 7;
/// Object pointers that a frame attends to, beside those of conditioning frames.
pub(super) const MAX_OBJ_PTRS: usize = 16;
/// Masks that the decoder makes: one for clear prompts, three for ambiguous ones.
pub(super) const NUM_MASK_TOKENS: usize = 4;

impl Config {
    /// SAM 2.1 tiny; [`Self::small`], [`Self::base_plus`] and [`Self::large`] are its bigger brothers.
    pub fn tiny() -> Self {
        Self {
            image_size: 1024,
            embed_dim: 96,
            num_heads: 1,
            stages: [1, 2, 7, 2],
            global_blocks: vec![5, 7, 9],
            windows: [8, 4, 14, 7],
            pos_embed_size: 7,
            d_model: 256,
            mem_dim: 64,
            memory_layers: 4,
            memory_ffn: 2048,
            decoder_mlp: 2048,
            decoder_heads: 8,
            is_2_1: true,
            bicubic_frames: true,
        }
    }

    /// SAM 2.1 small.
    pub fn small() -> Self {
        Self { stages: [1, 2, 11, 2], global_blocks: vec![7, 10, 13], ..Self::tiny() }
    }

    /// SAM 2.1 base plus.
    pub fn base_plus() -> Self {
        Self {
            embed_dim: 112,
            num_heads: 2,
            stages: [2, 3, 16, 3],
            global_blocks: vec![12, 16, 20],
            pos_embed_size: 14,
            ..Self::tiny()
        }
    }

    /// SAM 2.1 large.
    pub fn large() -> Self {
        Self {
            embed_dim: 144,
            num_heads: 2,
            stages: [2, 6, 36, 4],
            global_blocks: vec![23, 33, 43],
            windows: [8, 4, 16, 8],
            ..Self::tiny()
        }
    }

    /// The official sizes with their names.
    pub fn official() -> [(&'static str, Self); 4] {
        [
            ("tiny", Self::tiny()),
            ("small", Self::small()),
            ("base_plus", Self::base_plus()),
            ("large", Self::large()),
        ]
    }

    /// The name of the official size that this is.
    pub fn official_name(&self) -> Option<&'static str> {
        let same = |official: &Self| official.embed_dim == self.embed_dim && official.stages == self.stages;
        Self::official().into_iter().find(|(_, official)| same(official)).map(|(name, _)| name)
    }

    /// The sizes of the model whose weights (by Meta's names) `checkpoint` holds.
    ///
    /// # Errors
    /// If it is none that Segue knows.
    pub fn of(checkpoint: &Checkpoint) -> Result<Self, ConfigError> {
        if let Some(json) = checkpoint.metadata("config") {
            return serde_json::from_str::<Self>(json)?.checked();
        }
        let patch_embed = checkpoint.shape(PATCH_EMBED);
        let embed_dim =
            patch_embed.and_then(<[usize]>::first).ok_or(ConfigError::Unknown("no SAM 2 trunk"))?;
        let n_blocks = (0..)
            .take_while(|i| {
                checkpoint.shape(&format!("image_encoder.trunk.blocks.{i}.norm1.weight")).is_some()
            })
            .count();
        let is_2_1 = checkpoint.shape("no_obj_embed_spatial").is_some();
        let official = Self::official().into_iter().map(|(_, config)| config);
        official
            .into_iter()
            .find(|config| config.embed_dim == *embed_dim && config.n_blocks() == n_blocks)
            .map(|config| Self { is_2_1, ..config })
            .ok_or(ConfigError::Unknown("a trunk of another size"))
    }

    /// The same model for images of another size.
    ///
    /// # Errors
    /// If the size is no multiple of 32, or out of range.
    pub fn with_image_size(self, image_size: usize) -> Result<Self, ConfigError> {
        Self { image_size, ..self }.checked()
    }

    fn checked(self) -> Result<Self, ConfigError> {
        let divides = |part: usize, whole: usize| part > 0 && whole.is_multiple_of(part);
        let rules = [
            (divides(self.num_heads, self.embed_dim), "embed_dim, num_heads"),
            (divides(self.mem_dim, self.d_model), "d_model, mem_dim"),
            (divides(8, self.d_model) && divides(4, self.mem_dim), "d_model, mem_dim"),
            (divides(self.decoder_heads, self.d_model / 2), "d_model, decoder_heads"),
            (self.stages.iter().all(|&n| (1..=64).contains(&n)), "stages"),
            (self.windows.iter().all(|&n| n > 0 && n.is_multiple_of(2) || n == 7), "windows"),
            (
                self.embed_dim <= 1024 && self.d_model <= 1024 && self.memory_layers <= 16,
                "embed_dim, d_model",
            ),
            (self.memory_ffn <= 8192 && self.decoder_mlp <= 8192 && self.pos_embed_size <= 64, "memory_ffn"),
        ];
        if !(128..=2048).contains(&self.image_size) || !self.image_size.is_multiple_of(32) {
            return Err(ConfigError::ImageSize(self.image_size));
        }
        match rules.into_iter().find(|(holds, _)| !holds) {
            Some((_, fields)) => Err(ConfigError::Contradiction(fields)),
            None => Ok(self),
        }
    }

    /// Blocks of the trunk.
    pub fn n_blocks(&self) -> usize {
        self.stages.iter().sum()
    }

    /// Side of the grid of features (stride 16).
    pub fn grid(&self) -> usize {
        self.image_size / 16
    }

    /// Side of the masks that the decoder makes (stride 4).
    pub fn mask_side(&self) -> usize {
        self.image_size / 4
    }

    /// Tokens of `mem_dim` channels that a pointer is cut into.
    pub(super) fn tokens_of_pointer(&self) -> usize {
        self.d_model / self.mem_dim
    }
}
