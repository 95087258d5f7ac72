//! Sizes of an OWLv2 model.

use crate::nn::Checkpoint;

use super::{IMAGE, TEXT};

/// Channels per attention head, in all models of the CLIP family.
const HEAD: usize = 64;

/// Sizes of a transformer encoder.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tower {
    /// Channels.
    pub width: usize,
    /// Layers.
    pub depth: usize,
    /// Hidden channels of the MLPs.
    pub mlp: usize,
}

impl Tower {
    pub(super) fn n_heads(&self) -> usize {
        self.width / HEAD
    }

    fn of(checkpoint: &Checkpoint, prefix: &str) -> Option<Self> {
        let layer = |i: usize| checkpoint.shape(&format!("{prefix}.encoder.layers.{i}.mlp.fc1.weight"));
        let &[mlp, width] = layer(0)? else { return None };
        let depth = (0..).take_while(|&i| layer(i).is_some()).count();
        (width > 0 && width.is_multiple_of(HEAD)).then_some(Self { width, depth, mlp })
    }
}

/// Sizes of a model with the architecture of the official ones.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// Side in pixels of the square that images are padded and resized to.
    pub image_size: usize,
    /// Side in pixels of a patch.
    pub patch_size: usize,
    /// Patches along an edge in the position embeddings of the checkpoint.
    pub stored_grid: usize,
    /// The image tower.
    pub image: Tower,
    /// The text tower; its width is also that of the embeddings.
    pub text: Tower,
    /// Size of the vocabulary.
    pub n_words: usize,
    /// Maximum number of tokens of a phrase, including the start and end tokens.
    pub n_tokens: usize,
}

impl Config {
    /// Returns the sizes of `google/owlv2-base-patch16` and its ensemble.
    pub fn base() -> Self {
        Self {
            image_size: 960,
            patch_size: 16,
            stored_grid: 60,
            image: Tower { width: 768, depth: 12, mlp: 3072 },
            text: Tower { width: 512, depth: 12, mlp: 2048 },
            n_words: 49_408,
            n_tokens: 16,
        }
    }

    /// Returns the sizes of `google/owlv2-large-patch14` and its ensemble.
    pub fn large() -> Self {
        Self {
            image_size: 1008,
            patch_size: 14,
            stored_grid: 72,
            image: Tower { width: 1024, depth: 24, mlp: 4096 },
            text: Tower { width: 768, depth: 12, mlp: 3072 },
            ..Self::base()
        }
    }

    /// Reads the sizes from the shapes of the weights; `None` if they do not belong to an OWLv2 model.
    pub fn of(checkpoint: &Checkpoint) -> Option<Self> {
        let shape = |name: String| checkpoint.shape(&name);
        let &[_, _, patch_size, _] = shape(format!("{IMAGE}.embeddings.patch_embedding.weight"))? else {
            return None;
        };
        let &[n_places, _] = shape(format!("{IMAGE}.embeddings.position_embedding.weight"))? else {
            return None;
        };
        let &[n_words, _] = shape(format!("{TEXT}.embeddings.token_embedding.weight"))? else { return None };
        let &[n_tokens, _] = shape(format!("{TEXT}.embeddings.position_embedding.weight"))? else {
            return None;
        };
        let stored_grid = n_places.checked_sub(1)?.isqrt();
        let is_square = stored_grid > 0 && stored_grid * stored_grid + 1 == n_places;
        (is_square && patch_size > 0 && n_tokens > 2).then_some(Self {
            image_size: stored_grid * patch_size,
            patch_size,
            stored_grid,
            image: Tower::of(checkpoint, IMAGE)?,
            text: Tower::of(checkpoint, TEXT)?,
            n_words,
            n_tokens,
        })
    }

    /// Returns the model for images of another size, or unchanged for `None`.
    pub(super) fn with_image_size(mut self, image_size: Option<usize>) -> Result<Self, String> {
        const MOST: usize = 2048;
        if let Some(size) = image_size {
            if !size.is_multiple_of(self.patch_size) || !(4 * self.patch_size..=MOST).contains(&size) {
                let patch = self.patch_size;
                return Err(format!(
                    "image size {size} does not work; it is a multiple of {patch} up to {MOST}"
                ));
            }
            self.image_size = size;
        }
        Ok(self)
    }

    /// Returns the number of patches along an edge.
    pub fn grid(&self) -> usize {
        self.image_size / self.patch_size
    }
}
