//! Weight files: PyTorch's `.pt` (a zip with a pickle, or pickles before 1.6) and `.safetensors`, mapped into memory and never
//! copied whole.

mod entry;
mod names;
mod pt;
mod safetensors_file;

use std::{
    collections::BTreeMap,
    fmt, io,
    path::{Path, PathBuf},
};

use super::{
    graph::Required,
    pickle::{MAX_DIMENSIONS, PickleError},
};
use crate::{file::open_regular, messages::shortened};
use entry::Entry;
pub(super) use names::quoted;
use names::unwrapped;

/// How a tensor's elements are stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ElementType {
    /// 32-bit float.
    F32,
    /// 16-bit float.
    F16,
    /// The upper half of a 32-bit float.
    Bf16,
    /// 64-bit float.
    F64,
}

impl ElementType {
    const fn size(self) -> usize {
        match self {
            Self::F64 => 8,
            Self::F32 => 4,
            Self::F16 | Self::Bf16 => 2,
        }
    }
}

/// Why a file is not the checkpoint that it should be.
#[derive(Debug, thiserror::Error)]
pub enum CheckpointError {
    /// The file cannot be read.
    #[error("{}", refusal("cannot open checkpoint", cause, path))]
    Open {
        /// The file.
        path: PathBuf,
        /// What the system says.
        cause: io::Error,
    },
    /// The file is not in a format that Segue reads, or damaged.
    #[error("{}", refusal("cannot read checkpoint", cause, path))]
    Format {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        cause: FormatError,
    },
    /// The file holds other tensors than the model has.
    #[error("checkpoint does not fit the model: {}", listed(problems))]
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
    /// What Git keeps in place of a large file.
    #[error("it is a Git LFS pointer, not the file itself; get that by `git lfs pull`")]
    LfsPointer,
    /// A machine with the bytes of numbers in the other order wrote it.
    #[error("its numbers are big-endian; load it with PyTorch and save it again")]
    BigEndian,
    /// A `.safetensors` file whose header would fill the memory.
    #[error("its header has {0} bytes, more than any model needs")]
    LongHeader(usize),
    /// A tensor that no model has.
    #[error("tensor {0} has {1} dimensions, more than {MAX_DIMENSIONS}")]
    Dimensions(String, usize),
    /// Two tensors that differ only in what wraps the model.
    #[error("two of its tensors are called {0}, apart from what wraps the model")]
    Twice(String),
    /// The zip directory at the end is missing or wrong.
    #[error("it is damaged or not completely downloaded ({0})")]
    Zip(#[from] zip::result::ZipError),
    /// The header or the length is wrong.
    #[error("it is damaged or not completely downloaded ({0})")]
    Safetensors(#[from] safetensors::SafeTensorError),
    /// The header entry of a tensor does not match its data.
    #[error("it is damaged or not completely downloaded: tensor {name} {why}")]
    Tensor {
        /// The tensor.
        name: String,
        /// The reason.
        why: String,
    },
    /// The pickle in the zip.
    #[error("{0}")]
    Pickle(#[from] PickleError),
    /// PyTorch stores weights uncompressed; a compressed entry could be a bomb.
    #[error("its entry {0} is compressed, which PyTorch never does")]
    Compressed(String),
    /// A tensor reaches past its storage.
    #[error("tensor {0} reaches past the end of its data")]
    OutOfBounds(String),
}

/// Characters of the longest sentence that refuses a file.
const MAX_REFUSAL: usize = 300;

/// What failed, why, and with which file; of a file in deep folders the end of its path.
pub(crate) fn refusal(what: &str, cause: &dyn fmt::Display, path: &Path) -> String {
    let cause = cause.to_string();
    let n_left = MAX_REFUSAL - what.chars().count() - ": : ".len();
    let cause = shortened(&cause, n_left - 40);
    let path = path.display().to_string();
    let (n_path, n_left) = (path.chars().count(), n_left - cause.chars().count());
    let end: String = path.chars().skip((n_path + 1).saturating_sub(n_left)).collect();
    if n_path > n_left { format!("{what}: {cause}: …{end}") } else { format!("{what}: {cause}: {path}") }
}

fn not_floats(name: &str, what: &str) -> String {
    format!("{} is {}, not a tensor of floats", quoted(name), quoted(what))
}

/// The first problems, and how many more there are.
fn listed(problems: &[String]) -> String {
    let mut text = String::new();
    for (i, problem) in problems.iter().enumerate() {
        let n_after = problems.len() - i;
        if i > 0 && text.len() + problem.len() > MAX_REFUSAL - 80 {
            return format!("{text}; and {n_after} more");
        }
        text += if i > 0 { "; " } else { "" };
        text += &shortened(problem, MAX_REFUSAL - 80);
    }
    text
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
    /// Entries that are no tensors of floats, and what they are.
    others: BTreeMap<String, String>,
    metadata: BTreeMap<String, String>,
}

/// What a file holds.
#[derive(Default)]
struct Contents {
    tensors: BTreeMap<String, Entry>,
    others: BTreeMap<String, String>,
    metadata: BTreeMap<String, String>,
}

impl Contents {
    fn put(&mut self, name: &str, tensor: Entry) -> Result<(), FormatError> {
        let name = unwrapped(name);
        match self.tensors.insert(name.clone(), tensor) {
            Some(_) => Err(FormatError::Twice(quoted(&name))),
            None => Ok(()),
        }
    }
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
        let file = open_regular(path).map_err(open_error)?;
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
            pt::read(&bytes)
        } else if bytes.get(8) == Some(&b'{') {
            safetensors_file::read(&bytes)
        } else if bytes.starts_with(&[0x80]) {
            pt::read_old(&bytes)
        } else if bytes.starts_with(b"version https://git-lfs") {
            Err(FormatError::LfsPointer)
        } else {
            Err(FormatError::Unknown)
        };
        match read {
            Ok(Contents { tensors, others, metadata }) => Ok(Self { path, bytes, tensors, others, metadata }),
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
                    tensors.extend(names.into_iter().enumerate().map(|(i, name)| (name, entry.row(i))));
                }
            }
        }
        self.tensors = tensors;
        let others = std::mem::take(&mut self.others).into_iter();
        let renamed = others.filter_map(|(name, what)| match rename(&name) {
            Rename::To(name) => Some((name, what)),
            _ => None,
        });
        self.others = renamed.collect();
        self
    }

    /// The same file without what stands before a model's names, such as `model.` in files of Lightning. The model is
    /// known by one of `beginnings` of its tensors' names; tensors beside it are of something else and left out.
    #[must_use]
    pub fn rooted(mut self, beginnings: &[&str]) -> Self {
        let Some(prefix) = names::prefix(self.tensors.keys().chain(self.others.keys()), beginnings) else {
            return self;
        };
        fn without<T>(entries: BTreeMap<String, T>, prefix: &str) -> BTreeMap<String, T> {
            let inside = |(name, entry): (String, T)| Some((name.strip_prefix(prefix)?.to_owned(), entry));
            entries.into_iter().filter_map(inside).collect()
        }
        self.tensors = without(self.tensors, &prefix);
        self.others = without(self.others, &prefix);
        self
    }

    /// Every tensor's name and shape, sorted by name.
    pub fn tensors(&self) -> impl Iterator<Item = (&str, &[usize])> {
        self.tensors.iter().map(|(name, entry)| (name.as_str(), entry.shape.as_slice()))
    }

    /// How many numbers all tensors have together.
    pub fn n_weights(&self) -> usize {
        self.tensors.values().map(|entry| entry.shape.iter().product::<usize>()).sum()
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
        let problems = required.iter().filter_map(|(name, shape)| match self.shape(name) {
            None => Some(match self.others.get(name) {
                Some(what) => not_floats(name, what),
                None => format!("{} {shape:?} is missing", quoted(name)),
            }),
            Some(found) if found != shape => Some(format!("{} is {found:?}, not {shape:?}", quoted(name))),
            Some(_) => None,
        });
        let problems: Vec<String> = problems.collect();
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
        let problems: Vec<String> =
            others.map(|name| format!("{} is not a part of the model", quoted(name))).collect();
        if problems.is_empty() { Ok(()) } else { Err(CheckpointError::Tensors { problems }) }
    }

    /// Checks that what the file has under a name, if anything, is a tensor of floats.
    ///
    /// # Errors
    /// [`CheckpointError::Tensors`] says what it is instead.
    pub fn check_floats(&self, name: &str) -> Result<(), CheckpointError> {
        let Some(what) = self.others.get(name) else { return Ok(()) };
        Err(CheckpointError::Tensors { problems: vec![not_floats(name, what)] })
    }

    /// Where the tensor lies in the file, if another program can map it from there: file name and byte offset.
    pub(super) fn place_in_file(&self, name: &str) -> Result<Option<(&str, usize)>, CheckpointError> {
        let entry = self.entry(name)?;
        let mapped = matches!(self.bytes, Bytes::Mapped(_)) && entry.is_plain();
        let file = self.path.file_name().and_then(|f| f.to_str());
        Ok(file.filter(|_| mapped).map(|file| (file, entry.start)))
    }

    /// The tensor's values in row-major order.
    ///
    /// # Errors
    /// If there is no such tensor.
    pub fn floats(&self, name: &str) -> Result<Vec<f32>, CheckpointError> {
        Ok(self.entry(name)?.floats(&self.bytes))
    }

    fn entry(&self, name: &str) -> Result<&Entry, CheckpointError> {
        let missing = || CheckpointError::Tensors { problems: vec![format!("{} is missing", quoted(name))] };
        self.tensors.get(name).ok_or_else(missing)
    }
}
