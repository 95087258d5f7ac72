//! A network under construction: typed values, and weights by name that a checkpoint fills in later.
//!
//! Building a graph needs no weights, so the graph itself says which tensors a checkpoint must hold.
//! A node whose operands do not fit is a bug in a model's code and panics where it is added.

mod pack;

use std::{
    collections::{BTreeMap, HashMap},
    fmt,
    rc::Rc,
};

pub use pack::{PackError, WEIGHTS};

use super::{
    checkpoint::{Checkpoint, CheckpointError},
    onnx::{
        self, Attribute, AttributeProto, DataType, DimensionValue, GraphProto, ModelProto, NodeProto,
        OperatorSetIdProto, StringStringEntryProto, TensorProto, ValueInfoProto,
    },
};
use half::f16;
use prost::Message as _;

/// A dimension: known when the graph is built, or named and known when it runs.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Dim {
    /// So many.
    Fixed(usize),
    /// As many as the input of this name brings.
    Named(&'static str),
}

impl From<usize> for Dim {
    fn from(n: usize) -> Self {
        Self::Fixed(n)
    }
}

impl fmt::Debug for Dim {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Fixed(n) => write!(f, "{n}"),
            Self::Named(name) => f.write_str(name),
        }
    }
}

/// How the floats within a graph are kept; its inputs and outputs are of 32 bits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Precision {
    /// In 32 bits.
    Full,
    /// In 16 bits.
    Half,
}

impl fmt::Display for Precision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Full => "32 bits",
            Self::Half => "16 bits",
        })
    }
}

/// What a node makes: a handle to use as another node's operand.
#[derive(Clone, Debug)]
pub struct Value {
    pub(super) name: Rc<str>,
    pub(super) shape: Vec<Dim>,
    pub(super) data_type: DataType,
}

impl Value {
    /// Its dimensions, outermost first.
    pub fn shape(&self) -> &[Dim] {
        &self.shape
    }

    /// Dimension `axis`.
    ///
    /// # Panics
    /// Where it is only known when the graph runs.
    #[track_caller]
    pub fn dim(&self, axis: usize) -> usize {
        match self.shape[axis] {
            Dim::Fixed(n) => n,
            Dim::Named(name) => panic!("dimension {axis} of {} is {name}", self.name),
        }
    }

    /// The size of the last dimension.
    #[track_caller]
    pub fn last_dim(&self) -> usize {
        self.dim(self.shape.len() - 1)
    }
}

type Derive = Box<dyn Fn(&[Vec<f32>]) -> Vec<f32>>;

/// Where an initializer's values come from.
enum Source {
    /// The checkpoint's tensor `name`, without its first values.
    Checkpoint { name: String, n_skipped: usize },
    /// Computed from tensors of the checkpoint.
    Derived { from: Vec<String>, compute: Derive },
    /// Known already.
    Embedded(Vec<u8>),
}

struct Initializer {
    shape: Vec<usize>,
    data_type: DataType,
    source: Source,
}

/// What went into an attention in one operator, to spell it out where the device computes that one wrongly.
pub(super) struct FusedAttention {
    pub operands: [Value; 3],
    pub n_heads: usize,
}

/// The operator; it is no part of ONNX but of ONNX Runtime.
pub(super) const FUSED_ATTENTION: &str = "MultiHeadAttention";

/// A tensor that a checkpoint must hold: name and shape.
pub type Required = BTreeMap<String, Vec<usize>>;

/// A network under construction.
pub struct Graph {
    name: String,
    pub(super) nodes: Vec<NodeProto>,
    /// By the name of what they make.
    pub(super) fused_attentions: HashMap<String, FusedAttention>,
    inputs: Vec<ValueInfoProto>,
    outputs: Vec<ValueInfoProto>,
    initializers: BTreeMap<String, Initializer>,
    required: Required,
    known_constants: HashMap<Vec<i64>, Value>,
    /// Named dimensions of inputs: whose, and which.
    brought: HashMap<&'static str, (Value, usize)>,
    metadata: Vec<StringStringEntryProto>,
    n_names: usize,
    /// Outputs for other models.
    kept: Vec<String>,
    may_be_halved: bool,
}

impl Graph {
    /// An empty graph.
    pub fn new(name: &str) -> Self {
        Self {
            name: name.to_owned(),
            nodes: Vec::new(),
            fused_attentions: HashMap::new(),
            inputs: Vec::new(),
            outputs: Vec::new(),
            initializers: BTreeMap::new(),
            required: Required::new(),
            known_constants: HashMap::new(),
            brought: HashMap::new(),
            metadata: Vec::new(),
            n_names: 0,
            kept: Vec::new(),
            may_be_halved: false,
        }
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// What its file says of itself under `key`.
    pub fn describe(&mut self, key: &str, value: &str) {
        self.metadata.push(StringStringEntryProto { key: key.to_owned(), value: value.to_owned() });
    }

    /// A float input.
    pub fn input(&mut self, name: &str, shape: &[Dim]) -> Value {
        self.input_of(name, shape, DataType::F32)
    }

    /// An input of bytes.
    pub fn input_u8(&mut self, name: &str, shape: &[Dim]) -> Value {
        self.input_of(name, shape, DataType::U8)
    }

    /// An input of integers.
    pub fn input_integers(&mut self, name: &str, shape: &[Dim]) -> Value {
        self.input_of(name, shape, DataType::I64)
    }

    fn input_of(&mut self, name: &str, shape: &[Dim], data_type: DataType) -> Value {
        self.inputs.push(ValueInfoProto::new(name, data_type, dimensions(shape)));
        let input = Value { name: name.into(), shape: shape.to_vec(), data_type };
        for (axis, dim) in shape.iter().enumerate() {
            if let Dim::Named(name) = dim {
                self.brought.insert(name, (input.clone(), axis));
            }
        }
        input
    }

    /// A shape as operators take it. Of several named dimensions each is asked of the input that brings it; where
    /// `may_be_left` one need not be, which the operator then finds by itself, as it does a single one.
    #[track_caller]
    pub(super) fn shape(&mut self, dims: &[Dim], may_be_left: bool) -> Value {
        let n_named = dims.iter().filter(|dim| matches!(dim, Dim::Named(_))).count();
        let asked = |dim: &Dim| match dim {
            Dim::Named(name) if n_named > 1 || !may_be_left => self.brought.get(name).cloned(),
            _ => None,
        };
        let asked: Vec<Option<(Value, usize)>> = dims.iter().map(asked).collect();
        let n_left = n_named - asked.iter().flatten().count();
        assert!(n_left <= usize::from(may_be_left), "{dims:?} is not known");
        let number = |dim: &Dim| if let Dim::Fixed(n) = dim { *n as i64 } else { -1 };
        if n_left == n_named {
            return self.integers(&dims.iter().map(number).collect::<Vec<_>>());
        }
        let parts = dims.iter().zip(asked).map(|(dim, asked)| match asked {
            Some((input, axis)) => self.size_along(&input, axis),
            None => self.integers(&[number(dim)]),
        });
        let parts: Vec<Value> = parts.collect();
        self.concat(&parts.iter().collect::<Vec<_>>(), 0, None)
    }

    fn size_along(&mut self, x: &Value, axis: usize) -> Value {
        let ends = [("start", Attribute::Int(axis as i64)), ("end", Attribute::Int(axis as i64 + 1))];
        self.nodes("Shape", &[x], &ends, vec![vec![1.into()]], DataType::I64).remove(0)
    }

    /// Names `value` as an output.
    pub fn output(&mut self, name: &str, value: &Value) {
        self.outputs.push(ValueInfoProto::new(name, value.data_type, dimensions(&value.shape)));
        let mut node = node("Identity", &[value], &[]);
        node.output = vec![name.to_owned()];
        self.push(node);
    }

    /// Names `value` as an output that other models take and nobody reads: it stays in the memory of its device.
    pub fn output_for_models(&mut self, name: &str, value: &Value) {
        self.output(name, value);
        self.kept.push(name.to_owned());
    }

    pub(super) fn kept(&self) -> &[String] {
        &self.kept
    }

    /// Says that it need not be computed in full precision: its inputs are no places or counts, which 16 bits cannot tell
    /// apart.
    pub fn allow_half(&mut self) {
        self.may_be_halved = true;
    }

    /// Precisions to try, the quickest first.
    pub(super) fn precisions(&self) -> &'static [Precision] {
        if self.may_be_halved { &[Precision::Half, Precision::Full] } else { &[Precision::Full] }
    }

    /// The checkpoint's tensor `name`, which must have this shape.
    pub fn weight(&mut self, name: &str, shape: &[usize]) -> Value {
        self.require(name, shape);
        let source = Source::Checkpoint { name: name.to_owned(), n_skipped: 0 };
        self.initializer(name, shape, DataType::F32, source)
    }

    /// The checkpoint's tensor `name` of this shape, cut into equal parts along its first axis.
    #[track_caller]
    pub fn weight_parts<const N: usize>(&mut self, name: &str, shape: &[usize]) -> [Value; N] {
        assert_eq!(shape[0] % N, 0, "{name} of {shape:?} in {N}");
        self.require(name, shape);
        let mut part = shape.to_vec();
        part[0] /= N;
        std::array::from_fn(|i| {
            let n_skipped = i * part.iter().product::<usize>();
            let source = Source::Checkpoint { name: name.to_owned(), n_skipped };
            self.initializer(&format!("{name}.part{i}"), &part, DataType::F32, source)
        })
    }

    /// A tensor computed from the checkpoint's tensors `from` (name and shape each).
    pub fn derived(
        &mut self,
        name: &str,
        shape: &[usize],
        from: &[(&str, &[usize])],
        compute: impl Fn(&[Vec<f32>]) -> Vec<f32> + 'static,
    ) -> Value {
        for (name, shape) in from {
            self.require(name, shape);
        }
        let from = from.iter().map(|(name, _)| (*name).to_owned()).collect();
        self.initializer(name, shape, DataType::F32, Source::Derived { from, compute: Box::new(compute) })
    }

    /// A float tensor whose values are known now.
    #[track_caller]
    pub fn constant(&mut self, name: &str, shape: &[usize], values: &[f32]) -> Value {
        assert_eq!(values.len(), shape.iter().product::<usize>(), "constant {name} of shape {shape:?}");
        let raw = values.iter().flat_map(|v| v.to_le_bytes()).collect();
        self.initializer(name, shape, DataType::F32, Source::Embedded(raw))
    }

    /// One float, to be broadcast.
    pub fn scalar(&mut self, value: f32) -> Value {
        self.constant(&format!("scalar.{value}"), &[], &[value])
    }

    /// A list of integers, as operators take for shapes and axes.
    pub(super) fn integers(&mut self, values: &[i64]) -> Value {
        if let Some(known) = self.known_constants.get(values) {
            return known.clone();
        }
        let raw = values.iter().flat_map(|v| v.to_le_bytes()).collect();
        let name = self.fresh_name("integers");
        let value = self.initializer(&name, &[values.len()], DataType::I64, Source::Embedded(raw));
        self.known_constants.insert(values.to_vec(), value.clone());
        value
    }

    fn initializer(&mut self, name: &str, shape: &[usize], data_type: DataType, source: Source) -> Value {
        let initializer = Initializer { shape: shape.to_vec(), data_type, source };
        self.initializers.entry(name.to_owned()).or_insert(initializer);
        Value { name: name.into(), shape: shape.iter().map(|&n| Dim::Fixed(n)).collect(), data_type }
    }

    #[track_caller]
    fn require(&mut self, name: &str, shape: &[usize]) {
        let known = self.required.entry(name.to_owned()).or_insert_with(|| shape.to_vec());
        assert_eq!(known, shape, "{name} is wanted in two shapes");
    }

    /// Adds a node with one result.
    pub(super) fn node(
        &mut self,
        op: &str,
        operands: &[&Value],
        attributes: &[(&str, Attribute<'_>)],
        shape: Vec<Dim>,
    ) -> Value {
        let data_type = operands[0].data_type;
        self.nodes(op, operands, attributes, vec![shape], data_type).remove(0)
    }

    /// Adds a node with one result a shape, each of `data_type`.
    pub(super) fn nodes(
        &mut self,
        op: &str,
        operands: &[&Value],
        attributes: &[(&str, Attribute<'_>)],
        shapes: Vec<Vec<Dim>>,
        data_type: DataType,
    ) -> Vec<Value> {
        let results: Vec<Value> = shapes
            .into_iter()
            .map(|shape| Value { name: self.fresh_name(op).into(), shape, data_type })
            .collect();
        let mut node = node(op, operands, attributes);
        node.output = results.iter().map(|v| v.name.to_string()).collect();
        self.push(node);
        results
    }

    pub(super) fn push(&mut self, mut node: NodeProto) {
        node.name = format!("{}.{}", self.name, self.nodes.len());
        self.nodes.push(node);
    }

    fn fresh_name(&mut self, stem: &str) -> String {
        self.n_names += 1;
        format!("{stem}.{}", self.n_names)
    }

    /// The tensors that a checkpoint must hold for this graph.
    pub fn required(&self) -> &Required {
        &self.required
    }

    /// The ONNX file of this graph with the weights of `checkpoint`: in full precision those that the file holds as floats
    /// are pointed at, all others are carried along.
    ///
    /// # Errors
    /// If the checkpoint lacks a tensor or holds it in another shape.
    pub fn bind(&self, checkpoint: &Checkpoint, precision: Precision) -> Result<Vec<u8>, CheckpointError> {
        checkpoint.require(&self.required)?;
        let tensor = |(name, init): (&String, &Initializer)| match (precision, init.data_type) {
            (Precision::Half, DataType::F32) => {
                let halves =
                    init.values(checkpoint)?.iter().flat_map(|v| f16::from_f32(*v).to_le_bytes()).collect();
                Ok(TensorProto::embedded(name, &init.shape, DataType::F16, halves))
            }
            _ => init.tensor(name, checkpoint),
        };
        let initializers = self.initializers.iter().map(tensor).collect::<Result<_, CheckpointError>>()?;
        let nodes = match precision {
            Precision::Full => self.nodes.clone(),
            Precision::Half => self.halved_nodes(),
        };
        Ok(self.encoded(nodes, initializers))
    }

    /// As an ONNX file with these operators and weights.
    fn encoded(&self, node: Vec<NodeProto>, initializer: Vec<TensorProto>) -> Vec<u8> {
        let opset = |domain: &str, version| OperatorSetIdProto { domain: domain.to_owned(), version };
        let model = ModelProto {
            ir_version: onnx::IR_VERSION,
            producer_name: "segue".to_owned(),
            graph: Some(GraphProto {
                node,
                name: self.name.clone(),
                initializer,
                input: self.inputs.clone(),
                output: self.outputs.clone(),
            }),
            opset_import: vec![opset("", onnx::OPSET), opset(onnx::MICROSOFT, 1)],
            metadata_props: self.metadata.clone(),
        };
        model.encode_to_vec()
    }

    /// The nodes with halves between them: float inputs become halves first, and outputs floats at last.
    fn halved_nodes(&self) -> Vec<NodeProto> {
        let floats = |ports: &[ValueInfoProto]| -> Vec<String> {
            let floats = ports.iter().filter(|port| port.element_type() == Some(DataType::F32 as i32));
            floats.map(|port| port.name.clone()).collect()
        };
        let (inputs, outputs) = (floats(&self.inputs), floats(&self.outputs));
        let halved = |name: &str| format!("{name}.halved");
        let to = |data_type: DataType| vec![AttributeProto::new("to", &Attribute::Int(data_type as i64))];
        let first = inputs.iter().map(|name| NodeProto {
            input: vec![name.clone()],
            output: vec![halved(name)],
            name: halved(name),
            op_type: "Cast".to_owned(),
            attribute: to(DataType::F16),
            ..NodeProto::default()
        });
        let rest = self.nodes.iter().cloned().map(|mut node| {
            for input in node.input.iter_mut().filter(|input| inputs.contains(input)) {
                *input = halved(input);
            }
            if outputs.contains(&node.output[0]) {
                (node.op_type, node.attribute) = ("Cast".to_owned(), to(DataType::F32));
            } else if node.op_type == "Cast" && node.attribute == to(DataType::F32) {
                node.attribute = to(DataType::F16);
            }
            node
        });
        first.chain(rest).collect()
    }
}

impl Initializer {
    fn tensor(&self, name: &str, checkpoint: &Checkpoint) -> Result<TensorProto, CheckpointError> {
        if let Source::Checkpoint { name: whole, n_skipped } = &self.source
            && let Some((file, offset)) = checkpoint.place_in_file(whole)?
        {
            return Ok(TensorProto::external(name, &self.shape, file, offset + n_skipped * size_of::<f32>()));
        }
        let raw = match &self.source {
            Source::Embedded(raw) => raw.clone(),
            _ => bytes(&self.values(checkpoint)?),
        };
        Ok(TensorProto::embedded(name, &self.shape, self.data_type, raw))
    }

    /// The floats that it is of.
    fn values(&self, checkpoint: &Checkpoint) -> Result<Vec<f32>, CheckpointError> {
        Ok(match &self.source {
            Source::Embedded(raw) => raw.as_chunks::<4>().0.iter().map(|v| f32::from_le_bytes(*v)).collect(),
            Source::Checkpoint { name, n_skipped } => {
                let n = self.shape.iter().product();
                checkpoint.floats(name)?[*n_skipped..][..n].to_vec()
            }
            Source::Derived { from, compute } => {
                let from = from.iter().map(|name| checkpoint.floats(name)).collect::<Result<Vec<_>, _>>()?;
                compute(&from)
            }
        })
    }
}

fn bytes(floats: &[f32]) -> Vec<u8> {
    floats.iter().flat_map(|v| v.to_le_bytes()).collect()
}

fn dimensions(shape: &[Dim]) -> Vec<DimensionValue> {
    shape
        .iter()
        .map(|dim| match *dim {
            Dim::Fixed(n) => DimensionValue::Value(n as i64),
            Dim::Named(name) => DimensionValue::Param(name.to_owned()),
        })
        .collect()
}

fn node(op: &str, operands: &[&Value], attributes: &[(&str, Attribute<'_>)]) -> NodeProto {
    NodeProto {
        input: operands.iter().map(|v| v.name.to_string()).collect(),
        op_type: op.to_owned(),
        attribute: attributes.iter().map(|(name, value)| AttributeProto::new(name, value)).collect(),
        domain: if op == FUSED_ATTENTION { onnx::MICROSOFT.to_owned() } else { String::new() },
        ..NodeProto::default()
    }
}
