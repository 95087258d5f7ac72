//! The engine's threads: what is asked of them, and what they report.
//!
//! Whoever asks never waits. Inboxes are bounded; what does not fit now is asked again on the next turn, because all that
//! is wanted of the model and the disk is told as a whole each time ([`Wants`], [`Reads`]) and replaces what was told
//! before. An event says what it answers, so that an answer that came too late is known as such.

mod detectors;
mod files;
mod inference;
mod reader;
mod stopwatch;
mod storing;
mod tracks;

use std::{
    path::PathBuf,
    sync::Arc,
    thread::{Builder, JoinHandle},
};

use crossbeam_channel::{Receiver, Sender, bounded};
use image::RgbImage;

use crate::{
    detect::{DetectError, Detection},
    detector::Detector,
    formats::{Dataset, Format, Options, Report, Stats},
    mask::Rle,
    media::{MediaError, Sources},
    models::{Added, KnownModel, OwnModel, Shelf, State},
    nn::Cancel,
    picture::Picture,
    project::{
        Content, FrameId, History, Medium, MediumId, ObjectId, Project, Question, Scan, Step, StepId, Write,
    },
    review::{Review, Reviewer},
    segmenter::{Answer, ModelInfo, SegmentError, Segmenter},
    tracking::Tracked,
};

pub use stopwatch::Times;

pub use detectors::{DetectorInfo, Search, Sought};

/// Names a job while the program runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct JobId(pub u64);

/// What the model should know next: replaces what was wanted before.
#[derive(Clone, Default)]
pub struct Wants {
    /// Frames to look at, the one that is shown first.
    pub pictures: Vec<Arc<Picture>>,
    /// Segments of the shown frame whose masks are not known, the most wanted first.
    pub questions: Vec<(ObjectId, Question)>,
    /// What a click would give, on the shown frame.
    pub preview: Option<Question>,
    /// Ends the look at pictures that are wanted no more.
    pub cancel: Cancel,
}

/// What the disk should give next: replaces what was wanted before.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Reads {
    /// Frames to decode, the most wanted first.
    ///
    /// The way to a frame of a video that is not next in order may be long; then frames on the way are reported as well,
    /// the key frame at once. Whoever goes backward wants a stretch, the latest frame first: as far as each frame lies
    /// before the last, all are read on one way, the earliest first.
    pub frames: Vec<(FrameId, PathBuf)>,
}

/// What is still to be tracked: replaces what was told before.
#[derive(Clone, Default)]
pub struct Track {
    /// The project; its runs are worked off.
    pub project: Arc<Project>,
    /// The folder of its file, from which the paths of its media are told.
    pub folder: PathBuf,
    /// Tells this opening of a project from others, whose reports mean nothing to it.
    pub opening: u64,
    /// Reports of this opening that the project has taken in.
    pub n_taken: u64,
    /// Ends the look at the frame that is being tracked.
    pub cancel: Cancel,
}

/// Long work for the model.
#[derive(Clone)]
pub struct Work {
    /// Its name in events.
    pub job: JobId,
    /// Frames, with what the work needs to know of each.
    pub frames: Vec<WorkFrame>,
    /// Ends it; what was found stays found.
    pub cancel: Cancel,
}

/// One frame of [`Work`].
#[derive(Clone, Debug)]
pub struct WorkFrame {
    /// Which.
    pub at: FrameId,
    /// Its file.
    pub path: PathBuf,
    /// What to do there.
    pub task: Task,
}

/// What to do on a frame.
#[derive(Clone, Debug)]
pub enum Task {
    /// Propose all that can be seen and is not among these masks.
    Everything(Vec<Arc<Rle>>),
    /// Make masks, which the job keeps until it ends.
    Masks(Vec<(ObjectId, Question)>),
    /// Answer what segments ask, each answer on its own.
    Answers(Vec<(ObjectId, Question)>),
    /// Find objects.
    Find(Arc<Search>),
}

/// What the project file is asked.
#[derive(Clone, Debug)]
pub enum Storing {
    /// Open a project, or the project of a folder or of files, made if there is none; the one before is closed.
    Open(Vec<PathBuf>),
    /// Open the project in this file, made if there is none; the one before is closed.
    OpenAt {
        /// The file.
        path: PathBuf,
        /// Media to add to a new project.
        media: Vec<PathBuf>,
        /// A project of which the file is to be a copy.
        from: Option<PathBuf>,
    },
    /// Write this down, all or nothing.
    Write(Vec<Write>),
    /// Write the whole project to another path, and open it there.
    SaveElsewhere {
        /// The path, where there must be no file.
        path: PathBuf,
        /// The project as it is, in case the file can no longer be read.
        project: Arc<Project>,
    },
    /// Read back the steps before this one.
    Older(StepId),
    /// Close it.
    Close,
}

/// Long work for the disk; each ends with one [`Event::Ended`].
#[derive(Clone, Debug)]
pub enum Errand {
    /// Find the images and videos among these files and in these folders.
    Scan {
        /// Files and folders.
        paths: Vec<PathBuf>,
        /// The project's folder, to which paths are told.
        folder: PathBuf,
    },
    /// Take a folder of frames as one video.
    ScanFrames {
        /// The folder of frames.
        folder: PathBuf,
        /// The project's folder, to which its path is told.
        project_folder: PathBuf,
    },
    /// Read labels.
    Import {
        /// A file or folder.
        path: PathBuf,
        /// What they will be added to.
        project: Arc<Project>,
    },
    /// Write labels.
    Export {
        /// Of what.
        project: Arc<Project>,
        /// The project's folder, to which paths are told.
        folder: PathBuf,
        /// How.
        format: &'static Format,
        /// What of it.
        options: Options,
        /// Where to.
        target: PathBuf,
    },
    /// Count what there is.
    Count(Arc<Project>),
    /// Say which models are on a shelf.
    Models(Shelf),
    /// Download a model; it waits for nothing but other downloads.
    GetModel(Shelf, &'static KnownModel),
    /// Put a model's file on a shelf.
    AddModel(Shelf, PathBuf),
    /// Remove the model of a name, and what has come of it, from a shelf.
    RemoveModel(Shelf, String),
    /// Look for files of those of these media that are missing in a folder.
    Find {
        /// The media.
        media: Vec<(MediumId, Arc<Medium>)>,
        /// Where.
        inside: PathBuf,
        /// The project's folder, to which paths are told.
        folder: PathBuf,
    },
}

/// What the engine reports.
#[derive(Debug)]
pub enum Event {
    /// The model is loaded.
    Ready(ModelInfo),
    /// The model that is loaded runs elsewhere from now on.
    ModelChanged(ModelInfo),
    /// The model cannot be loaded; another that was there still is.
    NoModel(String),
    /// How long the model takes here.
    Timed(Times),
    /// The picture was looked at: clicks on it are answered at once.
    Encoded(FrameId),
    /// The mask that answers a question, or why there is none.
    Answered {
        /// The segment.
        object: ObjectId,
        /// Its frame.
        at: FrameId,
        /// What was asked.
        question: Question,
        /// The mask.
        answer: Result<Answer, String>,
    },
    /// The mask that a click would give.
    Previewed {
        /// The frame.
        at: FrameId,
        /// What was asked.
        question: Question,
        /// The mask.
        answer: Answer,
    },
    /// A frame's pixels, or why there are none; read from this file.
    Read(FrameId, PathBuf, Result<Arc<Picture>, MediaError>),
    /// A small picture of a medium, and what its file holds; read from this file.
    Thumbnail(MediumId, PathBuf, Result<(RgbImage, Content), MediaError>),
    /// The project is open.
    Opened {
        /// Its file.
        path: PathBuf,
        /// The project, and its past.
        history: Box<History>,
        /// Folders and files that it was opened for, which may have media that it lacks.
        media: Vec<PathBuf>,
    },
    /// The project cannot be opened.
    NotOpened {
        /// Its file.
        path: PathBuf,
        /// Media that a new project would have got.
        media: Vec<PathBuf>,
        /// True if it could perhaps be kept elsewhere: nothing can be written there.
        is_place: bool,
        /// Why.
        why: String,
    },
    /// Steps before one that were read back, and whether there are more.
    Older(StepId, Vec<Step>, bool),
    /// Written down; how many writes since the project was opened.
    Written(u64),
    /// Cannot be written down.
    NotWritten {
        /// Why.
        why: String,
        /// True if not even earlier steps are in the project's file.
        is_whole_project: bool,
    },
    /// The file was gone from its path, where the whole project is written anew.
    Restored(PathBuf),
    /// The project just opened was saved without its undo history, since its old file cannot be read or was changed.
    Rescued,
    /// Tracking found something, in this opening of a project.
    Tracked(u64, Tracked),
    /// What needs a look in a video.
    Reviewed(MediumId, Review),
    /// A job has come so far.
    Progress {
        /// Which.
        job: JobId,
        /// Pieces done; of a download, bytes.
        done: usize,
        /// Pieces in all.
        total: usize,
    },
    /// A job found masks on a frame: new proposals, or answers to boxes of objects.
    Found {
        /// Which.
        job: JobId,
        /// The frame.
        at: FrameId,
        /// The masks.
        masks: Vec<(Option<ObjectId>, Answer)>,
    },
    /// A job found objects on a frame.
    Detected {
        /// Which.
        job: JobId,
        /// The frame.
        at: FrameId,
        /// By whom.
        by: Arc<DetectorInfo>,
        /// What it found, the surest first.
        found: Vec<Detection>,
    },
    /// A job has ended.
    Ended {
        /// Which.
        job: JobId,
        /// What came of it.
        outcome: Outcome,
    },
}

/// How a job ended.
#[derive(Debug)]
pub enum Outcome {
    /// All is done.
    Done,
    /// All but some frames that could not be read, or questions that cannot be asked, and why.
    Partly(Vec<String>),
    /// It was canceled.
    Canceled,
    /// It failed.
    Failed(String),
    /// Images and videos that were found, and what could not be taken.
    Scanned(Box<Scan>),
    /// A COCO file that was read.
    Imported(PathBuf, Box<Dataset>),
    /// Labels that were written.
    Exported(PathBuf, Report),
    /// What there is.
    Counted(Box<Stats>),
    /// What is on the shelf of each model, and people's own models there.
    Models(Vec<State>, Vec<OwnModel>),
    /// A model that has come.
    GotModel(&'static KnownModel),
    /// A model's file that was added.
    AddedModel(Added),
    /// Where missing media are.
    Located(Vec<(MediumId, String)>),
}

/// The threads. Dropping it ends them once all that has to be saved is saved.
pub struct Engine {
    inboxes: Option<Inboxes>,
    events: Option<Receiver<Event>>,
    threads: Vec<JoinHandle<()>>,
    /// Ends whatever runs when the engine goes.
    ending: Cancel,
}

struct Inboxes {
    inference: Sender<inference::Request>,
    reads: Sender<Reads>,
    thumbnails: Sender<Vec<(MediumId, PathBuf)>>,
    storing: Sender<Storing>,
    errands: Sender<(JobId, Errand, Cancel)>,
    downloads: Sender<(JobId, Errand, Cancel)>,
    reviews: Sender<(MediumId, Arc<Project>)>,
}

/// Reports events, and wakes whoever has to look at them.
#[derive(Clone)]
struct Reporter {
    events: Sender<Event>,
    wake: Arc<dyn Fn() + Send + Sync>,
}

impl Reporter {
    /// False once nobody listens any more.
    #[must_use]
    fn report(&self, event: Event) -> bool {
        let sent = self.events.send(event).is_ok();
        (self.wake)();
        sent
    }
}

/// Why a piece of a job did not come to its end.
enum Stopped {
    Canceled,
    Failed(String),
}

impl From<SegmentError> for Stopped {
    fn from(error: SegmentError) -> Self {
        match error {
            SegmentError::Canceled => Self::Canceled,
            error => Self::Failed(error.to_string()),
        }
    }
}

impl From<DetectError> for Stopped {
    fn from(error: DetectError) -> Self {
        match error {
            DetectError::Canceled => Self::Canceled,
            error => Self::Failed(error.to_string()),
        }
    }
}

impl From<String> for Stopped {
    fn from(why: String) -> Self {
        Self::Failed(why)
    }
}

/// How models are loaded: called on the thread that runs them, and again if a run panicked.
pub struct Load {
    segmenter: Box<dyn Fn() -> Result<Box<dyn Segmenter>, String> + Send>,
    detector: LoadDetector,
}

/// Loads the detector of a name or in a file.
type LoadDetector = Box<dyn Fn(&str) -> Result<Box<dyn Detector>, String> + Send>;

impl Load {
    /// With no detectors.
    pub fn new(segmenter: impl Fn() -> Result<Box<dyn Segmenter>, String> + Send + 'static) -> Self {
        let detector = |name: &str| Err(format!("there is no detector {name}"));
        Self { segmenter: Box::new(segmenter), detector: Box::new(detector) }
    }

    /// With these detectors, by their names or files.
    #[must_use]
    pub fn detecting(
        self,
        detector: impl Fn(&str) -> Result<Box<dyn Detector>, String> + Send + 'static,
    ) -> Self {
        Self { detector: Box::new(detector), ..self }
    }
}

impl Engine {
    /// Starts the threads; `wake` is called whenever there is an event to look at.
    ///
    /// # Errors
    /// If the system gives no thread.
    pub fn start(load: Load, wake: impl Fn() + Send + Sync + 'static) -> std::io::Result<Self> {
        let (events, received) = bounded(64);
        let reporter = Reporter { events, wake: Arc::new(wake) };
        let (inference, inference_inbox) = bounded(16);
        let (reads, reads_inbox) = bounded(16);
        let (thumbnails, thumbnails_inbox) = bounded(16);
        let (storing, storing_inbox) = bounded(256);
        let (errands, errands_inbox) = bounded(16);
        let (downloads, downloads_inbox) = bounded(64);
        let sources = Sources::default();
        let ending = Cancel::default();
        let mut threads = Vec::new();
        let mut start = |name: &str, body: Box<dyn FnOnce(Reporter) + Send>| {
            let reporter = reporter.clone();
            threads.push(Builder::new().name(name.to_owned()).spawn(move || body(reporter))?);
            std::io::Result::Ok(())
        };
        let of_inference = sources.clone();
        start("inference", Box::new(move |out| inference::run(load, of_inference, &inference_inbox, &out)))?;
        let of_reader = sources.clone();
        start("reader", Box::new(move |out| reader::frames(&reads_inbox, &of_reader, &out)))?;
        let of_thumbnails = sources.clone();
        start(
            "thumbnails",
            Box::new(move |out| reader::thumbnails(&thumbnails_inbox, &of_thumbnails, &out)),
        )?;
        let of_storing = sources.clone();
        start("storing", Box::new(move |out| storing::run(&storing_inbox, &of_storing, &out)))?;
        let (ends, of_errands) = (ending.clone(), sources.clone());
        start("errands", Box::new(move |out| files::run(&errands_inbox, &of_errands, &ends, &out)))?;
        let ends = ending.clone();
        start("downloads", Box::new(move |out| files::run(&downloads_inbox, &sources, &ends, &out)))?;
        let (reviews, reviews_inbox) = bounded(1);
        start("review", Box::new(move |out| review(&reviews_inbox, &out)))?;
        let inboxes = Some(Inboxes { inference, reads, thumbnails, storing, errands, downloads, reviews });
        Ok(Self { inboxes, events: Some(received), threads, ending })
    }

    /// The next event, if there is one.
    pub fn event(&self) -> Option<Event> {
        self.events.as_ref()?.try_recv().ok()
    }

    /// Loads another model in place of the one that is there; if it cannot be loaded, that one is loaded again. Gives `load`
    /// back if it is to be asked again.
    ///
    /// # Errors
    /// The request itself, if the inbox is full.
    pub fn load(&self, load: Load) -> Result<(), Load> {
        let Some(to) = &self.inboxes else { return Err(load) };
        to.inference.try_send(inference::Request::Load(load)).map_err(|full| match full.into_inner() {
            inference::Request::Load(load) => load,
            _ => unreachable!("it is what was sent"),
        })
    }

    /// Tells the model what is wanted. False: ask again.
    #[must_use]
    pub fn look(&self, wants: Wants) -> bool {
        self.try_send(|to| to.inference.try_send(inference::Request::Look(wants)).is_ok())
    }

    /// Tells the model what is still to be tracked. False: ask again.
    #[must_use]
    pub fn track(&self, track: Track) -> bool {
        self.try_send(|to| to.inference.try_send(inference::Request::Track(track)).is_ok())
    }

    /// Gives the model long work. False: ask again.
    #[must_use]
    pub fn work(&self, work: Work) -> bool {
        self.try_send(|to| to.inference.try_send(inference::Request::Work(work)).is_ok())
    }

    /// Tells the disk which frames are wanted. False: ask again.
    #[must_use]
    pub fn read(&self, reads: Reads) -> bool {
        self.try_send(|to| to.reads.try_send(reads).is_ok())
    }

    /// Tells the disk which small pictures are wanted, replacing those before. False: ask again.
    #[must_use]
    pub fn thumbnails(&self, media: Vec<(MediumId, PathBuf)>) -> bool {
        self.try_send(|to| to.thumbnails.try_send(media).is_ok())
    }

    /// Asks something of the project file. What does not fit now comes back, to be asked again.
    ///
    /// # Errors
    /// The request itself, if the inbox is full.
    pub fn store(&self, request: Storing) -> Result<(), Storing> {
        let Some(to) = &self.inboxes else { return Err(request) };
        to.storing.try_send(request).map_err(crossbeam_channel::TrySendError::into_inner)
    }

    /// Sends the disk on an errand. False: ask again.
    #[must_use]
    pub fn errand(&self, job: JobId, errand: Errand, cancel: Cancel) -> bool {
        self.try_send(|to| {
            let is_download = matches!(errand, Errand::GetModel(..));
            let inbox = if is_download { &to.downloads } else { &to.errands };
            inbox.try_send((job, errand, cancel)).is_ok()
        })
    }

    /// Asks what needs a look in a video; one question at a time. False: ask again.
    #[must_use]
    pub fn review(&self, medium: MediumId, project: Arc<Project>) -> bool {
        self.try_send(|to| to.reviews.try_send((medium, project)).is_ok())
    }

    fn try_send(&self, send: impl FnOnce(&Inboxes) -> bool) -> bool {
        self.inboxes.as_ref().is_some_and(send)
    }
}

/// The thread that looks for what needs a look.
fn review(inbox: &Receiver<(MediumId, Arc<Project>)>, out: &Reporter) {
    let mut reviewer = Reviewer::default();
    while let Ok((medium, project)) = inbox.recv() {
        let review = reviewer.review(&project, medium);
        if !out.report(Event::Reviewed(medium, review)) {
            return;
        }
    }
}

impl Drop for Engine {
    fn drop(&mut self) {
        self.ending.cancel();
        // With both ends gone, each thread's next receive or report fails.
        self.inboxes = None;
        self.events = None;
        for thread in self.threads.drain(..) {
            thread.join().ok();
        }
    }
}
