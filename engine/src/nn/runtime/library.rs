//! Where ONNX Runtime's library is.

use std::path::{Path, PathBuf};

use super::{RuntimeError, VERSION};
use crate::{file::user_folders, nn::device};

/// Beside the program, or where `make setup` and `make cuda` put it.
pub(super) fn find() -> Result<PathBuf, RuntimeError> {
    let file = if cfg!(windows) {
        "onnxruntime.dll".to_owned()
    } else if cfg!(target_os = "macos") {
        format!("libonnxruntime.{VERSION}.dylib")
    } else {
        format!("libonnxruntime.so.{VERSION}")
    };
    let beside = std::env::current_exe().ok().and_then(|exe| Some(exe.parent()?.to_owned()));
    let folders = user_folders();
    let cached =
        |kind: &str| Some(folders.as_ref()?.cache_dir().join(format!("onnxruntime-{VERSION}{kind}")));
    let folders = [
        beside.clone(),
        beside.map(|dir| dir.join("lib")),
        // It has nothing for other cards.
        cached("-cuda").filter(|_| device::why_no_cuda().is_none()),
        cached(""),
    ];
    let candidates: Vec<PathBuf> = folders.into_iter().flatten().map(|dir| dir.join(&file)).collect();
    match candidates.iter().find(|path| path.is_file()) {
        Some(path) => Ok(path.clone()),
        None => Err(RuntimeError::NoLibrary(candidates)),
    }
}

/// The library's folder, if CUDA's libraries are there too.
pub(super) fn cuda_folder(library: &Path) -> Option<&Path> {
    library.parent().filter(|folder| folder.join("libcudart.so.13").is_file())
}
