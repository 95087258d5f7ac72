//! Pixels in the order of the grid's cells, so that convolutions of kernel 2 and stride 2 are linear maps of rows.
//!
//! A square whose side is `grid` times a power of two is a grid of cells, each cell four quarters, each quarter four
//! again. Row-major within each level, the four pixels that one such convolution joins (or that its transpose makes)
//! follow each other: joining and making are one matrix product, and channels stay last, where normalization is cheap.

use crate::nn::{Dim, Graph, Value};

/// Row-major pixels `[side², c]` to the order of cells, for a side of twice or four times `grid`.
pub(super) fn of_rows(graph: &mut Graph, x: &Value, grid: usize) -> Value {
    let (n_pixels, channels) = (x.dim(0), x.last_dim());
    let n_levels = (n_pixels / (grid * grid)).ilog2() as usize / 2;
    // Axes y, x each as its place in the grid, then in each level's four.
    let mut shape = vec![2; 2 * n_levels + 3];
    (shape[0], shape[n_levels + 1], shape[2 * n_levels + 2]) = (grid, grid, channels);
    let mut order: Vec<usize> = (0..=n_levels).flat_map(|level| [level, level + n_levels + 1]).collect();
    order.push(2 * n_levels + 2);
    let x = graph.reshape_to(x, &shape);
    let x = graph.transpose(&x, &order);
    graph.reshape_to(&x, &[n_pixels, channels])
}

/// Pixels `[b, side², c]` in the order of cells, side four times `grid`, to planes `[b, c, side, side]`.
pub(super) fn to_planes(graph: &mut Graph, x: &Value, grid: usize) -> Value {
    let (b, channels) = (x.shape()[0], x.last_dim());
    let cells = [grid, grid, 2, 2, 2, 2, channels].map(Dim::Fixed);
    let x = graph.reshape(x, &[&[b], &cells[..]].concat());
    let x = graph.transpose(&x, &[0, 7, 1, 3, 5, 2, 4, 6]);
    graph.reshape(&x, &[b, channels.into(), (4 * grid).into(), (4 * grid).into()])
}

/// `{prefix}`, a convolution of kernel 2 and stride 2: `[4 n, c]` to `[n, n_out]`.
pub(super) fn join(graph: &mut Graph, x: &Value, prefix: &str, n_out: usize) -> Value {
    let (n, channels) = (x.dim(0) / 4, x.last_dim());
    let name = format!("{prefix}.weight");
    let from: [(&str, &[usize]); 1] = [(&name, &[n_out, channels, 2, 2])];
    // Out, in, place to out, place, in.
    let weight = graph.derived(&format!("{name}.cells"), &[n_out, 4 * channels], &from, move |w| {
        let at = |out, place, channel| w[0][(out * channels + channel) * 4 + place];
        triples(n_out, 4, channels).map(|(out, place, channel)| at(out, place, channel)).collect()
    });
    let bias = graph.weight(&format!("{prefix}.bias"), &[n_out]);
    let x = graph.reshape_to(x, &[n, 4 * channels]);
    graph.gemm(&x, &weight, &bias)
}

/// `{prefix}`, a transposed convolution of kernel 2 and stride 2: `[b, n, c]` to `[b, 4 n, n_out]`.
pub(super) fn divide(graph: &mut Graph, x: &Value, prefix: &str, n_out: usize) -> Value {
    let (b, n, channels) = (x.shape()[0], x.dim(1), x.last_dim());
    let (weight, bias) = (format!("{prefix}.weight"), format!("{prefix}.bias"));
    let from: [(&str, &[usize]); 1] = [(&weight, &[channels, n_out, 2, 2])];
    // In, out, place to place, out, in.
    let weight = graph.derived(&format!("{weight}.cells"), &[4 * n_out, channels], &from, move |w| {
        let at = |channel, out, place| w[0][(channel * n_out + out) * 4 + place];
        triples(4, n_out, channels).map(|(place, out, channel)| at(channel, out, place)).collect()
    });
    let from: [(&str, &[usize]); 1] = [(&bias, &[n_out])];
    let bias = graph.derived(&format!("{bias}.cells"), &[4 * n_out], &from, |w| w[0].repeat(4));
    let x = graph.gemm(x, &weight, &bias);
    graph.reshape(&x, &[b, (4 * n).into(), n_out.into()])
}

/// All triples below the three numbers, the last running fastest.
fn triples(a: usize, b: usize, c: usize) -> impl Iterator<Item = (usize, usize, usize)> {
    (0..a).flat_map(move |i| (0..b).flat_map(move |j| (0..c).map(move |k| (i, j, k))))
}
