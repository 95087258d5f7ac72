//! Models as folders that inference servers read: graphs with their weights, and what each server wants to be told of them.

mod layout;

use std::{
    fs, io,
    io::Write,
    path::{Path, PathBuf},
};

use super::{BUILTIN, ModelError, Progress, detectors, find_detector, open, segmenters};
use crate::{
    detect::{self, DetectError},
    file::{self, Staging, StagingError},
    nn::{
        Checkpoint, CheckpointError, Graph,
        graph::{PackError, WEIGHTS},
    },
    sam2::{self, ConfigError, Weights, WeightsError},
};
use layout::Part;

/// The list of parts within an export, and of the files that another export may replace.
const LIST: &str = "segue-models.json";

/// A model that is to be served by others.
pub struct Exportable {
    model: String,
    /// Named by the graph as it runs here, however it is spelled for others.
    parts: Vec<(Part, Graph)>,
    checkpoint: Checkpoint,
}

/// A model that others can serve now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Exported {
    /// What the server calls its parts.
    pub parts: Vec<String>,
    /// Bytes of weights.
    pub n_bytes: u64,
}

/// Why a model is not exported.
#[derive(Debug, thiserror::Error)]
pub enum ExportError {
    /// There is no such model.
    #[error(transparent)]
    Model(#[from] ModelError),
    /// It is no detector either.
    #[error(transparent)]
    Detector(#[from] DetectError),
    /// It cannot have this size.
    #[error(transparent)]
    Size(#[from] ConfigError),
    /// The weights do not fit.
    #[error(transparent)]
    Checkpoint(#[from] CheckpointError),
    /// It is an ONNX file already.
    #[error("{} is an ONNX file as it is, which servers read; Segue itself runs it here: give its path to --detector", .0.display())]
    Onnx(PathBuf),
    /// Something else is where it should go.
    #[error("{} is there already and no earlier export of a model; give another place", .0.display())]
    Taken(PathBuf),
    /// The staging folder could not be created, or it could not replace the target.
    #[error(transparent)]
    Staging(#[from] StagingError),
    /// The disk.
    #[error("cannot write the export: {cause}: {}", path.display())]
    Disk {
        /// The file or folder.
        path: PathBuf,
        /// What the system says.
        cause: io::Error,
    },
    /// Whoever watches wants no more.
    #[error("canceled; nothing was changed")]
    Canceled,
}

impl Exportable {
    /// The model of a name, or in a file, for images of `size` pixels or of the size that suits it.
    ///
    /// # Errors
    /// If there is no such model, or it cannot have this size.
    pub fn find(model: &str, size: Option<usize>) -> Result<Self, ExportError> {
        let is = |known: &super::KnownModel| known.name == model;
        let path = Path::new(model);
        if file::has_suffix(path, &["onnx"]) {
            return Err(ExportError::Onnx(path.to_owned()));
        }
        let detector = if detectors().any(is) { Some(find_detector(model)?) } else { None };
        let is_segmenter = model == BUILTIN || segmenters().any(is);
        let (graphs, checkpoint) = match detector {
            Some(file) => detect::parts(&file, size)?,
            None => match open(model) {
                Ok(weights) => parts(weights, size)?,
                // What is no SAM may be a detector; of what is neither, the first says more.
                Err(
                    error @ ModelError::Weights(WeightsError::Checkpoint(_) | WeightsError::Config { .. }),
                ) if !is_segmenter => detect::parts(path, size).or(Err(error))?,
                Err(error) => return Err(error.into()),
            },
        };
        let part = |graph| Ok((Part::of(&graph, &checkpoint)?, graph));
        let parts = graphs.into_iter().map(part).collect::<Result<Vec<_>, CheckpointError>>()?;
        Ok(Self { model: model.to_owned(), parts, checkpoint })
    }

    /// The same without operators that only ONNX Runtime has; it needs more memory and time.
    #[must_use]
    pub fn portable(mut self) -> Self {
        self.parts.iter_mut().for_each(|(_, graph)| graph.spell_out_attention());
        self
    }

    /// Writes the folder `target`, which may only be there if it is an earlier export; `watch` is told how far it is, and ends
    /// it by false.
    ///
    /// # Errors
    /// If something else is there, the disk does not take it, or it was ended; all is then as it was.
    pub fn write(self, target: &Path, watch: &dyn Fn(&Progress) -> bool) -> Result<Exported, ExportError> {
        let disk = |path: &Path| {
            let path = path.to_owned();
            move |cause| ExportError::Disk { path, cause }
        };
        fs::metadata(file::folder_of(target)).map_err(disk(target))?;
        let staging = Staging::beside(target, LIST).map_err(|error| match error {
            StagingError::NotEmpty(path) => ExportError::Taken(path),
            error => error.into(),
        })?;
        let total = self.parts.iter().map(|(_, graph)| graph.n_packed_bytes()).sum();
        let (mut parts, mut done) = (Vec::new(), 0);
        for (part, graph) in self.parts {
            let version = staging.path().join(&part.name).join("1");
            fs::create_dir_all(&version).map_err(disk(target))?;
            let weights = fs::File::create(version.join(WEIGHTS)).map_err(disk(target))?;
            let mut out = Watched { out: weights, part: &part.name, done, total, watch, is_canceled: false };
            let packed = graph.pack(&self.checkpoint, &mut out).and_then(|onnx| {
                out.out.sync_all()?;
                Ok(onnx)
            });
            let onnx = match packed {
                Ok(onnx) => onnx,
                Err(_) if out.is_canceled => return Err(ExportError::Canceled),
                Err(PackError::Checkpoint(error)) => return Err(error.into()),
                Err(PackError::Write(cause)) => return Err(disk(target)(cause)),
            };
            done = out.done;
            write(&version.join("model.onnx"), &onnx).map_err(disk(target))?;
            for (name, text) in part.files() {
                write(&staging.path().join(&part.name).join(name), text.as_bytes()).map_err(disk(target))?;
            }
            parts.push(part);
        }
        for (name, text) in layout::files(&parts) {
            write(&staging.path().join(name), text.as_bytes()).map_err(disk(target))?;
        }
        staging.put(layout::list(&self.model, &parts))?;
        Ok(Exported { parts: parts.into_iter().map(|part| part.name).collect(), n_bytes: total })
    }
}

fn parts(weights: Weights, size: Option<usize>) -> Result<(Vec<Graph>, Checkpoint), ConfigError> {
    let weights = match size {
        Some(size) => weights.with_image_size(size)?,
        None => weights,
    };
    Ok((sam2::parts(&weights.config).into(), weights.checkpoint))
}

fn write(path: &Path, bytes: &[u8]) -> io::Result<()> {
    file::write_atomically(path, |out| out.write_all(bytes))
}

/// Tells how much was written, and takes no more when nobody wants it.
struct Watched<'a> {
    out: fs::File,
    part: &'a str,
    done: u64,
    total: u64,
    watch: &'a dyn Fn(&Progress) -> bool,
    is_canceled: bool,
}

impl Write for Watched<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let now = Progress { file: self.part.to_owned(), done: self.done, total: Some(self.total) };
        if !(self.watch)(&now) {
            self.is_canceled = true;
            return Err(io::Error::other("canceled"));
        }
        let n = self.out.write(bytes)?;
        self.done += n as u64;
        Ok(n)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}
