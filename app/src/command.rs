//! What a person can do, as data: one catalog for menus, palette, keys, help sheet and tests.

mod catalog;
mod search;

use std::path::PathBuf;

use engine::{
    formats::{Format, Options, coco},
    frame::Direction,
    geometry::{Point, Rect},
    project::{Attribute, CategoryId, FrameId, MediumId, ObjectId},
    prompt::Label,
};

pub use catalog::{CATALOG, Group, Named};
pub use search::search;

/// What is written, and where to.
#[derive(Clone, Debug, PartialEq)]
pub struct Export {
    /// How.
    pub format: &'static Format,
    /// What of the project.
    pub options: Options,
    /// A folder, or a file that has a suffix.
    pub target: PathBuf,
}

impl Export {
    /// All as COCO instances.
    pub fn coco(target: PathBuf) -> Box<Self> {
        Box::new(Self { format: &coco::INSTANCES, options: Options::default(), target })
    }
}

/// What to find, where, and what with.
#[derive(Clone, Debug, PartialEq)]
pub struct Find {
    /// Phrases, as [`engine::detector::Wanted::list`] reads them; may be empty.
    pub words: String,
    /// Things that look like it.
    pub examples: Vec<Example>,
    /// A detector's name or file; without one whichever suits.
    pub detector: Option<String>,
    /// Where.
    pub scope: Scope,
    /// From which score on things count that have no threshold of their own; without it the detector says.
    pub threshold: Option<f32>,
    /// In videos look at every so manieth frame, and track what is found in between; without it only at the frame that is
    /// shown.
    pub every: Option<usize>,
}

/// A thing to find others like.
#[derive(Clone, Debug, PartialEq)]
pub struct Example {
    /// What to call it.
    pub name: String,
    /// Where it is.
    pub at: FrameId,
    /// The box round it, image pixels.
    pub rect: Rect,
    /// What it is, and what is like it.
    pub category: CategoryId,
}

/// Some proposals.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Proposals {
    /// Where.
    pub scope: Scope,
    /// Of one category only.
    pub category: Option<CategoryId>,
    /// With this score or a higher one.
    pub least: f32,
}

impl Proposals {
    /// All on the shown image.
    pub const HERE: Self = Self { scope: Scope::Image, category: None, least: 0.0 };
}

/// Something that a person can do.
#[derive(Clone, Debug, PartialEq)]
pub enum Command {
    // File
    /// Ask for a folder and open it.
    ChooseFolder,
    /// Ask for files and open them.
    ChooseFiles,
    /// Ask for a file of labels and import it.
    ChooseImport,
    /// Ask for a folder of labels and import it.
    ChooseImportFolder,
    /// Ask how and where to, and export.
    ChooseExport,
    /// Ask in which folder what is being chosen for export goes.
    ChooseExportFolder,
    /// Export what is being chosen into a folder in this one.
    ExportInto(PathBuf),
    /// Show what there is in the project.
    Statistics,
    /// Ask where the media of a moved project are.
    ChooseMediaFolder,
    /// Ask for a folder of frames and add it as a video.
    ChooseFrames,
    /// Open a project, or the project of a folder or of files, made if there is none.
    Open(Vec<PathBuf>),
    /// Open the demo project, made if there is none.
    OpenDemo,
    /// Add images to the open project.
    AddMedia(Vec<PathBuf>),
    /// Add a folder of frames as one video.
    AddFrames(PathBuf),
    /// Add what the project's folder has and the project has not.
    AddNewMedia,
    /// Take in labels, a file or a folder of any format.
    Import(PathBuf),
    /// Write labels.
    Export(Box<Export>),
    /// Look for missing media in a folder.
    FindMedia(PathBuf),
    /// Go back to the welcome screen.
    CloseProject,
    /// End the program.
    Quit,
    /// Do not leave the project, which is not saved.
    Stay,
    /// Try again to save the project.
    SaveAgain,
    /// Leave the project and lose what is not saved.
    LoseUnsaved,
    /// Ask where else to keep the project.
    ChooseSaveElsewhere,
    /// Write the project to another path and go on there.
    SaveElsewhere(PathBuf),
    /// Do without a project that cannot be kept in its place.
    GiveUpProject,

    // Edit
    /// Take the last step back.
    Undo,
    /// Do again what was taken back.
    Redo,

    // Models
    /// Show which models there are.
    ShowModels,
    /// Ask for a model's file and add it.
    ChooseModel,
    /// Put a copy of a model's file where models are kept.
    AddModel(PathBuf),
    /// Download a model, or go on with that.
    GetModel(String),
    /// Stop downloading a model; what has come stays.
    PauseModel(String),
    /// Remove a model's files.
    RemoveModel(String),
    /// Answer clicks with another model, by its name or file, from now on.
    UseModel(String),

    // Going round
    /// Show another image or video.
    GoTo(MediumId),
    /// Go so many images on, or back; in a video so many frames.
    Step(i32),
    /// Go so many images or videos on, or back.
    StepMedium(i32),
    /// Show the first image, or the video's first frame.
    First,
    /// Show the last image, or the video's last frame.
    Last,
    /// Show this frame of the video.
    GoToFrame(usize),
    /// Show the next frame of which a person has said what is there.
    NextKeyframe,
    /// Show the previous one.
    PreviousKeyframe,
    /// Play the video this way, or stop.
    Play(Direction),
    /// Play faster.
    Faster,
    /// Play slower.
    Slower,
    /// Show the next image that is not done.
    NextUnfinished,
    /// Say that the image is labeled, or that it is not.
    ToggleDone,
    /// Say that the image is labeled, and show the next that is not.
    DoneAndNext,
    /// Take the image out of the project; its file stays.
    RemoveMedium,

    // Objects
    /// Select an object alone.
    Select(ObjectId),
    /// Add an object to the selection, or take it out.
    ToggleSelected(ObjectId),
    /// Select the topmost object at a place, or add it.
    SelectAt {
        /// Image pixels.
        at: Point,
        /// Keep what is selected.
        add: bool,
    },
    /// Select all objects of the image.
    SelectAll,
    /// Select nothing: the next click begins another object.
    Deselect,
    /// Select the next object of the image.
    NextObject,
    /// Select the previous object of the image.
    PreviousObject,
    /// Finish the selected object, and accept it if it is a proposal.
    Accept,
    /// Accept these proposals.
    AcceptAll(Proposals),
    /// Remove these proposals, and remember that they are not what they were taken for.
    RejectAll(Proposals),
    /// Show the next proposal, on this image or the next that has any.
    NextProposal,
    /// Go through proposals from the worst to the best, or the other way.
    ToggleProposalOrder,
    /// Remove the selected objects from the image.
    Delete,
    /// Copy the selected objects, or all, to the next image.
    CopyToNext,
    /// Give the selected objects, and the next ones, a category.
    SetCategory(CategoryId),
    /// The same by the digit key of the category.
    CategoryKey(u8),
    /// Answer a category's question for the selected objects.
    SetAttribute {
        /// The question.
        name: String,
        /// The answer; empty for none.
        value: String,
    },
    /// Hide the selected objects, or show them.
    ToggleHidden,
    /// Hide one object, or show it.
    ToggleHiddenOf(ObjectId),
    /// Show the selected objects alone, or all.
    ToggleSolo,

    // Video
    /// Carry the selected objects, or all, through the video; while that runs, pause it or go on.
    Propagate(Way, Extent),
    /// Let tracking wait, or go on.
    TogglePause,
    /// End tracking; what is finished stays.
    CancelTracking,
    /// Choose frames that commands work on, or none.
    SetSpan(Option<(usize, usize)>),
    /// The chosen frames begin here.
    SpanFromHere,
    /// The chosen frames end here.
    SpanToHere,
    /// Say that the masks of the selected objects are right, here or on the chosen frames: they are never overwritten.
    Confirm,
    /// Take that back.
    Unconfirm,
    /// Say that the selected objects are not here, or not on the chosen frames.
    SetAbsent,
    /// Remove the selected objects here, or from the chosen frames.
    DeleteHere,
    /// Remember the selected object's masks here, or on the chosen frames.
    CopyTrack,
    /// Put them here, or over the chosen frames.
    PasteTrack,
    /// Make the selected object another from here on.
    SplitTrack,
    /// Swap what two selected objects are from here on.
    SwapTracks,
    /// Give an object another number.
    Renumber(ObjectId, u32),
    /// Ask for the selected object's other number.
    ChooseNumber,
    /// Draw boxes between the boxes of the selected objects.
    InterpolateBoxes,

    // Review
    /// Go to what most needs a look.
    FixNext,
    /// Go through what needs a look one by one, or stop that.
    ToggleReview,
    /// The mask under review is right: confirm it and go on.
    ReviewAccept,
    /// The mask under review is wrong: remove it and go on.
    ReviewReject,

    // Pointing
    /// Click on an object, or begin one.
    AddPoint {
        /// Image pixels.
        at: Point,
        /// On the object or off it.
        label: Label,
    },
    /// Drag a box round an object, or begin one.
    SetBox(Rect),
    /// Forget the clicks and the box of the selected object.
    ClearPrompt,
    /// Take the next of the masks that the prompt may mean.
    NextCandidate,
    /// Take the previous one.
    PreviousCandidate,
    /// Swap what left and right click mean.
    SwapSign,

    // By hand
    /// Paint or erase along a line.
    Stroke {
        /// Image pixels.
        points: Vec<Point>,
        /// Add pixels, or take them away.
        label: Label,
    },
    /// Add or take away what a polygon encloses.
    FillPolygon {
        /// Corners, image pixels.
        points: Vec<Point>,
        /// Add pixels, or take them away.
        label: Label,
    },
    /// Move corners of an object's outline: what lies between the two changes, all else of the mask stays.
    Reshape {
        /// The outline's rings before, image pixels.
        from: Vec<Vec<Point>>,
        /// The same with corners moved.
        to: Vec<Vec<Point>>,
    },
    /// Take another tool.
    SetTool(Tool),
    /// Swap brush and eraser.
    SwapBrush,
    /// Make the brush larger.
    LargerBrush,
    /// Make the brush smaller.
    SmallerBrush,
    /// Let new masks leave out pixels that other objects have, or not.
    ToggleOnlyUnlabeled,
    /// Fill the holes of the selected objects.
    FillHoles,
    /// Keep only the largest part of the selected objects.
    DropIslands,
    /// One pixel more all round.
    Grow,
    /// One pixel less all round.
    Shrink,
    /// Make one object of the selected ones.
    Join,
    /// Take the other selected objects' pixels from the first.
    Subtract,
    /// Make an object of each part.
    Split,

    // Categories
    /// Make a category and choose it.
    AddCategory(String),
    /// Ask for a new category's name.
    NewCategory,
    /// Rename one.
    RenameCategory(CategoryId, String),
    /// Give one another color.
    ColorCategory(CategoryId, [u8; 3]),
    /// Give one another digit key.
    KeyCategory(CategoryId, Option<u8>),
    /// Change what one asks of its objects.
    SetAttributes(CategoryId, Vec<Attribute>),
    /// Remove one that no object has.
    RemoveCategory(CategoryId),

    // Finding
    /// Show where to say what to find, or hide it.
    ShowFind,
    /// Find objects, and propose them.
    Find(Box<Find>),
    /// Find what looks like the selected objects, on the shown image.
    FindSimilar,
    /// Of what was found last, count a query or class otherwise.
    CountAs {
        /// Which.
        class: usize,
        /// From which score on, if not from the usual one.
        threshold: Option<f32>,
        /// As objects of this category; none leaves it out.
        category: Option<String>,
    },
    /// The score from which on things count that have no threshold of their own.
    SetUsualThreshold(f32),
    /// Ask for a detector's file.
    ChooseDetector,
    /// Find with this detector from now on.
    UseDetector(PathBuf),

    // Jobs
    /// Propose everything that can be seen, on the image or in the whole project.
    SegmentEverything(Scope),
    /// Make masks for boxes that have none.
    MasksForBoxes(Scope),
    /// End the running job; what is finished stays.
    CancelJob,

    // View
    /// Show all of the image.
    Fit,
    /// One image pixel on one of the screen's.
    ActualSize,
    /// Closer.
    ZoomIn,
    /// Further away.
    ZoomOut,
    /// Show masks, or not.
    ToggleMasks,
    /// Show each object in a color of its own, or in its category's.
    ToggleOwnColors,
    /// Paint masks more strongly.
    MoreOpaque,
    /// Paint masks more weakly.
    LessOpaque,
    /// Show the mask that a click would give, or not.
    TogglePreview,
    /// Dark or light.
    ToggleTheme,
    /// All commands, to search.
    Palette,
    /// The help sheet.
    Help,
    /// The settings.
    Settings,
}

impl Command {
    /// Whether it goes on while its key is held.
    pub const fn repeats(&self) -> bool {
        use Command::*;
        matches!(
            self,
            Step(_)
                | Undo
                | Redo
                | NextObject
                | PreviousObject
                | LargerBrush
                | SmallerBrush
                | ZoomIn
                | ZoomOut
                | MoreOpaque
                | LessOpaque
                | NextKeyframe
                | PreviousKeyframe
        )
    }
}

/// What the left mouse button does.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Tool {
    /// Clicks and boxes for the model.
    #[default]
    Point,
    /// Paints.
    Brush,
    /// Erases.
    Eraser,
    /// Draws a polygon, corner by corner.
    Polygon,
}

/// Which way through the video.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    /// On.
    Forward,
    /// Back.
    Backward,
    /// Both, on first.
    Both,
}

impl Way {
    /// The directions in turn.
    pub fn directions(self) -> &'static [Direction] {
        match self {
            Self::Forward => &[Direction::Forward],
            Self::Backward => &[Direction::Backward],
            Self::Both => &[Direction::Forward, Direction::Backward],
        }
    }
}

/// How far through the video.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Extent {
    /// To its end.
    End,
    /// So many frames.
    Frames(usize),
    /// To the next frame of which a person has said what is there.
    NextGiven,
    /// The chosen frames.
    Span,
}

/// Where a job works.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scope {
    /// The image that is shown.
    Image,
    /// All that is not done.
    Project,
}
