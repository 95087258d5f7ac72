//! All that is saved of a person's work: media, categories, objects, and what is said and known of them on each frame.
//!
//! A [`Project`] is a value. Cloning it costs nothing (its maps share what they have in common), so undo, saving, export
//! and threads each hold the one they need; [`Project::changes_to`] finds what differs between two without looking at
//! what they share.

mod find;
mod history;
mod identities;
pub(crate) mod mask_folders;
mod media;
mod proposals;
mod run;
mod scan;
mod store;
mod tracks;
mod written;

use std::{
    collections::{BTreeMap, BTreeSet},
    ops::RangeInclusive,
    sync::Arc,
};

use imbl::{OrdMap, ordmap::DiffItem};
use serde::{Deserialize, Serialize};

use crate::{
    geometry::{Rect, Size},
    mask::Rle,
    prompt::Prompt,
};

pub use find::{VIDEO_SUFFIXES, check_has_media, is_work, locate, scan, scan_frames};
pub use history::{History, Step, StepId, Write};
pub use identities::RenumberError;
pub use media::{content_of, path_of, told_from};
pub use proposals::{KNOWN, Rejected};
pub use run::{Extent, Run, RunId};
pub use scan::Scan;
pub use store::{Opened, Store, StoreError, open_copy, read_project, rescue};

macro_rules! id {
    ($($(#[$doc:meta])* $name:ident;)*) => {$(
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        pub struct $name(pub u32);
    )*};
}

id! {
    /// Names a medium in its project.
    MediumId;
    /// Names a category in its project; COCO's `category_id`.
    CategoryId;
    /// Names an object in its project, on all its frames; COCO's `track_id`.
    ObjectId;
}

/// An image or a video.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Medium {
    /// Where it is: relative to the project file's folder where it lies within, with `/` between names; else absolute.
    pub path: String,
    /// Image or video.
    pub kind: MediumKind,
    /// Pixels, upright.
    pub size: Size,
    /// Frames; 1 for an image.
    pub n_frames: usize,
    /// Frames a second of a video.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fps: Option<f64>,
    /// What the file held when it was first read in full, to find it again and to notice when it changes.
    #[serde(default)]
    pub content: Option<Content>,
    /// Whether a person has said that all of it is labeled.
    #[serde(default)]
    pub done: bool,
}

impl Medium {
    /// True for a video, however few frames it has: its frames are no files of their own.
    pub fn is_video(&self) -> bool {
        self.kind == MediumKind::Video
    }

    /// The file's name without its folders.
    pub fn name(&self) -> &str {
        self.path.rsplit('/').next().unwrap_or(&self.path)
    }
}

/// What kind of medium.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum MediumKind {
    /// One picture.
    Image,
    /// Many.
    Video,
}

/// What a file holds, told in few bytes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Content {
    /// Bytes.
    pub length: u64,
    /// BLAKE3 of the bytes, in hexadecimal.
    pub hash: String,
}

/// A kind of object.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Category {
    /// What people call it; unique in the project.
    pub name: String,
    /// Red, green, blue, as sRGB.
    pub color: [u8; 3],
    /// The digit key that chooses it.
    #[serde(default)]
    pub key: Option<u8>,
    /// COCO's `supercategory`; may be empty.
    #[serde(default)]
    pub supercategory: String,
    /// What is asked of each object of this category: a name, and the values to choose from (none: any text).
    #[serde(default)]
    pub attributes: Vec<Attribute>,
}

impl Category {
    /// A category of this name and color, with no key and no attributes.
    pub fn new(name: &str, color: [u8; 3]) -> Self {
        Self { name: name.to_owned(), color, key: None, supercategory: String::new(), attributes: Vec::new() }
    }
}

/// Colors of categories, far apart from each other and from most photos; repeated where there are more categories.
const COLORS: [[u8; 3]; 12] = [
    [255, 92, 92],
    [64, 186, 255],
    [255, 196, 46],
    [72, 214, 128],
    [190, 118, 255],
    [255, 140, 40],
    [40, 214, 204],
    [255, 108, 190],
    [166, 220, 60],
    [110, 136, 255],
    [226, 170, 130],
    [196, 196, 210],
];

/// The color that the `i`-th category gets.
pub fn category_color(i: usize) -> [u8; 3] {
    COLORS[i % COLORS.len()]
}

/// A question that a category asks of its objects, such as "occluded": yes, no.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Attribute {
    /// The question.
    pub name: String,
    /// The possible answers; none if any text is one.
    pub values: Vec<String>,
}

/// A thing that is labeled, through its whole medium.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Object {
    /// What it is.
    pub category: CategoryId,
    /// How sure the machine is, 0 to 1, while nobody has accepted what it proposed; none once accepted.
    #[serde(default)]
    pub proposal: Option<f32>,
    /// Answers to its category's attributes.
    #[serde(default)]
    pub attributes: BTreeMap<String, String>,
}

impl Object {
    /// Of a category, with no answers.
    pub fn new(category: CategoryId) -> Self {
        Self { category, proposal: None, attributes: BTreeMap::new() }
    }

    /// Of a category, for a person to accept; `score` is from 0 to 1.
    pub fn proposed(category: CategoryId, score: f32) -> Self {
        Self { proposal: Some(score), ..Self::new(category) }
    }
}

/// What decides a segment's mask: the prompt, the mask that it refines, and which of the possible answers is meant.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Question {
    /// A mask made by hand or an earlier answer, which the prompt refines.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub base: Option<Arc<Rle>>,
    /// Clicks and a box since.
    #[serde(default, skip_serializing_if = "Prompt::is_empty")]
    pub prompt: Prompt,
    /// 0 for what the model finds likeliest, then its other candidates.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub choice: u8,
}

/// One object on one frame.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(from = "written::Written", into = "written::Written")]
pub struct Segment {
    /// What decides its mask.
    pub question: Question,
    /// The mask that answers the question, or an earlier one while [`Self::is_answered`] is false.
    pub mask: Option<Arc<Rle>>,
    /// The IoU that the model expects of the mask, 0 to 1; 1 for a mask made by hand.
    pub iou: f32,
    /// Whether the mask answers the question.
    pub is_answered: bool,
    /// A box that was imported or drawn, of which no mask is known.
    pub rect: Option<Rect>,
    /// What is known of it if nobody said it: it was found on the way from other frames.
    pub tracked: Option<Tracked>,
    /// Whether a person has said that it is right.
    pub confirmed: bool,
}

/// What is known of a segment that was carried here from other frames.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Tracked {
    /// Above zero if the model sees the object.
    pub object_score: f32,
    /// IoU with the mask that was here before it, if another pass had made one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub agreement: Option<f32>,
}

impl Question {
    /// What is at a prompt.
    pub fn of(prompt: Prompt) -> Self {
        Self { prompt, ..Self::default() }
    }
}

impl Segment {
    /// A mask that was made by hand or imported: it is its own answer, and later clicks refine it.
    pub fn by_hand(mask: impl Into<Arc<Rle>>) -> Self {
        let mask = Some(mask.into());
        let question = Question { base: mask.clone(), ..Question::default() };
        Self { question, mask, iou: 1.0, is_answered: true, ..Self::default() }
    }

    /// A box without a mask.
    pub fn boxed(rect: Rect) -> Self {
        Self { rect: Some(rect), is_answered: true, ..Self::default() }
    }

    /// The object is not on the frame, says a person.
    pub fn absent(size: Size) -> Self {
        Self { confirmed: true, ..Self::by_hand(Rle::empty(size)) }
    }

    /// Whether a person has said what is here, be it by clicks, by hand or by confirming it. Tracking looks at such a
    /// segment and never overwrites it: its frame is a conditioning frame.
    pub fn is_given(&self) -> bool {
        self.tracked.is_none() || self.confirmed
    }

    /// Asks anew: the mask stays until the answer comes. A tracked mask becomes what the question refines.
    pub fn ask(&mut self, change: impl FnOnce(&mut Question)) {
        if self.tracked.take().is_some() {
            self.question = Question { base: self.mask.clone(), ..Question::default() };
        }
        self.confirmed = false;
        change(&mut self.question);
        self.is_answered = self.question.prompt.is_empty();
        if self.is_answered {
            self.mask = self.question.base.clone();
        }
    }

    /// The smallest box round the mask, else the box that was given; in image pixels.
    pub fn bounds(&self) -> Option<Rect> {
        let mask = self.mask.as_ref().filter(|mask| mask.area() > 0);
        mask.map(|mask| mask.rect()).or(self.rect).or(self.question.prompt.rect)
    }
}

fn is_zero(n: &u8) -> bool {
    *n == 0
}

/// Names a frame of a medium.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FrameId {
    /// The medium.
    pub medium: MediumId,
    /// Its frame, from 0.
    pub frame: usize,
}

/// All that is saved.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Project {
    /// Images and videos, in the order in which they are shown.
    pub media: OrdMap<MediumId, Arc<Medium>>,
    /// Kinds of objects.
    pub categories: OrdMap<CategoryId, Arc<Category>>,
    /// Objects, by their medium.
    pub objects: OrdMap<(MediumId, ObjectId), Arc<Object>>,
    /// Objects on frames.
    pub segments: OrdMap<(ObjectId, usize), Arc<Segment>>,
    /// Tracking that is still to be done, the latest asked last.
    pub runs: OrdMap<RunId, Arc<Run>>,
    /// What was found and is not so, by its medium and in the order in which that was said.
    pub rejected: OrdMap<(MediumId, u32), Arc<Rejected>>,
}

/// Names one entry of a project.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Key {
    /// In `media`.
    Medium(MediumId),
    /// In `categories`.
    Category(CategoryId),
    /// In `objects`.
    Object(MediumId, ObjectId),
    /// In `segments`.
    Segment(ObjectId, usize),
    /// In `runs`.
    Run(RunId),
    /// In `rejected`.
    Rejected(MediumId, u32),
}

/// One entry of a project.
#[derive(Clone, Debug, PartialEq)]
pub enum Entry {
    /// Of `media`.
    Medium(Arc<Medium>),
    /// Of `categories`.
    Category(Arc<Category>),
    /// Of `objects`.
    Object(Arc<Object>),
    /// Of `segments`.
    Segment(Arc<Segment>),
    /// Of `runs`.
    Run(Arc<Run>),
    /// Of `rejected`.
    Rejected(Arc<Rejected>),
}

/// How one entry differs between two projects; none where there is no such entry.
#[derive(Clone, Debug, PartialEq)]
pub struct Change {
    /// Which entry.
    pub key: Key,
    /// What it was.
    pub before: Option<Entry>,
    /// What it is.
    pub after: Option<Entry>,
}

impl Project {
    /// What has to change to make `after` of this project, in the order of keys; looks only at what the two do not share.
    pub fn changes_to(&self, after: &Self) -> Vec<Change> {
        let mut changes = Vec::new();
        diff(&self.media, &after.media, |id| Key::Medium(*id), Entry::Medium, &mut changes);
        diff(&self.categories, &after.categories, |id| Key::Category(*id), Entry::Category, &mut changes);
        diff(&self.objects, &after.objects, |(m, o)| Key::Object(*m, *o), Entry::Object, &mut changes);
        diff(&self.segments, &after.segments, |(o, f)| Key::Segment(*o, *f), Entry::Segment, &mut changes);
        diff(&self.runs, &after.runs, |id| Key::Run(*id), Entry::Run, &mut changes);
        let rejected = |(m, id): &(MediumId, u32)| Key::Rejected(*m, *id);
        diff(&self.rejected, &after.rejected, rejected, Entry::Rejected, &mut changes);
        changes
    }

    /// Sets or removes one entry; an entry of another kind than its key's is ignored.
    pub fn set(&mut self, key: Key, entry: Option<Entry>) {
        match (key, entry) {
            (Key::Medium(id), Some(Entry::Medium(medium))) => drop(self.media.insert(id, medium)),
            (Key::Medium(id), None) => drop(self.media.remove(&id)),
            (Key::Category(id), Some(Entry::Category(category))) => {
                drop(self.categories.insert(id, category))
            }
            (Key::Category(id), None) => drop(self.categories.remove(&id)),
            (Key::Object(m, o), Some(Entry::Object(object))) => drop(self.objects.insert((m, o), object)),
            (Key::Object(m, o), None) => drop(self.objects.remove(&(m, o))),
            (Key::Segment(o, f), Some(Entry::Segment(segment))) => {
                drop(self.segments.insert((o, f), segment))
            }
            (Key::Segment(o, f), None) => drop(self.segments.remove(&(o, f))),
            (Key::Run(id), Some(Entry::Run(run))) => drop(self.runs.insert(id, run)),
            (Key::Run(id), None) => drop(self.runs.remove(&id)),
            (Key::Rejected(m, id), Some(Entry::Rejected(not))) => drop(self.rejected.insert((m, id), not)),
            (Key::Rejected(m, id), None) => drop(self.rejected.remove(&(m, id))),
            _ => debug_assert!(false, "{key:?} with an entry of another kind"),
        }
    }

    /// The objects of a medium, in the order in which they were made.
    pub fn objects_of(&self, medium: MediumId) -> impl Iterator<Item = (ObjectId, &Arc<Object>)> {
        let range = (medium, ObjectId(0))..=(medium, ObjectId(u32::MAX));
        self.objects.range(range).map(|((_, id), object)| (*id, object))
    }

    /// What is on a frame: its objects and their segments there.
    pub fn segments_on(&self, at: FrameId) -> impl Iterator<Item = (ObjectId, &Arc<Object>, &Arc<Segment>)> {
        self.objects_of(at.medium).filter_map(move |(id, object)| {
            self.segments.get(&(id, at.frame)).map(|segment| (id, object, segment))
        })
    }

    /// One object on one frame.
    pub fn segment(&self, object: ObjectId, frame: usize) -> Option<&Arc<Segment>> {
        self.segments.get(&(object, frame))
    }

    /// The same, to change; made if there is none.
    pub fn segment_mut(&mut self, object: ObjectId, frame: usize) -> &mut Segment {
        Arc::make_mut(self.segments.entry((object, frame)).or_default())
    }

    /// One object on its frames, in their order.
    pub fn track(&self, object: ObjectId) -> impl DoubleEndedIterator<Item = (usize, &Arc<Segment>)> {
        self.track_within(object, 0..=usize::MAX)
    }

    /// The same on some frames.
    pub fn track_within(
        &self,
        object: ObjectId,
        frames: RangeInclusive<usize>,
    ) -> impl DoubleEndedIterator<Item = (usize, &Arc<Segment>)> {
        let range = (object, *frames.start())..=(object, *frames.end());
        self.segments.range(range).map(|((_, frame), segment)| (*frame, segment))
    }

    /// Removes an object with all its segments, and what was still to be tracked of it.
    pub fn remove_object(&mut self, medium: MediumId, object: ObjectId) {
        self.objects.remove(&(medium, object));
        self.remove_within(object, 0..=usize::MAX);
        let runs: Vec<RunId> =
            self.runs.iter().filter(|(_, run)| run.object == object).map(|(id, _)| *id).collect();
        for run in runs {
            self.runs.remove(&run);
        }
    }

    /// Removes a category that no object has, with what is known not to be of it.
    pub fn remove_category(&mut self, category: CategoryId) {
        self.keep_rejected(|_, not| not.category != category);
        self.categories.remove(&category);
    }

    fn keep_rejected(&mut self, is_kept: impl Fn(MediumId, &Rejected) -> bool) {
        let kept = self.rejected.iter().filter(|((medium, _), not)| is_kept(*medium, not));
        self.rejected = kept.map(|(key, not)| (*key, not.clone())).collect();
    }

    /// Removes a medium with all that is on it.
    pub fn remove_medium(&mut self, medium: MediumId) {
        let objects: Vec<ObjectId> = self.objects_of(medium).map(|(id, _)| id).collect();
        for object in objects {
            self.remove_object(medium, object);
        }
        self.keep_rejected(|of, _| of != medium);
        self.media.remove(&medium);
    }

    /// Removes an object from some frames.
    pub fn remove_within(&mut self, object: ObjectId, frames: RangeInclusive<usize>) {
        let frames: Vec<usize> = self.track_within(object, frames).map(|(frame, _)| frame).collect();
        for frame in frames {
            self.segments.remove(&(object, frame));
        }
    }

    /// Adds media, except those that are there already; how many are new.
    pub fn add_media(&mut self, media: Vec<Medium>) -> usize {
        let known: BTreeSet<&str> = self.media.values().map(|medium| medium.path.as_str()).collect();
        let new: Vec<Medium> =
            media.into_iter().filter(|medium| !known.contains(medium.path.as_str())).collect();
        let n_new = new.len();
        for medium in new {
            self.media.insert(self.new_medium(), medium.into());
        }
        n_new
    }

    /// Media of `before` that are no more, or are other files now.
    pub fn media_gone_since(&self, before: &Self) -> Vec<MediumId> {
        let gone = |item: DiffItem<'_, '_, MediumId, Arc<Medium>>| match item {
            DiffItem::Add(..) => None,
            DiffItem::Update { old: (id, old), new: (_, new) } => (old.path != new.path).then_some(*id),
            DiffItem::Remove(id, _) => Some(*id),
        };
        before.media.diff(&self.media).filter_map(gone).collect()
    }

    /// An id that no medium has.
    pub fn new_medium(&self) -> MediumId {
        MediumId(self.media.get_max().map_or(1, |(id, _)| id.0 + 1))
    }

    /// An id that no category has.
    pub fn new_category(&self) -> CategoryId {
        CategoryId(self.categories.get_max().map_or(1, |(id, _)| id.0 + 1))
    }

    /// An id that no segment has; objects without segments do not last.
    pub fn new_object(&self) -> ObjectId {
        ObjectId(self.segments.get_max().map_or(1, |((id, _), _)| id.0 + 1))
    }

    /// The category of this name.
    pub fn category_named(&self, name: &str) -> Option<CategoryId> {
        self.categories.iter().find(|(_, category)| category.name == name).map(|(id, _)| *id)
    }
}

/// Appends how `after` differs from `before`.
fn diff<K: Ord + Clone, V: PartialEq + Clone>(
    before: &OrdMap<K, V>,
    after: &OrdMap<K, V>,
    key: impl Fn(&K) -> Key,
    entry: impl Fn(V) -> Entry,
    changes: &mut Vec<Change>,
) {
    changes.extend(before.diff(after).map(|item| match item {
        DiffItem::Add(k, v) => Change { key: key(k), before: None, after: Some(entry(v.clone())) },
        DiffItem::Update { old: (k, old), new: (_, new) } => {
            Change { key: key(k), before: Some(entry(old.clone())), after: Some(entry(new.clone())) }
        }
        DiffItem::Remove(k, v) => Change { key: key(k), before: Some(entry(v.clone())), after: None },
    }));
}
