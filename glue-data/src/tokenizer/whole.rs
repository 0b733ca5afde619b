//! `tokenizer.json`: a complete tokenizer, to which the configuration files are applied as by transformers.

use std::collections::BTreeSet;

use serde_json::{Map, Value};
use tokenizers::models::ModelWrapper;
use tokenizers::{Model, NormalizedString, Normalizer, Tokenizer, TruncationDirection};

use super::class::Source;
use super::error::{TokenizerError, TokenizerWarning};
use super::files::Files;
use super::settings::{Settings, wrong};
use super::vocabulary::Vocabulary;
use super::{charsmap, frame};

pub(super) const FILE: &str = "tokenizer.json";

/// The parts of a `tokenizer.json` that determine token ids, with the settings of the configuration files.
pub(super) fn read(
    mut json: Map<String, Value>,
    settings: &mut Settings,
) -> Result<Map<String, Value>, TokenizerError> {
    // Decoding is not needed; length and padding are set by the caller.
    json.remove("decoder");
    let padding = json.remove("padding").unwrap_or_default();
    if !settings.states_padding_side && padding.get("direction").is_some_and(|side| side == "Left")
    {
        let expected = "direction Right: positions are counted from the left";
        return Err(wrong(FILE, "padding", &padding, expected));
    }
    let truncation = json.remove("truncation").unwrap_or_default();
    if settings.truncation_side.is_none()
        && truncation.get("direction").is_some_and(|side| side == "Left")
    {
        settings.truncation_side = Some(TruncationDirection::Left);
    }
    overrule_normalizer(&mut json, settings)?;
    overrule_spaces(&mut json, settings)?;
    frame::check(json.get("post_processor").unwrap_or(&Value::Null))?;
    if let Some(normalizer) = json.get("normalizer") {
        charsmap::check_json(normalizer).map_err(|reason| TokenizerError::Refused {
            file: FILE,
            reason: format!("precompiled_charsmap: {reason}"),
        })?;
    }

    Ok(json)
}

/// Checks that tokens have the ids that their file declares, which the tokenizers crate does not check.
pub(super) fn check(declared: &Value, tokenizer: &Tokenizer) -> Result<(), TokenizerError> {
    for token in declared.as_array().into_iter().flatten() {
        let id = token.get("id").and_then(Value::as_u64);
        let content = token.get("content").and_then(Value::as_str);
        if let (Some(id), Some(content)) = (id, content) {
            check_id(FILE, content, id, tokenizer)?;
        }
    }
    let unk = match tokenizer.get_model() {
        ModelWrapper::WordPiece(model) => Some(&model.unk_token),
        ModelWrapper::BPE(model) => model.unk_token.as_ref(),
        ModelWrapper::WordLevel(model) => Some(&model.unk_token),
        ModelWrapper::Unigram(_) => None,
    };
    match unk.filter(|token| tokenizer.get_model().token_to_id(token).is_none()) {
        Some(token) => {
            Err(TokenizerError::NoSpecialToken { token: token.clone(), role: "unk_token" })
        }
        None => Ok(()),
    }
}

/// Checks that no added token is empty after normalization: it would match everywhere, and the tokenizers crate panics
/// on it.
pub(super) fn check_added(tokenizer: &Tokenizer) -> Result<(), TokenizerError> {
    let Some(normalizer) = tokenizer.get_normalizer() else { return Ok(()) };
    for token in tokenizer.get_added_tokens_decoder().into_values() {
        let mut text = NormalizedString::from(token.content.as_str());
        let normalized = normalizer.normalize(&mut text);
        if token.normalized && (normalized.is_err() || text.get().is_empty()) {
            return Err(TokenizerError::EmptyAddedToken { token: token.content });
        }
    }
    Ok(())
}

/// Overrides the settings of a `BertNormalizer` by `tokenizer_config.json`, as the classes of WordPiece do.
fn overrule_normalizer(
    json: &mut Map<String, Value>,
    settings: &mut Settings,
) -> Result<(), TokenizerError> {
    let normalizer = json.entry("normalizer").or_insert(Value::Null);
    let class = settings.class;
    if !class.overriding.is_empty() && normalizer.is_null() {
        let expected = "a normalizer, which the class of the tokenizer needs (PreTrainedTokenizerFast does not)";
        return Err(wrong(FILE, "normalizer", normalizer, expected));
    }
    let Value::Object(normalizer) = normalizer else { return Ok(()) };
    if normalizer.get("type").is_none_or(|kind| kind != "BertNormalizer") {
        return Ok(());
    }
    let lower_case = settings.do_lower_case.map(Value::from);
    let accents = settings.strip_accents.map(Value::from);
    let chinese = settings.tokenize_chinese_chars.map(Value::from);
    let rules: [(&'static str, &str, Option<Value>, Value); 3] = [
        ("do_lower_case", "lowercase", lower_case, true.into()),
        ("strip_accents", "strip_accents", accents, Value::Null),
        ("tokenize_chinese_chars", "handle_chinese_chars", chinese, true.into()),
    ];
    for (key, theirs, stated, default) in rules {
        // If `strip_accents` is null, accents are stripped if texts are lower-cased.
        let lowercase = normalizer.get("lowercase").cloned().unwrap_or_default();
        let effect = |value: &Value| match value {
            Value::Null if key == "strip_accents" => lowercase.clone(),
            value => value.clone(),
        };
        let found = normalizer.get(theirs).cloned().unwrap_or_default();
        let differs = |value: &Value| effect(value) != effect(&found);
        match stated {
            Some(stated) if !class.overriding.contains(&key) && differs(&stated) => {
                settings.warnings.push(TokenizerWarning::NotUsed {
                    class: class.full_name(),
                    key,
                    stated: stated.to_string(),
                    found: found.to_string(),
                });
            }
            Some(stated) => {
                if differs(&stated) {
                    settings.warnings.push(TokenizerWarning::Overridden {
                        key,
                        stated: stated.to_string(),
                        found: found.to_string(),
                    });
                }
                normalizer.insert(theirs.to_owned(), stated);
            }
            None if class.overriding.contains(&key) && differs(&default) => {
                return Err(TokenizerError::Unstated {
                    key,
                    found: found.to_string(),
                    default: default.to_string(),
                });
            }
            None => {}
        }
    }
    Ok(())
}

/// `PreTrainedTokenizerFast` overrides `add_prefix_space` of a byte-level pre-tokenizer, and `RobertaTokenizerFast` also
/// that of the post-processor, with `trim_offsets`.
fn overrule_spaces(
    json: &mut Map<String, Value>,
    settings: &mut Settings,
) -> Result<(), TokenizerError> {
    const KEY: &str = "add_prefix_space";
    let prefix = settings.add_prefix_space.unwrap_or(false);
    if let Some(Value::Object(step)) = json.get_mut("pre_tokenizer")
        && step.get("type").is_some_and(|kind| kind == "ByteLevel")
        && let Some(found) = step.get(KEY).filter(|found| **found != Value::Bool(prefix)).cloned()
    {
        let Some(stated) = settings.add_prefix_space else {
            let (found, default) = (found.to_string(), "false".to_owned());
            return Err(TokenizerError::Unstated { key: KEY, found, default });
        };
        step.insert(KEY.to_owned(), stated.into());
        let (stated, found) = (stated.to_string(), found.to_string());
        settings.warnings.push(TokenizerWarning::Overridden { key: KEY, stated, found });
    }
    if settings.class.source == Source::BytePairs
        && let Some(Value::Object(step)) = json.get_mut("post_processor")
        && step.get("type").is_some_and(|kind| kind == "RobertaProcessing" || kind == "ByteLevel")
    {
        step.insert(KEY.to_owned(), prefix.into());
        step.insert("trim_offsets".to_owned(), settings.trim_offsets.unwrap_or(true).into());
    }
    Ok(())
}

/// Checks that a token has the id that a file declares.
pub(super) fn check_id(
    file: &'static str,
    token: &str,
    declared: u64,
    tokenizer: &Tokenizer,
) -> Result<(), TokenizerError> {
    let found = tokenizer.token_to_id(token);
    if found.map(u64::from) == Some(declared) {
        return Ok(());
    }
    let found = found.map_or("is missing".to_owned(), |id| format!("has {id}"));
    Err(TokenizerError::Id { file, token: token.to_owned(), declared, found })
}

/// A warning about the first line of `vocab.txt` that differs from `tokenizer.json`.
pub(super) fn other_vocabulary(
    files: &Files,
    tokenizer: &Tokenizer,
) -> Result<Option<TokenizerWarning>, TokenizerError> {
    let Some(bytes) = files.bytes("vocab.txt")? else { return Ok(None) };
    // The file is not used, so that damage in it is not an error.
    let Ok(vocabulary) = Vocabulary::parse(&bytes) else {
        return Ok(Some(TokenizerWarning::OtherVocabulary { line: 1, token: String::new() }));
    };
    let is_other = |(token, line): &(&String, usize)| {
        tokenizer.token_to_id(token).is_none_or(|id| id as usize + 1 != *line)
    };
    let other = vocabulary.tokens.iter().zip(1..).find(is_other);
    Ok(other.map(|(token, line)| TokenizerWarning::OtherVocabulary { line, token: token.clone() }))
}

/// Checks that the ids have no gaps.
pub(super) fn check_ids(tokenizer: &Tokenizer) -> Result<usize, TokenizerError> {
    let vocabulary = tokenizer.get_vocab(true);
    let ids: BTreeSet<u32> = vocabulary.into_values().collect();
    let missing = (0..).zip(&ids).find(|(expected, id)| expected != *id);
    match (missing, ids.last()) {
        (Some((missing, _)), Some(last)) => Err(TokenizerError::Hole { missing, last: *last }),
        _ => Ok(ids.len()),
    }
}
