//! The runtime's side of models on a server.

use std::{
    sync::{Arc, atomic::Ordering},
    time::Instant,
};

use super::{
    super::{
        device::Device,
        model::NANOS_IN_MODELS,
        place::Place,
        remote::{Array, RemoteError, RemoteModel, Server},
        tensor::{PortKind, Tensor},
    },
    Cancel, Runtime, RuntimeError,
};

impl From<RemoteError> for RuntimeError {
    fn from(error: RemoteError) -> Self {
        if matches!(error, RemoteError::Canceled) { Self::Canceled } else { Self::Remote(error.into()) }
    }
}

impl Runtime {
    /// The same at a place that may be a server: what is small then runs on the processor here.
    ///
    /// # Errors
    /// If there is no library, or the device or the server does not work.
    pub fn start_at(place: Option<&Place>, n_threads: Option<usize>) -> Result<Self, RuntimeError> {
        match place {
            None => Self::start(None, n_threads),
            Some(Place::Here(device)) => Self::start(Some(*device), n_threads),
            Some(Place::There(address)) => {
                let here = Self::start(Some(Device::Cpu), n_threads)?;
                Ok(here.with_server(Server::connect(address)?))
            }
        }
    }

    /// The same with its large models on a server.
    #[must_use]
    pub fn with_server(self, server: Server) -> Self {
        Self { server: Some(Arc::new(server)), ..self }
    }

    /// Where models run.
    pub fn place(&self) -> Place {
        let here = Place::Here(self.device);
        self.server.as_ref().map_or(here, |server| Place::There(server.address().clone()))
    }
}

impl Tensor {
    /// As it goes over a wire; none if it is of other numbers than those that [`PortKind`] names.
    fn to_array(&self) -> Option<Array> {
        macro_rules! array {
            ($type:ty, $kind:expr) => {
                if let Ok((shape, values)) = self.value.try_extract_tensor::<$type>() {
                    let bytes = values.iter().flat_map(|value| value.to_le_bytes()).collect();
                    return Some(Array {
                        kind: $kind,
                        shape: shape.iter().map(|&n| n as usize).collect(),
                        bytes,
                    });
                }
            };
        }
        array!(f32, PortKind::Float);
        array!(u8, PortKind::Byte);
        array!(i64, PortKind::Integer);
        array!(half::f16, PortKind::Half);
        None
    }

    /// As it came over a wire.
    fn of_array(Array { kind, shape, bytes }: Array) -> Result<Self, RuntimeError> {
        fn numbers<const N: usize, T>(bytes: &[u8], number: impl Fn([u8; N]) -> T) -> Vec<T> {
            bytes.as_chunks::<N>().0.iter().map(|chunk| number(*chunk)).collect()
        }
        match kind {
            PortKind::Byte => Self::from_bytes(&shape, bytes),
            PortKind::Integer => Self::from_integers(&shape, numbers(&bytes, i64::from_le_bytes)),
            PortKind::Half => {
                let halves = numbers(&bytes, |chunk| half::f16::from_le_bytes(chunk).to_f32());
                Self::from_floats_as_halves(&shape, &halves)
            }
            PortKind::Float | PortKind::Other => {
                Self::from_floats(&shape, numbers(&bytes, f32::from_le_bytes))
            }
        }
    }
}

/// Runs a part on its server.
pub(in crate::nn) fn run(
    part: &RemoteModel,
    inputs: &[(&str, &Tensor)],
    cancel: &Cancel,
) -> Result<Vec<Tensor>, RuntimeError> {
    let start = Instant::now();
    let arrays: Vec<(&str, Array)> =
        inputs.iter().filter_map(|(name, tensor)| Some((*name, tensor.to_array()?))).collect();
    let inputs: Vec<(&str, &Array)> = arrays.iter().map(|(name, array)| (*name, array)).collect();
    let results = part.run(&inputs, cancel);
    NANOS_IN_MODELS.fetch_add(start.elapsed().as_nanos() as u64, Ordering::Relaxed);
    results?.into_iter().map(Tensor::of_array).collect()
}
