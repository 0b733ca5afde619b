//! Printing: results on standard output, everything else on standard error.
//!
//! `println!` and `eprintln!` panic on write errors. A closed pipe (`| head`) or a full disk must not end a command in
//! the middle of its work, so these macros keep the first error of standard output and print nothing more; [`finish`]
//! returns it at the end. Errors of standard error are ignored.

use std::borrow::Cow;
use std::fmt;
use std::io::{self, Write};
use std::sync::{Mutex, PoisonError};

use super::hints;

/// The first error of standard output.
static FAILED: Mutex<Option<io::Error>> = Mutex::new(None);

/// Writes to standard output, as `print!` does.
#[macro_export]
macro_rules! out {
    ($($argument:tt)*) => { $crate::terminal::output::write(format_args!($($argument)*)) };
}

/// Writes a line to standard output, as `println!` does.
#[macro_export]
macro_rules! outln {
    () => { $crate::terminal::output::write(format_args!("\n")) };
    ($($argument:tt)*) => {
        $crate::terminal::output::write(format_args!("{}\n", format_args!($($argument)*)))
    };
}

/// Writes a line to standard error, as `eprintln!` does.
#[macro_export]
macro_rules! noteln {
    () => { $crate::terminal::output::note(format_args!("\n")) };
    ($($argument:tt)*) => {
        $crate::terminal::output::note(format_args!("{}\n", format_args!($($argument)*)))
    };
}

/// Writes to standard output, unless that failed before; called by the macros.
pub fn write(text: fmt::Arguments) {
    let mut failed = FAILED.lock().unwrap_or_else(PoisonError::into_inner);
    if failed.is_none() {
        *failed = io::stdout().lock().write_fmt(text).err();
    }
}

/// Writes to standard error, ignoring errors; called by the macros.
pub fn note(text: fmt::Arguments) {
    let text = hints::as_typed(text.to_string());
    // An error could only be reported on standard error.
    let _ = io::stderr().lock().write_all(visible(&text).as_bytes());
}

/// A text without characters that control a terminal, which names in files may have: they are escaped, except for line
/// ends and tabs.
pub fn visible(text: &str) -> Cow<'_, str> {
    let controls = |letter: char| letter.is_control() && !matches!(letter, '\n' | '\t');
    if !text.contains(controls) {
        return Cow::Borrowed(text);
    }
    let escaped = text.chars().map(|letter| {
        if controls(letter) { letter.escape_default().to_string() } else { letter.to_string() }
    });
    Cow::Owned(escaped.collect())
}

/// Writes the last line of standard output; whatever is written after it is dropped.
pub fn write_last_line(line: &str) {
    let mut failed = FAILED.lock().unwrap_or_else(PoisonError::into_inner);
    if failed.is_none() {
        let mut output = io::stdout().lock();
        let written = writeln!(output, "{line}").and_then(|()| output.flush());
        // Any error ends writing, and a closed pipe is none for `finish`.
        *failed = Some(written.err().unwrap_or_else(|| io::ErrorKind::BrokenPipe.into()));
    }
}

/// Flushes standard output, for a reader that waits for a part of the output; an error is kept for [`finish`].
pub fn flush() {
    let mut failed = FAILED.lock().unwrap_or_else(PoisonError::into_inner);
    if failed.is_none() {
        *failed = io::stdout().lock().flush().err();
    }
}

/// Whether standard output failed, so that nothing more is printed.
pub fn is_closed() -> bool {
    FAILED.lock().unwrap_or_else(PoisonError::into_inner).is_some()
}

/// Flushes standard output.
///
/// # Errors
/// The first error since the program started, except for a closed pipe, whose reader needed no more.
pub fn finish() -> io::Result<()> {
    let failed = FAILED.lock().unwrap_or_else(PoisonError::into_inner).take();
    match failed.map_or_else(|| io::stdout().lock().flush(), Err) {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        written => written,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_controls_a_terminal_is_escaped() {
        assert_eq!(visible("a\u{1b}[2Jb\u{9b}1m\r"), "a\\u{1b}[2Jb\\u{9b}1m\\r");
        assert!(matches!(visible("a\tb\n\u{e9}"), Cow::Borrowed(_)));
    }
}
