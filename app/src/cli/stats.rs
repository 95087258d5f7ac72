//! `segue stats`: what there is in a project, or in a file or folder of labels.

use std::path::{Path, PathBuf};

use clap::Args;
use engine::{
    formats::{Format, Stats},
    nn::Cancel,
    project::Project,
};

use super::{
    cancel_on_interrupt, check,
    export::{format_named, open},
    say,
};

/// Count what there is in a project, or in labels of any format
#[derive(Args)]
pub(crate) struct StatsArgs {
    /// A project (.segue; no window may have it open), or a file or folder of labels
    source: PathBuf,
    /// The format of labels; by default it is recognized
    #[arg(long, value_parser = format_named)]
    format: Option<&'static Format>,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

impl StatsArgs {
    pub(super) fn run(self) -> anyhow::Result<()> {
        let project = project(&self.source, self.format, &cancel_on_interrupt()?)?;
        let stats = Stats::of(&project);
        if self.json { say(serde_json::to_string_pretty(&stats)?) } else { say(stats) }
    }
}

/// A project, or one made of labels.
pub(super) fn project(
    source: &Path,
    format: Option<&'static Format>,
    cancel: &Cancel,
) -> anyhow::Result<Project> {
    if source.extension().is_some_and(|suffix| suffix == "segue") {
        return Ok((**open(source)?.history.now()).clone());
    }
    let (_, mut dataset) = check::read(source, format, cancel)?;
    let (project, taken) = dataset.to_project();
    dataset.refused.iter().chain(&taken.refused).try_for_each(say)?;
    Ok(project)
}
