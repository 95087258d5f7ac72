//! The parts of the model for videos: features are fused with memories, and memories are encoded. It keeps no memories.

use half::bf16;

use crate::{
    mask::Mask,
    nn::{Cancel, Device, Model, Place, Runtime, RuntimeError, Stacks, Tensor},
};

use super::{
    config::{Config, MAX_OBJ_PTRS},
    image::{Features, ImageModel, Logits},
    memory::{Selection, Spatial},
    memory_attention::{self, memory_attention},
    memory_encoder::{self, memory_encoder},
    position,
    weights::Weights,
};

/// Returns the number of objects per model run that is fastest on the device.
fn batch(runtime: &Runtime, memory_attention: &Model, config: &Config) -> usize {
    /// Largest grid for batches on the CPU. Above it one object keeps the CPU busy, and a click would wait for all of
    /// them.
    const LARGE_GRID: usize = 32;
    match (runtime.place(), memory_attention.place().0) {
        // A server may lack the memory for more, and servers report that in different ways.
        (Place::There(_), _) => 1,
        (_, Device::Cpu) if config.grid() > LARGE_GRID => 1,
        (_, Device::Cpu) => 4,
        // TensorRT takes minutes to compile for each batch size.
        (_, Device::TensorRt) => 1,
        _ if runtime.spells_attention_out() => 1,
        // On a GPU the small parts take the same time for eight objects as for one, and eight fit into a small GPU's
        // memory.
        _ => 8,
    }
}

/// All parts of the model, and the weights that are used outside their graphs.
pub struct VideoModel {
    /// The parts that single images need.
    pub image: ImageModel,
    /// Maximum area, in pixels of the model's masks, of holes that are filled.
    pub fill_hole_area: usize,
    /// Maximum number of objects per model run.
    pub batch: usize,
    memory_attention: Model,
    memory_encoder: Model,
    stacks: Stacks,
    /// `[d_model]`
    pub(super) no_object_pointer: Vec<f32>,
    /// `[NUM_MASKMEM, mem_dim]`
    memory_times: Vec<f32>,
    /// Weight `[mem_dim, d_model]` and bias `[mem_dim]`; `None` for SAM 2.0.
    pointer_time_projection: Option<(Vec<f32>, Vec<f32>)>,
    /// Weight `[4, 4]` and bias.
    mask_downsample: (Vec<f32>, f32),
}

impl VideoModel {
    /// Loads the parts.
    ///
    /// # Errors
    /// If ONNX Runtime fails, or the weights lack a tensor.
    pub fn load(runtime: &Runtime, weights: &Weights, fill_hole_area: usize) -> Result<Self, RuntimeError> {
        let Weights { config, checkpoint } = weights;
        let floats = |name: &str| checkpoint.floats(name);
        let pointer_time_projection = match config.is_2_1 {
            true => Some((floats("obj_ptr_tpos_proj.weight")?, floats("obj_ptr_tpos_proj.bias")?)),
            false => None,
        };
        let memory_attention = Model::load(runtime, memory_attention(config), checkpoint)?;
        Ok(Self {
            image: ImageModel::load(runtime, weights)?,
            fill_hole_area,
            batch: batch(runtime, &memory_attention, config),
            memory_attention,
            memory_encoder: Model::load(runtime, memory_encoder(config), checkpoint)?,
            stacks: Stacks::new(runtime),
            no_object_pointer: floats("no_obj_ptr")?,
            memory_times: floats("maskmem_tpos_enc")?,
            pointer_time_projection,
            mask_downsample: (floats("mask_downsample.weight")?, floats("mask_downsample.bias")?[0]),
        })
    }

    pub(super) fn config(&self) -> &Config {
        self.image.config()
    }

    /// Fuses the features of a frame with the memories of B objects, which must have equal numbers of memories and
    /// pointers: `[B, grid², d_model]`.
    ///
    /// Mirrors the second half of `_prepare_memory_conditioned_features`.
    pub(super) fn fuse(
        &mut self,
        features: &Features,
        selections: &[&Selection<'_>],
        cancel: &Cancel,
    ) -> Result<Tensor, RuntimeError> {
        use memory_attention::names;
        let (b, m) = (selections.len(), self.config().mem_dim);
        let (mut memories, mut memory_times) = (Vec::new(), Vec::new());
        let (mut pointers, mut pointer_times) = (Vec::new(), Vec::new());
        for selection in selections {
            for (spatial, slot) in selection.spatials() {
                memories.push(spatial);
                memory_times.extend_from_slice(&self.memory_times[slot * m..(slot + 1) * m]);
            }
            // Guards against a video of one frame, for which the original divides zero by zero.
            let longest = (selection.n_frames.min(MAX_OBJ_PTRS) - 1).max(1) as f64;
            for (_, memory, distance) in &selection.pointers {
                pointers.extend_from_slice(&memory.pointer);
                let time = self.pointer_time(*distance as f64 / longest);
                (0..self.config().tokens_of_pointer()).for_each(|_| pointer_times.extend_from_slice(&time));
            }
        }
        let (n_memories, n_tokens) = (memories.len() / b, pointers.len() / m / b);
        let memories = self.stacked(&memories, b, cancel)?;
        let inputs = [
            (names::FEATURES, &features.features),
            (names::MEMORIES, &memories),
            (names::MEMORY_TIMES, &Tensor::from_floats(&[b, n_memories, 1, m], memory_times)?),
            (names::POINTERS, &Tensor::from_floats(&[b, n_tokens, m], pointers)?),
            (names::POINTER_TIMES, &Tensor::from_floats(&[b, n_tokens, m], pointer_times)?),
        ];
        Ok(self.memory_attention.run_batch(b, &inputs, cancel)?.remove(0))
    }

    /// Stacks the memories of `b` objects with equal numbers of memories, ordered by object: `[b, M, grid², mem_dim]`.
    /// The result is on the CPU if all memories are; otherwise they are stacked as tensors by [`Stacks`].
    fn stacked(&mut self, memories: &[&Spatial], b: usize, cancel: &Cancel) -> Result<Tensor, RuntimeError> {
        fn floats(values: &[bf16]) -> impl Iterator<Item = f32> {
            values.iter().map(|v| v.to_f32())
        }
        let [n, m] = [self.config().grid().pow(2), self.config().mem_dim];
        if memories.iter().any(|memory| matches!(memory, Spatial::There(_))) {
            let tensor = |memory: &&Spatial| match memory {
                Spatial::Here(values) => Tensor::from_floats(&[n, m], floats(values).collect()),
                Spatial::There(tensor) => Ok(tensor.clone()),
            };
            let tensors = memories.iter().map(tensor).collect::<Result<Vec<Tensor>, _>>()?;
            return self.stacks.stack(&tensors, &[b, memories.len() / b], cancel);
        }
        let mut stacked = Vec::with_capacity(memories.len() * n * m);
        for memory in memories {
            if let Spatial::Here(values) = memory {
                stacked.extend(floats(values));
            }
        }
        Tensor::from_floats(&[b, memories.len() / b, n, m], stacked)
    }

    /// Returns the time encoding `[mem_dim]` of a pointer, for a distance scaled to 0..1.
    fn pointer_time(&self, distance: f64) -> Vec<f32> {
        let config = self.config();
        let Some((weight, bias)) = &self.pointer_time_projection else { return vec![0.0; config.mem_dim] };
        let wave = position::sine_1d(distance, config.d_model);
        let rows = weight.chunks_exact(config.d_model).zip(bias);
        rows.map(|(row, bias)| row.iter().zip(&wave).map(|(a, b)| a * b).sum::<f32>() + bias).collect()
    }

    /// Encodes memories of a frame from its features and the masks there, each with the object score; `is_given` is
    /// true if the masks come from a person. Mirrors `_encode_new_memory`.
    pub(super) fn encode_memories(
        &mut self,
        features: &Tensor,
        masks: &[(&Logits, f32)],
        is_given: bool,
        cancel: &Cancel,
    ) -> Result<Vec<Spatial>, RuntimeError> {
        use memory_encoder::names;
        let (b, side) = (masks.len(), self.config().mask_side());
        let flag = |is: bool| f32::from(u8::from(is));
        let logits: Vec<f32> = masks.iter().flat_map(|(mask, _)| &mask.values).copied().collect();
        let are_absent = masks.iter().map(|(_, score)| flag(*score <= 0.0)).collect();
        let logits = Tensor::from_floats(&[b, 1, side, side], logits)?;
        let are_given = Tensor::from_floats(&[b, 1, 1, 1], vec![flag(is_given); b])?;
        let are_absent = Tensor::from_floats(&[b, 1, 1], are_absent)?;
        let mut inputs =
            vec![(names::FEATURES, features), (names::LOGITS, &logits), (names::IS_GIVEN, &are_given)];
        if self.config().is_2_1 {
            inputs.push((names::IS_ABSENT, &are_absent));
        }
        let made = self.memory_encoder.run_batch(b, &inputs, cancel)?.remove(0);
        if !made.is_on_processor() {
            return Ok(self.stacks.unstack(&made, cancel)?.into_iter().map(Spatial::There).collect());
        }
        let of_each = made.floats().chunks_exact(made.floats().len() / b);
        Ok(of_each.map(|v| Spatial::Here(v.iter().map(|v| bf16::from_f32(*v)).collect())).collect())
    }

    /// Converts a mask at the model's image size to the decoder's mask prompt: a learned 4x4 convolution,
    /// `mask_downsample`.
    pub(super) fn mask_prompt(&self, mask: &Mask) -> Logits {
        let side = self.config().mask_side();
        let (weight, bias) = &self.mask_downsample;
        let bits = mask.bits();
        let at = |y: usize, x: usize| {
            let taps = (0..4).flat_map(|dy| (0..4).map(move |dx| (dy, dx)));
            let on = taps.filter(|(dy, dx)| bits[(4 * y + dy) * 4 * side + 4 * x + dx]);
            on.map(|(dy, dx)| weight[4 * dy + dx]).sum::<f32>() + bias
        };
        Logits { side, values: (0..side * side).map(|i| at(i / side, i % side)).collect() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Memories on a device are stacked there; here tensors on the CPU stand in for them.
    #[test]
    fn stacked_memories_keep_the_order_of_objects() {
        let runtime = Runtime::start(Some(Device::Cpu), Some(1)).unwrap();
        let mut model = VideoModel::load(&runtime, &Weights::builtin().unwrap(), 0).unwrap();
        let (n, m) = (model.config().grid().pow(2), model.config().mem_dim);
        let values = |i: usize| (0..n * m).map(move |at| (i * 100 + at % 50) as f32);
        let here = |i| Spatial::Here(values(i).map(bf16::from_f32).collect());
        let there = |i| Spatial::There(Tensor::from_floats(&[n, m], values(i).collect()).unwrap());
        let (here, there): (Vec<Spatial>, Vec<Spatial>) =
            ((0..6).map(here).collect(), (0..6).map(there).collect());
        let want: Vec<f32> = (0..6).flat_map(values).map(|v| bf16::from_f32(v).to_f32()).collect();
        let mixed = here.iter().take(3).chain(&there[3..]);
        for memories in [here.iter().collect(), there.iter().collect(), mixed.collect::<Vec<&Spatial>>()] {
            let stacked = model.stacked(&memories, 2, &Cancel::default()).unwrap();
            assert_eq!(stacked.shape(), [2, 3, n, m]);
            let off = stacked.floats().iter().zip(&want).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
            assert!(off <= 2.0, "off by {off}, which is more than rounding to 16 bits explains");
        }
    }
}
