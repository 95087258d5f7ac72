//! The lists of a JSON file, cut into their items without reading these, so that items can be read in any number at once and
//! a file costs no more memory than a piece of it.

use std::{borrow::Cow, io, ops::Range};

use serde::de::DeserializeOwned;
use serde_json::Value;

use super::{FormatError, Reading, dataset::Builder};

/// So much is read at once.
const PIECE: usize = 1 << 18;
/// Longer than any item of any file: what has no end before is damaged.
const LONGEST: usize = 1 << 30;

/// An item of a list.
pub(super) struct Cut<'a> {
    /// The key of the list; empty if the file is a list.
    pub(super) key: &'a str,
    /// The item's text.
    pub(super) text: &'a [u8],
    /// Its line, from 1.
    pub(super) line: usize,
}

/// Items of a list that follow each other.
#[derive(Default)]
pub(super) struct Piece {
    /// The key of the list; empty if the file is a list.
    pub(super) key: String,
    /// A part of the file.
    text: Vec<u8>,
    /// Where in the text each item is, and its line.
    items: Vec<(Range<usize>, usize)>,
}

impl Piece {
    pub(super) fn items(&self) -> impl ExactSizeIterator<Item = Cut<'_>> {
        let item = |(place, line): &(Range<usize>, usize)| Cut {
            key: &self.key,
            text: &self.text[place.clone()],
            line: *line,
        };
        self.items.iter().map(item)
    }
}

/// Why a file is not read to its end.
pub(super) enum Stop {
    /// It is no JSON from this line on.
    Damaged { line: usize, why: &'static str },
    /// It cannot be read, or who reads it wants no more.
    Io(io::Error),
}

impl From<io::Error> for Stop {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

/// Gives the items of all lists at the top of a file in their order, piece by piece. Of lists whose keys are not wanted,
/// and of what is no list, nothing is given.
pub(super) fn cut_lists(
    input: impl io::Read,
    wanted: &[&'static str],
    give: &mut dyn FnMut(Piece),
) -> Result<(), Stop> {
    let mut cutter = Cutter { input, give, piece: Piece::default(), begin: 0, at: 0, line: 1 };
    let cut = cutter.top(&mut |key| wanted.contains(&key));
    // What was cut before damage counts.
    cutter.hand_over();
    cut
}

/// A part of a file's outermost object or list.
pub(super) enum Part<'a> {
    /// A key of the object.
    Key(&'a str),
    /// An item of the list of a key; the key is empty if the file is a list.
    Item { key: &'a str, text: &'a [u8] },
}

/// Gives all keys at the top of a file and all items of its lists.
pub(super) fn walk(input: impl io::Read, found: &mut dyn FnMut(Part<'_>)) -> Result<(), Stop> {
    let found = std::cell::RefCell::new(found);
    let mut give = |piece: Piece| {
        let mut found = found.borrow_mut();
        piece.items().for_each(|cut| found(Part::Item { key: &piece.key, text: cut.text }));
    };
    let mut cutter = Cutter { input, give: &mut give, piece: Piece::default(), begin: 0, at: 0, line: 1 };
    let walked = cutter.top(&mut |key| {
        (found.borrow_mut())(Part::Key(key));
        true
    });
    cutter.hand_over();
    walked
}

/// Parses JSON in which numbers may be `NaN` and `Infinity`, as Python writes them: these are read as null.
///
/// # Errors
/// As [`serde_json::from_slice`].
pub(super) fn lenient<T: DeserializeOwned>(text: &[u8]) -> serde_json::Result<T> {
    serde_json::from_slice(text).or_else(|error| match without_nan(text) {
        Cow::Owned(text) => serde_json::from_slice(&text),
        Cow::Borrowed(_) => Err(error),
    })
}

/// Writes `null` for `NaN`, `Infinity` and `-Infinity`, which Python writes and JSON lacks.
fn without_nan(text: &[u8]) -> Cow<'_, [u8]> {
    const NAMES: [&[u8]; 3] = [b"NaN", b"-Infinity", b"Infinity"];
    let mut replaced = Vec::new();
    let (mut at, mut kept) = (0, 0);
    while let Some(n) = text[at..].iter().position(|byte| matches!(byte, b'"' | b'N' | b'I' | b'-')) {
        at += n;
        let rest = &text[at..];
        if rest[0] == b'"' {
            at += 1;
            while let Some(n) = memchr::memchr2(b'"', b'\\', &text[at..]) {
                let is_end = text[at + n] == b'"';
                at = (at + n + if is_end { 1 } else { 2 }).min(text.len());
                if is_end {
                    break;
                }
            }
            if text.get(at - 1) != Some(&b'"') {
                break;
            }
        } else if let Some(name) = NAMES.iter().find(|name| rest.starts_with(name)) {
            replaced.extend_from_slice(&text[kept..at]);
            replaced.extend_from_slice(b"null");
            at += name.len();
            kept = at;
        } else {
            at += 1;
        }
    }
    if kept == 0 {
        return text.into();
    }
    replaced.extend_from_slice(&text[kept..]);
    replaced.into()
}

/// Parses an item of a list; see [`lenient`].
///
/// # Errors
/// As a sentence.
pub(super) fn parse<T: DeserializeOwned>(text: &[u8]) -> Result<T, String> {
    lenient(text).map_err(|error| error.to_string())
}

/// Parses a file as far as it is not damaged or cut: the second value says where and why it ends too early, if it does. What
/// lies before is kept up to the last complete value of the outermost object, or of a list in it.
///
/// # Errors
/// As [`serde_json::from_slice`], if there is no such value.
pub(super) fn parse_start(text: &[u8]) -> serde_json::Result<(Value, Option<String>)> {
    let error = match lenient(text) {
        Ok(value) => return Ok((value, None)),
        Err(error) => error,
    };
    let text = without_nan(text);
    let Err(place) = serde_json::from_slice::<Value>(&text) else { return Err(error) };
    let begin = memchr::memchr_iter(b'\n', &text).nth(place.line().wrapping_sub(2)).map_or(0, |at| at + 1);
    let good =
        if place.is_eof() { text.len() } else { (begin + place.column().saturating_sub(1)).min(text.len()) };
    match serde_json::from_slice(&closed(&text[..good])) {
        Ok(value) => Ok((value, Some(place.to_string()))),
        Err(_) => Err(error),
    }
}

/// Returns JSON that ends too early up to its last complete value at the top or in a list there, with what closes it.
fn closed(text: &[u8]) -> Vec<u8> {
    let (mut around, mut end, mut closing): (Vec<u8>, usize, Vec<u8>) = (Vec::new(), 0, Vec::new());
    let (mut is_text, mut is_escaped) = (false, false);
    for (at, byte) in text.iter().enumerate() {
        match byte {
            _ if is_escaped => is_escaped = false,
            b'\\' if is_text => is_escaped = true,
            b'"' => is_text = !is_text,
            _ if is_text => {}
            b'{' => around.push(b'}'),
            b'[' => around.push(b']'),
            b',' | b'}' | b']' => {
                let is_end = *byte != b',';
                if is_end {
                    around.pop();
                }
                if around.len() < 2 || around.len() == 2 && around[1] == b']' {
                    end = at + usize::from(is_end);
                    closing.clone_from(&around);
                }
            }
            _ => {}
        }
    }
    let mut all = text[..end].to_vec();
    all.extend(closing.into_iter().rev());
    all
}

/// Reads the lists of a file for a builder: `take` takes an item of a list in, and what it cannot read is refused with its
/// line, as is what follows damage.
pub(super) fn read_lists(
    reading: &Reading<'_>,
    wanted: &[&'static str],
    builder: &mut Builder,
    take: &mut dyn FnMut(&Cut<'_>, &mut Builder) -> Result<(), String>,
) -> Result<(), FormatError> {
    let text = Metered::open(reading)?;
    let stop = cut_lists(text, wanted, &mut |piece| {
        for cut in piece.items() {
            if let Err(error) = take(&cut, builder) {
                builder.refuse(format_args!("what is on line {}", cut.line), error);
            }
        }
    });
    match stop {
        Ok(()) => {}
        Err(Stop::Io(error)) => return Err(FormatError::reading(reading.path, error)),
        Err(Stop::Damaged { line, why }) => builder.refuse(format_args!("what follows line {line}"), why),
    }
    Ok(())
}

/// The text of a file, which reports how far it is read.
pub(super) struct Metered<'a> {
    text: Box<dyn io::Read + Send>,
    done: usize,
    /// Bytes of the file.
    pub(super) total: usize,
    progress: &'a dyn Fn(usize, usize) -> bool,
}

impl<'a> Metered<'a> {
    pub(super) fn open(reading: &Reading<'a>) -> Result<Self, FormatError> {
        let text = Box::new(reading.texts.open(reading.path)?);
        let total = reading.path.metadata().map_or(0, |metadata| metadata.len() as usize);
        Ok(Self { text, done: 0, total, progress: reading.progress })
    }
}

impl io::Read for Metered<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if !(self.progress)(self.done.min(self.total), self.total) {
            return Err(io::Error::other(FormatError::Canceled));
        }
        let n = self.text.read(buffer)?;
        self.done += n;
        Ok(n)
    }
}

struct Cutter<'a, R> {
    input: R,
    give: &'a mut dyn FnMut(Piece),
    /// The piece in the making, whose text is what is read of the file and not yet given.
    piece: Piece,
    /// Where in the text begins what is not yet cut.
    begin: usize,
    /// The next character in the text.
    at: usize,
    line: usize,
}

impl<R: io::Read> Cutter<'_, R> {
    fn damaged(&self, why: &'static str) -> Stop {
        Stop::Damaged { line: self.line, why }
    }

    /// Gives what is cut; what is not stays.
    fn hand_over(&mut self) {
        if self.begin == 0 {
            return;
        }
        let text = self.piece.text.split_off(self.begin);
        let next = Piece { key: self.piece.key.clone(), text, items: Vec::new() };
        let piece = std::mem::replace(&mut self.piece, next);
        self.at -= std::mem::take(&mut self.begin);
        if !piece.items.is_empty() {
            (self.give)(piece);
        }
    }

    /// Reads more; false at the end of the file.
    fn fill(&mut self) -> Result<bool, Stop> {
        self.hand_over();
        let text = &mut self.piece.text;
        let n = text.len();
        text.resize(n + PIECE, 0);
        let n_new = self.input.read(&mut text[n..])?;
        text.truncate(n + n_new);
        Ok(n_new > 0)
    }

    /// The next character that is no space, which is not taken.
    fn peek(&mut self) -> Result<Option<u8>, Stop> {
        loop {
            while let Some(&byte) = self.piece.text.get(self.at) {
                match byte {
                    b'\n' => self.line += 1,
                    b' ' | b'\t' | b'\r' => {}
                    // A mark of the order of bytes, which some programs put at the start.
                    0xef | 0xbb | 0xbf if self.line == 1 => {}
                    _ => return Ok(Some(byte)),
                }
                self.at += 1;
            }
            self.begin = self.at;
            if !self.fill()? {
                return Ok(None);
            }
        }
    }

    /// The next character that is no space.
    fn next_sign(&mut self) -> Result<u8, Stop> {
        let sign = self.peek()?.ok_or_else(|| self.damaged("it ends too early"))?;
        self.at += 1;
        Ok(sign)
    }

    /// All that the file holds; lists are cut whose keys are wanted.
    fn top(&mut self, is_wanted: &mut dyn FnMut(&str) -> bool) -> Result<(), Stop> {
        match self.next_sign()? {
            b'[' => self.list("")?,
            b'{' => self.object(is_wanted)?,
            _ => return Err(self.damaged("it is neither an object nor a list")),
        }
        match self.peek()? {
            None => Ok(()),
            Some(_) => Err(self.damaged("something follows its end")),
        }
    }

    fn object(&mut self, is_wanted: &mut dyn FnMut(&str) -> bool) -> Result<(), Stop> {
        if self.peek()? == Some(b'}') {
            self.at += 1;
            return Ok(());
        }
        loop {
            self.peek()?;
            let text = self.value()?;
            let Ok(key) = serde_json::from_slice::<String>(&self.piece.text[text]) else {
                return Err(self.damaged("a name is no text in quotes"));
            };
            if self.next_sign()? != b':' {
                return Err(self.damaged("a name has no value"));
            }
            match (is_wanted(&key), self.peek()?) {
                (true, Some(b'[')) => {
                    self.at += 1;
                    self.list(&key)?;
                }
                _ => {
                    self.value()?;
                }
            }
            match self.next_sign()? {
                b',' => {}
                b'}' => return Ok(()),
                _ => return Err(self.damaged("a comma is missing")),
            }
        }
    }

    fn list(&mut self, key: &str) -> Result<(), Stop> {
        // A piece is of one list.
        self.begin = self.at;
        self.hand_over();
        self.piece.key = key.to_owned();
        if self.peek()? == Some(b']') {
            self.at += 1;
            return Ok(());
        }
        loop {
            self.peek()?;
            let line = self.line;
            let text = self.value()?;
            self.piece.items.push((text, line));
            self.begin = self.at;
            match self.next_sign()? {
                b',' => {}
                b']' => return Ok(()),
                _ => return Err(self.damaged("a comma is missing")),
            }
        }
    }

    /// Where the value that begins here is in the text; it is then taken.
    fn value(&mut self) -> Result<Range<usize>, Stop> {
        self.begin = self.at;
        let mut depth = 0_usize;
        loop {
            let rest = self.piece.text.get(self.at..).unwrap_or_default();
            let Some(n) = rest.iter().position(|byte| IS_SIGN[usize::from(*byte)]) else {
                self.at = self.piece.text.len();
                // A number at the end of a file ends with it.
                if self.piece.text.len() - self.begin > LONGEST || !self.fill()? {
                    return Err(self.damaged("it ends too early"));
                }
                continue;
            };
            self.at += n;
            match rest[n] {
                b'"' => {
                    self.text()?;
                    if depth == 0 {
                        break;
                    }
                    continue;
                }
                b'{' | b'[' => depth += 1,
                b'}' | b']' if depth == 0 => break,
                b'}' | b']' => {
                    depth -= 1;
                    if depth == 0 {
                        self.at += 1;
                        break;
                    }
                }
                b'\n' => self.line += 1,
                // A comma or a colon.
                _ if depth == 0 => break,
                _ => {}
            }
            self.at += 1;
        }
        if self.at == self.begin {
            return Err(self.damaged("a value is missing"));
        }
        Ok(self.begin..self.at)
    }

    /// Goes behind the quotes of a text.
    fn text(&mut self) -> Result<(), Stop> {
        self.at += 1;
        loop {
            let rest = self.piece.text.get(self.at..).unwrap_or_default();
            match memchr::memchr2(b'"', b'\\', rest) {
                Some(n) if rest[n] == b'"' => {
                    self.at += n + 1;
                    return Ok(());
                }
                // What follows a backslash is no end.
                Some(n) => self.at += n + 2,
                None => {
                    self.at = self.at.max(self.piece.text.len());
                    if self.piece.text.len() - self.begin > LONGEST || !self.fill()? {
                        return Err(self.damaged("it ends within a text"));
                    }
                }
            }
        }
    }
}

/// What is not passed over in a value.
const IS_SIGN: [bool; 256] = {
    let mut is_sign = [false; 256];
    let (signs, mut i) = (b"\"{}[],:\n", 0);
    while i < signs.len() {
        is_sign[signs[i] as usize] = true;
        i += 1;
    }
    is_sign
};

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    /// The items of the list `a`, read a few bytes at a time.
    fn items(text: &str, at_once: usize) -> Result<Vec<(Value, usize)>, usize> {
        struct Slow<'a>(&'a [u8], usize);
        impl io::Read for Slow<'_> {
            fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
                let n = self.1.min(self.0.len());
                buffer[..n].copy_from_slice(&self.0[..n]);
                self.0 = &self.0[n..];
                Ok(n)
            }
        }
        let mut items = Vec::new();
        let cut = cut_lists(Slow(text.as_bytes(), at_once), &["a"], &mut |piece| {
            let item = |Cut { text, line, .. }: Cut<'_>| (serde_json::from_slice(text).unwrap(), line);
            items.extend(piece.items().map(item));
        });
        match cut {
            Ok(()) => Ok(items),
            Err(Stop::Damaged { line, .. }) => Err(line),
            Err(Stop::Io(error)) => panic!("{error}"),
        }
    }

    #[test]
    fn items_are_told_with_their_lines() {
        let text = "\u{feff}{\"b\": [{\"a\": [1]}], \"a\":\n[1,\n {\"x\": \"]}\\\"\"}, \"é\", [[]],\n-2.5e3 , null]\n}\n";
        let want = vec![
            (json!(1), 2),
            (json!({"x": "]}\""}), 3),
            (json!("é"), 3),
            (json!([[]]), 3),
            (json!(-2500.0), 4),
            (json!(null), 4),
        ];
        for at_once in [1, 2, 7, 1000] {
            assert_eq!(items(text, at_once).as_ref(), Ok(&want));
        }
        assert_eq!(items("[]", 9), Ok(vec![]));
        assert_eq!(items("{}", 9), Ok(vec![]));
    }

    #[test]
    fn damage_is_told_with_its_line() {
        for text in ["", "1", "{\n\"a\": [1, 2", "{\n\"a\" [1]}", "{\n\"a\": [\"x]}", "{\n\"a\": [,]}"] {
            assert_eq!(items(text, 3), Err(1 + text.matches('\n').count()), "{text}");
        }
        assert_eq!(items("[1]\n]", 3), Err(2));
    }

    #[test]
    fn complete_values_before_damage_are_kept() {
        let whole = r#"{"a": [{"b": [1, 2]}, {"b": [3, "]"]}], "c": {"d": 1}, "e": 5}"#;
        for (text, want) in [
            (whole, whole),
            (r#"{"a": [{"b": [1, 2]}, {"b": [3"#, r#"{"a": [{"b": [1, 2]}]}"#),
            (r#"{"a": [{"b": [NaN, 2]}, {"b": [3, "]"]}"#, r#"{"a": [{"b": [null, 2]}, {"b": [3, "]"]}]}"#),
            ("{\"a\": [1,\n2], \"c\": {\"d\": 1, ", r#"{"a": [1, 2]}"#),
            ("{\"a\": [1,\n2, }, 3], \"c\": 5}", r#"{"a": [1, 2]}"#),
            (r#"{"a": "x,", "c": 5"#, r#"{"a": "x,"}"#),
            (r#"{"a": 1} rest"#, r#"{"a": 1}"#),
        ] {
            let (value, damage) = parse_start(text.as_bytes()).unwrap();
            assert_eq!(value, serde_json::from_str::<Value>(want).unwrap(), "{text}");
            assert_eq!(damage.is_some(), text != whole, "{text}: {damage:?}");
        }
        for text in ["", "{", r#"{"a": 1"#, "x"] {
            assert!(parse_start(text.as_bytes()).is_err(), "{text}");
        }
    }

    proptest! {
        #[test]
        fn start_of_any_json_is_part_of_it(at in 0..62_usize) {
            let whole = r#"{"a": [{"b": [1, 2]}, {"b": [3, "]"]}], "c": {"d": 1}, "e": 5}"#;
            let all: Value = serde_json::from_str(whole).unwrap();
            if let Ok((Value::Object(start), _)) = parse_start(&whole.as_bytes()[..at]) {
                for (key, value) in start {
                    let is_part = match (value.as_array(), all[&key].as_array()) {
                        (Some(part), Some(list)) => list.starts_with(part),
                        _ => value == all[&key],
                    };
                    prop_assert!(is_part, "{}", value);
                }
            }
        }

        #[test]
        fn any_text_ends(text in "[\\[\\]{}\",:a1\\\\ \n]{0,30}", at_once in 1..9_usize) {
            let whole: Option<Value> = serde_json::from_str(&text).ok();
            let listed = |value: &Value| value.get("a").unwrap_or(value).as_array().cloned();
            let cut = std::panic::catch_unwind(|| items(&text, at_once));
            if let Some(want) = whole.as_ref().and_then(listed) {
                let got: Vec<Value> = cut.unwrap().unwrap().into_iter().map(|(item, _)| item).collect();
                prop_assert_eq!(got, want);
            }
        }
    }
}
