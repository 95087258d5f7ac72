//! Why a file of labels is not read or written at all.

use std::{
    io,
    path::{Path, PathBuf},
};

use crate::{file::StagingError, geometry::Size, media::MediaError};

/// Why labels are not read or written at all.
///
/// A cause is part of the sentence and is therefore not the error's `source()`: printing the chain says nothing twice.
#[derive(Debug, thiserror::Error)]
#[expect(missing_docs, reason = "the sentences are the documentation")]
pub enum FormatError {
    #[error("cannot read {}: {cause}", path.display())]
    Read { path: PathBuf, cause: io::Error },

    #[error("cannot write {}: {cause}", path.display())]
    Write { path: PathBuf, cause: io::Error },

    #[error("cannot import {}: {cause}", path.display())]
    Damaged { path: PathBuf, cause: String },

    #[error(
        "cannot import {}: its text encoding cannot be detected; save it as UTF-8, or name the encoding with --encoding",
        path.display()
    )]
    Encoding { path: PathBuf },

    #[error("cannot import {}: it has no {lacks}", path.display())]
    Lacks { path: PathBuf, lacks: &'static str },

    #[error("cannot import {}: nothing in it can be used; first, {first}", path.display())]
    Unusable { path: PathBuf, first: String },

    #[error(
        "cannot tell what format {} has; if Segue reads it (`segue import --help` lists formats), name it with --format",
        path.display()
    )]
    UnknownFormat { path: PathBuf },

    #[error("{0}")]
    Staging(#[from] StagingError),

    #[error("{} holds {}, an image or video of the project; choose another folder", target.display(), medium.display())]
    HoldsMedia { target: PathBuf, medium: PathBuf },

    #[error("{} already exists and is a project, photo or video; choose another name", path.display())]
    Exists { path: PathBuf },

    #[error("{} is a file, and a name without an ending means a folder; choose another name", path.display())]
    NoFolder { path: PathBuf },

    #[error("{} makes several files; choose a folder instead of {}", format, path.display())]
    SeveralFiles { format: &'static str, path: PathBuf },

    #[error("there is nothing to export: {why}")]
    Nothing { why: String },

    #[error("the image has {file} pixels, its labels are for {labels}: {}", path.display())]
    Resized { path: PathBuf, file: Size, labels: Size },

    #[error("{0}")]
    Media(#[from] MediaError),

    #[error("canceled")]
    Canceled,
}

impl FormatError {
    /// What reading `path` ended with; an error of ours that went through an [`io::Error`] comes out as it was.
    pub(super) fn reading(path: &Path, error: io::Error) -> Self {
        error.downcast().unwrap_or_else(|cause| Self::Read { path: path.to_owned(), cause })
    }

    /// The same of writing.
    pub(super) fn writing(path: &Path, error: io::Error) -> Self {
        error.downcast().unwrap_or_else(|cause| Self::Write { path: path.to_owned(), cause })
    }
}
