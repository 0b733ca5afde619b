//! A request and its response, including redirects, and the transfer of the body.

use std::io::{Read, Write};
use std::time::{Duration, SystemTime};

use ureq::http::header::{
    ACCEPT_ENCODING, AUTHORIZATION, CONTENT_RANGE, ETAG, IF_MODIFIED_SINCE, IF_NONE_MATCH,
    IF_RANGE, LAST_MODIFIED, LOCATION, RANGE, RETRY_AFTER, TRANSFER_ENCODING,
};
use ureq::http::{HeaderMap, HeaderName, Response, StatusCode, Uri};
use ureq::{Agent, Body};

use super::error::FetchError;
use super::file::{Download, Known};
use super::partial::{PartialFile, Validator, Version};
use crate::terminal::progress;

const MAX_REDIRECTS: usize = 10;

/// A response, and what it and the redirecting responses before it report about the file.
pub(super) struct Transfer<'a> {
    download: &'a Download,
    response: Response<Body>,
    known: Known,
}

impl<'a> Transfer<'a> {
    /// Requests a file.
    pub(super) fn open(
        agent: &Agent,
        download: &'a Download,
        headers: &[(HeaderName, String)],
    ) -> Result<Self, FetchError> {
        let malformed =
            |reason: String| FetchError::Malformed { url: download.url.clone(), reason };
        let first: Uri =
            download.url.parse().map_err(|error| malformed(format!("not a valid URL: {error}")))?;
        let mut url = first.clone();
        let mut known = Known::default();
        for _ in 0..=MAX_REDIRECTS {
            // Another encoding would have another size and version.
            let mut request = agent.get(url.clone()).header(ACCEPT_ENCODING, "identity");
            for (name, value) in headers {
                request = request.header(name, value);
            }
            if let Some(token) = &download.token
                && url.scheme() == first.scheme()
                && url.authority() == first.authority()
            {
                request = request.header(AUTHORIZATION, format!("Bearer {token}"));
            }
            let response = request.call().map_err(|source| FetchError::Connection {
                url: download.url.clone(),
                source: inner(source),
            })?;
            known.note(response.headers());
            if !response.status().is_redirection() || response.status() == StatusCode::NOT_MODIFIED
            {
                return Ok(Self { download, response, known });
            }
            let location = text(response.headers(), &LOCATION)
                .ok_or_else(|| malformed("redirect without a location".to_owned()))?;
            let next = join(&url, location).ok_or_else(|| {
                malformed(format!("redirect to the invalid location `{location}`"))
            })?;
            if url.scheme_str() == Some("https") && next.scheme_str() != Some("https") {
                return Err(malformed(format!("insecure redirect to `{next}`")));
            }
            url = next;
        }
        Err(malformed(format!("more than {MAX_REDIRECTS} redirects")))
    }

    fn url(&self) -> String {
        self.download.url.clone()
    }

    /// The error of a response without a file.
    pub(super) fn check_status(&self) -> Result<(), FetchError> {
        let (url, status) = (self.url(), self.response.status());
        Err(match status {
            StatusCode::OK | StatusCode::PARTIAL_CONTENT | StatusCode::NOT_MODIFIED => {
                return Ok(());
            }
            StatusCode::NOT_FOUND => FetchError::Missing { url },
            _ if self.is_busy() => {
                FetchError::Busy { url, status, retry_after: self.retry_after() }
            }
            status => FetchError::Refused { url, status },
        })
    }

    /// Whether a later retry may succeed.
    fn is_busy(&self) -> bool {
        let status = self.response.status();
        status.is_server_error()
            || [StatusCode::REQUEST_TIMEOUT, StatusCode::TOO_MANY_REQUESTS].contains(&status)
    }

    /// `Retry-After`, in seconds or as a date.
    fn retry_after(&self) -> Option<Duration> {
        let value = text(self.response.headers(), &RETRY_AFTER)?;
        if let Ok(seconds) = value.parse() {
            return Some(Duration::from_secs(seconds));
        }
        let date = httpdate::parse_http_date(value).ok()?;
        Some(date.duration_since(SystemTime::now()).unwrap_or_default())
    }

    fn validator(&self) -> Option<Validator> {
        let headers = self.response.headers();
        let etag = text(headers, &ETAG).filter(|etag| !etag.starts_with("W/"));
        etag.map(|etag| Validator::Etag(etag.to_owned()))
            .or_else(|| Some(Validator::LastModified(text(headers, &LAST_MODIFIED)?.to_owned())))
    }

    /// Size of the body, if the response has it.
    fn length(&self) -> Option<u64> {
        self.response.body().content_length()
    }
}

/// The URL of a redirect, which is absolute or has an absolute path (RFC 3986); file servers do not use relative paths.
fn join(url: &Uri, location: &str) -> Option<Uri> {
    let scheme = url.scheme_str()?;
    let absolute = if location.starts_with("//") {
        format!("{scheme}:{location}")
    } else if location.starts_with('/') {
        format!("{scheme}://{}{location}", url.authority()?)
    } else {
        location.to_owned()
    };
    let joined: Uri = absolute.parse().ok()?;
    matches!(joined.scheme_str(), Some("http" | "https")).then_some(joined)
}

impl Known {
    /// Collects what the Hugging Face hub reports: for large files the redirecting response has size and SHA-256.
    pub(super) fn note(&mut self, headers: &HeaderMap) {
        let header = |name: &'static str| text(headers, &HeaderName::from_static(name));
        if let Some(commit) = header("x-repo-commit").filter(|commit| is_hexadecimal(commit)) {
            self.commit = Some(commit.to_owned());
        }
        if let Some(bytes) = header("x-linked-size").and_then(|bytes| bytes.parse().ok()) {
            self.expected.bytes = Some(bytes);
        }
        if let Some(etag) = header("x-linked-etag").map(|etag| etag.trim_matches('"'))
            && etag.len() == 64
            && is_hexadecimal(etag)
        {
            self.expected.sha256 = Some(etag.to_ascii_lowercase());
        }
    }
}

fn is_hexadecimal(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_hexdigit())
}

fn text<'h>(headers: &'h HeaderMap, name: &HeaderName) -> Option<&'h str> {
    headers.get(name)?.to_str().ok()
}

/// An error of ureq's that it has wrapped into one of input and output.
fn inner(error: ureq::Error) -> ureq::Error {
    match error {
        ureq::Error::Io(error) => ureq::Error::from(error),
        error => error,
    }
}

/// Receives the remaining bytes of a file.
pub(super) fn receive(
    agent: &Agent,
    download: &Download,
    part: &PartialFile,
) -> Result<Known, FetchError> {
    let version = part.version(&download.url);
    let there = part.length();
    let whole = version.as_ref().is_some_and(|version| version.bytes == Some(there));
    let mut headers = Vec::new();
    if let Some(version) = &version {
        let value = version.validator.value().to_owned();
        if whole {
            let name = match version.validator {
                Validator::Etag(_) => IF_NONE_MATCH,
                Validator::LastModified(_) => IF_MODIFIED_SINCE,
            };
            headers.push((name, value));
        } else {
            headers.push((RANGE, format!("bytes={there}-")));
            headers.push((IF_RANGE, value));
        }
    }
    let mut exchange = Transfer::open(agent, download, &headers)?;
    let found = exchange.validator();
    let is_same = found.as_ref() == version.as_ref().map(|version| &version.validator);
    let is_kept = match exchange.response.status() {
        StatusCode::NOT_MODIFIED => whole,
        StatusCode::OK => whole && found.is_some() && is_same,
        status => status == StatusCode::PARTIAL_CONTENT,
    };
    if let Some(version) = version.as_ref().filter(|_| is_kept) {
        // Such a response may omit the commit.
        let commit = &mut exchange.known.commit;
        *commit = commit.take().or_else(|| version.commit.clone());
    }
    let changed = || {
        part.discard()?;
        Err(FetchError::Changed { url: download.url.clone() })
    };
    let resumed = match exchange.response.status() {
        StatusCode::NOT_MODIFIED | StatusCode::OK if is_kept => return Ok(exchange.known),
        StatusCode::OK => false,
        StatusCode::PARTIAL_CONTENT => {
            let starts = text(exchange.response.headers(), &CONTENT_RANGE)
                .is_some_and(|range| range.starts_with(&format!("bytes {there}-")));
            // A response to `If-Range` need not repeat the version.
            if version.is_none() || !starts || (found.is_some() && !is_same) {
                return changed();
            }
            true
        }
        StatusCode::RANGE_NOT_SATISFIABLE | StatusCode::PRECONDITION_FAILED
            if version.is_some() =>
        {
            return changed();
        }
        _ => {
            exchange.check_status()?;
            return changed();
        }
    };
    let left = exchange.length();
    let total = left.map(|left| if resumed { there + left } else { left });
    check_size(download, &exchange, total, part)?;
    let mut file = if resumed {
        part.resume()?
    } else {
        let version = found.map(|validator| Version {
            url: download.url.clone(),
            validator,
            bytes: total,
            commit: exchange.known.commit.clone(),
        });
        part.begin(version.as_ref())?
    };
    let arrived = if resumed { there } else { 0 };
    let arrived = transfer(&mut exchange, &mut file, part, arrived, total)?;
    file.sync_all().map_err(FetchError::disk(&part.path))?;
    if let Some(expected) = total.filter(|expected| arrived < *expected) {
        return Err(FetchError::Incomplete { url: download.url.clone(), arrived, expected });
    }
    Ok(exchange.known)
}

/// Checks the announced size before the body is read.
fn check_size(
    download: &Download,
    exchange: &Transfer,
    total: Option<u64>,
    part: &PartialFile,
) -> Result<(), FetchError> {
    let expected = download.bytes.or(exchange.known.expected.bytes);
    match (total, expected) {
        (Some(total), Some(expected)) if total != expected => {
            return Err(FetchError::NotVerified {
                path: part.path.clone(),
                what: "the size",
                found: total.to_string(),
                expected: expected.to_string(),
            });
        }
        (None, None) => {
            // A body without a length cannot be told from a truncated one when the connection closes.
            let chunked = text(exchange.response.headers(), &TRANSFER_ENCODING)
                .is_some_and(|coding| coding.eq_ignore_ascii_case("chunked"));
            if !chunked && download.sha256.is_none() {
                return Err(FetchError::Malformed {
                    url: exchange.url(),
                    reason: "the server does not send the size of the file".to_owned(),
                });
            }
        }
        _ => {}
    }
    match download.at_most {
        Some(at_most) if total.is_some_and(|total| total > at_most) => {
            Err(FetchError::TooLarge { url: exchange.url(), at_most })
        }
        _ => Ok(()),
    }
}

/// Appends the body to a file that has `arrived` bytes, and returns the new number of bytes.
fn transfer(
    exchange: &mut Transfer,
    file: &mut std::fs::File,
    part: &PartialFile,
    mut arrived: u64,
    total: Option<u64>,
) -> Result<u64, FetchError> {
    let bar = progress::bar(total, "{bar:40} {bytes}/{total_bytes}  {bytes_per_sec}  {eta} left");
    bar.set_position(arrived);
    let (url, at_most) = (exchange.url(), exchange.download.at_most);
    let mut body = exchange.response.body_mut().as_reader();
    let mut buffer = vec![0; 1 << 16];
    loop {
        let count = match body.read(&mut buffer) {
            Ok(0) => break,
            Ok(count) => count,
            // The caller reports the missing bytes.
            Err(error) if total.is_some() && error.kind() == std::io::ErrorKind::UnexpectedEof => {
                break;
            }
            Err(error) => {
                return Err(FetchError::Connection { url, source: ureq::Error::from(error) });
            }
        };
        arrived += count as u64;
        if let Some(at_most) = at_most.filter(|at_most| arrived > *at_most) {
            part.discard()?;
            return Err(FetchError::TooLarge { url, at_most });
        }
        file.write_all(&buffer[..count]).map_err(FetchError::disk(&part.path))?;
        bar.set_position(arrived);
    }
    bar.finish_and_clear();
    Ok(arrived)
}
