//! The lists of a COCO file, read item by item.
//!
//! Files are large, so only a batch of items at a time is held as text, which all processors read; and they are made by many
//! programs, so an item of the wrong form costs no other.

use std::{collections::HashMap, fmt, io, ops::Range};

use serde_json::Value;

use super::item::{Annotation, Category, Flaw, Image, Item, Video, id_of};
use crate::formats::{
    Id,
    dataset::Refused,
    json::{Cut, Stop, cut_lists},
    parallel,
};

/// So much text is read at once by all processors.
const BATCH: usize = 4 << 20;

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
    pub(super) items: Vec<(Title, T)>,
    /// Places in `items`.
    pub(super) by_id: HashMap<Id, usize>,
    n_seen: usize,
}

impl<T> Default for List<T> {
    fn default() -> Self {
        Self { items: Vec::new(), by_id: HashMap::new(), n_seen: 0 }
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
        let mut batch = Batch::default();
        let lists = ["images", "videos", "categories", "annotations"];
        let stop = cut_lists(bytes, &lists, &mut |cut| {
            if batch.text.len() > BATCH || batch.key != cut.key {
                file.take(&mut batch);
            }
            batch.push(cut);
            Ok(())
        });
        file.take(&mut batch);
        (file, stop.err())
    }

    fn take(&mut self, batch: &mut Batch) {
        let Self { images, videos, categories, annotations, is_results, refused } = self;
        match &*batch.key {
            "images" => images.take(batch, refused),
            "videos" => videos.take(batch, refused),
            "categories" => categories.take(batch, refused),
            key => {
                *is_results |= key.is_empty() && !batch.items.is_empty();
                annotations.take(batch, refused);
            }
        }
        batch.text.clear();
        batch.items.clear();
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

impl Batch {
    fn push(&mut self, Cut { key, text, line }: Cut<'_>) {
        if self.key != key {
            key.clone_into(&mut self.key);
        }
        let begin = self.text.len();
        self.text.extend_from_slice(text);
        self.items.push((begin..self.text.len(), line));
    }
}

impl<T: Item + Send> List<T> {
    fn take(&mut self, batch: &Batch, refused: &mut Refused) {
        let read = |(text, _): &(Range<usize>, usize)| read::<T>(&batch.text[text.clone()]);
        let items = parallel::map(&batch.items, read);
        for ((_, line), (id, item)) in batch.items.iter().zip(items) {
            self.n_seen += 1;
            let title = Title { kind: T::KIND, id, place: self.n_seen, line: *line };
            let has_same_id = title.id.as_ref().is_some_and(|id| self.by_id.contains_key(id));
            match if has_same_id { Err(Flaw::SameId) } else { item } {
                Ok(item) => {
                    if let Some(id) = &title.id {
                        self.by_id.insert(id.clone(), self.items.len());
                    }
                    self.items.push((title, item));
                }
                Err(flaw) => refused.push(title, flaw),
            }
        }
    }
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
