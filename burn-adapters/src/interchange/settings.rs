//! The settings in another package's JSON file: each is taken by name, and any that is not taken is an error.

use std::path::{Path, PathBuf};

use serde_json::{Map, Value};

use crate::error::{AdapterError, FileError, InterchangeError};

/// The name of a setting that does not change a trained adapter's results, and the reason.
pub(super) type Harmless = (&'static str, &'static str);

/// Settings that have not been taken yet.
pub(super) struct Settings {
    /// The file.
    pub(super) path: PathBuf,
    left: Map<String, Value>,
}

/// The largest JSON file that is read; those of the packages have a few kilobytes.
const MAX_BYTES: u64 = 16 << 20;

impl Settings {
    /// Reads the object in a file.
    pub(super) fn read(path: &Path) -> Result<Self, AdapterError> {
        let read = |source| FileError::Read { path: path.to_owned(), source };
        let length = std::fs::metadata(path).map_err(read)?.len();
        if length > MAX_BYTES {
            let reason = format!("{length} bytes, expected settings of at most {MAX_BYTES}");
            return Err(InterchangeError::Weights { path: path.to_owned(), reason }.into());
        }
        let bytes = std::fs::read(path).map_err(read)?;
        Self::parse(path, &bytes)
    }

    /// The object in the bytes of a file; `path` is for error messages.
    pub(super) fn parse(path: &Path, bytes: &[u8]) -> Result<Self, AdapterError> {
        // Editors on Windows write a byte order mark, which is not JSON.
        let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
        let left = serde_json::from_slice(bytes)
            .map_err(|source| InterchangeError::Json { path: path.to_owned(), source })?;
        Ok(Self { path: path.to_owned(), left })
    }

    /// Settings without a file.
    #[cfg(test)]
    pub(super) fn from_map(left: Map<String, Value>) -> Self {
        Self { path: PathBuf::from("adapter_config.json"), left }
    }

    /// Nested settings.
    pub(super) fn nested(&self, left: Map<String, Value>) -> Self {
        Self { path: self.path.clone(), left }
    }

    /// The value of a setting; `null` counts as absent.
    pub(super) fn take(&mut self, key: &str) -> Option<Value> {
        self.left.remove(key).filter(|value| !value.is_null())
    }

    /// The nested settings of a setting.
    pub(super) fn object(&mut self, key: &str) -> Result<Option<Self>, AdapterError> {
        match self.take(key) {
            None => Ok(None),
            Some(Value::Object(map)) => Ok(Some(self.nested(map))),
            Some(other) => Err(self.refuse(key, &other, "an object")),
        }
    }

    pub(super) fn flag(&mut self, key: &str, default: bool) -> Result<bool, AdapterError> {
        match self.take(key) {
            None => Ok(default),
            Some(Value::Bool(value)) => Ok(value),
            Some(other) => Err(self.refuse(key, &other, "true or false")),
        }
    }

    pub(super) fn number(&mut self, key: &str, default: f64) -> Result<f64, AdapterError> {
        match self.take(key) {
            None => Ok(default),
            Some(value) => {
                let number = value.as_f64().filter(|number| number.is_finite());
                number.ok_or_else(|| self.refuse(key, &value, "a number"))
            }
        }
    }

    pub(super) fn size(&mut self, key: &str, default: usize) -> Result<usize, AdapterError> {
        match self.take(key) {
            None => Ok(default),
            Some(value) => {
                let size = value.as_u64().and_then(|size| usize::try_from(size).ok());
                size.ok_or_else(|| self.refuse(key, &value, "a whole number"))
            }
        }
    }

    pub(super) fn text(&mut self, key: &str, default: &str) -> Result<String, AdapterError> {
        match self.take(key) {
            None => Ok(default.to_owned()),
            Some(Value::String(text)) => Ok(text),
            Some(other) => Err(self.refuse(key, &other, "a text")),
        }
    }

    pub(super) fn texts(&mut self, key: &str) -> Result<Option<Vec<String>>, AdapterError> {
        let Some(value) = self.take(key) else { return Ok(None) };
        let texts = value.as_array().and_then(|items| {
            items.iter().map(|item| item.as_str().map(str::to_owned)).collect::<Option<_>>()
        });
        texts.map(Some).ok_or_else(|| self.refuse(key, &value, "a list of texts"))
    }

    /// A list of whole numbers, or a single one.
    pub(super) fn sizes(&mut self, key: &str) -> Result<Vec<usize>, AdapterError> {
        let Some(value) = self.take(key) else { return Ok(Vec::new()) };
        let items = value.as_array().map_or(std::slice::from_ref(&value), Vec::as_slice);
        let size = |item: &Value| item.as_u64().and_then(|size| usize::try_from(size).ok());
        let sizes: Option<Vec<_>> = items.iter().map(size).collect();
        sizes.ok_or_else(|| self.refuse(key, &value, "a list of whole numbers"))
    }

    /// Takes settings that do not change results, whatever their value.
    pub(super) fn skip(&mut self, keys: &[Harmless]) {
        for (key, _) in keys {
            self.left.remove(*key);
        }
    }

    /// Takes settings that must be absent or `null`; any other value, 0 included, has a meaning.
    pub(super) fn must_be_absent(&mut self, keys: &[&str]) -> Result<(), AdapterError> {
        for key in keys {
            if let Some(value) = self.take(key) {
                return Err(self.refuse(key, &value, "it to be null: it is not supported"));
            }
        }
        Ok(())
    }

    /// Takes settings that must be off: absent, `null`, `false`, 0 or empty.
    pub(super) fn must_be_off(&mut self, keys: &[&str]) -> Result<(), AdapterError> {
        for key in keys {
            let Some(value) = self.take(key) else { continue };
            let off = match &value {
                Value::Bool(value) => !value,
                Value::Number(number) => number.as_f64().is_some_and(|number| number.abs() <= 0.0),
                Value::String(text) => text.is_empty() || text == "none",
                Value::Array(items) => items.is_empty(),
                Value::Object(map) => map.is_empty(),
                Value::Null => true,
            };
            if !off {
                return Err(self.refuse(key, &value, "it to be off: it is not supported"));
            }
        }
        Ok(())
    }

    /// Checks that all settings were taken; the error names the first that was not.
    pub(super) fn finish(self) -> Result<(), AdapterError> {
        match self.left.iter().find(|(_, value)| !value.is_null()) {
            None => Ok(()),
            Some((key, value)) => {
                Err(self.refuse(key, value, "no such setting: it is not supported"))
            }
        }
    }

    /// An error about a setting.
    pub(super) fn refuse(&self, key: &str, found: &Value, expected: &str) -> AdapterError {
        const LONGEST: usize = 200;
        let mut found = found.to_string();
        if found.chars().count() > LONGEST {
            found = found.chars().take(LONGEST).chain(['…']).collect();
        }
        let (path, key, expected) = (self.path.clone(), key.to_owned(), expected.to_owned());
        InterchangeError::Setting { path, key, found, expected }.into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_byte_order_mark_is_skipped() {
        let mut settings = Settings::parse(Path::new("a.json"), b"\xef\xbb\xbf{\"r\": 8}").unwrap();
        assert_eq!(settings.take("r"), Some(Value::from(8)));
    }
}
