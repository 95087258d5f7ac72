//! Attention, and the ways in which devices can be told to compute it.

use crate::nn::{
    graph::{FUSED_ATTENTION, FusedAttention, Graph, Value},
    onnx::{Attribute, NodeProto},
};

/// How [`Graph::attention`] is written down for a device.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::nn) enum Attention {
    /// As ONNX Runtime's own operator, which needs least memory.
    Fused,
    /// As that operator, with values as wide as keys.
    Even,
    /// As plain operators.
    Plain,
}

impl Attention {
    /// All ways, the best first.
    pub(in crate::nn) const ALL: [Self; 3] = [Self::Fused, Self::Even, Self::Plain];
}

impl Graph {
    /// Scaled dot-product attention in one operator: `q` `[b, l, c]`, `k` `[b, s, c]`, `v` `[b, s, c']` to `[b, l, c']`.
    ///
    /// The heads are equal parts of `c` and of `c'`; the scale is that of `c / n_heads` channels.
    #[track_caller]
    pub fn attention(&mut self, q: &Value, k: &Value, v: &Value, n_heads: usize) -> Value {
        assert_eq!(q.shape[2], k.shape[2], "attention of {:?} to {:?}", q.shape, k.shape);
        assert_eq!(k.shape[1], v.shape[1], "keys {:?}, values {:?}", k.shape, v.shape);
        let scale = 1.0 / ((q.last_dim() / n_heads) as f32).sqrt();
        let attributes = [("num_heads", Attribute::Int(n_heads as i64)), ("scale", Attribute::Float(scale))];
        let shape = vec![q.shape[0], q.shape[1], v.shape[2]];
        let mixed = self.node(FUSED_ATTENTION, &[q, k, v], &attributes, shape);
        let operands = [q, k, v].map(Value::clone);
        self.fused_attentions.insert(mixed.name.to_string(), FusedAttention { operands, n_heads });
        mixed
    }

    /// [`Self::attention`] in plain operators, which is faster where `l` and `s` are small and `b` is large.
    #[track_caller]
    pub fn plain_attention(&mut self, q: &Value, k: &Value, v: &Value, n_heads: usize) -> Value {
        self.masked_attention(q, k, v, n_heads, None)
    }

    /// [`Self::plain_attention`] in which the row `i` of `l` does not see what comes after it; `l` and `s` are equal.
    #[track_caller]
    pub fn causal_attention(&mut self, q: &Value, k: &Value, v: &Value, n_heads: usize) -> Value {
        let n = q.dim(1);
        let hidden = |i: usize| if i % n > i / n { f32::MIN } else { 0.0 };
        let hidden: Vec<f32> = (0..n * n).map(hidden).collect();
        let hidden = self.constant("later", &[n, n], &hidden);
        self.masked_attention(q, k, v, n_heads, Some(&hidden))
    }

    /// `mask` `[l, s]` is added to how much each sees of each.
    #[track_caller]
    fn masked_attention(
        &mut self,
        q: &Value,
        k: &Value,
        v: &Value,
        n_heads: usize,
        mask: Option<&Value>,
    ) -> Value {
        let heads = |graph: &mut Self, x: &Value, order: &[usize]| {
            let split = [x.shape[0], x.shape[1], n_heads.into(), (x.last_dim() / n_heads).into()];
            let x = graph.reshape(x, &split);
            graph.transpose(&x, order)
        };
        let scale = self.scalar(1.0 / ((q.last_dim() / n_heads) as f32).sqrt());
        let scaled = self.mul(q, &scale);
        let q_heads = heads(self, &scaled, &[0, 2, 1, 3]);
        let k_heads = heads(self, k, &[0, 2, 3, 1]);
        let v_heads = heads(self, v, &[0, 2, 1, 3]);
        let mut scores = self.matmul(&q_heads, &k_heads);
        if let Some(mask) = mask {
            scores = self.add(&scores, mask);
        }
        let weights = self.softmax(&scores);
        let mixed = self.matmul(&weights, &v_heads);
        let mixed = self.transpose(&mixed, &[0, 2, 1, 3]);
        self.reshape(&mixed, &[q.shape[0], q.shape[1], v.shape[2]])
    }

    /// Attention with one head whose values are as wide as its keys: the rest of them are zeros.
    #[track_caller]
    fn even_attention(&mut self, q: &Value, k: &Value, v: &Value) -> Value {
        let pads = self.integers(&[0, 0, 0, 0, 0, (k.last_dim() - v.last_dim()) as i64]);
        let even = self.node("Pad", &[v, &pads], &[], vec![v.shape[0], v.shape[1], k.shape[2]]);
        let mixed = self.attention(q, k, &even, 1);
        self.slice(&mixed, 2, 0..v.last_dim())
    }

    /// Writes each [`Self::attention`] in the way that the device computes rightly.
    pub(in crate::nn) fn write_attention(&mut self, way: Attention) {
        let mut fused = std::mem::take(&mut self.fused_attentions);
        for node in std::mem::take(&mut self.nodes) {
            let Some(FusedAttention { operands: [q, k, v], n_heads }) = fused.remove(&node.output[0]) else {
                self.push(node);
                continue;
            };
            let is_even = k.last_dim() == v.last_dim();
            match way {
                Attention::Fused => self.push(node),
                Attention::Even if is_even => self.push(node),
                Attention::Even if n_heads == 1 => self.put_in_place_of(&node, |graph| {
                    graph.even_attention(&q, &k, &v);
                }),
                Attention::Even | Attention::Plain => self.put_in_place_of(&node, |graph| {
                    graph.plain_attention(&q, &k, &v, n_heads);
                }),
            }
        }
    }

    /// Writes each [`Self::attention`] as [`Self::plain_attention`].
    pub fn spell_out_attention(&mut self) {
        self.write_attention(Attention::Plain);
    }

    /// Adds other nodes, the last of which makes what `node` made.
    fn put_in_place_of(&mut self, node: &NodeProto, add: impl FnOnce(&mut Self)) {
        add(self);
        if let Some(last) = self.nodes.last_mut() {
            last.output.clone_from(&node.output);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::nn::{Cancel, Device, Dim, Model, Runtime, Tensor};

    #[test]
    fn all_ways_make_the_same_numbers() {
        let runtime = Runtime::start(Some(Device::Cpu), Some(1)).unwrap();
        for (narrow, n_heads) in [(8, 1), (24, 1), (24, 2), (8, 2)] {
            let made = Attention::ALL.map(|way| {
                let mut graph = Graph::new("attention");
                let x = graph.input("x", &[1, 10, 24].map(Dim::Fixed));
                let v = graph.slice(&x, 2, 0..narrow);
                let mixed = graph.attention(&x, &x, &v, n_heads);
                graph.output("mixed", &mixed);
                let mut model = Model::load_untried(&runtime, Device::Cpu, way, graph).unwrap();
                let values = (0..240).map(|i| (i as f32 * 0.7).sin()).collect();
                let x = Tensor::from_floats(&[1, 10, 24], values).unwrap();
                model.run(&[("x", &x)], &Cancel::default()).unwrap()[0].floats().to_vec()
            });
            let [fused, others @ ..] = &made;
            assert_eq!(fused.len(), 10 * narrow);
            for other in others {
                assert!(
                    fused.iter().zip(other).all(|(a, b)| (a - b).abs() < 1e-5),
                    "{narrow}, {n_heads} heads"
                );
            }
        }
    }
}
