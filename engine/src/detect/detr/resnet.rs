//! RT-DETR's backbone: a ResNet of variant D (He et al., 2018), whose shortcuts pool before they project.

use crate::nn::{Graph, Value, ops::Window};

use super::{config::Backbone, layers::ConvNorm};

const PREFIX: &str = "model.backbone.model";

/// Encodes pixels `[1, 3, S, S]`. Returns the outputs of all four stages, strides 4 to 32. Mirrors
/// `RTDetrResNetBackbone.forward`.
pub(super) fn resnet(graph: &mut Graph, config: &Backbone, pixels: &Value) -> Vec<Value> {
    let mut x = pixels.clone();
    let half = config.embedding_size / 2;
    for (i, (channels, stride)) in [(half, 2), (half, 1), (config.embedding_size, 1)].into_iter().enumerate()
    {
        let conv = ConvNorm::of_backbone(&format!("{PREFIX}.embedder.embedder.{i}"));
        x = conv.add(graph, &x, channels, Window::new(3, stride, 1), 1);
        x = graph.relu(&x);
    }
    x = graph.max_pool(&x, Window::new(3, 2, 1));
    let mut outputs = Vec::new();
    for (stage, (&channels, &depth)) in config.hidden_sizes.iter().zip(&config.depths).enumerate() {
        for layer in 0..depth {
            let stride = if layer == 0 && stage > 0 { 2 } else { 1 };
            let prefix = format!("{PREFIX}.encoder.stages.{stage}.layers.{layer}");
            x = if config.layer_type == "basic" {
                basic(graph, &x, &prefix, channels, stride, layer == 0)
            } else {
                bottleneck(graph, &x, &prefix, channels, stride, config.downsample_in_bottleneck)
            };
        }
        outputs.push(x.clone());
    }
    outputs
}

/// Mirrors `RTDetrResNetBasicLayer`.
fn basic(
    graph: &mut Graph,
    x: &Value,
    prefix: &str,
    channels: usize,
    stride: usize,
    is_first: bool,
) -> Value {
    let layer = |i: usize| ConvNorm::of_backbone(&format!("{prefix}.layer.{i}"));
    let y = layer(0).add(graph, x, channels, Window::new(3, stride, 1), 1);
    let y = graph.relu(&y);
    let y = layer(1).add(graph, &y, channels, Window::new(3, 1, 1), 1);
    let shortcut = match (is_first, x.dim(1) == channels) {
        (false, _) => x.clone(),
        (true, true) => {
            let conv = ConvNorm::of_backbone(&format!("{prefix}.shortcut"));
            conv.add(graph, x, channels, Window::new(1, stride, 0), 1)
        }
        (true, false) => pooled_shortcut(graph, x, prefix, channels),
    };
    let sum = graph.add(&y, &shortcut);
    graph.relu(&sum)
}

/// Mirrors `RTDetrResNetBottleNeckLayer`.
fn bottleneck(
    graph: &mut Graph,
    x: &Value,
    prefix: &str,
    channels: usize,
    stride: usize,
    halves_first: bool,
) -> Value {
    const REDUCTION: usize = 4;
    let layer = |i: usize| ConvNorm::of_backbone(&format!("{prefix}.layer.{i}"));
    let (first, second) = if halves_first { (stride, 1) } else { (1, stride) };
    let y = layer(0).add(graph, x, channels / REDUCTION, Window::new(1, first, 0), 1);
    let y = graph.relu(&y);
    let y = layer(1).add(graph, &y, channels / REDUCTION, Window::new(3, second, 1), 1);
    let y = graph.relu(&y);
    let y = layer(2).add(graph, &y, channels, Window::new(1, 1, 0), 1);
    let shortcut = if stride == 2 {
        pooled_shortcut(graph, x, prefix, channels)
    } else if x.dim(1) == channels {
        x.clone()
    } else {
        let conv = ConvNorm::of_backbone(&format!("{prefix}.shortcut"));
        conv.add(graph, x, channels, Window::new(1, 1, 0), 1)
    };
    let sum = graph.add(&y, &shortcut);
    graph.relu(&sum)
}

fn pooled_shortcut(graph: &mut Graph, x: &Value, prefix: &str, channels: usize) -> Value {
    let pooled = graph.mean_pool(x, Window::new(2, 2, 0));
    let conv = ConvNorm::of_backbone(&format!("{prefix}.shortcut.1"));
    conv.add(graph, &pooled, channels, Window::new(1, 1, 0), 1)
}
