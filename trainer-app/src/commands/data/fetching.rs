//! `trainer data fetch`: archives are downloaded and unpacked into a temporary directory, checked, and only then moved to
//! their final location.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result, bail};
use burn_adapters::file::atomic;
use glue_data::{Source, TaskSpec};

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
    specs: &[&TaskSpec],
    all: bool,
    locations: Locations<'_>,
    downloader: &Downloader,
) -> Result<()> {
    let mut failed = Vec::new();
    let mut by_hand = Vec::new();
    for spec in specs {
        let fetched = match spec.source {
            None => {
                noteln!("{}: included in the program", spec.name);
                continue;
            }
            Some(_) if is_complete(spec, locations.data) => {
                noteln!("{}: already downloaded", spec.name);
                check(&[spec], locations.data)
            }
            Some(Source::ByHand { how }) if all => {
                by_hand.push((spec.name, how));
                continue;
            }
            Some(Source::ByHand { how }) => {
                Err(anyhow::anyhow!("{} cannot be downloaded: {how}", spec.name))
            }
            Some(Source::Zip { url } | Source::ZipOfFiles { url }) => {
                let fetched = fetch(spec, url, locations, downloader);
                fetched.map_err(|error| by_hand_instead(error, spec, url, locations.data))
            }
        };
        match fetched {
            Ok(()) => {}
            Err(error) if specs.len() == 1 => return Err(error),
            Err(error) => {
                noteln!("{}: {error:#}", spec.name);
                failed.push(spec.name);
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
            specs.len(),
            failed.join(", ")
        );
    }
    if let Some(spec) = specs.iter().find(|spec| spec.source.is_some()) {
        let data = hints::path(locations.data);
        let train = format!("train --task {} --data {data}", spec.name);
        hints::next(&[(train, "train an adapter for the task")]);
    }
    Ok(())
}

/// The error of a download, with how to go on without it; as it is if the disk caused it.
fn by_hand_instead(error: anyhow::Error, spec: &TaskSpec, url: &str, data: &Path) -> anyhow::Error {
    if is_of_disk(&error) {
        return error;
    }
    let into = match spec.source {
        Some(Source::ZipOfFiles { .. }) => data.join(spec.directory),
        _ => data.to_owned(),
    };
    anyhow::anyhow!(
        "{error:#}; to do it by hand, download {url} and unpack it in {}; then compare the files with `trainer data check \
         {} --data {}`",
        into.display(),
        spec.name,
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
fn is_complete(spec: &TaskSpec, data: &Path) -> bool {
    let read = |part: &glue_data::Part| spec.read(Some(data), part.split);
    spec.parts.iter().all(|part| read(part).is_ok_and(|rows| rows.len() == part.rows))
}

fn fetch(
    spec: &TaskSpec,
    url: &str,
    locations: Locations<'_>,
    downloader: &Downloader,
) -> Result<()> {
    let data = locations.data;
    let file = url.rsplit('/').next().unwrap_or(url);
    let url = match locations.mirror {
        Some(mirror) => format!("{}/{file}", mirror.trim_end_matches('/')),
        None => url.to_owned(),
    };
    noteln!("{}: {url}", spec.name);
    let download = Download { url, at_most: Some(MAX_ARCHIVE), ..Download::default() };
    if !data.exists() {
        // If the server cannot be reached, no directory is created.
        downloader.probe(&download)?;
    }
    let directory = data.join(spec.directory);
    let _lock = Lock::wait_beside(&directory, || {
        noteln!("another process is downloading {}; waiting for it to finish", spec.name);
    })?;
    if is_complete(spec, data) {
        return check(&[spec], data);
    }
    // Files of a process that was killed while it unpacked.
    atomic::remove_partial_of(&data.join(temporary_prefix(spec)))?;
    let part = data.join(format!(".{file}.part"));
    downloader.receive(&download, &part)?;
    let unpacked = unpack_and_move(spec, &part, data);
    // The archive is not needed again, except after a full disk: then it is complete and can be unpacked later.
    if !unpacked.as_ref().is_err_and(is_of_disk) {
        Downloader::discard(&part)?;
    }
    unpacked.with_context(|| format!("the archive {}", download.url))
}

/// Prefix of the temporary directory into which a task's archive is unpacked; a dot before it hides it.
fn temporary_prefix(spec: &TaskSpec) -> String {
    format!("unpacked-{}", spec.directory)
}

/// Unpacks an archive into a temporary directory, checks the rows, and moves the files to the task's directory.
fn unpack_and_move(spec: &TaskSpec, archive: &Path, data: &Path) -> Result<()> {
    let temporary = tempfile::Builder::new()
        .prefix(&format!(".{}.", temporary_prefix(spec)))
        .suffix(".part")
        .tempdir_in(data)
        .with_context(|| format!("writing into {}", data.display()))?;
    let into = match spec.source {
        Some(Source::ZipOfFiles { .. }) => temporary.path().join(spec.directory),
        _ => temporary.path().to_owned(),
    };
    archive::unpack(archive, &into)?;
    check(&[spec], temporary.path())?;
    let (from, to) = (temporary.path().join(spec.directory), data.join(spec.directory));
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
        let specs: Vec<_> = names.iter().map(|name| tasks::lookup(name).unwrap()).collect();
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
        assert!(is_complete(tasks::lookup("wnli").unwrap(), data));
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
