//! What the user should know: a sentence, for a while, and all of them to look up.

use std::time::{Duration, Instant};

use engine::messages::bounded;

/// How much it matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    /// Something was done.
    Info,
    /// Something needs a look.
    Warning,
    /// Something failed.
    Error,
}

/// One sentence.
#[derive(Clone, Debug)]
pub struct Notice {
    /// How much it matters.
    pub level: Level,
    /// The sentence.
    pub text: String,
    /// More of it, line by line; may be empty.
    pub details: Vec<String>,
    made: Instant,
}

impl Notice {
    /// True if it is still to be shown at `now`; errors, and warnings with details to read, stay until they are closed.
    pub fn is_fresh(&self, now: Instant) -> bool {
        let shown = match self.level {
            Level::Info if self.details.is_empty() => Duration::from_secs(4),
            Level::Info => Duration::from_secs(12),
            Level::Warning if !self.details.is_empty() => return true,
            Level::Warning => Duration::from_secs(10),
            Level::Error => return true,
        };
        now.duration_since(self.made) < shown
    }

    /// True if it was made before the open dialog, if any, opened.
    fn is_covered(&self, dialog: Option<Instant>) -> bool {
        dialog.is_some_and(|since| self.made < since)
    }
}

/// The sentences so far, the latest last.
#[derive(Debug, Default)]
pub struct Notices {
    all: Vec<Notice>,
    /// The time when the open dialog opened. It covers earlier notices.
    dialog: Option<Instant>,
}

/// More than these nobody reads.
const KEPT: usize = 5;

impl Notices {
    /// Something was done.
    pub fn info(&mut self, text: impl Into<String>) {
        self.add(Level::Info, text, Vec::new());
    }

    /// Something needs a look.
    pub fn warn(&mut self, text: impl Into<String>) {
        self.add(Level::Warning, text, Vec::new());
    }

    /// Something failed.
    pub fn error(&mut self, text: impl Into<String>) {
        self.add(Level::Error, text, Vec::new());
    }

    /// A sentence with more to unfold.
    pub fn add(&mut self, level: Level, text: impl Into<String>, details: Vec<String>) {
        let text = bounded(text.into());
        self.all.retain(|notice| notice.text != text);
        if self.all.len() == KEPT {
            self.all.remove(0);
        }
        self.all.push(Notice { level, text, details, made: Instant::now() });
    }

    /// All notices that have not expired.
    pub fn shown(&self) -> &[Notice] {
        &self.all
    }

    /// Notices to draw: all, or, while a dialog is open, those added since it opened.
    pub fn uncovered(&self) -> impl Iterator<Item = &Notice> {
        self.all.iter().filter(|notice| !notice.is_covered(self.dialog))
    }

    /// Records whether a dialog is open.
    pub fn set_dialog(&mut self, is_open: bool, now: Instant) {
        self.dialog = is_open.then(|| self.dialog.unwrap_or(now));
    }

    /// Forgets those whose time is over.
    pub fn expire(&mut self, now: Instant) {
        self.all.retain(|notice| notice.is_fresh(now));
    }

    /// Shows all for their whole time from `now` on, since somebody reads them.
    pub fn hold(&mut self, now: Instant) {
        let dialog = self.dialog;
        self.all.iter_mut().filter(|notice| !notice.is_covered(dialog)).for_each(|notice| notice.made = now);
    }

    /// Forgets those that no dialog covers.
    pub fn close_uncovered(&mut self) {
        let dialog = self.dialog;
        self.all.retain(|notice| notice.is_covered(dialog));
    }

    /// Forgets all, such as those of a project that is closed.
    pub fn clear(&mut self) {
        self.all.clear();
    }

    /// Forgets one.
    pub fn close(&mut self, text: &str) {
        let text = bounded(text.to_owned());
        self.all.retain(|notice| notice.text != text);
    }
}
