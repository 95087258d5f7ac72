//! Layers that the parts share. A convolution and the batch normalization after it are one convolution.

use crate::nn::{Graph, Value, ops::Window};

const BATCH_NORM_EPSILON: f32 = 1e-5;
pub(super) const LAYER_NORM_EPSILON: f32 = 1e-5;

/// A convolution without bias and its batch normalization, by what the checkpoint calls them.
pub(super) struct ConvNorm {
    conv: String,
    norm: String,
}

impl ConvNorm {
    /// In a backbone. Mirrors `RTDetrResNetConvLayer` and `HGNetV2ConvLayer`.
    pub(super) fn of_backbone(prefix: &str) -> Self {
        Self { conv: format!("{prefix}.convolution"), norm: format!("{prefix}.normalization") }
    }

    /// In a neck. Mirrors `RTDetrV2ConvNormLayer` and `DFineConvNormLayer`.
    pub(super) fn of_neck(prefix: &str) -> Self {
        Self { conv: format!("{prefix}.conv"), norm: format!("{prefix}.norm") }
    }

    /// In a projection between parts, which is a plain `nn.Sequential`.
    pub(super) fn of_projection(prefix: &str) -> Self {
        Self { conv: format!("{prefix}.0"), norm: format!("{prefix}.1") }
    }

    /// Adds it.
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
        let weight = graph.derived(&format!("{}.folded_weight", self.conv), &shape, &from, |w| fold(w).0);
        let bias = graph.derived(&format!("{}.folded_bias", self.conv), &shape[..1], &from, |w| fold(w).1);
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

/// Kernel and bias of a convolution whose results are normalized: of kernel, scale, shift, mean and variance.
fn fold(w: &[Vec<f32>]) -> (Vec<f32>, Vec<f32>) {
    let [kernel, scale, shift, mean, variance] = w else { unreachable!("five tensors are asked for") };
    let n = kernel.len() / scale.len();
    let factors: Vec<f32> =
        scale.iter().zip(variance).map(|(s, v)| s / (v + BATCH_NORM_EPSILON).sqrt()).collect();
    let folded = kernel.chunks_exact(n).zip(&factors).flat_map(|(row, f)| row.iter().map(move |k| k * f));
    let bias = shift.iter().zip(mean).zip(&factors).map(|((s, m), f)| s - m * f);
    (folded.collect(), bias.collect())
}

/// A 3x3 and a 1x1 convolution side by side, which are one 3x3 convolution. Mirrors `RTDetrV2RepVggBlock`.
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
        let (mut kernel, center) = (fold(&w[..5]).0, fold(&w[5..]).0);
        kernel.chunks_exact_mut(9).zip(center).for_each(|(window, c)| window[4] += c);
        kernel
    });
    let bias = graph.derived(&format!("{prefix}.folded_bias"), &one, &from, |w| {
        let (a, b) = (fold(&w[..5]).1, fold(&w[5..]).1);
        a.iter().zip(b).map(|(a, b)| a + b).collect()
    });
    let x = graph.conv_by(x, &weight, &bias, Window::new(3, 1, 1), 1);
    graph.silu(&x)
}

/// Linear maps `{prefix}.layers.{i}` with a rectifier between two. Mirrors `DFineMLP` and `RTDetrV2MLPPredictionHead`.
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

/// Attention of tokens `x` `[n, d]` among each other; `places` `[n, d]` are added for queries and keys.
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

/// `x + y`, normalized by `{prefix}`.
pub(super) fn add_norm(graph: &mut Graph, x: &Value, y: &Value, prefix: &str) -> Value {
    let sum = graph.add(x, y);
    graph.layer_norm(&sum, prefix, LAYER_NORM_EPSILON)
}

/// A map `[1, c, h, w]` as a row a pixel, `[h * w, c]`.
pub(super) fn rows(graph: &mut Graph, map: &Value) -> Value {
    let (c, n) = (map.dim(1), map.dim(2) * map.dim(3));
    let x = graph.reshape_to(map, &[c, n]);
    graph.transpose(&x, &[1, 0])
}
