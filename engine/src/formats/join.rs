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
    project::{Medium, path_of, scan_frames},
};

impl Dataset {
    /// Replaces photos among `media` that are the frames of one of its videos by a video: the folder that they are in. Paths of
    /// media are relative to `folder`. Returns a sentence on each folder that could not be opened as a video, or whose frames
    /// are damaged.
    ///
    /// Labels of a video then have the same place over a folder of its frames as over its file.
    pub fn join_frames(&self, media: &mut Vec<Medium>, folder: &Path, sources: &Sources) -> Vec<String> {
        let mut said = Vec::new();
        for video in 0..self.videos.len() {
            let Some(frames) = self.folder_of_frames(video, media) else { continue };
            let is_frame = |medium: &Medium| !medium.is_video() && split(&medium.path).0 == frames;
            let Some(first) = media.iter().position(is_frame) else { continue };
            let path = path_of(folder, &media[first]);
            match scan_frames(&path.parent().map_or_else(PathBuf::new, Path::to_owned), folder, sources) {
                Ok(mut found) => {
                    said.append(&mut found.remarks);
                    media.splice(first..=first, found.media);
                    media.retain(|medium| !is_frame(medium));
                }
                Err(why) => said.push(why),
            }
        }
        said
    }

    /// The one folder whose photos are frames of a video.
    fn folder_of_frames(&self, video: usize, media: &[Medium]) -> Option<String> {
        let photos: Vec<&Medium> = media.iter().filter(|medium| !medium.is_video()).collect();
        let index = PathIndex::new(photos.iter().map(|medium| medium.path.clone()));
        let frames = self.images.iter().filter(|image| image.frame.is_some_and(|(of, _)| of == video));
        let named = frames.filter_map(|image| index.find(image.file_name.as_deref()?).one());
        let folders: BTreeSet<&str> = named.map(|place| split(&photos[place].path).0).collect();
        if folders.len() == 1 { folders.first().map(|folder| (*folder).to_owned()) } else { None }
    }
}
