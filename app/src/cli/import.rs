//! `segue import`: labels of any format, taken into a project.

use std::path::{Path, PathBuf};

use anyhow::ensure;
use clap::Args;
use engine::{
    file::folder_of,
    formats::{self, Format, Reading},
    media::Sources,
    nn::Cancel,
    project::{Medium, Opened, Scan, Store, scan},
};

use super::{
    cancel_on_interrupt,
    export::{format_named, with_progress},
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
    /// The format; by default it is recognized
    #[arg(long, value_parser = format_named)]
    format: Option<&'static Format>,
    /// First add the images and videos of this folder; a new project otherwise has those of its own folder
    #[arg(long, value_name = "FOLDER")]
    media: Option<PathBuf>,
}

impl Import {
    pub(super) fn run(self) -> anyhow::Result<()> {
        ensure!(self.labels.exists(), "there is no {}", self.labels.display());
        let format = self.format.map_or_else(|| formats::detect(&self.labels), Ok)?;
        let cancel = cancel_on_interrupt()?;
        let is_new = !self.into.exists();
        let folder = folder_of(&self.into);
        let media = self.media.or_else(|| is_new.then(|| folder.clone()));
        let media = match media {
            Some(inside) => with_progress("look for images", &cancel, |progress| {
                let scan = scan(&[inside], &folder, &Sources::default(), progress);
                if cancel.is_canceled() { Err(formats::FormatError::Canceled) } else { Ok(scan) }
            })?,
            None => Scan::default(),
        };
        media.refused.iter().chain(&media.remarks).try_for_each(say)?;
        let opened = Store::open(&self.into)?;
        let taken = take(opened, format, &self.labels, media.media, &cancel);
        if taken.is_err() && is_new {
            std::fs::remove_file(&self.into).ok();
        }
        taken
    }
}

fn take(
    Opened { mut store, mut history }: Opened,
    format: &Format,
    labels: &Path,
    media: Vec<Medium>,
    cancel: &Cancel,
) -> anyhow::Result<()> {
    if !media.is_empty() {
        history.edit("Add media", |project| project.add_media(media));
    }
    let size = formats::sizes(history.now());
    let mut dataset = with_progress("import", cancel, |progress| {
        format.import(&Reading { path: labels, size: &size, progress, checks: false })
    })?;
    let taken = history.edit("Import", |project| dataset.add_to(project));
    store.write(&history.take_unwritten())?;
    for sentence in dataset.refused.iter().chain(&taken.refused) {
        say(sentence)?;
    }
    say(format_args!("{} ({})", taken, format.title))
}
