//! How far a command is, on a terminal only.

use indicatif::{ProgressBar, ProgressStyle};

/// A bar for `n` steps, hidden unless standard error is a terminal.
pub(crate) fn bar(n: usize, what: &'static str) -> ProgressBar {
    let template = "{msg} {wide_bar} {pos}/{len} {per_sec} {eta}";
    let style = ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar());
    ProgressBar::new(n as u64).with_style(style).with_message(what)
}

/// A bar for bytes that come, hidden unless standard error is a terminal.
pub(crate) fn bytes() -> ProgressBar {
    let template = "{msg} {wide_bar} {decimal_bytes}/{decimal_total_bytes} {decimal_bytes_per_sec} {eta}";
    let style = ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar());
    ProgressBar::new(0).with_style(style)
}
