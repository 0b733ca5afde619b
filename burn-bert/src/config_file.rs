//! Reads `config.json` and Google's `bert_config.json`; the keys of a family are in its file.
//!
//! <https://github.com/huggingface/transformers/blob/v4.57.6/src/transformers/configuration_utils.py>

use std::path::Path;

use serde::Deserialize;
use serde_json::{Map, Value};

use crate::checkpoint;
use crate::config::{BertConfig, HiddenActivation};
use crate::error::{BertError, ConfigError};
use crate::families::Family;
use crate::families::keys::{Rule, rule};

/// The name of Google's file.
const GOOGLE: &str = "bert_config.json";
/// The largest file that is read, in bytes; a configuration with the names of 20,000 labels has 1 MB.
const LARGEST: u64 = 16 << 20;

impl BertConfig {
    /// Reads the configuration of a directory: Hugging Face's `config.json`, or Google's `bert_config.json` if the
    /// weights are Google's or there is no other configuration.
    ///
    /// # Errors
    /// If the file is missing, cannot be read, is not JSON, lacks a key, has an unsupported value, or describes another
    /// kind of model.
    pub fn from_directory(directory: &Path) -> Result<Self, BertError> {
        let google = directory.join(GOOGLE);
        let path = directory.join("config.json");
        let is_google_format = checkpoint::is_google_format(directory) || !path.is_file();
        read(if google.is_file() && is_google_format { &google } else { &path })
    }

    /// Reads a `config.json`, or a `bert_config.json`, whose `gelu` is [`HiddenActivation::GeluNew`].
    ///
    /// # Errors
    /// If the file cannot be read, is not JSON, lacks a key, has an unsupported value, or describes another kind of
    /// model.
    pub fn from_json_file(path: &Path) -> Result<Self, BertError> {
        read(path)
    }

    /// Reads the content of such a file. `path` names it in errors; the name `bert_config.json` marks Google's format.
    ///
    /// # Errors
    /// As [`BertConfig::from_json_file`].
    pub fn from_json_bytes(path: &Path, bytes: &[u8]) -> Result<Self, BertError> {
        parse(path, bytes)
    }
}

/// Reads a configuration file.
fn read(path: &Path) -> Result<BertConfig, BertError> {
    let unreadable = |source| BertError::Read { path: path.to_owned(), source };
    let bytes = std::fs::metadata(path).map_err(unreadable)?.len();
    if bytes > LARGEST {
        return Err(BertError::TooLarge { path: path.to_owned(), bytes, limit: LARGEST });
    }
    parse(path, &std::fs::read(path).map_err(unreadable)?)
}

/// Reads the content of a configuration file. `path` is used in errors, and identifies Google's format.
fn parse(path: &Path, bytes: &[u8]) -> Result<BertConfig, BertError> {
    let malformed = |source| ConfigError::Json { path: path.to_owned(), source };
    // Editors on Windows write a byte order mark, which is not JSON.
    let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
    let mut json: Map<String, Value> = serde_json::from_slice(bytes).map_err(malformed)?;
    let family = family(path, &json)?;
    let unknown_keys = check_keys(path, &json, family)?;
    let files = family.files();
    // Another key may have the name of a field.
    json.retain(|key, _| matches!(rule(files.keys, key), Some(Rule::Used | Rule::UsedIf(..))));
    (files.read)(&mut json);
    let config = BertConfig::deserialize(Value::Object(json.clone()))
        .map_err(|source| unreadable_key(path, &json).unwrap_or_else(|| malformed(source)))?;
    let config = BertConfig { family, unknown_keys, ..config };
    config.check().map_err(|error| error.in_file(path))?;
    let is_google = path.file_name().is_some_and(|name| name == GOOGLE);
    Ok(if is_google { google_format(config) } else { config })
}

/// The error of the first key whose value has the wrong type, by BERT's name of the key.
fn unreadable_key(path: &Path, json: &Map<String, Value>) -> Option<ConfigError> {
    let sound = BertConfig::bert_base().to_config_json();
    json.iter().find_map(|(key, value)| {
        let mut json = sound.clone();
        json.insert(key.clone(), value.clone());
        let source = BertConfig::deserialize(Value::Object(json)).err()?;
        Some(ConfigError::Key { path: path.to_owned(), key: key.clone(), source })
    })
}

/// The family, which is looked up first: in a model of another kind, any key may be missing or mean something else.
fn family(path: &Path, json: &Map<String, Value>) -> Result<Family, ConfigError> {
    let known = || {
        let known: Vec<&str> = Family::all().map(Family::model_type).collect();
        format!("one of {}", known.join(", "))
    };
    match json.get("model_type") {
        Some(kind) => kind
            .as_str()
            .and_then(Family::from_model_type)
            .ok_or_else(|| wrong(path, "model_type", kind, &known())),
        // Files of 2019 have no model_type.
        None => match json.get("architectures").and_then(Value::as_array) {
            Some(names) if !names.is_empty() => {
                let is_of = |family: &Family| {
                    names
                        .iter()
                        .all(|name| name.as_str().is_some_and(|name| family.has_class(name)))
                };
                Family::all().find(is_of).ok_or_else(|| {
                    let expected = format!("classes of {} (there is no model_type)", known());
                    wrong(path, "architectures", &Value::Array(names.clone()), &expected)
                })
            }
            _ => Ok(Family::Bert),
        },
    }
}

/// Checks the values of known keys, and returns the unknown ones.
fn check_keys(
    path: &Path,
    json: &Map<String, Value>,
    family: Family,
) -> Result<Vec<String>, ConfigError> {
    let mut unknown = Vec::new();
    for (key, value) in json {
        match rule(family.files().keys, key) {
            Some(Rule::Only(is_supported, expected) | Rule::UsedIf(is_supported, expected))
                if !is_supported(value) =>
            {
                return Err(wrong(path, key, value, expected));
            }
            Some(_) => {}
            None => unknown.push(key.clone()),
        }
    }
    Ok(unknown)
}

/// `gelu` is the tanh approximation in Google's code.
///
/// <https://github.com/google-research/bert/blob/eedf5716ce1268e56f0a50264a88cafad334ac61/modeling.py#L264>
fn google_format(config: BertConfig) -> BertConfig {
    let hidden_act = match config.hidden_act {
        HiddenActivation::Gelu => HiddenActivation::GeluNew,
        other => other,
    };
    BertConfig { hidden_act, ..config }
}

fn wrong(path: &Path, key: &str, found: &Value, expected: &str) -> ConfigError {
    /// The most characters of a value in a message.
    const LONGEST: usize = 80;
    let text = match found {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    };
    let found = match text.char_indices().nth(LONGEST) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text,
    };
    ConfigError::FileValue {
        path: path.to_owned(),
        key: key.to_owned(),
        found,
        expected: expected.to_owned(),
    }
}
