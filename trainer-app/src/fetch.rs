//! The one downloader: resumes what broke off, verifies, and gives a file its name when it is whole.

use std::fmt::Write as _;
use std::fs::{self, File, OpenOptions};
use std::io::{IsTerminal, Read, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use sha2::{Digest, Sha256};
use ureq::Agent;
use ureq::http::StatusCode;

const ATTEMPTS: u32 = 5;
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
const READ_TIMEOUT: Duration = Duration::from_mins(1);

/// A file to fetch, and what is known about it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Download {
    /// Its address.
    pub url: String,
    /// Its size.
    pub bytes: Option<u64>,
    /// Its SHA-256, in lower-case hexadecimal digits.
    pub sha256: Option<String>,
    /// Sent as a bearer token.
    pub token: Option<String>,
}

/// What a failed download failed of.
#[derive(Debug, thiserror::Error)]
pub enum FetchError {
    /// The server does not have the file.
    #[error("{url}: the server does not have it (status {status})")]
    Refused {
        /// The address.
        url: String,
        /// What the server answered.
        status: StatusCode,
    },
}

/// Downloads a file; one that is there already and verifies is left alone.
///
/// A connection that breaks is taken up where it broke, a few times; what has arrived stays beside the target for the
/// next call.
///
/// # Errors
/// A server that does not answer or refuses, a file that does not verify, a disk that is full.
pub fn fetch(download: &Download, target: &Path) -> Result<()> {
    if target.is_file() && verify(download, target).is_ok() {
        return Ok(());
    }
    let mut name = target.file_name().context("a download needs a file name")?.to_owned();
    name.push(".part");
    let part = target.with_file_name(name);
    let agent: Agent = Agent::config_builder()
        .timeout_connect(Some(CONNECT_TIMEOUT))
        .timeout_recv_response(Some(READ_TIMEOUT))
        .http_status_as_error(false)
        .build()
        .into();
    let mut attempt = 1;
    loop {
        match receive(&agent, download, &part) {
            Ok(()) => break,
            Err(error) if attempt == ATTEMPTS || !is_passing(&error) => {
                return Err(error).with_context(|| format!("downloading {}", download.url));
            }
            Err(_) => std::thread::sleep(Duration::from_millis(250 << attempt)),
        }
        attempt += 1;
    }
    if let Err(error) = verify(download, &part) {
        fs::remove_file(&part).with_context(|| format!("removing {}", part.display()))?;
        return Err(error).with_context(|| format!("downloading {}", download.url));
    }
    fs::rename(&part, target)
        .with_context(|| format!("renaming {} to {}", part.display(), target.display()))
}

/// Receives what is still missing of a file.
fn receive(agent: &Agent, download: &Download, part: &Path) -> Result<()> {
    let there = fs::metadata(part).map_or(0, |metadata| metadata.len());
    if download.bytes.is_some_and(|bytes| there == bytes) {
        return Ok(());
    }
    let mut request = agent.get(&download.url);
    if there > 0 {
        request = request.header("Range", format!("bytes={there}-"));
    }
    if let Some(token) = &download.token {
        request = request.header("Authorization", format!("Bearer {token}"));
    }
    let mut response = request.call()?;
    let resumed = match response.status() {
        StatusCode::PARTIAL_CONTENT => true,
        StatusCode::OK => false,
        // Nothing is missing, or what is here is not the beginning of that file.
        StatusCode::RANGE_NOT_SATISFIABLE if download.bytes.is_none() => return Ok(()),
        status => return Err(FetchError::Refused { url: download.url.clone(), status }.into()),
    };
    let expected =
        response.body().content_length().map(|left| if resumed { there + left } else { left });
    let mut file = OpenOptions::new()
        .create(true)
        .write(true)
        .append(resumed)
        .truncate(!resumed)
        .open(part)
        .with_context(|| format!("writing {}", part.display()))?;
    let mut arrived = if resumed { there } else { 0 };
    let bar = progress_bar(expected.or(download.bytes));
    bar.set_position(arrived);
    let mut body = response.body_mut().as_reader();
    let mut buffer = vec![0; 1 << 16];
    loop {
        let count = body.read(&mut buffer)?;
        if count == 0 {
            break;
        }
        file.write_all(&buffer[..count]).with_context(|| format!("writing {}", part.display()))?;
        arrived += count as u64;
        bar.set_position(arrived);
    }
    file.sync_all().with_context(|| format!("writing {}", part.display()))?;
    bar.finish_and_clear();
    if let Some(expected) = expected.filter(|expected| arrived < *expected) {
        return Err(std::io::Error::new(
            std::io::ErrorKind::UnexpectedEof,
            format!("the connection broke off after {arrived} of {expected} bytes"),
        )
        .into());
    }
    Ok(())
}

/// Whether another attempt may go better: the connection failed, and not the server or the disk.
fn is_passing(error: &anyhow::Error) -> bool {
    use std::io::ErrorKind::{
        BrokenPipe, ConnectionAborted, ConnectionReset, TimedOut, UnexpectedEof,
    };
    error.chain().any(|cause| {
        let io = cause.downcast_ref::<std::io::Error>().or_else(|| {
            match cause.downcast_ref::<ureq::Error>() {
                Some(ureq::Error::Io(error)) => Some(error),
                _ => None,
            }
        });
        io.is_some_and(|error| {
            matches!(
                error.kind(),
                BrokenPipe | ConnectionAborted | ConnectionReset | TimedOut | UnexpectedEof
            )
        })
    })
}

/// Checks size and SHA-256 where they are known.
///
/// # Errors
/// A file that is another than the one expected.
pub fn verify(download: &Download, path: &Path) -> Result<()> {
    let bytes = fs::metadata(path).with_context(|| format!("looking at {}", path.display()))?.len();
    if let Some(expected) = download.bytes {
        ensure!(bytes == expected, "{} has {bytes} bytes, expected {expected}", path.display());
    }
    if let Some(expected) = &download.sha256 {
        let found = sha256(path)?;
        ensure!(
            found == *expected,
            "{} has the SHA-256 {found}, expected {expected}",
            path.display()
        );
    }
    Ok(())
}

/// The SHA-256 of a file in lower-case hexadecimal digits.
///
/// # Errors
/// A file that cannot be read.
pub fn sha256(path: &Path) -> Result<String> {
    let context = || format!("reading {}", path.display());
    let mut file = File::open(path).with_context(context)?;
    let mut hasher = Sha256::new();
    let mut buffer = vec![0; 1 << 20];
    loop {
        let count = file.read(&mut buffer).with_context(context)?;
        if count == 0 {
            break;
        }
        hasher.update(&buffer[..count]);
    }
    Ok(hexadecimal(&hasher.finalize()))
}

/// Bytes as lower-case hexadecimal digits.
pub fn hexadecimal(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        // Writing to a string does not fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}

/// Unpacks a zip; a name that climbs out of the directory is refused before anything is written.
///
/// # Errors
/// A file that is no zip, a name that climbs out, a disk that is full.
pub fn unzip(archive: &Path, into: &Path) -> Result<()> {
    let context = || format!("unpacking {}", archive.display());
    let mut zip =
        zip::ZipArchive::new(File::open(archive).with_context(context)?).with_context(context)?;
    let mut inside: Vec<(usize, PathBuf)> = Vec::new();
    for index in 0..zip.len() {
        let entry = zip.by_index(index).with_context(context)?;
        match entry.enclosed_name() {
            Some(name) => inside.push((index, name)),
            None => bail!("{}: an entry's name climbs out of the directory", archive.display()),
        }
    }
    for (index, name) in inside {
        let mut entry = zip.by_index(index).with_context(context)?;
        let path = into.join(name);
        if entry.is_dir() {
            fs::create_dir_all(&path).with_context(context)?;
            continue;
        }
        if let Some(parent) = path.parent() {
            fs::create_dir_all(parent).with_context(context)?;
        }
        let mut file =
            File::create(&path).with_context(|| format!("writing {}", path.display()))?;
        std::io::copy(&mut entry, &mut file)
            .with_context(|| format!("writing {}", path.display()))?;
    }
    Ok(())
}

fn progress_bar(bytes: Option<u64>) -> ProgressBar {
    let target = if std::io::stderr().is_terminal() {
        ProgressDrawTarget::stderr()
    } else {
        ProgressDrawTarget::hidden()
    };
    let bar = ProgressBar::with_draw_target(bytes, target);
    if let Ok(style) =
        ProgressStyle::with_template("{bar:40} {bytes}/{total_bytes}  {bytes_per_sec}  {eta} left")
    {
        bar.set_style(style);
    }
    bar
}

#[cfg(test)]
mod tests {
    use std::io::{BufRead, BufReader};
    use std::net::TcpListener;

    use super::*;

    fn content() -> Vec<u8> {
        (0..200_000_u32).map(|index| index.to_le_bytes()[index as usize % 3]).collect()
    }

    fn digest(bytes: &[u8]) -> String {
        hexadecimal(&Sha256::digest(bytes))
    }

    /// Serves `content` once for each entry of `cut`, breaking off after so many bytes of the answer.
    fn serve(content: Vec<u8>, cuts: Vec<usize>, ranges: bool) -> String {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}/file.bin", listener.local_addr().unwrap());
        std::thread::spawn(move || {
            for cut in cuts {
                let (mut stream, _) = listener.accept().unwrap();
                let lines: Vec<String> = BufReader::new(&stream)
                    .lines()
                    .map(Result::unwrap)
                    .take_while(|line| !line.is_empty())
                    .map(|line| line.to_lowercase())
                    .collect();
                let start = lines
                    .iter()
                    .find_map(|line| {
                        line.strip_prefix("range: bytes=")?.strip_suffix('-')?.parse::<usize>().ok()
                    })
                    .filter(|_| ranges);
                let body = &content[start.unwrap_or(0)..];
                let status = if start.is_some() { "206 Partial Content" } else { "200 OK" };
                let head = format!(
                    "HTTP/1.1 {status}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n",
                    body.len()
                );
                stream.write_all(head.as_bytes()).unwrap();
                stream.write_all(&body[..cut.min(body.len())]).unwrap();
            }
        });
        url
    }

    fn check_arrives(cuts: Vec<usize>, ranges: bool) {
        let directory = tempfile::tempdir().unwrap();
        let target = directory.path().join("file.bin");
        let content = content();
        let url = serve(content.clone(), cuts, ranges);
        let download =
            Download { url, bytes: Some(200_000), sha256: Some(digest(&content)), token: None };
        fetch(&download, &target).unwrap();
        assert_eq!(fs::read(&target).unwrap(), content);
        assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 1);
        // The server is gone: what is there is not fetched again.
        fetch(&download, &target).unwrap();
    }

    #[test]
    fn a_download_that_breaks_off_is_taken_up() {
        check_arrives(vec![70_000, 50_000, usize::MAX], true);
    }

    #[test]
    fn a_server_without_ranges_starts_again() {
        check_arrives(vec![70_000, usize::MAX], false);
    }

    #[test]
    fn a_wrong_file_gets_no_name() {
        let directory = tempfile::tempdir().unwrap();
        let target = directory.path().join("file.bin");
        let url = serve(content(), vec![usize::MAX], true);
        let download = Download { url, sha256: Some(digest(b"another")), ..Download::default() };
        let error = format!("{:#}", fetch(&download, &target).unwrap_err());
        assert!(error.contains("SHA-256") && error.contains("expected"), "{error}");
        assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 0);
    }

    #[test]
    fn a_zip_that_climbs_out_is_refused() {
        let directory = tempfile::tempdir().unwrap();
        let archive = directory.path().join("a.zip");
        let mut zip = zip::ZipWriter::new(File::create(&archive).unwrap());
        zip.start_file("inside/fine.txt", zip::write::SimpleFileOptions::default()).unwrap();
        zip.write_all(b"fine").unwrap();
        zip.start_file("../outside.txt", zip::write::SimpleFileOptions::default()).unwrap();
        zip.write_all(b"bad").unwrap();
        zip.finish().unwrap();
        let into = directory.path().join("into");
        let error = unzip(&archive, &into).unwrap_err().to_string();
        assert!(error.contains("climbs out"), "{error}");
        assert!(!into.exists() && !directory.path().join("outside.txt").exists());
    }
}
