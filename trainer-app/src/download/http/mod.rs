//! The downloader: bounded, resumed after interruptions, retried after temporary errors, and verified.

mod error;
mod file;
mod partial;
#[cfg(test)]
pub(crate) mod test_server;
#[cfg(test)]
mod tests;
mod transfer;

use std::path::Path;
use std::time::Duration;

use ureq::Agent;
use ureq::http::HeaderMap;

pub use error::FetchError;
pub use file::Download;
use file::Known;
use partial::PartialFile;
use transfer::Transfer;

/// A file that was received and verified.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Received {
    /// The commit of its repository, if the Hugging Face hub sent it.
    pub commit: Option<String>,
}

/// Timeouts and numbers of attempts of a downloader.
#[derive(Debug, Clone, Copy)]
pub struct Timeouts {
    /// Timeout of a connection attempt.
    pub connect: Duration,
    /// Timeout of the head of a response.
    pub response: Duration,
    /// Timeout without any byte of a body.
    pub stall: Duration,
    /// Maximum number of consecutive attempts without progress.
    pub attempts: u32,
    /// Pause before the second attempt; doubled before each further one.
    pub pause: Duration,
    /// Maximum pause requested by a server with `Retry-After`.
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

/// Maximum total number of attempts, so that a server that sends one byte per attempt does not keep a download running
/// forever.
const MAX_ATTEMPTS: u32 = 100;

/// Downloads files.
#[derive(Debug)]
pub struct Downloader {
    agent: Agent,
    timeouts: Timeouts,
}

/// Whether a partial file can be resumed, by the content of the `.download` file next to it.
pub fn is_resumable(version: &[u8], url: &str) -> bool {
    partial::Version::parse(version, url).is_some()
}

/// Size and SHA-256 of a file, from the headers of the Hugging Face hub's response.
pub fn announced(headers: &HeaderMap) -> Download {
    let mut known = Known::default();
    known.note(headers);
    known.expected
}

impl Default for Downloader {
    fn default() -> Self {
        Self::new(Timeouts::default())
    }
}

impl Downloader {
    /// A downloader with these timeouts.
    pub fn new(timeouts: Timeouts) -> Self {
        let agent: Agent = Agent::config_builder()
            .timeout_connect(Some(timeouts.connect))
            .timeout_recv_response(Some(timeouts.response))
            .timeout_per_read(Some(timeouts.stall))
            .http_status_as_error(false)
            // Redirects are followed in `transfer`, since the hub describes a file in the redirecting response.
            .max_redirects(0)
            .build()
            .into();
        Self { agent, timeouts }
    }

    /// Requests a file without receiving it, to detect errors before anything is created.
    ///
    /// # Errors
    /// As [`Downloader::receive`].
    pub fn probe(&self, download: &Download) -> Result<(), FetchError> {
        self.repeat(|| Transfer::open(&self.agent, download, &[])?.check_status(), || 0)
    }

    /// Downloads a file to `path`; on success it is complete and verified.
    ///
    /// Until then `path` is a partial file, with its version in `path.download`: a later call resumes it if the server
    /// still has the same version. The caller removes it.
    ///
    /// # Errors
    /// A server that cannot be reached, refuses the request, or stalls, after some attempts; a file that is too large or
    /// does not verify; a full disk.
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
                    // The server no longer has the file. The first error is the one to report.
                    let _ = part.discard();
                }
            })?;
            let verified = verify(download, path).and_then(|()| verify(&known.expected, path));
            match verified {
                Ok(()) => return Ok(Received { commit: known.commit }),
                Err(error) => {
                    part.discard()?;
                    // The partial file of an earlier call may be the cause: try once without it.
                    if fresh || there == 0 || matches!(error, FetchError::Disk { .. }) {
                        return Err(error);
                    }
                    fresh = true;
                }
            }
        }
    }

    /// Removes a partial file and its version.
    ///
    /// # Errors
    /// What the file system reports.
    pub fn discard(path: &Path) -> Result<(), FetchError> {
        PartialFile::new(path).discard()
    }

    /// Retries until success or a permanent error; `length` is the number of bytes received.
    fn repeat(
        &self,
        mut attempt: impl FnMut() -> Result<(), FetchError>,
        length: impl Fn() -> u64,
    ) -> Result<(), FetchError> {
        let (mut in_a_row, mut arrived) = (0, false);
        for _ in 0..MAX_ATTEMPTS {
            let before = length();
            let Err(error) = attempt() else { return Ok(()) };
            let is_response = !matches!(error, FetchError::Connection { .. });
            let is_progress = length() > before;
            arrived |= is_response || is_progress;
            in_a_row = if is_progress { 1 } else { in_a_row + 1 };
            if in_a_row >= self.timeouts.attempts || !error.is_temporary(arrived) {
                return Err(error);
            }
            let pause = match &error {
                FetchError::Busy { retry_after: Some(requested), .. } => {
                    if *requested > self.timeouts.longest_pause {
                        return Err(error);
                    }
                    *requested
                }
                _ => self.timeouts.pause * 2_u32.pow(in_a_row - 1),
            };
            std::thread::sleep(pause);
        }
        attempt()
    }
}

/// Checks the size and SHA-256, if they are known.
///
/// # Errors
/// A file that differs from the expected one.
pub fn verify(download: &Download, path: &Path) -> Result<(), FetchError> {
    let differs = |what, found, expected| {
        Err(FetchError::NotVerified { path: path.to_owned(), what, found, expected })
    };
    let bytes = std::fs::metadata(path).map_err(FetchError::disk(path))?.len();
    if let Some(expected) = download.bytes.filter(|expected| *expected != bytes) {
        return differs("the size", bytes.to_string(), expected.to_string());
    }
    if let Some(expected) = &download.sha256 {
        let found = crate::system::digest::sha256(path).map_err(FetchError::disk(path))?;
        if found != *expected {
            return differs("the SHA-256", found, expected.clone());
        }
    }
    Ok(())
}
