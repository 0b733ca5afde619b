//! The keys of a tokenizer's configuration files, with a rule for each.
//!
//! <https://github.com/huggingface/transformers/blob/v4.57.6/src/transformers/tokenization_utils_base.py>
//!
//! burn-bert has such a table for `config.json`; the keys have nothing in common, and neither crate depends on the other.

use serde_json::{Map, Value};

use super::class::{Class, Source};
use super::error::{TokenizerError, TokenizerWarning};

/// The rule for a key of `tokenizer_config.json`.
#[derive(Clone, Copy)]
enum Rule {
    /// It changes token ids, and is used.
    Used,
    /// It does not change token ids, for this reason.
    #[expect(dead_code, reason = "the text documents the table")]
    NoEffect(&'static str),
    /// It changes token ids, and only one value is supported.
    Only(fn(&Value) -> bool, &'static str),
}

use Rule::{NoEffect, Only, Used};

/// The special tokens by the names of their keys, in the order in which transformers adds them.
pub(super) const SPECIAL_TOKENS: [&str; 7] =
    ["bos_token", "eos_token", "unk_token", "sep_token", "pad_token", "cls_token", "mask_token"];

const CONFIG: &[(&str, Rule)] = &[
    ("tokenizer_class", Used),
    ("do_lower_case", Used),
    ("strip_accents", Used),
    ("tokenize_chinese_chars", Used),
    ("split_by_punct", Used),
    ("trim_offsets", Used),
    ("model_input_names", Only(is_list, "a list of names")),
    ("bos_token", Used),
    ("eos_token", Used),
    ("unk_token", Used),
    ("sep_token", Used),
    ("pad_token", Used),
    ("cls_token", Used),
    ("mask_token", Used),
    ("additional_special_tokens", Used),
    ("added_tokens_decoder", Used),
    ("truncation_side", Used),
    ("add_prefix_space", Used),
    // Only some values are supported.
    ("padding_side", Only(is_right, "\"right\": positions are counted from the left")),
    ("do_basic_tokenize", Only(is_null_or_true, "true: transformers' fast tokenizer has no other")),
    ("never_split", Only(is_empty, "null: transformers' fast tokenizer does not use it")),
    ("clean_text", Only(is_null_or_true, "true")),
    ("wordpieces_prefix", Only(is_wordpiece_prefix, "\"##\"")),
    ("split_special_tokens", Only(is_null_or_false, "false")),
    ("extra_special_tokens", Only(is_empty, "{}; use additional_special_tokens")),
    ("model_specific_special_tokens", Only(is_empty, "{}; use additional_special_tokens")),
    ("from_slow", Only(is_null_or_false, "false: tokenizer.json is used where it is")),
    ("init_inputs", Only(is_empty, "[]")),
    ("auto_map", Only(is_empty, "no code of its own")),
    ("fast_tokenizer_files", Only(is_empty, "no list of files: tokenizer.json is read")),
    ("word_tokenizer_type", Only(is_basic, "\"basic\"")),
    ("subword_tokenizer_type", Only(is_wordpiece, "\"wordpiece\"")),
    ("do_word_tokenize", Only(is_null_or_true, "true")),
    ("do_subword_tokenize", Only(is_null_or_true, "true")),
    ("mecab_kwargs", Only(is_empty, "null")),
    ("sudachi_kwargs", Only(is_empty, "null")),
    ("jumanpp_kwargs", Only(is_empty, "null")),
    ("vocab_type", Only(is_spm, "\"spm\"")),
    ("fix_mistral_regex", Only(is_null_or_false, "false")),
    // Without effect on token ids.
    ("errors", NoEffect("for turning bytes into text")),
    ("sp_model_kwargs", NoEffect("for the slow tokenizer")),
    ("legacy", NoEffect("for the slow tokenizer")),
    ("model_max_length", NoEffect("the maximum length is a setting of the run")),
    ("max_len", NoEffect("the old name of model_max_length")),
    ("max_length", NoEffect("written beside a stored truncation; the length is the caller's")),
    ("stride", NoEffect("written beside a stored truncation; texts do not overflow")),
    ("truncation_strategy", NoEffect("written beside a stored truncation; longest first is used")),
    ("pad_to_multiple_of", NoEffect("padding is masked")),
    ("pad_token_type_id", NoEffect("padding is masked")),
    ("clean_up_tokenization_spaces", NoEffect("for turning ids into text")),
    ("chat_template", NoEffect("for conversations")),
    ("name_or_path", NoEffect("where the tokenizer was loaded from")),
    ("vocab_file", NoEffect("where the tokenizer was loaded from")),
    ("tokenizer_file", NoEffect("where the tokenizer was loaded from")),
    ("merges_file", NoEffect("where the tokenizer was loaded from")),
    ("special_tokens_map_file", NoEffect("where the tokenizer was loaded from")),
    ("full_tokenizer_file", NoEffect("where the tokenizer was loaded from")),
    ("_commit_hash", NoEffect("where the tokenizer was loaded from")),
    ("is_local", NoEffect("where the tokenizer was loaded from")),
    ("backend", NoEffect("the library that saved it, by transformers 5")),
    ("processor_class", NoEffect("for models of several kinds of input")),
    ("verbose", NoEffect("how much transformers prints")),
    ("use_fast", NoEffect("the fast tokenizer is used")),
    ("trust_remote_code", NoEffect("there is no code; auto_map is refused")),
    ("device_map", NoEffect("where a model is put")),
];

/// Settings that not all classes use.
const OF_SOME_CLASSES: [&str; 5] =
    ["do_lower_case", "strip_accents", "tokenize_chinese_chars", "split_by_punct", "trim_offsets"];

/// Checks that the values of `tokenizer_config.json` are supported; the result is the unknown keys.
pub(super) fn check_config(
    config: &Map<String, Value>,
    class: &Class,
) -> Result<Vec<TokenizerWarning>, TokenizerError> {
    const FILE: &str = "tokenizer_config.json";
    let mut warnings = Vec::new();
    for (key, value) in config {
        match CONFIG.iter().find(|(name, _)| name == key) {
            Some((_, Only(is_supported, expected))) if !is_supported(value) => {
                return Err(TokenizerError::Value {
                    file: FILE,
                    key: key.clone(),
                    found: shown(value),
                    expected,
                });
            }
            // Settings of other classes, which transformers ignores.
            Some((name, Used)) if OF_SOME_CLASSES.contains(name) && !class.uses(name) => {
                let is_set = *value != Value::Bool(false) && !value.is_null();
                // With BERT's normalizer the two are compared later.
                if is_set && class.source != Source::Json {
                    warnings.push(TokenizerWarning::NotOfClass {
                        key: name,
                        stated: shown(value),
                        class: class.full_name(),
                    });
                }
            }
            Some(_) => {}
            None => warnings.push(TokenizerWarning::UnknownKey { file: FILE, key: key.clone() }),
        }
    }
    Ok(warnings)
}

/// The unknown keys of `special_tokens_map.json`.
pub(super) fn unknown_special(map: &Map<String, Value>) -> Vec<TokenizerWarning> {
    let unknown = map.keys().filter(|key| {
        !SPECIAL_TOKENS.contains(&key.as_str()) && *key != "additional_special_tokens"
    });
    let file = "special_tokens_map.json";
    unknown.map(|key| TokenizerWarning::UnknownKey { file, key: key.clone() }).collect()
}

/// A value for a message, truncated if it is long.
pub(super) fn shown(value: &Value) -> String {
    const LONGEST: usize = 80;
    let text = value.to_string();
    match text.char_indices().nth(LONGEST) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text,
    }
}

fn is_right(value: &Value) -> bool {
    value == "right"
}

fn is_null_or_true(value: &Value) -> bool {
    value.is_null() || *value == Value::Bool(true)
}

fn is_null_or_false(value: &Value) -> bool {
    value.is_null() || *value == Value::Bool(false)
}

fn is_empty(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::Array(items) => items.is_empty(),
        Value::Object(map) => map.is_empty(),
        _ => false,
    }
}

fn is_wordpiece_prefix(value: &Value) -> bool {
    value == "##"
}

fn is_basic(value: &Value) -> bool {
    value == "basic"
}

fn is_wordpiece(value: &Value) -> bool {
    value == "wordpiece"
}

fn is_spm(value: &Value) -> bool {
    value == "spm"
}

fn is_list(value: &Value) -> bool {
    value.as_array().is_some_and(|names| names.iter().all(Value::is_string))
}

/// Whether a list of a model's inputs has token types.
pub(super) fn has_token_types(value: &Value) -> bool {
    value.as_array().is_some_and(|names| names.iter().any(|name| name == "token_type_ids"))
}
