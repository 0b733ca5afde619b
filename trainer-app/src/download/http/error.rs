//! Errors of downloads.

use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use ureq::http::StatusCode;

/// Why a download failed.
#[derive(Debug, thiserror::Error)]
pub enum FetchError {
    /// The server does not have the file (status 404).
    #[error("{url}: not found on the server (status 404)")]
    Missing {
        /// The URL.
        url: String,
    },
    /// The server refused the request; a retry would have the same result.
    #[error("{url}: the server refused the request (status {status})")]
    Refused {
        /// The URL.
        url: String,
        /// The status of the response.
        status: StatusCode,
    },
    /// The server is temporarily unavailable (429, 5xx).
    #[error("{url}: the server is unavailable (status {status}){}", retry_note(*.retry_after))]
    Busy {
        /// The URL.
        url: String,
        /// The status of the response.
        status: StatusCode,
        /// The time after which to retry, according to the server.
        retry_after: Option<Duration>,
    },
    /// The connection failed or stalled.
    #[error("{url}: the connection failed or stalled")]
    Connection {
        /// The URL.
        url: String,
        /// The error.
        source: ureq::Error,
    },
    /// The body ended early.
    #[error("{url}: the connection was closed after {arrived} of {expected} bytes")]
    Incomplete {
        /// The URL.
        url: String,
        /// Bytes received.
        arrived: u64,
        /// Size of the file.
        expected: u64,
    },
    /// The partial file belongs to another version of the file; it was removed.
    #[error("{url}: the file on the server changed while it was downloaded")]
    Changed {
        /// The URL.
        url: String,
    },
    /// The file is larger than the maximum size.
    #[error("{url}: the file is larger than the limit of {at_most} bytes")]
    TooLarge {
        /// The URL.
        url: String,
        /// The maximum size.
        at_most: u64,
    },
    /// The response is malformed, or redirects to another place.
    #[error("{url}: {reason}")]
    Malformed {
        /// The URL.
        url: String,
        /// What is wrong with it.
        reason: String,
    },
    /// The file differs from the expected one.
    #[error("{} has {what} {found}, expected {expected}", path.display())]
    NotVerified {
        /// The file.
        path: PathBuf,
        /// What was compared.
        what: &'static str,
        /// Its value.
        found: String,
        /// The value that it should have.
        expected: String,
    },
    /// The disk.
    #[error("{} cannot be read or written", path.display())]
    Disk {
        /// The file.
        path: PathBuf,
        /// What the file system reports.
        source: io::Error,
    },
}

fn retry_note(retry_after: Option<Duration>) -> String {
    retry_after.map_or_else(String::new, |time| format!("; retry after {} seconds", time.as_secs()))
}

impl FetchError {
    /// Whether a retry may succeed; `arrived` is whether the server has responded before.
    pub(super) fn is_temporary(&self, arrived: bool) -> bool {
        match self {
            Self::Busy { .. } | Self::Incomplete { .. } | Self::Changed { .. } => true,
            Self::Connection { source, .. } => match source {
                // Without a network or such a server, a retry is useless.
                ureq::Error::HostNotFound
                | ureq::Error::ConnectionFailed
                | ureq::Error::Timeout(ureq::Timeout::Connect | ureq::Timeout::Resolve) => arrived,
                ureq::Error::Io(error) => {
                    arrived || error.kind() != io::ErrorKind::ConnectionRefused
                }
                ureq::Error::Timeout(_) | ureq::Error::Protocol(_) => true,
                _ => false,
            },
            _ => false,
        }
    }

    pub(super) fn disk(path: &Path) -> impl FnOnce(io::Error) -> Self {
        move |source| Self::Disk { path: path.to_owned(), source }
    }
}
