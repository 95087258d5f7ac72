//! The prompt encoder: encodes points and boxes as tokens, and masks as dense features.

use crate::nn::{Dim, Graph, Value};

use super::{cells, config::Config, position};

/// Label of a padding point.
pub(super) const NOT_A_POINT: f32 = -1.0;
/// Label of a point outside the object.
pub(super) const NEGATIVE: f32 = 0.0;
/// Label of a point on the object.
pub(super) const POSITIVE: f32 = 1.0;
/// Labels of a box's top left and bottom right corners.
pub(super) const BOX_CORNERS: [f32; 2] = [2.0, 3.0];

const GAUSSIAN: &str = "sam_prompt_encoder.pe_layer.positional_encoding_gaussian_matrix";

/// Encodes points `[B, P, 2]`, in pixels of the model's square input, with labels `[B, P]` as tokens `[B, P, d_model]`.
///
/// Mirrors `PromptEncoder._embed_points`, but the caller must append the padding point that the original appends.
pub(super) fn point_tokens(graph: &mut Graph, config: &Config, points: &Value, labels: &Value) -> Value {
    let d = config.d_model;
    let shape = [labels.shape()[0], labels.shape()[1], d.into()];
    let (points, labels) = (graph.rows(points), graph.reshape(labels, &[Dim::Named("rows")]));
    // Pixel centers, scaled to -1..1, then multiplied by 2π and the random projection.
    let half = graph.scalar(0.5);
    let scale = graph.scalar(2.0 / config.image_size as f32);
    let one = graph.scalar(1.0);
    let centers = graph.add(&points, &half);
    let scaled = graph.mul(&centers, &scale);
    let scaled = graph.sub(&scaled, &one);
    let gaussian = graph.derived("gaussian_2pi", &[2, d / 2], &[(GAUSSIAN, &[2, d / 2])], |w| {
        w[0].iter().map(|v| (std::f64::consts::TAU * f64::from(*v)) as f32).collect()
    });
    let phases = graph.matmul(&scaled, &gaussian);
    let (sin, cos) = (graph.sin(&phases), graph.cos(&phases));
    let encoding = graph.concat(&[&sin, &cos], 1, None);
    // A padding point has only its embedding, without the position encoding.
    let is_point = graph.is_above(&labels, -0.5);
    let is_point = graph.reshape(&is_point, &[labels.shape()[0], 1.into()]);
    let encoding = graph.mul(&encoding, &is_point);
    let embeddings: Vec<String> = ["not_a_point_embed".to_owned()]
        .into_iter()
        .chain((0..4).map(|i| format!("point_embeddings.{i}")))
        .map(|name| format!("sam_prompt_encoder.{name}.weight"))
        .collect();
    let row_shape = [1, d];
    let from: Vec<(&str, &[usize])> = embeddings.iter().map(|name| (name.as_str(), &row_shape[..])).collect();
    let table = graph.derived("label_table", &[5, d], &from, |w| w.concat());
    let row = graph.add(&labels, &one);
    let row = graph.to_integer(&row);
    let embedding = graph.gather_rows(&table, &row);
    let tokens = graph.add(&encoding, &embedding);
    graph.reshape(&tokens, &shape)
}

/// Name of the embedding for "no mask prompt": `[1, d_model]`.
pub(super) const NO_MASK: &str = "sam_prompt_encoder.no_mask_embed.weight";

/// Names of the mask encoder's input and output.
pub(super) mod names {
    /// Mask logits in row-major order: `[16 grid², 1]`.
    pub(crate) const MASK: &str = "mask";
    /// `[grid², d_model]`.
    pub(crate) const DENSE: &str = "dense";
}

/// Builds the graph that encodes a mask prompt as features. Mirrors `PromptEncoder._embed_masks`.
pub(super) fn mask_encoder(config: &Config) -> Graph {
    let mut graph = Graph::new("mask_encoder");
    let x = graph.input(names::MASK, &[(16 * config.grid().pow(2)).into(), 1.into()]);
    let mut x = cells::of_rows(&mut graph, &x, config.grid());
    for (conv, norm, channels) in [(0, 1, 4), (3, 4, 16)] {
        let prefix = "sam_prompt_encoder.mask_downscaling";
        x = cells::join(&mut graph, &x, &format!("{prefix}.{conv}"), channels);
        x = graph.layer_norm(&x, &format!("{prefix}.{norm}"), 1e-6);
        x = graph.gelu(&x);
    }
    let x = graph.linear_of_conv(&x, "sam_prompt_encoder.mask_downscaling.6", config.d_model);
    graph.output_for_models(names::DENSE, &x);
    graph
}

/// Returns the position encoding of the grid: `[grid², d_model]`. Mirrors `PromptEncoder.get_dense_pe`.
pub(super) fn grid_positions(graph: &mut Graph, config: &Config) -> Value {
    let (side, d) = (config.grid(), config.d_model);
    let from: [(&str, &[usize]); 1] = [(GAUSSIAN, &[2, d / 2])];
    graph.derived("grid_positions", &[side * side, d], &from, move |w| position::fourier_grid(side, &w[0]))
}
