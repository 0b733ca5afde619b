//! Progress bars on standard error, shown if it is a terminal.

use std::io::IsTerminal;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

/// A progress bar of this length.
pub(crate) fn bar(length: Option<u64>, template: &str) -> ProgressBar {
    let bar = ProgressBar::with_draw_target(length, draw_target());
    bar.set_style(style(template));
    bar
}

/// Standard error if it is a terminal, otherwise nothing.
pub(super) fn draw_target() -> ProgressDrawTarget {
    if std::io::stderr().is_terminal() {
        ProgressDrawTarget::stderr()
    } else {
        ProgressDrawTarget::hidden()
    }
}

/// The style of a template; the templates in this program are valid.
pub(super) fn style(template: &str) -> ProgressStyle {
    ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar())
}

/// A progress bar for a number of rows.
pub(crate) fn rows_bar(rows: usize) -> ProgressBar {
    bar(Some(rows as u64), "{bar:40} {pos}/{len} rows  {eta} left")
}
