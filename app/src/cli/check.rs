//! `segue check`: what breaks training in a file or folder of labels.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

use anyhow::{bail, ensure};
use clap::Args;
use engine::{
    file::has_suffix,
    formats::{self, Dataset, Format, FormatError, Gravity, ImageFiles, Options, Reading, Sizes, counted},
    nn::Cancel,
};

use super::{
    cancel_on_interrupt, check_output_of_labels,
    export::{readable_formats, with_progress},
    say,
};

/// Say what breaks training in a file or folder of labels of any format
#[derive(Args)]
pub(crate) struct Check {
    /// A file or folder of labels
    labels: PathBuf,
    #[command(flatten)]
    reading: ReadingArgs,
    /// Write what can be used, with boxes and areas made anew, to this new folder (or file, of a format that is one)
    #[arg(long, value_name = "OUT")]
    fix: Option<PathBuf>,
    /// Print what is found as JSON
    #[arg(long)]
    json: bool,
}

impl Check {
    pub(super) fn run(self) -> anyhow::Result<()> {
        let cancel = cancel_on_interrupt()?;
        if let Some(out) = &self.fix {
            check_output_of_labels(out, &self.labels)?;
        }
        let source = self.reading.source(&self.labels);
        let Labels { format, mut dataset, files } = source.read(None, &cancel)?;
        let findings = formats::check(&dataset, &files);
        if self.json {
            say(serde_json::to_string_pretty(&findings)?)?;
        } else {
            findings.iter().try_for_each(say)?;
            let annotations = counted(dataset.annotations.len(), "annotation");
            let images = counted(dataset.images.len(), "image");
            say(format_args!("{}: {annotations} on {images} can be used", format.title))?;
        }
        if let Some(out) = &self.fix {
            let (project, taken) = dataset.to_project(&files);
            taken.messages().iter().try_for_each(say)?;
            let report = with_progress("fix", &cancel, |progress| {
                format.export(&project, &files, &Options::default(), out, progress)
            })?;
            return say(format_args!("{report}\n{}", out.display()));
        }
        let n_errors = findings.iter().filter(|finding| finding.gravity == Gravity::Error).count();
        if n_errors > 0 {
            bail!("errors: {n_errors}");
        }
        Ok(())
    }
}

/// Options of reading labels.
#[derive(Args)]
pub(super) struct ReadingArgs {
    /// The format; by default it is recognized
    #[arg(long, value_parser = readable_formats())]
    format: Option<&'static Format>,
    /// The encoding of text that is not Unicode, such as gbk or windows-1252; by default it is detected
    #[arg(long, value_name = "NAME")]
    encoding: Option<String>,
}

impl ReadingArgs {
    /// A file or folder of labels that is read so.
    pub(super) fn source<'a>(&'a self, labels: &'a Path) -> Source<'a> {
        Source { labels, format: self.format, encoding: self.encoding.as_deref() }
    }
}

/// A file or folder of labels that a person names.
pub(super) struct Source<'a> {
    pub(super) labels: &'a Path,
    pub(super) format: Option<&'static Format>,
    pub(super) encoding: Option<&'a str>,
}

/// Labels that were read, and the images that belong to them.
pub(super) struct Labels {
    pub(super) format: &'static Format,
    pub(super) dataset: Dataset,
    pub(super) files: Arc<ImageFiles>,
}

impl Source<'_> {
    /// Reads the labels; their format is recognized unless it is named. Sizes that they lack are those of `sizes`, or else
    /// what is wrong and does no harm is looked for too.
    pub(super) fn read(&self, sizes: Option<&Sizes>, cancel: &Cancel) -> anyhow::Result<Labels> {
        let labels = self.labels.display();
        ensure!(self.labels.exists(), "there is no {labels}");
        ensure!(
            !has_suffix(self.labels, &["segue"]),
            "{labels} is a project, not labels; write them with `segue export`, count them with `segue stats`"
        );
        let reading = Reading::new(self.labels);
        let mut reading = match sizes {
            Some(sizes) => reading.with_sizes(sizes),
            None => reading.with_checks(),
        };
        if let Some(encoding) = self.encoding {
            reading = reading.with_encoding(encoding).map_err(anyhow::Error::msg)?;
        }
        let files = reading.files.clone();
        let (format, dataset) = with_progress("read", cancel, |progress| -> Result<_, FormatError> {
            let reading = reading.with_progress(progress);
            match self.format {
                Some(format) => Ok((format, format.import(&reading)?)),
                None => formats::read(&reading),
            }
        })?;
        Ok(Labels { format, dataset, files })
    }
}
