//! A graph for other machines: a name that says what is in it, and files that need no checkpoint.

use std::io::{self, Write};

use super::{
    super::{
        checkpoint::{Checkpoint, CheckpointError},
        onnx::{DataType, DimensionValue, TensorProto, ValueInfoProto},
        tensor::{Port, PortKind},
    },
    Graph, Initializer, Source, bytes,
};
use prost::Message as _;

/// The file with the weights, beside the graph.
pub const WEIGHTS: &str = "weights.bin";

/// Where weights begin in their file, so that they can be mapped.
const ALIGNMENT: usize = 4096;

/// Why a graph is not packed.
#[derive(Debug, thiserror::Error)]
pub enum PackError {
    /// The weights do not fit.
    #[error(transparent)]
    Checkpoint(#[from] CheckpointError),
    /// The file with the weights cannot be written, or nobody wants it any more.
    #[error(transparent)]
    Write(#[from] io::Error),
}

impl Graph {
    /// What it takes.
    pub fn inputs(&self) -> Vec<Port> {
        self.inputs.iter().map(port).collect()
    }

    /// What it makes.
    pub fn outputs(&self) -> Vec<Port> {
        self.outputs.iter().map(port).collect()
    }

    /// A name that no graph with other operators, sizes or weights has, the same on every machine.
    ///
    /// # Errors
    /// If the checkpoint lacks a tensor or holds it in another shape.
    pub fn packed_name(&self, checkpoint: &Checkpoint) -> Result<String, CheckpointError> {
        checkpoint.require(&self.required)?;
        let mut hasher = blake3::Hasher::new();
        let mut add = |bytes: &[u8]| {
            hasher.update(&(bytes.len() as u64).to_le_bytes());
            hasher.update(bytes);
        };
        self.nodes.iter().for_each(|node| add(&node.encode_to_vec()));
        for ports in [&self.inputs, &self.outputs] {
            ports.iter().for_each(|port| add(&port.encode_to_vec()));
        }
        for (name, Initializer { shape, data_type, source }) in &self.initializers {
            add(name.as_bytes());
            shape.iter().for_each(|n| add(&(*n as u64).to_le_bytes()));
            // Floats that were computed may differ in their last bit from machine to machine; they follow from the rest.
            if let (Source::Embedded(raw), DataType::I64) = (source, data_type) {
                add(raw);
            }
        }
        for name in self.required.keys() {
            add(name.as_bytes());
            add(&bytes(&checkpoint.floats(name)?));
        }
        let hash = hasher.finalize().to_hex();
        Ok(format!("segue_{}_{}", self.name, &hash[..12]))
    }

    /// Bytes of the weights that [`Self::pack`] writes.
    pub fn n_packed_bytes(&self) -> u64 {
        let weights = self.initializers.values().filter(|init| !matches!(init.source, Source::Embedded(_)));
        weights
            .map(|init| init.shape.iter().product::<usize>().next_multiple_of(ALIGNMENT / 4) as u64 * 4)
            .sum()
    }

    /// The ONNX file of this graph, whose weights, written to `out`, lie beside it in [`WEIGHTS`].
    ///
    /// # Errors
    /// If the checkpoint lacks a tensor or holds it in another shape, or `out` does not take it.
    pub fn pack(&self, checkpoint: &Checkpoint, out: &mut impl Write) -> Result<Vec<u8>, PackError> {
        checkpoint.require(&self.required)?;
        let mut at = 0;
        let mut packed = Vec::with_capacity(self.initializers.len());
        for (name, init) in &self.initializers {
            if matches!(init.source, Source::Embedded(_)) {
                packed.push(init.tensor(name, checkpoint)?);
                continue;
            }
            packed.push(TensorProto::external(name, &init.shape, WEIGHTS, at));
            let mut raw = bytes(&init.values(checkpoint)?);
            raw.resize(raw.len().next_multiple_of(ALIGNMENT), 0);
            out.write_all(&raw)?;
            at += raw.len();
        }
        Ok(self.encoded(self.nodes.clone(), packed))
    }
}

fn port(info: &ValueInfoProto) -> Port {
    let tensor = info.kind.as_ref().and_then(|kind| kind.tensor_type.as_ref());
    let dims =
        tensor.and_then(|tensor| tensor.shape.as_ref()).map(|shape| &shape.dim[..]).unwrap_or_default();
    let dim = |value: &Option<DimensionValue>| match value {
        Some(DimensionValue::Value(n)) => usize::try_from(*n).ok(),
        _ => None,
    };
    let kind = match tensor.map(|tensor| tensor.elem_type) {
        Some(kind) if kind == DataType::F32 as i32 => PortKind::Float,
        Some(kind) if kind == DataType::U8 as i32 => PortKind::Byte,
        Some(kind) if kind == DataType::I64 as i32 => PortKind::Integer,
        _ => PortKind::Other,
    };
    Port { name: info.name.clone(), shape: dims.iter().map(|d| dim(&d.value)).collect(), kind }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::nn::Dim;

    fn checkpoint(values: [f32; 4]) -> Checkpoint {
        let raw: Vec<u8> = values.iter().flat_map(|v| v.to_le_bytes()).collect();
        let view = safetensors::tensor::TensorView::new(safetensors::Dtype::F32, vec![2, 2], &raw).unwrap();
        let bytes = safetensors::serialize([("w", view)], None).unwrap();
        Checkpoint::from_static(Box::leak(bytes.into_boxed_slice())).unwrap()
    }

    fn graph(side: usize) -> Graph {
        let mut graph = Graph::new("part");
        let x = graph.input("x", &[Dim::Named("n"), Dim::Fixed(side)]);
        let w = graph.weight("w", &[2, 2]);
        let scale = graph.constant("scale", &[1], &[2.0]);
        let y = graph.mul(&w, &scale);
        graph.output("y", &y);
        graph.output("z", &x);
        graph
    }

    #[test]
    fn a_name_says_what_is_in_it() {
        let values = [1.0, 2.0, 3.0, 4.0];
        let name = |side, values| graph(side).packed_name(&checkpoint(values)).unwrap();
        let one = name(3, values);
        assert!(one.starts_with("segue_part_") && one.len() == 23, "{one}");
        assert_eq!(one, name(3, values));
        assert_ne!(one, name(4, values), "another size");
        assert_ne!(one, name(3, [1.0, 2.0, 3.0, 5.0]), "another weight");
    }

    #[test]
    fn what_is_packed_is_what_is_promised() {
        let checkpoint = checkpoint([1.0, 2.0, 3.0, 4.0]);
        let ports = graph(3).inputs();
        assert_eq!(ports, [Port { name: "x".to_owned(), shape: vec![None, Some(3)], kind: PortKind::Float }]);
        assert_eq!(graph(3).outputs().iter().map(|port| &*port.name).collect::<Vec<_>>(), ["y", "z"]);
        let (n, mut weights) = (graph(3).n_packed_bytes(), Vec::new());
        let onnx = graph(3).pack(&checkpoint, &mut weights).unwrap();
        assert_eq!((n, &weights[..8]), (weights.len() as u64, &[0, 0, 128, 63, 0, 0, 0, 64][..]));
        assert!(onnx.windows(WEIGHTS.len()).any(|w| w == WEIGHTS.as_bytes()));
    }
}
