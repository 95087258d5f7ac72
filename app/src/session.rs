//! An open project and what is not saved of it: which image is shown, what is selected, the tool, running jobs.
//!
//! Commands change it, the engine's events fill it in, and views only read it. Once a turn it looks at what is shown and
//! asks the engine for what is missing (`needs`), whatever the reason: a click, undo, or reopening are one way.

mod events;
mod files;
mod finding;
mod jobs;
mod masks;
mod media;
mod models;
mod needs;
mod objects;
mod player;
mod proposals;
mod review;
mod saving;
mod sweep;
mod tracking;
mod tracks;
mod undo;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use engine::{
    formats::Stats,
    frame::Direction,
    geometry::{Point, Size},
    mask::Rle,
    media::PixelAspect,
    picture::Picture,
    project::{
        CategoryId, FrameId, History, MediumId, Object, ObjectId, Project, Question, Segment, category_color,
    },
    segmenter::ModelInfo,
    worker::Engine,
};
use image::RgbImage;

pub use finding::{Finding, Row};
pub use jobs::shown_job;
pub use media::Progress;
pub use models::{Models, Stage};
pub use needs::AGAIN;
pub use player::Player;
pub use saving::{Homeless, Unsaved};

use crate::{
    command::{Command, Tool},
    job::{Job, ProjectFile},
    notice::Notices,
};

/// See the module.
pub struct Session {
    history: History,
    file: Option<ProjectFile>,
    shown: Option<MediumId>,
    player: Player,
    tracks: tracking::Tracking,
    reviewing: review::Reviewing,
    /// The one that clicks and keys mean comes last.
    selection: Vec<ObjectId>,
    /// What new objects are.
    category: Option<CategoryId>,
    tools: Tools,
    visibility: Visibility,
    cache: Cache,
    jobs: Vec<Job>,
    finding: Finding,
    worst_first: bool,
    /// The frame that was shown in the last turn.
    left: Option<FrameId>,
    stats: Option<Box<Stats>>,
    next_job: u64,
    /// What the user should know.
    pub notices: Notices,
    asked: needs::Asked,
    saving: saving::Saving,
    /// True once the user has quit and nothing is left to be saved.
    is_over: bool,
    model: Model,
    models: Models,
}

/// How the mouse works on the image.
#[derive(Clone, Debug)]
pub struct Tools {
    /// What the left button does.
    pub tool: Tool,
    /// The brush's radius in image pixels.
    pub brush: f32,
    /// Whether new masks leave out pixels that other objects have.
    pub only_unlabeled: bool,
    /// Whether left takes away and right adds.
    pub is_swapped: bool,
}

/// What of the objects is shown.
#[derive(Clone, Debug)]
pub struct Visibility {
    /// These are not.
    pub hidden: BTreeSet<ObjectId>,
    /// Only the selected are.
    pub solo: bool,
    /// Any are.
    pub masks: bool,
    /// Each in a color of its own, and not in its category's.
    pub own_colors: bool,
}

/// What the engine has made and can make again.
#[derive(Default)]
pub struct Cache {
    pictures: BTreeMap<FrameId, Result<Arc<Picture>, String>>,
    /// Frames whose files are missing.
    missing: BTreeSet<FrameId>,
    aspects: BTreeMap<MediumId, PixelAspect>,
    thumbnails: BTreeMap<MediumId, Thumbnail>,
    encoded: BTreeSet<FrameId>,
    preview: Option<Preview>,
    /// As it was in the last turn.
    project: Arc<Project>,
}

/// A small picture of a medium.
#[derive(Clone, Debug)]
pub enum Thumbnail {
    /// Here it is.
    Picture(Arc<RgbImage>),
    /// There is no file, as the message says.
    Missing(String),
    /// The file cannot be read, for the reason that the message gives.
    Unreadable(String),
}

/// The mask that a click would give.
#[derive(Clone, Debug)]
pub struct Preview {
    /// Where it is.
    pub at: FrameId,
    /// What it answers.
    pub question: Question,
    /// The mask.
    pub mask: Arc<Rle>,
    /// The IoU that the model expects of it, 0 to 1.
    pub iou: f32,
}

/// Whether there is a model.
#[derive(Clone, Debug, PartialEq)]
pub enum Model {
    /// It is being loaded.
    Loading,
    /// It is there.
    Ready(ModelInfo),
    /// There is none, and why.
    None(String),
}

/// What the views looked at in the last turn, which the session cannot know.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Seen {
    /// Where on the image, in its pixels, to show the mask that a click would give.
    pub hover: Option<Point>,
    /// Media whose thumbnails are on the screen.
    pub thumbnails: Vec<MediumId>,
    /// Neighbors of the shown image to look at ahead, on each side.
    pub ahead: usize,
    /// Time since the last turn.
    pub elapsed: std::time::Duration,
}

impl Default for Session {
    fn default() -> Self {
        Self {
            history: History::default(),
            file: None,
            shown: None,
            player: Player::default(),
            tracks: tracking::Tracking::default(),
            reviewing: review::Reviewing::default(),
            selection: Vec::new(),
            category: None,
            tools: Tools { tool: Tool::Point, brush: 12.0, only_unlabeled: false, is_swapped: false },
            visibility: Visibility { hidden: BTreeSet::new(), solo: false, masks: true, own_colors: false },
            cache: Cache::default(),
            jobs: Vec::new(),
            finding: Finding::default(),
            worst_first: false,
            left: None,
            stats: None,
            next_job: 1,
            notices: Notices::default(),
            asked: needs::Asked::default(),
            saving: saving::Saving::default(),
            is_over: false,
            model: Model::Loading,
            models: Models::default(),
        }
    }
}

/// What views may look at.
impl Session {
    /// The project as it is.
    pub fn project(&self) -> &Arc<Project> {
        self.history.now()
    }

    /// Undo and redo.
    pub fn history(&self) -> &History {
        &self.history
    }

    /// The open project's file; none on the welcome screen.
    pub fn file(&self) -> Option<&ProjectFile> {
        self.file.as_ref()
    }

    /// The medium that is shown.
    pub fn shown(&self) -> Option<MediumId> {
        self.shown
    }

    /// The frame that is shown.
    pub fn frame(&self) -> Option<FrameId> {
        self.shown.map(|medium| FrameId { medium, frame: self.player.frame })
    }

    /// The frame whose pixels are on the screen: the shown one, or while that is read the nearest that is there.
    pub fn frame_on_screen(&self) -> Option<FrameId> {
        match self.nearest_picture() {
            Some(Ok(picture)) => Some(picture.at),
            _ => self.frame(),
        }
    }

    /// True if the pixels on the screen are those of the shown frame, so that clicks mean what is seen.
    pub fn is_on_screen(&self) -> bool {
        matches!(self.picture(), Some(Ok(_)))
    }

    /// The size of what is shown, in pixels.
    pub fn size(&self) -> Option<Size> {
        Some(self.project().media.get(&self.shown?)?.size)
    }

    /// How wide a pixel of what is shown is for its height. All frames of a medium have the same, also those that cannot be
    /// read.
    pub fn pixel_aspect(&self) -> f32 {
        let shown = self.shown.and_then(|medium| self.cache.aspects.get(&medium));
        shown.map_or(1.0, |aspect| aspect.ratio())
    }

    /// What is selected on the shown frame; the one that clicks and keys mean comes last.
    pub fn selection(&self) -> &[ObjectId] {
        &self.selection
    }

    /// The object that clicks and keys mean, whether it is on the shown frame or not.
    pub fn selected_object(&self) -> Option<(ObjectId, &Arc<Object>)> {
        let id = *self.selection.last()?;
        Some((id, self.project().objects.get(&(self.shown?, id))?))
    }

    /// The object that clicks and keys mean, with its segment on the shown frame.
    pub fn selected(&self) -> Option<(ObjectId, &Arc<Object>, &Arc<Segment>)> {
        let (at, id) = (self.frame()?, *self.selection.last()?);
        Some((id, self.project().objects.get(&(at.medium, id))?, self.project().segment(id, at.frame)?))
    }

    /// What is on the shown frame.
    pub fn segments(&self) -> impl Iterator<Item = (ObjectId, &Arc<Object>, &Arc<Segment>)> {
        self.frame().into_iter().flat_map(|at| self.project().segments_on(at))
    }

    /// What is on the frame whose pixels are on the screen.
    pub fn segments_on_screen(&self) -> impl Iterator<Item = (ObjectId, &Arc<Object>, &Arc<Segment>)> {
        self.frame_on_screen().into_iter().flat_map(|at| self.project().segments_on(at))
    }

    /// Whether an object is drawn.
    pub fn is_visible(&self, object: ObjectId) -> bool {
        let Visibility { hidden, solo, masks, .. } = &self.visibility;
        *masks && !hidden.contains(&object) && (!solo || self.selection.contains(&object))
    }

    /// The color of a category, as sRGB.
    pub fn category_color(&self, id: CategoryId) -> [u8; 3] {
        self.project().categories.get(&id).map_or([255; 3], |category| category.color)
    }

    /// The color that an object is shown in: its category's, or its own; always its own while nobody has said what it is, so
    /// that neighbors differ.
    pub fn color_of(&self, id: ObjectId, object: &Object) -> [u8; 3] {
        let was_looked_for = || self.project().track(id).any(|(_, segment)| segment.found_by().is_some());
        if self.visibility.own_colors || (object.proposal.is_some() && !was_looked_for()) {
            category_color(id.0 as usize)
        } else {
            self.category_color(object.category)
        }
    }

    /// Shows each object in a color of its own, or in its category's.
    pub fn show_own_colors(&mut self, own_colors: bool) {
        self.visibility.own_colors = own_colors;
    }

    /// What new objects are.
    pub fn category(&self) -> Option<CategoryId> {
        let categories = &self.project().categories;
        self.category.filter(|id| categories.contains_key(id)).or_else(|| categories.keys().next().copied())
    }

    /// How the mouse works on the image.
    pub fn tools(&self) -> &Tools {
        &self.tools
    }

    /// What of the objects is shown.
    pub fn visibility(&self) -> &Visibility {
        &self.visibility
    }

    /// The shown frame's pixels, or why there are none.
    pub fn picture(&self) -> Option<&Result<Arc<Picture>, String>> {
        self.cache.pictures.get(&self.frame()?)
    }

    /// The same, or while they are being read the pixels of the nearest frame that is there.
    pub fn nearest_picture(&self) -> Option<&Result<Arc<Picture>, String>> {
        let at = self.frame()?;
        let of = |frame| FrameId { medium: at.medium, frame };
        let near = self.cache.pictures.range(of(0)..=of(usize::MAX)).filter(|(_, picture)| picture.is_ok());
        let nearest =
            || near.min_by_key(|(other, _)| other.frame.abs_diff(at.frame)).map(|(_, picture)| picture);
        self.picture().or_else(nearest)
    }

    /// A small picture of a medium.
    pub fn thumbnail(&self, medium: MediumId) -> Option<&Thumbnail> {
        self.cache.thumbnails.get(&medium)
    }

    /// Whether clicks on the shown frame are answered at once.
    pub fn is_encoded(&self) -> bool {
        self.frame().is_some_and(|at| self.cache.encoded.contains(&at))
    }

    /// The mask that a click would give where the pointer is.
    pub fn preview(&self) -> Option<&Preview> {
        let preview = self.cache.preview.as_ref()?;
        (Some(preview.at) == self.frame()).then_some(preview)
    }

    /// What there is in the project, as of when it was last asked; none until it is counted.
    pub fn stats(&self) -> Option<&Stats> {
        self.stats.as_deref()
    }

    /// Running jobs, the oldest first.
    pub fn jobs(&self) -> &[Job] {
        &self.jobs
    }

    /// What was looked for last, and what was found.
    pub fn finding(&self) -> &Finding {
        &self.finding
    }

    /// Whether one goes through proposals from the worst to the best.
    pub fn goes_worst_first(&self) -> bool {
        self.worst_first
    }

    /// Whether there is a model.
    pub fn model(&self) -> &Model {
        &self.model
    }

    /// Whether all steps are in the project file.
    pub fn is_saved(&self) -> bool {
        self.saving.is_done()
    }
}

impl Session {
    /// One turn: takes in what the engine reports, does what the user said, and asks for what is missing. Never waits.
    pub fn turn(&mut self, engine: &Engine, commands: impl IntoIterator<Item = Command>, seen: &Seen) {
        // As many as an inbox holds: more would make the turn long.
        for event in std::iter::from_fn(|| engine.event()).take(64) {
            self.on_event(event);
        }
        for command in commands {
            self.execute(command);
        }
        self.let_pass(seen.elapsed);
        self.forget_media_that_are_gone();
        self.keep_selection_true();
        self.take_preview();
        self.leave_once_saved();
        self.save(engine);
        self.ask_for_what_is_missing(engine, seen);
        self.tell_what_to_track(engine);
        self.ask_for_review(engine);
        self.sweep();
        self.answer_what_was_left();
        self.send_jobs(engine);
        self.dim();
        self.notices.expire(std::time::Instant::now());
    }

    fn execute(&mut self, command: Command) {
        // What is made is seen.
        if let Command::AddPoint { .. }
        | Command::SetBox(_)
        | Command::Stroke { .. }
        | Command::FillPolygon { .. } = &command
        {
            self.visibility.masks = true;
        }
        match command {
            Command::Open(paths) => self.open(paths),
            Command::AddMedia(paths) => self.add_media(paths),
            Command::AddFrames(folder) => self.add_frames(folder),
            Command::AddNewMedia => {
                self.add_media(self.file.iter().map(|file| file.folder.clone()).collect())
            }
            Command::Statistics => self.count(),
            Command::Import(path) => self.import(path),
            Command::Export(export) => self.export(*export),
            Command::FindMedia(folder) => self.find_media(folder),
            Command::CloseProject => self.close(),
            Command::Quit => self.quit(),
            Command::Stay => self.stay(),
            Command::SaveAgain => self.save_again(),
            Command::LoseUnsaved => self.lose(),
            Command::SaveElsewhere(path) => self.save_elsewhere(path),
            Command::GiveUpProject => self.give_up(),
            Command::Undo => self.undo(),
            Command::Redo => self.redo(),

            Command::GoTo(medium) => self.go_to(medium),
            Command::Step(n) => self.step(n),
            Command::StepMedium(n) => self.step_medium(n),
            Command::First => self.step(i32::MIN),
            Command::Last => self.step(i32::MAX),
            Command::GoToFrame(frame) => self.go_to_frame(frame),
            Command::NextKeyframe => self.go_to_keyframe(Direction::Forward),
            Command::PreviousKeyframe => self.go_to_keyframe(Direction::Backward),
            Command::Play(direction) => self.play(direction),
            Command::Faster => self.change_speed(1),
            Command::Slower => self.change_speed(-1),
            Command::NextUnfinished => self.next_unfinished(),
            Command::ToggleDone => self.toggle_done(),
            Command::DoneAndNext => self.done_and_next(),
            Command::RemoveMedium => self.remove_medium(),

            Command::Select(object) => self.selection = vec![object],
            Command::ToggleSelected(object) => self.toggle_selected(object),
            Command::SelectAt { at, add } => self.select_at(at, add),
            Command::SelectAll => self.selection = self.segments().map(|(id, ..)| id).collect(),
            Command::Deselect => self.deselect(),
            Command::NextObject => self.select_next(1),
            Command::PreviousObject => self.select_next(-1),
            Command::Accept => self.accept(),
            Command::AcceptAll(which) => self.accept_all(which),
            Command::RejectAll(which) => self.reject_all(which),
            Command::NextProposal => self.next_proposal(),
            Command::ToggleProposalOrder => self.worst_first = !self.worst_first,
            Command::Delete => self.delete(),
            Command::CopyToNext => self.copy_to_next(),
            Command::SetCategory(category) => self.set_category(category),
            Command::CategoryKey(key) => self.category_key(key),
            Command::SetAttribute { name, value } => self.set_attribute(&name, &value),
            Command::ToggleHidden => self.toggle_hidden(),
            Command::ToggleHiddenOf(object) => toggle(&mut self.visibility.hidden, object),
            Command::ToggleSolo => self.visibility.solo = !self.visibility.solo,

            Command::Propagate(way, extent) => self.propagate(way, extent),
            Command::TogglePause => self.toggle_pause(),
            Command::CancelTracking => self.cancel_tracking(),
            Command::SetSpan(span) => self.set_span(span),
            Command::SpanFromHere => self.move_span(Direction::Backward),
            Command::SpanToHere => self.move_span(Direction::Forward),
            Command::Confirm => self.confirm(),
            Command::Unconfirm => self.unconfirm(),
            Command::SetAbsent => self.set_absent(),
            Command::DeleteHere => self.delete_here(),
            Command::CopyTrack => self.copy_track(),
            Command::PasteTrack => self.paste_track(),
            Command::SplitTrack => self.split_track(),
            Command::SwapTracks => self.swap_tracks(),
            Command::Renumber(object, to) => self.renumber(object, to),
            Command::InterpolateBoxes => self.interpolate_boxes(),

            Command::FixNext => self.fix_next(),
            Command::ToggleReview => self.toggle_review(),
            Command::ReviewAccept => self.review_accept(),
            Command::ReviewReject => self.review_reject(),

            Command::AddPoint { at, label } => self.add_point(at, label),
            Command::SetBox(rect) => self.set_box(rect),
            Command::ClearPrompt => self.clear_prompt(),
            Command::NextCandidate => self.choose(1),
            Command::PreviousCandidate => self.choose(-1),
            Command::SwapSign => self.tools.is_swapped = !self.tools.is_swapped,

            Command::Stroke { points, label } => self.stroke(&points, label),
            Command::FillPolygon { points, label } => self.fill_polygon(points, label),
            Command::Reshape { from, to } => self.reshape(&from, &to),
            Command::SetTool(tool) => self.tools.tool = tool,
            Command::SwapBrush => self.swap_brush(),
            Command::LargerBrush => self.tools.brush = (self.tools.brush * 1.25).min(500.0),
            Command::SmallerBrush => self.tools.brush = (self.tools.brush / 1.25).max(0.5),
            Command::ToggleOnlyUnlabeled => self.tools.only_unlabeled = !self.tools.only_unlabeled,
            Command::FillHoles => self.change_masks("Fill holes", Rle::holes_filled),
            Command::DropIslands => self.change_masks("Keep the largest part", Rle::largest_part),
            Command::Grow => self.change_masks("Grow", |mask| mask.grown(1)),
            Command::Shrink => self.change_masks("Shrink", |mask| mask.shrunk(1)),
            Command::Join => self.join(),
            Command::Subtract => self.subtract(),
            Command::Split => self.split(),

            Command::AddCategory(name) => self.add_category(&name),
            Command::RenameCategory(id, name) => self.rename_category(id, &name),
            Command::ColorCategory(id, color) => {
                self.change_category(id, "Change color", |c| c.color = color)
            }
            Command::KeyCategory(id, key) => self.set_category_key(id, key),
            Command::SetAttributes(id, to) => {
                self.change_category(id, "Change attributes", |c| c.attributes = to)
            }
            Command::RemoveCategory(id) => self.remove_category(id),

            Command::Find(find) => self.find(*find),
            Command::FindSimilar => self.find_similar(),
            Command::CountAs { class, threshold, category } => self.count_as(class, threshold, category),
            Command::SetUsualThreshold(threshold) => self.set_usual_threshold(threshold),

            Command::SegmentEverything(scope) => self.segment_everything(scope),
            Command::MasksForBoxes(scope) => self.masks_for_boxes(scope),
            Command::CancelJob => self.cancel_job(),

            Command::ShowModels => self.look_at_models(),
            Command::GetModel(name) => self.get_model(&name),
            Command::PauseModel(name) => self.pause_model(&name),
            Command::RemoveModel(name) => self.remove_model(&name),
            Command::AddModel(path) => self.add_model(path),

            Command::ToggleMasks => self.visibility.masks = !self.visibility.masks,

            // The window's own.
            Command::ChooseFolder
            | Command::ChooseFiles
            | Command::ChooseImport
            | Command::ChooseExport
            | Command::ChooseExportFolder
            | Command::ChooseImportFolder
            | Command::ExportInto(_)
            | Command::ChooseMediaFolder
            | Command::ChooseFrames
            | Command::ChooseNumber
            | Command::ShowFind
            | Command::ChooseDetector
            | Command::ChooseModel
            | Command::UseModel(_)
            | Command::UseDetector(_)
            | Command::OpenDemo
            | Command::ChooseSaveElsewhere
            | Command::NewCategory
            | Command::Fit
            | Command::ActualSize
            | Command::ZoomIn
            | Command::ZoomOut
            | Command::MoreOpaque
            | Command::LessOpaque
            | Command::TogglePreview
            | Command::ToggleOwnColors
            | Command::ToggleTheme
            | Command::Palette
            | Command::Help
            | Command::Settings => {}
        }
    }
}

fn toggle<T: Ord>(set: &mut BTreeSet<T>, item: T) {
    if !set.remove(&item) {
        set.insert(item);
    }
}
