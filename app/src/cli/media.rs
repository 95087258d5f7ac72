//! The images, videos and folders of frames that a command adds to a project.

use std::path::{Path, PathBuf};

use anyhow::{anyhow, ensure};
use clap::Args;
use engine::{
    formats::FormatError,
    media::Sources,
    nn::Cancel,
    project::{Scan, scan, scan_frames},
};

use super::export::with_progress;

#[derive(Args)]
pub(super) struct MediaArgs {
    /// Add the images and videos of this folder, or this file; may be repeated. Without --media and --frames a new project has
    /// those of its own folder
    #[arg(long, value_name = "FOLDER")]
    media: Vec<PathBuf>,
    /// Add the images of this folder as the frames of one video; may be repeated
    #[arg(long, value_name = "FOLDER")]
    frames: Vec<PathBuf>,
}

impl MediaArgs {
    /// Checks that all that is named is there.
    pub(super) fn check(&self) -> anyhow::Result<()> {
        for path in self.media.iter().chain(&self.frames) {
            ensure!(path.exists(), "there is no {}; check --media and --frames", path.display());
        }
        Ok(())
    }

    /// Finds the media for a project whose file is in `folder`; a new project has the media of that folder if no others are
    /// named. An image that is a frame is not added as an image as well.
    pub(super) fn scan(
        &self,
        is_new: bool,
        folder: &Path,
        sources: &Sources,
        cancel: &Cancel,
    ) -> anyhow::Result<Scan> {
        let mut found = Scan::default();
        for frames in &self.frames {
            found.extend(scan_frames(frames, folder, sources).map_err(|why| anyhow!(why))?);
        }
        let folders: Vec<String> = found.media.iter().map(|video| video.path.clone()).collect();
        let is_frame = |path: &str| {
            let above = path.rsplit_once('/').map_or(".", |(above, _)| above);
            folders.iter().any(|frames| frames == above)
        };
        let default = (is_new && self.media.is_empty() && self.frames.is_empty()).then_some(folder);
        for inside in self.media.iter().map(PathBuf::as_path).chain(default) {
            let mut scanned = with_progress("look for images", cancel, |progress| {
                let scanned = scan(&[inside.to_owned()], folder, sources, progress);
                if cancel.is_canceled() { Err(FormatError::Canceled) } else { Ok(scanned) }
            })?;
            scanned.media.retain(|medium| medium.is_video() || !is_frame(&medium.path));
            found.extend(scanned);
        }
        Ok(found)
    }
}
