//! Pixels in cell order, in which convolutions with kernel 2 and stride 2 are linear maps of rows.
//!
//! A square image whose side is `grid` times a power of two consists of `grid` x `grid` cells. Each cell has four
//! quarters, and each quarter again has four. Each level is stored row-major, so the four pixels that such a
//! convolution joins (or that its transpose creates) are adjacent. Both operations become one matrix product, and
//! channels stay last, where normalization is cheap.

use crate::nn::{Dim, Graph, Value};

/// Reorders row-major pixels `[side², c]` into cell order; `side` is two or four times `grid`.
pub(super) fn of_rows(graph: &mut Graph, x: &Value, grid: usize) -> Value {
    let (n_pixels, channels) = (x.dim(0), x.last_dim());
    let n_levels = (n_pixels / (grid * grid)).ilog2() as usize / 2;
    // The y and x axes are each split into the position in the grid and, for each level, the half (0 or 1).
    let mut shape = vec![2; 2 * n_levels + 3];
    (shape[0], shape[n_levels + 1], shape[2 * n_levels + 2]) = (grid, grid, channels);
    let mut order: Vec<usize> = (0..=n_levels).flat_map(|level| [level, level + n_levels + 1]).collect();
    order.push(2 * n_levels + 2);
    let x = graph.reshape_to(x, &shape);
    let x = graph.transpose(&x, &order);
    graph.reshape_to(&x, &[n_pixels, channels])
}

/// Converts pixels `[b, side², c]` in cell order to planes `[b, c, side, side]`; `side` is four times `grid`.
pub(super) fn to_planes(graph: &mut Graph, x: &Value, grid: usize) -> Value {
    let (b, channels) = (x.shape()[0], x.last_dim());
    let cells = [grid, grid, 2, 2, 2, 2, channels].map(Dim::Fixed);
    let x = graph.reshape(x, &[&[b], &cells[..]].concat());
    let x = graph.transpose(&x, &[0, 7, 1, 3, 5, 2, 4, 6]);
    graph.reshape(&x, &[b, channels.into(), (4 * grid).into(), (4 * grid).into()])
}

/// Applies the convolution `{prefix}` with kernel 2 and stride 2: `[4 n, c]` to `[n, n_out]`.
pub(super) fn join(graph: &mut Graph, x: &Value, prefix: &str, n_out: usize) -> Value {
    let (n, channels) = (x.dim(0) / 4, x.last_dim());
    let name = format!("{prefix}.weight");
    let from: [(&str, &[usize]); 1] = [(&name, &[n_out, channels, 2, 2])];
    // From (out, in, place) to (out, place, in).
    let weight = graph.derived(&format!("{name}.cells"), &[n_out, 4 * channels], &from, move |w| {
        let at = |out, place, channel| w[0][(out * channels + channel) * 4 + place];
        triples(n_out, 4, channels).map(|(out, place, channel)| at(out, place, channel)).collect()
    });
    let bias = graph.weight(&format!("{prefix}.bias"), &[n_out]);
    let x = graph.reshape_to(x, &[n, 4 * channels]);
    graph.gemm(&x, &weight, &bias)
}

/// Applies the transposed convolution `{prefix}` with kernel 2 and stride 2: `[b, n, c]` to `[b, 4 n, n_out]`.
pub(super) fn divide(graph: &mut Graph, x: &Value, prefix: &str, n_out: usize) -> Value {
    let (b, n, channels) = (x.shape()[0], x.dim(1), x.last_dim());
    let (weight, bias) = (format!("{prefix}.weight"), format!("{prefix}.bias"));
    let from: [(&str, &[usize]); 1] = [(&weight, &[channels, n_out, 2, 2])];
    // From (in, out, place) to (place, out, in).
    let weight = graph.derived(&format!("{weight}.cells"), &[4 * n_out, channels], &from, move |w| {
        let at = |channel, out, place| w[0][(channel * n_out + out) * 4 + place];
        triples(4, n_out, channels).map(|(place, out, channel)| at(channel, out, place)).collect()
    });
    let from: [(&str, &[usize]); 1] = [(&bias, &[n_out])];
    let bias = graph.derived(&format!("{bias}.cells"), &[4 * n_out], &from, |w| w[0].repeat(4));
    let x = graph.gemm(x, &weight, &bias);
    graph.reshape(&x, &[b, (4 * n).into(), n_out.into()])
}

/// Returns all index triples below the three bounds; the last index varies fastest.
fn triples(a: usize, b: usize, c: usize) -> impl Iterator<Item = (usize, usize, usize)> {
    (0..a).flat_map(move |i| (0..b).flat_map(move |j| (0..c).map(move |k| (i, j, k))))
}
