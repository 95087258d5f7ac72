//! `.safetensors` files: a header in JSON, and the numbers of all tensors behind it.

use std::collections::BTreeMap;

use safetensors::{Dtype, SafeTensorError, SafeTensors};
use serde::Deserialize;

use super::{Contents, ElementType, Entry, FormatError, MAX_DIMENSIONS, quoted, unwrapped};

/// Bytes of the longest header of a `.safetensors` file; the largest model's has 200,000.
const MAX_HEADER: usize = 8 << 20;

/// Reads the header of a `.safetensors` file.
pub(super) fn read(bytes: &[u8]) -> Result<Contents, FormatError> {
    let n_header_bytes = bytes.first_chunk().map_or(0, |n| u64::from_le_bytes(*n) as usize);
    if n_header_bytes > MAX_HEADER && n_header_bytes <= bytes.len() {
        return Err(FormatError::LongHeader(n_header_bytes));
    }
    let named = |error: SafeTensorError| misfit(bytes, n_header_bytes).unwrap_or_else(|| error.into());
    let (n_header_bytes, header) = SafeTensors::read_metadata(bytes).map_err(named)?;
    let data_start = n_header_bytes + size_of::<u64>();
    if bytes.len() != data_start + header.data_len() {
        return Err(named(SafeTensorError::MetadataIncompleteBuffer));
    }
    let mut contents = Contents::default();
    for name in header.offset_keys() {
        let Some(info) = header.info(&name) else { continue };
        let element_type = match info.dtype {
            Dtype::F64 => ElementType::F64,
            Dtype::F32 => ElementType::F32,
            Dtype::F16 => ElementType::F16,
            Dtype::BF16 => ElementType::Bf16,
            // Counters and indices, which PyTorch saves beside weights.
            other => {
                contents.others.insert(unwrapped(&name), format!("a tensor of {other:?}"));
                continue;
            }
        };
        if info.shape.len() > MAX_DIMENSIONS {
            return Err(FormatError::Dimensions(quoted(&name), info.shape.len()));
        }
        let start = data_start + info.data_offsets.0;
        contents.put(&name, Entry::contiguous(element_type, info.shape.clone(), start))?;
    }
    contents.metadata = header.metadata().iter().flatten().map(|(k, v)| (k.clone(), v.clone())).collect();
    Ok(contents)
}

/// The header entry of a tensor.
#[derive(Deserialize)]
struct Info {
    dtype: String,
    shape: Vec<u64>,
    data_offsets: [u64; 2],
}

/// Finds the first tensor that does not fit its data, which errors of `safetensors` do not name.
fn misfit(bytes: &[u8], n_header_bytes: usize) -> Option<FormatError> {
    let (header, data) = bytes.get(size_of::<u64>()..)?.split_at_checked(n_header_bytes)?;
    let header: BTreeMap<String, serde_json::Value> = serde_json::from_slice(header).ok()?;
    let infos = header.into_iter().filter(|(name, _)| name != "__metadata__");
    let mut infos: Vec<(String, Info)> =
        infos.filter_map(|(name, info)| Some((name, serde_json::from_value(info).ok()?))).collect();
    infos.sort_by_key(|(_, info)| info.data_offsets);
    let mut expected = 0;
    for (name, Info { dtype, shape, data_offsets: [start, end] }) in infos {
        let n_values = shape.iter().try_fold(1, |n: u64, side| n.checked_mul(*side));
        let n_needed = n_values.zip(bytes_of(&dtype)).and_then(|(n, size)| n.checked_mul(size));
        let why = if start != expected || end < start {
            format!("has bytes {start} to {end} of the data, where {expected} comes next")
        } else if end > data.len() as u64 {
            "reaches past the end of the file".to_owned()
        } else if let Some(n_needed) = n_needed.filter(|n_needed| *n_needed != end - start) {
            format!("of {dtype} {shape:?} has {} bytes, not {n_needed}", end - start)
        } else {
            expected = end;
            continue;
        };
        return Some(FormatError::Tensor { name: quoted(&name), why });
    }
    None
}

/// The size of a number of a type, if it has whole bytes.
fn bytes_of(dtype: &str) -> Option<u64> {
    let bits = dtype.trim_start_matches(|c: char| c.is_ascii_alphabetic());
    match bits.split('_').next()? {
        "" if dtype == "BOOL" => Some(1),
        "8" => Some(1),
        "16" => Some(2),
        "32" => Some(4),
        "64" => Some(8),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read_file(header: &str, n_data_bytes: usize) -> String {
        let mut bytes = (header.len() as u64).to_le_bytes().to_vec();
        bytes.extend(header.bytes());
        bytes.resize(bytes.len() + n_data_bytes, 0);
        read(&bytes).err().map(|error| error.to_string()).unwrap_or_default()
    }

    #[test]
    fn tensor_that_does_not_fit_its_data_is_named() {
        let one = |info: &str| format!(r#"{{"a.weight": {{"dtype": "F32", {info}}}}}"#);
        assert_eq!(read_file(&one(r#""shape": [2], "data_offsets": [0, 8]"#), 8), "");
        for (info, why) in [
            (r#""shape": [2], "data_offsets": [0, 4]"#, "of F32 [2] has 4 bytes, not 8"),
            (r#""shape": [2], "data_offsets": [4, 12]"#, "has bytes 4 to 12 of the data, where 0 comes next"),
            (r#""shape": [4], "data_offsets": [0, 16]"#, "reaches past the end of the file"),
        ] {
            let sentence = read_file(&one(info), 8);
            assert!(sentence.ends_with(&format!("tensor a.weight {why}")), "{sentence}");
        }
    }
}
