//! Operators on pictures: convolutions, pooling, sampling.

use crate::nn::{
    graph::{Dim, Graph, Value},
    onnx::Attribute,
};

/// Mean and standard deviation of ImageNet's RGB values in 0..=1.
pub const IMAGENET: [[f32; 3]; 2] = [[0.485, 0.456, 0.406], [0.229, 0.224, 0.225]];

/// Kernel, stride and padding of a square convolution.
#[derive(Clone, Copy, Debug)]
pub struct Window {
    /// Side of the kernel.
    pub kernel: usize,
    /// Step.
    pub stride: usize,
    /// Zeros put round the image.
    pub padding: usize,
}

impl Window {
    /// Side, step and padding.
    pub const fn new(kernel: usize, stride: usize, padding: usize) -> Self {
        Self { kernel, stride, padding }
    }

    /// How many windows there are along an edge of `n`.
    fn out(self, n: usize) -> Dim {
        Dim::Fixed((n + 2 * self.padding - self.kernel) / self.stride + 1)
    }

    fn attributes(self) -> [Vec<i64>; 3] {
        let Self { kernel, stride, padding } = self;
        [vec![kernel as i64; 2], vec![stride as i64; 2], vec![padding as i64; 4]]
    }
}

impl Graph {
    /// Bytes `[h, w, 3]` to floats `[1, 3, h, w]` that are 0 at `mean` and 1 one `deviation` above, both of values in 0..=1.
    pub fn normalized_pixels(&mut self, pixels: &Value, mean: [f32; 3], deviation: [f32; 3]) -> Value {
        let scale = deviation.map(|d| 1.0 / (255.0 * d));
        let shift: [f32; 3] = std::array::from_fn(|c| -mean[c] / deviation[c]);
        let scale = self.constant("pixel_scale", &[3], &scale);
        let shift = self.constant("pixel_shift", &[3], &shift);
        let x = self.to_float(pixels);
        let x = self.mul(&x, &scale);
        let x = self.add(&x, &shift);
        let x = self.transpose(&x, &[2, 0, 1]);
        self.reshape_to(&x, &[1, 3, pixels.dim(0), pixels.dim(1)])
    }

    /// `x` `[1, in, h, w]` in square patches without overlap, each mapped linearly: `[patches, n_out]`, row by row.
    ///
    /// `weight` is stored as the convolution that does it, `[n_out, in, patch, patch]`.
    #[track_caller]
    pub fn patches(&mut self, x: &Value, weight: &str, n_out: usize, patch: usize) -> Value {
        let weight = self.weight(weight, &[n_out, x.dim(1), patch, patch]);
        let (h, w) = (x.dim(2) / patch, x.dim(3) / patch);
        let attributes = [("strides", Attribute::Ints(&[patch as i64; 2]))];
        let x =
            self.node("Conv", &[x, &weight], &attributes, vec![1.into(), n_out.into(), h.into(), w.into()]);
        let x = self.reshape_to(&x, &[n_out, h * w]);
        self.transpose(&x, &[1, 0])
    }

    /// Convolution of `x` `[n, in, h, w]` by `{prefix}.weight` `[n_out, in / groups, k, k]` and `{prefix}.bias`.
    #[track_caller]
    pub fn conv(&mut self, x: &Value, prefix: &str, n_out: usize, window: Window, groups: usize) -> Value {
        let k = window.kernel;
        let weight = self.weight(&format!("{prefix}.weight"), &[n_out, x.dim(1) / groups, k, k]);
        let bias = self.weight(&format!("{prefix}.bias"), &[n_out]);
        self.conv_by(x, &weight, &bias, window, groups)
    }

    /// Convolution of `x` `[n, in, h, w]` by `weight` `[n_out, in / groups, k, k]` and `bias` `[n_out]`.
    #[track_caller]
    pub fn conv_by(
        &mut self,
        x: &Value,
        weight: &Value,
        bias: &Value,
        window: Window,
        groups: usize,
    ) -> Value {
        assert_eq!(x.dim(1), weight.dim(1) * groups, "convolution of {:?} by {:?}", x.shape, weight.shape);
        let shape = vec![x.shape[0], weight.shape[0], window.out(x.dim(2)), window.out(x.dim(3))];
        let [kernel, strides, pads] = window.attributes();
        let attributes = [
            ("kernel_shape", Attribute::Ints(&kernel)),
            ("strides", Attribute::Ints(&strides)),
            ("pads", Attribute::Ints(&pads)),
            ("group", Attribute::Int(groups as i64)),
        ];
        self.node("Conv", &[x, weight, bias], &attributes, shape)
    }

    /// The largest of each window of `x` `[n, channels, h, w]`; what is put round it counts as lowest.
    pub fn max_pool(&mut self, x: &Value, window: Window) -> Value {
        self.pool("MaxPool", x, window)
    }

    /// The mean of each window of `x` `[n, channels, h, w]`.
    pub fn mean_pool(&mut self, x: &Value, window: Window) -> Value {
        self.pool("AveragePool", x, window)
    }

    fn pool(&mut self, op: &str, x: &Value, window: Window) -> Value {
        let shape = vec![x.shape[0], x.shape[1], window.out(x.dim(2)), window.out(x.dim(3))];
        let [kernel, strides, pads] = window.attributes();
        let attributes = [
            ("kernel_shape", Attribute::Ints(&kernel)),
            ("strides", Attribute::Ints(&strides)),
            ("pads", Attribute::Ints(&pads)),
        ];
        self.node(op, &[x], &attributes, shape)
    }

    /// `x` `[n, c, h, w]` with a row of zeros below and a column to the right.
    pub fn pad_far(&mut self, x: &Value) -> Value {
        let pads = self.integers(&[0, 0, 0, 0, 0, 0, 1, 1]);
        let shape = vec![x.shape[0], x.shape[1], (x.dim(2) + 1).into(), (x.dim(3) + 1).into()];
        self.node("Pad", &[x, &pads], &[], shape)
    }

    /// `x` `[1, c, h, w]` with each pixel as four.
    pub fn doubled(&mut self, x: &Value) -> Value {
        let [c, h, w] = [x.dim(1), x.dim(2), x.dim(3)];
        let x = self.reshape_to(x, &[c, h, 1, w, 1]);
        let x = self.expand(&x, &[c, h, 2, w, 2].map(Dim::Fixed));
        self.reshape_to(&x, &[1, c, 2 * h, 2 * w])
    }

    /// `x` `[n, c, h, w]` with each edge `times` as long, bilinear. PyTorch's `interpolate` with `align_corners=False`.
    pub fn enlarged(&mut self, x: &Value, times: usize) -> Value {
        let scales = self.constant(&format!("scales.{times}"), &[4], &[1.0, 1.0, times as f32, times as f32]);
        // The operator's region is not given.
        let none = Value { name: "".into(), shape: Vec::new(), data_type: x.data_type };
        let shape = vec![x.shape[0], x.shape[1], (times * x.dim(2)).into(), (times * x.dim(3)).into()];
        self.node("Resize", &[x, &none, &scales], &[("mode", Attribute::Text("linear"))], shape)
    }

    /// `x` `[n, c, h, w]` at the places `grid` `[n, a, b, 2]`, x and y from -1 to 1 over the image's edges: `[n, c, a, b]`.
    ///
    /// Bilinear; beyond the edges are zeros. PyTorch's `grid_sample` with `align_corners=False`.
    #[track_caller]
    pub fn grid_sample(&mut self, x: &Value, grid: &Value) -> Value {
        assert_eq!((x.shape[0], grid.last_dim()), (grid.shape[0], 2), "{:?} at {:?}", x.shape, grid.shape);
        let shape = vec![x.shape[0], x.shape[1], grid.shape[1], grid.shape[2]];
        // Bilinear, zeros and half pixels are the operator's defaults.
        self.node("GridSample", &[x, grid], &[], shape)
    }

    /// `x` `[h, w, c]` with zeros below and to the right: `[side, side, c]`.
    pub fn pad_to_square(&mut self, x: &Value, side: usize) -> Value {
        let (down, right) = ((side - x.dim(0)) as i64, (side - x.dim(1)) as i64);
        let pads = self.integers(&[0, 0, 0, down, right, 0]);
        self.node("Pad", &[x, &pads], &[], vec![side.into(), side.into(), x.shape[2]])
    }
}
