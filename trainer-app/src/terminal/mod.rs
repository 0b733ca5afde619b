//! Output: standard streams, progress on the terminal, suggested commands, and the modes of the terminal.

// The first, because its macros are used by those that follow.
#[macro_use]
pub mod output;

pub mod hints;
pub mod progress;
mod raw_mode;
pub mod sweep_progress;

/// A score as people read it: times 100, with one digit.
pub fn score(value: f64) -> String {
    format!("{:.1}", 100.0 * value)
}

#[cfg(unix)]
pub use raw_mode::replace_lost;
pub use raw_mode::{enable_ctrl_c, restore};
