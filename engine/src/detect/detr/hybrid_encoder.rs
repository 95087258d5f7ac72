//! The neck: self-attention within the coarsest level, then a top-down and a bottom-up path through all levels (Zhao et
//! al., 2023).

use crate::nn::{Graph, Value, ops::Window};

use super::{
    config::{Config, Family},
    layers::{ConvNorm, add_norm, feed_forward, rep_vgg, rows, self_attention},
};

const PREFIX: &str = "model.encoder";
const ONE: Window = Window::new(1, 1, 0);

/// Fuses the backbone's levels. Returns one map `[1, encoder_hidden_dim, h, w]` per level. Mirrors
/// `RTDetrV2HybridEncoder.forward` and `DFineHybridEncoder.forward`.
pub(super) fn hybrid_encoder(graph: &mut Graph, config: &Config, levels: &[Value]) -> Vec<Value> {
    let d = config.encoder_hidden_dim;
    let mut levels: Vec<Value> = levels
        .iter()
        .enumerate()
        .map(|(i, x)| {
            ConvNorm::of_projection(&format!("model.encoder_input_proj.{i}")).add(graph, x, d, ONE, 1)
        })
        .collect();
    if config.encoder_layers > 0 {
        for (i, &level) in config.encode_proj_layers.iter().enumerate() {
            levels[level] = attend(graph, config, &levels[level], &format!("{PREFIX}.encoder.{i}"));
        }
    }
    let neck = Neck { config };
    let n_ways = levels.len() - 1;
    let mut down = vec![levels[n_ways].clone()];
    for i in 0..n_ways {
        let coarse =
            ConvNorm::of_neck(&format!("{PREFIX}.lateral_convs.{i}")).add(graph, &down[i], d, ONE, 1);
        let coarse = if config.family == Family::RtDetrV2 { graph.silu(&coarse) } else { coarse };
        let doubled = graph.doubled(&coarse);
        down[i] = coarse;
        let both = graph.concat(&[&doubled, &levels[n_ways - 1 - i]], 1, None);
        down.push(neck.block(graph, &both, &format!("{PREFIX}.fpn_blocks.{i}")));
    }
    down.reverse();
    let mut up = vec![down[0].clone()];
    for i in 0..n_ways {
        let halved = neck.halve(graph, &up[i], &format!("{PREFIX}.downsample_convs.{i}"));
        let both = graph.concat(&[&halved, &down[i + 1]], 1, None);
        up.push(neck.block(graph, &both, &format!("{PREFIX}.pan_blocks.{i}")));
    }
    up
}

/// Mirrors `RTDetrV2AIFILayer`.
fn attend(graph: &mut Graph, config: &Config, map: &Value, prefix: &str) -> Value {
    let (d, side) = (map.dim(1), map.dim(2));
    let places = graph.constant(&format!("places.{side}"), &[side * side, d], &sine_places(side, d));
    let mut x = rows(graph, map);
    for layer in 0..config.encoder_layers {
        let prefix = format!("{prefix}.layers.{layer}");
        let name = |part: &str| format!("{prefix}.{part}");
        let attended = self_attention(graph, &x, &places, &name("self_attn"), config.encoder_attention_heads);
        x = add_norm(graph, &x, &attended, &name("self_attn_layer_norm"));
        x = feed_forward(graph, &x, &prefix, config.encoder_ffn_dim, Graph::gelu);
    }
    let x = graph.transpose(&x, &[1, 0]);
    graph.reshape_to(&x, &[1, d, side, side])
}

/// Returns the position embeddings of a `side` x `side` grid, `[side * side, channels]`: a quarter of the channels each
/// for sine of y, cosine of y, sine of x and cosine of x. Mirrors `build_2d_sinusoidal_position_embedding`.
fn sine_places(side: usize, channels: usize) -> Vec<f32> {
    const TEMPERATURE: f64 = 10_000.0;
    let quarter = channels / 4;
    let phases = |i: usize| (0..quarter).map(move |c| i as f64 / TEMPERATURE.powf(c as f64 / quarter as f64));
    let axis = |i: usize| phases(i).map(f64::sin).chain(phases(i).map(f64::cos)).map(|v| v as f32);
    (0..side * side).flat_map(|place| axis(place / side).chain(axis(place % side))).collect()
}

/// Blocks of the neck, which differ between the two families.
struct Neck<'a> {
    config: &'a Config,
}

impl Neck<'_> {
    fn conv_silu(&self, graph: &mut Graph, x: &Value, prefix: &str, n_out: usize, window: Window) -> Value {
        let x = ConvNorm::of_neck(prefix).add(graph, x, n_out, window, 1);
        graph.silu(&x)
    }

    /// Fuses two levels, concatenated along the channels, into one.
    fn block(&self, graph: &mut Graph, x: &Value, prefix: &str) -> Value {
        let d = self.config.encoder_hidden_dim;
        match self.config.family {
            Family::RtDetrV2 => {
                let hidden = (d as f64 * self.config.hidden_expansion) as usize;
                self.csp(graph, x, prefix, hidden, d, 3)
            }
            Family::DFine => self.elan(graph, x, prefix),
        }
    }

    /// Adds a cross stage partial network with RepVGG blocks. Mirrors `RTDetrV2CSPRepLayer` and `DFineCSPRepLayer`.
    fn csp(
        &self,
        graph: &mut Graph,
        x: &Value,
        prefix: &str,
        hidden: usize,
        out: usize,
        n_blocks: usize,
    ) -> Value {
        let mut y = self.conv_silu(graph, x, &format!("{prefix}.conv1"), hidden, ONE);
        for i in 0..n_blocks {
            y = rep_vgg(graph, &y, &format!("{prefix}.bottlenecks.{i}"));
        }
        let z = self.conv_silu(graph, x, &format!("{prefix}.conv2"), hidden, ONE);
        let sum = graph.add(&y, &z);
        if hidden == out { sum } else { self.conv_silu(graph, &sum, &format!("{prefix}.conv3"), out, ONE) }
    }

    /// Mirrors `DFineRepNCSPELAN4`.
    fn elan(&self, graph: &mut Graph, x: &Value, prefix: &str) -> Value {
        let d = self.config.encoder_hidden_dim;
        let n_blocks = (3.0 * self.config.depth_mult).round_ties_even() as usize;
        let quarter = ((self.config.hidden_expansion * d as f64 / 2.0).floor()) as usize;
        let name = |part: &str| format!("{prefix}.{part}");
        let window = Window::new(3, 1, 1);
        let x = self.conv_silu(graph, x, &name("conv1"), 2 * d, ONE);
        let [first, second] = graph.split(&x, 1);
        let a = self.csp(graph, &second, &name("csp_rep1"), quarter, quarter, n_blocks);
        let a = self.conv_silu(graph, &a, &name("conv2"), quarter, window);
        let b = self.csp(graph, &a, &name("csp_rep2"), quarter, quarter, n_blocks);
        let b = self.conv_silu(graph, &b, &name("conv3"), quarter, window);
        let all = graph.concat(&[&first, &second, &a, &b], 1, None);
        self.conv_silu(graph, &all, &name("conv4"), d, ONE)
    }

    /// Halves the size of a level. Mirrors `RTDetrV2ConvNormLayer` and `DFineSCDown`.
    fn halve(&self, graph: &mut Graph, x: &Value, prefix: &str) -> Value {
        let d = self.config.encoder_hidden_dim;
        let window = Window::new(3, 2, 1);
        match self.config.family {
            Family::RtDetrV2 => self.conv_silu(graph, x, prefix, d, window),
            Family::DFine => {
                let x = ConvNorm::of_neck(&format!("{prefix}.conv1")).add(graph, x, d, ONE, 1);
                ConvNorm::of_neck(&format!("{prefix}.conv2")).add(graph, &x, d, window, d)
            }
        }
    }
}
