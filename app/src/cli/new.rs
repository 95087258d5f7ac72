//! `segue new`: a project of images and videos, with nothing labeled.

use std::path::PathBuf;

use anyhow::ensure;
use clap::Args;
use engine::{
    file::{folder_of, has_suffix},
    formats::counted,
    media::Sources,
    project::Store,
};

use super::{cancel_on_interrupt, media::MediaArgs, say};

/// Make a project of images and videos
#[derive(Args)]
pub(crate) struct New {
    /// The new project (.segue)
    project: PathBuf,
    #[command(flatten)]
    media: MediaArgs,
}

impl New {
    pub(super) fn run(self) -> anyhow::Result<()> {
        let project = &self.project;
        ensure!(!project.exists(), "{} is there already; choose another name", project.display());
        ensure!(
            has_suffix(project, &["segue"]),
            "the name of a project ends with .segue, {} does not",
            project.display()
        );
        let folder = folder_of(project);
        ensure!(folder.is_dir(), "there is no folder {} for the project", folder.display());
        let cancel = cancel_on_interrupt()?;
        self.media.check()?;
        let found = self.media.scan(true, &folder, &Sources::default(), &cancel)?;
        found.refused.iter().chain(&found.remarks).try_for_each(say)?;
        let media = found.media;
        ensure!(
            !media.is_empty(),
            "no image or video is found; name them with --media or --frames, or put them into {}",
            folder.display()
        );
        let n_videos = media.iter().filter(|medium| medium.is_video()).count();
        let n_photos = media.len() - n_videos;
        let mut opened = Store::open(project)?;
        opened.history.edit("Add media", |project| project.add_media(media));
        opened.store.write(&opened.history.take_unwritten())?;
        let (photos, videos) = (counted(n_photos, "photo"), counted(n_videos, "video"));
        say(format_args!("{}: {photos}, {videos}", project.display()))
    }
}
