//! `trainer data fetch`: files or archives of them are downloaded, unpacked into a temporary directory, checked, and only
//! then moved to their final location.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use burn_adapters::file::atomic;
use glue_data::{PublishedTask, Source};

use super::checking::check;
use crate::download::archive;
use crate::download::http::{Download, Downloader};
use crate::system::lock::Lock;
use crate::terminal::hints;

/// Maximum size of an archive; the largest of the published ones has 0.3 GB.
const MAX_ARCHIVE: u64 = 4 << 30;

/// Where the data comes from and goes to.
#[derive(Debug, Clone, Copy)]
pub(super) struct Locations<'a> {
    pub(super) data: &'a Path,
    /// Used instead of the publishers' URLs.
    pub(super) mirror: Option<&'a str>,
}

/// Downloads the tasks; one that fails does not stop the others. `all` is whether `all` was given instead of names.
pub(super) fn run(
    tasks: &[&dyn PublishedTask],
    all: bool,
    locations: Locations<'_>,
    downloader: &Downloader,
) -> Result<()> {
    let mut failed = Vec::new();
    let mut by_hand = Vec::new();
    for task in tasks {
        let fetched = match task.source() {
            None => {
                noteln!("{}: included in the program", task.name());
                continue;
            }
            Some(_) if is_complete(*task, locations.data) => {
                noteln!("{}: already downloaded", task.name());
                check(&[*task], locations.data)
            }
            Some(Source::ByHand { how }) if all => {
                by_hand.push((task.name(), how));
                continue;
            }
            Some(Source::ByHand { how }) => {
                Err(anyhow::anyhow!("{} cannot be downloaded: {how}", task.name()))
            }
            Some(source) => {
                let fetched = fetch(*task, source, locations, downloader);
                fetched.map_err(|error| by_hand_instead(error, *task, source, locations.data))
            }
        };
        match fetched {
            Ok(()) => {}
            Err(error) if tasks.len() == 1 => return Err(error),
            Err(error) => {
                noteln!("{}: {error:#}", task.name());
                failed.push(task.name());
            }
        }
    }
    for (name, how) in by_hand {
        noteln!("{name}: skipped, since it cannot be downloaded automatically: {how}");
    }
    if !failed.is_empty() {
        bail!(
            "{} of {} tasks could not be downloaded: {}",
            failed.len(),
            tasks.len(),
            failed.join(", ")
        );
    }
    if let Some(task) = tasks.iter().find(|task| task.source().is_some()) {
        let data = hints::path(locations.data);
        let train = format!("train --task {} --data {data}", task.name());
        hints::next(&[(train, "train an adapter for the task")]);
    }
    Ok(())
}

/// The error of a download, with how to go on without it; as it is if the disk caused it.
fn by_hand_instead(
    error: anyhow::Error,
    task: &dyn PublishedTask,
    source: Source,
    data: &Path,
) -> anyhow::Error {
    if is_of_disk(&error) {
        return error;
    }
    let directory = data.join(task.directory());
    let what = match source {
        Source::Zip { url } => format!("download {url} and unpack it in {}", data.display()),
        Source::ZipOfFiles { url } => {
            format!("download {url} and unpack it in {}", directory.display())
        }
        Source::Files { url } => {
            let files: Vec<_> = task.files().iter().map(|part| part.file).collect();
            format!("download {} of {url} into {}", files.join(", "), directory.display())
        }
        Source::ByHand { how } => how.to_owned(),
    };
    anyhow::anyhow!(
        "{error:#}; to do it by hand, {what}; then compare the files with `trainer data check {} --data {}`",
        task.name(),
        data.display()
    )
}

/// Whether an archive could not be unpacked because of the disk.
fn is_of_disk(error: &anyhow::Error) -> bool {
    error.chain().any(|cause| {
        cause.downcast_ref().is_some_and(|error: &archive::ArchiveError| {
            matches!(error, archive::ArchiveError::Disk { .. })
        })
    })
}

/// Whether every file of a task exists with the published number of rows.
fn is_complete(task: &dyn PublishedTask, data: &Path) -> bool {
    task.files()
        .iter()
        .all(|part| task.count(Some(data), part.split).is_ok_and(|counts| counts.rows == part.rows))
}

/// The URLs of the files of a source, or of its archive.
fn urls(task: &dyn PublishedTask, source: Source, mirror: Option<&str>) -> Vec<String> {
    let mirrored = |url: &str| {
        let file = url.rsplit('/').next().unwrap_or(url);
        mirror.map_or_else(
            || url.to_owned(),
            |mirror| format!("{}/{file}", mirror.trim_end_matches('/')),
        )
    };
    match source {
        Source::Zip { url } | Source::ZipOfFiles { url } => vec![mirrored(url)],
        Source::Files { url } => {
            let files = task.files().into_iter();
            files.map(|part| mirrored(&format!("{url}/{}", part.file))).collect()
        }
        Source::ByHand { .. } => Vec::new(),
    }
}

fn fetch(
    task: &dyn PublishedTask,
    source: Source,
    locations: Locations<'_>,
    downloader: &Downloader,
) -> Result<()> {
    let data = locations.data;
    let urls = urls(task, source, locations.mirror);
    let download = |url: &String| Download {
        url: url.clone(),
        at_most: Some(MAX_ARCHIVE),
        ..Download::default()
    };
    if !data.exists()
        && let Some(first) = urls.first()
    {
        // If the server cannot be reached, no directory is created.
        downloader.probe(&download(first))?;
    }
    let directory = data.join(task.directory());
    let _lock = Lock::wait_beside(&directory, || {
        noteln!("another process is downloading {}; waiting for it to finish", task.name());
    })?;
    if is_complete(task, data) {
        return check(&[task], data);
    }
    // Files of a process that was killed while it unpacked.
    atomic::remove_partial_of(&data.join(temporary_prefix(task)))?;
    let mut parts = Vec::new();
    for url in &urls {
        noteln!("{}: {url}", task.name());
        let part = data.join(format!(".{}.part", file_name(url)));
        downloader.receive(&download(url), &part)?;
        parts.push(part);
    }
    let unpacked = unpack_and_move(task, source, &urls, &parts, data);
    // What was downloaded is not needed again, except after a full disk: then it is complete and can be unpacked later.
    if !unpacked.as_ref().is_err_and(is_of_disk) {
        for part in &parts {
            Downloader::discard(part)?;
        }
    }
    unpacked.with_context(|| format!("what was downloaded from {}", urls.join(", ")))
}

fn file_name(url: &str) -> &str {
    url.rsplit('/').next().unwrap_or(url)
}

/// Prefix of the temporary directory into which a task's archive is unpacked; a dot before it hides it.
fn temporary_prefix(task: &dyn PublishedTask) -> String {
    format!("unpacked-{}", task.directory())
}

/// Puts the files of a task into a temporary directory, checks the rows, and moves the files to the task's directory.
fn unpack_and_move(
    task: &dyn PublishedTask,
    source: Source,
    urls: &[String],
    parts: &[PathBuf],
    data: &Path,
) -> Result<()> {
    let temporary = tempfile::Builder::new()
        .prefix(&format!(".{}.", temporary_prefix(task)))
        .suffix(".part")
        .tempdir_in(data)
        .with_context(|| format!("writing into {}", data.display()))?;
    let from = temporary.path().join(task.directory());
    for (url, part) in urls.iter().zip(parts) {
        match source {
            Source::ZipOfFiles { .. } => archive::unpack(part, &from)?,
            Source::Files { .. } => {
                fs::create_dir_all(&from)
                    .and_then(|()| fs::copy(part, from.join(file_name(url))))
                    .with_context(|| format!("writing into {}", from.display()))?;
            }
            Source::Zip { .. } | Source::ByHand { .. } => archive::unpack(part, temporary.path())?,
        }
    }
    check(&[task], temporary.path())?;
    let to = data.join(task.directory());
    let moved = if to.exists() { replace_files(&from, &to) } else { atomic::rename(&from, &to) };
    moved.with_context(|| format!("writing {}", to.display()))
}

/// Replaces the files of a directory one by one: it may contain other files, which are kept.
fn replace_files(from: &Path, to: &Path) -> std::io::Result<()> {
    fs::create_dir_all(to)?;
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        let target = to.join(entry.file_name());
        if entry.file_type()?.is_dir() {
            replace_files(&entry.path(), &target)?;
        } else {
            atomic::rename(&entry.path(), &target)?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::io::{Cursor, Write};

    use glue_data::tasks;

    use super::*;
    use crate::download::http::test_server::{TestServer, impatient};

    /// WNLI's archive with so many training rows; 635 were published.
    fn wnli(training: usize) -> Vec<u8> {
        let mut zip = zip::ZipWriter::new(Cursor::new(Vec::new()));
        let labeled = "index\tsentence1\tsentence2\tlabel\n";
        let unlabeled = "index\tsentence1\tsentence2\n";
        for (file, header, end, rows) in [
            ("train.tsv", labeled, "\t1", training),
            ("dev.tsv", labeled, "\t0", 71),
            ("test.tsv", unlabeled, "", 146),
        ] {
            let rows: Vec<String> = (0..rows).map(|row| format!("{row}\ta\tb{end}\n")).collect();
            let options = zip::write::SimpleFileOptions::default();
            zip.start_file(format!("WNLI/{file}"), options).unwrap();
            zip.write_all(format!("{header}{}", rows.concat()).as_bytes()).unwrap();
        }
        zip.finish().unwrap().into_inner()
    }

    fn fetch(names: &[&str], all: bool, server: &TestServer, data: &Path) -> Result<()> {
        let specs: Vec<_> = names.iter().map(|name| tasks::find(name).unwrap()).collect();
        let locations = Locations { data, mirror: Some(&server.address) };
        run(&specs, all, locations, &impatient())
    }

    fn names(directory: &Path) -> Vec<String> {
        let entries = fs::read_dir(directory).unwrap();
        let mut names: Vec<_> =
            entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }

    #[test]
    fn a_failure_leaves_nothing_behind() {
        let directory = tempfile::tempdir().unwrap();
        let data = directory.path().join("data");
        fetch(&["wnli"], false, &TestServer::start(), &data).unwrap_err();
        assert!(!data.exists());
    }

    #[test]
    fn an_archive_that_is_bad_is_not_kept() {
        let directory = tempfile::tempdir().unwrap();
        let data = directory.path().join("data");
        let server = TestServer::start();
        for (bytes, part) in [
            (b"<html>not found</html>".to_vec(), "not a zip archive"),
            (wnli(630), "different from the published one"),
            (wnli(635)[..2000].to_vec(), "not a zip archive"),
        ] {
            server.put("/WNLI.zip", &bytes, part);
            let error = format!("{:#}", fetch(&["wnli"], false, &server, &data).unwrap_err());
            assert!(error.contains(part), "{error}");
            assert_eq!(names(&data), [".WNLI.lock"]);
        }
        // Files of a process that was killed while it unpacked.
        fs::create_dir(data.join(".unpacked-WNLI.x.part")).unwrap();
        server.put("/WNLI.zip", &wnli(635), "good");
        fetch(&["wnli"], false, &server, &data).unwrap();
        assert_eq!(names(&data), [".WNLI.lock", "WNLI"]);
        assert_eq!(names(&data.join("WNLI")), ["dev.tsv", "test.tsv", "train.tsv"]);
        // It is complete, and not downloaded again.
        server.remove("/WNLI.zip");
        fetch(&["wnli"], false, &server, &data).unwrap();
    }

    #[test]
    fn files_of_the_user_stay_where_a_task_is_completed() {
        let directory = tempfile::tempdir().unwrap();
        let data = directory.path();
        fs::create_dir(data.join("WNLI")).unwrap();
        fs::write(data.join("WNLI/notes.txt"), "mine").unwrap();
        fs::write(data.join("WNLI/train.tsv"), "half a file").unwrap();
        let server = TestServer::start();
        server.put("/WNLI.zip", &wnli(635), "good");
        fetch(&["wnli"], false, &server, data).unwrap();
        assert_eq!(fs::read(data.join("WNLI/notes.txt")).unwrap(), b"mine");
        assert!(is_complete(tasks::find("wnli").unwrap(), data));
    }

    #[test]
    fn files_without_an_archive_are_downloaded_one_by_one() {
        let directory = tempfile::tempdir().unwrap();
        let data = directory.path().join("data");
        let server = TestServer::start();
        let texts = |texts: usize| "a\tO\nb\tB-person\n\n".repeat(texts);
        for (file, rows) in [
            ("wnut17train.conll", 3394),
            ("emerging.dev.conll", 1009),
            ("emerging.test.annotated", 1286),
        ] {
            server.put(&format!("/{file}"), texts(rows).as_bytes(), file);
        }
        let error = format!("{:#}", fetch(&["wnut17"], false, &server, &data).unwrap_err());
        assert!(error.contains("different from the published one"), "{error}");
        assert!(error.contains("download wnut17train.conll, emerging.dev.conll"), "{error}");
        assert_eq!(names(&data), [".wnut17.lock"]);
        server.put("/emerging.test.annotated", texts(1287).as_bytes(), "good");
        fetch(&["wnut17"], false, &server, &data).unwrap();
        assert_eq!(names(&data), [".wnut17.lock", "wnut17"]);
        assert!(is_complete(tasks::find("wnut17").unwrap(), &data));
    }

    #[test]
    fn every_task_is_tried_and_the_failures_are_named_at_the_end() {
        let directory = tempfile::tempdir().unwrap();
        let server = TestServer::start();
        server.put("/WNLI.zip", &wnli(635), "good");
        let all = ["cola", "mrpc", "rte", "wnli"];
        let error = fetch(&all, true, &server, directory.path()).unwrap_err().to_string();
        assert_eq!(error, "2 of 4 tasks could not be downloaded: cola, rte");
        assert!(directory.path().join("WNLI/train.tsv").exists());
        // MRPC cannot be downloaded automatically, which is not an error for `all`.
        fetch(&["mrpc", "wnli"], true, &server, directory.path()).unwrap();
        let error = fetch(&["mrpc"], false, &server, directory.path()).unwrap_err().to_string();
        assert!(error.contains("cannot be downloaded"), "{error}");
    }
}
