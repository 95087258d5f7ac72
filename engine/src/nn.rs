//! Neural networks as Rust code: graphs written here, weights of official files, run by ONNX Runtime.
//!
//! `graph` and `ops` describe a network as the papers do and know nothing of any one model.
//! `checkpoint` opens weight files; `onnx` is the file format between the two and ONNX Runtime.
//! `runtime`, `model`, `tensor` and `device` are the only places that name `ort`; new kinds of hardware go into `device`.
//! `remote` runs models on another machine.
//! `trust` finds out whether a device makes the processor's numbers.

pub mod graph;
pub mod ops;

mod onnx;

pub mod checkpoint;
mod pickle;

pub mod device;
pub mod model;
pub mod runtime;
mod stacks;
mod tensor;
mod trust;

pub mod place;
pub mod remote;

pub use checkpoint::{Checkpoint, CheckpointError};
pub use device::Device;
pub use graph::{Dim, Graph, Precision, Value};
pub use model::Model;
pub use place::Place;
pub use runtime::{Cancel, Runtime, RuntimeError};
pub use stacks::Stacks;
pub use tensor::{Port, PortKind, Tensor};
