//! What the program prints: results on standard output, everything else on standard error.
//!
//! `println!` and `eprintln!` panic where nothing can be written. A reader that has seen enough (`| head`) or a full
//! disk must not end a command in the middle of its work, so these macros keep the first error of standard output and
//! print nothing more; [`finish`] returns it at the end. What standard error does not take is dropped.

use std::fmt;
use std::io::{self, Write};
use std::sync::{Mutex, PoisonError};

/// The first error of standard output.
static FAILED: Mutex<Option<io::Error>> = Mutex::new(None);

/// Writes to standard output, as `print!` does.
#[macro_export]
macro_rules! out {
    ($($argument:tt)*) => { $crate::output::write(format_args!($($argument)*)) };
}

/// Writes a line to standard output, as `println!` does.
#[macro_export]
macro_rules! outln {
    () => { $crate::output::write(format_args!("\n")) };
    ($($argument:tt)*) => {
        $crate::output::write(format_args!("{}\n", format_args!($($argument)*)))
    };
}

/// Writes a line to standard error, as `eprintln!` does.
#[macro_export]
macro_rules! noteln {
    () => { $crate::output::note(format_args!("\n")) };
    ($($argument:tt)*) => {
        $crate::output::note(format_args!("{}\n", format_args!($($argument)*)))
    };
}

/// Writes to standard output, unless that has failed before; the macros call it.
pub fn write(text: fmt::Arguments) {
    let mut failed = FAILED.lock().unwrap_or_else(PoisonError::into_inner);
    if failed.is_none() {
        *failed = io::stdout().lock().write_fmt(text).err();
    }
}

/// Writes to standard error, if that can be written to; the macros call it.
pub fn note(text: fmt::Arguments) {
    // There is no other place to report this.
    let _ = io::stderr().lock().write_fmt(text);
}

/// Flushes standard output.
///
/// # Errors
/// The first error since the program started. That the reader closed the pipe is none: it has read what it wanted.
pub fn finish() -> io::Result<()> {
    let failed = FAILED.lock().unwrap_or_else(PoisonError::into_inner).take();
    match failed.map_or_else(|| io::stdout().lock().flush(), Err) {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        written => written,
    }
}
