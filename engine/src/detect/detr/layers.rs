//! Layers shared by the other modules. Batch normalization is folded into the convolution before it.

use crate::nn::{Graph, Value, ops::Window};

const BATCH_NORM_EPSILON: f32 = 1e-5;
pub(super) const LAYER_NORM_EPSILON: f32 = 1e-5;

/// A convolution without bias and its batch normalization, by their names in the checkpoint.
pub(super) struct ConvNorm {
    conv: String,
    norm: String,
}

impl ConvNorm {
    /// Returns the names of a layer of a backbone. Mirrors `RTDetrResNetConvLayer` and `HGNetV2ConvLayer`.
    pub(super) fn of_backbone(prefix: &str) -> Self {
        Self { conv: format!("{prefix}.convolution"), norm: format!("{prefix}.normalization") }
    }

    /// Returns the names of a layer of a neck. Mirrors `RTDetrV2ConvNormLayer` and `DFineConvNormLayer`.
    pub(super) fn of_neck(prefix: &str) -> Self {
        Self { conv: format!("{prefix}.conv"), norm: format!("{prefix}.norm") }
    }

    /// Returns the names of a projection between backbone, neck and decoder, which is a plain `nn.Sequential`.
    pub(super) fn of_projection(prefix: &str) -> Self {
        Self { conv: format!("{prefix}.0"), norm: format!("{prefix}.1") }
    }

    /// Adds the layer to the graph as one convolution with bias.
    #[track_caller]
    pub(super) fn add(
        &self,
        graph: &mut Graph,
        x: &Value,
        n_out: usize,
        window: Window,
        groups: usize,
    ) -> Value {
        let shape = [n_out, x.dim(1) / groups, window.kernel, window.kernel];
        let names = self.names();
        let shapes: [&[usize]; 5] = [&shape, &shape[..1], &shape[..1], &shape[..1], &shape[..1]];
        let from: Vec<(&str, &[usize])> = names.iter().map(String::as_str).zip(shapes).collect();
        let weight = graph.derived(&format!("{}.folded_weight", self.conv), &shape, &from, folded_kernel);
        let bias = graph.derived(&format!("{}.folded_bias", self.conv), &shape[..1], &from, folded_bias);
        graph.conv_by(x, &weight, &bias, window, groups)
    }

    fn names(&self) -> [String; 5] {
        let norm = |part: &str| format!("{}.{part}", self.norm);
        [
            format!("{}.weight", self.conv),
            norm("weight"),
            norm("bias"),
            norm("running_mean"),
            norm("running_var"),
        ]
    }
}

/// Returns the kernel of a convolution with folded batch normalization, from kernel, scale, shift, mean and variance.
fn folded_kernel(w: &[Vec<f32>]) -> Vec<f32> {
    let rows = w[0].chunks_exact(w[0].len() / w[1].len());
    rows.zip(factors(w)).flat_map(|(row, factor)| row.iter().map(move |k| k * factor)).collect()
}

/// Returns the bias of a convolution with folded batch normalization, from kernel, scale, shift, mean and variance.
fn folded_bias(w: &[Vec<f32>]) -> Vec<f32> {
    w[2].iter().zip(&w[3]).zip(factors(w)).map(|((shift, mean), factor)| shift - mean * factor).collect()
}

/// Returns the factor by which the normalization multiplies each channel.
fn factors(w: &[Vec<f32>]) -> impl Iterator<Item = f32> {
    w[1].iter().zip(&w[4]).map(|(scale, variance)| scale / (variance + BATCH_NORM_EPSILON).sqrt())
}

/// Adds parallel 3x3 and 1x1 convolutions, folded into one 3x3 convolution. Mirrors `RTDetrV2RepVggBlock`.
pub(super) fn rep_vgg(graph: &mut Graph, x: &Value, prefix: &str) -> Value {
    let n = x.dim(1);
    let [wide, narrow] =
        ["conv1", "conv2"].map(|part| ConvNorm::of_neck(&format!("{prefix}.{part}")).names());
    let (wide_shape, narrow_shape, one) = ([n, n, 3, 3], [n, n, 1, 1], [n]);
    let from: Vec<(&str, &[usize])> = wide
        .iter()
        .zip([&wide_shape[..], &one, &one, &one, &one])
        .chain(narrow.iter().zip([&narrow_shape[..], &one, &one, &one, &one]))
        .map(|(name, shape)| (name.as_str(), shape))
        .collect();
    let weight = graph.derived(&format!("{prefix}.folded_weight"), &wide_shape, &from, |w| {
        let (mut kernel, center) = (folded_kernel(&w[..5]), folded_kernel(&w[5..]));
        kernel.chunks_exact_mut(9).zip(center).for_each(|(window, c)| window[4] += c);
        kernel
    });
    let bias = graph.derived(&format!("{prefix}.folded_bias"), &one, &from, |w| {
        folded_bias(&w[..5]).iter().zip(folded_bias(&w[5..])).map(|(a, b)| a + b).collect()
    });
    let x = graph.conv_by(x, &weight, &bias, Window::new(3, 1, 1), 1);
    graph.silu(&x)
}

/// Applies linear layers `{prefix}.layers.{i}` with ReLU between them. Mirrors `DFineMLP` and
/// `RTDetrV2MLPPredictionHead`.
pub(super) fn mlp(graph: &mut Graph, x: &Value, prefix: &str, sizes: &[usize]) -> Value {
    let mut x = x.clone();
    for (i, &n_out) in sizes.iter().enumerate() {
        if i > 0 {
            x = graph.relu(&x);
        }
        x = graph.linear(&x, &format!("{prefix}.layers.{i}"), n_out);
    }
    x
}

/// Applies self-attention to tokens `x` `[n, d]`; position embeddings `places` `[n, d]` are added for queries and keys.
///
/// Mirrors `RTDetrV2SelfAttention`.
pub(super) fn self_attention(
    graph: &mut Graph,
    x: &Value,
    places: &Value,
    prefix: &str,
    n_heads: usize,
) -> Value {
    let (n, d) = (x.dim(0), x.dim(1));
    let placed = graph.add(x, places);
    let [q, k, v] = [(&placed, "q_proj"), (&placed, "k_proj"), (x, "v_proj")].map(|(x, part)| {
        let projected = graph.linear(x, &format!("{prefix}.{part}"), d);
        graph.reshape_to(&projected, &[1, n, d])
    });
    let mixed = graph.attention(&q, &k, &v, n_heads);
    let mixed = graph.reshape_to(&mixed, &[n, d]);
    graph.linear(&mixed, &format!("{prefix}.out_proj"), d)
}

/// Applies two linear layers with `activate` between them, adds the result to `x` and normalizes the sum. Mirrors the
/// end of every encoder and decoder layer.
pub(super) fn feed_forward(
    graph: &mut Graph,
    x: &Value,
    prefix: &str,
    n_hidden: usize,
    activate: fn(&mut Graph, &Value) -> Value,
) -> Value {
    let hidden = graph.linear(x, &format!("{prefix}.fc1"), n_hidden);
    let hidden = activate(graph, &hidden);
    let out = graph.linear(&hidden, &format!("{prefix}.fc2"), x.last_dim());
    add_norm(graph, x, &out, &format!("{prefix}.final_layer_norm"))
}

/// Returns `x + y`, normalized by the layer norm `{prefix}`.
pub(super) fn add_norm(graph: &mut Graph, x: &Value, y: &Value, prefix: &str) -> Value {
    let sum = graph.add(x, y);
    graph.layer_norm(&sum, prefix, LAYER_NORM_EPSILON)
}

/// Reshapes a map `[1, c, h, w]` to one row per pixel, `[h * w, c]`.
pub(super) fn rows(graph: &mut Graph, map: &Value) -> Value {
    let (c, n) = (map.dim(1), map.dim(2) * map.dim(3));
    let x = graph.reshape_to(map, &[c, n]);
    graph.transpose(&x, &[1, 0])
}
