//! The trunk: [Hiera](https://arxiv.org/abs/2306.00989) (Ryali et al., 2023), a transformer in four stages with
//! windowed attention.
//!
//! Tokens stay in window order from block to block. They are reordered only where the window size changes.

use crate::{
    mask::resize_bicubic,
    nn::{Graph, Value, ops::Window},
};

use super::config::{Config, POS_EMBED_WINDOW};

const LAYER_NORM_EPSILON: f32 = 1e-6;
const MLP_RATIO: usize = 4;

/// A square grid of tokens.
pub(super) struct Tokens {
    /// `[side * side, channels]`
    pub value: Value,
    pub side: usize,
    /// Side of the windows by which the tokens are ordered; equal to `side` for row-major order.
    pub window: usize,
}

impl Tokens {
    /// Returns the tokens ordered by windows of side `window`.
    pub(super) fn by_windows(&self, graph: &mut Graph, window: usize) -> Value {
        if window == self.window {
            return self.value.clone();
        }
        let rows = if self.window == self.side {
            self.value.clone()
        } else {
            swap_windows(graph, &self.value, self.side / self.window, self.window)
        };
        if window == self.side { rows } else { split_windows(graph, &rows, self.side, window) }
    }

    /// Returns the tokens in row-major order.
    pub(super) fn by_rows(&self, graph: &mut Graph) -> Value {
        self.by_windows(graph, self.side)
    }
}

/// Reorders row-major tokens of a `side` x `side` grid by windows. Mirrors `window_partition`.
fn split_windows(graph: &mut Graph, tokens: &Value, side: usize, window: usize) -> Value {
    let n = side / window;
    let channels = tokens.last_dim();
    let x = graph.reshape_to(tokens, &[n, window, n, window, channels]);
    let x = graph.transpose(&x, &[0, 2, 1, 3, 4]);
    graph.reshape_to(&x, &[side * side, channels])
}

/// Reorders tokens of `n` x `n` windows into row-major order. Mirrors `window_unpartition`.
fn swap_windows(graph: &mut Graph, tokens: &Value, n: usize, window: usize) -> Value {
    let channels = tokens.last_dim();
    let x = graph.reshape_to(tokens, &[n, n, window, window, channels]);
    let x = graph.transpose(&x, &[0, 2, 1, 3, 4]);
    graph.reshape_to(&x, &[n * window * n * window, channels])
}

/// Applies 2x2 max pooling to `n` squares of tokens `[n * side * side, channels]`. Mirrors `do_pool`.
fn pool(graph: &mut Graph, tokens: &Value, n: usize, side: usize) -> Value {
    let channels = tokens.last_dim();
    let x = graph.reshape_to(tokens, &[n, side, side, channels]);
    let x = graph.transpose(&x, &[0, 3, 1, 2]);
    let x = graph.max_pool(&x, Window::new(2, 2, 0));
    let x = graph.transpose(&x, &[0, 2, 3, 1]);
    graph.reshape_to(&x, &[n * side * side / 4, channels])
}

/// Maps pixels `[1, 3, S, S]` to the outputs of the four stages (strides 4, 8, 16 and 32). Mirrors `Hiera.forward`.
pub(super) fn hiera(graph: &mut Graph, config: &Config, pixels: &Value) -> [Tokens; 4] {
    let mut tokens = embed_patches(graph, config, pixels);
    let mut channels = config.embed_dim;
    let mut n_heads = config.num_heads;
    let mut block = 0;
    [0, 1, 2, 3].map(|stage: usize| {
        for i in 0..config.stages[stage] {
            let opens_stage = i == 0 && stage > 0;
            if opens_stage {
                channels *= 2;
                n_heads *= 2;
            }
            // The first block of a stage still uses the window size of the previous stage.
            let window = config.windows[if opens_stage { stage - 1 } else { stage }];
            let is_global = config.global_blocks.contains(&block);
            let shape = Block {
                prefix: format!("image_encoder.trunk.blocks.{block}"),
                channels,
                n_heads,
                window: if is_global { tokens.side } else { window },
                halves: opens_stage,
            };
            tokens = shape.add(graph, &tokens);
            block += 1;
        }
        Tokens { value: tokens.value.clone(), ..tokens }
    })
}

/// Embeds patches and adds positions. Mirrors `PatchEmbed` and `Hiera._get_pos_embed`.
fn embed_patches(graph: &mut Graph, config: &Config, pixels: &Value) -> Tokens {
    let side = config.mask_side();
    let channels = config.embed_dim;
    let window = Window { kernel: 7, stride: 4, padding: 3 };
    let x = graph.conv(pixels, "image_encoder.trunk.patch_embed.proj", channels, window, 1);
    let x = graph.transpose(&x, &[0, 2, 3, 1]);
    let x = graph.reshape_to(&x, &[side * side, channels]);
    let stored = config.pos_embed_size;
    let position = graph.derived(
        "position",
        &[side * side, channels],
        &[
            ("image_encoder.trunk.pos_embed", &[1, channels, stored, stored]),
            ("image_encoder.trunk.pos_embed_window", &[1, channels, POS_EMBED_WINDOW, POS_EMBED_WINDOW]),
        ],
        move |w| {
            let whole = resize_bicubic(&w[0], stored, side);
            let at = |place: usize, channel: usize| {
                let (y, x) = (place / side % POS_EMBED_WINDOW, place % side % POS_EMBED_WINDOW);
                whole[channel * side * side + place]
                    + w[1][(channel * POS_EMBED_WINDOW + y) * POS_EMBED_WINDOW + x]
            };
            (0..side * side)
                .flat_map(|place| (0..channels).map(move |c| (place, c)))
                .map(|(p, c)| at(p, c))
                .collect()
        },
    );
    Tokens { value: graph.add(&x, &position), side, window: side }
}

/// One transformer block. Mirrors `MultiScaleBlock`.
struct Block {
    prefix: String,
    channels: usize,
    n_heads: usize,
    window: usize,
    /// True if the block pools its queries and its shortcut, which halves the side of the grid.
    halves: bool,
}

impl Block {
    fn add(&self, graph: &mut Graph, tokens: &Tokens) -> Tokens {
        let fits = tokens.side.is_multiple_of(self.window);
        let side = if self.halves { tokens.side / 2 } else { tokens.side };
        // If windows do not divide the grid, tokens stay row-major; only attention pads the grid and uses windows.
        let window = if fits { self.window } else { tokens.side };
        let x = tokens.by_windows(graph, window);
        let normal = graph.layer_norm(&x, &self.name("norm1"), LAYER_NORM_EPSILON);
        let attended = if fits {
            self.attend(graph, &normal, (tokens.side / window).pow(2))
        } else {
            self.attend_padded(graph, &normal, tokens.side)
        };
        let shortcut =
            if normal.last_dim() == self.channels { x } else { self.shortcut(graph, &normal, window) };
        let x = graph.add(&shortcut, &attended);
        let normal = graph.layer_norm(&x, &self.name("norm2"), LAYER_NORM_EPSILON);
        let hidden = graph.linear(&normal, &self.name("mlp.layers.0"), MLP_RATIO * self.channels);
        let hidden = graph.gelu(&hidden);
        let out = graph.linear(&hidden, &self.name("mlp.layers.1"), self.channels);
        let window = if self.halves { window / 2 } else { window };
        Tokens { value: graph.add(&x, &out), side, window }
    }

    fn name(&self, part: &str) -> String {
        format!("{}.{part}", self.prefix)
    }

    /// Maps the normalized input to the block's output channels and grid: a projection, then pooling.
    fn shortcut(&self, graph: &mut Graph, normal: &Value, window: usize) -> Value {
        let projected = graph.linear(normal, &self.name("proj"), self.channels);
        if !self.halves {
            return projected;
        }
        let n_windows = projected.dim(0) / (window * window);
        pool(graph, &projected, n_windows, window)
    }

    /// Attends within `n_windows` windows, each stored contiguously. Mirrors `MultiScaleAttention`.
    fn attend(&self, graph: &mut Graph, tokens: &Value, n_windows: usize) -> Value {
        let n = tokens.dim(0) / n_windows;
        let channels = self.channels;
        let [mut q, k, v] = graph.linear_parts(tokens, &self.name("attn.qkv"), channels);
        let mut n_queries = n;
        if self.halves {
            n_queries = n / 4;
            q = pool(graph, &q, n_windows, self.window);
        }
        let q = graph.reshape_to(&q, &[n_windows, n_queries, channels]);
        let [k, v] = [k, v].map(|x| graph.reshape_to(&x, &[n_windows, n, channels]));
        let mixed = if n_windows == 1 {
            graph.attention(&q, &k, &v, self.n_heads)
        } else {
            graph.plain_attention(&q, &k, &v, self.n_heads)
        };
        let mixed = graph.reshape_to(&mixed, &[n_windows * n_queries, channels]);
        graph.linear(&mixed, &self.name("attn.proj"), channels)
    }

    /// Attends within windows of row-major tokens padded with zeros. Padding tokens are not masked, as in the original.
    fn attend_padded(&self, graph: &mut Graph, tokens: &Value, side: usize) -> Value {
        let padded_side = side.next_multiple_of(self.window);
        let n = padded_side / self.window;
        let x = graph.reshape_to(tokens, &[side, side, tokens.last_dim()]);
        let x = graph.pad_to_square(&x, padded_side);
        let x = split_windows(graph, &x, padded_side, self.window);
        let x = self.attend(graph, &x, n * n);
        let (side, padded_side, window) = match self.halves {
            true => (side / 2, padded_side / 2, self.window / 2),
            false => (side, padded_side, self.window),
        };
        let x = swap_windows(graph, &x, n, window);
        let x = graph.reshape_to(&x, &[padded_side, padded_side, self.channels]);
        let x = graph.slice(&x, 0, 0..side);
        let x = graph.slice(&x, 1, 0..side);
        graph.reshape_to(&x, &[side * side, self.channels])
    }
}
