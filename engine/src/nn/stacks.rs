//! Tensors put one after the other and taken apart again, without leaving the memory of the device that they are in.

use std::collections::{BTreeMap, btree_map::Entry};

use super::{
    checkpoint::Checkpoint,
    graph::{Dim, Graph},
    model::Model,
    runtime::{Cancel, Runtime, RuntimeError},
    tensor::Tensor,
};

/// Models that do it, one for each number and shape, made when they are first wanted.
pub struct Stacks {
    runtime: Runtime,
    stacking: BTreeMap<(Vec<usize>, Vec<usize>), Model>,
    unstacking: BTreeMap<Vec<usize>, Model>,
}

impl Stacks {
    /// Has made none yet.
    pub fn new(runtime: &Runtime) -> Self {
        Self { runtime: runtime.clone(), stacking: BTreeMap::new(), unstacking: BTreeMap::new() }
    }

    /// Tensors of one shape as one that has the dimensions `counts` before theirs, the first for objects: as many as their
    /// product, those of the first object first.
    ///
    /// # Errors
    /// If canceled, or ONNX Runtime refuses.
    ///
    /// # Panics
    /// If there are none.
    pub fn stack(
        &mut self,
        tensors: &[Tensor],
        counts: &[usize],
        cancel: &Cancel,
    ) -> Result<Tensor, RuntimeError> {
        let shape = tensors[0].shape();
        let names: Vec<String> = (0..tensors.len()).map(|i| format!("x{i}")).collect();
        let key = (counts.to_vec(), shape.clone());
        let model = loaded(&mut self.stacking, key, &self.runtime, || stack(&names, counts, &shape))?;
        let inputs: Vec<(&str, &Tensor)> = names.iter().map(String::as_str).zip(tensors).collect();
        Ok(model.run_batch(counts[0], &inputs, cancel)?.remove(0))
    }

    /// The parts of a tensor along its first dimension, which they do not have, one for each object.
    ///
    /// # Errors
    /// If canceled, or ONNX Runtime refuses.
    pub fn unstack(&mut self, stacked: &Tensor, cancel: &Cancel) -> Result<Vec<Tensor>, RuntimeError> {
        let shape = stacked.shape();
        let model = loaded(&mut self.unstacking, shape.clone(), &self.runtime, || unstack(&shape))?;
        model.run_batch(shape[0], &[("stacked", stacked)], cancel)
    }
}

fn loaded<'a, Key: Ord>(
    models: &'a mut BTreeMap<Key, Model>,
    key: Key,
    runtime: &Runtime,
    graph: impl FnOnce() -> Graph,
) -> Result<&'a mut Model, RuntimeError> {
    Ok(match models.entry(key) {
        Entry::Occupied(loaded) => loaded.into_mut(),
        Entry::Vacant(place) => place.insert(Model::load_here(runtime, graph(), &Checkpoint::default())?),
    })
}

fn stack(names: &[String], counts: &[usize], shape: &[usize]) -> Graph {
    let mut graph = Graph::new("stack");
    let dims: Vec<Dim> = shape.iter().map(|&n| Dim::Fixed(n)).collect();
    let one = [&[1], shape].concat();
    let parts = names.iter().map(|name| {
        let x = graph.input(name, &dims);
        graph.reshape_to(&x, &one)
    });
    let parts: Vec<_> = parts.collect();
    let stacked = graph.concat(&parts.iter().collect::<Vec<_>>(), 0, None);
    let stacked = graph.reshape_to(&stacked, &[counts, shape].concat());
    graph.output_for_models("stacked", &stacked);
    graph
}

fn unstack(shape: &[usize]) -> Graph {
    let mut graph = Graph::new("unstack");
    let dims: Vec<Dim> = shape.iter().map(|&n| Dim::Fixed(n)).collect();
    let stacked = graph.input("stacked", &dims);
    for i in 0..shape[0] {
        let part = graph.slice(&stacked, 0, i..i + 1);
        let part = graph.reshape_to(&part, &shape[1..]);
        graph.output_for_models(&format!("x{i}"), &part);
    }
    graph
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::nn::Device;

    #[test]
    fn tensors_stand_in_the_order_in_which_they_are_given_and_come_apart_again() {
        let runtime = Runtime::start(Some(Device::Cpu), Some(1)).unwrap();
        let mut stacks = Stacks::new(&runtime);
        let tensor = |first: f32| Tensor::from_floats(&[1, 2], vec![first, first + 0.5]).unwrap();
        for n in [1, 3] {
            let tensors: Vec<Tensor> = (0..n).map(|i| tensor(i as f32)).collect();
            let stacked = stacks.stack(&tensors, &[n], &Cancel::default()).unwrap();
            assert_eq!(stacked.shape(), [n, 1, 2]);
            assert_eq!(stacked.floats()[2 * (n - 1)..], [n as f32 - 1.0, n as f32 - 0.5]);
            let apart = stacks.unstack(&stacked, &Cancel::default()).unwrap();
            assert!(apart.iter().zip(&tensors).all(|(a, b)| a.shape() == [1, 2] && a.floats() == b.floats()));
            assert_eq!(apart.len(), n);
        }
    }
}
