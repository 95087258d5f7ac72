//! The lists of a COCO file, read item by item.
//!
//! Files are large, so only one item at a time is held as JSON; and they are made by many programs, so an item of the
//! wrong form costs no other.

use std::{collections::HashMap, fmt, io};

use serde::de::{DeserializeSeed, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::Value;

use super::item::{Annotation, Category, Flaw, Image, Item, Video, id_of};
use crate::formats::{Id, dataset::Refused};

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
    pub(super) kind: &'static str,
    pub(super) id: Option<Id>,
    /// From 1.
    pub(super) place: usize,
}

impl fmt::Display for Title {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.id {
            Some(id) => write!(f, "{} {id}", self.kind),
            None => write!(f, "{} number {} of the file", self.kind, self.place),
        }
    }
}

impl File {
    /// Reads a file as far as it is JSON; also the error that ended it, if any.
    pub(super) fn read(bytes: impl io::Read) -> (Self, Option<serde_json::Error>) {
        let mut file = Self::default();
        let mut json = serde_json::Deserializer::from_reader(bytes);
        let read = json.deserialize_any(Whole(&mut file)).and_then(|()| json.end());
        (file, read.err())
    }
}

impl<T: Item> List<T> {
    fn push(&mut self, item: Value, refused: &mut Refused) {
        self.n_seen += 1;
        let title = Title { kind: T::KIND, id: id_of(&item["id"]), place: self.n_seen };
        let has_same_id = title.id.as_ref().is_some_and(|id| self.by_id.contains_key(id));
        match if has_same_id { Err(Flaw::SameId) } else { T::of(item) } {
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

/// A whole file.
struct Whole<'a>(&'a mut File);

impl<'de> Visitor<'de> for Whole<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "an object or a list")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        let File { images, videos, categories, annotations, refused, .. } = self.0;
        while let Some(key) = map.next_key::<String>()? {
            match &*key {
                "images" => map.next_value_seed(Items(images, refused))?,
                "videos" => map.next_value_seed(Items(videos, refused))?,
                "categories" => map.next_value_seed(Items(categories, refused))?,
                "annotations" => map.next_value_seed(Items(annotations, refused))?,
                _ => drop(map.next_value::<IgnoredAny>()?),
            }
        }
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, list: A) -> Result<(), A::Error> {
        self.0.is_results = true;
        Items(&mut self.0.annotations, &mut self.0.refused).visit_seq(list)
    }
}

/// The items of one list.
struct Items<'a, T>(&'a mut List<T>, &'a mut Refused);

impl<'de, T: Item> DeserializeSeed<'de> for Items<'_, T> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de, T: Item> Visitor<'de> for Items<'_, T> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "a list")
    }

    fn visit_unit<E>(self) -> Result<(), E> {
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<(), A::Error> {
        while let Some(item) = list.next_element()? {
            self.0.push(item, self.1);
        }
        Ok(())
    }
}
