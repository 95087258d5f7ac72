//! Where the files of a YOLO data set are, as Ultralytics, Roboflow, Darknet and LabelImg lay them out.

use std::{
    collections::{BTreeSet, HashMap},
    fs,
    io::Read as _,
    path::{Path, PathBuf},
};

use serde_yaml_ng::Value;

use crate::{
    file::{folder_of, has_suffix, open_regular},
    formats::{
        FormatError, ImageFiles, files,
        number::{float, json_whole, whole},
        paths::{last_name, normalized, split, without_suffix},
        text::Texts,
    },
    media::{image_suffixes, is_named_as_image},
};

/// Files that name classes, a name a line, as Darknet and LabelImg have them.
const NAMES: [&str; 8] = [
    "_darknet.labels",
    "obj.names",
    "classes.txt",
    "labels/classes.txt",
    "labels.txt",
    "classes.names",
    "data/obj.names",
    "predefined_classes.txt",
];
/// YAML files that describe a data set, the usual names first.
const YAMLS: [&str; 4] = ["data.yaml", "data.yml", "dataset.yaml", "dataset.yml"];

/// Folders of labels within a data set.
const PARTS: [&str; 6] = ["labels", "train", "val", "valid", "test", "obj_train_data"];

/// What is written down of a data set beside its labels.
#[derive(Debug, Default)]
pub(super) struct Description {
    /// The names of the classes by their numbers; none if no file names them.
    pub(super) names: Option<Vec<Option<String>>>,
    /// `task`, where a file has it.
    pub(super) task: Option<String>,
    /// Number of keypoints, and of numbers for each.
    pub(super) keypoints: Option<[usize; 2]>,
    /// The folders of images that a file names.
    parts: Vec<PathBuf>,
    /// The file that names the classes.
    pub(super) file: Option<PathBuf>,
    /// Other files that name classes, and name them otherwise.
    pub(super) others: Vec<PathBuf>,
    /// The sentence on a file that should describe the data set and cannot be read.
    pub(super) broken: Option<String>,
    /// The folders of several data sets, in place of one.
    pub(super) several: Vec<PathBuf>,
}

/// The folder that a path is or that its file is in.
pub(super) fn folder_at(path: &Path) -> PathBuf {
    if path.is_dir() { path.to_owned() } else { folder_of(path) }
}

impl Description {
    /// Reads the description of the data set at `path`: a folder, or the file that describes it.
    ///
    /// # Errors
    /// If the file that describes it cannot be read or names no classes.
    pub(super) fn read(path: &Path, texts: &Texts) -> Result<Self, FormatError> {
        if path.is_file() && !is_label_file(path, texts) {
            return Self::of_file(path, texts);
        }
        let folder = folder_at(path);
        let mut files = candidates(&folder);
        // A part of a data set is described above it, and a data set in a folder of its own below.
        let mut part = folder.canonicalize().unwrap_or(folder);
        while files.is_empty()
            && part.file_name().is_some_and(|name| PARTS.iter().any(|known| name == *known))
        {
            part.pop();
            files = candidates(&part);
        }
        if files.is_empty() && path.is_dir() {
            // Other formats have lists of names as well.
            let is_description =
                |file: &PathBuf| file.ends_with(NAMES[0]) || !NAMES.iter().any(|name| file.ends_with(name));
            let described =
                |folder: &PathBuf| candidates(folder).into_iter().filter(is_description).collect::<Vec<_>>();
            let folders = files::folders(path).into_iter().map(|folder| (described(&folder), folder));
            let mut below: Vec<(Vec<PathBuf>, PathBuf)> =
                folders.filter(|(files, _)| !files.is_empty()).collect();
            // Roboflow lists the names of Darknet in each part.
            if below.iter().all(|(files, _)| files.iter().all(|file| file.ends_with(NAMES[0]))) {
                files = std::mem::take(&mut below).into_iter().flat_map(|(files, _)| files).collect();
            }
            if below.len() > 1 {
                let several = below.into_iter().map(|(_, folder)| folder).collect();
                return Ok(Self { several, ..Self::default() });
            }
            files.extend(below.pop().into_iter().flat_map(|(files, _)| files));
        }
        let mut described: Vec<Self> = Vec::new();
        let mut broken = None;
        for file in files {
            match Self::of_file(&file, texts) {
                Ok(description) => described.push(description),
                Err(error) => broken = broken.or(Some(error.to_string())),
            }
        }
        if described.is_empty() {
            return Ok(Self { broken, ..Self::default() });
        }
        let mut first = described.remove(0);
        let others = described.into_iter().filter(|other| other.names != first.names);
        first.others = others.filter_map(|other| other.file).collect();
        let file =
            first.file.as_ref().and_then(|file| file.canonicalize().ok()).zip(path.canonicalize().ok());
        if path.is_dir() && file.is_some_and(|(file, path)| !file.starts_with(path)) {
            // Only one part is asked for.
            first.parts.clear();
        }
        Ok(first)
    }

    fn of_file(path: &Path, texts: &Texts) -> Result<Self, FormatError> {
        let text = texts.read(path)?;
        let damaged = |cause| FormatError::Damaged { path: path.to_owned(), cause };
        let file = Some(path.to_owned());
        match path.extension().unwrap_or_default().to_string_lossy().to_lowercase().as_str() {
            "yaml" | "yml" => {
                let yaml: Value =
                    serde_yaml_ng::from_str(&text).map_err(|error| damaged(error.to_string()))?;
                let names = class_names(&yaml).map_err(damaged)?;
                Ok(Self {
                    names: Some(names),
                    task: yaml.get("task").and_then(Value::as_str).map(str::to_lowercase),
                    keypoints: keypoints_of(&yaml),
                    parts: parts_of(path, &yaml),
                    file,
                    ..Self::default()
                })
            }
            "data" => {
                let setting = |name: &str| {
                    let mut lines = text.lines().filter_map(|line| line.split_once('='));
                    lines.find(|(key, _)| key.trim() == name).map(|(_, value)| value.trim().to_owned())
                };
                let names = setting("names").ok_or_else(|| damaged("it has no names".to_owned()))?;
                let folder = folder_of(path);
                // Darknet is started elsewhere, so that the path may begin there.
                let places = [folder.join(&names), folder.join(last_name(&names))];
                let found = places.into_iter().find(|place| place.is_file());
                let found =
                    found.ok_or_else(|| damaged(format!("its file of names, {names}, is not there")))?;
                Self::of_file(&found, texts)
            }
            _ => {
                let mut names: Vec<Option<String>> = text
                    .lines()
                    .map(|line| Some(line.trim().to_owned()).filter(|name| !name.is_empty()))
                    .collect();
                while names.last().is_some_and(Option::is_none) {
                    names.pop();
                }
                Ok(Self { names: Some(names), file, ..Self::default() })
            }
        }
    }

    /// Lists the text files of the data set in `folder` that may be labels, sorted. Which of them are lists of images, only
    /// their text shows ([`is_list`]).
    pub(super) fn text_files(&self, folder: &Path) -> Vec<PathBuf> {
        let mut all: BTreeSet<PathBuf> = files::with_suffix(folder, "txt").into_iter().collect();
        // Roboflow's lie beside the folder of the file that describes them.
        for images in self.parts.iter().filter(|images| !images.starts_with(folder)) {
            all.extend(files::with_suffix(
                Path::new(&twin(&images.to_string_lossy(), "images", "labels")),
                "txt",
            ));
        }
        let is_names =
            |file: &Path| NAMES.iter().any(|name| file.ends_with(name)) || Some(file) == self.file.as_deref();
        let is_readme = |file: &Path| {
            let name = file.file_name().unwrap_or_default().to_string_lossy().to_lowercase();
            // Roboflow has `README.roboflow.txt`.
            ["readme", "license", "requirements"].contains(&name.split('.').next().unwrap_or_default())
        };
        all.into_iter().filter(|file| !is_names(file) && !is_readme(file) || is_of_image(file)).collect()
    }
}

/// True for a text file whose first row is numbers, as many as a box needs.
pub(super) fn is_label_file(path: &Path, texts: &Texts) -> bool {
    let is_text = has_suffix(path, &["txt"]);
    let is_names = NAMES.iter().any(|name| path.ends_with(name));
    let has_row = || texts.read(path).is_ok_and(|text| begins_with_row(&text));
    path.is_file() && is_text && !is_names && has_row()
}

fn begins_with_row(text: &str) -> bool {
    let row = text.lines().find(|line| !line.trim().is_empty()).unwrap_or_default();
    let words: Vec<&str> = row.split_whitespace().collect();
    words.len() >= 5 && words.iter().all(|word| float(word).is_some())
}

/// True if a text file that is called like a list of names or a readme is the label of an image of its name.
fn is_of_image(file: &Path) -> bool {
    let is_row = open_regular(file).is_ok_and(|mut file| {
        let mut bytes = Vec::new();
        file.read_to_end(&mut bytes).is_ok() && begins_with_row(&String::from_utf8_lossy(&bytes))
    });
    let folder = folder_of(file);
    let twin = PathBuf::from(twin(&folder.to_string_lossy(), "labels", "images"));
    let stem = file.file_stem().unwrap_or_default().to_string_lossy();
    let has_image = |folder: &PathBuf| {
        let mut suffixes = image_suffixes().flat_map(|suffix| [suffix.to_owned(), suffix.to_uppercase()]);
        suffixes.any(|suffix| folder.join(format!("{stem}.{suffix}")).is_file())
    };
    is_row && [folder, twin].iter().any(has_image)
}

/// True if a text lists images, a path a line.
pub(super) fn is_list(text: &str) -> bool {
    let first = text.lines().map(str::trim).find(|line| !line.is_empty());
    first.is_some_and(|line| {
        is_named_as_image(Path::new(line)) && line.split_whitespace().next().and_then(whole).is_none()
    })
}

/// The files of a folder that may describe the data set.
fn candidates(folder: &Path) -> Vec<PathBuf> {
    let usual = YAMLS.iter().map(|name| folder.join(name)).filter(|file| file.is_file());
    let mut all: Vec<PathBuf> = usual.collect();
    let mut others: Vec<PathBuf> =
        fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.path()).collect();
    others.sort();
    for suffixes in [&["yaml", "yml"][..], &["data"]] {
        let more: Vec<PathBuf> =
            others.iter().filter(|file| has_suffix(file, suffixes) && !all.contains(file)).cloned().collect();
        all.extend(more.into_iter().filter(|file| file.is_file()));
    }
    // A YAML file may describe a training run or a model.
    all.retain(|file| !has_suffix(file, &["yaml", "yml"]) || has_names(file));
    all.extend(
        NAMES.iter().map(|name| folder.join(name)).filter(|file| file.is_file() && !is_of_image(file)),
    );
    all
}

fn has_names(yaml: &Path) -> bool {
    let text = open_regular(yaml).and_then(|mut file| {
        let mut bytes = Vec::new();
        file.read_to_end(&mut bytes)?;
        Ok(bytes)
    });
    // Of what cannot be parsed, reading it says why.
    let yaml = text.ok().and_then(|text| serde_yaml_ng::from_slice::<Value>(&text).ok());
    yaml.is_none_or(|yaml| yaml.get("names").is_some())
}

/// The names of the classes, which are a list, or a map from numbers.
fn class_names(yaml: &Value) -> Result<Vec<Option<String>>, String> {
    const MOST: i64 = 1 << 20;
    let text = |value: &Value| match value {
        Value::String(text) => text.clone(),
        other => serde_yaml_ng::to_string(other).unwrap_or_default().trim().to_owned(),
    };
    match yaml.get("names") {
        Some(Value::Sequence(names)) => Ok(names.iter().map(|name| Some(text(name))).collect()),
        Some(Value::Mapping(names)) => {
            let mut all = Vec::new();
            for (number, name) in names {
                let place = serde_json::to_value(number).ok().and_then(|number| json_whole(&number));
                let place = place.filter(|place| (0..MOST).contains(place));
                let place =
                    place.ok_or_else(|| format!("{} is not the number of a class", text(number)))? as usize;
                if all.len() <= place {
                    all.resize(place + 1, None);
                }
                all[place] = Some(text(name));
            }
            Ok(all)
        }
        _ => Err("it has no names".to_owned()),
    }
}

fn keypoints_of(yaml: &Value) -> Option<[usize; 2]> {
    let shape = yaml.get("kpt_shape")?.as_sequence()?;
    let [n, dimensions] = &shape[..] else { return None };
    let (n, dimensions) = (n.as_u64()? as usize, dimensions.as_u64()? as usize);
    (n > 0 && n < 10_000 && (2..=3).contains(&dimensions)).then_some([n, dimensions])
}

/// The folders of images that a YAML file names.
fn parts_of(path: &Path, yaml: &Value) -> Vec<PathBuf> {
    let folder = folder_of(path);
    let root = yaml.get("path").and_then(Value::as_str).map(|root| folder.join(root));
    let root = root.filter(|root| root.is_dir()).unwrap_or_else(|| folder.clone());
    let mut parts = Vec::new();
    for part in ["train", "val", "valid", "test"] {
        let named: Vec<&str> = match yaml.get(part) {
            Some(Value::String(path)) => vec![path],
            Some(Value::Sequence(paths)) => paths.iter().filter_map(Value::as_str).collect(),
            _ => Vec::new(),
        };
        for name in named {
            // Roboflow's paths begin one folder too far up.
            let places = [root.join(name), root.join(name.trim_start_matches("../"))];
            let place = places.iter().map(|place| PathBuf::from(normalized(&place.to_string_lossy())));
            // Listing the root of the file system would walk the whole disk.
            let is_root = |place: &Path| place.canonicalize().is_ok_and(|place| place.parent().is_none());
            parts.extend(place.filter(|place| place.is_dir() && !is_root(place)).take(1));
        }
    }
    parts
}

/// A path in which the last folder called `from` is called `to`, as Ultralytics finds labels of images.
fn twin(path: &str, from: &str, to: &str) -> String {
    let mut names: Vec<&str> = path.split('/').collect();
    if let Some(last) = names.iter_mut().rev().find(|name| **name == from) {
        *last = to;
    }
    names.join("/")
}

/// Finds the images of label files.
pub(super) struct Images<'a> {
    files: &'a ImageFiles,
    /// The images of folders by their stems.
    folders: HashMap<String, HashMap<String, Vec<String>>>,
}

/// The image of a label file.
#[derive(Debug, PartialEq)]
pub(super) enum ImageOf {
    /// Its path from the folder of the data set.
    Found(String),
    /// The path that it would have, without suffix.
    Missing(String),
    /// Two images have its name.
    Several(String, String),
}

impl<'a> Images<'a> {
    pub(super) fn new(files: &'a ImageFiles) -> Self {
        Self { files, folders: HashMap::new() }
    }

    /// Finds the image of a label file: in the same place of a folder `images` as the label has in one called `labels`, or
    /// beside the label.
    pub(super) fn of(&mut self, label: &Path) -> ImageOf {
        let path = self.files.relative(label);
        let own = without_suffix(&path).to_owned();
        let (folder, stem) = split(&own);
        let twin = joined(&twin(folder, "labels", "images"), stem);
        for place in [&twin, &own] {
            let (folder, stem) = split(place);
            match self.images_in(folder).get(stem).map(Vec::as_slice) {
                Some([one]) => return ImageOf::Found(joined(folder, one)),
                Some([a, b, ..]) => return ImageOf::Several(joined(folder, a), joined(folder, b)),
                _ => {}
            }
        }
        // Another layout, in which the folders have the same order all the same.
        let is_same = |found: &str| bare(found) == bare(&twin);
        let found = self.files.find(&twin).map(|found| self.files.relative(&found));
        match found.filter(|found| is_same(without_suffix(found))) {
            Some(found) => ImageOf::Found(found),
            None => ImageOf::Missing(twin),
        }
    }

    /// Lists the images of the folders that `description` names, and of those in which images of labels were found.
    pub(super) fn unlabeled(&mut self, description: &Description) -> Vec<String> {
        for part in &description.parts {
            self.images_in(&self.files.relative(part));
        }
        let images = self
            .folders
            .iter()
            .flat_map(|(folder, images)| images.values().flatten().map(move |name| joined(folder, name)));
        let mut images: Vec<String> = images.collect();
        images.sort();
        images
    }

    fn images_in(&mut self, folder: &str) -> &HashMap<String, Vec<String>> {
        let files = self.files;
        self.folders.entry(folder.to_owned()).or_insert_with(|| {
            let mut images: HashMap<String, Vec<String>> = HashMap::new();
            for entry in fs::read_dir(files.folder().join(folder)).into_iter().flatten().flatten() {
                let name = entry.file_name().to_string_lossy().into_owned();
                if is_named_as_image(Path::new(&name)) {
                    images.entry(without_suffix(&name).to_owned()).or_default().push(name);
                }
            }
            images.values_mut().for_each(|names| names.sort());
            images
        })
    }
}

fn joined(folder: &str, name: &str) -> String {
    if folder.is_empty() { name.to_owned() } else { format!("{folder}/{name}") }
}

/// The names of a path but for the folders of images and labels.
fn bare(path: &str) -> Vec<&str> {
    path.split('/').filter(|name| !["images", "labels", "obj_train_data"].contains(name)).collect()
}
