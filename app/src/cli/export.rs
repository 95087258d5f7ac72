//! `segue export`: a project, or labels in any format, in a format that training code reads.

use std::{collections::BTreeSet, path::PathBuf};

use anyhow::{Context as _, ensure};
use clap::{
    Args, ValueEnum,
    builder::{PossibleValue, PossibleValuesParser, TypedValueParser},
};
use engine::{
    file::{MARK, is_marked, write_output},
    formats::{self, FORMATS, Files, Format, Frames, Options, Splits, counted},
    nn::Cancel,
    project::Project,
};

use super::{cancel_on_interrupt, check::Source, check_output_of_labels, say, say_kept, stats};
use crate::progress;

/// Write a project in a format that training code reads
#[derive(Args)]
pub(crate) struct Export {
    /// A project (.segue; no window may have it open), or a file or folder of labels in any format
    source: PathBuf,
    /// The format to write
    #[arg(long, value_parser = all_formats())]
    format: &'static Format,
    /// The format of labels that are the source; by default it is recognized
    #[arg(long, value_name = "FORMAT", value_parser = readable_formats())]
    from: Option<&'static Format>,
    /// The encoding of labels that are not Unicode, such as gbk or windows-1252; by default it is detected
    #[arg(long, value_name = "NAME")]
    encoding: Option<String>,
    /// A folder that is empty, new or an earlier export; or, for a format that is one file, a file
    #[arg(long)]
    out: PathBuf,
    #[command(flatten)]
    options: Choice,
    /// Also write the report as JSON to this file; an export to a folder has it as segue-export.json
    #[arg(long, value_name = "FILE")]
    report: Option<PathBuf>,
}

/// What of the project is written, and how.
#[derive(Args)]
struct Choice {
    /// Only this image or video, by its path in the project or its file name; may be repeated
    #[arg(long, value_name = "NAME")]
    media: Vec<String>,
    /// Only this category; may be repeated
    #[arg(long, value_name = "NAME")]
    category: Vec<String>,
    /// Which images and frames: all, labeled, confirmed, or a number N for every N-th frame; by default all images, and the
    /// labeled frames of videos (all where the format is of videos)
    #[arg(long)]
    frames: Option<Frames>,
    /// Divide into train, val and test by these shares, such as 0.8,0.1,0.1; frames of a video stay together
    #[arg(long, value_name = "SHARES", value_delimiter = ',', num_args = 1)]
    split: Vec<f32>,
    /// Another number divides otherwise
    #[arg(long, default_value_t = 0)]
    seed: u64,
    /// What becomes of the images: copied and frames extracted, linked, or left where they are; by default linked for YOLO,
    /// whose trainers find images beside labels, and left for other formats
    #[arg(long, value_enum)]
    files: Option<FilesArg>,
    /// How many pixels a polygon may be away from its mask's outline
    #[arg(long, value_name = "PIXELS", default_value_t = 1.0)]
    tolerance: f32,
    /// Write polygons where the format can have masks too
    #[arg(long)]
    polygons: bool,
    /// Write the scores of tracked and detected objects, in formats that have them
    #[arg(long)]
    scores: bool,
    /// Number categories one after the other from here; by default they keep their numbers
    #[arg(long, value_name = "N")]
    first_category: Option<u32>,
    /// Leave out tracked masks that nobody has confirmed
    #[arg(long)]
    skip_unconfirmed: bool,
    /// Leave out images with nothing on them
    #[arg(long)]
    skip_empty: bool,
}

#[derive(Clone, Copy, ValueEnum)]
enum FilesArg {
    /// Only labels are written
    Leave,
    /// Images are copied, frames of videos extracted
    Copy,
    /// Images are linked, frames of videos extracted
    Link,
}

impl Export {
    pub(super) fn run(self) -> anyhow::Result<()> {
        let cancel = cancel_on_interrupt()?;
        for out in [Some(&self.out), self.report.as_ref()].into_iter().flatten() {
            check_output_of_labels(out, &self.source)?;
        }
        let source = Source { labels: &self.source, format: self.from, encoding: self.encoding.as_deref() };
        let stats::Counted { project, files, n_refused } = stats::project(&source, &cancel)?;
        let options = self.options.of(&project)?;
        let report = with_progress("export", &cancel, |progress| {
            self.format.export(&project, &files, &options, &self.out, progress)
        })?;
        if let Some(file) = self.report {
            let mut json = serde_json::to_value(&report)?;
            json["about"] = MARK.into();
            let written = write_output(&file, is_marked, |out| Ok(serde_json::to_writer_pretty(out, &json)?));
            say_kept(written.with_context(|| format!("cannot write {}", file.display()))?)?;
        }
        let lacks_files = report.lacks_files() && !matches!(options.files, None | Some(Files::Leave));
        say(report)?;
        say(format_args!("{}", self.out.display()))?;
        ensure!(!lacks_files, "not all image files could be copied; see above");
        ensure!(n_refused == 0, "{} of the labels could not be taken; see above", counted(n_refused, "item"));
        Ok(())
    }
}

impl Choice {
    fn of(self, project: &Project) -> anyhow::Result<Options> {
        let mut media = BTreeSet::new();
        for name in &self.media {
            let meant =
                project.media.iter().filter(|(_, medium)| medium.path == *name || medium.name() == name);
            let n_before = media.len();
            media.extend(meant.map(|(id, _)| *id));
            ensure!(media.len() > n_before, "the project has no image or video {name}");
        }
        let mut categories = BTreeSet::new();
        for name in &self.category {
            let id = project.category_named(name);
            categories.insert(id.with_context(|| format!("the project has no category {name}"))?);
        }
        let is_share = |share: &f32| share.is_finite() && *share >= 0.0;
        ensure!(
            self.split.len() <= 3 && self.split.iter().all(is_share),
            "--split takes up to three shares from 0 on, such as 0.8,0.1,0.1"
        );
        let shares = std::array::from_fn(|i| self.split.get(i).copied().unwrap_or(0.0));
        ensure!(self.split.is_empty() || shares.iter().sum::<f32>() > 0.0, "--split has no share above 0");
        ensure!(self.tolerance.is_finite() && self.tolerance >= 0.0, "--tolerance is a number from 0 on");
        Ok(Options {
            media: (!self.media.is_empty()).then_some(media),
            categories: (!self.category.is_empty()).then_some(categories),
            frames: self.frames.unwrap_or(Frames::Usual),
            empty: !self.skip_empty,
            unconfirmed: !self.skip_unconfirmed,
            splits: (!self.split.is_empty()).then_some(Splits { shares, seed: self.seed }),
            files: self.files.map(|files| match files {
                FilesArg::Leave => Files::Leave,
                FilesArg::Copy => Files::Copy,
                FilesArg::Link => Files::Link,
            }),
            tolerance: self.tolerance,
            polygons: self.polygons,
            scores: self.scores,
            first_category: self.first_category,
        })
    }
}

/// Parses the name of a format; `--help` lists all of them.
pub(super) fn all_formats() -> impl TypedValueParser<Value = &'static Format> {
    parser(|_| true)
}

/// Parses the name of a format that can be read; `--help` lists all of them.
pub(super) fn readable_formats() -> impl TypedValueParser<Value = &'static Format> {
    parser(Format::is_read)
}

fn parser(is_listed: fn(&Format) -> bool) -> impl TypedValueParser<Value = &'static Format> {
    let formats = FORMATS.iter().filter(move |format| is_listed(format));
    let values = formats.map(|format| PossibleValue::new(format.name).help(format.title));
    PossibleValuesParser::new(values)
        .try_map(|name| formats::named(&name).ok_or_else(|| format!("there is no format {name}")))
}

/// Does work that tells how far it is, with a bar, until it is done or Ctrl+C is pressed.
pub(super) fn with_progress<T, E>(
    what: &'static str,
    cancel: &Cancel,
    work: impl FnOnce(&dyn Fn(usize, usize) -> bool) -> Result<T, E>,
) -> Result<T, E> {
    let bar = progress::bar(0, what);
    let outcome = work(&|done, total| {
        bar.set_length(total as u64);
        bar.set_position(done as u64);
        !cancel.is_canceled()
    });
    bar.finish_and_clear();
    outcome
}
