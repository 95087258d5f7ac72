//! The mask decoder: predicts masks, their IoU and an object score from the features and prompts of B objects.

use crate::nn::{Dim, Graph, Value};

use super::{
    cells,
    config::{Config, NUM_MASK_TOKENS},
    prompt_encoder,
};

/// Names of the graph's inputs and outputs.
pub(super) mod names {
    /// `[B, grid², d_model]`.
    pub(crate) const FEATURES: &str = "features";
    /// `[1]`: 1 if the features were not fused with memories, so that the no-memory embedding is added; else 0.
    pub(crate) const NO_MEMORY: &str = "no_memory";
    /// Stride 4 in cell order (see `cells`): `[16 grid², d_model / 8]`.
    pub(crate) const FINE: &str = "fine";
    /// Stride 8 in cell order: `[4 grid², d_model / 4]`.
    pub(crate) const MIDDLE: &str = "middle";
    /// `[B, P, 2]`: x and y in pixels of the model's square input.
    pub(crate) const POINTS: &str = "points";
    /// Labels of the points: `[B, P]`.
    pub(crate) const LABELS: &str = "labels";
    /// Output of the mask encoder for a mask prompt, or the no-mask embedding repeated for each grid cell; shared by
    /// all objects: `[grid², d_model]`.
    pub(crate) const DENSE: &str = "dense";
    /// Logits of four masks; the first is for clear prompts: `[B, 4, 4 grid, 4 grid]`.
    pub(crate) const MASKS: &str = "masks";
    /// Predicted IoU of each mask: `[B, 4]`.
    pub(crate) const IOUS: &str = "ious";
    /// Object pointer for each mask: `[B, 4, d_model]`.
    pub(crate) const POINTERS: &str = "pointers";
    /// Object score, above zero if the object is in the image: `[B, 1]`.
    pub(crate) const OBJECT_SCORE: &str = "object_score";
}

const PREFIX: &str = "sam_mask_decoder";
const LAYER_NORM_EPSILON: f32 = 1e-5;
const DEPTH: usize = 2;
/// Factor by which attention between tokens and image reduces the number of channels.
const DOWNSAMPLE_RATE: usize = 2;
/// Number of objects, and number of points per object.
const B: Dim = Dim::Named("B");
const P: Dim = Dim::Named("P");

/// Builds the graph of the mask decoder. Mirrors `MaskDecoder.predict_masks` and the parts of `_forward_sam_heads`
/// around it, except the choice among the masks.
pub(super) fn mask_decoder(config: &Config) -> Graph {
    let (d, grid) = (config.d_model, config.grid());
    let mut graph = Graph::new("mask_decoder");
    let features = graph.input(names::FEATURES, &[B, (grid * grid).into(), d.into()]);
    let no_memory = graph.input(names::NO_MEMORY, &[Dim::Fixed(1)]);
    let fine = graph.input(names::FINE, &[(16 * grid * grid).into(), (d / 8).into()]);
    let middle = graph.input(names::MIDDLE, &[(4 * grid * grid).into(), (d / 4).into()]);
    let points = graph.input(names::POINTS, &[B, P, Dim::Fixed(2)]);
    let labels = graph.input(names::LABELS, &[B, P]);
    let dense = graph.input(names::DENSE, &[(grid * grid).into(), d.into()]);

    let features = add_no_memory(&mut graph, config, &features, &no_memory);
    let image = graph.add(&features, &dense);
    let sparse = prompt_encoder::point_tokens(&mut graph, config, &points, &labels);
    let own = own_tokens(&mut graph, config);
    let own = graph.expand(&own, &[B, (2 + NUM_MASK_TOKENS).into(), d.into()]);
    let tokens = graph.concat(&[&own, &sparse], 1, Some("T"));
    let (tokens, image) = two_way_transformer(&mut graph, config, &tokens, &image);

    let score_token = graph.slice(&tokens, 1, 0..1);
    let iou_token = graph.slice(&tokens, 1, 1..2);
    let mask_tokens = graph.slice(&tokens, 1, 2..2 + NUM_MASK_TOKENS);
    let masks = masks(&mut graph, config, &mask_tokens, &image, &fine, &middle);
    let ious = mlp(&mut graph, &iou_token, &format!("{PREFIX}.iou_prediction_head"), d, NUM_MASK_TOKENS);
    let ious = graph.sigmoid(&ious);
    let ious = graph.reshape(&ious, &[B, NUM_MASK_TOKENS.into()]);
    let pointers = mlp(&mut graph, &mask_tokens, "obj_ptr_proj", d, d);
    let score = mlp(&mut graph, &score_token, &format!("{PREFIX}.pred_obj_score_head"), d, 1);
    let score = graph.reshape(&score, &[B, 1.into()]);
    graph.output(names::MASKS, &masks);
    graph.output(names::IOUS, &ious);
    graph.output(names::POINTERS, &pointers);
    graph.output(names::OBJECT_SCORE, &score);
    graph
}

/// Adds the no-memory embedding to the features if `no_memory` is 1. Mirrors `directly_add_no_mem_embed`.
fn add_no_memory(graph: &mut Graph, config: &Config, features: &Value, no_memory: &Value) -> Value {
    let embedding = graph.weight("no_mem_embed", &[1, 1, config.d_model]);
    let embedding = graph.reshape_to(&embedding, &[1, config.d_model]);
    let embedding = graph.mul(&embedding, no_memory);
    graph.add(features, &embedding)
}

/// Returns the decoder's learned tokens `[6, d_model]`: object score, IoU, and four masks.
fn own_tokens(graph: &mut Graph, config: &Config) -> Value {
    let d = config.d_model;
    let names = ["obj_score_token", "iou_token", "mask_tokens"].map(|name| format!("{PREFIX}.{name}.weight"));
    let from: [(&str, &[usize]); 3] =
        [(&names[0], &[1, d]), (&names[1], &[1, d]), (&names[2], &[NUM_MASK_TOKENS, d])];
    graph.derived("own_tokens", &[2 + NUM_MASK_TOKENS, d], &from, |w| w.concat())
}

/// Attends between tokens `[B, T, d_model]` and image features `[B, grid², d_model]` in both directions and returns
/// both.
///
/// Mirrors `TwoWayTransformer.forward`.
fn two_way_transformer(graph: &mut Graph, config: &Config, prompt: &Value, image: &Value) -> (Value, Value) {
    let attention = Attention { n_heads: config.decoder_heads, d: config.d_model };
    let across = DOWNSAMPLE_RATE;
    let grid_positions = prompt_encoder::grid_positions(graph, config);
    let norm = |graph: &mut Graph, x: &Value, name: &str| graph.layer_norm(x, name, LAYER_NORM_EPSILON);
    let (mut tokens, mut image) = (prompt.clone(), image.clone());
    for layer in 0..DEPTH {
        let name = |part: &str| format!("{PREFIX}.transformer.layers.{layer}.{part}");
        // The first layer attends without position encodings, and its result replaces the tokens.
        tokens = if layer == 0 {
            attention.add(graph, (&tokens, None), (&tokens, None), &tokens, &name("self_attn"), 1)
        } else {
            let placed = graph.add(&tokens, prompt);
            let attended =
                attention.add(graph, (&placed, None), (&placed, None), &tokens, &name("self_attn"), 1);
            graph.add(&tokens, &attended)
        };
        tokens = norm(graph, &tokens, &name("norm1"));

        let placed = graph.add(&tokens, prompt);
        let placed_image = (&image, Some(&grid_positions));
        let token_to_image = name("cross_attn_token_to_image");
        let attended = attention.add(graph, (&placed, None), placed_image, &image, &token_to_image, across);
        let sum = graph.add(&tokens, &attended);
        tokens = norm(graph, &sum, &name("norm2"));

        let hidden = graph.linear(&tokens, &name("mlp.layers.0"), config.decoder_mlp);
        let hidden = graph.relu(&hidden);
        let out = graph.linear(&hidden, &name("mlp.layers.1"), config.d_model);
        let sum = graph.add(&tokens, &out);
        tokens = norm(graph, &sum, &name("norm3"));

        let placed = graph.add(&tokens, prompt);
        let image_to_token = name("cross_attn_image_to_token");
        let attended = attention.add(graph, placed_image, (&placed, None), &tokens, &image_to_token, across);
        let sum = graph.add(&image, &attended);
        image = norm(graph, &sum, &name("norm4"));
    }
    let name = |part: &str| format!("{PREFIX}.transformer.{part}");
    let placed = graph.add(&tokens, prompt);
    let placed_image = (&image, Some(&grid_positions));
    let token_to_image = name("final_attn_token_to_image");
    let attended = attention.add(graph, (&placed, None), placed_image, &image, &token_to_image, across);
    let sum = graph.add(&tokens, &attended);
    (norm(graph, &sum, &name("norm_final_attn")), image)
}

/// An input of attention, with an optional constant position encoding to add.
type Placed<'a> = (&'a Value, Option<&'a Value>);

/// An attention layer of the two-way transformer.
struct Attention {
    n_heads: usize,
    d: usize,
}

impl Attention {
    /// Adds the layer to the graph. Mirrors `Attention.forward` with `downsample_rate`.
    fn add(
        &self,
        graph: &mut Graph,
        q: Placed<'_>,
        k: Placed<'_>,
        v: &Value,
        prefix: &str,
        downsample: usize,
    ) -> Value {
        let inner = self.d / downsample;
        let mut project = |(x, places): Placed<'_>, part: &str| {
            let weight = graph.weight(&format!("{prefix}.{part}.weight"), &[inner, x.last_dim()]);
            let bias = graph.weight(&format!("{prefix}.{part}.bias"), &[inner]);
            let Some(places) = places else { return graph.gemm(x, &weight, &bias) };
            // The product of position encoding and weight is a constant that ONNX Runtime computes only once.
            let bias = graph.gemm(places, &weight, &bias);
            let projected = graph.product(x, &weight);
            graph.add(&projected, &bias)
        };
        let (q, k, v) = (project(q, "q_proj"), project(k, "k_proj"), project((v, None), "v_proj"));
        let mixed = graph.attention(&q, &k, &v, self.n_heads);
        graph.linear(&mixed, &format!("{prefix}.out_proj"), self.d)
    }
}

/// Upscales the features fourfold and multiplies them with the kernel of each mask token: `[B, 4, 4 grid, 4 grid]`.
fn masks(
    graph: &mut Graph,
    config: &Config,
    tokens: &Value,
    image: &Value,
    fine: &Value,
    middle: &Value,
) -> Value {
    let d = config.d_model;
    let x = cells::divide(graph, image, &format!("{PREFIX}.output_upscaling.0"), d / 4);
    let x = graph.add(&x, middle);
    let x = graph.layer_norm(&x, &format!("{PREFIX}.output_upscaling.1"), 1e-6);
    let x = graph.gelu(&x);
    let x = cells::divide(graph, &x, &format!("{PREFIX}.output_upscaling.3"), d / 8);
    let x = graph.add(&x, fine);
    let x = graph.gelu(&x);
    let kernels: Vec<Value> = (0..NUM_MASK_TOKENS)
        .map(|i| {
            let token = graph.slice(tokens, 1, i..i + 1);
            mlp(graph, &token, &format!("{PREFIX}.output_hypernetworks_mlps.{i}"), d, d / 8)
        })
        .collect();
    let kernels = graph.concat(&kernels.iter().collect::<Vec<_>>(), 1, None);
    let kernels = graph.transpose(&kernels, &[0, 2, 1]);
    let masks = graph.matmul(&x, &kernels);
    cells::to_planes(graph, &masks, config.grid())
}

/// Applies three linear layers with ReLU between them. Mirrors `MLP`.
fn mlp(graph: &mut Graph, x: &Value, prefix: &str, hidden: usize, n_out: usize) -> Value {
    let x = graph.linear(x, &format!("{prefix}.layers.0"), hidden);
    let x = graph.relu(&x);
    let x = graph.linear(&x, &format!("{prefix}.layers.1"), hidden);
    let x = graph.relu(&x);
    graph.linear(&x, &format!("{prefix}.layers.2"), n_out)
}
