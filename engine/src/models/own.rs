//! People's own models: fine-tunes, and models of other sizes, each kept under a name of its own beside the official ones.

use std::{
    fs,
    io::{self, Read as _, Write as _},
    path::{Path, PathBuf},
};

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use super::{BUILTIN, Finds, ModelError, named};

/// A model that a person has added.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OwnModel {
    /// The name of the file that was added, without its suffix; with a number if that was taken.
    pub name: String,
    /// What it finds.
    pub finds: Finds,
    /// What it is, in words.
    pub about: String,
    /// SHA-256 of its weights, in hexadecimal digits.
    pub sha256: String,
    /// Its weights.
    pub weights: PathBuf,
}

impl OwnModel {
    /// The first digits of its hash, which people compare.
    pub fn short_hash(&self) -> &str {
        &self.sha256[..self.sha256.len().min(8)]
    }
}

/// The file that describes an own model in its folder.
const ABOUT: &str = "model.toml";

/// What the file [`ABOUT`] holds.
#[derive(Serialize, Deserialize)]
struct About {
    finds: Finds,
    about: String,
    sha256: String,
    weights: String,
}

/// The folder of own models among all models.
fn place(folder: &Path) -> PathBuf {
    folder.join("own")
}

/// The own models in a folder of models, by name.
pub(super) fn list(folder: &Path) -> Vec<OwnModel> {
    let folders = fs::read_dir(place(folder)).into_iter().flatten().flatten();
    let mut all: Vec<OwnModel> = folders.filter_map(|entry| read(&entry.path())).collect();
    all.sort_by(|a, b| a.name.cmp(&b.name));
    all
}

fn read(folder: &Path) -> Option<OwnModel> {
    let text = fs::read_to_string(folder.join(ABOUT)).ok()?;
    let About { finds, about, sha256, weights } = toml::from_str(&text).ok()?;
    let weights = folder.join(Path::new(&weights).file_name()?);
    let name = folder.file_name()?.to_str()?.to_owned();
    weights.is_file().then_some(OwnModel { name, finds, about, sha256, weights })
}

/// Copies a file and those beside it that belong to it under a name that no other model has.
pub(super) fn add(
    folder: &Path,
    files: &[PathBuf],
    (finds, about, sha256): (Finds, String, String),
) -> Result<OwnModel, ModelError> {
    let place = place(folder);
    let disk = |path: &Path, cause| ModelError::Disk { path: path.to_owned(), cause };
    fs::create_dir_all(&place).map_err(|cause| disk(&place, cause))?;
    let whole = tempfile::Builder::new().prefix(".").tempdir_in(&place);
    let whole = whole.map_err(|cause| disk(&place, cause))?;
    let mut names = Vec::new();
    for file in files {
        let name = file.file_name().unwrap_or_default();
        fs::copy(file, whole.path().join(name)).map_err(|cause| disk(file, cause))?;
        names.push(name.to_string_lossy().into_owned());
    }
    let weights = names.into_iter().next().unwrap_or_default();
    let text = toml::to_string(&About { finds, about, sha256, weights });
    let written = text.map_err(io::Error::other).and_then(|text| {
        let mut file = fs::File::create(whole.path().join(ABOUT))?;
        file.write_all(text.as_bytes())
    });
    written.map_err(|cause| disk(whole.path(), cause))?;
    let target = place.join(free_name(&place, &files[0]));
    fs::rename(whole.path(), &target).map_err(|cause| disk(&target, cause))?;
    // It is no longer where it would be removed from.
    drop(whole.keep());
    read(&target).ok_or_else(|| disk(&target, io::ErrorKind::InvalidData.into()))
}

/// Removes an own model; false if there is none of this name.
pub(super) fn remove(folder: &Path, name: &str) -> Result<bool, ModelError> {
    let Some(model) = list(folder).into_iter().find(|model| model.name == name) else { return Ok(false) };
    let path = place(folder).join(model.name);
    fs::remove_dir_all(&path).map(|()| true).map_err(|cause| ModelError::Disk { path, cause })
}

/// The file's name without its suffix, or that of its folder if all such files are called alike; with a number if another
/// model is called so.
fn free_name(place: &Path, file: &Path) -> String {
    let mut stem = file.file_stem().unwrap_or_default().to_string_lossy().into_owned();
    if let "model" | "pytorch_model" = stem.as_str()
        && let Some(folder) =
            file.canonicalize().ok().as_deref().and_then(Path::parent).and_then(Path::file_name)
    {
        stem = folder.to_string_lossy().into_owned();
    }
    let shown = |c: char| if c.is_control() || "/\\:*?\"<>|".contains(c) { '_' } else { c };
    let stem: String = stem.trim().trim_start_matches('.').chars().take(80).map(shown).collect();
    let stem = if stem.is_empty() { "model" } else { &stem };
    let is_free = |name: &String| name != BUILTIN && named(name).is_none() && !place.join(name).exists();
    let numbered = (2..).map(|n| format!("{stem}-{n}"));
    std::iter::once(stem.to_owned()).chain(numbered).find(is_free).unwrap_or_default()
}

/// SHA-256 of a file, in hexadecimal digits.
pub(super) fn sha256(path: &Path) -> io::Result<String> {
    let mut file = fs::File::open(path)?;
    let mut hash = Sha256::new();
    let mut buffer = vec![0; 1 << 20];
    loop {
        match file.read(&mut buffer)? {
            0 => return Ok(hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect()),
            n => hash.update(&buffer[..n]),
        }
    }
}
