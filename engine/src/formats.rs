//! Formats that training code reads: a project written in any of them, and read from any of them.
//!
//! A format is a [`Format`] in a file of its own and a line in [`FORMATS`]. To write, it goes through a [`Selection`], which
//! is what of a project a person wants, and puts files into an [`Output`]. To read, it makes a [`Dataset`].

mod add;
pub mod burst;
mod check;
pub mod coco;
pub mod cvat;
mod dataset;
pub mod datumaro;
pub mod davis;
mod error;
mod files;
mod join;
mod json;
pub mod labelme;
pub mod masks;
mod matching;
mod merge;
pub mod mot;
pub mod mots;
mod names;
mod number;
mod outlines;
mod output;
mod parallel;
mod paths;
mod photo;
mod png;
mod polygon;
mod recognize;
mod report;
pub mod sa_v;
mod selection;
mod sniff;
mod stats;
pub mod tao;
#[cfg(test)]
mod tests;
mod text;
mod videos;
pub mod voc;
mod xml;
pub mod yolo;
pub mod youtube_vis;

use std::{
    collections::BTreeMap,
    fmt,
    path::{Path, PathBuf},
    sync::Arc,
};

use merge::Merger;
use paths::PathIndex;
use recognize::Recognize;
use text::Texts;

use crate::{
    geometry::{Rect, Size},
    project::{MediumId, Project},
};

pub use crate::messages::{Messages, counted};
pub use add::Taken;
pub use check::{Finding, Gravity, check};
pub use dataset::{Annotation, Category, Dataset, Id, Image, Shape};
pub use error::FormatError;
pub use files::ImageFiles;
pub use output::{Output, REPORT, check_target};
pub use recognize::{Recognized, recognize};
pub use report::{Change, LeftOut, Likeness, Loss, Report};
pub use selection::{Clip, Files, Frame, Frames, Kind, Label, Options, Selection, Splits};
pub use stats::{CategoryStats, Stats};
use videos::Videos;

/// All formats, in the order in which they are offered.
pub const FORMATS: &[&Format] = &[
    &coco::INSTANCES,
    &coco::PANOPTIC,
    &coco::RESULTS,
    &yolo::DETECTION,
    &yolo::SEGMENTATION,
    &yolo::ORIENTED,
    &voc::FORMAT,
    &labelme::FORMAT,
    &cvat::IMAGES,
    &cvat::VIDEO,
    &datumaro::FORMAT,
    &masks::BINARY,
    &masks::INDEXED,
    &youtube_vis::FORMAT,
    &burst::FORMAT,
    &tao::FORMAT,
    &davis::FORMAT,
    &mots::FORMAT,
    &mot::FORMAT,
    &sa_v::FORMAT,
];

/// A way to write labels down.
#[derive(Clone, Copy)]
pub struct Format {
    /// What it is called on the command line.
    pub name: &'static str,
    /// What people call it.
    pub title: &'static str,
    /// Whether it is of videos: it cannot have photos, and knows what is one object on several frames.
    pub is_of_videos: bool,
    /// What it can say.
    pub carries: Carries,
    /// Folders that must not be in the paths of images, since readers of the format take them for others.
    reserved_folders: &'static [&'static str],
    /// The treatment of image files where nothing else is asked for.
    pub usual_files: Files,
    write: fn(&Selection<'_>, &mut Output<'_>) -> Result<(), FormatError>,
    read: Option<Read>,
}

/// How a format is read.
#[derive(Clone, Copy)]
struct Read {
    recognize: Recognize,
    /// True if the files of a folder make one data set, which `read` reads as a whole; false if each is one.
    together: bool,
    read: fn(&Reading<'_>) -> Result<Dataset, FormatError>,
}

/// What a format can say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Carries {
    /// How masks are written.
    pub masks: Masks,
    /// Whether there can be objects of which only a box is known.
    pub boxes: bool,
    /// Whether objects may share pixels.
    pub overlaps: bool,
    /// Whether it says which objects on several frames are one.
    pub tracks: bool,
    /// Whether objects can have attributes.
    pub attributes: bool,
    /// Whether it says what objects are.
    pub categories: bool,
    /// Whether it tells objects of one category apart.
    pub objects: bool,
}

impl Carries {
    /// Everything.
    const ALL: Self = Self {
        masks: Masks::Exact,
        boxes: true,
        overlaps: true,
        tracks: true,
        attributes: true,
        categories: true,
        objects: true,
    };
}

/// How a format writes masks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Masks {
    /// To the pixel.
    Exact,
    /// As polygons.
    Polygons,
    /// Not at all: it has boxes.
    None,
}

/// What is read, and for whom.
#[derive(Clone)]
pub struct Reading<'a> {
    /// A file or folder.
    pub path: &'a Path,
    /// The images that belong to the labels.
    pub files: Arc<ImageFiles>,
    /// The label files as text.
    texts: Arc<Texts>,
    /// The sizes of the project's images.
    sizes: Option<&'a Sizes>,
    /// Called with the number of steps done and their total; returns false to cancel.
    progress: &'a dyn Fn(usize, usize) -> bool,
    /// True if [`Dataset::doubts`] are wanted, which takes a little longer.
    checks: bool,
}

impl<'a> Reading<'a> {
    /// A reading of a file or folder on its own.
    pub fn new(path: &'a Path) -> Self {
        let files = ImageFiles::around(path);
        let texts = Texts::new(files.folder(), None);
        Self {
            path,
            files: files.into(),
            texts: texts.into(),
            sizes: None,
            progress: &|_, _| true,
            checks: false,
        }
    }

    /// Takes sizes of images that the labels do not have from a project.
    #[must_use]
    pub fn with_sizes(self, sizes: &'a Sizes) -> Self {
        Self { sizes: Some(sizes), ..self }
    }

    /// Calls `progress` with the number of steps done and their total; it returns false to cancel.
    #[must_use]
    pub fn with_progress(self, progress: &'a dyn Fn(usize, usize) -> bool) -> Self {
        Self { progress, ..self }
    }

    /// Looks for [`Dataset::doubts`] too.
    #[must_use]
    pub fn with_checks(self) -> Self {
        Self { checks: true, ..self }
    }

    /// Reads text that is not Unicode in an encoding, by its label in the WHATWG standard, such as `gbk`.
    ///
    /// # Errors
    /// If there is no such encoding.
    pub fn with_encoding(self, label: &str) -> Result<Self, String> {
        let encoding = encoding_rs::Encoding::for_label(label.as_bytes());
        let encoding = encoding
            .ok_or_else(|| format!("there is no encoding {label}; try gbk, shift_jis or windows-1252"))?;
        Ok(Self { texts: Texts::new(self.files.folder(), Some(encoding)).into(), ..self })
    }

    /// A reading of a file of the folder.
    fn at(&self, path: &'a Path) -> Self {
        Self { path, ..self.clone() }
    }

    /// True if the file of an image has another size than the labels state.
    fn is_misstated(&self, name: &str, stated: Option<Size>) -> bool {
        let of_file = || self.files.size(name).and_then(Result::ok);
        stated.is_some_and(|stated| of_file().is_some_and(|size| size != stated))
    }

    /// The size of an image: as the label file states it if that is the size of an image, or else that of its file, or
    /// that of the project's image.
    fn size_of(&self, name: &str, stated: Option<Size>) -> Option<Size> {
        let of_file = || self.files.size(name)?.ok();
        stated.or_else(of_file).or_else(|| self.sizes?.of(name))
    }
}

/// The sizes of a project's images by their paths.
pub struct Sizes {
    index: PathIndex,
    sizes: Vec<Size>,
    /// The numbers of frames of the videos, by their ids and places in the other lists.
    videos: BTreeMap<MediumId, (usize, usize)>,
}

impl Sizes {
    /// The sizes of the images and videos of a project.
    pub fn of_project(project: &Project) -> Self {
        Self {
            index: PathIndex::new(project.media.values().map(|medium| medium.path.clone())),
            sizes: project.media.values().map(|medium| medium.size).collect(),
            videos: project
                .media
                .iter()
                .zip(0..)
                .filter(|((_, medium), _)| medium.is_video())
                .map(|((id, medium), place)| (*id, (place, medium.n_frames)))
                .collect(),
        }
    }

    /// True if several of the images and videos may be meant by a path.
    fn is_ambiguous(&self, path: &str) -> bool {
        matches!(self.index.find(path), paths::Found::Several(..))
    }

    /// True if one image or video is meant by a path.
    fn has(&self, path: &str) -> bool {
        self.index.find(path).one().is_some()
    }

    /// The video of a name or of an id in exports, and the number of its frames. A text may be either.
    fn video(&self, told: &serde_json::Value) -> Option<(MediumId, usize)> {
        let place = told.as_str().and_then(|name| self.index.find(name).one());
        let named = self.videos.iter().find(|(_, (of, _))| place == Some(*of));
        let id = || u32::try_from(number::json_whole(told)?).ok().map(MediumId);
        named.or_else(|| self.videos.get_key_value(&id()?)).map(|(id, (_, n_frames))| (*id, *n_frames))
    }

    /// The size of the image of a path, or of the video whose frame it is: a video's stem is the folder of its frames. If all
    /// are of one size, it is that of any.
    fn of(&self, path: &str) -> Option<Size> {
        let found = self.index.find(path).one().or_else(|| self.index.find(paths::split(path).0).one());
        let first = self.sizes.first().filter(|first| self.sizes.iter().all(|size| size == *first));
        found.map(|place| &self.sizes[place]).or(first).copied()
    }
}

/// Reads labels whose format is recognized. Where it may be another one, a note says so.
///
/// # Errors
/// As [`recognize()`] and [`Format::import`].
pub fn read(reading: &Reading<'_>) -> Result<(&'static Format, Dataset), FormatError> {
    let Recognized { format, others } = recognize(reading)?;
    let mut dataset = format.import(reading)?;
    if !others.is_empty() {
        let names: Vec<&str> = others.iter().map(|other| other.name).collect();
        let others = names.join(" or ");
        dataset
            .notes
            .say(format_args!("read as {}; it may also be {others}: choose with --format", format.name));
    }
    Ok((format, dataset))
}

/// Finds a format by its name.
pub fn named(name: &str) -> Option<&'static Format> {
    FORMATS.iter().copied().find(|format| format.name == name)
}

/// No two have one name.
impl PartialEq for Format {
    fn eq(&self, other: &Self) -> bool {
        self.name == other.name
    }
}

impl fmt::Debug for Format {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name)
    }
}

impl Format {
    /// Whether it can be read.
    pub fn is_read(&self) -> bool {
        self.read.is_some()
    }

    /// Writes what `options` choose of a project, whose image files are `files`, to `target`: a folder, or, where the format
    /// is a single file and only labels are wanted, a file (which has a suffix). `progress` is told how many steps are
    /// done, of how many, and says whether to go on.
    ///
    /// # Errors
    /// If there is nothing to write, a file cannot be read or written, the folder has other things in it, or `progress`
    /// says no ([`FormatError::Canceled`]); the target is then as it was.
    pub fn export(
        &self,
        project: &Project,
        files: &ImageFiles,
        options: &Options,
        target: &Path,
        progress: &dyn Fn(usize, usize) -> bool,
    ) -> Result<Report, FormatError> {
        let mut report = Report { format: self.name, ..Report::default() };
        let videos = Videos::new(project, files, options.files.unwrap_or(self.usual_files), progress);
        let selection = Selection::of(project, options, self, videos, &mut report);
        if selection.is_canceled() {
            return Err(FormatError::Canceled);
        }
        if selection.frames.is_empty() {
            let photos = self.is_of_videos && !project.media.is_empty();
            let why = match () {
                () if project.media.is_empty() => {
                    "there are no images; no image file was found near the labels, and the labels state no image sizes"
                }
                () if photos => "this format has videos only",
                () if report.left_out.contains_key(&LeftOut::Boxes) => {
                    "this format has masks only, and there are only boxes"
                }
                () if report.left_out.contains_key(&LeftOut::Proposals) => {
                    "there are only proposals, which are exported once they are accepted in the window"
                }
                () => "no image is chosen",
            };
            return Err(FormatError::Nothing { why: why.to_owned() });
        }
        let steps = report.images + report.annotations;
        let mut output = Output::begin(target, report, steps, progress)?;
        check_media(project, files, target)?;
        (self.write)(&selection, &mut output)?;
        output.finish(&selection, files)
    }

    /// Reads a file or folder. A file of a folder that cannot be read is reported in [`Dataset::refused`].
    ///
    /// # Errors
    /// If nothing in it can be used, or the reader cancels ([`FormatError::Canceled`]).
    pub fn import(&self, reading: &Reading<'_>) -> Result<Dataset, FormatError> {
        let mut dataset = self.read_all(reading)?;
        dataset.folder = reading.files.folder().to_owned();
        let names = dataset.categories.iter().filter_map(|category| category.name.as_ref());
        let paths = dataset.images.iter().filter_map(|image| image.file_name.as_ref());
        let is_plain = names.chain(paths).all(|text| text.is_ascii());
        let guessed = if is_plain { BTreeMap::new() } else { reading.texts.guessed() };
        for (encoding, files) in guessed {
            let name = |file: &PathBuf| reading.files.relative(file);
            let more = if files.len() > 1 { format!(" and {} more", files.len() - 1) } else { String::new() };
            let first = files.first().map(name).unwrap_or_default();
            dataset.notes.say(format_args!(
                "{first}{more}: read as {encoding}, the likely encoding; if names look wrong, choose with --encoding"
            ));
        }
        Ok(dataset)
    }

    fn read_all(&self, reading: &Reading<'_>) -> Result<Dataset, FormatError> {
        let path = reading.path;
        let unknown = || FormatError::UnknownFormat { path: path.to_owned() };
        let read = self.read.ok_or_else(unknown)?;
        if read.together {
            return (read.read)(reading);
        }
        let of_file = |file: &Path| {
            let mut dataset = (read.read)(&reading.at(file))?;
            if let Some(split) = files::split_of(file, path) {
                dataset.set_default_split(split);
            }
            Ok(dataset)
        };
        if !path.is_dir() {
            return of_file(path);
        }
        let (mut all, mut failed) = (Merger::default(), Vec::new());
        for file in read.recognize.files(path, &reading.texts) {
            match of_file(&file) {
                Ok(dataset) => all.add(&reading.files.relative(&file), dataset),
                Err(FormatError::Canceled) => return Err(FormatError::Canceled),
                Err(error) => failed.push(error),
            }
        }
        match (all.finish(), failed) {
            (None, failed) => Err(failed.into_iter().next().unwrap_or_else(unknown)),
            (Some(mut all), failed) => {
                failed.into_iter().for_each(|error| all.refused.say(error));
                Ok(all)
            }
        }
    }
}

/// Checks that no image or video of a project lies in the folder of an export, which replaces its files.
fn check_media(project: &Project, files: &ImageFiles, target: &Path) -> Result<(), FormatError> {
    let Some(real) = target.canonicalize().ok().filter(|real| real.is_dir()) else { return Ok(()) };
    let media = project.media.values().map(|medium| files.path_of(medium));
    let is_inside = |path: &PathBuf| path.canonicalize().is_ok_and(|path| path.starts_with(&real));
    match media.into_iter().find(is_inside) {
        Some(medium) => Err(FormatError::HoldsMedia { target: target.to_owned(), medium }),
        None => Ok(()),
    }
}

/// The part of a box that lies in an image; none if there is none.
fn clip(rect: Rect, size: Size) -> Option<Rect> {
    let (width, height) = (size.width as f32, size.height as f32);
    let within = Rect {
        x0: rect.x0.clamp(0.0, width),
        y0: rect.y0.clamp(0.0, height),
        x1: rect.x1.clamp(0.0, width),
        y1: rect.y1.clamp(0.0, height),
    };
    // A corner that is no number stays none, and is then not below the other.
    (within.x0 < within.x1 && within.y0 < within.y1).then_some(within)
}

/// The size of an image; none if no image has so many pixels, or none.
fn valid_size(width: usize, height: usize) -> Option<Size> {
    /// More pixels than this are no image.
    const LARGEST: usize = 1 << 31;
    let area = width.checked_mul(height).filter(|area| (1..=LARGEST).contains(area));
    area.map(|_| Size::new(width, height))
}
