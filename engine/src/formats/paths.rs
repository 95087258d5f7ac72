//! Finding the file that a label file means by a path, among paths that were written elsewhere.
//!
//! Paths agree if their last names do: in composed or decomposed Unicode, any case, percent-encoded or not, with or without
//! suffix, with frame numbers padded or not. Of several candidates the one whose folders agree furthest up is meant.

use std::{borrow::Cow, collections::HashMap};

use percent_encoding::percent_decode_str;
use unicode_normalization::{UnicodeNormalization as _, is_nfc};

/// Returns a path in composed Unicode, with `/` between its names, and neither `.` nor `..` where these can be resolved.
pub(super) fn normalized(path: &str) -> String {
    composed(&resolved(path)).into_owned()
}

/// Returns text in composed Unicode.
pub(super) fn composed(text: &str) -> Cow<'_, str> {
    if is_nfc(text) { text.into() } else { text.nfc().collect() }
}

/// Returns a path with `/` between its names, and neither `.` nor `..` where these can be resolved.
pub(super) fn resolved(path: &str) -> String {
    let path = path.replace('\\', "/");
    let mut names: Vec<&str> = Vec::new();
    for name in path.split('/') {
        match name {
            "" | "." => {}
            ".." if names.last().is_some_and(|last| *last != "..") => drop(names.pop()),
            _ => names.push(name),
        }
    }
    let root = if path.starts_with('/') { "/" } else { "" };
    format!("{root}{}", names.join("/"))
}

/// A path without what follows the last dot of its last name.
pub(super) fn without_suffix(path: &str) -> &str {
    let name = path.rfind(['/', '\\']).map_or(0, |at| at + 1);
    // A name that begins with a dot has no suffix.
    match path[name..].rfind('.').filter(|at| *at > 0) {
        Some(dot) => &path[..name + dot],
        None => path,
    }
}

/// The last name of a path.
pub(super) fn last_name(path: &str) -> &str {
    path.rsplit(['/', '\\']).next().unwrap_or(path)
}

/// The folder and the last name of a path.
pub(super) fn split(path: &str) -> (&str, &str) {
    path.rsplit_once(['/', '\\']).unwrap_or(("", path))
}

/// The path that a label file in `folder` means by `path`, normalized.
pub(super) fn joined(folder: &str, path: &str) -> String {
    let is_absolute = path.starts_with(['/', '\\']) || path.as_bytes().get(1) == Some(&b':');
    if is_absolute || folder.is_empty() { normalized(path) } else { normalized(&format!("{folder}/{path}")) }
}

/// Paths that can be found by other spellings of them.
#[derive(Debug, Default)]
pub(super) struct PathIndex {
    paths: Vec<String>,
    by_key: HashMap<String, Vec<(u32, Agreement)>, foldhash::fast::RandomState>,
}

/// How well two last names agree; the best is the last.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Agreement {
    /// But for zeros before numbers and a suffix that one of them lacks.
    NumbersStem,
    /// But for zeros before numbers.
    Numbers,
    /// But for a suffix that one of them lacks.
    Stem,
    /// But for case or percent-encoding.
    Folded,
    Exact,
}

/// The outcome of a search.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Found {
    Nothing,
    /// The place of a path, and how far it agrees.
    One(usize, Rank),
    /// Several paths agree equally well; the places of two of them.
    Several(usize, usize),
}

/// How far two paths agree: the number of last names, how well the very last agrees, and the number of last names that are the
/// same to the letter.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Rank(usize, Agreement, usize);

impl Rank {
    /// The rank of the very path.
    pub(super) const WHOLE: Self = Self(usize::MAX, Agreement::Exact, usize::MAX);

    /// True if the paths are the same, but maybe for a suffix that one of them lacks.
    pub(super) fn is_whole(self) -> bool {
        self.0 == usize::MAX
    }

    /// True if nothing but the last names agree.
    pub(super) fn is_by_last_name(self) -> bool {
        self.0 == 1
    }

    /// True if the last names agree in more than their numbers.
    pub(super) fn is_by_name(self) -> bool {
        self.1 >= Agreement::Stem
    }
}

impl Found {
    /// The place of the path that is meant without doubt.
    pub(super) fn one(self) -> Option<usize> {
        if let Self::One(place, _) = self { Some(place) } else { None }
    }
}

impl PathIndex {
    /// Indexes paths.
    pub(super) fn new(paths: impl IntoIterator<Item = String>) -> Self {
        let mut index = Self::default();
        for path in paths {
            let path = normalized(&path);
            let place = index.paths.len() as u32;
            let mut keys: Vec<String> = Vec::new();
            for (key, agreement) in keys_of(last_name(&path)) {
                if !keys.contains(&key) {
                    index.by_key.entry(key.clone()).or_default().push((place, agreement));
                    keys.push(key);
                }
            }
            index.paths.push(path);
        }
        index
    }

    /// The path at a place, normalized.
    pub(super) fn path(&self, place: usize) -> &str {
        &self.paths[place]
    }

    /// Finds the path that is meant by another spelling of it.
    pub(super) fn find(&self, path: &str) -> Found {
        let path = normalized(path);
        let name = last_name(&path);
        let mut best = Found::Nothing;
        let mut highest = None;
        let decoded = percent_decode_str(&path).decode_utf8().ok().filter(|decoded| *decoded != path);
        for (key, own) in keys_of(name) {
            for &(place, agreement) in self.by_key.get(&key).into_iter().flatten() {
                let other = &self.paths[place as usize];
                // Suffixes that differ are different files.
                if own == agreement && matches!(own, Agreement::Stem | Agreement::NumbersStem) {
                    continue;
                }
                let agreement = if last_name(other) == name {
                    Agreement::Exact
                } else {
                    own.min(agreement).min(Agreement::Folded)
                };
                if are_of_other_splits(&path, other) {
                    continue;
                }
                let shared = n_shared(&path, other);
                let shared =
                    decoded.as_deref().map_or(shared, |decoded| shared.max(n_shared(decoded, other)));
                let is_same = *other == path || without_suffix(other) == path;
                let same = path.rsplit('/').zip(other.rsplit('/')).take_while(|(a, b)| a == b).count();
                let rank = Rank(if is_same { usize::MAX } else { shared }, agreement, same);
                let place = place as usize;
                match best {
                    _ if Some(rank) > highest => (best, highest) = (Found::One(place, rank), Some(rank)),
                    Found::One(known, _) if Some(rank) == highest && known != place => {
                        best = Found::Several(known, place);
                    }
                    _ => {}
                }
            }
        }
        best
    }
}

/// True if both paths lie in a folder of a split, and the splits differ. Data sets have images of the same names in each.
fn are_of_other_splits(a: &str, b: &str) -> bool {
    let split = |path: &str| path.rsplit('/').skip(1).find_map(split_named);
    split(a).zip(split(b)).is_some_and(|(a, b)| a != b)
}

/// Returns the split that the name of a folder, or a part of a file's name, stands for: `val` of `val2017`.
pub(super) fn split_named(name: &str) -> Option<&'static str> {
    match name.to_lowercase().trim_end_matches(|c: char| c.is_ascii_digit()) {
        "train" | "training" => Some("train"),
        "val" | "valid" | "validation" => Some("val"),
        "test" | "testing" => Some("test"),
        _ => None,
    }
}

/// The spellings under which a last name is found, best first.
fn keys_of(name: &str) -> impl Iterator<Item = (String, Agreement)> {
    let folded = folded(name);
    let stem = without_suffix(&folded).to_owned();
    let numbers = without_padding(&folded);
    let bare_numbers = without_padding(&stem);
    let spellings = [
        (folded, Agreement::Exact),
        (stem, Agreement::Stem),
        (format!("#{numbers}"), Agreement::Numbers),
        (format!("#{bare_numbers}"), Agreement::NumbersStem),
    ];
    spellings.into_iter()
}

fn folded(name: &str) -> String {
    let decoded = percent_decode_str(name).decode_utf8();
    decoded.map_or_else(|_| name.to_lowercase(), |decoded| decoded.nfc().collect::<String>().to_lowercase())
}

/// A name without the zeros before its numbers.
fn without_padding(name: &str) -> String {
    let mut text = String::with_capacity(name.len());
    let mut rest = name;
    while let Some(at) = rest.find(|c: char| c.is_ascii_digit()) {
        text.push_str(&rest[..at]);
        let n = rest[at..].bytes().take_while(u8::is_ascii_digit).count();
        let digits = rest[at..at + n].trim_start_matches('0');
        text.push_str(if digits.is_empty() { "0" } else { digits });
        rest = &rest[at + n..];
    }
    text.push_str(rest);
    text
}

/// The number of last names that two paths share, the very last not compared.
fn n_shared(a: &str, b: &str) -> usize {
    let folders = |path: &str| split(path).0.to_owned();
    let (a, b) = (folders(a), folders(b));
    let alike = |(a, b): &(&str, &str)| a == b || folded(a) == folded(b);
    let names = a.rsplit('/').zip(b.rsplit('/')).take_while(|pair| !pair.0.is_empty() && alike(pair));
    1 + names.count()
}
