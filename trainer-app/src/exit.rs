//! Exit codes: 0 success, 130 interrupted, 1 error, 2 invalid arguments.

use std::process::ExitCode;
use std::sync::mpsc;
use std::time::Duration;

use glue_data::{DataError, PublishedError};
use serde_json::json;

use crate::terminal::output;

/// Exit code of an interrupted program.
pub const INTERRUPTED: u8 = 130;

/// How a command that did not fail ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ExitStatus {
    /// The command finished.
    Done,
    /// The user interrupted it; progress was saved.
    Interrupted,
}

/// An error in the arguments: nothing was started or written.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct UsageError(pub String);

impl UsageError {
    /// The error of a message.
    #[expect(clippy::new_ret_no_self, reason = "it is always returned as an `anyhow::Error`")]
    pub fn new(message: impl Into<String>) -> anyhow::Error {
        Self(message.into()).into()
    }
}

/// The exit code of a command's result.
pub fn exit_code(result: &anyhow::Result<ExitStatus>) -> ExitCode {
    match result {
        Ok(ExitStatus::Done) => ExitCode::SUCCESS,
        Ok(ExitStatus::Interrupted) => ExitCode::from(INTERRUPTED),
        Err(error) if is_usage(error) => ExitCode::from(2),
        Err(_) => ExitCode::FAILURE,
    }
}

/// The last line of JSON that a command with `--json` prints on an error.
pub fn error_as_json(message: &str) -> String {
    json!({ "status": "error", "error": message }).to_string()
}

/// The last line of JSON that a command with `--json` prints when it is interrupted.
fn interrupted_as_json() -> String {
    json!({ "status": "stopped" }).to_string()
}

/// Ends the program as interrupted, with the last line of JSON if `json`.
pub fn exit_interrupted(json: bool) -> ! {
    let (done, is_done) = mpsc::channel();
    std::thread::spawn(move || {
        if json {
            output::write_last_line(&interrupted_as_json());
        }
        // An error of standard output does not change how the program ends.
        let _ = output::finish();
        let _ = done.send(());
    });
    // A reader that has stopped reading must not keep the program from ending.
    let _ = is_done.recv_timeout(Duration::from_secs(1));
    std::process::exit(INTERRUPTED.into());
}

fn is_usage(error: &anyhow::Error) -> bool {
    // `downcast_ref` sees through contexts, `chain` through errors that have this one as their source.
    let is_missing_flag = |error: Option<&DataError>| {
        matches!(error, Some(DataError::Published(PublishedError::NoDirectory { .. })))
    };
    error.downcast_ref::<UsageError>().is_some()
        || is_missing_flag(error.downcast_ref())
        || error.chain().any(|cause| {
            cause.downcast_ref::<UsageError>().is_some() || is_missing_flag(cause.downcast_ref())
        })
}

#[cfg(test)]
mod tests {
    use anyhow::Context;

    use super::*;

    #[test]
    fn a_usage_error_is_found_below_its_contexts() {
        let error = Err::<(), _>(UsageError::new("--clip is inf")).context("reading flags");
        assert!(is_usage(&error.unwrap_err()));
        assert!(!is_usage(&anyhow::anyhow!("the disk is full")));
    }
}
