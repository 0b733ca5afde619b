//! Loads and checks the tokenizer of a base, and computes its fingerprint.
//!
//! The result is the tokenizer that `AutoTokenizer` of transformers 4.57.6 loads from the same directory, or an error.

use std::path::Path;

use serde::Deserialize;
use serde_json::{Map, Value, json};
use tokenizers::{AddedToken, EncodeInput, Tokenizer, TruncationDirection};

pub(crate) mod error;
mod files;
pub(crate) mod identity;
mod keys;
mod settings;
mod vocabulary;
mod whole;

use error::{TokenizerError, TokenizerWarning};
use files::Files;
use settings::{Class, Settings};
use vocabulary::Vocabulary;

/// The tokenizer of a base's directory.
#[derive(Debug)]
pub(crate) struct BaseTokenizer {
    pub(crate) tokenizer: Tokenizer,
    /// The side at which texts are truncated.
    pub(crate) truncation_side: TruncationDirection,
    /// The number of tokens, including added ones.
    pub(crate) tokens: usize,
    pub(crate) warnings: Vec<TokenizerWarning>,
}

impl BaseTokenizer {
    /// Reads the tokenizer of a directory.
    pub(crate) fn read(directory: &Path) -> Result<Self, TokenizerError> {
        let files = Files::of(directory);
        let mut settings = Settings::read(&files)?;
        let parts = match files.object(whole::FILE)? {
            Some(json) => whole::read(json, &mut settings)?,
            None => from_vocabulary(&files, &settings)?,
        };
        let declared = parts.get("added_tokens").cloned().unwrap_or_default();
        let mut tokenizer = Tokenizer::deserialize(Value::Object(parts))
            .map_err(|error| TokenizerError::Json { file: whole::FILE, error })?;
        whole::check(&declared, &tokenizer)?;
        settings.warnings.extend(whole::other_vocabulary(&files, &tokenizer)?);

        let mut present: Vec<(u32, AddedToken)> =
            tokenizer.get_added_tokens_decoder().into_iter().collect();
        present.sort_by_key(|(id, _)| *id);
        let present: Vec<AddedToken> = present.into_iter().map(|(_, token)| token).collect();
        tokenizer
            .add_tokens(settings.tokens_to_add(&present))
            .map_err(|error| refused("the added tokens", &error))?;
        whole::check_added(&tokenizer)?;
        for (file, token, id) in settings.declared_ids(&files)? {
            whole::check_id(file, &token, id, &tokenizer)?;
        }
        if let Ok(token) = settings.special_token("pad_token", "[PAD]")
            && let Some(id @ 1..) = tokenizer.token_to_id(&token)
        {
            settings.warnings.push(TokenizerWarning::Padding { token, id });
        }
        let tokens = whole::check_ids(&tokenizer)?;
        check_frame(&tokenizer)?;
        Ok(Self {
            tokenizer,
            truncation_side: settings.truncation_side.unwrap_or(TruncationDirection::Right),
            tokens,
            warnings: settings.warnings,
        })
    }
}

/// The `tokenizer.json` that `BertTokenizerFast` would save for a `vocab.txt`, without its added tokens.
fn from_vocabulary(
    files: &Files,
    settings: &Settings,
) -> Result<Map<String, Value>, TokenizerError> {
    let bytes = files.bytes("vocab.txt")?.ok_or(TokenizerError::Missing)?;
    if settings.class == Class::Plain {
        return Err(TokenizerError::ClassNeedsJson);
    }
    let vocabulary = Vocabulary::parse(&bytes)?;
    if settings.do_lower_case.is_none() {
        vocabulary.check_uncased()?;
    }
    let ids = vocabulary.ids()?;
    let special = |key, default| -> Result<(String, u32), TokenizerError> {
        let token = settings.special_token(key, default)?;
        match ids.get(&token) {
            Some(id) => Ok((token, *id)),
            None => Err(TokenizerError::NoSpecialToken { token, role: key }),
        }
    };
    let (unk, _) = special("unk_token", "[UNK]")?;
    let (cls, cls_id) = special("cls_token", "[CLS]")?;
    let (sep, sep_id) = special("sep_token", "[SEP]")?;
    special("pad_token", "[PAD]")?;
    special("mask_token", "[MASK]")?;

    let token = |token: &str, text| json!({ "SpecialToken": { "id": token, "type_id": text } });
    let text = |id, text| json!({ "Sequence": { "id": id, "type_id": text } });
    let defined = |token: &str, id| json!({ "id": token, "ids": [id], "tokens": [token] });
    let pair = [token(&cls, 0), text("A", 0), token(&sep, 0), text("B", 1), token(&sep, 1)];
    let parts = json!({
        "normalizer": {
            "type": "BertNormalizer",
            "clean_text": true,
            "handle_chinese_chars": settings.tokenize_chinese_chars.unwrap_or(true),
            "strip_accents": settings.strip_accents.flatten(),
            "lowercase": settings.do_lower_case.unwrap_or(true),
        },
        "pre_tokenizer": { "type": "BertPreTokenizer" },
        "post_processor": {
            "type": "TemplateProcessing",
            "single": &pair[..3],
            "pair": pair,
            "special_tokens": { &cls: defined(&cls, cls_id), &sep: defined(&sep, sep_id) },
        },
        "model": {
            "type": "WordPiece",
            "unk_token": unk,
            "continuing_subword_prefix": "##",
            "max_input_chars_per_word": 100,
            "vocab": ids,
        },
    });
    match parts {
        Value::Object(parts) => Ok(parts),
        _ => Ok(Map::new()),
    }
}

/// Checks that two special tokens of the vocabulary are put around a text.
fn check_frame(tokenizer: &Tokenizer) -> Result<(), TokenizerError> {
    let encode = |input: EncodeInput| {
        tokenizer.encode(input, true).map_err(|error| refused(whole::FILE, &error))
    };
    let pair = encode(("", "").into())?;
    for (token, id) in pair.get_tokens().iter().zip(pair.get_ids()) {
        whole::check_id(whole::FILE, token, u64::from(*id), tokenizer)?;
    }
    match encode("".into())?.get_tokens() {
        [_, _] => Ok(()),
        found => Err(TokenizerError::Frame { found: format!("{found:?}") }),
    }
}

fn refused(file: &'static str, error: &tokenizers::Error) -> TokenizerError {
    TokenizerError::Refused { file, reason: error.to_string() }
}
