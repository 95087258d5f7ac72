//! Photos that are the frames of a video of a data set, joined to a video.

use std::{
    collections::BTreeSet,
    path::{Path, PathBuf},
};

use super::{
    Dataset,
    paths::{PathIndex, split},
};
use crate::{
    media::Sources,
    project::{Medium, MediumKind, path_of, scan_frames},
};

impl Dataset {
    /// Replaces photos among `media` that are the frames of one of its videos by a video: the folder that they are in. Paths of
    /// media are relative to `folder`. Returns the folders that could not be opened as videos, a sentence each.
    ///
    /// Labels of a video then have the same place over a folder of its frames as over its file.
    pub fn join_frames(&self, media: &mut Vec<Medium>, folder: &Path, sources: &Sources) -> Vec<String> {
        let mut failed = Vec::new();
        for video in 0..self.videos.len() {
            let Some(frames) = self.folder_of_frames(video, media) else { continue };
            let is_frame =
                |medium: &Medium| medium.kind == MediumKind::Image && split(&medium.path).0 == frames;
            let Some(first) = media.iter().position(is_frame) else { continue };
            let path = path_of(folder, &media[first]);
            match scan_frames(&path.parent().map_or_else(PathBuf::new, Path::to_owned), folder, sources) {
                Ok(medium) => {
                    media[first] = medium;
                    media.retain(|medium| !is_frame(medium));
                }
                Err(why) => failed.push(why),
            }
        }
        failed
    }

    /// The one folder whose photos are frames of a video.
    fn folder_of_frames(&self, video: usize, media: &[Medium]) -> Option<String> {
        let photos: Vec<&Medium> = media.iter().filter(|medium| medium.kind == MediumKind::Image).collect();
        let index = PathIndex::new(photos.iter().map(|medium| medium.path.clone()));
        let frames = self.images.iter().filter(|image| image.frame.is_some_and(|(of, _)| of == video));
        let named = frames.filter_map(|image| index.find(image.file_name.as_deref()?).one());
        let folders: BTreeSet<&str> = named.map(|place| split(&photos[place].path).0).collect();
        if folders.len() == 1 { folders.first().map(|folder| (*folder).to_owned()) } else { None }
    }
}
