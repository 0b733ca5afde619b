//! The files of a tokenizer's directory.

use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use serde_json::{Map, Value};

use super::error::TokenizerError;
use crate::encoding;

/// The largest file that is read: the vocabulary of half a million tokens has 20 MB.
const LARGEST: u64 = 64 << 20;

/// A directory.
#[derive(Debug)]
pub(super) struct Files {
    directory: PathBuf,
}

impl Files {
    pub(super) fn of(directory: &Path) -> Self {
        Self { directory: directory.to_owned() }
    }

    /// The bytes of a file; `None` if there is no such file.
    pub(super) fn bytes(&self, file: &'static str) -> Result<Option<Vec<u8>>, TokenizerError> {
        let path = self.directory.join(file);
        let unreadable = |error| TokenizerError::Read { path: path.clone(), error };
        match std::fs::metadata(&path) {
            Ok(metadata) if metadata.len() > LARGEST => {
                Err(TokenizerError::TooLarge { file, bytes: metadata.len(), limit: LARGEST })
            }
            Ok(_) => std::fs::read(&path).map(Some).map_err(unreadable),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
            Err(error) => Err(unreadable(error)),
        }
    }

    /// The object in a JSON file; `None` if there is no such file.
    pub(super) fn object(
        &self,
        file: &'static str,
    ) -> Result<Option<Map<String, Value>>, TokenizerError> {
        let Some(bytes) = self.bytes(file)? else { return Ok(None) };
        let object = serde_json::from_slice(encoding::without_mark(&bytes));
        object.map(Some).map_err(|error| TokenizerError::Json { file, error })
    }
}
