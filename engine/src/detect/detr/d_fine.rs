//! D-FINE's decoder: boxes as distributions of edge positions, refined layer by layer (Peng et al., 2024).

use crate::nn::{Graph, Value};

use super::{
    config::Config,
    decoder::{Found, PREFIX, deformable_attention, heads_of_map, inverse_sigmoid},
    layers::{LAYER_NORM_EPSILON, add_norm, feed_forward, mlp, self_attention},
};

/// Decodes queries to boxes and logits. Mirrors `DFineDecoder.forward`.
pub(super) fn decode(
    graph: &mut Graph,
    config: &Config,
    levels: &[Value],
    queries: Value,
    references: Value,
) -> Found {
    let d = config.d_model;
    let n_bins = config.max_num_bins + 1;
    let values: Vec<Value> = levels.iter().map(|level| heads_of_map(graph, config, level)).collect();
    let (mut x, mut boxes) = (queries, references);
    let mut initial = None;
    let mut before: Option<Value> = None;
    let mut edges: Option<Value> = None;
    for layer in 0..config.decoder_layers {
        let places = mlp(graph, &boxes, &format!("{PREFIX}.query_pos_head"), &[2 * d, d]);
        let places = graph.clamp(&places, -10.0, 10.0);
        x = decoder_layer(graph, config, &x, &places, &boxes, &values, &format!("{PREFIX}.layers.{layer}"));
        let initial = initial.get_or_insert_with(|| {
            let change = mlp(graph, &x, &format!("{PREFIX}.pre_bbox_head"), &[d, d, 4]);
            let reference = inverse_sigmoid(graph, &boxes);
            let sum = graph.add(&change, &reference);
            graph.sigmoid(&sum)
        });
        let seen = before.map_or_else(|| x.clone(), |before| graph.add(&x, &before));
        let refined = mlp(graph, &seen, &format!("{PREFIX}.bbox_embed.{layer}"), &[d, d, 4 * n_bins]);
        let refined = edges.map_or_else(|| refined.clone(), |edges| graph.add(&refined, &edges));
        boxes = box_of_edges(graph, config, initial, &refined);
        before = Some(x.clone());
        edges = Some(refined);
    }
    let last = config.decoder_layers - 1;
    let logits = graph.linear(&x, &format!("{PREFIX}.class_embed.{last}"), config.n_classes());
    let quality = edges.map(|edges| quality(graph, config, &edges, &format!("{PREFIX}.lqe_layers.{last}")));
    let logits = quality.map_or_else(|| logits.clone(), |quality| graph.add(&logits, &quality));
    Found { logits, boxes }
}

/// Mirrors `DFineDecoderLayer`.
fn decoder_layer(
    graph: &mut Graph,
    config: &Config,
    x: &Value,
    places: &Value,
    boxes: &Value,
    values: &[Value],
    prefix: &str,
) -> Value {
    let name = |part: &str| format!("{prefix}.{part}");
    let attended = self_attention(graph, x, places, &name("self_attn"), config.decoder_attention_heads);
    let x = add_norm(graph, x, &attended, &name("self_attn_layer_norm"));
    let placed = graph.add(&x, places);
    let attended = deformable_attention(graph, config, &placed, boxes, values, &name("encoder_attn"));
    let x = gate(graph, &x, &attended, &name("gateway"));
    feed_forward(graph, &x, prefix, config.decoder_ffn_dim, Graph::relu)
}

/// Mirrors `DFineGate`.
fn gate(graph: &mut Graph, x: &Value, y: &Value, prefix: &str) -> Value {
    let d = x.last_dim();
    let both = graph.concat(&[x, y], 1, None);
    let gates = graph.linear(&both, &format!("{prefix}.gate"), 2 * d);
    let gates = graph.sigmoid(&gates);
    let [of_x, of_y] = graph.split(&gates, 1);
    let (x, y) = (graph.mul(&of_x, x), graph.mul(&of_y, y));
    let sum = graph.add(&x, &y);
    graph.layer_norm(&sum, &format!("{prefix}.norm"), LAYER_NORM_EPSILON)
}

/// Returns boxes: moves each edge of the initial box by the mean of its distance distribution. Mirrors
/// `DFineIntegral` and `distance2bbox`.
fn box_of_edges(graph: &mut Graph, config: &Config, initial: &Value, edges: &Value) -> Value {
    let (n, n_bins) = (edges.dim(0), config.max_num_bins + 1);
    let (up, scale) = (format!("{PREFIX}.up"), format!("{PREFIX}.reg_scale"));
    let weights: [(&str, &[usize]); 2] = [(&up, &[1]), (&scale, &[1])];
    // The distances are in units of the box's size divided by `reg_scale`. The division is folded into the bins'
    // weights.
    let bins = graph.derived("bins", &[n_bins, 1], &weights, move |w| {
        let (up, scale) = (f64::from(w[0][0]), f64::from(w[1][0]).abs());
        weighting(n_bins - 1, up, scale).iter().map(|v| (v / scale) as f32).collect()
    });
    let distribution = graph.reshape_to(edges, &[4 * n, n_bins]);
    let distribution = graph.softmax(&distribution);
    let distances = graph.matmul(&distribution, &bins);
    let distances = graph.reshape_to(&distances, &[n, 4]);
    let (half, two) = (graph.scalar(0.5), graph.scalar(2.0));
    let distances = graph.add(&distances, &half);
    let (center, extent) = (graph.slice(initial, 1, 0..2), graph.slice(initial, 1, 2..4));
    let (near, far) = (graph.slice(&distances, 1, 0..2), graph.slice(&distances, 1, 2..4));
    let (near, far) = (graph.mul(&near, &extent), graph.mul(&far, &extent));
    let shift = graph.sub(&far, &near);
    let shift = graph.div(&shift, &two);
    let center = graph.add(&center, &shift);
    let extent = graph.add(&near, &far);
    graph.concat(&[&center, &extent], 1, None)
}

/// Returns the distance that each bin of an edge's distribution stands for. Mirrors `weighting_function`.
fn weighting(n_bins: usize, up: f64, scale: f64) -> Vec<f64> {
    let bound = up.abs() * scale;
    let step = (bound + 1.0).powf(2.0 / (n_bins - 2) as f64);
    let half = (n_bins / 2) as i32;
    let inner = (1 - half..half).map(|i| f64::from(i.signum()) * (step.powi(i.abs()) - 1.0));
    std::iter::once(-2.0 * bound).chain(inner).chain([2.0 * bound]).collect()
}

/// Returns the estimated quality of boxes from their edge distributions, `[queries, 1]`. Mirrors `DFineLQE`.
fn quality(graph: &mut Graph, config: &Config, edges: &Value, prefix: &str) -> Value {
    let (n, k) = (edges.dim(0), config.top_prob_values);
    let distribution = graph.reshape_to(edges, &[n, 4, config.max_num_bins + 1]);
    let distribution = graph.softmax(&distribution);
    let [top, _] = graph.top_k(&distribution, k);
    let mean = graph.sum_of_last(&top);
    let count = graph.scalar(k as f32);
    let mean = graph.div(&mean, &count);
    let mean = graph.reshape_to(&mean, &[n, 4, 1]);
    let statistics = graph.concat(&[&top, &mean], 2, None);
    let statistics = graph.reshape_to(&statistics, &[n, 4 * (k + 1)]);
    let mut sizes = vec![config.lqe_hidden_dim; config.lqe_layers];
    sizes[config.lqe_layers - 1] = 1;
    mlp(graph, &statistics, &format!("{prefix}.reg_conf"), &sizes)
}
