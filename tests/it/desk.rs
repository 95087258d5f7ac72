//! A session at work, without a window: photos in a folder of its own, the engine's threads, and commands.

use std::{
    io::Write as _,
    path::{Path, PathBuf},
    sync::Arc,
    time::{Duration, Instant},
};

use engine::{
    geometry::{Point, Rect},
    mask::Rle,
    project::{MediumId, ObjectId},
    prompt::Label,
    segmenter::{FakeSegmenter, Segmenter},
    worker::{Engine, Load},
};
use segue::{
    command::Command,
    session::{Seen, Session},
};

/// Longer than anything here takes, on a busy machine.
const PATIENCE: Duration = Duration::from_secs(60);

pub(crate) struct Desk {
    pub session: Session,
    pub engine: Engine,
    pub seen: Seen,
    pub folder: tempfile::TempDir,
}

/// A photo of squares on a ground, each photo with its own colors.
pub(crate) fn photo(i: u8, width: u32, height: u32) -> image::RgbImage {
    image::RgbImage::from_fn(width, height, |x, y| {
        let square = (20..70).contains(&x) && (20..70).contains(&y);
        image::Rgb(if square { [220, 40, 40 + 10 * i] } else { [30, (60 + x / 8) as u8, (90 + y / 4) as u8] })
    })
}

/// A folder with `n` photos of 160 x 120.
pub(crate) fn photos(n: u8) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    for i in 0..n {
        photo(i, 160, 120).save(folder.path().join(format!("photo-{i}.png"))).unwrap();
    }
    folder
}

pub(crate) fn write(path: &Path, text: &str) {
    engine::file::write_atomically(path, |out| out.write_all(text.as_bytes())).unwrap();
}

/// A model that is no model, and answers at once.
pub(crate) fn fake() -> Load {
    slow_fake(Duration::ZERO, Duration::ZERO)
}

/// One that takes its time.
pub(crate) fn slow_fake(encode: Duration, answer: Duration) -> Load {
    Load::new(move || Ok(Box::new(FakeSegmenter::new(encode, answer)) as Box<dyn Segmenter>))
}

pub(crate) fn at(x: f32, y: f32) -> Point {
    Point { x, y }
}

pub(crate) fn click(x: f32, y: f32) -> Command {
    Command::AddPoint { at: at(x, y), label: Label::Positive }
}

pub(crate) fn click_off(x: f32, y: f32) -> Command {
    Command::AddPoint { at: at(x, y), label: Label::Negative }
}

pub(crate) fn rect(x0: f32, y0: f32, x1: f32, y1: f32) -> Rect {
    Rect { x0, y0, x1, y1 }
}

impl Desk {
    /// With the project of a folder of `n` photos open, and its first photo read.
    pub(crate) fn new(n: u8, load: Load) -> Self {
        Self::on(photos(n), load)
    }

    /// With the project of this folder open.
    pub(crate) fn on(folder: tempfile::TempDir, load: Load) -> Self {
        let engine = Engine::start(load, || ()).unwrap();
        let seen = Seen { ahead: 1, ..Seen::default() };
        let mut desk = Self { session: Session::default(), engine, seen, folder };
        let path = desk.folder.path().to_owned();
        desk.run([Command::Open(vec![path])]);
        desk.until("the photo is read", |s| s.picture().is_some() && s.jobs().is_empty());
        desk
    }

    /// Ends the program and starts it again on the same folder.
    pub(crate) fn restart(self, load: Load) -> Self {
        let Self { session, engine, folder, .. } = self;
        drop((session, engine));
        Self::on(folder, load)
    }

    /// One turn with these commands.
    pub(crate) fn run(&mut self, commands: impl IntoIterator<Item = Command>) {
        self.session.turn(&self.engine, commands, &self.seen);
    }

    /// Turns until something is so.
    #[track_caller]
    pub(crate) fn until(&mut self, what: &str, is_so: impl Fn(&Session) -> bool) {
        let start = Instant::now();
        while !is_so(&self.session) {
            let notices = self.session.notices.shown();
            assert!(start.elapsed() < PATIENCE, "never: {what}; {notices:?}");
            self.run([]);
            std::thread::sleep(Duration::from_millis(1));
        }
    }

    /// Runs commands one by one, each answered before the next.
    #[track_caller]
    pub(crate) fn step(&mut self, commands: impl IntoIterator<Item = Command>) {
        for command in commands {
            self.run([command]);
            self.settle();
        }
    }

    /// Until every mask is known, every job has ended, and everything is saved.
    #[track_caller]
    pub(crate) fn settle(&mut self) {
        self.until("all is answered and saved", |s| {
            s.segments().all(|(.., segment)| segment.is_answered) && s.jobs().is_empty() && s.is_saved()
        });
    }

    pub(crate) fn objects(&self) -> Vec<ObjectId> {
        self.session.segments().map(|(id, ..)| id).collect()
    }

    pub(crate) fn media(&self) -> Vec<MediumId> {
        self.session.project().media.keys().copied().collect()
    }

    /// The mask of the `i`-th object that is shown.
    #[track_caller]
    pub(crate) fn mask(&self, i: usize) -> Arc<Rle> {
        let (.., segment) = self.session.segments().nth(i).unwrap();
        segment.mask.clone().unwrap()
    }

    pub(crate) fn file(&self) -> PathBuf {
        self.session.file().unwrap().path.clone()
    }

    /// Whether some notice says this.
    pub(crate) fn says(&self, text: &str) -> bool {
        self.session.notices.shown().iter().any(|notice| notice.text.contains(text))
    }
}
