//! `segue check`: what breaks training in a file or folder of labels.

use std::path::PathBuf;

use anyhow::{bail, ensure};
use clap::Args;
use engine::{
    file::folder_of,
    formats::{self, Dataset, Format, FormatError, Gravity, Options, Reading, counted},
    nn::Cancel,
};

use super::{
    cancel_on_interrupt,
    export::{format_named, with_progress},
    say,
};

/// Say what breaks training in a file or folder of labels of any format
#[derive(Args)]
pub(crate) struct Check {
    /// A file or folder of labels
    labels: PathBuf,
    /// The format; by default it is recognized
    #[arg(long, value_parser = format_named)]
    format: Option<&'static Format>,
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
        let (format, mut dataset) = read(&self.labels, self.format, &cancel)?;
        let findings = formats::check(&dataset, &self.labels);
        if self.json {
            say(serde_json::to_string_pretty(&findings)?)?;
        } else {
            findings.iter().try_for_each(say)?;
            let annotations = counted(dataset.annotations.len(), "annotation");
            let images = counted(dataset.images.len(), "image");
            say(format_args!("{}: {annotations} on {images} can be used", format.title))?;
        }
        if let Some(out) = &self.fix {
            let (project, taken) = dataset.to_project();
            taken.refused.iter().try_for_each(say)?;
            let folder = folder_of(&self.labels);
            let report = with_progress("fix", &cancel, |progress| {
                format.export(&project, &folder, &Options::default(), out, progress)
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

/// What a file or folder says, in a format that is said or recognized.
pub(super) fn read(
    labels: &std::path::Path,
    format: Option<&'static Format>,
    cancel: &Cancel,
) -> anyhow::Result<(&'static Format, Dataset)> {
    ensure!(labels.exists(), "there is no {}", labels.display());
    let format = format.map_or_else(|| formats::detect(labels), Ok)?;
    let dataset = with_progress("read", cancel, |progress| -> Result<Dataset, FormatError> {
        format.import(&Reading { path: labels, size: &|_| None, progress, checks: true })
    })?;
    Ok((format, dataset))
}
