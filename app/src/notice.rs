//! What the user should know: a sentence, for a while, and all of them to look up.

use std::time::{Duration, Instant};

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
    /// Whether it is still to be shown at `now`; errors, and warnings with details to read, stay until they are closed.
    pub fn is_fresh(&self, now: Instant) -> bool {
        let shown = match self.level {
            Level::Info => Duration::from_secs(4),
            Level::Warning if !self.details.is_empty() => return true,
            Level::Warning => Duration::from_secs(10),
            Level::Error => return true,
        };
        now.duration_since(self.made) < shown
    }
}

/// The sentences so far, the latest last.
#[derive(Debug, Default)]
pub struct Notices(Vec<Notice>);

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
        let text = text.into();
        self.0.retain(|notice| notice.text != text);
        if self.0.len() == KEPT {
            self.0.remove(0);
        }
        self.0.push(Notice { level, text, details, made: Instant::now() });
    }

    /// Those to show.
    pub fn shown(&self) -> &[Notice] {
        &self.0
    }

    /// Forgets those whose time is over.
    pub fn expire(&mut self, now: Instant) {
        self.0.retain(|notice| notice.is_fresh(now));
    }

    /// Forgets one.
    pub fn close(&mut self, text: &str) {
        self.0.retain(|notice| notice.text != text);
    }
}
