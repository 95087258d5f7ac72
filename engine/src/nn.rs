//! Neural networks as Rust code: graphs written here, weights of official files, run by ONNX Runtime.
//!
//! `graph` and `ops` describe a network as the papers do and know nothing of any one model.
//! `checkpoint` opens weight files; `onnx` is the file format between the two and ONNX Runtime.
//! `runtime` is the only place that names `ort`, `device` the only place that names its providers; `remote` runs models on
//! another machine in their place.

pub mod graph;
pub mod ops;

mod onnx;

pub mod checkpoint;
mod pickle;

pub mod device;
pub mod runtime;

pub mod place;
pub mod remote;

pub use checkpoint::{Checkpoint, CheckpointError};
pub use device::Device;
pub use graph::{Dim, Graph, Value};
pub use place::Place;
pub use runtime::{Cancel, Model, Port, PortKind, Runtime, RuntimeError, Tensor};
