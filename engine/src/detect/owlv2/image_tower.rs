//! The image tower and its heads: box, objectness and embedding of each patch.

use crate::{
    mask::resize_bicubic,
    nn::{Dim, Graph, Value},
};

use super::{
    IMAGE,
    config::Config,
    transformer::{LAYER_NORM_EPSILON, transformer},
};

/// Names of the graph's input and outputs. The patches are in row-major order.
pub(super) mod names {
    /// Bytes `[S, S, 3]`, RGB.
    pub(crate) const PIXELS: &str = "pixels";
    /// `[patches, 4]`: center x and y, width, height, as shares of the square.
    pub(crate) const BOXES: &str = "boxes";
    /// `[patches, 1]`: logits, above zero for an object.
    pub(crate) const OBJECTNESS: &str = "objectness";
    /// `[patches, text width]`, normalized to length 1.
    pub(crate) const EMBEDDINGS: &str = "embeddings";
    /// `[patches, 1]`: added to the dot product of a patch and a query.
    pub(crate) const SHIFT: &str = "shift";
    /// `[patches, 1]`: multiplied with the shifted dot product.
    pub(crate) const SCALE: &str = "scale";
}

/// Mean and standard deviation by which CLIP normalizes RGB values from 0 to 1.
const MEAN: [f32; 3] = [0.481_454_66, 0.457_827_5, 0.408_210_73];
const DEVIATION: [f32; 3] = [0.268_629_54, 0.261_302_6, 0.275_777_1];

/// Added in the normalization of embeddings, to avoid division by zero.
const LENGTH_EPSILON: f32 = 1e-6;

/// Builds the graph. Mirrors `Owlv2ForObjectDetection.image_embedder` and its heads.
pub(super) fn image_tower(config: &Config) -> Graph {
    let mut graph = Graph::new("owlv2_image");
    graph.allow_half();
    let side = config.image_size;
    let pixels = graph.input_u8(names::PIXELS, &[side, side, 3].map(Dim::Fixed));
    let pixels = graph.normalized_pixels(&pixels, MEAN, DEVIATION);
    let features = features(&mut graph, config, &pixels);

    let boxes = head(&mut graph, &features, "box_head", 4);
    let bias = graph.constant("box_bias", &[config.grid().pow(2), 4], &box_bias(config.grid()));
    let boxes = graph.add(&boxes, &bias);
    let boxes = graph.sigmoid(&boxes);
    graph.output(names::BOXES, &boxes);
    let objectness = head(&mut graph, &features, "objectness_head", 1);
    graph.output(names::OBJECTNESS, &objectness);

    let embeddings = graph.linear(&features, "class_head.dense0", config.text.width);
    let embeddings = graph.unit_rows(&embeddings, LENGTH_EPSILON);
    graph.output(names::EMBEDDINGS, &embeddings);
    let shift = graph.linear(&features, "class_head.logit_shift", 1);
    graph.output(names::SHIFT, &shift);
    let scale = graph.linear(&features, "class_head.logit_scale", 1);
    let scale = graph.elu(&scale);
    let one = graph.scalar(1.0);
    let scale = graph.add(&scale, &one);
    graph.output(names::SCALE, &scale);
    graph
}

/// Encodes pixels `[1, 3, S, S]` to features `[patches, width]`.
fn features(graph: &mut Graph, config: &Config, pixels: &Value) -> Value {
    let (n, width) = (config.grid().pow(2), config.image.width);
    let patches = graph.patches(
        pixels,
        &format!("{IMAGE}.embeddings.patch_embedding.weight"),
        width,
        config.patch_size,
    );
    let name = format!("{IMAGE}.embeddings.class_embedding");
    let class = graph.derived("class_row", &[1, width], &[(&name, &[width])], |w| w[0].clone());
    let x = graph.concat(&[&class, &patches], 0, None);
    let places = places(graph, config);
    let x = graph.add(&x, &places);
    let x = graph.layer_norm(&x, &format!("{IMAGE}.pre_layernorm"), LAYER_NORM_EPSILON);
    let x = transformer(graph, &config.image, &x, IMAGE, false);
    let x = graph.layer_norm(&x, &format!("{IMAGE}.post_layernorm"), LAYER_NORM_EPSILON);
    let whole = graph.slice(&x, 0, 0..1);
    let patches = graph.slice(&x, 0, 1..n + 1);
    let x = graph.mul(&patches, &whole);
    graph.layer_norm(&x, "layer_norm", LAYER_NORM_EPSILON)
}

/// Returns the position embeddings `[1 + patches, width]`, resized if the grid is not the stored one. Mirrors
/// `interpolate_pos_encoding`.
fn places(graph: &mut Graph, config: &Config) -> Value {
    let name = format!("{IMAGE}.embeddings.position_embedding.weight");
    let (width, stored, grid) = (config.image.width, config.stored_grid, config.grid());
    let shape = [stored * stored + 1, width];
    if stored == grid {
        return graph.weight(&name, &shape);
    }
    graph.derived("places", &[grid * grid + 1, width], &[(&name, &shape)], move |w| {
        let (class, rows) = w[0].split_at(width);
        let planes: Vec<f32> = (0..width).flat_map(|c| rows.iter().skip(c).step_by(width).copied()).collect();
        let planes = resize_bicubic(&planes, stored, grid);
        let n = grid * grid;
        let row = |place: usize| planes.iter().skip(place).step_by(n).copied();
        class.iter().copied().chain((0..n).flat_map(row)).collect()
    })
}

/// Mirrors `Owlv2BoxPredictionHead`.
fn head(graph: &mut Graph, features: &Value, prefix: &str, n_out: usize) -> Value {
    let width = features.last_dim();
    let x = graph.linear(features, &format!("{prefix}.dense0"), width);
    let x = graph.gelu(&x);
    let x = graph.linear(&x, &format!("{prefix}.dense1"), width);
    let x = graph.gelu(&x);
    graph.linear(&x, &format!("{prefix}.dense2"), n_out)
}

/// Returns a box of a patch's size at each patch's bottom right corner, `[patches, 4]` before the sigmoid. Mirrors
/// `compute_box_bias`.
fn box_bias(grid: usize) -> Vec<f32> {
    const EPSILON: f64 = 1e-4;
    let logit = |share: f64| ((share + EPSILON).ln() - (EPSILON - share).ln_1p()) as f32;
    let size = logit(1.0 / grid as f64);
    let corner = |i: usize| logit((i + 1) as f64 / grid as f64);
    (0..grid * grid).flat_map(|i| [corner(i % grid), corner(i / grid), size, size]).collect()
}
