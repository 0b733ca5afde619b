//! Loads and checks the tokenizer of a base, and computes its fingerprint.
//!
//! The result is the tokenizer that `AutoTokenizer` of transformers 4.57.6 loads from the same directory, or an error.

use std::path::Path;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use tokenizers::{AddedToken, Tokenizer, TruncationDirection};

mod byte_pairs;
mod charsmap;
mod class;
pub(crate) mod error;
mod files;
pub(crate) mod frame;
pub(crate) mod identity;
mod keys;
mod sentence_piece;
mod settings;
mod special;
mod vocabulary;
mod whole;
mod word_piece;

use class::Source;
use error::{TokenizerError, TokenizerWarning};
use files::Files;
use frame::{PairFrame, TextFrame};
use settings::Settings;

/// The tokenizer of a base's directory.
#[derive(Debug)]
pub(crate) struct BaseTokenizer {
    pub(crate) tokenizer: Tokenizer,
    /// What is put around the texts of a pair.
    pub(crate) frame: PairFrame,
    /// What is put around one text.
    pub(crate) text_frame: TextFrame,
    /// The id of the padding token, if there is one.
    pub(crate) pad_id: Option<u32>,
    /// Whether token types are inputs of the tokenizer's models.
    pub(crate) has_token_types: bool,
    /// The class of transformers that reads it.
    pub(crate) class: String,
    /// Whether a vocabulary that lost lines would be read without an error.
    pub(crate) is_list_of_lines: bool,
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
        let json = files.object(whole::FILE)?;
        let has_json = json.is_some();
        let mut pad_token = settings.special_token("pad_token").map(str::to_owned);
        let parts = match json {
            Some(json) => {
                // As `PreTrainedTokenizerFast`.
                let stored = json.get("padding").and_then(|padding| padding.get("pad_token"));
                let stored = stored.and_then(Value::as_str).map(str::to_owned);
                pad_token = pad_token.or(stored);
                whole::read(json, &mut settings)?
            }
            None => from_older_files(&files, &settings)?,
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
            .add_tokens(special::tokens_to_add(&settings, settings.class, &present, has_json))
            .map_err(|error| refused("the added tokens", &error))?;
        whole::check_added(&tokenizer)?;
        for (file, token, id) in settings.declared_ids(&files)? {
            whole::check_id(file, &token, id, &tokenizer)?;
        }
        let tokens = whole::check_ids(&tokenizer)?;
        let text_frame = TextFrame::of(&tokenizer)?;
        let frame = PairFrame::of(&tokenizer)?;
        let pad_id = pad_token.and_then(|token| tokenizer.token_to_id(&token));
        Ok(Self {
            tokenizer,
            frame,
            text_frame,
            pad_id,
            has_token_types: settings.has_token_types,
            class: settings.class.full_name(),
            is_list_of_lines: !has_json && settings.class.source == Source::WordPiece,
            truncation_side: settings.truncation_side.unwrap_or(TruncationDirection::Right),
            tokens,
            warnings: settings.warnings,
        })
    }
}

/// The `tokenizer.json` that transformers would save for the older files of a class.
fn from_older_files(
    files: &Files,
    settings: &Settings,
) -> Result<Map<String, Value>, TokenizerError> {
    let class = settings.class;
    let missing = || TokenizerError::Missing { class: class.full_name(), files: class.files() };
    match class.source {
        Source::WordPiece => {
            let vocabulary = files.bytes("vocab.txt")?.ok_or_else(missing)?;
            word_piece::tokenizer_json(&vocabulary, settings)
        }
        Source::BytePairs => {
            let vocabulary = files.object(byte_pairs::VOCABULARY)?.ok_or_else(missing)?;
            let merges = files.bytes(byte_pairs::MERGES)?.ok_or_else(missing)?;
            byte_pairs::tokenizer_json(vocabulary, &merges, settings)
        }
        Source::SentencePiece(file, fairseq) => {
            let model = files.bytes(file)?.ok_or_else(missing)?;
            sentence_piece::tokenizer_json(file, &model, fairseq, settings)
        }
        Source::Json => Err(missing()),
    }
}

/// A special token with its id in a vocabulary.
fn known_special<'a>(
    settings: &'a Settings,
    role: &'static str,
    id_of: impl Fn(&str) -> Option<u32>,
) -> Result<(&'a str, u32), TokenizerError> {
    let missing = |token: &str| TokenizerError::NoSpecialToken { token: token.to_owned(), role };
    let token = settings.special_token(role).ok_or_else(|| missing("null"))?;
    let id = id_of(token).ok_or_else(|| missing(token))?;
    Ok((token, id))
}

/// A template `[CLS] a [SEP] b [SEP]`, or `<s> a </s></s> b </s>`; the second text has the token type `second_type`.
fn template<Id: Serialize>(
    (cls, cls_id): (&str, Id),
    (sep, sep_id): (&str, Id),
    doubles_separator: bool,
    second_type: usize,
) -> Value {
    let token = |token: &str, kind| json!({ "SpecialToken": { "id": token, "type_id": kind } });
    let text = |id, kind| json!({ "Sequence": { "id": id, "type_id": kind } });
    let single = [token(cls, 0), text("A", 0), token(sep, 0)];
    let between = doubles_separator.then(|| token(sep, 0));
    let second = [text("B", second_type), token(sep, second_type)];
    let pair: Vec<Value> = single.iter().cloned().chain(between).chain(second).collect();
    let defined = |token: &str, id| json!({ "id": token, "ids": [id], "tokens": [token] });
    json!({
        "type": "TemplateProcessing",
        "single": single,
        "pair": pair,
        "special_tokens": { cls: defined(cls, json!(cls_id)), sep: defined(sep, json!(sep_id)) },
    })
}

fn refused(file: &'static str, error: &tokenizers::Error) -> TokenizerError {
    TokenizerError::Refused { file, reason: error.to_string() }
}
