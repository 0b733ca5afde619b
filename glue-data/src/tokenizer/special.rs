//! Added tokens and special tokens, and which of them transformers adds to a tokenizer.

use serde::Deserialize;
use serde_json::{Map, Value};
use tokenizers::AddedToken;

use super::class::{Class, Form};
use super::error::TokenizerError;
use super::settings::{Settings, wrong};

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
    pub(super) content: String,
    #[serde(default)]
    pub(super) single_word: bool,
    #[serde(default)]
    pub(super) lstrip: bool,
    #[serde(default)]
    pub(super) rstrip: bool,
    pub(super) normalized: Option<bool>,
    #[serde(default)]
    pub(super) special: bool,
}

impl Special {
    pub(super) fn text(&self) -> &str {
        match self {
            Self::Text(text) => text,
            Self::Declared(declared) => &declared.content,
        }
    }

    pub(super) fn read(
        file: &'static str,
        key: &str,
        value: &Value,
    ) -> Result<Option<Self>, TokenizerError> {
        match value {
            Value::Null => Ok(None),
            Value::String(text) => Ok(Some(Self::Text(text.clone()))),
            Value::Object(_) => Ok(Some(Self::Declared(read_declared(file, key, value)?))),
            other => Err(wrong(file, key, other, "a token")),
        }
    }

    /// The tokens of `additional_special_tokens`; `None` if the key is absent.
    pub(super) fn additional(
        file: &'static str,
        map: &Map<String, Value>,
    ) -> Result<Option<Vec<Self>>, TokenizerError> {
        const KEY: &str = "additional_special_tokens";
        match map.get(KEY) {
            None => Ok(None),
            Some(Value::Null) => Ok(Some(Vec::new())),
            Some(Value::Array(items)) => {
                let read = |item| {
                    let special = Self::read(file, KEY, item)?;
                    special.ok_or_else(|| wrong(file, KEY, item, "a list of tokens"))
                };
                items.iter().map(read).collect::<Result<_, _>>().map(Some)
            }
            Some(other) => Err(wrong(file, KEY, other, "a list of tokens")),
        }
    }

    /// A token that is given as text, in the form of its class.
    fn in_form(self, form: Form) -> Self {
        match (self, form) {
            (Self::Text(content), Form::Token { lstrip, normalized }) => Self::Declared(Declared {
                content,
                single_word: false,
                lstrip,
                rstrip: false,
                normalized: Some(normalized),
                special: true,
            }),
            (special, _) => special,
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

pub(super) fn read_declared(
    file: &'static str,
    key: &str,
    value: &Value,
) -> Result<Declared, TokenizerError> {
    Declared::deserialize(value).map_err(|_| {
        wrong(
            file,
            key,
            value,
            "a token with content, lstrip, normalized, rstrip, single_word and special",
        )
    })
}

/// The tokens that `PreTrainedTokenizerFast` adds to a tokenizer with the tokens `present`, in their order.
///
/// With a `tokenizer.json`, and with a list of added tokens in `tokenizer_config.json`, special tokens are looked up in them,
/// and have their flags.
pub(super) fn tokens_to_add(
    settings: &Settings,
    class: &Class,
    present: &[AddedToken],
    has_json: bool,
) -> Vec<AddedToken> {
    let is_listed = |text: &str| {
        settings.lists_added && settings.declared.values().any(|listed| listed.content == text)
            || has_json
                && !settings.lists_added
                && present.iter().any(|token| token.content == text)
    };
    let stated = super::keys::SPECIAL_TOKENS.iter().filter_map(|key| {
        let default = class.special.iter().find(|default| default.key == *key);
        let form = default.map_or(Form::Text, |default| default.form(has_json));
        match settings.special.get(key) {
            // Looked up: it is there already, or among the listed ones.
            Some(Some(special)) if is_listed(special.text()) => {
                Some(Special::Text(special.text().to_owned()))
            }
            Some(Some(special)) => Some(special.clone().in_form(form)),
            Some(None) => None,
            None => default.map(|default| Special::Text(default.text.to_owned()).in_form(form)),
        }
    });
    let additional = settings.additional.clone().unwrap_or_else(|| {
        class.additional.iter().map(|text| Special::Text((*text).to_owned())).collect()
    });
    let mut special: Vec<Special> = Vec::new();
    for token in stated.chain(additional) {
        // The first of several with one text counts.
        if special.iter().all(|known| known.text() != token.text()) {
            special.push(token);
        }
    }

    let is_special = |text: &str| special.iter().any(|special| special.text() == text);
    let declared = settings.declared.values();
    let mut tokens: Vec<AddedToken> =
        declared.map(|declared| declared.token(is_special(&declared.content))).collect();
    for special in special {
        match special {
            Special::Declared(declared) => tokens.push(declared.token(true)),
            Special::Text(text) => {
                if tokens.iter().chain(present).all(|token| token.content != text) {
                    tokens.push(AddedToken::from(text, true));
                }
            }
        }
    }
    tokens
}
