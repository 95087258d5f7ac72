//! The operators, one method each, with the shapes they take and make.
//!
//! Semantics are those of ONNX opset 20; a method differs from its operator only where it says so.

mod attention;
mod spatial;

use super::{
    graph::{Dim, Graph, Value},
    onnx::{Attribute, DataType},
};

pub(super) use attention::Attention;
pub use spatial::{IMAGENET, Window};

impl Graph {
    /// `a + b`, broadcast.
    #[track_caller]
    pub fn add(&mut self, a: &Value, b: &Value) -> Value {
        self.elementwise("Add", a, b)
    }

    /// `a - b`, broadcast.
    #[track_caller]
    pub fn sub(&mut self, a: &Value, b: &Value) -> Value {
        self.elementwise("Sub", a, b)
    }

    /// `a * b`, broadcast.
    #[track_caller]
    pub fn mul(&mut self, a: &Value, b: &Value) -> Value {
        self.elementwise("Mul", a, b)
    }

    /// `a / b`, broadcast.
    #[track_caller]
    pub fn div(&mut self, a: &Value, b: &Value) -> Value {
        self.elementwise("Div", a, b)
    }

    #[track_caller]
    fn elementwise(&mut self, op: &str, a: &Value, b: &Value) -> Value {
        let shape = broadcast(&a.shape, &b.shape);
        self.node(op, &[a, b], &[], shape)
    }

    /// Gaussian error linear unit, the exact form.
    pub fn gelu(&mut self, x: &Value) -> Value {
        self.node("Gelu", &[x], &[], x.shape.clone())
    }

    /// `max(x, 0)`.
    pub fn relu(&mut self, x: &Value) -> Value {
        self.node("Relu", &[x], &[], x.shape.clone())
    }

    /// `1 / (1 + exp(-x))`.
    pub fn sigmoid(&mut self, x: &Value) -> Value {
        self.node("Sigmoid", &[x], &[], x.shape.clone())
    }

    /// Gaussian error linear unit as CLIP has it: `x * sigmoid(1.702 x)`.
    pub fn quick_gelu(&mut self, x: &Value) -> Value {
        let factor = self.scalar(1.702);
        let scaled = self.mul(x, &factor);
        let gate = self.sigmoid(&scaled);
        self.mul(x, &gate)
    }

    /// Exponential linear unit: `x` above zero, `exp(x) - 1` below.
    pub fn elu(&mut self, x: &Value) -> Value {
        self.node("Elu", &[x], &[], x.shape.clone())
    }

    /// Sine.
    pub fn sin(&mut self, x: &Value) -> Value {
        self.node("Sin", &[x], &[], x.shape.clone())
    }

    /// Cosine.
    pub fn cos(&mut self, x: &Value) -> Value {
        self.node("Cos", &[x], &[], x.shape.clone())
    }

    /// Natural logarithm.
    pub fn ln(&mut self, x: &Value) -> Value {
        self.node("Log", &[x], &[], x.shape.clone())
    }

    /// `x * sigmoid(x)`, also called swish.
    pub fn silu(&mut self, x: &Value) -> Value {
        let gate = self.sigmoid(x);
        self.mul(x, &gate)
    }

    /// `x` no lower than `low` and no higher than `high`.
    pub fn clamp(&mut self, x: &Value, low: f32, high: f32) -> Value {
        let (low, high) = (self.scalar(low), self.scalar(high));
        self.node("Clip", &[x, &low, &high], &[], x.shape.clone())
    }

    /// Square root.
    pub fn sqrt(&mut self, x: &Value) -> Value {
        self.node("Sqrt", &[x], &[], x.shape.clone())
    }

    /// Softmax over the last axis.
    pub fn softmax(&mut self, x: &Value) -> Value {
        self.node("Softmax", &[x], &[("axis", Attribute::Int(-1))], x.shape.clone())
    }

    /// The sum over the last axis, which goes.
    pub fn sum_of_last(&mut self, x: &Value) -> Value {
        self.reduce_last("ReduceSum", x)
    }

    /// The largest over the last axis, which goes.
    pub fn max_of_last(&mut self, x: &Value) -> Value {
        self.reduce_last("ReduceMax", x)
    }

    fn reduce_last(&mut self, op: &str, x: &Value) -> Value {
        let last = x.shape.len() - 1;
        let axis = self.integers(&[last as i64]);
        self.node(op, &[x, &axis], &[("keepdims", Attribute::Int(0))], x.shape[..last].to_vec())
    }

    /// The `k` largest along the last axis, the largest first, and where they are, as integers.
    pub fn top_k(&mut self, x: &Value, k: usize) -> [Value; 2] {
        let mut shape = x.shape.clone();
        let last = shape.len() - 1;
        shape[last] = Dim::Fixed(k);
        let k = self.integers(&[k as i64]);
        let [values, mut places] = <[Value; 2]>::try_from(self.nodes(
            "TopK",
            &[x, &k],
            &[("axis", Attribute::Int(-1))],
            vec![shape; 2],
            x.data_type,
        ))
        .expect("as many results as shapes");
        places.data_type = DataType::I64;
        [values, places]
    }

    /// `x` as floats.
    pub fn to_float(&mut self, x: &Value) -> Value {
        self.cast(x, DataType::F32)
    }

    /// `x`, whose values are whole numbers, as integers.
    pub fn to_integer(&mut self, x: &Value) -> Value {
        self.cast(x, DataType::I64)
    }

    fn cast(&mut self, x: &Value, to: DataType) -> Value {
        self.nodes("Cast", &[x], &[("to", Attribute::Int(to as i64))], vec![x.shape.clone()], to).remove(0)
    }

    /// 1 where `x > limit`, else 0.
    pub fn is_above(&mut self, x: &Value, limit: f32) -> Value {
        let limit = self.scalar(limit);
        let above = self.nodes("Greater", &[x, &limit], &[], vec![x.shape.clone()], DataType::Bool).remove(0);
        self.to_float(&above)
    }

    /// Matrix product of the last two axes; the axes before them are equal.
    #[track_caller]
    pub fn matmul(&mut self, a: &Value, b: &Value) -> Value {
        let (n, m) = (a.shape.len(), b.shape.len());
        assert_eq!(a.shape[n - 1], b.shape[m - 2], "matmul of {:?} and {:?}", a.shape, b.shape);
        assert_eq!(a.shape[..n - 2], b.shape[..m - 2], "matmul of {:?} and {:?}", a.shape, b.shape);
        let mut shape = a.shape.clone();
        shape[n - 1] = b.shape[m - 1];
        self.node("MatMul", &[a, b], &[], shape)
    }

    /// `x · weightᵀ` for `x` `[…, in]` and `weight` `[out, in]` (as PyTorch stores it): `[…, out]`.
    #[track_caller]
    pub fn product(&mut self, x: &Value, weight: &Value) -> Value {
        self.map_rows(x, &[weight])
    }

    /// [`Self::product`] plus `bias`, `[out]`, or `[n, out]` for `x` `[n, in]`.
    #[track_caller]
    pub fn gemm(&mut self, x: &Value, weight: &Value, bias: &Value) -> Value {
        let out = [x.shape[0], weight.shape[0]];
        assert!(out.ends_with(&bias.shape), "bias {:?} of {:?}", bias.shape, weight.shape);
        self.map_rows(x, &[weight, bias])
    }

    /// The operator is of matrices; other shapes are cut into rows for it.
    #[track_caller]
    fn map_rows(&mut self, x: &Value, map: &[&Value]) -> Value {
        let weight = map[0];
        assert_eq!(x.shape.last(), weight.shape.last(), "linear map of {:?} by {:?}", x.shape, weight.shape);
        let mut shape = x.shape.clone();
        let last = shape.len() - 1;
        shape[last] = weight.shape[0];
        let is_matrix = shape.len() == 2;
        let rows = if is_matrix { x.clone() } else { self.rows(x) };
        let operands = [&[&rows], map].concat();
        let mapped = [rows.shape[0], weight.shape[0]].to_vec();
        let mapped = self.node("Gemm", &operands, &[("transB", Attribute::Int(1))], mapped);
        if is_matrix { mapped } else { self.reshape(&mapped, &shape) }
    }

    /// The linear map `{prefix}.weight`, `{prefix}.bias` of the checkpoint, `[…, in]` to `[…, n_out]`.
    #[track_caller]
    pub fn linear(&mut self, x: &Value, prefix: &str, n_out: usize) -> Value {
        let weight = self.weight(&format!("{prefix}.weight"), &[n_out, x.last_dim()]);
        let bias = self.weight(&format!("{prefix}.bias"), &[n_out]);
        self.gemm(x, &weight, &bias)
    }

    /// [`Self::linear`] to `N * n_out` channels in `N` equal parts, without making and cutting the whole.
    #[track_caller]
    pub fn linear_parts<const N: usize>(&mut self, x: &Value, prefix: &str, n_out: usize) -> [Value; N] {
        let weights: [Value; N] = self.weight_parts(&format!("{prefix}.weight"), &[N * n_out, x.last_dim()]);
        let biases: [Value; N] = self.weight_parts(&format!("{prefix}.bias"), &[N * n_out]);
        std::array::from_fn(|i| self.gemm(x, &weights[i], &biases[i]))
    }

    /// [`Self::linear`] for a linear map that the checkpoint stores as a 1x1 convolution.
    #[track_caller]
    pub fn linear_of_conv(&mut self, x: &Value, prefix: &str, n_out: usize) -> Value {
        let n_in = x.last_dim();
        let name = format!("{prefix}.weight");
        let weight =
            self.derived(&format!("{name}.matrix"), &[n_out, n_in], &[(&name, &[n_out, n_in, 1, 1])], |w| {
                w[0].clone()
            });
        let bias = self.weight(&format!("{prefix}.bias"), &[n_out]);
        self.gemm(x, &weight, &bias)
    }

    /// Layer normalization of the last axis by `{prefix}.weight`, `{prefix}.bias`.
    pub fn layer_norm(&mut self, x: &Value, prefix: &str, epsilon: f32) -> Value {
        let n = x.last_dim();
        let weight = self.weight(&format!("{prefix}.weight"), &[n]);
        let bias = self.weight(&format!("{prefix}.bias"), &[n]);
        let attributes = [("axis", Attribute::Int(-1)), ("epsilon", Attribute::Float(epsilon))];
        self.node("LayerNormalization", &[x, &weight, &bias], &attributes, x.shape.clone())
    }

    /// Layer normalization of the channels of `x` `[n, channels, height, width]` at each place.
    pub fn layer_norm_2d(&mut self, x: &Value, prefix: &str, epsilon: f32) -> Value {
        let n = x.dim(1);
        let column = |graph: &mut Self, name: String| {
            graph.derived(&format!("{name}.column"), &[n, 1, 1], &[(&name, &[n])], |w| w[0].clone())
        };
        let weight = column(self, format!("{prefix}.weight"));
        let bias = column(self, format!("{prefix}.bias"));
        let mean = self.mean_of_channels(x);
        let centered = self.sub(x, &mean);
        let squared = self.mul(&centered, &centered);
        let variance = self.mean_of_channels(&squared);
        let epsilon = self.scalar(epsilon);
        let variance = self.add(&variance, &epsilon);
        let deviation = self.sqrt(&variance);
        let normal = self.div(&centered, &deviation);
        let scaled = self.mul(&normal, &weight);
        self.add(&scaled, &bias)
    }

    fn mean_of_channels(&mut self, x: &Value) -> Value {
        let axis = self.integers(&[1]);
        let mut shape = x.shape.clone();
        shape[1] = Dim::Fixed(1);
        self.node("ReduceMean", &[x, &axis], &[("keepdims", Attribute::Int(1))], shape)
    }

    /// Each row of `x` `[n, c]` divided by its length plus `epsilon`.
    pub fn unit_rows(&mut self, x: &Value, epsilon: f32) -> Value {
        let axis = self.integers(&[1]);
        let length = self.node(
            "ReduceL2",
            &[x, &axis],
            &[("keepdims", Attribute::Int(1))],
            vec![x.shape[0], 1.into()],
        );
        let epsilon = self.scalar(epsilon);
        let length = self.add(&length, &epsilon);
        self.div(x, &length)
    }

    /// The same values in another shape, in which at most one dimension is named that no input brings.
    #[track_caller]
    pub fn reshape(&mut self, x: &Value, shape: &[Dim]) -> Value {
        let (known, n_named) = size_of_shape(shape);
        let (had, n_had_named) = size_of_shape(&x.shape);
        // A named dimension may hold any multiple.
        let fits = match n_had_named {
            0 => n_named == 0 && known == had,
            _ => n_named > 0 && (had.is_multiple_of(known) || known.is_multiple_of(had)),
        };
        assert!(fits, "reshape of {:?} to {shape:?}", x.shape);
        let target = self.shape(shape, true);
        // A size that is asked for may be zero.
        let is_asked = n_named > 1;
        let attributes = [("allowzero", Attribute::Int(is_asked.into()))];
        self.node("Reshape", &[x, &target], &attributes, shape.to_vec())
    }

    /// All axes but the last as one: `[…, c]` to `[n, c]`.
    pub fn rows(&mut self, x: &Value) -> Value {
        let (leading, last) = x.shape.split_at(x.shape.len() - 1);
        let rows = match size_of_shape(leading) {
            (n, 0) => Dim::Fixed(n),
            _ => Dim::Named("rows"),
        };
        self.reshape(x, &[rows, last[0]])
    }

    /// [`Self::reshape`] to a shape that is known.
    #[track_caller]
    pub fn reshape_to(&mut self, x: &Value, shape: &[usize]) -> Value {
        let shape: Vec<Dim> = shape.iter().map(|&n| Dim::Fixed(n)).collect();
        self.reshape(x, &shape)
    }

    /// Axes in another order: axis `i` of the result is axis `order[i]` of `x`.
    #[track_caller]
    pub fn transpose(&mut self, x: &Value, order: &[usize]) -> Value {
        assert_eq!(order.len(), x.shape.len(), "transpose of {:?} by {order:?}", x.shape);
        let shape = order.iter().map(|&i| x.shape[i]).collect();
        let order: Vec<i64> = order.iter().map(|&i| i as i64).collect();
        self.node("Transpose", &[x], &[("perm", Attribute::Ints(&order))], shape)
    }

    /// `N` equal parts along `axis`.
    #[track_caller]
    pub fn split<const N: usize>(&mut self, x: &Value, axis: usize) -> [Value; N] {
        assert_eq!(x.dim(axis) % N, 0, "split of {:?} in {N} along {axis}", x.shape);
        let mut shape = x.shape.clone();
        shape[axis] = Dim::Fixed(x.dim(axis) / N);
        let attributes = [("axis", Attribute::Int(axis as i64)), ("num_outputs", Attribute::Int(N as i64))];
        let parts = self.nodes("Split", &[x], &attributes, vec![shape; N], x.data_type);
        parts.try_into().expect("as many results as shapes")
    }

    /// `parts` one after the other along `axis`; `named` is the sum's name where a part's size is named.
    #[track_caller]
    pub fn concat(&mut self, parts: &[&Value], axis: usize, named: Option<&'static str>) -> Value {
        let mut shape = parts[0].shape.clone();
        shape[axis] = named.map_or_else(|| Dim::Fixed(parts.iter().map(|p| p.dim(axis)).sum()), Dim::Named);
        self.node("Concat", parts, &[("axis", Attribute::Int(axis as i64))], shape)
    }

    /// Elements `range` of axis `axis`.
    #[track_caller]
    pub fn slice(&mut self, x: &Value, axis: usize, range: std::ops::Range<usize>) -> Value {
        if let Dim::Fixed(n) = x.shape[axis] {
            assert!(range.end <= n, "slice {range:?} of {:?} along {axis}", x.shape);
        }
        let mut shape = x.shape.clone();
        shape[axis] = Dim::Fixed(range.len());
        let start = self.integers(&[range.start as i64]);
        let end = self.integers(&[range.end as i64]);
        let axis = self.integers(&[axis as i64]);
        self.node("Slice", &[x, &start, &end, &axis], &[], shape)
    }

    /// `x` repeated along its axes of size one.
    pub fn expand(&mut self, x: &Value, shape: &[Dim]) -> Value {
        let target = self.shape(shape, false);
        self.node("Expand", &[x, &target], &[], shape.to_vec())
    }

    /// Rows of `table` `[n, c]` by the integers `rows` `[m]`: `[m, c]`.
    pub fn gather_rows(&mut self, table: &Value, rows: &Value) -> Value {
        self.node(
            "Gather",
            &[table, rows],
            &[("axis", Attribute::Int(0))],
            vec![rows.shape[0], table.shape[1]],
        )
    }
}

/// The product of the known dimensions, and how many are not known.
fn size_of_shape(shape: &[Dim]) -> (usize, usize) {
    shape.iter().fold((1, 0), |(size, n_named), dim| match dim {
        Dim::Fixed(n) => (size * n, n_named),
        Dim::Named(_) => (size, n_named + 1),
    })
}

#[track_caller]
fn broadcast(a: &[Dim], b: &[Dim]) -> Vec<Dim> {
    let n = a.len().max(b.len());
    let at = |shape: &[Dim], i: usize| (i + shape.len()).checked_sub(n).map_or(Dim::Fixed(1), |i| shape[i]);
    (0..n)
        .map(|i| match (at(a, i), at(b, i)) {
            (Dim::Fixed(1), dim) | (dim, Dim::Fixed(1)) => dim,
            (x, y) if x == y => x,
            _ => panic!("shapes {a:?} and {b:?} do not broadcast"),
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::nn::{Cancel, Device, Model, Runtime, Tensor};

    const B: Dim = Dim::Named("B");
    const P: Dim = Dim::Named("P");

    #[test]
    fn sizes_that_inputs_bring_are_known_when_it_runs_and_may_be_zero() {
        let mut graph = Graph::new("sizes");
        let x = graph.input("x", &[B, P, 4.into()]);
        let one = graph.constant("one", &[1, 2], &[1.0, 2.0]);
        let own = graph.expand(&one, &[B, 1.into(), 2.into()]);
        let halves = graph.reshape(&x, &[B, Dim::Named("T"), 2.into()]);
        let all = graph.concat(&[&own, &halves], 1, Some("A"));
        graph.output("all", &all);
        let rows = graph.rows(&x);
        let again = graph.reshape(&rows, x.shape());
        graph.output("again", &again);
        let runtime = Runtime::start(Some(Device::Cpu), Some(1)).unwrap();
        let mut model = Model::load_untried(&runtime, Device::Cpu, Attention::Fused, graph).unwrap();
        for (b, p) in [(2, 3), (1, 1), (3, 0)] {
            let x = Tensor::from_floats(&[b, p, 4], (0..b * p * 4).map(|i| i as f32).collect()).unwrap();
            let made = model.run(&[("x", &x)], &Cancel::default()).unwrap();
            assert_eq!(made[0].shape(), [b, 1 + 2 * p, 2]);
            assert_eq!(made[0].floats()[..2], [1.0, 2.0]);
            assert_eq!((made[1].shape(), made[1].floats()), (vec![b, p, 4], x.floats()));
        }
    }

    #[test]
    #[should_panic(expected = "is not known")]
    fn a_size_that_nothing_brings_is_refused() {
        let mut graph = Graph::new("sizes");
        let x = graph.input("x", &[B, P, 4.into()]);
        graph.reshape(&x, &[Dim::Named("Q"), Dim::Named("R"), 4.into()]);
    }
}
