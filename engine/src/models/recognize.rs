//! What a file is, told by what it holds and not by its name.

use std::path::Path;

use super::{Finds, KnownModel, ModelError, named};
use crate::{
    detect::{
        self,
        detr::{Config as DetrConfig, Detr, Family},
        owlv2::{Config as Owlv2Config, Owlv2},
    },
    file::has_suffix,
    sam2::{Config, Weights},
};

/// A model's file that holds every tensor of its model in its shape, and no other.
pub struct Recognized {
    /// Which of the published models it is; none if it is of a size of its own. Models that differ only in their numbers
    /// cannot be told apart: it is then the one that is usually used.
    pub model: Option<&'static KnownModel>,
    /// What it finds.
    pub finds: Finds,
    /// In words.
    pub about: String,
    /// Files beside it that belong to it.
    pub beside: &'static [&'static str],
}

/// Recognizes weights of SAM 2 (`.pt`, `.safetensors`), OWLv2, RT-DETRv2 or D-FINE (`.safetensors`, with what belongs to them
/// beside them). No model is run.
///
/// # Errors
/// If the file cannot be read, or is none of these, or not a whole one; each tensor that is wrong is named.
pub fn recognize(path: &Path) -> Result<Recognized, ModelError> {
    if has_suffix(path, &["onnx"]) {
        let cause = "ONNX files stay where they are".to_owned();
        return Err(ModelError::Nameless { path: path.to_owned(), cause });
    }
    let checkpoint = detect::open(path)?;
    let mut n_weights = checkpoint.n_weights();
    let mut beside: &[&str] = &[];
    let (finds, name, what) = if Owlv2Config::of(&checkpoint).is_some() {
        let config = Owlv2::check(path)?;
        beside = &["vocab.json", "merges.txt"];
        (Finds::Words, owlv2_name(&config), "OWLv2, finds by words and examples".to_owned())
    } else if checkpoint.tensors().any(|(name, _)| name.starts_with("model.backbone.")) {
        let config = Detr::check(path)?;
        beside = &["config.json"];
        let family = if config.family == Family::DFine { "D-FINE" } else { "RT-DETRv2" };
        (Finds::Classes, detr_name(&config), format!("{family}, finds {} classes", config.n_classes()))
    } else {
        let Weights { config, checkpoint } = Weights::open(path)?;
        n_weights = checkpoint.n_weights();
        (Finds::Points, sam_name(&config), describe(&config))
    };
    let about = format!("{what}, {:.1} million weights", n_weights as f64 / 1e6);
    Ok(Recognized { model: name.as_deref().and_then(named), finds, about, beside })
}

/// What a SAM 2 is, in words.
fn describe(config: &Config) -> String {
    let version = if config.is_2_1 { "2.1" } else { "2.0" };
    let size = config.official_name().unwrap_or("of its own size");
    format!("SAM {version} {size}, {0}x{0} images", config.image_size)
}

fn sam_name(config: &Config) -> Option<String> {
    let version = if config.is_2_1 { ".1" } else { "" };
    Some(format!("sam2{version}-{}", config.official_name()?.replace('_', "-")))
}

fn owlv2_name(config: &Owlv2Config) -> Option<String> {
    let sizes = [("base", Owlv2Config::base()), ("large", Owlv2Config::large())];
    let (size, _) = sizes.into_iter().find(|(_, official)| official == config)?;
    Some(format!("owlv2-{size}"))
}

/// Sizes as the authors' configurations have them; those of COCO's classes are in the list.
fn detr_name(config: &DetrConfig) -> Option<String> {
    let (backbone, is_wide) = (&config.backbone_config, config.encoder_hidden_dim == 384);
    let size = match (config.family, &backbone.depths[..], &*backbone.layer_type) {
        (Family::DFine, ..) => match config.depth_mult {
            0.5 if config.feat_strides.len() == 2 => "dfine-nano",
            0.34 => "dfine-small",
            0.67 => "dfine-medium",
            1.0 if is_wide => "dfine-xlarge",
            1.0 => "dfine-large",
            _ => return None,
        },
        (Family::RtDetrV2, [2, 2, 2, 2], "basic") => "rtdetr-r18",
        (Family::RtDetrV2, [3, 4, 6, 3], "basic") => "rtdetr-r34",
        (Family::RtDetrV2, [3, 4, 6, 3], "bottleneck") if config.hidden_expansion == 1.0 => "rtdetr-r50",
        (Family::RtDetrV2, [3, 4, 23, 3], "bottleneck") if is_wide => "rtdetr-r101",
        _ => return None,
    };
    // Those of COCO; a fine-tune may have as many.
    let names: Vec<&str> = config.id2label.values().map(String::as_str).collect();
    let is_coco =
        names.len() == 80 && names.first() == Some(&"person") && names.last() == Some(&"toothbrush");
    is_coco.then(|| size.to_owned())
}
