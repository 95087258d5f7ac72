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
mod head;
mod json;
pub mod labelme;
pub mod masks;
pub mod mot;
pub mod mots;
mod output;
mod parallel;
mod png;
mod polygon;
mod report;
pub mod sa_v;
mod selection;
mod stats;
pub mod tao;
#[cfg(test)]
mod tests;
mod videos;
pub mod voc;
mod xml;
pub mod yolo;
pub mod youtube_vis;

use std::{
    collections::{BTreeSet, HashMap},
    fmt,
    path::{Path, PathBuf},
};

use crate::{
    geometry::{Rect, Size},
    project::Project,
};

pub use add::Taken;
pub use check::{Finding, Gravity, check};
pub use dataset::{Annotation, Category, Dataset, Id, Image, Shape};
pub use error::FormatError;
pub use output::{Output, REPORT, check_target};
pub use report::{LeftOut, Likeness, Loss, Report};
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
    write: fn(&Selection<'_>, &mut Output<'_>) -> Result<(), FormatError>,
    read: Option<Read>,
}

/// How a format is read.
#[derive(Clone, Copy)]
struct Read {
    /// The suffix of its files, where each can be read alone; of a folder, all of them are. None: a folder is read.
    suffix: Option<&'static str>,
    /// Whether a file (or a folder, if there is no suffix) looks like it, as far as a glance tells.
    is_like: fn(&Path) -> bool,
    /// Reads one file, or a folder.
    read: fn(&Reading<'_>) -> Result<Dataset, FormatError>,
}

impl Read {
    /// The files of a path that are like this format; the folder itself if it is read as a whole.
    fn files(&self, path: &Path) -> Vec<PathBuf> {
        let all = match self.suffix {
            Some(suffix) if path.is_dir() => head::files(path, suffix),
            _ => vec![path.to_owned()],
        };
        let is_report = |path: &Path| path.file_name().is_some_and(|name| name == REPORT);
        all.into_iter().filter(|file| !is_report(file) && (self.is_like)(file)).collect()
    }
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
pub struct Reading<'a> {
    /// A file or folder.
    pub path: &'a Path,
    /// The size of an image of this name, where the format does not say and the image is not there.
    pub size: &'a dyn Fn(&str) -> Option<Size>,
    /// Told how much is read, of how much; says whether to go on.
    pub progress: &'a dyn Fn(usize, usize) -> bool,
    /// Whether to look for what is wrong and does no harm ([`Dataset::doubts`]), which takes a little longer.
    pub checks: bool,
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

    /// Writes what `options` choose of a project, whose file is in `folder`, to `target`: a folder, or, where the format
    /// is a single file and only labels are wanted, a file (which has a suffix). `progress` is told how many steps are
    /// done, of how many, and says whether to go on.
    ///
    /// # Errors
    /// If there is nothing to write, a file cannot be read or written, the folder has other things in it, or `progress`
    /// says no ([`FormatError::Canceled`]); the target is then as it was.
    pub fn export(
        &self,
        project: &Project,
        folder: &Path,
        options: &Options,
        target: &Path,
        progress: &dyn Fn(usize, usize) -> bool,
    ) -> Result<Report, FormatError> {
        let mut report = Report { format: self.name, ..Report::default() };
        let videos = Videos::new(project, folder, options.files, progress);
        let selection = Selection::of(project, options, self, videos, &mut report);
        if selection.is_canceled() {
            return Err(FormatError::Canceled);
        }
        if selection.frames.is_empty() {
            let photos = self.is_of_videos && !project.media.is_empty();
            let why = if photos { "this format has videos only" } else { "no image is chosen" };
            return Err(FormatError::Nothing { why: why.to_owned() });
        }
        let steps = report.images + report.annotations;
        let mut output = Output::begin(target, report, steps, progress)?;
        (self.write)(&selection, &mut output)?;
        output.finish(&selection, folder)
    }

    /// Reads a file or folder.
    ///
    /// # Errors
    /// If it cannot be read, has nothing that can be used, or the reader does not want to go on
    /// ([`FormatError::Canceled`]). Whatever else is wrong with it is told in [`Dataset::refused`].
    pub fn import(&self, reading: &Reading<'_>) -> Result<Dataset, FormatError> {
        let path = reading.path;
        let unknown = || FormatError::UnknownFormat { path: path.to_owned() };
        let read = self.read.ok_or_else(unknown)?;
        if !path.is_dir() || read.suffix.is_none() {
            return (read.read)(reading);
        }
        let mut all: Option<Dataset> = None;
        for file in read.files(path) {
            let dataset = (read.read)(&Reading { path: &file, ..*reading })?;
            all = Some(all.unwrap_or_default().with(dataset));
        }
        all.ok_or_else(unknown)
    }
}

/// Which format a file or folder has.
///
/// # Errors
/// If it is like none of them.
pub fn detect(path: &Path) -> Result<&'static Format, FormatError> {
    let is_like = |format: &&&Format| format.read.is_some_and(|read| !read.files(path).is_empty());
    let found = FORMATS.iter().find(is_like).copied();
    found.ok_or_else(|| FormatError::UnknownFormat { path: PathBuf::from(path) })
}

/// The sizes of a project's images by their names, for [`Reading`]: with or without folders and suffixes, as far as that is
/// not of two sizes.
pub fn sizes(project: &Project) -> impl Fn(&str) -> Option<Size> + use<> {
    let mut sizes: HashMap<String, BTreeSet<Size>> = HashMap::new();
    let stem = |path: &str| dataset::without_suffix(path).to_owned();
    let last = |path: &str| path.rsplit(['/', '\\']).next().unwrap_or(path).to_owned();
    for medium in project.media.values() {
        for name in BTreeSet::from([stem(&medium.path), last(&stem(&medium.path))]) {
            sizes.entry(name).or_default().insert(medium.size);
        }
    }
    let only = |sizes: &BTreeSet<Size>| if sizes.len() == 1 { sizes.first().copied() } else { None };
    let folder = |path: &str| path.rsplit_once(['/', '\\']).map(|(folder, _)| folder.to_owned());
    move |name| {
        let known = |name: &str| sizes.get(name).and_then(only);
        let name = stem(name);
        // A frame is of the size of its video, whose stem is its folder.
        known(&name).or_else(|| known(&last(&name))).or_else(|| known(&last(&folder(&name)?)))
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

/// "1 image", "2 images".
pub fn counted(n: usize, noun: &str) -> String {
    let plural = if n == 1 { "" } else { "s" };
    format!("{n} {noun}{plural}")
}
