//! The folder in which models are kept: what is there, and how it comes and goes.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use super::{DownloadError, Downloader, Finds, KnownModel, ModelError, Progress, folder, known, recognize};
use crate::file::write_atomically;

/// A folder for models, and the models that can be put there.
#[derive(Clone, Debug)]
pub struct Shelf {
    /// The folder.
    pub folder: PathBuf,
    /// The models.
    pub known: &'static [KnownModel],
}

impl Default for Shelf {
    /// The user's, for all models whose files are published.
    fn default() -> Self {
        Self { folder: folder(), known: known() }
    }
}

/// What is there of a model.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum State {
    /// All; the weights.
    Here(PathBuf),
    /// So many bytes, of a download that was ended.
    Begun(u64),
    /// Nothing.
    Missing,
}

impl Shelf {
    /// What is there of a model.
    pub fn state(&self, model: &KnownModel) -> State {
        if let Some(weights) = self.weights(model) {
            return State::Here(weights);
        }
        let files = fs::read_dir(model.incoming(&self.folder)).into_iter().flatten().flatten();
        match files.filter_map(|file| Some(file.metadata().ok()?.len())).sum() {
            0 => State::Missing,
            n_bytes => State::Begun(n_bytes),
        }
    }

    /// The weights of a model, if all its files are there; those of SAM 2 may be `.safetensors` in place of `.pt`.
    pub(super) fn weights(&self, model: &KnownModel) -> Option<PathBuf> {
        let place = model.place(&self.folder);
        let file = |name: &String| {
            let published = place.join(name);
            let other = (model.finds == Finds::Points).then(|| published.with_extension("safetensors"));
            other.into_iter().chain([published]).find(|path| path.is_file())
        };
        let files: Option<Vec<PathBuf>> = model.files.iter().map(file).collect();
        files?.into_iter().next()
    }

    /// Whether the files of a model that are in place are what they should be; what they are, in words.
    ///
    /// # Errors
    /// What is wrong, in a sentence.
    pub fn check(&self, model: &KnownModel) -> Result<String, String> {
        let weights = self.weights(model).ok_or_else(|| format!("{} is not here", model.name))?;
        check(model, &weights)
    }

    /// Downloads what of a model is not there, and puts it in place if it is what it should be; `watch` is told how far it is,
    /// and ends it by false.
    ///
    /// # Errors
    /// As [`Downloader::get`].
    pub fn get(
        &self,
        model: &KnownModel,
        downloader: &Downloader,
        watch: &dyn Fn(&Progress) -> bool,
    ) -> Result<(), DownloadError> {
        downloader.get(model, &self.folder, &|weights| check(model, weights).map(drop), watch)
    }

    /// Puts a copy of an official checkpoint, recognized by what it holds, where its model is looked for; the model and the
    /// copy. What else belongs to the model has to lie beside it.
    ///
    /// # Errors
    /// If the file is of no model that has a name, a file beside it is missing, or the disk does not let itself be written.
    pub fn add(&self, path: &Path) -> Result<(&'static KnownModel, PathBuf), ModelError> {
        let nameless = |cause: String| ModelError::Nameless { path: path.to_owned(), cause };
        let recognized = recognize(path)?;
        let model = recognized.model.ok_or_else(|| nameless(format!("it is {}", recognized.about)))?;
        let place = model.place(&self.folder);
        fs::create_dir_all(&place).map_err(disk(&place))?;
        let mut weights = place.join(&model.files[0]);
        if path.extension().is_some_and(|suffix| suffix == "safetensors") {
            weights.set_extension("safetensors");
        }
        let mut copies = vec![(path.to_owned(), weights)];
        for file in &model.files[1..] {
            copies.push((path.with_file_name(file), place.join(file)));
        }
        if let Some((missing, _)) = copies.iter().find(|(from, _)| !from.is_file()) {
            let missing = missing.file_name().unwrap_or_default().display();
            return Err(nameless(format!("{missing} is not beside it")));
        }
        for (from, to) in &copies {
            let is_same = from.canonicalize().ok().is_some_and(|from| to.canonicalize().ok() == Some(from));
            if !is_same {
                let mut input = fs::File::open(from).map_err(disk(from))?;
                write_atomically(to, |out| io::copy(&mut input, out).map(drop)).map_err(disk(to))?;
            }
        }
        Ok((model, copies.swap_remove(0).1))
    }

    /// Removes the files of a model, and what has come of them so far; false if nothing was there.
    ///
    /// # Errors
    /// If the disk does not let itself be written.
    pub fn remove(&self, model: &KnownModel) -> Result<bool, ModelError> {
        let place = model.place(&self.folder);
        let names = model.files.iter().map(|file| place.join(file));
        let safetensors = model.files.iter().map(|file| place.join(file).with_extension("safetensors"));
        let mut any = false;
        for path in names.chain(safetensors.filter(|_| model.finds == Finds::Points)) {
            match fs::remove_file(&path) {
                Ok(()) => any = true,
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(cause) => return Err(ModelError::Disk { path, cause }),
            }
        }
        any |= fs::remove_dir_all(model.incoming(&self.folder)).is_ok();
        if model.finds != Finds::Points {
            // Left alone if somebody has put something else there.
            fs::remove_dir(place).ok();
        }
        Ok(any)
    }
}

/// Whether a file is the model's, or of a detector one of its kind; what it is, in words.
fn check(model: &KnownModel, weights: &Path) -> Result<String, String> {
    let found = recognize(weights).map_err(|error| error.to_string())?;
    let is_it = match model.finds {
        Finds::Points => found.model.is_some_and(|found| found.name == model.name),
        finds => found.finds == finds,
    };
    if is_it { Ok(found.about) } else { Err(format!("it is {}, not {}", found.about, model.name)) }
}

fn disk(path: &Path) -> impl FnOnce(io::Error) -> ModelError {
    let path = path.to_owned();
    move |cause| ModelError::Disk { path, cause }
}
