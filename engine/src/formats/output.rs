//! Where an export is written: beside its target first, and put in place when it is complete.

use std::{
    collections::{BTreeMap, BTreeSet},
    ffi::OsStr,
    fs, io,
    io::{Read as _, Write as _},
    path::{Path, PathBuf},
};

use image::{ExtendedColorType, ImageEncoder as _, codecs::jpeg::JpegEncoder};

use super::{
    Files, FormatError, Frame, ImageFiles, Report, Selection, counted,
    photo::{JPEG_QUALITY, Photo},
    report::Change,
};
use crate::{
    file::{self, Staging},
    media::FrameSource,
    messages::kept_note,
    project::{FrameId, Medium, MediumId, is_work},
};

/// The report within an export, which lists the files that another export may replace.
pub const REPORT: &str = "segue-export.json";
/// Progress is told now and then, since most of what is written is small.
const TOLD_EVERY: usize = 64;

/// An export in the making.
pub struct Output<'a> {
    /// What is written so far.
    pub report: Report,
    target: &'a Path,
    staging: Staging,
    progress: &'a dyn Fn(usize, usize) -> bool,
    done: usize,
    total: usize,
    /// Image files that are to be made.
    wanted: BTreeMap<FrameId, Vec<PathBuf>>,
}

/// Whether an export could be put at `target`, as far as can be told before.
///
/// # Errors
/// If it is a folder of other things, a file where a folder is meant, or cannot be written.
pub fn check_target(target: &Path) -> Result<(), FormatError> {
    staging(target).map(drop)
}

/// A folder beside the target, in which what goes there is made.
fn staging(target: &Path) -> Result<Staging, FormatError> {
    if target.exists() && !target.is_dir() {
        let path = target.to_owned();
        if target.extension().is_none() {
            return Err(FormatError::NoFolder { path });
        }
        if is_work(target) {
            return Err(FormatError::Exists { path });
        }
    }
    Ok(Staging::beside(target, REPORT)?)
}

impl<'a> Output<'a> {
    /// `total` steps are to come; `progress` is told how many are done, of how many, and says whether to go on.
    pub(super) fn begin(
        target: &'a Path,
        report: Report,
        total: usize,
        progress: &'a dyn Fn(usize, usize) -> bool,
    ) -> Result<Self, FormatError> {
        let staging = staging(target)?;
        Ok(Self { report, target, staging, progress, done: 0, total, wanted: BTreeMap::new() })
    }

    /// Writes a file whose name, with `/` between folders, is below the target.
    pub(super) fn write(
        &self,
        name: &str,
        write: impl FnOnce(&mut io::BufWriter<fs::File>) -> io::Result<()>,
    ) -> Result<(), FormatError> {
        let path = self.staging.path().join(name);
        let written = (|| {
            fs::create_dir_all(file::folder_of(&path))?;
            let mut out = io::BufWriter::new(fs::File::create(&path)?);
            write(&mut out)?;
            out.flush()
        })();
        written.map_err(|error| FormatError::writing(&self.target.join(name), error))
    }

    /// The same of a long file, in steps: `write` calls its last argument after each.
    pub(super) fn write_steps(
        &mut self,
        name: &str,
        write: impl FnOnce(&mut io::BufWriter<fs::File>, &mut Report, Step<'_>) -> io::Result<()>,
    ) -> Result<(), FormatError> {
        let mut report = std::mem::take(&mut self.report);
        let (mut done, total, progress) = (self.done, self.total, self.progress);
        let mut step = || go_on(&mut done, total, progress);
        let written = self.write(name, |out| write(out, &mut report, &mut step));
        (self.report, self.done) = (report, done);
        written
    }

    /// One step is done; an error if the person does not want to go on.
    pub(super) fn step(&mut self) -> Result<(), FormatError> {
        go_on(&mut self.done, self.total, self.progress)
    }

    /// Wants a frame's own file there, if files are wanted.
    pub(super) fn place(&mut self, selection: &Selection<'_>, frame: &Frame<'_>, name: &str) {
        if selection.files() != Files::Leave {
            self.wanted.entry(frame.at).or_default().push(self.staging.path().join(name));
        }
    }

    /// Makes the image files from those of the project, and puts all in place.
    pub(super) fn finish(
        mut self,
        selection: &Selection<'_>,
        files: &ImageFiles,
    ) -> Result<Report, FormatError> {
        self.make_files(selection, files)?;
        if self.target.extension().is_none() || self.target.is_dir() {
            let report = serde_json::to_value(&self.report).map_err(io::Error::from);
            let report = report.map_err(|error| FormatError::writing(self.target, error))?;
            self.staging.put(report)?;
        } else {
            let placed = self.put_file()?;
            placed.map_err(|cause| FormatError::Write { path: self.target.to_owned(), cause })?;
        }
        Ok(self.report)
    }

    fn make_files(&mut self, selection: &Selection<'_>, files: &ImageFiles) -> Result<(), FormatError> {
        self.total += self.wanted.len();
        let mut placed = BTreeSet::new();
        let mut open: Option<(MediumId, FrameSource)> = None;
        for (at, paths) in std::mem::take(&mut self.wanted) {
            self.step()?;
            let medium: &Medium = &selection.project.media[&at.medium];
            let file = files.path_of(medium);
            if !files.may_be_copied(&medium.path) {
                self.report.n_outside += 1;
            } else if !file.exists() {
                self.report.n_missing += 1;
            } else {
                match make_file(selection, files, at, &paths, &mut open) {
                    Ok(changes) => {
                        self.report.files += paths.len();
                        placed.insert(file);
                        for change in changes {
                            *self.report.changed.entry(change).or_default() += 1;
                        }
                    }
                    Err(error @ FormatError::Write { .. }) => return Err(error),
                    // Labels are good without this one.
                    Err(error) => {
                        self.report.count_unreadable(&error);
                        for path in &paths {
                            fs::remove_file(path).ok();
                        }
                    }
                }
            }
        }
        // Once for all frames of a video.
        let outside: Vec<PathBuf> = placed.into_iter().filter(|file| files.is_outside(file)).collect();
        if let Some(first) = outside.first() {
            let n = counted(outside.len(), "image file");
            let first = first.display();
            self.report
                .notes
                .push(format!("copied from outside of the project's folder: {n}, such as {first}"));
        }
        Ok(())
    }

    /// Where one file is asked for and one was made, it goes there alone.
    fn put_file(&mut self) -> Result<io::Result<()>, FormatError> {
        let mut files = Vec::new();
        if let Err(cause) = list(self.staging.path(), &mut files) {
            return Ok(Err(cause));
        }
        match &files[..] {
            [one] => {
                // Write through symbolic links.
                let target = file::end_of_links(self.target);
                let is_own =
                    |target: &Path| file::is_marked(target) || have_same_bytes(one, target).unwrap_or(false);
                let replaced = file::keep_earlier(&target, is_own).and_then(|kept| {
                    self.report.notes.extend(kept.as_deref().map(kept_note));
                    fs::rename(one, &target)
                });
                Ok(replaced)
            }
            _ => Err(FormatError::SeveralFiles { format: self.report.format, path: self.target.to_owned() }),
        }
    }
}

/// True if two files hold the same bytes.
fn have_same_bytes(a: &Path, b: &Path) -> io::Result<bool> {
    if a.metadata()?.len() != b.metadata()?.len() {
        return Ok(false);
    }
    let bytes = |path| file::open_regular(path).map(|file| io::BufReader::new(file).bytes());
    for (a, b) in bytes(a)?.zip(bytes(b)?) {
        if a? != b? {
            return Ok(false);
        }
    }
    Ok(true)
}

/// Makes the files of one frame, and returns how they differ from the image. `open` is the video that was read last.
fn make_file(
    selection: &Selection<'_>,
    files: &ImageFiles,
    at: FrameId,
    paths: &[PathBuf],
    open: &mut Option<(MediumId, FrameSource)>,
) -> Result<Vec<Change>, FormatError> {
    let medium: &Medium = &selection.project.media[&at.medium];
    let writing = |path: &Path, cause| FormatError::Write { path: path.to_owned(), cause };
    for path in paths {
        fs::create_dir_all(file::folder_of(path)).map_err(|cause| writing(path, cause))?;
    }
    let file_name = selection.file_name(at);
    let from = files.path_of(medium);
    let from = file_name.map_or(from.clone(), |name| from.join(name));
    // A format may want another kind of image than a frame's file is.
    let suffix = |path: &Path| path.extension().map(OsStr::to_ascii_lowercase);
    let is_kept = |path: &PathBuf| suffix(path) == suffix(&from);
    let mut changes = Vec::new();
    if !medium.is_video() || file_name.is_some() && paths.iter().all(is_kept) {
        let photo = Photo::open(&from, medium.size)?;
        for path in paths {
            changes.extend(photo.place(path, selection.files())?);
        }
        return Ok(changes);
    }
    if open.as_ref().is_none_or(|(known, _)| *known != at.medium) {
        *open = Some((at.medium, FrameSource::open(&files.path_of(medium))?));
    }
    let Some((_, source)) = open else { return Ok(changes) };
    let image = source.frame(at.frame)?;
    for path in paths {
        let written = fs::File::create(path).map_err(image::ImageError::IoError).and_then(|file| {
            JpegEncoder::new_with_quality(io::BufWriter::new(file), JPEG_QUALITY).write_image(
                image.as_raw(),
                image.width(),
                image.height(),
                ExtendedColorType::Rgb8,
            )
        });
        written.map_err(|cause| writing(path, io::Error::other(cause)))?;
    }
    Ok(changes)
}

/// Called after each piece of work; an error if the person does not want to go on.
pub(super) type Step<'a> = &'a mut dyn FnMut() -> Result<(), FormatError>;

fn go_on(done: &mut usize, total: usize, progress: &dyn Fn(usize, usize) -> bool) -> Result<(), FormatError> {
    *done += 1;
    let go_on = *done % TOLD_EVERY != 1 || progress(*done - 1, total);
    if go_on { Ok(()) } else { Err(FormatError::Canceled) }
}

fn list(folder: &Path, files: &mut Vec<PathBuf>) -> io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() { list(&path, files)? } else { files.push(path) }
    }
    Ok(())
}
