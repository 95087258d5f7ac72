//! The part of the ONNX file format that our graphs use (onnx.proto, IR version 10), as protobuf messages.

use prost::Message;

/// `TensorProto.DataType` of what our graphs hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum DataType {
    F32 = 1,
    U8 = 2,
    I64 = 7,
    Bool = 9,
    F16 = 10,
}

pub(crate) const IR_VERSION: i64 = 10;
pub(crate) const OPSET: i64 = 20;
pub(crate) const MICROSOFT: &str = "com.microsoft";
const EXTERNAL: i32 = 1;

#[derive(Clone, PartialEq, Message)]
pub(crate) struct ModelProto {
    #[prost(int64, tag = "1")]
    pub ir_version: i64,
    #[prost(string, tag = "2")]
    pub producer_name: String,
    #[prost(message, optional, tag = "7")]
    pub graph: Option<GraphProto>,
    #[prost(message, repeated, tag = "8")]
    pub opset_import: Vec<OperatorSetIdProto>,
    #[prost(message, repeated, tag = "14")]
    pub metadata_props: Vec<StringStringEntryProto>,
}

#[derive(Clone, PartialEq, Message)]
pub(crate) struct OperatorSetIdProto {
    #[prost(string, tag = "1")]
    pub domain: String,
    #[prost(int64, tag = "2")]
    pub version: i64,
}

#[derive(Clone, PartialEq, Message)]
pub(crate) struct GraphProto {
    #[prost(message, repeated, tag = "1")]
    pub node: Vec<NodeProto>,
    #[prost(string, tag = "2")]
    pub name: String,
    #[prost(message, repeated, tag = "5")]
    pub initializer: Vec<TensorProto>,
    #[prost(message, repeated, tag = "11")]
    pub input: Vec<ValueInfoProto>,
    #[prost(message, repeated, tag = "12")]
    pub output: Vec<ValueInfoProto>,
}

#[derive(Clone, PartialEq, Message)]
pub(crate) struct NodeProto {
    #[prost(string, repeated, tag = "1")]
    pub input: Vec<String>,
    #[prost(string, repeated, tag = "2")]
    pub output: Vec<String>,
    #[prost(string, tag = "3")]
    pub name: String,
    #[prost(string, tag = "4")]
    pub op_type: String,
    #[prost(message, repeated, tag = "5")]
    pub attribute: Vec<AttributeProto>,
    #[prost(string, tag = "7")]
    pub domain: String,
}

#[derive(Clone, PartialEq, Message)]
pub(crate) struct AttributeProto {
    #[prost(string, tag = "1")]
    pub name: String,
    #[prost(float, tag = "2")]
    pub f: f32,
    #[prost(int64, tag = "3")]
    pub i: i64,
    #[prost(bytes = "vec", tag = "4")]
    pub s: Vec<u8>,
    #[prost(int64, repeated, tag = "8")]
    pub ints: Vec<i64>,
    #[prost(int32, tag = "20")]
    pub kind: i32,
}

/// An attribute's value.
#[derive(Clone, Debug)]
pub(crate) enum Attribute<'a> {
    Float(f32),
    Int(i64),
    Ints(&'a [i64]),
    Text(&'a str),
}

impl AttributeProto {
    pub(crate) fn new(name: &str, value: &Attribute<'_>) -> Self {
        let mut attribute = Self { name: name.to_owned(), ..Self::default() };
        match *value {
            Attribute::Float(f) => (attribute.f, attribute.kind) = (f, 1),
            Attribute::Int(i) => (attribute.i, attribute.kind) = (i, 2),
            Attribute::Ints(ints) => (attribute.ints, attribute.kind) = (ints.to_vec(), 7),
            Attribute::Text(text) => (attribute.s, attribute.kind) = (text.into(), 3),
        }
        attribute
    }
}

#[derive(Clone, PartialEq, Message)]
pub(crate) struct TensorProto {
    #[prost(int64, repeated, tag = "1")]
    pub dims: Vec<i64>,
    #[prost(int32, tag = "2")]
    pub data_type: i32,
    #[prost(string, tag = "8")]
    pub name: String,
    #[prost(bytes = "vec", optional, tag = "9")]
    pub raw_data: Option<Vec<u8>>,
    #[prost(message, repeated, tag = "13")]
    pub external_data: Vec<StringStringEntryProto>,
    #[prost(int32, optional, tag = "14")]
    pub data_location: Option<i32>,
}

impl TensorProto {
    /// A tensor that carries its values.
    pub(crate) fn embedded(name: &str, shape: &[usize], data_type: DataType, raw: Vec<u8>) -> Self {
        Self { raw_data: Some(raw), ..Self::named(name, shape, data_type) }
    }

    /// A float tensor that ONNX Runtime maps out of `file`, from byte `offset`.
    pub(crate) fn external(name: &str, shape: &[usize], file: &str, offset: usize) -> Self {
        let length = shape.iter().product::<usize>() * size_of::<f32>();
        let entry = |key: &str, value: String| StringStringEntryProto { key: key.to_owned(), value };
        Self {
            external_data: vec![
                entry("location", file.to_owned()),
                entry("offset", offset.to_string()),
                entry("length", length.to_string()),
            ],
            data_location: Some(EXTERNAL),
            ..Self::named(name, shape, DataType::F32)
        }
    }

    fn named(name: &str, shape: &[usize], data_type: DataType) -> Self {
        Self {
            dims: shape.iter().map(|&n| n as i64).collect(),
            data_type: data_type as i32,
            name: name.to_owned(),
            ..Self::default()
        }
    }
}

#[derive(Clone, PartialEq, Message)]
pub(crate) struct StringStringEntryProto {
    #[prost(string, tag = "1")]
    pub key: String,
    #[prost(string, tag = "2")]
    pub value: String,
}

#[derive(Clone, PartialEq, Message)]
pub(crate) struct ValueInfoProto {
    #[prost(string, tag = "1")]
    pub name: String,
    #[prost(message, optional, tag = "2")]
    pub kind: Option<TypeProto>,
}

#[derive(Clone, PartialEq, Message)]
pub(crate) struct TypeProto {
    #[prost(message, optional, tag = "1")]
    pub tensor_type: Option<TensorTypeProto>,
}

#[derive(Clone, PartialEq, Message)]
pub(crate) struct TensorTypeProto {
    #[prost(int32, tag = "1")]
    pub elem_type: i32,
    #[prost(message, optional, tag = "2")]
    pub shape: Option<TensorShapeProto>,
}

#[derive(Clone, PartialEq, Message)]
pub(crate) struct TensorShapeProto {
    #[prost(message, repeated, tag = "1")]
    pub dim: Vec<DimensionProto>,
}

#[derive(Clone, PartialEq, Message)]
pub(crate) struct DimensionProto {
    #[prost(oneof = "DimensionValue", tags = "1, 2")]
    pub value: Option<DimensionValue>,
}

#[derive(Clone, PartialEq, prost::Oneof)]
pub(crate) enum DimensionValue {
    #[prost(int64, tag = "1")]
    Value(i64),
    #[prost(string, tag = "2")]
    Param(String),
}

impl ValueInfoProto {
    pub(crate) fn new(name: &str, data_type: DataType, dims: Vec<DimensionValue>) -> Self {
        let dim = dims.into_iter().map(|d| DimensionProto { value: Some(d) }).collect();
        let tensor_type =
            TensorTypeProto { elem_type: data_type as i32, shape: Some(TensorShapeProto { dim }) };
        Self { name: name.to_owned(), kind: Some(TypeProto { tensor_type: Some(tensor_type) }) }
    }

    pub(crate) fn element_type(&self) -> Option<i32> {
        Some(self.kind.as_ref()?.tensor_type.as_ref()?.elem_type)
    }
}
