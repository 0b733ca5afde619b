//! Reads the configuration and the tokenizer of a base.
//! Warnings that the libraries return are printed here, each once.

use std::collections::BTreeSet;
use std::fmt::Display;
use std::path::Path;
use std::sync::{Mutex, PoisonError};

use anyhow::{Context, Result};
use burn_bert::BertConfig;
use glue_data::TextEncoder;

use crate::base::Base;

impl Base {
    /// The configuration of the encoder. Prints a warning for unknown keys of its file.
    ///
    /// # Errors
    /// A file that is missing or malformed, describes a model other than BERT, or has an unsupported setting.
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
    /// A tokenizer that is missing, damaged, not BERT's, or does not fit the base's word embeddings.
    pub fn encoder(&self, config: &BertConfig, max_length: usize) -> Result<TextEncoder> {
        let positions = config.max_position_embeddings;
        if positions < max_length {
            self.warn(format_args!(
                "texts are truncated to {positions} tokens instead of {max_length}: the base has no more positions"
            ));
        }
        let encoder = TextEncoder::from_directory(self.directory(), max_length.min(positions))?;
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
        Ok(Some(config.max_position_embeddings))
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
}
