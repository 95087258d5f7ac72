//! PyTorch's files: a zip since version 1.6, and before that pickles with the numbers behind them.

use std::{collections::BTreeMap, io, ops::Range};

use super::{Contents, Entry, FormatError, quoted, unwrapped};
use crate::nn::pickle::{Pickle, PickleError, StateDict, state_dict};

/// Bytes of the file that hold a storage, by its key.
type Storages = BTreeMap<String, Range<usize>>;

/// Reads a zip: `NAME/data.pkl` describes the tensors, `NAME/data/KEY` hold their storages.
pub(super) fn read(bytes: &[u8]) -> Result<Contents, FormatError> {
    let mut archive = zip::ZipArchive::new(io::Cursor::new(bytes))?;
    let mut entries = Storages::new();
    for i in 0..archive.len() {
        let entry = archive.by_index_raw(i)?;
        let name = entry.name()?.into_owned();
        if entry.compression() != zip::CompressionMethod::Stored {
            return Err(FormatError::Compressed(quoted(&name)));
        }
        let start = entry.data_start().unwrap_or(u64::MAX);
        let end = start.checked_add(entry.size()).filter(|&end| end <= bytes.len() as u64);
        let Some(end) = end else { return Err(FormatError::OutOfBounds(quoted(&name))) };
        // The top folder is the file's name when it was saved.
        let below_top = name.split_once('/').map_or(&*name, |(_, rest)| rest).to_owned();
        entries.insert(below_top, start as usize..end as usize);
    }
    if entries.get("byteorder").is_some_and(|order| bytes[order.clone()].starts_with(b"big")) {
        return Err(FormatError::BigEndian);
    }
    let pickle = entries.get("data.pkl").ok_or(FormatError::Unknown)?.clone();
    let (read, _) = Pickle::read(&bytes[pickle.clone()])?;
    let weights = state_dict(&read, pickle.len())?;
    contents(weights, &|key| entries.get(&format!("data/{key}")), bytes.len())
}

/// Reads a file of PyTorch before 1.6: pickles of a magic number, a version, the machine, the value, and the storages'
/// keys; then each storage, in the order of the keys, as its length and its elements.
///
/// Mirrors `torch.serialization._legacy_load`.
pub(super) fn read_old(bytes: &[u8]) -> Result<Contents, FormatError> {
    /// `MAGIC_NUMBER` as its pickle has it: ten bytes, the lowest first.
    const MAGIC: &[u8] = b"\x8a\x0a\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19";
    if !bytes.get(2..).is_some_and(|rest| rest.starts_with(MAGIC)) {
        return Err(FormatError::Unknown);
    }
    let mut rest = bytes;
    for _ in 0..3 {
        (_, rest) = Pickle::read(rest)?;
    }
    let (pickle, after) = Pickle::read(rest)?;
    let n_pickle_bytes = rest.len() - after.len();
    // The keys are sorted.
    (_, rest) = Pickle::read(after)?;
    let sizes: BTreeMap<&str, usize> =
        pickle.storages.iter().map(|(key, kind, _)| (&**key, kind.size)).collect();
    let mut storages = Storages::new();
    let mut at = bytes.len() - rest.len();
    for (key, size) in sizes {
        let length = bytes.get(at..).and_then(<[u8]>::first_chunk).ok_or(PickleError::CutShort)?;
        let start = at + length.len();
        let end = (u64::from_le_bytes(*length) as usize).checked_mul(size).and_then(|n| n.checked_add(start));
        at = end.filter(|end| *end <= bytes.len()).ok_or(PickleError::CutShort)?;
        storages.insert(key.to_owned(), start..at);
    }
    let weights = state_dict(&pickle, n_pickle_bytes)?;
    contents(weights, &|key| storages.get(key), bytes.len())
}

/// The tensors of a state dict in their storages.
fn contents<'a>(
    weights: StateDict,
    storage: &dyn Fn(&str) -> Option<&'a Range<usize>>,
    n_file_bytes: usize,
) -> Result<Contents, FormatError> {
    let mut contents = Contents::default();
    for (name, tensor) in weights.tensors {
        let entry = storage(&tensor.storage).and_then(|storage| {
            let (shape, strides) = (tensor.shape.clone(), tensor.strides.clone());
            let first = tensor.first_element;
            Entry::in_storage(tensor.element_type, shape, strides, storage, first, n_file_bytes)
        });
        let entry = entry.ok_or_else(|| FormatError::OutOfBounds(quoted(&name)))?;
        contents.put(&name, entry)?;
    }
    let others = weights.others.into_iter().map(|(name, what)| (unwrapped(&name), what));
    contents.others = others.collect();
    Ok(contents)
}
