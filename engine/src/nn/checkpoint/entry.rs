//! A tensor in a weight file: where its elements lie, and their values as 32-bit floats.

use std::ops::Range;

use super::ElementType;

/// A tensor's place in the file.
#[derive(Clone, Debug)]
pub(super) struct Entry {
    element_type: ElementType,
    pub(super) shape: Vec<usize>,
    /// Elements from one index to the next, along each dimension.
    strides: Vec<usize>,
    /// The first element's byte in the file.
    pub(super) start: usize,
}

impl Entry {
    /// A tensor whose elements lie one after the other.
    pub(super) fn contiguous(element_type: ElementType, shape: Vec<usize>, start: usize) -> Self {
        let strides = contiguous_strides(&shape);
        Self { element_type, shape, strides, start }
    }

    /// A tensor that begins at an element of a storage. None if it reaches past its storage, or has more elements than
    /// fit into the file.
    pub(super) fn in_storage(
        element_type: ElementType,
        shape: Vec<usize>,
        strides: Vec<usize>,
        storage: &Range<usize>,
        first_element: usize,
        n_file_bytes: usize,
    ) -> Option<Self> {
        let size = element_type.size();
        let n_elements = shape.iter().try_fold(1_usize, |n, &dim| n.checked_mul(dim))?;
        let last = shape.iter().zip(&strides).try_fold(first_element, |at, (&n, &stride)| {
            at.checked_add(n.saturating_sub(1).checked_mul(stride)?)
        })?;
        let n_reached = if n_elements == 0 { 0 } else { last.checked_add(1)? };
        let fits =
            n_reached.checked_mul(size)? <= storage.len() && n_elements.checked_mul(size)? <= n_file_bytes;
        let start = storage.start.checked_add(first_element.checked_mul(size)?)?;
        fits.then_some(Self { element_type, shape, strides, start })
    }

    /// One row of the first dimension, as `[1, …]`.
    pub(super) fn row(&self, i: usize) -> Self {
        let mut row = self.clone();
        if let (Some(n), Some(stride)) = (row.shape.first_mut(), self.strides.first()) {
            *n = 1;
            row.start += i * stride * self.element_type.size();
        }
        row
    }

    /// True if another program can map the elements as they are.
    pub(super) fn is_plain(&self) -> bool {
        self.element_type == ElementType::F32 && self.is_contiguous() && self.start.is_multiple_of(4)
    }

    fn is_contiguous(&self) -> bool {
        let expected = contiguous_strides(&self.shape);
        self.shape.iter().zip(&self.strides).zip(expected).all(|((&n, &is), due)| n <= 1 || is == due)
    }

    /// The values in row-major order.
    pub(super) fn floats(&self, file: &[u8]) -> Vec<f32> {
        let size = self.element_type.size();
        let n_elements: usize = self.shape.iter().product();
        let from_start = &file[self.start.min(file.len())..];
        if self.is_contiguous() {
            return self.converted(&from_start[..n_elements * size]);
        }
        let mut gathered = Vec::with_capacity(n_elements * size);
        for element in self.elements() {
            gathered.extend_from_slice(&from_start[element * size..][..size]);
        }
        self.converted(&gathered)
    }

    /// Every element's number, counted from the first.
    fn elements(&self) -> Vec<usize> {
        self.shape.iter().zip(&self.strides).fold(vec![0], |elements, (&n, &stride)| {
            elements.iter().flat_map(|at| (0..n).map(move |i| at + i * stride)).collect()
        })
    }

    fn converted(&self, bytes: &[u8]) -> Vec<f32> {
        let halves = || bytes.as_chunks::<2>().0.iter();
        match self.element_type {
            ElementType::F64 => {
                bytes.as_chunks::<8>().0.iter().map(|b| f64::from_le_bytes(*b) as f32).collect()
            }
            ElementType::F32 => bytes.as_chunks::<4>().0.iter().map(|b| f32::from_le_bytes(*b)).collect(),
            ElementType::F16 => halves().map(|b| half::f16::from_le_bytes(*b).to_f32()).collect(),
            ElementType::Bf16 => halves().map(|b| half::bf16::from_le_bytes(*b).to_f32()).collect(),
        }
    }
}

fn contiguous_strides(shape: &[usize]) -> Vec<usize> {
    let mut strides = vec![1_usize; shape.len()];
    for i in (1..shape.len()).rev() {
        strides[i - 1] = strides[i].saturating_mul(shape[i]);
    }
    strides
}
