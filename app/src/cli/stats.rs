//! `segue stats`: what there is in a project, or in a file or folder of labels.

use std::{path::PathBuf, sync::Arc};

use anyhow::ensure;
use clap::Args;
use engine::{
    file::has_suffix,
    formats::{ImageFiles, Stats},
    nn::Cancel,
    project::{Project, read_project},
};

use super::{
    cancel_on_interrupt,
    check::{Labels, ReadingArgs, Source},
    say,
};

/// Count what there is in a project, or in labels of any format
#[derive(Args)]
pub(crate) struct StatsArgs {
    /// A project (.segue; no window may have it open), or a file or folder of labels
    source: PathBuf,
    #[command(flatten)]
    reading: ReadingArgs,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

impl StatsArgs {
    pub(super) fn run(self) -> anyhow::Result<()> {
        let Counted { project, .. } = project(&self.reading.source(&self.source), &cancel_on_interrupt()?)?;
        let stats = Stats::of(&project);
        if self.json { say(serde_json::to_string_pretty(&stats)?) } else { say(stats) }
    }
}

/// A project, or one made of labels.
pub(super) struct Counted {
    pub(super) project: Project,
    /// The images of the project.
    pub(super) files: Arc<ImageFiles>,
    /// Labels that do not fit the images, which are left out.
    pub(super) n_refused: usize,
}

/// Opens a project, or makes one of labels; what is not taken of these is said on standard error.
pub(super) fn project(source: &Source<'_>, cancel: &Cancel) -> anyhow::Result<Counted> {
    let path = source.labels;
    if has_suffix(path, &["segue"]) {
        let folder = engine::file::folder_of(path);
        ensure!(path.is_file(), "there is no project {}", path.display());
        let project = (**read_project(path)?.now()).clone();
        return Ok(Counted { project, files: ImageFiles::of_project(&folder).into(), n_refused: 0 });
    }
    let Labels { mut dataset, files, .. } = source.read(None, cancel)?;
    let (project, taken) = dataset.to_project(&files);
    dataset.messages().iter().chain(&taken.messages()).try_for_each(complain)?;
    Ok(Counted { project, files, n_refused: taken.refused.len() })
}

/// Prints a line on standard error, since what is counted or written is on standard output.
fn complain(line: impl std::fmt::Display) -> anyhow::Result<()> {
    use std::io::Write as _;
    writeln!(std::io::stderr(), "{line}").map_err(Into::into)
}
