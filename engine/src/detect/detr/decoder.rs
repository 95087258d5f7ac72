//! Decoder parts of both families: query selection and deformable attention at a few sampled points. Also RT-DETRv2's
//! decoder.

use crate::nn::{Graph, Value, ops::Window};

use super::{
    config::{Config, Family},
    d_fine,
    layers::{ConvNorm, LAYER_NORM_EPSILON, add_norm, feed_forward, mlp, rows, self_attention},
};

pub(super) const PREFIX: &str = "model.decoder";

/// Output of a decoder: logits `[queries, classes]` and boxes `[queries, 4]` (center x and y, width, height, as
/// shares of the image).
pub(super) struct Found {
    pub logits: Value,
    pub boxes: Value,
}

/// Decodes the neck's feature maps to boxes and logits. Mirrors the part of `RTDetrV2Model.forward` and
/// `DFineModel.forward` after the neck.
pub(super) fn decoder(graph: &mut Graph, config: &Config, maps: &[Value]) -> Found {
    let d = config.d_model;
    let levels: Vec<Value> = maps
        .iter()
        .enumerate()
        .map(|(i, map)| match config.family {
            Family::DFine if map.dim(1) == d => map.clone(),
            _ => {
                let conv = ConvNorm::of_projection(&format!("model.decoder_input_proj.{i}"));
                conv.add(graph, map, d, Window::new(1, 1, 0), 1)
            }
        })
        .collect();
    let (queries, references) = select_queries(graph, config, &levels);
    let references = graph.sigmoid(&references);
    match config.family {
        Family::RtDetrV2 => rt_detr(graph, config, &levels, queries, references),
        Family::DFine => d_fine::decode(graph, config, &levels, queries, references),
    }
}

/// Selects the grid cells with the highest score of any class. Returns their features `[queries, d]` and their boxes
/// `[queries, 4]` before the sigmoid.
fn select_queries(graph: &mut Graph, config: &Config, levels: &[Value]) -> (Value, Value) {
    let (d, k) = (config.d_model, config.num_queries);
    let tokens: Vec<Value> = levels.iter().map(|map| rows(graph, map)).collect();
    let tokens = graph.concat(&tokens.iter().collect::<Vec<_>>(), 0, None);
    let n = tokens.dim(0);
    let (anchors, valid) = anchors(config);
    let valid = graph.constant("valid", &[n, 1], &valid);
    let memory = graph.mul(&tokens, &valid);
    let memory = graph.linear(&memory, "model.enc_output.0", d);
    let memory = graph.layer_norm(&memory, "model.enc_output.1", LAYER_NORM_EPSILON);
    let scores = graph.linear(&memory, "model.enc_score_head", config.n_classes());
    let best = graph.max_of_last(&scores);
    let [_, places] = graph.top_k(&best, k);
    let queries = graph.gather_rows(&memory, &places);
    let anchors = graph.constant("anchors", &[n, 4], &anchors);
    let anchors = graph.gather_rows(&anchors, &places);
    let boxes = mlp(graph, &queries, "model.enc_bbox_head", &[d, d, 4]);
    (queries, graph.add(&boxes, &anchors))
}

/// Returns an anchor box for each cell of each level, before the sigmoid, and for each anchor 1 if it lies well inside
/// the image, else 0. Mirrors `generate_anchors`.
fn anchors(config: &Config) -> (Vec<f32>, Vec<f32>) {
    const SIZE: f32 = 0.05;
    const MARGIN: f32 = 1e-2;
    let (mut anchors, mut valid) = (Vec::new(), Vec::new());
    for (level, side) in config.sides().into_iter().enumerate() {
        let size = SIZE * 2.0_f32.powi(level as i32);
        let center = |i: usize| (i as f32 + 0.5) / side as f32;
        for place in 0..side * side {
            let anchor = [center(place % side), center(place / side), size, size];
            let is_valid = anchor.iter().all(|v| (MARGIN..1.0 - MARGIN).contains(v) && *v > MARGIN);
            anchors.extend(anchor.map(|v| if is_valid { (v / (1.0 - v)).ln() } else { f32::MAX }));
            valid.push(f32::from(u8::from(is_valid)));
        }
    }
    (anchors, valid)
}

/// Decodes queries to boxes and logits. Mirrors `RTDetrV2Decoder.forward`.
fn rt_detr(graph: &mut Graph, config: &Config, levels: &[Value], queries: Value, references: Value) -> Found {
    let d = config.d_model;
    let (mut x, mut boxes) = (queries, references);
    for layer in 0..config.decoder_layers {
        let prefix = format!("{PREFIX}.layers.{layer}");
        let name = |part: &str| format!("{prefix}.{part}");
        let places = mlp(graph, &boxes, &format!("{PREFIX}.query_pos_head"), &[2 * d, d]);
        let attended = self_attention(graph, &x, &places, &name("self_attn"), config.decoder_attention_heads);
        x = add_norm(graph, &x, &attended, &name("self_attn_layer_norm"));
        let values: Vec<Value> = levels
            .iter()
            .map(|level| {
                let value = conv_of_linear(graph, level, &name("encoder_attn.value_proj"));
                heads_of_map(graph, config, &value)
            })
            .collect();
        let placed = graph.add(&x, &places);
        let attended = deformable_attention(graph, config, &placed, &boxes, &values, &name("encoder_attn"));
        let attended = graph.linear(&attended, &name("encoder_attn.output_proj"), d);
        x = add_norm(graph, &x, &attended, &name("encoder_attn_layer_norm"));
        x = feed_forward(graph, &x, &prefix, config.decoder_ffn_dim, Graph::relu);
        let change = mlp(graph, &x, &format!("{PREFIX}.bbox_embed.{layer}"), &[d, d, 4]);
        let before = inverse_sigmoid(graph, &boxes);
        let boxes_logits = graph.add(&change, &before);
        boxes = graph.sigmoid(&boxes_logits);
    }
    let last = config.decoder_layers - 1;
    let logits = graph.linear(&x, &format!("{PREFIX}.class_embed.{last}"), config.n_classes());
    Found { logits, boxes }
}

/// Mirrors `inverse_sigmoid`.
pub(super) fn inverse_sigmoid(graph: &mut Graph, x: &Value) -> Value {
    const EPSILON: f32 = 1e-5;
    let one = graph.scalar(1.0);
    let rest = graph.sub(&one, x);
    let [x, rest] = [x, &rest].map(|v| graph.clamp(v, EPSILON, 1.0));
    let odds = graph.div(&x, &rest);
    graph.ln(&odds)
}

/// Applies the linear layer `{prefix}` to each pixel of `map` `[1, d, h, w]`, as a 1x1 convolution.
fn conv_of_linear(graph: &mut Graph, map: &Value, prefix: &str) -> Value {
    let d = map.dim(1);
    let name = format!("{prefix}.weight");
    let weight =
        graph.derived(&format!("{name}.kernel"), &[d, d, 1, 1], &[(&name, &[d, d])], |w| w[0].clone());
    let bias = graph.weight(&format!("{prefix}.bias"), &[d]);
    graph.conv_by(map, &weight, &bias, Window::new(1, 1, 0), 1)
}

/// Splits a map `[1, d, h, w]` into one per attention head, `[heads, d / heads, h, w]`.
pub(super) fn heads_of_map(graph: &mut Graph, config: &Config, map: &Value) -> Value {
    let n_heads = config.decoder_attention_heads;
    graph.reshape_to(map, &[n_heads, map.dim(1) / n_heads, map.dim(2), map.dim(3)])
}

/// Attends from each query `[queries, d]` to a few points in and around its box. Returns `[queries, d]`.
///
/// `values` are the levels, each `[heads, d / heads, h, w]`. Mirrors `RTDetrV2MultiscaleDeformableAttention` and
/// `DFineMultiscaleDeformableAttention`, without projections.
pub(super) fn deformable_attention(
    graph: &mut Graph,
    config: &Config,
    queries: &Value,
    boxes: &Value,
    values: &[Value],
    prefix: &str,
) -> Value {
    let (n, d, n_heads) = (queries.dim(0), queries.dim(1), config.decoder_attention_heads);
    let points = config.points();
    let n_points: usize = points.iter().sum();
    let offsets = graph.linear(queries, &format!("{prefix}.sampling_offsets"), n_heads * n_points * 2);
    let offsets = graph.reshape_to(&offsets, &[n, n_heads, n_points, 2]);
    // Doubled, because the coordinates of the sampled grid go from -1 to 1.
    let scale: Vec<f32> =
        points.iter().flat_map(|&n| vec![2.0 * config.decoder_offset_scale / n as f32; n]).collect();
    let scale = graph.constant("point_scale", &[n_points, 1], &scale);
    let offsets = graph.mul(&offsets, &scale);
    let extent = graph.slice(boxes, 1, 2..4);
    let extent = graph.reshape_to(&extent, &[n, 1, 1, 2]);
    let offsets = graph.mul(&offsets, &extent);
    let center = graph.slice(boxes, 1, 0..2);
    let center = graph.reshape_to(&center, &[n, 1, 1, 2]);
    let (two, one) = (graph.scalar(2.0), graph.scalar(1.0));
    let center = graph.mul(&center, &two);
    let center = graph.sub(&center, &one);
    let grid = graph.add(&offsets, &center);
    let grid = graph.transpose(&grid, &[1, 0, 2, 3]);
    let mut start = 0;
    let mut seen = Vec::new();
    for (value, n_here) in values.iter().zip(points) {
        let here = graph.slice(&grid, 2, start..start + n_here);
        seen.push(graph.grid_sample(value, &here));
        start += n_here;
    }
    let seen = graph.concat(&seen.iter().collect::<Vec<_>>(), 3, None);
    let weights = graph.linear(queries, &format!("{prefix}.attention_weights"), n_heads * n_points);
    let weights = graph.reshape_to(&weights, &[n, n_heads, n_points]);
    let weights = graph.softmax(&weights);
    let weights = graph.transpose(&weights, &[1, 0, 2]);
    let weights = graph.reshape_to(&weights, &[n_heads, 1, n, n_points]);
    let seen = graph.mul(&seen, &weights);
    let seen = graph.sum_of_last(&seen);
    let seen = graph.reshape_to(&seen, &[d, n]);
    graph.transpose(&seen, &[1, 0])
}
