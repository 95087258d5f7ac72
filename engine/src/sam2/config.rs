//! Hyperparameters of SAM 2 models.

use serde::{Deserialize, Serialize};

use crate::nn::Checkpoint;

/// The sizes in which the official models and the built-in one differ; values that all SAM 2 models share are
/// constants.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// Side in pixels of the square that images are resized to, a multiple of 32.
    pub image_size: usize,
    /// Channels of the trunk's first stage; each next stage has twice as many.
    pub embed_dim: usize,
    /// Attention heads of the first stage; each next stage has twice as many.
    pub num_heads: usize,
    /// Blocks of each stage.
    pub stages: [usize; 4],
    /// Indices, counted over all stages, of the blocks that attend to the whole image.
    pub global_blocks: Vec<usize>,
    /// Side of the attention windows of each stage.
    pub windows: [usize; 4],
    /// Side of the position embedding as stored in the checkpoint, before interpolation.
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
    /// True for SAM 2.1, which encodes the age of pointers and marks absent objects in memories; SAM 2.0 does neither.
    #[serde(default = "yes")]
    pub is_2_1: bool,
    /// True if video frames are resized bicubically, as the `sam2` package does; photos are always resized bilinearly.
    /// The built-in model was trained with bilinear frames.
    #[serde(default)]
    pub bicubic_frames: bool,
}

fn yes() -> bool {
    true
}

/// A reason why the sizes of a checkpoint do not define a model.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The checkpoint belongs to no supported model.
    #[error("these are not the weights of a SAM 2 model ({0})")]
    Unknown(&'static str),
    /// The sizes stored in the metadata of the checkpoint (of the built-in model) cannot be parsed.
    #[error("its sizes cannot be read ({0})")]
    Metadata(#[from] serde_json::Error),
    /// The image size is not a multiple of 32, or is out of range.
    #[error("image size {0} does not work; it is a multiple of 32 from 128 to 2048")]
    ImageSize(usize),
    /// Sizes that contradict each other.
    #[error("its sizes contradict each other ({0})")]
    Contradiction(&'static str),
}

/// The first tensor of the trunk, whose shape gives the trunk's width.
pub(super) const PATCH_EMBED: &str = "image_encoder.trunk.patch_embed.proj.weight";
/// Side of the windowed part of the trunk's position embedding, which is tiled over the grid.
pub(super) const POS_EMBED_WINDOW: usize = 8;
/// Spatial memories that a frame attends to: one slot for conditioning frames and six for previous frames.
pub(super) const NUM_MASKMEM: usize = 7;
/// Object pointers that a frame attends to, in addition to those of conditioning frames.
pub(super) const MAX_OBJ_PTRS: usize = 16;
/// Masks that the decoder predicts: one for clear prompts and three for ambiguous ones.
pub(super) const NUM_MASK_TOKENS: usize = 4;

impl Config {
    /// Returns the sizes of SAM 2.1 tiny, on which [`Self::small`], [`Self::base_plus`] and [`Self::large`] are based.
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

    /// Returns the sizes of SAM 2.1 small.
    pub fn small() -> Self {
        Self { stages: [1, 2, 11, 2], global_blocks: vec![7, 10, 13], ..Self::tiny() }
    }

    /// Returns the sizes of SAM 2.1 base plus.
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

    /// Returns the sizes of SAM 2.1 large.
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

    /// Returns the official sizes with their names.
    pub fn official() -> [(&'static str, Self); 4] {
        [
            ("tiny", Self::tiny()),
            ("small", Self::small()),
            ("base_plus", Self::base_plus()),
            ("large", Self::large()),
        ]
    }

    /// Returns the name of the official model with the same `embed_dim` and `stages`, if there is one.
    pub fn official_name(&self) -> Option<&'static str> {
        let same = |official: &Self| official.embed_dim == self.embed_dim && official.stages == self.stages;
        Self::official().into_iter().find(|(_, official)| same(official)).map(|(name, _)| name)
    }

    /// Returns the sizes of the model in `checkpoint`, whose tensors have Meta's names.
    ///
    /// # Errors
    /// If the checkpoint belongs to no supported model.
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

    /// Returns the same model for images of another size.
    ///
    /// # Errors
    /// If the size is not a multiple of 32, or is out of range.
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

    /// Returns the number of blocks of the trunk.
    pub fn n_blocks(&self) -> usize {
        self.stages.iter().sum()
    }

    /// Returns the side of the feature grid (stride 16).
    pub fn grid(&self) -> usize {
        self.image_size / 16
    }

    /// Returns the side of the masks that the decoder predicts (stride 4).
    pub fn mask_side(&self) -> usize {
        self.image_size / 4
    }

    /// Returns the number of tokens of `mem_dim` channels into which a pointer is split.
    pub(super) fn tokens_of_pointer(&self) -> usize {
        self.d_model / self.mem_dim
    }
}
