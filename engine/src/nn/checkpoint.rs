//! Weight files: PyTorch's `.pt` (a zip with a pickle) and `.safetensors`, mapped into memory, never copied whole.

use std::{
    collections::BTreeMap,
    fs, io,
    ops::Range,
    path::{Path, PathBuf},
};

use super::{
    graph::Required,
    pickle::{self, PickleError},
};

/// How a tensor's elements are stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ElementType {
    /// 32-bit float.
    F32,
    /// 16-bit float.
    F16,
    /// The upper half of a 32-bit float.
    Bf16,
}

impl ElementType {
    const fn size(self) -> usize {
        match self {
            Self::F32 => 4,
            Self::F16 | Self::Bf16 => 2,
        }
    }
}

/// Why a file is not the checkpoint that it should be.
#[derive(Debug, thiserror::Error)]
pub enum CheckpointError {
    /// The file cannot be read.
    #[error("cannot open checkpoint: {cause}: {}", path.display())]
    Open {
        /// The file.
        path: PathBuf,
        /// What the system says.
        cause: io::Error,
    },
    /// The file is not in a format that Segue reads, or damaged.
    #[error("cannot read checkpoint: {cause}: {}", path.display())]
    Format {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        cause: FormatError,
    },
    /// The file holds other tensors than the model has.
    #[error("checkpoint does not fit the model: {}", problems.join("; "))]
    Tensors {
        /// A sentence a tensor.
        problems: Vec<String>,
    },
}

/// What is wrong with a checkpoint's bytes.
#[derive(Debug, thiserror::Error)]
pub enum FormatError {
    /// Neither format.
    #[error("it is neither a PyTorch file (.pt) nor a .safetensors file")]
    Unknown,
    /// PyTorch before 1.6 wrote no zip.
    #[error("it is in PyTorch's old format; load it with PyTorch 1.6 or later and save it again")]
    OldPyTorch,
    /// The zip directory at the end is missing or wrong.
    #[error("it is damaged or not completely downloaded ({0})")]
    Zip(#[from] zip::result::ZipError),
    /// The header or the length is wrong.
    #[error("it is damaged or not completely downloaded ({0})")]
    Safetensors(#[from] safetensors::SafeTensorError),
    /// The pickle in the zip.
    #[error("{0}")]
    Pickle(#[from] PickleError),
    /// PyTorch stores weights uncompressed; a compressed entry could be a bomb.
    #[error("its entry {0} is compressed, which PyTorch never does")]
    Compressed(String),
    /// A tensor reaches past its storage.
    #[error("tensor {0} reaches past the end of its data")]
    OutOfBounds(String),
    /// Integers and the like.
    #[error("tensor {0} has elements of type {1}, where floats are expected")]
    ElementType(String, String),
}

/// What a tensor of the file is called by the model.
pub enum Rename {
    /// One name.
    To(String),
    /// Each row of the tensor is a tensor `[1, …]` of its own.
    Rows(Vec<String>),
    /// A copy of something the file holds under another name.
    Drop,
}

#[derive(Clone, Debug)]
struct Entry {
    element_type: ElementType,
    shape: Vec<usize>,
    place: Range<usize>,
}

enum Bytes {
    Mapped(memmap2::Mmap),
    Static(&'static [u8]),
}

impl std::ops::Deref for Bytes {
    type Target = [u8];
    fn deref(&self) -> &[u8] {
        match self {
            Self::Mapped(map) => map,
            Self::Static(bytes) => bytes,
        }
    }
}

impl Default for Bytes {
    fn default() -> Self {
        Self::Static(&[])
    }
}

/// An open weight file: named tensors of floats.
#[derive(Default)]
pub struct Checkpoint {
    path: PathBuf,
    bytes: Bytes,
    tensors: BTreeMap<String, Entry>,
    metadata: BTreeMap<String, String>,
}

impl Checkpoint {
    /// Opens a `.pt` or `.safetensors` file, told apart by what they hold.
    ///
    /// # Errors
    /// If the file cannot be read, is in another format or damaged; nothing in it is executed.
    pub fn open(path: &Path) -> Result<Self, CheckpointError> {
        let open_error = |cause| CheckpointError::Open { path: path.to_owned(), cause };
        // ONNX Runtime reads weights beside the real file, not beside a link to it.
        let path = &path.canonicalize().map_err(open_error)?;
        let file = fs::File::open(path).map_err(open_error)?;
        if !file.metadata().map_err(open_error)?.is_file() {
            return Err(open_error(io::Error::other("it is not a file")));
        }
        #[expect(unsafe_code, reason = "weights are too large to copy")]
        // SAFETY: As with every map, another program that cuts the file short meanwhile ends this one.
        let map = unsafe { memmap2::Mmap::map(&file) }.map_err(open_error)?;
        Self::read(path.clone(), Bytes::Mapped(map))
    }

    /// A `.safetensors` file that is part of the program.
    ///
    /// # Errors
    /// If the bytes are not such a file.
    pub fn from_static(bytes: &'static [u8]) -> Result<Self, CheckpointError> {
        Self::read(PathBuf::from("builtin"), Bytes::Static(bytes))
    }

    fn read(path: PathBuf, bytes: Bytes) -> Result<Self, CheckpointError> {
        let read = if bytes.starts_with(b"PK\x03\x04") {
            read_pt(&bytes).map(|tensors| (tensors, BTreeMap::new()))
        } else if bytes.get(8) == Some(&b'{') {
            read_safetensors(&bytes)
        } else if bytes.starts_with(&[0x80]) {
            Err(FormatError::OldPyTorch)
        } else {
            Err(FormatError::Unknown)
        };
        match read {
            Ok((tensors, metadata)) => Ok(Self { path, bytes, tensors, metadata }),
            Err(cause) => Err(CheckpointError::Format { path, cause }),
        }
    }

    /// The same file with its tensors named otherwise.
    #[must_use]
    pub fn renamed(mut self, rename: impl Fn(&str) -> Rename) -> Self {
        let mut tensors = BTreeMap::new();
        for (name, entry) in std::mem::take(&mut self.tensors) {
            match rename(&name) {
                Rename::Drop => {}
                Rename::To(name) => drop(tensors.insert(name, entry)),
                Rename::Rows(names) => {
                    let n_bytes = entry.place.len() / names.len().max(1);
                    for (i, name) in names.into_iter().enumerate() {
                        let start = entry.place.start + i * n_bytes;
                        let mut shape = entry.shape.clone();
                        if let Some(n_rows) = shape.first_mut() {
                            *n_rows = 1;
                        }
                        let row = Entry { shape, place: start..start + n_bytes, ..entry.clone() };
                        tensors.insert(name, row);
                    }
                }
            }
        }
        self.tensors = tensors;
        self
    }

    /// Every tensor's name and shape, sorted by name.
    pub fn tensors(&self) -> impl Iterator<Item = (&str, &[usize])> {
        self.tensors.iter().map(|(name, entry)| (name.as_str(), entry.shape.as_slice()))
    }

    /// A tensor's shape.
    pub fn shape(&self, name: &str) -> Option<&[usize]> {
        self.tensors.get(name).map(|entry| entry.shape.as_slice())
    }

    /// What a `.safetensors` file says of itself under `key`.
    pub fn metadata(&self, key: &str) -> Option<&str> {
        self.metadata.get(key).map(String::as_str)
    }

    /// The folder of the file, where ONNX Runtime finds it again.
    pub fn folder(&self) -> &Path {
        self.path.parent().unwrap_or(Path::new("."))
    }

    /// The file.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Checks that all `required` tensors are here, in their shapes.
    ///
    /// # Errors
    /// [`CheckpointError::Tensors`] names each that is not.
    pub fn require(&self, required: &Required) -> Result<(), CheckpointError> {
        let problems: Vec<String> = required
            .iter()
            .filter_map(|(name, shape)| match self.shape(name) {
                None => Some(format!("{name} {shape:?} is missing")),
                Some(found) if found != shape => Some(format!("{name} is {found:?}, not {shape:?}")),
                Some(_) => None,
            })
            .collect();
        if problems.is_empty() { Ok(()) } else { Err(CheckpointError::Tensors { problems }) }
    }

    /// Checks that all `required` tensors are here, in their shapes, and no others but those that nobody needs.
    ///
    /// # Errors
    /// [`CheckpointError::Tensors`] names each that is missing, of another shape, or of another model.
    pub fn require_only(
        &self,
        required: &Required,
        is_unused: impl Fn(&str) -> bool,
    ) -> Result<(), CheckpointError> {
        self.require(required)?;
        let others = self.tensors.keys().filter(|name| !required.contains_key(*name) && !is_unused(name));
        let problems: Vec<String> = others.map(|name| format!("{name} is not a part of the model")).collect();
        if problems.is_empty() { Ok(()) } else { Err(CheckpointError::Tensors { problems }) }
    }

    /// Where the tensor lies in the file, if another program can map it from there: file name and byte offset.
    pub(super) fn place_in_file(&self, name: &str) -> Result<Option<(&str, usize)>, CheckpointError> {
        let entry = self.entry(name)?;
        let mapped = matches!(self.bytes, Bytes::Mapped(_)) && entry.element_type == ElementType::F32;
        let file = self.path.file_name().and_then(|f| f.to_str());
        Ok(file.filter(|_| mapped).map(|file| (file, entry.place.start)))
    }

    /// The tensor's values in row-major order.
    ///
    /// # Errors
    /// If there is no such tensor.
    pub fn floats(&self, name: &str) -> Result<Vec<f32>, CheckpointError> {
        let entry = self.entry(name)?;
        let bytes = &self.bytes[entry.place.clone()];
        let halves = || bytes.chunks_exact(2).map(|b| [b[0], b[1]]);
        Ok(match entry.element_type {
            ElementType::F32 => {
                bytes.chunks_exact(4).map(|b| f32::from_le_bytes([b[0], b[1], b[2], b[3]])).collect()
            }
            ElementType::F16 => halves().map(|b| half::f16::from_le_bytes(b).to_f32()).collect(),
            ElementType::Bf16 => halves().map(|b| half::bf16::from_le_bytes(b).to_f32()).collect(),
        })
    }

    fn entry(&self, name: &str) -> Result<&Entry, CheckpointError> {
        let missing = || CheckpointError::Tensors { problems: vec![format!("{name} is missing")] };
        self.tensors.get(name).ok_or_else(missing)
    }
}

type Tensors = BTreeMap<String, Entry>;

/// PyTorch's zip: `NAME/data.pkl` describes the tensors, `NAME/data/KEY` hold their storages.
fn read_pt(bytes: &[u8]) -> Result<Tensors, FormatError> {
    let mut archive = zip::ZipArchive::new(io::Cursor::new(bytes))?;
    let mut storages = BTreeMap::new();
    for i in 0..archive.len() {
        let entry = archive.by_index_raw(i)?;
        let name = entry.name()?.into_owned();
        if entry.compression() != zip::CompressionMethod::Stored {
            return Err(FormatError::Compressed(name));
        }
        let start = entry.data_start().unwrap_or(u64::MAX);
        let end = start.checked_add(entry.size()).filter(|&end| end <= bytes.len() as u64);
        let Some(end) = end else { return Err(FormatError::OutOfBounds(name)) };
        // The top folder is the file's name when it was saved.
        let below_top = name.split_once('/').map_or(&*name, |(_, rest)| rest).to_owned();
        storages.insert(below_top, start as usize..end as usize);
    }
    let pickle = storages.get("data.pkl").ok_or(FormatError::Unknown)?;
    let mut tensors = Tensors::new();
    for (name, tensor) in pickle::read_state_dict(&bytes[pickle.clone()])? {
        let size = tensor.element_type.size();
        let place = storages.get(&format!("data/{}", tensor.storage)).and_then(|storage| {
            let n_elements = tensor.shape.iter().try_fold(1_usize, |n, &dim| n.checked_mul(dim))?;
            let start = storage.start.checked_add(tensor.first_element.checked_mul(size)?)?;
            let end = start.checked_add(n_elements.checked_mul(size)?)?;
            (end <= storage.end).then_some(start..end)
        });
        let place = place.ok_or_else(|| FormatError::OutOfBounds(name.clone()))?;
        let entry = Entry { element_type: tensor.element_type, shape: tensor.shape.clone(), place };
        tensors.insert(name, entry);
    }
    Ok(tensors)
}

fn read_safetensors(bytes: &[u8]) -> Result<(Tensors, BTreeMap<String, String>), FormatError> {
    let (n_header_bytes, header) = safetensors::SafeTensors::read_metadata(bytes)?;
    let data_start = n_header_bytes + size_of::<u64>();
    if bytes.len() != data_start + header.data_len() {
        return Err(safetensors::SafeTensorError::MetadataIncompleteBuffer.into());
    }
    let mut tensors = Tensors::new();
    for name in header.offset_keys() {
        let Some(info) = header.info(&name) else { continue };
        let element_type = match info.dtype {
            safetensors::Dtype::F32 => ElementType::F32,
            safetensors::Dtype::F16 => ElementType::F16,
            safetensors::Dtype::BF16 => ElementType::Bf16,
            // Counters and indices, which PyTorch saves beside weights.
            safetensors::Dtype::I64 => continue,
            other => return Err(FormatError::ElementType(name, format!("{other:?}"))),
        };
        let place = data_start + info.data_offsets.0..data_start + info.data_offsets.1;
        tensors.insert(name, Entry { element_type, shape: info.shape.clone(), place });
    }
    let metadata = header.metadata().iter().flatten().map(|(k, v)| (k.clone(), v.clone())).collect();
    Ok((tensors, metadata))
}
