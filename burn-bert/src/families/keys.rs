//! The keys of `config.json` that every family may have, and how a key is handled.
//!
//! <https://github.com/huggingface/transformers/blob/v4.57.6/src/transformers/configuration_utils.py>

use serde::Deserialize;
use serde_json::{Map, Value};

use crate::config::HiddenActivation;

/// How a key is handled.
#[derive(Clone, Copy)]
pub(crate) enum Rule {
    /// It is used.
    Used,
    /// It is used; only values that pass the test are supported, which the text describes.
    UsedIf(fn(&Value) -> bool, &'static str),
    /// It does not change the encoder's result, for this reason.
    #[expect(dead_code, reason = "documents the table")]
    NoEffect(&'static str),
    /// It changes the encoder's result; only values that pass the test are supported, which the text describes.
    Only(fn(&Value) -> bool, &'static str),
}

use Rule::{NoEffect, Only, Used};

/// Keys with their rules.
pub(crate) type Keys = &'static [(&'static str, Rule)];

pub(super) const HEAD: Rule = NoEffect("a setting of the head, which belongs to a task");
pub(super) const TOKEN_ID: Rule =
    NoEffect("the tokenizer has the ids of special tokens, and padding is masked");
/// The activations of [`is_activation`].
pub(super) const ACTIVATIONS: &str = "gelu, gelu_new, relu, silu or tanh";
pub(super) const ABSOLUTE: Rule = Only(is_absolute, "absolute");
const GENERATION: Rule = NoEffect("a setting of text generation");
const OUTPUT: Rule = NoEffect("which values transformers returns");
const ORIGIN: Rule = NoEffect("the origin of the model");

/// The keys of `PretrainedConfig`, and those that other libraries add.
pub(super) const COMMON: Keys = &[
    ("model_type", Used),
    ("architectures", Used),
    ("is_decoder", Only(is_false, "false: decoders are not supported")),
    ("add_cross_attention", Only(is_false, "false: there is no second encoder")),
    ("cross_attention_hidden_size", Only(Value::is_null, "null: there is no second encoder")),
    ("is_encoder_decoder", Only(is_false, "false")),
    ("tie_encoder_decoder", Only(is_false, "false")),
    ("pruned_heads", Only(is_empty, "{}: pruned heads are not supported")),
    ("quantization_config", Only(is_empty, "null: quantized weights are not supported")),
    ("auto_map", Only(is_empty, "null: custom code is not supported")),
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

/// The sizes and rates by BERT's names.
pub(super) const SIZES: Keys = &[
    ("vocab_size", Used),
    ("hidden_size", Used),
    ("num_hidden_layers", Used),
    ("num_attention_heads", Used),
    ("intermediate_size", Used),
    ("hidden_act", Used),
    ("hidden_dropout_prob", Used),
    ("attention_probs_dropout_prob", Used),
    ("max_position_embeddings", Used),
    ("initializer_range", Used),
    ("layer_norm_eps", Used),
];

/// The rule for a key, in the first table that has it.
pub(crate) fn rule(tables: &[Keys], key: &str) -> Option<Rule> {
    tables
        .iter()
        .flat_map(|table| table.iter())
        .find_map(|(name, rule)| (*name == key).then_some(*rule))
}

/// Gives a key a value if it has none.
pub(super) fn default(json: &mut Map<String, Value>, key: &str, value: impl Into<Value>) {
    json.entry(key).or_insert_with(|| value.into());
}

/// Gives a value another key.
pub(super) fn rename(json: &mut Map<String, Value>, from: &str, to: &str) {
    if let Some(value) = json.remove(from) {
        json.insert(to.to_owned(), value);
    }
}

pub(super) fn is_false(value: &Value) -> bool {
    value.is_null() || *value == Value::Bool(false)
}

pub(super) fn is_empty(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::Array(items) => items.is_empty(),
        Value::Object(map) => map.is_empty(),
        _ => false,
    }
}

fn is_absolute(value: &Value) -> bool {
    value == "absolute"
}

pub(super) fn is_activation(value: &Value) -> bool {
    HiddenActivation::deserialize(value).is_ok()
}
