//! Numbers that models take and make.

use std::sync::Arc;

use ort::{
    session::SharedSessionInner,
    value::{DynTensorValueType, DynValue},
};

use super::runtime::{RuntimeError, ort_error};

/// An array of numbers, as models take and make; a clone shares it.
#[derive(Clone)]
pub struct Tensor {
    pub(super) value: Arc<DynValue>,
    /// Of a device's memory, who gave it, and has to be there until it is given back.
    _owner: Option<Arc<SharedSessionInner>>,
}

impl Tensor {
    /// Of the processor's memory.
    pub(super) fn of(value: DynValue) -> Self {
        Self { value: Arc::new(value), _owner: None }
    }

    /// Of the memory of a session's device.
    pub(super) fn kept(value: DynValue, owner: Arc<SharedSessionInner>) -> Self {
        Self { value: Arc::new(value), _owner: Some(owner) }
    }

    /// Floats in row-major order.
    ///
    /// # Errors
    /// If there are more or fewer than the shape says.
    pub fn from_floats(shape: &[usize], values: Vec<f32>) -> Result<Self, RuntimeError> {
        let tensor = ort::value::Tensor::from_array((shape.to_vec(), values));
        Ok(Self::of(tensor.map_err(ort_error("take an input"))?.into_dyn()))
    }

    /// Bytes in row-major order.
    ///
    /// # Errors
    /// If there are more or fewer than the shape says.
    pub fn from_bytes(shape: &[usize], values: Vec<u8>) -> Result<Self, RuntimeError> {
        let tensor = ort::value::Tensor::from_array((shape.to_vec(), values));
        Ok(Self::of(tensor.map_err(ort_error("take an input"))?.into_dyn()))
    }

    /// Whether its numbers can be read.
    pub fn is_on_processor(&self) -> bool {
        let tensor = self.value.view().downcast::<DynTensorValueType>();
        tensor.is_ok_and(|tensor| tensor.memory_info().is_cpu_accessible())
    }

    /// Its dimensions, outermost first.
    pub fn shape(&self) -> Vec<usize> {
        self.value.shape().iter().map(|&n| n as usize).collect()
    }

    /// Bytes that it takes.
    pub fn n_bytes(&self) -> usize {
        let ort::value::ValueType::Tensor { ty, .. } = self.value.dtype() else { return 0 };
        ty.byte_size(self.shape().iter().product()).unwrap_or(0)
    }

    /// The values in row-major order.
    ///
    /// # Panics
    /// If they are not floats on the processor: inputs made from bytes are not, nor is what a model keeps on its device for
    /// others ([`super::Graph::output_for_models`]).
    pub fn floats(&self) -> &[f32] {
        self.value.try_extract_tensor::<f32>().expect("a tensor of floats").1
    }

    /// Whole numbers in row-major order.
    ///
    /// # Errors
    /// If there are more or fewer than the shape says.
    pub fn from_integers(shape: &[usize], values: Vec<i64>) -> Result<Self, RuntimeError> {
        let tensor = ort::value::Tensor::from_array((shape.to_vec(), values));
        Ok(Self::of(tensor.map_err(ort_error("take an input"))?.into_dyn()))
    }

    /// Floats in row-major order, kept as halves.
    ///
    /// # Errors
    /// If there are more or fewer than the shape says.
    pub fn from_floats_as_halves(shape: &[usize], values: &[f32]) -> Result<Self, RuntimeError> {
        let halves: Vec<half::f16> = values.iter().map(|v| half::f16::from_f32(*v)).collect();
        let tensor = ort::value::Tensor::from_array((shape.to_vec(), halves));
        Ok(Self::of(tensor.map_err(ort_error("take an input"))?.into_dyn()))
    }

    /// Shape and values in row-major order, whatever numbers they are; none if they are no numbers.
    pub fn numbers(&self) -> Option<(Vec<usize>, Vec<f32>)> {
        let shape = |shape: &ort::value::Shape| shape.iter().map(|&n| n as usize).collect();
        if let Ok((of, values)) = self.value.try_extract_tensor::<f32>() {
            return Some((shape(of), values.to_vec()));
        }
        if let Ok((of, values)) = self.value.try_extract_tensor::<half::f16>() {
            return Some((shape(of), values.iter().map(|v| v.to_f32()).collect()));
        }
        if let Ok((of, values)) = self.value.try_extract_tensor::<i64>() {
            return Some((shape(of), values.iter().map(|&v| v as f32).collect()));
        }
        let (of, values) = self.value.try_extract_tensor::<i32>().ok()?;
        Some((shape(of), values.iter().map(|&v| v as f32).collect()))
    }
}

/// Something that a model takes or makes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Port {
    /// Its name.
    pub name: String,
    /// Its dimensions, outermost first; none where they are only known when it runs.
    pub shape: Vec<Option<usize>>,
    /// What numbers it is of.
    pub kind: PortKind,
}

/// Kinds of numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PortKind {
    /// 32-bit floats.
    Float,
    /// 16-bit floats.
    Half,
    /// Bytes.
    Byte,
    /// 64-bit integers.
    Integer,
    /// Something else.
    Other,
}

impl Port {
    pub(super) fn of(outlet: &ort::value::Outlet) -> Self {
        use ort::value::{TensorElementType as Type, ValueType};
        let (shape, kind) = match outlet.dtype() {
            ValueType::Tensor { ty, shape, .. } => {
                let kind = match ty {
                    Type::Float32 => PortKind::Float,
                    Type::Float16 => PortKind::Half,
                    Type::Uint8 => PortKind::Byte,
                    Type::Int64 => PortKind::Integer,
                    _ => PortKind::Other,
                };
                (shape.iter().map(|&n| usize::try_from(n).ok()).collect(), kind)
            }
            _ => (Vec::new(), PortKind::Other),
        };
        Self { name: outlet.name().to_owned(), shape, kind }
    }
}
