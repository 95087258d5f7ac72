//! Messages on many items, repeated ones grouped: the first three, then a count.

use std::{
    collections::HashMap,
    fmt::{self, Write as _},
    path::Path,
};

/// Messages of one kind are listed up to this number, and counted beyond.
const LISTED: usize = 3;
/// Reasons beyond this number are one group.
const MOST_GROUPS: usize = 1000;

/// Messages on many items, grouped by their reason.
#[derive(Clone, Debug, Default)]
pub struct Messages {
    groups: Vec<Group>,
    /// Places of the groups by what their messages share.
    by_reason: HashMap<String, usize, foldhash::fast::RandomState>,
}

#[derive(Clone, Debug)]
enum Group {
    /// The first messages, the reason of the first one, the number of all, and true if all have that very reason.
    Listed { first: Vec<String>, reason: String, n: usize, is_same: bool },
    /// A number of items that are called like this, and what holds for all of them.
    Counted { kind: String, reason: String, n: usize },
}

impl Messages {
    /// Adds that an item is not taken.
    pub(crate) fn refuse(&mut self, item: impl fmt::Display, why: impl fmt::Display) {
        let why = why.to_string();
        self.add(format!("{item} is not taken: {why}"), why);
    }

    /// Adds a remark on an item.
    pub(crate) fn remark(&mut self, item: impl fmt::Display, remark: impl fmt::Display) {
        let remark = remark.to_string();
        self.add(format!("{item}: {remark}"), remark);
    }

    /// Adds a message that stands for itself.
    pub(crate) fn say(&mut self, message: impl fmt::Display) {
        let message = message.to_string();
        self.add(message.clone(), message);
    }

    /// Adds a message; those of the same reason, numbers aside, are one group.
    pub(crate) fn add(&mut self, message: String, reason: String) {
        let (message, reason) = (bounded(message), bounded(reason));
        let place = self.place(&reason, || Group::Listed {
            first: Vec::new(),
            reason: reason.clone(),
            n: 0,
            is_same: true,
        });
        if let Group::Listed { first, n, reason: known, is_same } = &mut self.groups[place] {
            *n += 1;
            *is_same &= *known == reason;
            if first.len() < LISTED {
                first.push(message);
            }
        }
    }

    /// Counts an item of a kind (a singular noun, such as "skeleton") of which `reason` holds.
    pub(crate) fn count(&mut self, kind: &str, reason: &str) {
        self.count_many(kind, reason, 1);
    }

    /// Counts several items; see [`Self::count`].
    pub(crate) fn count_many(&mut self, kind: &str, reason: &str, n_more: usize) {
        if n_more == 0 {
            return;
        }
        let key = format!("{kind}\n{reason}");
        let new = || Group::Counted { kind: kind.to_owned(), reason: reason.to_owned(), n: 0 };
        let place = self.place(&key, new);
        if let Group::Counted { n, .. } = &mut self.groups[place] {
            *n += n_more;
        }
    }

    fn place(&mut self, reason: &str, new: impl FnOnce() -> Group) -> usize {
        let Self { groups, by_reason } = self;
        let is_room = groups.len() < MOST_GROUPS;
        let reason = if is_room { without_numbers(reason) } else { String::new() };
        *by_reason.entry(reason).or_insert_with(|| {
            groups.push(new());
            groups.len() - 1
        })
    }

    /// The number of items that messages were added for.
    pub fn len(&self) -> usize {
        let n = |group: &Group| match group {
            Group::Listed { n, .. } | Group::Counted { n, .. } => *n,
        };
        self.groups.iter().map(n).sum()
    }

    /// True if there are none.
    pub fn is_empty(&self) -> bool {
        self.groups.is_empty()
    }

    /// The sentences to show, in the order in which their groups began.
    pub fn sentences(&self) -> Vec<String> {
        let mut all = Vec::new();
        for group in &self.groups {
            match group {
                Group::Listed { first, reason, n, is_same } => {
                    all.extend(first.iter().cloned());
                    let n_more = n - first.len();
                    match n_more {
                        0 => {}
                        _ if *is_same => all.push(format!("{n_more} more: {reason}")),
                        _ => all.push(format!("{n_more} more like this")),
                    }
                }
                Group::Counted { kind, reason, n } => all.push(format!("{}: {reason}", counted(*n, kind))),
            }
        }
        all
    }

    /// Returns the same messages with the name of the file that they are on before each.
    #[must_use]
    pub(crate) fn on_file(mut self, name: &str) -> Self {
        for group in &mut self.groups {
            if let Group::Listed { first, .. } = group {
                first.iter_mut().for_each(|message| *message = format!("{name}: {message}"));
            }
        }
        self
    }

    /// Adds all messages of another data set.
    pub(crate) fn extend(&mut self, other: Self) {
        for group in other.groups {
            match group {
                Group::Counted { kind, reason, n } => self.count_many(&kind, &reason, n),
                Group::Listed { first, reason, n, is_same } => {
                    let n_unlisted = n - first.len();
                    first.into_iter().for_each(|message| self.add(message, reason.clone()));
                    let place = self.place(&reason, || Group::Listed {
                        first: Vec::new(),
                        reason: reason.clone(),
                        n: 0,
                        is_same,
                    });
                    if let Group::Listed { n, is_same: all_same, .. } = &mut self.groups[place] {
                        *n += n_unlisted;
                        *all_same &= is_same;
                    }
                }
            }
        }
    }
}

/// "1 image", "2 images".
pub fn counted(n: usize, noun: &str) -> String {
    let plural = match n {
        1 => "",
        _ if noun.ends_with(['s', 'x']) => "es",
        _ => "s",
    };
    format!("{n} {noun}{plural}")
}

/// Equal messages read the same.
impl PartialEq for Messages {
    fn eq(&self, other: &Self) -> bool {
        self.sentences() == other.sentences()
    }
}

impl Eq for Messages {}

/// A reason with `#` for each number, so that reasons that differ only in numbers are one kind.
fn without_numbers(reason: &str) -> String {
    let mut text = String::with_capacity(reason.len());
    let mut is_number = false;
    for c in reason.chars() {
        if !c.is_ascii_digit() {
            text.push(c);
        } else if !is_number {
            text.push('#');
        }
        is_number = c.is_ascii_digit() || is_number && c == '.';
    }
    text
}

impl fmt::Display for Messages {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, sentence) in self.sentences().iter().enumerate() {
            if i > 0 {
                f.write_char('\n')?;
            }
            f.write_str(sentence)?;
        }
        Ok(())
    }
}

/// Returns the note on a file of others that an output took the place of.
pub fn kept_note(kept: &Path) -> String {
    format!("the file that was there is kept as {}", kept.display())
}

/// Returns the first characters of a text, with an ellipsis if there are more.
pub(crate) fn shortened(text: &str, n_characters: usize) -> String {
    if text.chars().count() <= n_characters {
        return text.to_owned();
    }
    text.chars().take(n_characters - 1).chain(['…']).collect()
}

/// Maximum number of characters of a message to users: names and values in it may be of any length.
const MAX_MESSAGE: usize = 300;

/// Returns a message, without its middle if it is long: what failed is at its start, the file at its end.
pub fn bounded(message: String) -> String {
    const END: usize = 120;
    let n = message.chars().count();
    if n <= MAX_MESSAGE {
        return message;
    }
    let start = message.chars().take(MAX_MESSAGE - END - 1).chain(['…']);
    start.chain(message.chars().skip(n - END)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_messages_keep_their_start_and_their_end() {
        let long = format!("cannot read {}: it is empty: /a/b.png", "é".repeat(1000));
        let short = bounded(long.clone());
        assert_eq!(short.chars().count(), MAX_MESSAGE);
        assert!(short.starts_with("cannot read é") && short.ends_with(": it is empty: /a/b.png"));
        assert_eq!(bounded(long[..20].to_owned()), long[..20]);
    }

    #[test]
    fn repeated_messages_are_three_and_a_count() {
        let mut messages = Messages::default();
        for i in 1..=9 {
            messages.refuse(format_args!("line {i}"), format_args!("{}.5 is no class", i * 10));
        }
        messages.count("skeleton", "keypoints are not supported");
        messages.count("skeleton", "keypoints are not supported");
        let mut again = messages.clone();
        again.extend(messages.clone());
        assert_eq!((messages.len(), again.len()), (11, 22));
        let want = [
            "line 1 is not taken: 10.5 is no class",
            "line 2 is not taken: 20.5 is no class",
            "line 3 is not taken: 30.5 is no class",
            "6 more like this",
            "2 skeletons: keypoints are not supported",
        ];
        assert_eq!(messages.sentences(), want);
        assert_eq!(again.sentences()[3..], ["15 more like this", "4 skeletons: keypoints are not supported"]);
    }
}
