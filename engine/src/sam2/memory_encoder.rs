//! The memory encoder: encodes the features of a frame and the masks of B objects as memories for later frames.

use crate::nn::{Dim, Graph, Value, ops::Window};

use super::config::Config;

/// Names of the graph's inputs and its output.
pub(super) mod names {
    /// `[1, grid², d_model]`, output of the image encoder.
    pub(crate) const FEATURES: &str = "features";
    /// Mask logits: `[B, 1, 4 grid, 4 grid]`.
    pub(crate) const LOGITS: &str = "logits";
    /// `[B, 1, 1, 1]`: 1 if a person gave the mask, so that it is binarized (logits above zero); else 0.
    pub(crate) const IS_GIVEN: &str = "is_given";
    /// `[B, 1, 1]`: 1 if the object is not on the frame, else 0. SAM 2.0 has no such input.
    pub(crate) const IS_ABSENT: &str = "is_absent";
    /// `[B, grid², mem_dim]`.
    pub(crate) const MEMORY: &str = "memory";
}

const PREFIX: &str = "memory_encoder";
const LAYER_NORM_EPSILON: f32 = 1e-6;
/// Number of halvings from the image to the grid.
const N_DOWNSAMPLES: usize = 4;
const N_FUSER_LAYERS: usize = 2;
/// Number of objects.
const B: Dim = Dim::Named("B");

/// Builds the graph of the memory encoder. Mirrors `MemoryEncoder.forward` and the `no_obj_embed_spatial` of
/// `_encode_new_memory`.
pub(super) fn memory_encoder(config: &Config) -> Graph {
    let (n, d, m, side) = (config.grid().pow(2), config.d_model, config.mem_dim, config.mask_side());
    let mut graph = Graph::new("memory_encoder");
    let features = graph.input(names::FEATURES, &[1.into(), n.into(), d.into()]);
    let logits = graph.input(names::LOGITS, &[B, 1.into(), side.into(), side.into()]);
    let is_given = graph.input(names::IS_GIVEN, &[B, 1.into(), 1.into(), 1.into()]);
    let mask = whole_mask(&mut graph, config, &logits, &is_given);
    let mask = downsample(&mut graph, config, &mask);
    let pixels = graph.linear_of_conv(&features, &format!("{PREFIX}.pix_feat_proj"), d);
    let mut x = graph.add(&pixels, &mask);
    for layer in 0..N_FUSER_LAYERS {
        x = fuse(&mut graph, config, &x, &format!("{PREFIX}.fuser.layers.{layer}"));
    }
    let mut memory = graph.linear_of_conv(&x, &format!("{PREFIX}.out_proj"), m);
    if config.is_2_1 {
        let is_absent = graph.input(names::IS_ABSENT, &[B, 1.into(), 1.into()]);
        let absent = graph.weight("no_obj_embed_spatial", &[1, m]);
        let absent = graph.mul(&absent, &is_absent);
        memory = graph.add(&memory, &absent);
    }
    graph.output_for_models(names::MEMORY, &memory);
    graph
}

/// Returns the masks at the size of the model's input, scaled to -10..10: `[B, 1, S, S]`. Mirrors the first half of
/// `_encode_new_memory`.
fn whole_mask(graph: &mut Graph, config: &Config, logits: &Value, is_given: &Value) -> Value {
    let logits = graph.enlarged(logits, config.image_size / config.mask_side());
    let surely = graph.is_above(&logits, 0.0);
    let surely = graph.mul(&surely, is_given);
    let one = graph.scalar(1.0);
    let is_found = graph.sub(&one, is_given);
    let likely = graph.sigmoid(&logits);
    let likely = graph.mul(&likely, &is_found);
    let mask = graph.add(&surely, &likely);
    let (range, lowest) = (graph.scalar(20.0), graph.scalar(10.0));
    let mask = graph.mul(&mask, &range);
    graph.sub(&mask, &lowest)
}

/// Reduces the masks to the stride of the features: `[B, grid², d_model]`. Mirrors `MaskDownSampler`.
fn downsample(graph: &mut Graph, config: &Config, mask: &Value) -> Value {
    let prefix = format!("{PREFIX}.mask_downsampler.encoder");
    let window = Window { kernel: 3, stride: 2, padding: 1 };
    let mut x = mask.clone();
    for i in 0..N_DOWNSAMPLES {
        x = graph.conv(&x, &format!("{prefix}.{}", 3 * i), 4_usize.pow(1 + i as u32), window, 1);
        x = graph.layer_norm_2d(&x, &format!("{prefix}.{}", 3 * i + 1), LAYER_NORM_EPSILON);
        x = graph.gelu(&x);
    }
    let x = graph.transpose(&x, &[0, 2, 3, 1]);
    let x = graph.reshape(&x, &[B, config.grid().pow(2).into(), x.shape()[3]]);
    graph.linear_of_conv(&x, &format!("{prefix}.{}", 3 * N_DOWNSAMPLES), config.d_model)
}

/// Applies a [ConvNeXt](https://arxiv.org/abs/2201.03545) block. Mirrors `CXBlock`; the scale `gamma` is folded into
/// the last linear layer.
fn fuse(graph: &mut Graph, config: &Config, x: &Value, prefix: &str) -> Value {
    let (grid, d) = (config.grid(), config.d_model);
    let name = |part: &str| format!("{prefix}.{part}");
    let y = graph.reshape(x, &[B, grid.into(), grid.into(), d.into()]);
    let y = graph.transpose(&y, &[0, 3, 1, 2]);
    let y = graph.conv(&y, &name("dwconv"), d, Window { kernel: 7, stride: 1, padding: 3 }, d);
    let y = graph.transpose(&y, &[0, 2, 3, 1]);
    let y = graph.reshape(&y, x.shape());
    let y = graph.layer_norm(&y, &name("norm"), LAYER_NORM_EPSILON);
    let y = graph.linear(&y, &name("pwconv1"), 4 * d);
    let y = graph.gelu(&y);
    let (weight, bias, gamma) = (name("pwconv2.weight"), name("pwconv2.bias"), name("gamma"));
    let scale_rows = |w: &[Vec<f32>]| {
        let row_length = w[0].len() / w[1].len();
        w[0].iter().enumerate().map(|(i, v)| v * w[1][i / row_length]).collect()
    };
    let from: [(&str, &[usize]); 2] = [(&weight, &[d, 4 * d]), (&gamma, &[d])];
    let weight = graph.derived(&name("pwconv2.scaled_weight"), &[d, 4 * d], &from, scale_rows);
    let from: [(&str, &[usize]); 2] = [(&bias, &[d]), (&gamma, &[d])];
    let bias = graph.derived(&name("pwconv2.scaled_bias"), &[d], &from, scale_rows);
    let y = graph.gemm(&y, &weight, &bias);
    graph.add(x, &y)
}
