//! The values that a pickle makes, as far as they describe tensors.

use std::rc::Rc;

use super::MAX_DIMENSIONS;
use crate::nn::checkpoint::ElementType;

/// Longer or deeper tuples describe no tensor.
const MAX_TUPLE: usize = 64;
const MAX_DEPTH: usize = 8;

/// A tensor as a pickle describes it.
#[derive(Debug)]
pub(in crate::nn) struct PickledTensor {
    pub element_type: ElementType,
    /// Key of the storage that holds its elements.
    pub storage: Rc<str>,
    /// Number of the tensor's first element in its storage.
    pub first_element: usize,
    pub shape: Vec<usize>,
    /// Elements of the storage from one index to the next, along each dimension.
    pub strides: Vec<usize>,
}

#[derive(Clone, Debug)]
pub(in crate::nn) enum Object {
    /// Anything that needs no telling apart, in words.
    Plain(&'static str),
    /// An object of a class, or what a function would return: its name.
    Instance(Rc<str>),
    Int(i64),
    Str(Rc<str>),
    /// With its depth.
    Tuple(Rc<[Self]>, usize),
    Global(Global),
    Storage(StorageType, Rc<str>),
    Tensor(Rc<PickledTensor>),
    /// Place in the list of dicts of the pickle.
    Dict(usize),
    Mark,
}

#[derive(Clone, Debug)]
pub(in crate::nn) enum Global {
    OrderedDict,
    RebuildTensor,
    RebuildParameter,
    /// A call of the function in its first argument with the arguments in its third.
    RebuildFromType,
    Storage(StorageType),
    Other(Rc<str>),
}

/// What a storage holds.
#[derive(Clone, Copy, Debug)]
pub(in crate::nn) struct StorageType {
    /// PyTorch's name of it.
    pub name: &'static str,
    /// Bytes of an element.
    pub size: usize,
    /// None if it holds no floats that Segue reads.
    pub floats: Option<ElementType>,
}

impl StorageType {
    /// The type of a class of the module `torch`.
    pub(super) fn of_class(class: &str) -> Option<Self> {
        let (name, size, floats) = match class {
            "FloatStorage" => ("float32", 4, Some(ElementType::F32)),
            "DoubleStorage" => ("float64", 8, Some(ElementType::F64)),
            "HalfStorage" => ("float16", 2, Some(ElementType::F16)),
            "BFloat16Storage" => ("bfloat16", 2, Some(ElementType::Bf16)),
            "LongStorage" => ("int64", 8, None),
            "IntStorage" => ("int32", 4, None),
            "ShortStorage" => ("int16", 2, None),
            "CharStorage" => ("int8", 1, None),
            "ByteStorage" | "UntypedStorage" => ("uint8", 1, None),
            "BoolStorage" => ("bool", 1, None),
            "ComplexFloatStorage" => ("complex64", 8, None),
            "ComplexDoubleStorage" => ("complex128", 16, None),
            "QInt8Storage" => ("qint8", 1, None),
            "QUInt8Storage" => ("quint8", 1, None),
            "QInt32Storage" => ("qint32", 4, None),
            _ => return None,
        };
        Some(Self { name, size, floats })
    }
}

impl Object {
    /// A tuple, or an opaque value if it is too long or deep to describe a tensor.
    pub(super) fn tuple(items: Vec<Self>) -> Self {
        let depth = |item: &Self| if let Self::Tuple(_, depth) = item { *depth } else { 0 };
        let depth = 1 + items.iter().map(depth).max().unwrap_or(0);
        if items.len() > MAX_TUPLE || depth > MAX_DEPTH {
            return Self::Plain("a tuple");
        }
        Self::Tuple(items.into(), depth)
    }

    pub(super) fn size(&self) -> Option<usize> {
        if let Self::Int(n) = self { usize::try_from(*n).ok() } else { None }
    }

    fn sizes(&self) -> Option<Vec<usize>> {
        let Self::Tuple(items, _) = self else { return None };
        (items.len() <= MAX_DIMENSIONS).then(|| items.iter().map(Self::size).collect())?
    }
}

/// What a function returns, as far as it describes a tensor.
pub(super) fn made(function: &Object, arguments: &Object) -> Object {
    const ODD: Object = Object::Plain("a tensor that its pickle describes wrongly");
    let arguments = if let Object::Tuple(arguments, _) = arguments { &arguments[..] } else { &[] };
    let Object::Global(function) = function else { return Object::Plain("an object") };
    match (function, arguments) {
        (Global::RebuildTensor, arguments) => tensor(arguments).unwrap_or(ODD),
        (Global::RebuildParameter, [tensor @ (Object::Tensor(_) | Object::Instance(_)), ..]) => {
            tensor.clone()
        }
        (Global::RebuildFromType, [function, _, of, ..]) => made(function, of),
        (Global::Other(name), _) => Object::Instance(name.clone()),
        _ => ODD,
    }
}

/// The tensor that `_rebuild_tensor_v2` makes of a storage, its first element's number, a shape and strides.
fn tensor(arguments: &[Object]) -> Option<Object> {
    let [Object::Storage(kind, storage), first, shape, strides, ..] = arguments else { return None };
    let Some(element_type) = kind.floats else {
        return Some(Object::Instance(format!("tensor of {}", kind.name).into()));
    };
    let (shape, strides) = (shape.sizes()?, strides.sizes()?);
    (shape.len() == strides.len()).then_some(())?;
    let first_element = first.size()?;
    let storage = storage.clone();
    Some(Object::Tensor(Rc::new(PickledTensor { element_type, storage, first_element, shape, strides })))
}
