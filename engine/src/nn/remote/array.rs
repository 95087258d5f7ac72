//! Arrays of numbers as they go over a wire: raw bytes, little-endian, row-major.

use super::super::tensor::{Port, PortKind};

/// An array of numbers on its way.
#[derive(Clone, Debug, PartialEq)]
pub(in crate::nn) struct Array {
    pub kind: PortKind,
    pub shape: Vec<usize>,
    /// As many as shape and kind say.
    pub bytes: Vec<u8>,
}

impl Array {
    /// How many bytes shape and kind say; none if that is more than there can be.
    pub(super) fn n_bytes(kind: PortKind, shape: &[usize]) -> Option<usize> {
        let size = size(kind)?;
        shape.iter().try_fold(size, |n, &dim| n.checked_mul(dim))
    }

    /// The array of these bytes.
    pub(super) fn of(kind: PortKind, shape: Vec<usize>, bytes: Vec<u8>) -> Result<Self, String> {
        if Self::n_bytes(kind, &shape) == Some(bytes.len()) {
            return Ok(Self { kind, shape, bytes });
        }
        Err(format!("{} bytes are not {shape:?} of {}", bytes.len(), datatype(kind)))
    }

    /// The array of numbers that were told one by one.
    pub(super) fn of_numbers(kind: PortKind, shape: Vec<usize>, numbers: &[f64]) -> Result<Self, String> {
        let n = shape.iter().try_fold(1_usize, |n, &dim| n.checked_mul(dim));
        if n != Some(numbers.len()) {
            return Err(format!("{} numbers are not {shape:?}", numbers.len()));
        }
        let bytes = match kind {
            PortKind::Float => numbers.iter().flat_map(|v| (*v as f32).to_le_bytes()).collect(),
            PortKind::Half => numbers.iter().flat_map(|v| half::f16::from_f64(*v).to_le_bytes()).collect(),
            PortKind::Byte => numbers.iter().map(|v| *v as u8).collect(),
            PortKind::Integer => numbers.iter().flat_map(|v| (*v as i64).to_le_bytes()).collect(),
            PortKind::Other => return Err("its numbers are of no kind that Segue knows".to_owned()),
        };
        Ok(Self { kind, shape, bytes })
    }

    /// Whether it is what a graph makes there.
    fn is_finite(&self) -> bool {
        match self.kind {
            PortKind::Float => {
                self.bytes.as_chunks().0.iter().all(|value| f32::from_le_bytes(*value).is_finite())
            }
            // Halves whose exponent is all ones are no numbers.
            PortKind::Half => {
                self.bytes.as_chunks().0.iter().all(|value| u16::from_le_bytes(*value) & 0x7c00 != 0x7c00)
            }
            _ => true,
        }
    }

    pub(super) fn is_for(&self, port: &Port) -> Result<(), String> {
        let fits = self.shape.len() == port.shape.len()
            && self.shape.iter().zip(&port.shape).all(|(n, wanted)| wanted.is_none_or(|wanted| wanted == *n));
        if fits && self.kind == port.kind && !self.is_finite() {
            return Err(format!("{} holds values that are no numbers (NaN or infinity)", port.name));
        }
        if fits && self.kind == port.kind {
            return Ok(());
        }
        let is = format!("{} of {}", list(self.shape.iter()), datatype(self.kind));
        Err(format!("{} is {is}, not {}", port.name, described(port)))
    }
}

fn size(kind: PortKind) -> Option<usize> {
    match kind {
        PortKind::Float => Some(4),
        PortKind::Half => Some(2),
        PortKind::Byte => Some(1),
        PortKind::Integer => Some(8),
        PortKind::Other => None,
    }
}

/// What the protocol calls a kind of numbers.
pub fn datatype(kind: PortKind) -> &'static str {
    match kind {
        PortKind::Float => "FP32",
        PortKind::Half => "FP16",
        PortKind::Byte => "UINT8",
        PortKind::Integer => "INT64",
        PortKind::Other => "numbers of another kind",
    }
}

/// The kind of numbers that the protocol calls so.
pub(super) fn kind(datatype: &str) -> PortKind {
    let known = [PortKind::Float, PortKind::Half, PortKind::Byte, PortKind::Integer];
    known.into_iter().find(|kind| self::datatype(*kind) == datatype).unwrap_or(PortKind::Other)
}

/// Shape and kind as part of a sentence.
pub(super) fn described(port: &Port) -> String {
    let dims = port.shape.iter().map(|dim| dim.map_or_else(|| "any".to_owned(), |n| n.to_string()));
    format!("{} of {}", list(dims), datatype(port.kind))
}

fn list(dims: impl Iterator<Item = impl ToString>) -> String {
    format!("[{}]", dims.map(|dim| dim.to_string()).collect::<Vec<_>>().join(", "))
}
