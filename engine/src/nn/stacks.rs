//! Tensors one after the other, without leaving the memory of the device that they are in.

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
    models: BTreeMap<(usize, Vec<usize>), Model>,
}

impl Stacks {
    /// Has made none yet.
    pub fn new(runtime: &Runtime) -> Self {
        Self { runtime: runtime.clone(), models: BTreeMap::new() }
    }

    /// One or more tensors of one shape as one that has their number before their dimensions.
    ///
    /// # Errors
    /// If canceled, or ONNX Runtime refuses.
    ///
    /// # Panics
    /// If there are none.
    pub fn stack(&mut self, tensors: &[Tensor], cancel: &Cancel) -> Result<Tensor, RuntimeError> {
        let shape = tensors[0].shape();
        let names: Vec<String> = (0..tensors.len()).map(|i| format!("x{i}")).collect();
        let model = match self.models.entry((tensors.len(), shape.clone())) {
            Entry::Occupied(made) => made.into_mut(),
            Entry::Vacant(place) => {
                let graph = stack(&names, &shape);
                place.insert(Model::load_here(&self.runtime, graph, &Checkpoint::default())?)
            }
        };
        let inputs: Vec<(&str, &Tensor)> = names.iter().map(String::as_str).zip(tensors).collect();
        Ok(model.run(&inputs, cancel)?.remove(0))
    }
}

fn stack(names: &[String], shape: &[usize]) -> Graph {
    let mut graph = Graph::new("stack");
    let dims: Vec<Dim> = shape.iter().map(|&n| Dim::Fixed(n)).collect();
    let one: Vec<usize> = [1].into_iter().chain(shape.iter().copied()).collect();
    let parts = names.iter().map(|name| {
        let x = graph.input(name, &dims);
        graph.reshape_to(&x, &one)
    });
    let parts: Vec<_> = parts.collect();
    let stacked = graph.concat(&parts.iter().collect::<Vec<_>>(), 0, None);
    graph.output_for_models("stacked", &stacked);
    graph
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::nn::Device;

    #[test]
    fn tensors_stand_in_the_order_in_which_they_are_given() {
        let runtime = Runtime::start(Some(Device::Cpu), Some(1)).unwrap();
        let mut stacks = Stacks::new(&runtime);
        let tensor = |first: f32| Tensor::from_floats(&[1, 2], vec![first, first + 0.5]).unwrap();
        for n in [1, 3] {
            let tensors: Vec<Tensor> = (0..n).map(|i| tensor(i as f32)).collect();
            let stacked = stacks.stack(&tensors, &Cancel::default()).unwrap();
            assert_eq!(stacked.shape(), [n, 1, 2]);
            assert_eq!(stacked.floats()[2 * (n - 1)..], [n as f32 - 1.0, n as f32 - 0.5]);
        }
    }
}
