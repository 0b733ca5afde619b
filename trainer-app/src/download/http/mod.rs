//! The one downloader: bounded, resumed where it broke off, tried again where the fault passes, and verified.

mod digest;
mod partial;
#[cfg(test)]
pub(crate) mod test_server;
#[cfg(test)]
mod tests;
mod transfer;

use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use ureq::Agent;
use ureq::http::StatusCode;

pub use digest::{hexadecimal, sha256};
use partial::PartialFile;
use transfer::Transfer;

/// A file to fetch, and what is known about it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Download {
    /// Its address.
    pub url: String,
    /// Its size.
    pub bytes: Option<u64>,
    /// Its SHA-256, in lower-case hexadecimal digits.
    pub sha256: Option<String>,
    /// Sent as a bearer token, and only to the host of `url`.
    pub token: Option<String>,
    /// A larger file is refused.
    pub at_most: Option<u64>,
}

/// A file that was received and verified.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Received {
    /// The commit of the repository that it is from, as Hugging Face's hub sends it.
    pub commit: Option<String>,
}

/// How long a downloader waits, and how often it tries.
#[derive(Debug, Clone, Copy)]
pub struct Timeouts {
    /// For a connection.
    pub connect: Duration,
    /// For the head of an answer.
    pub response: Duration,
    /// AblatedLayers any byte of a body.
    pub stall: Duration,
    /// Attempts in a row that bring nothing new.
    pub attempts: u32,
    /// Before the second attempt; doubled before each further one.
    pub pause: Duration,
    /// The longest pause that a server may ask for with `Retry-After`.
    pub longest_pause: Duration,
}

impl Default for Timeouts {
    fn default() -> Self {
        Self {
            connect: Duration::from_secs(5),
            response: Duration::from_mins(1),
            stall: Duration::from_mins(1),
            attempts: 5,
            pause: Duration::from_millis(500),
            longest_pause: Duration::from_mins(2),
        }
    }
}

/// Attempts altogether: a server that sends a byte for each does not keep a download going for ever.
const MAX_ATTEMPTS: u32 = 100;

/// Why a file was not received.
#[derive(Debug, thiserror::Error)]
pub enum FetchError {
    /// The server does not have the file (404): the only answer that means so.
    #[error("{url}: the server does not have it (status 404)")]
    Missing {
        /// The address.
        url: String,
    },
    /// The server refuses; another attempt would get the same answer.
    #[error("{url}: the server refuses it (status {status})")]
    Refused {
        /// The address.
        url: String,
        /// The status of the answer.
        status: StatusCode,
    },
    /// The server cannot answer now (429, 5xx).
    #[error("{url}: the server cannot answer now (status {status}){}", asked(*.retry_after))]
    Busy {
        /// The address.
        url: String,
        /// The status of the answer.
        status: StatusCode,
        /// After which time the server asks to be tried again.
        retry_after: Option<Duration>,
    },
    /// No connection, or one that broke or stalled.
    #[error("{url}: the connection failed or stalled")]
    Connection {
        /// The address.
        url: String,
        /// What happened.
        source: ureq::Error,
    },
    /// The body ended early.
    #[error("{url}: the connection broke off after {arrived} of {expected} bytes")]
    Incomplete {
        /// The address.
        url: String,
        /// Bytes that are there.
        arrived: u64,
        /// Bytes of the file.
        expected: u64,
    },
    /// What is there already is not the beginning of the server's file; it was removed.
    #[error("{url}: the file on the server changed while it was downloaded")]
    Changed {
        /// The address.
        url: String,
    },
    /// The file is larger than it may be.
    #[error("{url}: the file is larger than {at_most} bytes, the most that is accepted")]
    TooLarge {
        /// The address.
        url: String,
        /// The bound.
        at_most: u64,
    },
    /// The answer is not as HTTP has it, or leads elsewhere.
    #[error("{url}: {reason}")]
    Malformed {
        /// The address.
        url: String,
        /// What is wrong with it.
        reason: String,
    },
    /// The file is another than the one expected.
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

fn asked(retry_after: Option<Duration>) -> String {
    retry_after.map_or_else(String::new, |time| {
        format!("; it asks to try again after {} seconds", time.as_secs())
    })
}

impl FetchError {
    /// Whether another attempt may succeed; `arrived` is whether this download had any answer before.
    fn passes(&self, arrived: bool) -> bool {
        match self {
            Self::Busy { .. } | Self::Incomplete { .. } | Self::Changed { .. } => true,
            Self::Connection { source, .. } => match source {
                // Where there is no network or no such server, a second attempt only takes time.
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

    fn disk(path: &Path) -> impl FnOnce(io::Error) -> Self {
        move |source| Self::Disk { path: path.to_owned(), source }
    }
}

/// Fetches files.
#[derive(Debug)]
pub struct Downloader {
    agent: Agent,
    patience: Timeouts,
}

impl Default for Downloader {
    fn default() -> Self {
        Self::new(Timeouts::default())
    }
}

impl Downloader {
    /// A downloader with such patience.
    pub fn new(patience: Timeouts) -> Self {
        let agent: Agent = Agent::config_builder()
            .timeout_connect(Some(patience.connect))
            .timeout_recv_response(Some(patience.response))
            .timeout_per_read(Some(patience.stall))
            .http_status_as_error(false)
            // They are followed here: what the hub knows of a file stands in the answer that redirects.
            .max_redirects(0)
            .build()
            .into();
        Self { agent, patience }
    }

    /// Asks for a file without receiving it, so that what follows an error is decided before anything is created.
    ///
    /// # Errors
    /// As [`Downloader::receive`].
    pub fn probe(&self, download: &Download) -> Result<(), FetchError> {
        self.repeat(|| Transfer::open(&self.agent, download, &[])?.refused(), || 0)
    }

    /// Receives a file at `path`; on success it is whole and verified.
    ///
    /// Until then `path` is a part of it, with a file `path.download` beside it that says of which version: a later call
    /// continues that part only where the server still has the same version. The caller removes it.
    ///
    /// # Errors
    /// A server that cannot be reached, refuses, or stalls, after some attempts; a file that is too large or does not
    /// verify; a disk that is full.
    pub fn receive(&self, download: &Download, path: &Path) -> Result<Received, FetchError> {
        let part = PartialFile::new(path);
        let mut fresh = false;
        loop {
            let there = part.length();
            let mut known = Known::default();
            self.repeat(
                || {
                    known = transfer::receive(&self.agent, download, &part)?;
                    Ok(())
                },
                || part.length(),
            )
            .inspect_err(|error| {
                if matches!(error, FetchError::Missing { .. }) {
                    // A part of something that the server no longer has. The first error is the one to report.
                    let _ = part.discard();
                }
            })?;
            let verified = verify(download, path).and_then(|()| verify(&known.expected, path));
            match verified {
                Ok(()) => return Ok(Received { commit: known.commit }),
                Err(error) => {
                    part.discard()?;
                    // Something of an earlier call may be at fault, once.
                    if fresh || there == 0 || matches!(error, FetchError::Disk { .. }) {
                        return Err(error);
                    }
                    fresh = true;
                }
            }
        }
    }

    /// Removes a part, and what is known about it.
    ///
    /// # Errors
    /// What the file system reports.
    pub fn discard(path: &Path) -> Result<(), FetchError> {
        PartialFile::new(path).discard()
    }

    /// Tries until it succeeds or another attempt would not; `length` is how much is there.
    fn repeat(
        &self,
        mut attempt: impl FnMut() -> Result<(), FetchError>,
        length: impl Fn() -> u64,
    ) -> Result<(), FetchError> {
        let (mut in_a_row, mut arrived) = (0, false);
        for _ in 0..MAX_ATTEMPTS {
            let before = length();
            let Err(error) = attempt() else { return Ok(()) };
            let is_answer = !matches!(error, FetchError::Connection { .. });
            let is_progress = length() > before;
            arrived |= is_answer || is_progress;
            in_a_row = if is_progress { 1 } else { in_a_row + 1 };
            if in_a_row >= self.patience.attempts || !error.passes(arrived) {
                return Err(error);
            }
            let pause = match &error {
                FetchError::Busy { retry_after: Some(asked), .. } => {
                    if *asked > self.patience.longest_pause {
                        return Err(error);
                    }
                    *asked
                }
                _ => self.patience.pause * 2_u32.pow(in_a_row - 1),
            };
            std::thread::sleep(pause);
        }
        attempt()
    }
}

/// What the server says of a file.
#[derive(Debug, Default)]
struct Known {
    /// Size and digest that the hub names.
    expected: Download,
    commit: Option<String>,
}

/// Checks size and SHA-256 where they are known.
///
/// # Errors
/// A file that is another than the one expected.
pub fn verify(download: &Download, path: &Path) -> Result<(), FetchError> {
    let differs = |what, found, expected| {
        Err(FetchError::NotVerified { path: path.to_owned(), what, found, expected })
    };
    let bytes = std::fs::metadata(path).map_err(FetchError::disk(path))?.len();
    if let Some(expected) = download.bytes.filter(|expected| *expected != bytes) {
        return differs("the size", bytes.to_string(), expected.to_string());
    }
    if let Some(expected) = &download.sha256 {
        let found = sha256(path).map_err(FetchError::disk(path))?;
        if found != *expected {
            return differs("the SHA-256", found, expected.clone());
        }
    }
    Ok(())
}
