//! Reading pictures: one thread for frames, one for thumbnails, so that neither waits for the other.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

use crossbeam_channel::Receiver;

use super::{Event, Reads, Reporter};
use crate::{
    media::{MediaError, read_image},
    picture::Picture,
    project::{FrameId, MediumId, content_of},
};

/// Pixels along the longer edge of a thumbnail.
const THUMBNAIL: u32 = 192;

pub(super) fn frames(inbox: &Receiver<Reads>, out: &Reporter) {
    let mut wanted = Reads::default();
    while next(inbox, &mut wanted, |reads| reads.frames.is_empty()) {
        let (at, path) = wanted.frames.remove(0);
        let picture = picture(at, &path).map(Arc::new).map_err(|error| error.to_string());
        if !out.report(Event::Read(at, path, picture)) {
            return;
        }
    }
}

pub(super) fn thumbnails(inbox: &Receiver<Vec<(MediumId, PathBuf)>>, out: &Reporter) {
    let mut wanted = Vec::new();
    while next(inbox, &mut wanted, Vec::is_empty) {
        let (medium, path) = wanted.remove(0);
        let at = FrameId { medium, frame: 0 };
        let thumbnail = picture(at, &path).map_err(|error| error.to_string()).and_then(|picture| {
            let content = content_of(&path).map_err(|error| error.to_string())?;
            Ok((picture.thumbnail(THUMBNAIL), content))
        });
        if !out.report(Event::Thumbnail(medium, path, thumbnail)) {
            return;
        }
    }
}

pub(super) fn picture(at: FrameId, path: &Path) -> Result<Picture, MediaError> {
    Ok(Picture::new(at, read_image(path)?))
}

/// Takes in the latest of what is wanted, waiting while that is nothing; false once nobody can want more.
fn next<T>(inbox: &Receiver<T>, wanted: &mut T, is_empty: impl Fn(&T) -> bool) -> bool {
    loop {
        while let Ok(latest) = inbox.try_recv() {
            *wanted = latest;
        }
        if !is_empty(wanted) {
            return true;
        }
        match inbox.recv() {
            Ok(latest) => *wanted = latest,
            Err(_) => return false,
        }
    }
}
