//! The configuration files of a tokenizer: `tokenizer_config.json`, `special_tokens_map.json`, `added_tokens.json`.
//!
//! They are combined as by `PreTrainedTokenizerBase._from_pretrained` of transformers 4.57.6.

use std::collections::BTreeMap;

use serde_json::{Map, Value};
use tokenizers::TruncationDirection;

use super::class::Class;
use super::error::{TokenizerError, TokenizerWarning};
use super::files::Files;
use super::keys::{self, SPECIAL_TOKENS, shown};
use super::special::{Declared, Special, read_declared};

pub(super) const CONFIG: &str = "tokenizer_config.json";
const SPECIAL_MAP: &str = "special_tokens_map.json";
const ADDED: &str = "added_tokens.json";

/// All settings.
#[derive(Debug)]
pub(super) struct Settings {
    pub(super) class: &'static Class,
    pub(super) do_lower_case: Option<bool>,
    /// `Some(None)` if it is null.
    #[expect(clippy::option_option, reason = "transformers has three values, and a default")]
    pub(super) strip_accents: Option<Option<bool>>,
    pub(super) tokenize_chinese_chars: Option<bool>,
    pub(super) add_prefix_space: Option<bool>,
    pub(super) trim_offsets: Option<bool>,
    pub(super) split_by_punct: bool,
    /// Whether token types are inputs of the model.
    pub(super) has_token_types: bool,
    pub(super) truncation_side: Option<TruncationDirection>,
    pub(super) states_padding_side: bool,
    /// The declared special tokens; `None` for null.
    pub(super) special: BTreeMap<&'static str, Option<Special>>,
    /// `None` where no file has the key.
    pub(super) additional: Option<Vec<Special>>,
    /// Added tokens by their ids.
    pub(super) declared: BTreeMap<u32, Declared>,
    /// The file with their declarations.
    declared_in: &'static str,
    /// Whether `tokenizer_config.json` lists the added tokens; the older files are not read then.
    pub(super) lists_added: bool,
    pub(super) warnings: Vec<TokenizerWarning>,
}

impl Settings {
    /// Reads the configuration files of a tokenizer.
    pub(super) fn read(files: &Files) -> Result<Self, TokenizerError> {
        let config = files.object(CONFIG)?.unwrap_or_default();
        // In the configuration of another class, other keys may have another meaning.
        let class = Class::of(files, &config)?;
        let mut warnings = keys::check_config(&config, class)?;
        let mut settings = Self {
            class,
            do_lower_case: flag(&config, "do_lower_case")?,
            strip_accents: match config.get("strip_accents") {
                None => None,
                Some(Value::Null) => Some(None),
                Some(_) => Some(flag(&config, "strip_accents")?),
            },
            tokenize_chinese_chars: flag(&config, "tokenize_chinese_chars")?,
            add_prefix_space: flag(&config, "add_prefix_space")?,
            trim_offsets: flag(&config, "trim_offsets")?,
            split_by_punct: flag(&config, "split_by_punct")?.unwrap_or(false),
            has_token_types: match config.get("model_input_names") {
                None => class.has_token_types,
                Some(names) => keys::has_token_types(names),
            },
            truncation_side: match config.get("truncation_side") {
                None => None,
                Some(side) if side == "right" => Some(TruncationDirection::Right),
                Some(side) if side == "left" => Some(TruncationDirection::Left),
                Some(side) => {
                    return Err(wrong(CONFIG, "truncation_side", side, "right or left"));
                }
            },
            states_padding_side: config.contains_key("padding_side"),
            special: BTreeMap::new(),
            additional: None,
            declared: BTreeMap::new(),
            declared_in: CONFIG,
            lists_added: config.contains_key("added_tokens_decoder"),
            warnings: Vec::new(),
        };
        settings.take_special(CONFIG, &config)?;
        let map = files.object(SPECIAL_MAP)?;
        if let Some(map) = &map {
            warnings.extend(keys::unknown_special(map));
        }
        if settings.lists_added {
            settings.take_listed(&config)?;
            if let Some(map) = &map {
                warnings.extend(settings.differences(map)?);
            }
        } else {
            if let Some(map) = &map {
                settings.take_special(SPECIAL_MAP, map)?;
            }
            settings.take_added(files)?;
        }
        settings.warnings = warnings;
        Ok(settings)
    }

    /// The text of a special token by its key, or the default of the class; `None` if there is neither.
    pub(super) fn special_token(&self, key: &str) -> Option<&str> {
        match self.special.get(key) {
            Some(stated) => stated.as_ref().map(Special::text),
            None => {
                self.class.special.iter().find(|default| default.key == key).map(|token| token.text)
            }
        }
    }

    /// The declared ids of added tokens, with the file of each declaration.
    pub(super) fn declared_ids(
        &self,
        files: &Files,
    ) -> Result<Vec<(&'static str, String, u64)>, TokenizerError> {
        let listed = self
            .declared
            .iter()
            .map(|(id, declared)| (self.declared_in, declared.content.clone(), u64::from(*id)));
        let mut ids: Vec<_> = listed.collect();
        // transformers does not read this file if the configuration lists the tokens; the two must agree.
        for (token, id) in files.object(ADDED)?.unwrap_or_default() {
            let id = id.as_u64().ok_or_else(|| wrong(ADDED, &token, &id, "an id"))?;
            ids.push((ADDED, token, id));
        }
        Ok(ids)
    }

    fn take_special(
        &mut self,
        file: &'static str,
        map: &Map<String, Value>,
    ) -> Result<(), TokenizerError> {
        for key in SPECIAL_TOKENS {
            if let Some(value) = map.get(key) {
                self.special.insert(key, Special::read(file, key, value)?);
            }
        }
        if let Some(more) = Special::additional(file, map)? {
            let known = self.additional.get_or_insert_default();
            for special in more {
                if known.iter().all(|known| known.text() != special.text()) {
                    known.push(special);
                }
            }
        }
        Ok(())
    }

    /// Tokens of `added_tokens_decoder`.
    fn take_listed(&mut self, config: &Map<String, Value>) -> Result<(), TokenizerError> {
        const KEY: &str = "added_tokens_decoder";
        let Some(Value::Object(listed)) = config.get(KEY) else {
            let found = config.get(KEY).unwrap_or(&Value::Null);
            return Err(wrong(CONFIG, KEY, found, "tokens by their ids"));
        };
        for (id, value) in listed {
            let id =
                id.parse().map_err(|_| wrong(CONFIG, KEY, &id.clone().into(), "an id as key"))?;
            self.declared.insert(id, read_declared(CONFIG, KEY, value)?);
        }
        Ok(())
    }

    /// Tokens of `added_tokens.json`.
    fn take_added(&mut self, files: &Files) -> Result<(), TokenizerError> {
        self.declared_in = ADDED;
        for (token, id) in files.object(ADDED)?.unwrap_or_default() {
            let index = id.as_u64().and_then(|id| u32::try_from(id).ok());
            let index = index.ok_or_else(|| wrong(ADDED, &token, &id, "an id"))?;
            let special = self
                .special
                .values()
                .flatten()
                .chain(self.additional.iter().flatten())
                .any(|special| special.text() == token);
            let declared = Declared {
                content: token,
                single_word: false,
                lstrip: false,
                rstrip: false,
                normalized: Some(!special),
                special,
            };
            self.declared.insert(index, declared);
        }
        Ok(())
    }

    /// The keys of `special_tokens_map.json` that differ from the used values.
    fn differences(
        &self,
        map: &Map<String, Value>,
    ) -> Result<Vec<TokenizerWarning>, TokenizerError> {
        let mut warnings = Vec::new();
        for key in SPECIAL_TOKENS {
            let Some(value) = map.get(key) else { continue };
            let found = Special::read(SPECIAL_MAP, key, value)?;
            let used = self.special.get(key).and_then(Option::as_ref);
            if let Some(used) = used
                && found.as_ref().map(Special::text) != Some(used.text())
            {
                warnings.push(TokenizerWarning::OtherSpecialToken { key: key.to_owned() });
            }
        }
        let found = Special::additional(SPECIAL_MAP, map)?.unwrap_or_default();
        let is_used = |special: &Special| {
            self.additional.iter().flatten().any(|used| used.text() == special.text())
                || self.declared.values().any(|used| used.content == special.text())
        };
        if !found.iter().all(is_used) {
            let key = "additional_special_tokens".to_owned();
            warnings.push(TokenizerWarning::OtherSpecialToken { key });
        }
        Ok(warnings)
    }
}

fn flag(config: &Map<String, Value>, key: &str) -> Result<Option<bool>, TokenizerError> {
    match config.get(key) {
        None => Ok(None),
        Some(Value::Bool(flag)) => Ok(Some(*flag)),
        Some(other) => Err(wrong(CONFIG, key, other, "true or false")),
    }
}

pub(super) fn wrong(
    file: &'static str,
    key: &str,
    found: &Value,
    expected: &'static str,
) -> TokenizerError {
    TokenizerError::Value { file, key: key.to_owned(), found: shown(found), expected }
}
