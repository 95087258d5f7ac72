//! `segue import`: labels of any format, taken into a project.

use std::path::{Path, PathBuf};

use anyhow::{bail, ensure};
use clap::Args;
use engine::{
    file::folder_of,
    formats::{Sizes, counted},
    media::Sources,
    nn::Cancel,
    project::{Opened, Project, Store},
};

use super::{
    cancel_on_interrupt,
    check::{Labels, ReadingArgs},
    media::MediaArgs,
    say,
};

/// Take labels of any format into a project
#[derive(Args)]
pub(crate) struct Import {
    /// A file or folder of labels
    labels: PathBuf,
    /// The project (.segue), made if there is none; no window may have it open
    #[arg(long, value_name = "PROJECT")]
    into: PathBuf,
    #[command(flatten)]
    reading: ReadingArgs,
    #[command(flatten)]
    media: MediaArgs,
    /// Also add annotations that the project has already
    #[arg(long)]
    repeat: bool,
    /// Only say what would be taken, and write nothing
    #[arg(long)]
    dry_run: bool,
}

impl Import {
    pub(super) fn run(self) -> anyhow::Result<()> {
        ensure!(self.labels.exists(), "there is no {}", self.labels.display());
        let cancel = cancel_on_interrupt()?;
        let is_new = !self.into.exists();
        let folder = folder_of(&self.into);
        ensure!(folder.is_dir(), "there is no folder {} for the project", folder.display());
        self.media.check()?;
        if is_new && self.dry_run {
            let mut project = Project::default();
            let outcome = self.read_into(&mut project, is_new, &folder, &cancel)?;
            return self.report(outcome);
        }
        let Opened { mut store, mut history } = Store::open(&self.into)?;
        let taken = (|| {
            let mut project = (**history.now()).clone();
            let outcome = self.read_into(&mut project, is_new, &folder, &cancel)?;
            if !self.dry_run && !outcome.is_nothing {
                history.edit("Import", |now| *now = project);
                store.write(&history.take_unwritten())?;
            }
            self.report(outcome)
        })();
        if taken.is_err() && is_new {
            drop(store);
            std::fs::remove_file(&self.into).ok();
        }
        taken
    }

    /// Adds media and labels to a project whose file is in `folder`; a new one has the media of that folder if no others are
    /// named.
    fn read_into(
        &self,
        project: &mut Project,
        is_new: bool,
        folder: &Path,
        cancel: &Cancel,
    ) -> anyhow::Result<Outcome> {
        let sources = Sources::default();
        let scan = self.media.scan(is_new, folder, &sources, cancel)?;
        let (mut media, mut messages) = (scan.media, scan.refused);
        messages.extend(scan.remarks);
        let mut with_media = project.clone();
        with_media.add_media(media.clone());
        let sizes = Sizes::of_project(&with_media);
        let Labels { format, mut dataset, .. } =
            self.reading.source(&self.labels).read(Some(&sizes), cancel)?;
        messages.extend(dataset.join_frames(&mut media, folder, &sources));
        project.add_media(media);
        let taken = dataset.add_to(project, folder, self.repeat);
        messages.extend(dataset.messages());
        messages.extend(taken.messages());
        let is_nothing = taken.is_nothing();
        Ok(Outcome {
            messages,
            summary: format!("{taken} ({})", format.title),
            is_nothing,
            n_known: taken.n_known,
        })
    }

    fn report(&self, outcome: Outcome) -> anyhow::Result<()> {
        outcome.messages.iter().try_for_each(say)?;
        if outcome.is_nothing {
            let labels = self.labels.display();
            if outcome.n_known > 0 {
                let n = counted(outcome.n_known, "annotation");
                bail!(
                    "nothing was added from {labels}: the project has {n} of it already; add them again with --repeat"
                );
            }
            bail!("nothing was added from {labels}: {}", outcome.summary);
        }
        let prefix = if self.dry_run { "would be taken: " } else { "" };
        say(format_args!("{prefix}{}", outcome.summary))
    }
}

/// The outcome of reading labels into a project.
struct Outcome {
    messages: Vec<String>,
    summary: String,
    is_nothing: bool,
    n_known: usize,
}
