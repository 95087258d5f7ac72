//! The lists of a COCO file, read item by item.
//!
//! Files are large, so only a few batches of items are held as text, which all processors read while more are cut; and they
//! are made by many programs, so an item of the wrong form costs no other.

use std::{collections::HashMap, fmt, io, ops::Range};

use serde_json::Value;

use super::item::{Annotation, Category, Flaw, Image, Item, Video, id_of};
use crate::formats::{
    Id,
    dataset::Refused,
    json::{Cut, Stop, cut_lists},
    parallel,
};

/// So much text is read at once by a processor.
const BATCH: usize = 1 << 20;

/// The lists of a file, before they are held against each other.
#[derive(Default)]
pub(super) struct File {
    pub(super) images: List<Image>,
    pub(super) videos: List<Video>,
    pub(super) categories: List<Category>,
    pub(super) annotations: List<Annotation>,
    /// Whether the file is a bare list of annotations.
    pub(super) is_results: bool,
    pub(super) refused: Refused,
}

/// What was taken of a list, in its order.
pub(super) struct List<T> {
    /// In batches, so that those that are done with need no memory.
    pub(super) batches: Vec<Vec<(Title, T)>>,
    /// Places among all items.
    pub(super) by_id: HashMap<Id, usize>,
    n_seen: usize,
}

impl<T> Default for List<T> {
    fn default() -> Self {
        Self { batches: Vec::new(), by_id: HashMap::new(), n_seen: 0 }
    }
}

/// What to call an item in a sentence.
pub(super) struct Title {
    kind: &'static str,
    id: Option<Id>,
    /// From 1.
    place: usize,
    /// From 1.
    line: usize,
}

impl fmt::Display for Title {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.id {
            Some(id) => write!(f, "{} {id} (line {})", self.kind, self.line),
            None => write!(f, "{} number {} (line {})", self.kind, self.place, self.line),
        }
    }
}

impl File {
    /// Reads a file as far as it is JSON; also what ended it before its end, if anything.
    pub(super) fn read(bytes: impl io::Read) -> (Self, Option<Stop>) {
        let mut file = Self::default();
        let cut = |take: &mut dyn FnMut(Batch)| {
            let mut batch = Batch::default();
            let lists = ["images", "videos", "categories", "annotations"];
            let stop = cut_lists(bytes, &lists, &mut |cut| {
                if batch.text.len() > BATCH || batch.key != cut.key {
                    take(std::mem::take(&mut batch));
                }
                batch.push(cut);
                Ok(())
            });
            take(batch);
            stop.err()
        };
        let stop = parallel::stream(cut, Batch::read, |items| file.take(items));
        (file, stop)
    }

    fn take(&mut self, items: Items) {
        let refused = &mut self.refused;
        match items {
            Items::Images(items) => self.images.take(items, refused),
            Items::Videos(items) => self.videos.take(items, refused),
            Items::Categories(items) => self.categories.take(items, refused),
            Items::Annotations(items) => self.annotations.take(items, refused),
            Items::Results(items) => {
                self.is_results |= !items.is_empty();
                self.annotations.take(items, refused);
            }
        }
    }
}

/// Items of one list that are not yet read.
#[derive(Default)]
struct Batch {
    key: String,
    text: Vec<u8>,
    /// Where in the text, and on which line of the file.
    items: Vec<(Range<usize>, usize)>,
}

/// The same when they are read.
enum Items {
    Images(Vec<Told<Image>>),
    Videos(Vec<Told<Video>>),
    Categories(Vec<Told<Category>>),
    Annotations(Vec<Told<Annotation>>),
    Results(Vec<Told<Annotation>>),
}

/// An item, its id if it has one, and its line.
struct Told<T> {
    id: Option<Id>,
    item: Result<T, Flaw>,
    line: usize,
}

impl Batch {
    fn push(&mut self, Cut { key, text, line }: Cut<'_>) {
        if self.key != key {
            key.clone_into(&mut self.key);
        }
        let begin = self.text.len();
        self.text.extend_from_slice(text);
        self.items.push((begin..self.text.len(), line));
    }

    fn read(self) -> Items {
        match &*self.key {
            "images" => Items::Images(self.told()),
            "videos" => Items::Videos(self.told()),
            "categories" => Items::Categories(self.told()),
            "annotations" => Items::Annotations(self.told()),
            _ => Items::Results(self.told()),
        }
    }

    fn told<T: Item>(&self) -> Vec<Told<T>> {
        let told = |(text, line): &(Range<usize>, usize)| {
            let (id, item) = read(&self.text[text.clone()]);
            Told { id, item, line: *line }
        };
        self.items.iter().map(told).collect()
    }
}

impl<T: Item> List<T> {
    fn take(&mut self, told: Vec<Told<T>>, refused: &mut Refused) {
        let n_before = self.len();
        let mut batch = Vec::with_capacity(told.len());
        for Told { id, item, line } in told {
            self.n_seen += 1;
            let title = Title { kind: T::KIND, id, place: self.n_seen, line };
            let has_same_id = title.id.as_ref().is_some_and(|id| self.by_id.contains_key(id));
            match if has_same_id { Err(Flaw::SameId) } else { item } {
                Ok(item) => {
                    if let Some(id) = &title.id {
                        self.by_id.insert(id.clone(), n_before + batch.len());
                    }
                    batch.push((title, item));
                }
                Err(flaw) => refused.push(title, flaw),
            }
        }
        self.batches.push(batch);
    }

    /// How many were taken.
    pub(super) fn len(&self) -> usize {
        self.batches.iter().map(Vec::len).sum()
    }
}

/// The items of batches, without what to call them.
pub(super) fn items<T>(batches: Vec<Vec<(Title, T)>>) -> impl Iterator<Item = T> {
    batches.into_iter().flatten().map(|(_, item)| item)
}

/// An item, and its id if it has one.
fn read<T: Item>(text: &[u8]) -> (Option<Id>, Result<T, Flaw>) {
    if let Some((id, item)) = T::quick(text) {
        return (id, Ok(item));
    }
    match serde_json::from_slice::<Value>(text) {
        Ok(value) => (id_of(&value["id"]), T::of(value)),
        Err(error) => (None, Err(Flaw::Json(error.to_string()))),
    }
}
