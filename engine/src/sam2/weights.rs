//! The weights of a SAM 2 model: the required tensors, and their names in official files.

use std::path::{Path, PathBuf};

use crate::nn::{
    Checkpoint, CheckpointError, Graph,
    checkpoint::{Rename, refusal},
    graph::Required,
};

use super::{
    config::{Config, ConfigError, NUM_MASKMEM, PATCH_EMBED},
    image_encoder::image_encoder,
    mask_decoder::mask_decoder,
    memory_attention::memory_attention,
    memory_encoder::memory_encoder,
    prompt_encoder::{NO_MASK, mask_encoder},
};

/// Tensors of official files that inference does not use.
const UNUSED: [&str; 1] = ["no_mem_pos_enc"];

/// A reason why a file does not hold the weights of a SAM 2 model.
#[derive(Debug, thiserror::Error)]
pub enum WeightsError {
    /// The file or its tensors are unusable.
    #[error(transparent)]
    Checkpoint(#[from] CheckpointError),
    /// The sizes of the model are unknown or invalid.
    #[error("{}", refusal("cannot use checkpoint", cause, path))]
    Config {
        /// The file.
        path: PathBuf,
        /// The reason.
        cause: ConfigError,
    },
}

/// A checkpoint with exactly the tensors of a SAM 2 model, under Meta's names.
pub struct Weights {
    /// The model's sizes.
    pub config: Config,
    /// The tensors.
    pub checkpoint: Checkpoint,
}

impl Weights {
    /// Opens Meta's `.pt`, a checkpoint that a training program made from it, or a `.safetensors` file, with the tensor
    /// names of Meta or of transformers.
    ///
    /// # Errors
    /// If the file cannot be read, or tensors are missing, have another shape, or belong to another model; each is
    /// named.
    pub fn open(path: &Path) -> Result<Self, WeightsError> {
        Self::of(Checkpoint::open(path)?)
    }

    /// Opens the model that is built into the program.
    ///
    /// # Errors
    /// Never, unless the program was built with a broken file.
    pub fn builtin() -> Result<Self, WeightsError> {
        Self::of(Checkpoint::from_static(include_bytes!("../../../assets/builtin.safetensors"))?)
    }

    fn of(checkpoint: Checkpoint) -> Result<Self, WeightsError> {
        let checkpoint = checkpoint.rooted(&["image_encoder.trunk.", "vision_encoder.backbone."]);
        let from_transformers = checkpoint.tensors().any(|(name, _)| name.starts_with("vision_encoder."));
        let checkpoint = if from_transformers { checkpoint.renamed(meta_name) } else { checkpoint };
        checkpoint.check_floats(PATCH_EMBED)?;
        let config = Config::of(&checkpoint)
            .map_err(|cause| WeightsError::Config { path: checkpoint.path().to_owned(), cause })?;
        checkpoint.require_only(&required_tensors(&config), |name| UNUSED.contains(&name))?;
        Ok(Self { config, checkpoint })
    }

    /// Returns the same weights for images of another size.
    ///
    /// # Errors
    /// If the size is not a multiple of 32, or is out of range.
    pub fn with_image_size(self, image_size: usize) -> Result<Self, ConfigError> {
        Ok(Self { config: self.config.with_image_size(image_size)?, ..self })
    }
}

/// Builds the graphs of a model: image encoder, mask encoder, mask decoder, memory attention and memory encoder.
pub fn parts(config: &Config) -> [Graph; 5] {
    [image_encoder, mask_encoder, mask_decoder, memory_attention, memory_encoder].map(|part| part(config))
}

/// Returns the names and shapes of all tensors of a model, under Meta's names.
pub fn required_tensors(config: &Config) -> Required {
    let mut required: Required = parts(config).iter().flat_map(|part| part.required().clone()).collect();
    let (d, m) = (config.d_model, config.mem_dim);
    let mut add = |name: &str, shape: &[usize]| required.insert(name.to_owned(), shape.to_vec());
    add(NO_MASK, &[1, d]);
    add("maskmem_tpos_enc", &[NUM_MASKMEM, 1, 1, m]);
    add("no_obj_ptr", &[1, d]);
    add("mask_downsample.weight", &[1, 1, 4, 4]);
    add("mask_downsample.bias", &[1]);
    if config.is_2_1 {
        add("obj_ptr_tpos_proj.weight", &[m, d]);
        add("obj_ptr_tpos_proj.bias", &[m]);
    }
    required
}

/// Returns Meta's name of a tensor of transformers' `Sam2VideoModel`.
fn meta_name(name: &str) -> Rename {
    const TOP: [(&str, &str); 7] = [
        ("memory_temporal_positional_encoding", "maskmem_tpos_enc"),
        ("no_memory_embedding", "no_mem_embed"),
        ("no_memory_positional_encoding", "no_mem_pos_enc"),
        ("no_object_pointer", "no_obj_ptr"),
        ("occlusion_spatial_embedding_parameter", "no_obj_embed_spatial"),
        (
            "prompt_encoder.shared_embedding.positional_embedding",
            "sam_prompt_encoder.pe_layer.positional_encoding_gaussian_matrix",
        ),
        ("prompt_encoder.not_a_point_embed.weight", "sam_prompt_encoder.not_a_point_embed.weight"),
    ];
    // For each part: its prefix in transformers and Meta's, and the name components to replace, wherever they occur.
    type Names = &'static [(&'static str, &'static str)];
    const PARTS: [(&str, &str, Names); 8] = [
        (
            "vision_encoder.backbone.",
            "image_encoder.trunk.",
            &[
                ("patch_embed.projection.", "patch_embed.proj."),
                (".layer_norm1.", ".norm1."),
                (".layer_norm2.", ".norm2."),
                (".mlp.proj_in.", ".mlp.layers.0."),
                (".mlp.proj_out.", ".mlp.layers.1."),
            ],
        ),
        (
            "prompt_encoder.",
            "sam_prompt_encoder.",
            &[
                (".mask_embed.conv1.", ".mask_downscaling.0."),
                (".mask_embed.layer_norm1.", ".mask_downscaling.1."),
                (".mask_embed.conv2.", ".mask_downscaling.3."),
                (".mask_embed.layer_norm2.", ".mask_downscaling.4."),
                (".mask_embed.conv3.", ".mask_downscaling.6."),
            ],
        ),
        (
            "mask_decoder.transformer.",
            "sam_mask_decoder.transformer.",
            &[
                (".o_proj.", ".out_proj."),
                (".layer_norm", ".norm"),
                (".mlp.proj_in.", ".mlp.layers.0."),
                (".mlp.proj_out.", ".mlp.layers.1."),
            ],
        ),
        (
            "mask_decoder.",
            "sam_mask_decoder.",
            &[
                (".upscale_conv1.", ".output_upscaling.0."),
                (".upscale_layer_norm.", ".output_upscaling.1."),
                (".upscale_conv2.", ".output_upscaling.3."),
            ],
        ),
        ("object_pointer_proj.", "obj_ptr_proj.", &[]),
        ("temporal_positional_encoding_projection_layer.", "obj_ptr_tpos_proj.", &[]),
        ("memory_attention.", "memory_attention.", &[(".layer_norm", ".norm"), (".o_proj.", ".out_proj.")]),
        (
            "memory_encoder.",
            "memory_encoder.",
            &[
                (".feature_projection.", ".pix_feat_proj."),
                (".memory_fuser.", ".fuser."),
                (".depthwise_conv.", ".dwconv."),
                (".pointwise_conv", ".pwconv"),
                (".scale", ".gamma"),
            ],
        ),
    ];
    if name == "shared_image_embedding.positional_embedding" {
        return Rename::Drop; // A copy of the prompt encoder's.
    }
    if name == "prompt_encoder.point_embed.weight" {
        let rows = (0..4).map(|i| format!("sam_prompt_encoder.point_embeddings.{i}.weight"));
        return Rename::Rows(rows.collect());
    }
    if let Some((_, meta)) = TOP.into_iter().find(|(theirs, _)| *theirs == name) {
        return Rename::To(meta.to_owned());
    }
    if let Some(rest) = name.strip_prefix("vision_encoder.neck.convs.")
        && let Some((i, rest)) = rest.split_once('.')
    {
        return Rename::To(format!("image_encoder.neck.convs.{i}.conv.{rest}"));
    }
    let Some((theirs, meta, components)) = PARTS.into_iter().find(|(theirs, ..)| name.starts_with(theirs))
    else {
        return Rename::To(name.to_owned());
    };
    let mut renamed = format!("{meta}{}", &name[theirs.len()..]);
    for (theirs, meta) in components {
        renamed = renamed.replace(theirs, meta);
    }
    if meta == "memory_encoder." {
        renamed = downsampler_name(&renamed);
    } else if ["output_hypernetworks_mlps", "iou_prediction_head", "pred_obj_score_head", "obj_ptr_proj."]
        .iter()
        .any(|mlp| renamed.contains(mlp))
    {
        renamed = three_layer_name(&renamed);
    }
    Rename::To(renamed)
}

/// Renames the layers of a three-layer MLP, which transformers calls `proj_in`, `layers.0` and `proj_out`.
fn three_layer_name(name: &str) -> String {
    let layers = [(".layers.0.", ".layers.1."), (".proj_in.", ".layers.0."), (".proj_out.", ".layers.2.")];
    match layers.into_iter().find(|(theirs, _)| name.contains(theirs)) {
        Some((theirs, meta)) => name.replace(theirs, meta),
        None => name.to_owned(),
    }
}

/// Renames the rest of the memory encoder. In Meta's sequence, `layers.k.conv` is entry 3k and `layers.k.layer_norm` is
/// entry 3k + 1.
fn downsampler_name(name: &str) -> String {
    const PREFIX: &str = "memory_encoder.mask_downsampler.";
    if let Some(rest) = name.strip_prefix(PREFIX) {
        if let Some(rest) = rest.strip_prefix("final_conv.") {
            return format!("{PREFIX}encoder.12.{rest}");
        }
        if let Some((k, rest)) = rest.strip_prefix("layers.").and_then(|rest| rest.split_once('.'))
            && let (Ok(k), Some((kind, rest))) = (k.parse::<usize>(), rest.split_once('.'))
        {
            let entry = if kind == "conv" { 3 * k } else { 3 * k + 1 };
            return format!("{PREFIX}encoder.{entry}.{rest}");
        }
    }
    name.replace("memory_encoder.projection.", "memory_encoder.out_proj.").replace(".layer_norm.", ".norm.")
}
