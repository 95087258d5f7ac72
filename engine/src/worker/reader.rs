//! Reading pictures: one thread for frames, one for thumbnails, so that neither waits for the other.
//!
//! The way from a key frame to a frame of a video may be long. On a long way the key frame is reported first, then now and
//! then the frame that was just reached; after each decoded frame the reader looks whether something else is wanted.

use std::{
    collections::VecDeque,
    path::{Path, PathBuf},
    sync::{Arc, Weak},
    time::{Duration, Instant},
};

use crossbeam_channel::{Receiver, TryRecvError};
use image::RgbImage;

use super::{Event, Reads, Reporter};
use crate::{
    media::{FrameSource, MediaError, Sources},
    picture::Picture,
    project::{FrameId, MediumId, content_of},
};

/// Pixels along the longer edge of a thumbnail.
const THUMBNAIL: u32 = 192;

/// Sources that are kept open; a decoder of a large video takes some hundred megabytes.
const OPEN: usize = 3;

/// A way that takes longer than this is worth a look at the frame where it starts.
const LONG: Duration = Duration::from_millis(60);

/// A frame on the way is worth a look each time that so much of the way is gone, and more than that is left. A look takes
/// time too, so that more of them would only delay what is looked for.
const OFTEN: Duration = Duration::from_millis(300);

/// How long it takes to pass a frame on the way, until it is measured.
const PACE: Duration = Duration::from_millis(10);

/// The pace is measured over no fewer frames: the first ones wait for the decoder to start.
const MEASURED: u32 = 8;

pub(super) fn frames(inbox: &Receiver<Reads>, sources: &Sources, out: &Reporter) {
    let mut reader = Reader::new(sources.clone());
    let mut wanted = Reads::default();
    while next(inbox, &mut wanted, |reads| reads.frames.is_empty()) {
        let mut latest = None;
        let read = reader.read(&wanted.frames, &mut || match inbox.try_recv() {
            Ok(reads) => {
                latest = Some(reads);
                false
            }
            Err(error) => error == TryRecvError::Empty,
        });
        if let Some((frame, picture)) = read {
            wanted.frames.retain(|other| *other != frame);
            let (at, path) = frame;
            if !out.report(Event::Read(at, path, picture)) {
                return;
            }
        }
        if let Some(latest) = latest {
            wanted = latest;
        }
    }
}

pub(super) fn thumbnails(inbox: &Receiver<Vec<(MediumId, PathBuf)>>, sources: &Sources, out: &Reporter) {
    let mut wanted = Vec::new();
    while next(inbox, &mut wanted, Vec::is_empty) {
        let (medium, path) = wanted.remove(0);
        let at = FrameId { medium, frame: 0 };
        let first = sources.open(&path).and_then(|mut source| {
            let pixels = first_frame(&mut source)?;
            let kind = source.picture_kind();
            Ok(Picture::new(at, kind, pixels).shown(0.0, source.pixel_aspect()))
        });
        let thumbnail = first.and_then(|picture| {
            let content =
                content_of(&path).map_err(|cause| MediaError::Read { path: path.clone(), cause })?;
            Ok((picture.thumbnail(THUMBNAIL), content))
        });
        if !out.report(Event::Thumbnail(medium, path, thumbnail)) {
            return;
        }
    }
}

/// The first frame that is not damaged, if it comes soon.
fn first_frame(source: &mut FrameSource) -> Result<RgbImage, MediaError> {
    /// As far apart as key frames usually are at most.
    const SOON: usize = 300;
    let is_damaged = |read: &Result<RgbImage, MediaError>| {
        read.as_ref().err().is_some_and(|error| error.damaged_frame().is_some())
    };
    let first = source.frame(0);
    if !is_damaged(&first) {
        return first;
    }
    let mut later = (1..source.n_frames().min(SOON)).map(|frame| source.frame(frame));
    later.find(|read| !is_damaged(read)).unwrap_or(first)
}

/// Takes in the latest of what is wanted, waiting while that is nothing; false once nobody can want more.
fn next<T>(inbox: &Receiver<T>, wanted: &mut T, is_empty: impl Fn(&T) -> bool) -> bool {
    loop {
        match inbox.try_recv() {
            Ok(latest) => *wanted = latest,
            Err(TryRecvError::Disconnected) => return false,
            Err(TryRecvError::Empty) if !is_empty(wanted) => return true,
            Err(TryRecvError::Empty) => match inbox.recv() {
                Ok(latest) => *wanted = latest,
                Err(_) => return false,
            },
        }
    }
}

/// A frame, and the file that it is to be read from.
type Wanted = (FrameId, PathBuf);

/// Reads frames, the most wanted first.
struct Reader {
    sources: Sources,
    /// The one that was used last is the last.
    open: VecDeque<Opened>,
    /// Pictures that were reported, as long as somebody has them: a frame that is wanted again, because its report and
    /// the wish for it have crossed, would be a long way back.
    reported: Vec<(Wanted, Weak<Picture>)>,
}

impl Reader {
    fn new(sources: Sources) -> Self {
        Self { sources, open: VecDeque::new(), reported: Vec::new() }
    }

    /// The frame that is wanted first, or one that is worth reporting before it; none if `go_on`, which is asked after
    /// each frame on the way, says no, or if there is more to do.
    fn read(
        &mut self,
        wanted: &[Wanted],
        go_on: &mut dyn FnMut() -> bool,
    ) -> Option<(Wanted, Result<Arc<Picture>, MediaError>)> {
        let (first, path) = wanted.first()?;
        if let Some(picture) = self.reported(*first, path) {
            return Some(((*first, path.clone()), Ok(picture)));
        }
        let mut opened = match self.open(path) {
            Ok(opened) => opened,
            Err(error) => return Some(((*first, path.clone()), Err(error))),
        };
        let at = |frame: usize| FrameId { medium: first.medium, frame };
        let is_there = |frame: usize| self.reported(at(frame), path).is_some();
        let kind = opened.source.picture_kind();
        let read = opened.read(&stretch(wanted), &is_there, go_on).map(|(frame, pixels)| {
            let source = &opened.source;
            let shown = |picture: Picture| picture.shown(source.time(frame), source.pixel_aspect());
            (frame, pixels.map(|pixels| Arc::new(shown(Picture::new(at(frame), kind, pixels)))))
        });
        self.open.push_back(opened);
        let (frame, picture) = read?;
        if let Ok(picture) = &picture {
            self.reported.retain(|(_, picture)| picture.strong_count() > 0);
            self.reported.push(((at(frame), path.clone()), Arc::downgrade(picture)));
        }
        Some(((at(frame), path.clone()), picture))
    }

    fn reported(&self, at: FrameId, path: &Path) -> Option<Arc<Picture>> {
        let alike = |((other, file), _): &&(Wanted, Weak<Picture>)| *other == at && file == path;
        self.reported.iter().rev().find(alike)?.1.upgrade()
    }

    /// Takes a source from those that are open, or opens it.
    fn open(&mut self, path: &Path) -> Result<Opened, MediaError> {
        if let Some(opened) =
            self.open.iter().position(|opened| opened.source.path() == path).and_then(|i| self.open.remove(i))
        {
            return Ok(opened);
        }
        while self.open.len() >= OPEN {
            self.open.pop_front();
        }
        Ok(Opened { source: self.sources.open(path)?, pace: PACE, n_passed: 0 })
    }
}

/// The frame that is wanted first, and those after it as long as each lies before the last: somebody goes backward.
fn stretch(wanted: &[Wanted]) -> Vec<usize> {
    let goes_back = |pair: &&[Wanted]| {
        let [(a, file_a), (b, file_b)] = pair else { return false };
        a.medium == b.medium && file_a == file_b && b.frame < a.frame
    };
    let more = wanted.windows(2).take_while(goes_back).count();
    wanted.iter().take(1 + more).map(|(at, _)| at.frame).collect()
}

/// An open source, and how it gets on.
struct Opened {
    source: FrameSource,
    /// Time for each frame on the way.
    pace: Duration,
    /// Frames on the way since one was reported.
    n_passed: u32,
}

impl Opened {
    /// The first of these frames, which lie one before the other; or one before it that is wanted too, or worth a look.
    fn read(
        &mut self,
        stretch: &[usize],
        is_there: &dyn Fn(usize) -> bool,
        go_on: &mut dyn FnMut() -> bool,
    ) -> Option<(usize, Result<RgbImage, MediaError>)> {
        let first = *stretch.first()?;
        if first >= self.source.n_frames() {
            return Some((first, self.source.frame(first)));
        }
        let from = self.source.decodes_from(first);
        let is_sought = from == self.source.key_frame(first);
        if is_sought {
            self.n_passed = 0;
        }
        let on_the_way = |frame: &&usize| **frame >= from && !is_there(**frame);
        let goal = stretch.iter().rev().find(on_the_way).copied().unwrap_or(first);

        let Self { source, pace, n_passed } = self;
        let left = |frame: usize| *pace * goal.saturating_sub(frame) as u32;
        let is_worth_it = |n_passed: u32, frame: usize| *pace * n_passed > OFTEN && left(frame) > OFTEN;
        let is_first = is_sought && left(from) > LONG && !is_there(from);
        if (is_first || is_worth_it(*n_passed, from))
            && let Ok(pixels) = source.frame(from)
        {
            *n_passed = 0;
            return Some((from, Ok(pixels)));
        }

        let (start, mut n) = (Instant::now(), 0);
        let pixels = source.frame_while(goal, &mut || {
            n += 1;
            go_on() && !is_worth_it(*n_passed + n, from + n as usize)
        });
        if n >= MEASURED {
            *pace = start.elapsed() / n;
        }
        *n_passed += n;
        let pixels = pixels.transpose()?;
        *n_passed = 0;
        Some((goal, pixels))
    }
}

#[cfg(test)]
mod tests {
    use crossbeam_channel::bounded;

    use super::*;
    use crate::media::make_clip;

    const N_FRAMES: usize = 100;

    /// A clip, its frames, and what is named by their numbers.
    struct Clip {
        _folder: tempfile::TempDir,
        path: PathBuf,
        source: FrameSource,
    }

    impl Clip {
        fn new() -> Self {
            let folder = tempfile::tempdir().unwrap();
            let path = folder.path().join("clip.mp4");
            make_clip(&path, N_FRAMES);
            let source = FrameSource::open(&path).unwrap();
            Self { _folder: folder, path, source }
        }

        fn wanted(&self, frames: impl IntoIterator<Item = usize>) -> Vec<Wanted> {
            let wanted = |frame| (FrameId { medium: MediumId(1), frame }, self.path.clone());
            frames.into_iter().map(wanted).collect()
        }

        /// Reads on until all these are read; all that was reported.
        fn read(&mut self, reader: &mut Reader, mut wanted: Vec<Wanted>) -> Vec<(usize, Arc<Picture>)> {
            let mut read = Vec::new();
            while !wanted.is_empty() {
                let Some((frame, picture)) = reader.read(&wanted, &mut || true) else { continue };
                wanted.retain(|other| *other != frame);
                let picture = picture.unwrap();
                assert!(*picture.pixels() == self.source.frame(frame.0.frame).unwrap());
                read.push((frame.0.frame, picture));
            }
            read
        }
    }

    fn numbers(read: &[(usize, Arc<Picture>)]) -> Vec<usize> {
        read.iter().map(|(frame, _)| *frame).collect()
    }

    #[test]
    fn a_seek_gives_the_key_frame_first_and_then_the_exact_one() {
        let mut clip = Clip::new();
        let key = clip.source.key_frame(70);
        assert!(key < 60);
        let wanted = clip.wanted([70]);
        let (asks, inbox) = bounded(16);
        let (events, received) = bounded(64);
        let out = Reporter { events, wake: Arc::new(|| {}) };
        std::thread::scope(|scope| {
            scope.spawn(|| frames(&inbox, &Sources::default(), &out));
            asks.send(Reads { frames: wanted }).unwrap();
            let mut read = Vec::new();
            while read.last() != Some(&70) {
                let Event::Read(at, path, picture) = received.recv().unwrap() else { panic!() };
                assert_eq!(path, clip.path);
                assert!(*picture.unwrap().pixels() == clip.source.frame(at.frame).unwrap());
                read.push(at.frame);
            }
            assert_eq!(read[0], key);
            assert!(read.is_sorted(), "{read:?}");
            drop(asks);
        });
    }

    #[test]
    fn a_way_to_a_frame_that_is_wanted_no_more_is_abandoned() {
        let clip = Clip::new();
        let mut reader = Reader::new(Sources::default());
        let key = clip.source.key_frame(75);
        let (far, near) = (clip.wanted([75]), clip.wanted([1]));
        let first = reader.read(&far, &mut || false).unwrap();
        assert_eq!(first.0.0.frame, key);
        let mut n = 0;
        let none = reader.read(&far, &mut || {
            n += 1;
            n < 3
        });
        assert_eq!((none.is_none(), n), (true, 3));
        let (frame, _) = reader.read(&near, &mut || true).unwrap();
        assert_eq!(frame.0.frame, 1);
        drop(first);
        // Whoever gave up goes on from there.
        assert!(reader.read(&far, &mut || false).is_some_and(|(frame, _)| frame.0.frame == key));
        assert!(reader.read(&far, &mut || false).is_none());
        let (frame, _) = reader.read(&clip.wanted([key + 4]), &mut || true).unwrap();
        assert_eq!(frame.0.frame, key + 4);
        assert_eq!(reader.open.back().unwrap().source.decodes_from(75), key + 5);
    }

    #[test]
    fn going_forward_and_backward_nothing_is_sought_but_stretches() {
        let mut clip = Clip::new();
        let mut reader = Reader::new(Sources::default());
        let wanted = clip.wanted(0..30);
        assert_eq!(numbers(&clip.read(&mut reader, wanted)), (0..30).collect::<Vec<_>>());
        let wanted = clip.wanted((60..72).rev());
        let read = numbers(&clip.read(&mut reader, wanted));
        assert!(read.ends_with(&(60..72).collect::<Vec<_>>()), "{read:?}");
        // A stretch with a key frame in it.
        let key = clip.source.key_frame(72);
        let wanted = clip.wanted((key - 3..key + 3).rev());
        let read = numbers(&clip.read(&mut reader, wanted));
        let expected: Vec<usize> = (key..key + 3).chain(key - 3..key).collect();
        assert!(read.iter().filter(|frame| expected.contains(frame)).eq(&expected), "{read:?}");
    }

    #[test]
    fn a_frame_that_somebody_still_has_is_not_read_again() {
        let mut clip = Clip::new();
        let mut reader = Reader::new(Sources::default());
        let wanted = clip.wanted([3, 4, 3]);
        let read = clip.read(&mut reader, wanted.clone());
        let again = clip.read(&mut reader, wanted);
        assert!(Arc::ptr_eq(&read[0].1, &again[0].1));
        drop((read, again));
        let wanted = clip.wanted([3]);
        assert_eq!(clip.read(&mut reader, wanted).len(), 1);
    }

    #[test]
    fn images_and_errors_are_reported_each_for_its_frame() {
        let folder = tempfile::tempdir().unwrap();
        for name in ["0.png", "1.png", "2.png"] {
            RgbImage::new(4, 4).save(folder.path().join(name)).unwrap();
        }
        let at = |frame, path: &Path| vec![(FrameId { medium: MediumId(1), frame }, path.to_owned())];
        let mut reader = Reader::new(Sources::default());
        let mut read = |wanted: &[Wanted]| {
            let (frame, picture) = reader.read(wanted, &mut || true).unwrap();
            assert_eq!(frame, wanted[0]);
            picture.map(|picture| picture.size().width)
        };
        assert_eq!(read(&at(0, &folder.path().join("1.png"))).unwrap(), 4);
        assert_eq!(read(&at(2, folder.path())).unwrap(), 4);
        assert!(read(&at(3, folder.path())).unwrap_err().to_string().contains("there are 3"));
        assert!(
            read(&at(0, &folder.path().join("none.png")))
                .unwrap_err()
                .to_string()
                .contains("cannot read file")
        );
    }
}
