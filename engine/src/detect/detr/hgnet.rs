//! D-FINE's backbone: HGNetV2 (from PaddleClas), whose blocks concatenate the outputs of all their layers.

use crate::nn::{Graph, Value, ops::Window};

use super::{config::Backbone, layers::ConvNorm};

const PREFIX: &str = "model.backbone.model";

/// Encodes pixels `[1, 3, S, S]`. Returns the outputs of all four stages, strides 4 to 32. Mirrors
/// `HGNetV2Backbone.forward`.
pub(super) fn hgnet(graph: &mut Graph, config: &Backbone, pixels: &Value) -> Vec<Value> {
    let mut x = stem(graph, config, pixels);
    let mut outputs = Vec::new();
    for stage in 0..config.stage_in_channels.len() {
        let prefix = format!("{PREFIX}.encoder.stages.{stage}");
        if config.stage_downsample[stage] {
            let channels = config.stage_in_channels[stage];
            let conv = ConvNorm::of_backbone(&format!("{prefix}.downsample"));
            x = conv.add(graph, &x, channels, Window::new(3, 2, 1), channels);
        }
        for i in 0..config.stage_num_blocks[stage] {
            let made = block(graph, config, stage, &x, &format!("{prefix}.blocks.{i}"));
            x = if i > 0 { graph.add(&made, &x) } else { made };
        }
        outputs.push(x.clone());
    }
    outputs
}

/// Mirrors `HGNetV2Embeddings`.
fn stem(graph: &mut Graph, config: &Backbone, pixels: &Value) -> Value {
    let [_, middle, out] = config.stem_channels;
    let layer = |graph: &mut Graph, x: &Value, name: &str, channels: usize, window: Window| {
        conv_relu(graph, config, x, &format!("{PREFIX}.embedder.{name}"), channels, window, 1)
    };
    let x = layer(graph, pixels, "stem1", middle, Window::new(3, 2, 1));
    let x = graph.pad_far(&x);
    let y = layer(graph, &x, "stem2a", middle / 2, Window::new(2, 1, 0));
    let y = graph.pad_far(&y);
    let y = layer(graph, &y, "stem2b", middle, Window::new(2, 1, 0));
    let pooled = graph.max_pool(&x, Window::new(2, 1, 0));
    let x = graph.concat(&[&pooled, &y], 1, None);
    let x = layer(graph, &x, "stem3", middle, Window::new(3, 2, 1));
    layer(graph, &x, "stem4", out, Window::new(1, 1, 0))
}

/// Mirrors `HGNetV2BasicLayer`, without its shortcut.
fn block(graph: &mut Graph, config: &Backbone, stage: usize, x: &Value, prefix: &str) -> Value {
    let (middle, out) = (config.stage_mid_channels[stage], config.stage_out_channels[stage]);
    let kernel = config.stage_kernel_size[stage];
    let window = Window::new(kernel, 1, (kernel - 1) / 2);
    let mut made = vec![x.clone()];
    for i in 0..config.stage_numb_of_layers[stage] {
        let prefix = format!("{prefix}.layers.{i}");
        let x = &made[i];
        let y = if config.stage_light_block[stage] {
            let conv = ConvNorm::of_backbone(&format!("{prefix}.conv1"));
            let x = conv.add(graph, x, middle, Window::new(1, 1, 0), 1);
            conv_relu(graph, config, &x, &format!("{prefix}.conv2"), middle, window, middle)
        } else {
            conv_relu(graph, config, x, &prefix, middle, window, 1)
        };
        made.push(y);
    }
    let all = graph.concat(&made.iter().collect::<Vec<_>>(), 1, None);
    let x =
        conv_relu(graph, config, &all, &format!("{prefix}.aggregation.0"), out / 2, Window::new(1, 1, 0), 1);
    conv_relu(graph, config, &x, &format!("{prefix}.aggregation.1"), out, Window::new(1, 1, 0), 1)
}

/// Mirrors `HGNetV2ConvLayer` and, where the model has it, `HGNetV2LearnableAffineBlock`.
fn conv_relu(
    graph: &mut Graph,
    config: &Backbone,
    x: &Value,
    prefix: &str,
    channels: usize,
    window: Window,
    groups: usize,
) -> Value {
    let x = ConvNorm::of_backbone(prefix).add(graph, x, channels, window, groups);
    let x = graph.relu(&x);
    if !config.use_learnable_affine_block {
        return x;
    }
    let scale = graph.weight(&format!("{prefix}.lab.scale"), &[1]);
    let bias = graph.weight(&format!("{prefix}.lab.bias"), &[1]);
    let x = graph.mul(&x, &scale);
    graph.add(&x, &bias)
}
