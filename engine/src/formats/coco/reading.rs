//! The lists of a COCO file, read item by item.
//!
//! Files are large, so only a few batches of items are held as text, which all processors read while more are cut; and they
//! are made by many programs, so an item of the wrong form costs no other.

use std::{
    collections::{HashMap, HashSet, hash_map::Entry},
    fmt, io,
};

use serde_json::Value;

use super::item::{Annotation, Category, Flaw, Image, Item, Kind, Video};
use crate::formats::{
    Id,
    json::{self, Cut, Piece, Stop, cut_lists},
    parallel,
};

/// The lists of a file, before they are held against each other.
#[derive(Default)]
pub(super) struct File {
    pub(super) images: List<Image>,
    pub(super) videos: List<Video>,
    pub(super) categories: List<Category>,
    pub(super) annotations: List<Annotation>,
    /// Whether the file is a bare list of annotations.
    pub(super) is_results: bool,
}

/// Where things are, by their ids.
pub(super) type Places = HashMap<Id, usize, foldhash::fast::RandomState>;

/// Ids of a list.
pub(super) type Ids = HashSet<Id, foldhash::fast::RandomState>;

/// What is read of a list, in its order.
pub(super) struct List<T> {
    /// In batches, so that those that are done with need no memory.
    batches: Vec<Vec<Told<T>>>,
    /// Places among the items that have no flaw.
    by_id: Places,
    /// Ids of several items that are not the same.
    ambiguous: Ids,
    n_seen: u32,
    /// How many have no flaw.
    pub(super) n_good: usize,
}

impl<T> Default for List<T> {
    fn default() -> Self {
        Self {
            batches: Vec::new(),
            by_id: HashMap::default(),
            ambiguous: HashSet::default(),
            n_seen: 0,
            n_good: 0,
        }
    }
}

/// An item, or why it is none.
pub(super) struct Told<T> {
    pub(super) item: Result<T, Flaw>,
    pub(super) title: Title,
}

/// What to call an item in a sentence.
pub(super) struct Title {
    kind: Kind,
    id: Option<Id>,
    /// From 1.
    place: u32,
    /// From 1.
    line: u32,
    /// True if an earlier one has the same id.
    pub(super) is_double: bool,
}

impl fmt::Display for Title {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.id {
            Some(id) => write!(f, "{} {id} (line {})", self.kind, self.line),
            None => write!(f, "{} number {} (line {})", self.kind, self.place, self.line),
        }
    }
}

/// Items of any list.
enum Items {
    Images(Vec<Told<Image>>),
    Videos(Vec<Told<Video>>),
    Categories(Vec<Told<Category>>),
    Annotations(Vec<Told<Annotation>>),
    Results(Vec<Told<Annotation>>),
}

impl File {
    /// Reads a file as far as it is JSON; also what ended it before its end, if anything.
    pub(super) fn read(bytes: impl io::Read) -> (Self, Option<Stop>) {
        Self::read_lists(bytes, &["images", "videos", "categories", "annotations"])
    }

    /// Reads the images, videos and categories of a file that results may be of.
    pub(super) fn read_truth(bytes: impl io::Read) -> Self {
        Self::read_lists(bytes, &["images", "videos", "categories"]).0
    }

    fn read_lists(bytes: impl io::Read, lists: &'static [&'static str]) -> (Self, Option<Stop>) {
        let mut file = Self::default();
        let cut = |give: &mut dyn FnMut(Piece)| cut_lists(bytes, lists, give).err();
        let read = |piece: Piece| match &*piece.key {
            "images" => Items::Images(told(&piece)),
            "videos" => Items::Videos(told(&piece)),
            "categories" => Items::Categories(told(&piece)),
            "annotations" => Items::Annotations(told(&piece)),
            _ => Items::Results(told(&piece)),
        };
        let stop = parallel::stream(cut, read, |items| match items {
            Items::Images(items) => file.images.take(items),
            Items::Videos(items) => file.videos.take(items),
            Items::Categories(items) => file.categories.take(items),
            Items::Annotations(items) => file.annotations.take(items),
            Items::Results(items) => {
                file.is_results = true;
                file.annotations.take(items);
            }
        });
        (file, stop)
    }
}

impl<T: Item> List<T> {
    fn take(&mut self, told: Vec<Told<T>>) {
        let mut batch = in_own_memory(told);
        for Told { item, title } in &mut batch {
            self.n_seen += 1;
            title.place = self.n_seen;
            match title.id.as_ref().map(|id| self.by_id.entry(id.clone())) {
                Some(Entry::Occupied(_)) => title.is_double = true,
                Some(Entry::Vacant(new)) if item.is_ok() => _ = new.insert(self.n_good),
                _ => {}
            }
            self.n_good += usize::from(item.is_ok());
        }
        self.batches.push(batch);
    }

    /// The items without flaws.
    pub(super) fn items(&self) -> impl Iterator<Item = &T> {
        self.batches.iter().flatten().filter_map(|told| told.item.as_ref().ok())
    }

    /// All of them.
    pub(super) fn into_batches(self) -> Vec<Vec<Told<T>>> {
        self.batches
    }

    /// The items, and where they are by their ids; `refuse` is called with those that have flaws. Of items with one id that are
    /// the same the first is kept; where they are not the same, the id stands for none of them.
    pub(super) fn into_items(self, refuse: &mut dyn FnMut(Title, Flaw)) -> (Vec<T>, ByIds) {
        let Self { batches, mut by_id, mut ambiguous, .. } = self;
        let mut items: Vec<T> = Vec::new();
        for Told { item, title } in batches.into_iter().flatten() {
            match item {
                Ok(item) => {
                    let first = title.id.as_ref().filter(|_| title.is_double).and_then(|id| by_id.get(id));
                    if first.is_some_and(|first| !items[*first].is_same(&item)) {
                        ambiguous.extend(title.id);
                    }
                    items.push(item);
                }
                Err(flaw) => refuse(title, flaw),
            }
        }
        by_id.retain(|id, _| !ambiguous.contains(id));
        (items, ByIds { places: by_id, ambiguous })
    }
}

/// Moves a batch from another thread into memory of this one: what the other has allocated, an allocator gives to nobody else
/// once it is free.
pub(super) fn in_own_memory<T>(mut batch: Vec<T>) -> Vec<T> {
    let mut own = Vec::with_capacity(batch.len());
    own.append(&mut batch);
    own
}

/// Items of a list by their ids.
pub(super) struct ByIds {
    pub(super) places: Places,
    pub(super) ambiguous: Ids,
}

fn told<T: Item>(piece: &Piece) -> Vec<Told<T>> {
    let item = |Cut { text, line, .. }: Cut<'_>| {
        let (id, item) = read(text);
        Told { item, title: Title { kind: T::KIND, id, place: 0, line: line as u32, is_double: false } }
    };
    piece.items().map(item).collect()
}

/// An item, and its id if it has one.
fn read<T: Item>(text: &[u8]) -> (Option<Id>, Result<T, Flaw>) {
    if let Some((id, item)) = T::quick(text) {
        return (id, Ok(item));
    }
    match json::lenient::<Value>(text) {
        Ok(value) => (Id::of_json(&value["id"]), T::of(value)),
        Err(error) => (None, Err(Flaw::Json(error.to_string()))),
    }
}
