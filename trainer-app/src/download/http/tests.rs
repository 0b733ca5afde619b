//! Downloads from a server on this machine that fails in every way.

use std::fs;
use std::path::PathBuf;

use sha2::{Digest, Sha256};

use super::test_server::{Fault, Served, TestServer, impatient};

use super::*;

/// A name in a directory of its own, and a server.
struct Case {
    server: TestServer,
    directory: tempfile::TempDir,
}

impl Case {
    fn new() -> Self {
        let case = Self { server: TestServer::start(), directory: tempfile::tempdir().unwrap() };
        case.server.put("/file", &content(1), "one");
        case
    }

    fn path(&self) -> PathBuf {
        self.directory.path().join("file")
    }

    fn download(&self) -> Download {
        Download { url: self.server.url("/file"), ..Download::default() }
    }

    fn receive(&self) -> Result<Received, FetchError> {
        impatient().receive(&self.download(), &self.path())
    }

    fn has(&self, content: &[u8]) -> bool {
        fs::read(self.path()).unwrap() == content
    }

    /// Receives a part, as a process that was killed leaves it.
    fn leave_part(&self, bytes: usize) {
        self.server.fail("/file", vec![Fault::Cut(bytes); 1]);
        let patience = Timeouts { attempts: 1, ..Timeouts::default() };
        Downloader::new(patience).receive(&self.download(), &self.path()).unwrap_err();
        assert_eq!(fs::metadata(self.path()).unwrap().len(), bytes as u64);
    }
}

fn content(version: u32) -> Vec<u8> {
    (0..200_000_u32).map(|index| (index * version).to_le_bytes()[index as usize % 3]).collect()
}

fn digest(bytes: &[u8]) -> String {
    crate::system::digest::hexadecimal(&Sha256::digest(bytes))
}

#[test]
fn a_download_that_breaks_off_is_continued() {
    let case = Case::new();
    case.server.fail("/file", [Fault::Cut(70_000), Fault::Cut(50_000)]);
    case.receive().unwrap();
    assert!(case.has(&content(1)));
    let requests = case.server.requests("/file");
    assert_eq!(requests.len(), 3);
    assert!(
        requests[1].contains("range: bytes=70000-") && requests[1].contains("if-range: \"one\"")
    );
    assert!(requests[2].contains("range: bytes=120000-"), "{}", requests[2]);
}

#[test]
fn more_breaks_than_attempts_do_not_matter_while_each_brings_something() {
    let case = Case::new();
    case.server.fail("/file", vec![Fault::Cut(10_000); 15]);
    case.receive().unwrap();
    assert!(case.has(&content(1)));
}

#[test]
fn a_part_of_another_version_is_not_continued() {
    let case = Case::new();
    case.leave_part(70_000);
    case.server.put("/file", &content(2), "two");
    case.receive().unwrap();
    assert!(case.has(&content(2)));
}

#[test]
fn a_part_of_which_the_version_is_not_known_is_not_continued() {
    let case = Case::new();
    fs::write(case.path(), vec![7; 70_000]).unwrap();
    case.receive().unwrap();
    assert!(case.has(&content(1)));
    assert!(!case.server.requests("/file")[0].contains("range:"));

    // A server that names no version, and one whose file is elsewhere now.
    case.server.put("/file", &content(2), "");
    Downloader::discard(&case.path()).unwrap();
    case.leave_part(70_000);
    case.receive().unwrap();
    assert!(case.has(&content(2)));
}

#[test]
fn a_whole_file_is_received_again_only_when_it_changed() {
    let case = Case::new();
    case.receive().unwrap();
    case.receive().unwrap();
    assert!(case.server.requests("/file")[1].contains("if-none-match: \"one\""));
    case.server.put("/file", &content(2), "two");
    case.receive().unwrap();
    assert!(case.has(&content(2)));
}

#[test]
fn requests_to_a_busy_server_are_retried_after_the_requested_time() {
    let case = Case::new();
    let busy = [
        Fault::Status(503, "Retry-After: 0\r\n"),
        Fault::Status(429, "Retry-After: Sun, 06 Nov 1994 08:49:37 GMT\r\n"),
        Fault::Status(500, ""),
    ];
    case.server.fail("/file", busy);
    case.receive().unwrap();
    assert_eq!(case.server.requests("/file").len(), 4);

    case.server.fail("/file", [Fault::Status(429, "Retry-After: 86400\r\n")]);
    let error = case.receive().unwrap_err();
    assert!(matches!(error, FetchError::Busy { .. }), "{error}");
    assert!(error.to_string().contains("retry after 86400 seconds"), "{error}");
    assert_eq!(case.server.requests("/file").len(), 5);

    case.server.fail("/file", vec![Fault::Status(502, ""); 9]);
    let error = case.receive().unwrap_err().to_string();
    assert!(error.contains("status 502"), "{error}");
    assert_eq!(case.server.requests("/file").len(), 10);
}

#[test]
fn only_a_404_says_that_there_is_no_file() {
    let case = Case::new();
    for status in [400, 401, 403, 410, 451] {
        case.server.fail("/file", [Fault::Status(status, "")]);
        let error = case.receive().unwrap_err();
        assert!(matches!(error, FetchError::Refused { .. }), "{error}");
    }
    case.leave_part(10);
    case.server.remove("/file");
    assert!(matches!(case.receive(), Err(FetchError::Missing { .. })));
    assert_eq!(fs::read_dir(case.directory.path()).unwrap().count(), 0);
}

#[test]
fn a_body_that_stalls_is_given_up_and_continued() {
    let case = Case::new();
    case.server.fail("/file", [Fault::Stall(30_000), Fault::Stall(40_000)]);
    case.receive().unwrap();
    assert!(case.has(&content(1)));
    case.server.put("/file", &content(2), "two");
    case.server.fail("/file", vec![Fault::Stall(0); 9]);
    let error = case.receive().unwrap_err();
    let FetchError::Connection { source: ureq::Error::Timeout(_), .. } = error else {
        panic!("{error}");
    };
}

#[test]
fn what_the_hub_says_of_a_large_file_is_checked() {
    let case = Case::new();
    let linked = |bytes: &[u8]| Served {
        redirected: Some("/content".to_owned()),
        headers: vec![
            ("X-Repo-Commit".to_owned(), "0123abcd".to_owned()),
            ("X-Linked-Size".to_owned(), "200000".to_owned()),
            ("X-Linked-Etag".to_owned(), format!("\"{}\"", digest(bytes))),
        ],
        ..Served::default()
    };
    case.server.put("/content", &content(1), "one");
    case.server.serve("/file", linked(&content(1)));
    assert_eq!(case.receive().unwrap().commit.as_deref(), Some("0123abcd"));
    assert!(case.has(&content(1)));

    case.server.serve("/file", linked(&content(2)));
    let error = case.receive().unwrap_err().to_string();
    assert!(error.contains("has the SHA-256"), "{error}");
    assert_eq!(fs::read_dir(case.directory.path()).unwrap().count(), 0);
    case.server.put("/content", b"short", "three");
    let error = case.receive().unwrap_err().to_string();
    assert!(error.contains("has the size 5, expected 200000"), "{error}");
}

#[test]
fn a_token_is_not_sent_to_another_host() {
    let case = Case::new();
    let elsewhere = TestServer::start();
    elsewhere.put("/content", b"content", "one");
    case.server.serve(
        "/file",
        Served { redirected: Some(elsewhere.url("/content")), ..Served::default() },
    );
    let download = Download { token: Some("secret".to_owned()), ..case.download() };
    impatient().receive(&download, &case.path()).unwrap();
    assert!(case.server.requests("/file")[0].contains("authorization: bearer secret"));
    assert!(!elsewhere.requests("/content")[0].contains("authorization"));

    case.server
        .serve("/file", Served { redirected: Some("/file".to_owned()), ..Served::default() });
    let error = case.receive().unwrap_err().to_string();
    assert!(error.contains("more than 10 redirects"), "{error}");
}

#[test]
fn a_wrong_file_and_one_that_is_too_large_are_removed() {
    let case = Case::new();
    let wrong = Download { sha256: Some(digest(b"another")), ..case.download() };
    let error = impatient().receive(&wrong, &case.path()).unwrap_err().to_string();
    assert!(error.contains("has the SHA-256") && error.contains("expected"), "{error}");
    assert_eq!(case.server.requests("/file").len(), 1);
    let large = Download { at_most: Some(199_999), ..case.download() };
    let error = impatient().receive(&large, &case.path()).unwrap_err().to_string();
    assert!(error.contains("larger than the limit of 199999 bytes"), "{error}");
    assert_eq!(fs::read_dir(case.directory.path()).unwrap().count(), 0);
}

#[test]
fn a_damaged_part_is_fetched_once_more_from_its_beginning() {
    let case = Case::new();
    case.leave_part(70_000);
    let mut part = fs::read(case.path()).unwrap();
    part[5] ^= 1;
    fs::write(case.path(), part).unwrap();
    let known = Download { sha256: Some(digest(&content(1))), ..case.download() };
    impatient().receive(&known, &case.path()).unwrap();
    assert!(case.has(&content(1)));
}
