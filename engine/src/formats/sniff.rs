//! The structure of a file, by which its format is recognized: keys and elements, wherever in the file they are.

use std::{
    cell::Cell,
    collections::{BTreeMap, BTreeSet},
    io::{self, BufRead as _, Read},
    path::Path,
};

use quick_xml::{Reader, events::Event};
use serde_json::Value;

use super::{FormatError, json, text::Texts};

/// Items of each list that are looked into.
const ITEMS: usize = 3;

/// The structure of a file.
#[derive(Debug, PartialEq)]
pub(super) enum Structure {
    Json(Outline),
    Xml(Elements),
    /// Neither JSON nor XML.
    Other,
}

/// The keys of a JSON file.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Outline {
    /// The keys of the object that the file is; none of a list.
    keys: BTreeSet<String>,
    /// The keys of the first items of each list of objects, by the list's key; the list that the file is has an empty one.
    items: BTreeMap<String, BTreeSet<String>>,
}

impl Outline {
    /// True if the file is an object with all of these keys.
    pub(super) fn has(&self, keys: &[&str]) -> bool {
        keys.iter().all(|key| self.keys.contains(*key))
    }

    /// True if an item of a list has a key.
    pub(super) fn item_has(&self, list: &str, key: &str) -> bool {
        self.items.get(list).is_some_and(|keys| keys.contains(key))
    }

    /// True if the file is a list whose items have all of these keys.
    pub(super) fn is_list_of(&self, keys: &[&str]) -> bool {
        keys.iter().all(|key| self.item_has("", key))
    }

    fn add_item(&mut self, list: &str, text: &[u8]) {
        if let Ok(Value::Object(item)) = json::lenient(text) {
            self.items.entry(list.to_owned()).or_default().extend(item.into_iter().map(|(key, _)| key));
        }
    }

    /// True if the rest of the file cannot change what it is. TAO alone has tracks beside annotations.
    fn is_decided(&self) -> bool {
        let items = self.items.get("annotations");
        items.is_some_and(|keys| !keys.contains("track_id")) && self.keys.contains("images")
    }
}

/// The elements of an XML file.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Elements {
    /// The name of the outermost element, like all without a prefix of a namespace.
    pub(super) root: String,
    /// The names of the elements in it.
    pub(super) children: BTreeSet<String>,
}

/// Reads the structure of a file.
///
/// # Errors
/// If it cannot be read, or its text encoding cannot be detected.
pub(super) fn structure(path: &Path, texts: &Texts) -> Result<Structure, FormatError> {
    let reading = |error| FormatError::reading(path, error);
    let mut text = io::BufReader::new(texts.open(path)?);
    let start = loop {
        let buffer = text.fill_buf().map_err(reading)?;
        let Some(at) = buffer.iter().position(|byte| !byte.is_ascii_whitespace()) else {
            if buffer.is_empty() {
                return Ok(Structure::Other);
            }
            let n = buffer.len();
            text.consume(n);
            continue;
        };
        let start = buffer[at];
        text.consume(at);
        break start;
    };
    match start {
        b'{' | b'[' => Ok(Structure::Json(outline(text).map_err(reading)?)),
        b'<' => Ok(Structure::Xml(elements(text))),
        _ => Ok(Structure::Other),
    }
}

/// Reads the keys of a JSON file as far as it is not damaged.
fn outline(input: impl Read) -> io::Result<Outline> {
    /// Ends where nothing more is to be learned.
    struct Until<'a, R>(R, &'a Cell<bool>);
    impl<R: Read> Read for Until<'_, R> {
        fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
            if self.1.get() { Ok(0) } else { self.0.read(buffer) }
        }
    }
    let is_decided = Cell::new(false);
    let mut outline = Outline::default();
    let mut n_items: BTreeMap<String, usize> = BTreeMap::new();
    let ended = json::walk(Until(input, &is_decided), &mut |part| match part {
        json::Part::Key(key) => drop(outline.keys.insert(key.to_owned())),
        json::Part::Item { key, text } => {
            let n = n_items.entry(key.to_owned()).or_default();
            *n += 1;
            if *n <= ITEMS {
                outline.add_item(key, text);
                is_decided.set(outline.is_decided());
            }
        }
    });
    match ended {
        Err(json::Stop::Io(error)) => Err(error),
        _ => Ok(outline),
    }
}

/// Reads the names of the elements of an XML file as far as it is not damaged.
fn elements(input: impl io::BufRead) -> Elements {
    /// Children of CVAT's files and VOC's that leave no doubt.
    const DECISIVE: [&str; 3] = ["image", "track", "object"];
    let mut reader = Reader::from_reader(input);
    let mut found = Elements::default();
    let (mut depth, mut buffer) = (0_usize, Vec::new());
    while let Ok(event) = reader.read_event_into(&mut buffer) {
        let (name, is_start) = match &event {
            Event::Start(start) => (start.local_name().as_ref().to_vec(), true),
            Event::Empty(start) => (start.local_name().as_ref().to_vec(), false),
            Event::End(_) => {
                depth = depth.saturating_sub(1);
                continue;
            }
            Event::Eof => break,
            _ => continue,
        };
        let name = String::from_utf8_lossy(&name).into_owned();
        match depth {
            0 => found.root = name,
            1 => {
                let is_decisive = DECISIVE.contains(&&*name);
                found.children.insert(name);
                if is_decisive {
                    break;
                }
            }
            _ => {}
        }
        depth += usize::from(is_start);
        buffer.clear();
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::formats::tests::put;

    fn sniff(text: &str) -> Structure {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("file");
        put(&path, text);
        structure(&path, &Texts::new(folder.path(), None)).unwrap()
    }

    #[test]
    fn keys_are_found_wherever_they_are() {
        let images = r#"{"id": 1, "file_name": "x.jpg"},"#.repeat(50_000);
        let text = format!(
            "\u{feff}\n {{\"info\": {{}}, \"images\": [{}], \"annotations\": [{{\"bbox\": NaN, \"id\": 1}}]}}",
            images.trim_end_matches(',')
        );
        let Structure::Json(outline) = sniff(&text) else { panic!("it is JSON") };
        assert!(outline.has(&["info", "images", "annotations"]));
        assert!(outline.item_has("annotations", "bbox") && !outline.item_has("images", "bbox"));
        let Structure::Json(list) = sniff(r#"[{"image_id": 1}, 5, {"score": 2}]"#) else {
            panic!("it is JSON")
        };
        assert!(list.is_list_of(&["image_id", "score"]) && !list.has(&["image_id"]));
    }

    #[test]
    fn elements_are_found_behind_long_comments() {
        let text = format!(
            "<?xml version='1.0'?><!--{}--><annotations><meta><track/></meta><image/></annotations>",
            "x".repeat(100_000)
        );
        let Structure::Xml(elements) = sniff(&text) else { panic!("it is XML") };
        assert_eq!(elements.root, "annotations");
        assert!(elements.children.contains("image") && !elements.children.contains("track"));
    }

    #[test]
    fn other_files_have_no_structure() {
        for text in ["", " \n", "0 0.5 0.5 0.1 0.1\n", "names: [a]"] {
            assert_eq!(sniff(text), Structure::Other, "{text}");
        }
    }
}
