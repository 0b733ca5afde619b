//! Reading `config.json` and Google's `bert_config.json`: which keys are used, which have no effect, and which must have
//! one value because they change the result of a BERT.
//!
//! <https://github.com/huggingface/transformers/blob/v4.57.6/src/transformers/configuration_utils.py>

use std::path::Path;

use serde::Deserialize;
use serde_json::{Map, Value};

use crate::checkpoint;
use crate::config::{BertConfig, HiddenActivation};
use crate::error::{BertError, ConfigError};

/// The name of Google's file.
const GOOGLE: &str = "bert_config.json";
/// The largest file that is read, in bytes; a configuration with the names of 20,000 labels has 1 MB.
const LARGEST: u64 = 16 << 20;

/// How a key is handled.
#[derive(Clone, Copy)]
enum Rule {
    /// It is used.
    Used,
    /// It does not change the encoder's result, for this reason.
    #[expect(dead_code, reason = "documents the table")]
    NoEffect(&'static str),
    /// It changes the encoder's result; only values that pass the test are supported, which the text describes.
    Only(fn(&Value) -> bool, &'static str),
}

use Rule::{NoEffect, Only, Used};

const HEAD: Rule = NoEffect("a setting of the head, which belongs to a task");
const GENERATION: Rule = NoEffect("a setting of text generation");
const OUTPUT: Rule = NoEffect("which values transformers returns");
const ORIGIN: Rule = NoEffect("the origin of the model");
/// In Google's multilingual and Chinese checkpoints.
const POOLER: Rule = NoEffect("unused by Google's own code too");
const TOKEN_ID: Rule =
    NoEffect("the tokenizer has the ids of special tokens, and padding is masked");

const KEYS: &[(&str, Rule)] = &[
    ("model_type", Used),
    ("vocab_size", Used),
    ("hidden_size", Used),
    ("num_hidden_layers", Used),
    ("num_attention_heads", Used),
    ("intermediate_size", Used),
    ("hidden_act", Used),
    ("hidden_dropout_prob", Used),
    ("attention_probs_dropout_prob", Used),
    ("max_position_embeddings", Used),
    ("type_vocab_size", Used),
    ("initializer_range", Used),
    ("layer_norm_eps", Used),
    ("position_embedding_type", Used),
    ("architectures", Used),
    ("is_decoder", Only(is_false, "false: decoders are not supported")),
    ("add_cross_attention", Only(is_false, "false: there is no second encoder")),
    ("cross_attention_hidden_size", Only(Value::is_null, "null: there is no second encoder")),
    ("is_encoder_decoder", Only(is_false, "false")),
    ("tie_encoder_decoder", Only(is_false, "false")),
    ("pruned_heads", Only(is_empty, "{}: pruned heads are not supported")),
    ("quantization_config", Only(is_empty, "null: quantized weights are not supported")),
    ("auto_map", Only(is_empty, "null: custom code is not supported")),
    ("directionality", Only(is_bidirectional, "\"bidi\"")),
    (
        "embedding_size",
        Only(Value::is_null, "null: embeddings have the width of the hidden states"),
    ),
    ("dtype", NoEffect("the caller chooses the precision")),
    ("torch_dtype", NoEffect("the old name of dtype")),
    ("use_bfloat16", NoEffect("unused by transformers")),
    ("tie_word_embeddings", NoEffect("a setting of the language model's head")),
    ("chunk_size_feed_forward", NoEffect("memory use only")),
    ("gradient_checkpointing", NoEffect("memory use only")),
    ("use_cache", NoEffect("a setting of decoders")),
    ("attn_implementation", NoEffect("the implementation of attention")),
    ("_attn_implementation", NoEffect("the implementation of attention")),
    ("_attn_implementation_autoset", NoEffect("the implementation of attention")),
    ("_attn_implementation_internal", NoEffect("the implementation of attention")),
    ("_experts_implementation", NoEffect("a setting of models with experts")),
    ("torchscript", NoEffect("a setting of export")),
    ("xla_device", NoEffect("the device")),
    ("tokenizer_class", NoEffect("read with the tokenizer")),
    ("model_max_length", NoEffect("the caller chooses the maximum length")),
    ("transformers.js_config", NoEffect("a setting of transformers.js")),
    ("sentence_transformers", NoEffect("pooling of sentence-transformers")),
    ("output_hidden_states", OUTPUT),
    ("output_attentions", OUTPUT),
    ("output_past", OUTPUT),
    ("return_dict", OUTPUT),
    ("use_return_dict", OUTPUT),
    ("_name_or_path", ORIGIN),
    ("name_or_path", ORIGIN),
    ("_commit_hash", ORIGIN),
    ("transformers_version", ORIGIN),
    ("pytorch_transformers_version", ORIGIN),
    ("pooler_fc_size", POOLER),
    ("pooler_num_attention_heads", POOLER),
    ("pooler_num_fc_layers", POOLER),
    ("pooler_size_per_head", POOLER),
    ("pooler_type", POOLER),
    ("classifier_dropout", HEAD),
    ("finetuning_task", HEAD),
    ("id2label", HEAD),
    ("label2id", HEAD),
    ("num_labels", HEAD),
    ("_num_labels", HEAD),
    ("problem_type", HEAD),
    ("task_specific_params", HEAD),
    ("tf_legacy_loss", HEAD),
    ("bos_token_id", TOKEN_ID),
    ("cls_token_id", TOKEN_ID),
    ("eos_token_id", TOKEN_ID),
    ("eos_token_ids", TOKEN_ID),
    ("mask_token_id", TOKEN_ID),
    ("pad_token_id", TOKEN_ID),
    ("sep_token_id", TOKEN_ID),
    ("unk_token_id", TOKEN_ID),
    ("decoder_start_token_id", GENERATION),
    ("prefix", GENERATION),
    ("max_length", GENERATION),
    ("min_length", GENERATION),
    ("do_sample", GENERATION),
    ("early_stopping", GENERATION),
    ("num_beams", GENERATION),
    ("num_beam_groups", GENERATION),
    ("diversity_penalty", GENERATION),
    ("temperature", GENERATION),
    ("top_k", GENERATION),
    ("top_p", GENERATION),
    ("typical_p", GENERATION),
    ("repetition_penalty", GENERATION),
    ("length_penalty", GENERATION),
    ("no_repeat_ngram_size", GENERATION),
    ("encoder_no_repeat_ngram_size", GENERATION),
    ("bad_words_ids", GENERATION),
    ("num_return_sequences", GENERATION),
    ("output_scores", GENERATION),
    ("return_dict_in_generate", GENERATION),
    ("forced_bos_token_id", GENERATION),
    ("forced_eos_token_id", GENERATION),
    ("remove_invalid_values", GENERATION),
    ("exponential_decay_length_penalty", GENERATION),
    ("suppress_tokens", GENERATION),
    ("begin_suppress_tokens", GENERATION),
];

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
    let json: Map<String, Value> = serde_json::from_slice(bytes).map_err(malformed)?;
    check_model_type(path, &json)?;
    let unknown_keys = check_keys(path, &json)?;
    let config = BertConfig::deserialize(Value::Object(json)).map_err(malformed)?;
    let config = BertConfig { unknown_keys, ..config };
    config.check().map_err(|error| error.in_file(path))?;
    let is_google = path.file_name().is_some_and(|name| name == GOOGLE);
    Ok(if is_google { google_format(config) } else { config })
}

/// Checks the kind of model first: in another kind, any key may be missing or mean something else.
fn check_model_type(path: &Path, json: &Map<String, Value>) -> Result<(), ConfigError> {
    let expected = "bert: other architectures are not supported";
    match json.get("model_type") {
        Some(kind) if kind == "bert" => Ok(()),
        Some(kind) => Err(wrong(path, "model_type", kind, expected)),
        // Files of 2019 have no model_type.
        None => match json.get("architectures").and_then(Value::as_array) {
            Some(names) if names.iter().any(|name| !is_bert_key(name)) => {
                let found = Value::Array(names.clone());
                Err(wrong(path, "architectures", &found, "one of BERT's (there is no model_type)"))
            }
            _ => Ok(()),
        },
    }
}

/// Checks the values of known keys, and returns the unknown ones.
fn check_keys(path: &Path, json: &Map<String, Value>) -> Result<Vec<String>, ConfigError> {
    let mut unknown = Vec::new();
    for (key, value) in json {
        match KEYS.iter().find(|(name, _)| name == key) {
            Some((_, Only(is_supported, expected))) if !is_supported(value) => {
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

fn is_false(value: &Value) -> bool {
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

fn is_bidirectional(value: &Value) -> bool {
    value.is_null() || value == "bidi"
}

fn is_bert_key(name: &Value) -> bool {
    name.as_str().is_some_and(|name| name.starts_with("Bert"))
}
