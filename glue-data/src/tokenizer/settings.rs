//! The configuration files of a tokenizer: `tokenizer_config.json`, `special_tokens_map.json`, `added_tokens.json`.
//!
//! They are combined as by `PreTrainedTokenizerBase._from_pretrained` of transformers 4.57.6.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::{Map, Value};
use tokenizers::{AddedToken, TruncationDirection};

use super::error::{TokenizerError, TokenizerWarning};
use super::files::Files;
use super::keys::{self, SPECIAL_TOKENS, shown};

const CONFIG: &str = "tokenizer_config.json";
const SPECIAL_MAP: &str = "special_tokens_map.json";
const ADDED: &str = "added_tokens.json";

/// The class of transformers that reads a tokenizer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Class {
    /// `BertTokenizerFast`: its settings override the normalizer of `tokenizer.json`.
    Bert,
    /// `PreTrainedTokenizerFast`: `tokenizer.json` as it is.
    Plain,
}

/// The declaration of a special token.
#[derive(Debug, Clone)]
pub(super) enum Special {
    /// Its text alone.
    Text(String),
    /// A token with flags.
    Declared(Declared),
}

/// An added token as transformers writes it.
#[derive(Debug, Clone, Deserialize)]
pub(super) struct Declared {
    content: String,
    #[serde(default)]
    single_word: bool,
    #[serde(default)]
    lstrip: bool,
    #[serde(default)]
    rstrip: bool,
    normalized: Option<bool>,
    #[serde(default)]
    special: bool,
}

/// All settings.
#[derive(Debug)]
pub(super) struct Settings {
    pub(super) class: Class,
    pub(super) do_lower_case: Option<bool>,
    /// `Some(None)` if it is null.
    #[expect(clippy::option_option, reason = "transformers has three values, and a default")]
    pub(super) strip_accents: Option<Option<bool>>,
    pub(super) tokenize_chinese_chars: Option<bool>,
    pub(super) add_prefix_space: bool,
    pub(super) truncation_side: Option<TruncationDirection>,
    pub(super) states_padding_side: bool,
    /// The declared special tokens; `None` for null.
    special: BTreeMap<&'static str, Option<Special>>,
    additional: Vec<Special>,
    /// Added tokens by their ids.
    declared: BTreeMap<u32, Declared>,
    /// The file with their declarations.
    declared_in: &'static str,
    /// Whether `tokenizer_config.json` lists the added tokens; the older files are not read then.
    lists_added: bool,
    pub(super) warnings: Vec<TokenizerWarning>,
}

impl Special {
    pub(super) fn text(&self) -> &str {
        match self {
            Self::Text(text) => text,
            Self::Declared(declared) => &declared.content,
        }
    }

    fn read(file: &'static str, key: &str, value: &Value) -> Result<Option<Self>, TokenizerError> {
        match value {
            Value::Null => Ok(None),
            Value::String(text) => Ok(Some(Self::Text(text.clone()))),
            Value::Object(_) => Ok(Some(Self::Declared(read_declared(file, key, value)?))),
            other => Err(wrong(file, key, other, "a token")),
        }
    }
}

impl Declared {
    /// The token for the tokenizers crate.
    fn token(&self, is_special: bool) -> AddedToken {
        let special = self.special || is_special;
        AddedToken::from(self.content.clone(), special)
            .single_word(self.single_word)
            .lstrip(self.lstrip)
            .rstrip(self.rstrip)
            .normalized(self.normalized.unwrap_or(!special))
    }
}

impl Settings {
    /// Reads the configuration files of a tokenizer.
    pub(super) fn read(files: &Files) -> Result<Self, TokenizerError> {
        let config = files.object(CONFIG)?.unwrap_or_default();
        // In the configuration of another class, other keys may have another meaning.
        let class = class(files, &config)?;
        let mut warnings = keys::check_config(&config)?;
        let mut settings = Self {
            class,
            do_lower_case: flag(&config, "do_lower_case")?,
            strip_accents: match config.get("strip_accents") {
                None => None,
                Some(Value::Null) => Some(None),
                Some(_) => Some(flag(&config, "strip_accents")?),
            },
            tokenize_chinese_chars: flag(&config, "tokenize_chinese_chars")?,
            add_prefix_space: match config.get("add_prefix_space") {
                None | Some(Value::Null) => false,
                Some(_) => flag(&config, "add_prefix_space")?.unwrap_or(false),
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
            additional: Vec::new(),
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

    /// A special token by its key, or the default of BERT in transformers.
    pub(super) fn special_token(
        &self,
        key: &'static str,
        default: &str,
    ) -> Result<String, TokenizerError> {
        match self.special.get(key) {
            None => Ok(default.to_owned()),
            Some(Some(special)) => Ok(special.text().to_owned()),
            Some(None) => {
                Err(TokenizerError::NoSpecialToken { token: "null".to_owned(), role: key })
            }
        }
    }

    /// The tokens that transformers adds to a tokenizer with the tokens `present`, in their order.
    pub(super) fn tokens_to_add(&self, present: &[AddedToken]) -> Vec<AddedToken> {
        let defaults = match self.class {
            Class::Bert => [
                ("unk_token", "[UNK]"),
                ("sep_token", "[SEP]"),
                ("pad_token", "[PAD]"),
                ("cls_token", "[CLS]"),
                ("mask_token", "[MASK]"),
            ]
            .as_slice(),
            Class::Plain => &[],
        };
        let named: Vec<Special> = SPECIAL_TOKENS
            .iter()
            .filter_map(|key| match self.special.get(key) {
                Some(stated) => stated.clone(),
                None => defaults
                    .iter()
                    .find(|(default, _)| default == key)
                    .map(|(_, token)| Special::Text((*token).to_owned())),
            })
            .collect();
        let is_special =
            |text: &str| named.iter().chain(&self.additional).any(|special| special.text() == text);
        let mut tokens: Vec<AddedToken> = self
            .declared
            .values()
            .map(|declared| declared.token(is_special(&declared.content)))
            .collect();
        let is_declared = |text: &str| {
            self.declared.values().any(|declared| declared.content == text)
                || !self.lists_added && present.iter().any(|token| token.content == text)
        };
        let mut add = |special: &Special, keeps_flags: bool| match special {
            Special::Declared(declared) if !keeps_flags => tokens.push(declared.token(true)),
            special => {
                let known = tokens.iter().chain(present);
                if known.into_iter().all(|token| token.content != special.text()) {
                    let declared = match special {
                        Special::Text(text) => AddedToken::from(text.clone(), true),
                        Special::Declared(declared) => declared.token(true),
                    };
                    tokens.push(declared);
                }
            }
        };
        for special in &named {
            add(special, is_declared(special.text()));
        }
        for special in &self.additional {
            add(special, false);
        }
        tokens
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
        for special in additional(file, map)? {
            if self.additional.iter().all(|known| known.text() != special.text()) {
                self.additional.push(special);
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
                .chain(&self.additional)
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
        let found = additional(SPECIAL_MAP, map)?;
        let is_used = |special: &Special| {
            self.additional.iter().any(|used| used.text() == special.text())
                || self.declared.values().any(|used| used.content == special.text())
        };
        if !found.iter().all(is_used) {
            let key = "additional_special_tokens".to_owned();
            warnings.push(TokenizerWarning::OtherSpecialToken { key });
        }
        Ok(warnings)
    }
}

/// The class in `tokenizer_config.json`, or in `config.json`.
fn class(files: &Files, config: &Map<String, Value>) -> Result<Class, TokenizerError> {
    const KEY: &str = "tokenizer_class";
    let stated = config.get(KEY).filter(|value| !value.is_null());
    let (file, value) = match stated {
        Some(value) => (CONFIG, value.clone()),
        None => match files.object("config.json")?.and_then(|mut config| config.remove(KEY)) {
            None | Some(Value::Null) => return Ok(Class::Bert),
            Some(value) => ("config.json", value),
        },
    };
    let name = value.as_str().ok_or_else(|| wrong(file, KEY, &value, "a name"))?;
    match name {
        // Electra's tokenizer is a copy of BERT's.
        "BertTokenizer" | "BertTokenizerFast" | "ElectraTokenizer" | "ElectraTokenizerFast" => {
            Ok(Class::Bert)
        }
        "PreTrainedTokenizerFast" => Ok(Class::Plain),
        other => Err(TokenizerError::Class { file, found: other.to_owned() }),
    }
}

fn additional(
    file: &'static str,
    map: &Map<String, Value>,
) -> Result<Vec<Special>, TokenizerError> {
    const KEY: &str = "additional_special_tokens";
    match map.get(KEY) {
        None | Some(Value::Null) => Ok(Vec::new()),
        Some(Value::Array(items)) => {
            let read = |item| {
                let special = Special::read(file, KEY, item)?;
                special.ok_or_else(|| wrong(file, KEY, item, "a list of tokens"))
            };
            items.iter().map(read).collect()
        }
        Some(other) => Err(wrong(file, KEY, other, "a list of tokens")),
    }
}

fn read_declared(file: &'static str, key: &str, value: &Value) -> Result<Declared, TokenizerError> {
    Declared::deserialize(value).map_err(|_| {
        wrong(
            file,
            key,
            value,
            "a token with content, lstrip, normalized, rstrip, single_word and special",
        )
    })
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
