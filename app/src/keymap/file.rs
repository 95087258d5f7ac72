//! Key files: TOML that gives commands their keys, such as `accept = ["Enter", "F"]`.

use toml::{
    Spanned,
    de::{DeTable, DeValue},
};
use toml_edit::{Array, DocumentMut, Item, Value};

use super::{Shortcut, ShortcutError};
use crate::command::{CATALOG, Named};

/// The user's own key file, in the settings folder.
pub const FILE: &str = "keys.toml";

/// What is wrong in a key file; everything else in it counts.
#[derive(Debug, thiserror::Error)]
pub enum KeyFileError {
    /// A line that is not TOML.
    #[error("cannot read line {line} of the key file: {why}")]
    Damaged {
        /// From 1.
        line: usize,
        /// What is wrong with it.
        why: String,
    },
    /// No such command.
    #[error("there is no command '{name}'; did you mean '{nearest}'?")]
    UnknownCommand {
        /// What is written.
        name: String,
        /// The most similar name that there is.
        nearest: &'static str,
    },
    /// Neither a key nor a list of keys.
    #[error(r#"the keys of '{0}' are not written as "F" or ["F", "Enter"]"#)]
    NotKeys(&'static str),
    /// No such key.
    #[error("a key of '{command}' does not count: {why}")]
    NotAKey {
        /// Its command.
        command: &'static str,
        /// What is wrong with it.
        #[source]
        why: ShortcutError,
    },
    /// A key that an earlier line has.
    #[error("{key} does not count for '{command}', since '{earlier}' has it already")]
    Twice {
        /// The key.
        key: Shortcut,
        /// The command that does not get it.
        command: &'static str,
        /// The command that has it.
        earlier: &'static str,
    },
    /// The file cannot be changed as long as it is damaged.
    #[error("cannot change the key file before it is repaired: {}", .0.message())]
    Unchangeable(#[source] toml_edit::TomlError),
}

/// A line of a key file that could be read: from now on, a command has these keys.
pub(super) struct Line {
    pub(super) named: &'static Named,
    pub(super) keys: Vec<Shortcut>,
}

/// The readable lines of a key file from top to bottom, and what is wrong with the others.
pub(super) fn read(text: &str) -> (Vec<Line>, Vec<KeyFileError>) {
    let (text, mut errors) = without_damage(text);
    let table = DeTable::parse(&text).map(Spanned::into_inner).unwrap_or_default();
    let mut entries: Vec<_> = table.into_iter().collect();
    entries.sort_by_key(|(name, _)| name.span().start);
    let lines =
        entries.iter().filter_map(|(name, value)| read_line(name.get_ref(), value, &mut errors)).collect();
    (lines, errors)
}

/// A text as TOML: lines that keep it from being that are left empty, and what is wrong with them.
fn without_damage(text: &str) -> (String, Vec<KeyFileError>) {
    let mut lines: Vec<&str> = text.lines().collect();
    let mut errors = Vec::new();
    loop {
        let text = lines.join("\n");
        let Err(error) = DeTable::parse(&text) else { return (text, errors) };
        let before = error.span().unwrap_or_default().start;
        let at = text.bytes().take(before).filter(|&byte| byte == b'\n').count();
        // What is missing at the end of the text is missing in its last line.
        let damaged =
            (0..=at).rev().find(|&line| lines.get(line).is_some_and(|line| !line.trim().is_empty()));
        let Some(line) = damaged else { return (String::new(), errors) };
        errors.push(KeyFileError::Damaged { line: line + 1, why: error.message().to_owned() });
        lines[line] = "";
    }
}

/// What a line says; none, so that the command keeps its keys, if nothing in it can be read.
fn read_line(name: &str, value: &Spanned<DeValue<'_>>, errors: &mut Vec<KeyFileError>) -> Option<Line> {
    let Some(named) = CATALOG.iter().find(|named| named.name == name) else {
        errors.push(KeyFileError::UnknownCommand { name: name.to_owned(), nearest: nearest(name) });
        return None;
    };
    let command = named.name;
    let written = match value.get_ref() {
        DeValue::Array(values) => values.iter().collect(),
        _ => vec![value],
    };
    let mut keys = Vec::new();
    for value in &written {
        match value.get_ref().as_str().map(str::parse) {
            Some(Ok(key)) => keys.push(key),
            Some(Err(why)) => errors.push(KeyFileError::NotAKey { command, why }),
            None => errors.push(KeyFileError::NotKeys(command)),
        }
    }
    (!keys.is_empty() || written.is_empty()).then_some(Line { named, keys })
}

fn nearest(name: &str) -> &'static str {
    let all = CATALOG.iter().map(|named| named.name);
    all.min_by_key(|known| strsim::osa_distance(name, known)).expect("the catalog is not empty")
}

/// The text of a key file, changed so that a command has these keys and no other command has them; comments stay.
///
/// # Errors
/// If the text is not TOML.
pub fn set_keys(text: &str, named: &Named, keys: &[Shortcut]) -> Result<String, KeyFileError> {
    let mut file: DocumentMut = text.parse().map_err(KeyFileError::Unchangeable)?;
    let is_taken =
        |value: &Value| value.as_str().and_then(|key| key.parse().ok()).is_some_and(|k| keys.contains(&k));
    for (name, item) in file.iter_mut() {
        match item.as_value_mut() {
            _ if name == named.name => {}
            Some(Value::Array(array)) => array.retain(|value| !is_taken(value)),
            Some(value) if is_taken(value) => write(item, &[]),
            _ => {}
        }
    }
    write(&mut file[named.name], keys);
    Ok(file.to_string())
}

/// Puts keys in the place of a value, and leaves what is beside it.
fn write(item: &mut Item, keys: &[Shortcut]) {
    let mut value: Value = match keys {
        [key] => key.to_string().into(),
        _ => keys.iter().map(Shortcut::to_string).collect::<Array>().into(),
    };
    if let Some(old) = item.as_value() {
        *value.decor_mut() = old.decor().clone();
    }
    *item = value.into();
}
