//! The folder in which models are kept: what is there, and how it comes and goes.

use std::{
    fmt, fs, io,
    path::{Path, PathBuf},
};

use super::{
    DownloadError, Downloader, Finds, KnownModel, ModelError, OwnModel, Progress, Recognized, folder, known,
    own, recognize,
};
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

/// A file that was added to a shelf.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Added {
    /// The name by which the model is used.
    pub name: String,
    /// The weights on the shelf.
    pub weights: PathBuf,
    /// False if the same file was there already.
    pub is_new: bool,
    /// What else there is to say.
    pub remark: Option<&'static str>,
}

impl fmt::Display for Added {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { name, weights, is_new, remark } = self;
        let already = if *is_new { "is" } else { "is already" };
        write!(f, "{name} {already} in {}", weights.display())?;
        remark.map_or(Ok(()), |remark| write!(f, "; {remark}"))
    }
}

impl Shelf {
    /// The models that people have added, by name.
    pub fn own(&self) -> Vec<OwnModel> {
        own::list(&self.folder)
    }

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

    /// Adds a copy of a file, recognized by what it holds. An official file goes where its model is looked for; any other,
    /// such as a fine-tune, is kept under its own name beside the official ones. What else belongs to the model has to
    /// lie beside it.
    ///
    /// # Errors
    /// If the file is of no model that Segue knows, a file beside it is missing, or the disk cannot be written.
    pub fn add(&self, path: &Path) -> Result<Added, ModelError> {
        let found = recognize(path)?;
        let unreadable = |cause| ModelError::Unreadable { path: path.to_owned(), cause };
        let sha256 = own::sha256(path).map_err(unreadable)?;
        let is_same = |there: &Path| own::sha256(there).is_ok_and(|other| other == sha256);
        if let Some(model) = published(path, &found, &sha256) {
            match self.weights(model) {
                None => return self.put(model, path, &sha256),
                Some(weights) if is_same(&weights) => {
                    return Ok(Added { name: model.name.clone(), weights, is_new: false, remark: None });
                }
                // Another file is there, and stays.
                Some(_) => {}
            }
        }
        if let Some(OwnModel { name, weights, .. }) = self.own().into_iter().find(|own| own.sha256 == sha256)
        {
            return Ok(Added { name, weights, is_new: false, remark: None });
        }
        let mut files = vec![path.to_owned()];
        files.extend(found.beside.iter().map(|name| path.with_file_name(name)));
        let OwnModel { name, weights, .. } =
            own::add(&self.folder, &files, (found.finds, found.about, sha256))?;
        Ok(Added { name, weights, is_new: true, remark: None })
    }

    /// Copies a file, and those that belong to it, to the empty place of a model.
    fn put(&self, model: &KnownModel, path: &Path, sha256: &str) -> Result<Added, ModelError> {
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
            let name = missing.file_name().unwrap_or_default().display();
            return Err(ModelError::Incomplete { path: path.to_owned(), missing: name.to_string() });
        }
        for (from, to) in &copies {
            let mut input = fs::File::open(from).map_err(disk(from))?;
            write_atomically(to, |out| io::copy(&mut input, out).map(drop)).map_err(disk(to))?;
        }
        let weights = copies.swap_remove(0).1;
        let differs = model.sha256.as_ref().is_some_and(|published| *published != sha256)
            && weights.extension().is_some_and(|suffix| suffix == "pt");
        let remark =
            differs.then_some("it is not the file that was published under this name: the two differ");
        Ok(Added { name: model.name.clone(), weights, is_new: true, remark })
    }

    /// Removes a model by its name, official or own; false if nothing of it was there.
    ///
    /// # Errors
    /// If there is no model of this name, or the disk cannot be written.
    pub fn remove_named(&self, name: &str) -> Result<bool, ModelError> {
        match self.known.iter().find(|model| model.name == name) {
            Some(model) => self.remove(model),
            None => own::remove(&self.folder, name),
        }
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

/// The model as which a file was published: by its hash, or else by its name.
fn published(path: &Path, found: &Recognized, sha256: &str) -> Option<&'static KnownModel> {
    let model = found.model?;
    let file = path.file_name()?;
    let is_named =
        |name: &String| file == name.as_str() || file == Path::new(name).with_extension("safetensors");
    let is_it = model.sha256.as_deref() == Some(sha256) || model.files.first().is_some_and(is_named);
    is_it.then_some(model)
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
