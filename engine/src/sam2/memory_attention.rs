//! Memory attention: the features of a frame attend to the memories of B objects with equal numbers of memories.
//!
//! Three exact rewrites make it cheaper than the original:
//!
//! - The rows of query and key weights are reordered, so that
//!   [rotary position encoding](https://arxiv.org/abs/2104.09864) rotates contiguous halves instead of adjacent pairs.
//! - Cross-attention averages the memories in their `mem_dim` channels and maps only the result to `d_model` channels.
//!   Softmax rows sum to one, so the order of the two linear maps does not matter.
//! - The computations before the first cross-attention are done once for all objects.

use crate::nn::{Dim, Graph, Value};

use super::{config::Config, image_encoder::multiply, position};

/// Names of the graph's inputs and its output.
pub(super) mod names {
    /// `[1, grid², d_model]`.
    pub(crate) const FEATURES: &str = "features";
    /// Spatial memories of M frames: `[B, M, grid², mem_dim]`.
    pub(crate) const MEMORIES: &str = "memories";
    /// Time encoding of each spatial memory: `[B, M, 1, mem_dim]`.
    pub(crate) const MEMORY_TIMES: &str = "memory_times";
    /// Object pointers split into tokens: `[B, P, mem_dim]`.
    pub(crate) const POINTERS: &str = "pointers";
    /// Time encoding of each pointer token: `[B, P, mem_dim]`.
    pub(crate) const POINTER_TIMES: &str = "pointer_times";
    /// `[B, grid², d_model]`.
    pub(crate) const FUSED: &str = "fused";
}

const PREFIX: &str = "memory_attention";
const LAYER_NORM_EPSILON: f32 = 1e-5;
/// Number of objects, spatial memories per object, and pointer tokens per object.
const B: Dim = Dim::Named("B");
const M: Dim = Dim::Named("M");
const P: Dim = Dim::Named("P");

/// Builds the graph of memory attention. Mirrors `MemoryAttention.forward`.
pub(super) fn memory_attention(config: &Config) -> Graph {
    let (n, d, m) = (config.grid().pow(2), config.d_model, config.mem_dim);
    let mut graph = Graph::new("memory_attention");
    graph.allow_half();
    let features = graph.input(names::FEATURES, &[1.into(), n.into(), d.into()]);
    let memories = graph.input(names::MEMORIES, &[B, M, n.into(), m.into()]);
    let memory_times = graph.input(names::MEMORY_TIMES, &[B, M, 1.into(), m.into()]);
    let pointers = graph.input(names::POINTERS, &[B, P, m.into()]);
    let pointer_times = graph.input(names::POINTER_TIMES, &[B, P, m.into()]);

    let places =
        graph.constant("feature_places", &[n, d], &scaled(&position::sine_2d(config.grid(), d), 0.1));
    let mut x = graph.add(&features, &places);
    let memory_places = graph.constant("memory_places", &[n, m], &position::sine_2d(config.grid(), m));
    let placed = graph.add(&memories, &memory_places);
    let placed = graph.add(&placed, &memory_times);
    let memory = Memory {
        spatial_keys: placed,
        pointer_keys: graph.add(&pointers, &pointer_times),
        values: {
            let spatial = graph.reshape(&memories, &[B, Dim::Named("MN"), m.into()]);
            graph.concat(&[&spatial, &pointers], 1, Some("K"))
        },
    };
    let rope = Rope::new(&mut graph, config);
    for layer in 0..config.memory_layers {
        let name = |part: &str| format!("{PREFIX}.layers.{layer}.{part}");
        let normal = graph.layer_norm(&x, &name("norm1"), LAYER_NORM_EPSILON);
        let attended = self_attention(&mut graph, &rope, &normal, &name("self_attn"));
        x = graph.add(&x, &attended);
        if layer == 0 {
            x = graph.expand(&x, &[B, n.into(), d.into()]);
        }
        let normal = graph.layer_norm(&x, &name("norm2"), LAYER_NORM_EPSILON);
        let attended = cross_attention(&mut graph, &rope, &normal, &memory, &name("cross_attn_image"));
        x = graph.add(&x, &attended);
        let normal = graph.layer_norm(&x, &name("norm3"), LAYER_NORM_EPSILON);
        let hidden = graph.linear(&normal, &name("linear1"), config.memory_ffn);
        let hidden = graph.relu(&hidden);
        let out = graph.linear(&hidden, &name("linear2"), d);
        x = graph.add(&x, &out);
    }
    let fused = graph.layer_norm(&x, &format!("{PREFIX}.norm"), LAYER_NORM_EPSILON);
    graph.output_for_models(names::FUSED, &fused);
    graph
}

fn scaled(values: &[f32], factor: f32) -> Vec<f32> {
    values.iter().map(|v| v * factor).collect()
}

/// The keys and values of cross-attention.
struct Memory {
    /// `[B, M, grid², mem_dim]`, with position and time encodings.
    spatial_keys: Value,
    /// `[B, P, mem_dim]`, with time encodings.
    pointer_keys: Value,
    /// `[B, K, mem_dim]`: spatial memories, then pointers, both without encodings.
    values: Value,
}

/// The rotary position encoding of the grid.
struct Rope {
    cos: Value,
    sin: Value,
    d: usize,
}

impl Rope {
    fn new(graph: &mut Graph, config: &Config) -> Self {
        let (n, d) = (config.grid().pow(2), config.d_model);
        let (cos, sin) = position::rope(config.grid(), d);
        let cos = graph.constant("rope_cos", &[n, d / 2], &cos);
        let sin = graph.constant("rope_sin", &[n, d / 2], &sin);
        Self { cos, sin, d }
    }

    /// Applies the linear layer `{prefix}` to `x`, with its outputs in the order that [`Self::rotate`] expects.
    fn project(&self, graph: &mut Graph, x: &Value, prefix: &str) -> Value {
        let (n_in, d) = (x.last_dim(), self.d);
        let (weight, bias) = (format!("{prefix}.weight"), format!("{prefix}.bias"));
        let reorder = move |w: &[Vec<f32>]| position::even_then_odd_rows(&w[0], d);
        let weight =
            graph.derived(&format!("{weight}.halves"), &[d, n_in], &[(&weight, &[d, n_in])], reorder);
        let bias = graph.derived(&format!("{bias}.halves"), &[d], &[(&bias, &[d])], reorder);
        graph.gemm(x, &weight, &bias)
    }

    /// Rotates `x` `[…, grid², d_model]` by the position of each token. Mirrors `apply_rotary_enc`.
    fn rotate(&self, graph: &mut Graph, x: &Value) -> Value {
        let axis = x.shape().len() - 1;
        let [a, b] = graph.split(x, axis);
        let (a_cos, b_sin) = (graph.mul(&a, &self.cos), graph.mul(&b, &self.sin));
        let (a_sin, b_cos) = (graph.mul(&a, &self.sin), graph.mul(&b, &self.cos));
        let (real, imaginary) = (graph.sub(&a_cos, &b_sin), graph.add(&a_sin, &b_cos));
        graph.concat(&[&real, &imaginary], axis, None)
    }
}

/// Adds self-attention to the graph. Mirrors `RoPEAttention` as called by `MemoryAttentionLayer._forward_sa`.
fn self_attention(graph: &mut Graph, rope: &Rope, x: &Value, prefix: &str) -> Value {
    let mut turned = |part: &str| {
        let projected = rope.project(graph, x, &format!("{prefix}.{part}"));
        rope.rotate(graph, &projected)
    };
    let (q, k) = (turned("q_proj"), turned("k_proj"));
    let v = graph.linear(x, &format!("{prefix}.v_proj"), rope.d);
    let mixed = graph.attention(&q, &k, &v, 1);
    graph.linear(&mixed, &format!("{prefix}.out_proj"), rope.d)
}

/// Adds cross-attention to the graph. Mirrors `RoPEAttention` as called by `MemoryAttentionLayer._forward_ca`. Keys of
/// pointers are not rotated, because pointers have no position.
fn cross_attention(graph: &mut Graph, rope: &Rope, x: &Value, memory: &Memory, prefix: &str) -> Value {
    let (d, m) = (rope.d, memory.values.last_dim());
    let q = rope.project(graph, x, &format!("{prefix}.q_proj"));
    let q = rope.rotate(graph, &q);
    let k_proj = format!("{prefix}.k_proj");
    let spatial = rope.project(graph, &memory.spatial_keys, &k_proj);
    let spatial = rope.rotate(graph, &spatial);
    let spatial = graph.reshape(&spatial, &[B, Dim::Named("MN"), d.into()]);
    let pointers = rope.project(graph, &memory.pointer_keys, &k_proj);
    let k = graph.concat(&[&spatial, &pointers], 1, Some("K"));
    let mixed = graph.attention(&q, &k, &memory.values, 1);
    let [v_weight, v_bias, o_weight, o_bias] =
        ["v_proj.weight", "v_proj.bias", "out_proj.weight", "out_proj.bias"].map(|p| format!("{prefix}.{p}"));
    let weight = graph.derived(
        &format!("{prefix}.out_of_v_weight"),
        &[d, m],
        &[(&o_weight, &[d, d]), (&v_weight, &[d, m])],
        move |w| multiply(&w[0], &w[1], d),
    );
    let bias = graph.derived(
        &format!("{prefix}.out_of_v_bias"),
        &[d],
        &[(&o_weight, &[d, d]), (&v_bias, &[d]), (&o_bias, &[d])],
        move |w| multiply(&w[0], &w[1], d).iter().zip(&w[2]).map(|(a, b)| a + b).collect(),
    );
    graph.gemm(&mixed, &weight, &bias)
}
