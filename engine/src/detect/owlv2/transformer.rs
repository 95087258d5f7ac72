//! The transformer encoder of both towers (CLIP; Radford et al., 2021).

use crate::nn::{Graph, Value};

use super::config::Tower;

pub(super) const LAYER_NORM_EPSILON: f32 = 1e-5;

/// Runs tokens `[n, width]` through all layers. If `is_causal`, no token attends to later ones. Mirrors `Owlv2Encoder`.
pub(super) fn transformer(
    graph: &mut Graph,
    tower: &Tower,
    x: &Value,
    prefix: &str,
    is_causal: bool,
) -> Value {
    let mut x = x.clone();
    for layer in 0..tower.depth {
        let name = |part: &str| format!("{prefix}.encoder.layers.{layer}.{part}");
        let normal = graph.layer_norm(&x, &name("layer_norm1"), LAYER_NORM_EPSILON);
        let attended = self_attention(graph, tower, &normal, &name("self_attn"), is_causal);
        x = graph.add(&x, &attended);
        let normal = graph.layer_norm(&x, &name("layer_norm2"), LAYER_NORM_EPSILON);
        let hidden = graph.linear(&normal, &name("mlp.fc1"), tower.mlp);
        let hidden = graph.quick_gelu(&hidden);
        let out = graph.linear(&hidden, &name("mlp.fc2"), tower.width);
        x = graph.add(&x, &out);
    }
    x
}

/// Mirrors `Owlv2Attention`.
fn self_attention(graph: &mut Graph, tower: &Tower, x: &Value, prefix: &str, is_causal: bool) -> Value {
    let (n, width) = (x.dim(0), tower.width);
    let [q, k, v] = ["q_proj", "k_proj", "v_proj"].map(|part| {
        let projected = graph.linear(x, &format!("{prefix}.{part}"), width);
        graph.reshape_to(&projected, &[1, n, width])
    });
    let mixed = if is_causal {
        graph.causal_attention(&q, &k, &v, tower.n_heads())
    } else {
        graph.attention(&q, &k, &v, tower.n_heads())
    };
    let mixed = graph.reshape_to(&mixed, &[n, width]);
    graph.linear(&mixed, &format!("{prefix}.out_proj"), width)
}
