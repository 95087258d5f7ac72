//! The image encoder: trunk and neck. It runs once per image, whatever the number of prompts.

use crate::nn::{Dim, Graph, Value, ops::IMAGENET};

use super::{cells, config::Config, hiera};

/// Names of the graph's inputs and outputs.
pub(super) mod names {
    /// Bytes `[S, S, 3]`, RGB.
    pub(crate) const PIXELS: &str = "pixels";
    /// `[1, grid², d_model]`, stride 16.
    pub(crate) const FEATURES: &str = "features";
    /// Stride 4 in cell order (see `cells`): `[16 grid², d_model / 8]`.
    pub(crate) const FINE: &str = "fine";
    /// Stride 8 in cell order: `[4 grid², d_model / 4]`.
    pub(crate) const MIDDLE: &str = "middle";
}

/// Builds the graph of the image encoder. Mirrors `SAM2Base.forward_image`.
pub(super) fn image_encoder(config: &Config) -> Graph {
    let mut graph = Graph::new("image_encoder");
    graph.allow_half();
    let pixels =
        graph.input_u8(names::PIXELS, &[config.image_size.into(), config.image_size.into(), Dim::Fixed(3)]);
    let pixels = graph.normalized_pixels(&pixels, IMAGENET[0], IMAGENET[1]);
    let levels = hiera::hiera(&mut graph, config, &pixels);
    let [level_0, level_1, level_2, level_3] = &levels;
    let features = top_down(&mut graph, config, level_2, level_3);
    let features = graph.reshape_to(&features, &[1, config.grid().pow(2), config.d_model]);
    graph.output_for_models(names::FEATURES, &features);
    for (output, level, conv, lateral, channels) in [
        (names::FINE, level_0, "sam_mask_decoder.conv_s0", 3, config.d_model / 8),
        (names::MIDDLE, level_1, "sam_mask_decoder.conv_s1", 2, config.d_model / 4),
    ] {
        let x = fold_lateral(&mut graph, config, &level.value, conv, lateral, channels);
        let x = hiera::Tokens { value: x, ..*level };
        let x = x.by_rows(&mut graph);
        let x = cells::of_rows(&mut graph, &x, config.grid());
        graph.output_for_models(output, &x);
    }
    graph
}

/// Adds the upsampled stride-32 features to those of stride 16. Mirrors `FpnNeck` with top-down levels 2 and 3 and
/// `scalp` 1.
fn top_down(graph: &mut Graph, config: &Config, level_2: &hiera::Tokens, level_3: &hiera::Tokens) -> Value {
    let mut lateral = |level: &hiera::Tokens, i: usize| {
        let x = level.by_rows(graph);
        graph.linear_of_conv(&x, &format!("image_encoder.neck.convs.{i}.conv"), config.d_model)
    };
    let coarse = lateral(level_3, 0);
    let fine = lateral(level_2, 1);
    let (side, channels) = (level_3.side, config.d_model);
    let coarse = graph.reshape_to(&coarse, &[side, 1, side, 1, channels]);
    let coarse = graph.expand(&coarse, &[side, 2, side, 2, channels].map(Dim::Fixed));
    let coarse = graph.reshape_to(&coarse, &[4 * side * side, channels]);
    graph.add(&fine, &coarse)
}

/// Applies the neck's lateral convolution and then the decoder's, folded into a single linear map.
fn fold_lateral(
    graph: &mut Graph,
    config: &Config,
    x: &Value,
    conv: &str,
    lateral: usize,
    n_out: usize,
) -> Value {
    let (n_in, n_middle) = (x.last_dim(), config.d_model);
    let lateral = format!("image_encoder.neck.convs.{lateral}.conv");
    let [weight, bias] =
        ["weight", "bias"].map(|part| (format!("{conv}.{part}"), format!("{lateral}.{part}")));
    let folded_weight = graph.derived(
        &format!("{conv}.folded_weight"),
        &[n_out, n_in],
        &[(&weight.0, &[n_out, n_middle, 1, 1]), (&weight.1, &[n_middle, n_in, 1, 1])],
        move |w| multiply(&w[0], &w[1], n_middle),
    );
    let folded_bias = graph.derived(
        &format!("{conv}.folded_bias"),
        &[n_out],
        &[(&weight.0, &[n_out, n_middle, 1, 1]), (&bias.0, &[n_out]), (&bias.1, &[n_middle])],
        move |w| multiply(&w[0], &w[2], n_middle).iter().zip(&w[1]).map(|(a, b)| a + b).collect(),
    );
    graph.gemm(x, &folded_weight, &folded_bias)
}

/// Returns the matrix product of `a` `[_, n]` and `b` `[n, _]`.
pub(super) fn multiply(a: &[f32], b: &[f32], n: usize) -> Vec<f32> {
    let n_columns = b.len() / n;
    let mut out = Vec::with_capacity(a.len() / n * n_columns);
    for row in a.chunks_exact(n) {
        let mut sums = vec![0.0_f64; n_columns];
        for (&factor, b_row) in row.iter().zip(b.chunks_exact(n_columns)) {
            for (sum, &value) in sums.iter_mut().zip(b_row) {
                *sum += f64::from(factor) * f64::from(value);
            }
        }
        out.extend(sums.iter().map(|&sum| sum as f32));
    }
    out
}
