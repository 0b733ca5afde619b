//! ModernBERT: Warner et al. 2024. A pre-norm encoder with rotary positions, gated feed-forwards and, in most layers,
//! attention to near keys only.
//!
//! <https://github.com/huggingface/transformers/blob/v4.57.6/src/transformers/models/modernbert>

use serde_json::{Map, Value, json};

use super::keys::Rule::{NoEffect, Only, Used, UsedIf};
use super::keys::{ACTIVATIONS, COMMON, HEAD, Keys, default, is_activation, rename};
use super::{CheckpointNames, ClassifierHidden, ClassifierNames, FamilyFiles, FineTuning, Joined};
use crate::bert::Bert;
use crate::config::HiddenActivation;
use crate::paths::ModulePaths;

const KEYS: Keys = &[
    ("vocab_size", Used),
    ("hidden_size", Used),
    ("num_hidden_layers", Used),
    ("num_attention_heads", Used),
    ("intermediate_size", Used),
    ("hidden_activation", Used),
    ("max_position_embeddings", Used),
    ("initializer_range", Used),
    ("norm_eps", Used),
    ("norm_bias", Used),
    ("attention_bias", Used),
    ("mlp_bias", Used),
    ("attention_dropout", Used),
    ("embedding_dropout", Used),
    ("mlp_dropout", Used),
    ("global_attn_every_n_layers", Used),
    ("local_attention", Used),
    ("global_rope_theta", Used),
    ("local_rope_theta", Used),
    ("rope_scaling", Only(Value::is_null, "null: scaled positions are not supported")),
    ("rope_theta", Only(Value::is_null, "ModernBERT's own name: global_rope_theta")),
    ("initializer_cutoff_factor", NoEffect("a setting of fresh weights")),
    ("reference_compile", NoEffect("the implementation")),
    ("deterministic_flash_attn", NoEffect("the implementation of attention")),
    ("repad_logits_with_grad", NoEffect("the implementation of attention")),
    ("position_embedding_type", NoEffect("unused by transformers, but in published files")),
    ("layer_norm_eps", NoEffect("unused by transformers, but in published files")),
    ("decoder_bias", HEAD),
    ("classifier_pooling", UsedIf(is_pooling, "cls or mean")),
    ("classifier_dropout", HEAD),
    ("classifier_bias", Used),
    ("classifier_activation", UsedIf(is_activation, ACTIVATIONS)),
    ("sparse_prediction", HEAD),
    ("sparse_pred_ignore_index", HEAD),
    // The table of words of transformers must have such a row, and its default is a large one.
    ("pad_token_id", Used),
];

/// The id of padding by default.
const PADDING: usize = 50283;

/// ModernBERT's names and BERT's.
const NAMES: [(&str, &str); 5] = [
    ("hidden_activation", "hidden_act"),
    ("norm_eps", "layer_norm_eps"),
    ("attention_dropout", "attention_probs_dropout_prob"),
    ("mlp_dropout", "hidden_dropout_prob"),
    ("mlp_bias", "feed_forward_bias"),
];

pub(super) const FILES: FamilyFiles = FamilyFiles {
    model_type: "modernbert",
    name: "ModernBERT",
    keys: &[KEYS, COMMON],
    read,
    write,
    names: CheckpointNames {
        prefix: "model.",
        paths: ModulePaths {
            layers: "layers",
            embeddings_norm: "embeddings.norm",
            norms: ["attn_norm", "mlp_norm"],
            final_norm: "final_norm",
            projections: ["attn.Wqkv", "attn.Wqkv", "attn.Wqkv", "attn.Wo", "mlp.Wi", "mlp.Wo"],
            ..Bert::PARAMETER_PATHS
        },
        renames: &[
            (".tok_embeddings.", ".word_embeddings."),
            ("embeddings.norm.", "embeddings.layer_norm."),
            ("final_norm.", "encoder.layer_norm."),
            ("layers.", "encoder.layer."),
            (".attn_norm.", ".attention.output.layer_norm."),
            (".mlp_norm.", ".output.layer_norm."),
            (".attn.Wo.", ".attention.output.dense."),
            (".mlp.Wi.", ".intermediate.dense."),
            (".mlp.Wo.", ".output.dense."),
        ],
        joined: Some(Joined {
            name: ".attn.Wqkv.",
            parts: [
                ".attention.self_attention.query.",
                ".attention.self_attention.key.",
                ".attention.self_attention.value.",
            ],
        }),
    },
    classifier: ClassifierNames {
        architecture: "ModernBertForSequenceClassification",
        hidden: Some(ClassifierHidden {
            name: "head.dense",
            activation: HiddenActivation::Gelu,
            norm: Some("head.norm"),
        }),
        output: "classifier",
        question_answering: "ModernBertForQuestionAnswering",
        token_classification: "ModernBertForTokenClassification",
        span_output: "classifier",
        encoder: "ModernBertModel",
    },
    fine_tuning: Some(FineTuning {
        learning_rate: 5e-5,
        source: "Warner et al. 2024, appendix E: 1e-5 to 8e-5",
    }),
};

fn read(json: &mut Map<String, Value>) {
    default(json, "hidden_activation", "gelu");
    default(json, "pad_token_id", PADDING);
    if json["pad_token_id"].is_null() {
        json.remove("pad_token_id");
    }
    default(json, "max_position_embeddings", 8192);
    default(json, "norm_eps", 1e-5);
    for rate in ["attention_dropout", "embedding_dropout", "mlp_dropout"] {
        default(json, rate, 0.0);
    }
    for has_bias in ["norm_bias", "attention_bias", "mlp_bias"] {
        default(json, has_bias, false);
    }
    default(json, "global_rope_theta", 160_000.0);
    default(json, "local_rope_theta", 10_000.0);
    default(json, "local_attention", 128);
    default(json, "global_attn_every_n_layers", 3);
    default(json, "classifier_pooling", "cls");
    default(json, "classifier_activation", "gelu");
    default(json, "classifier_bias", false);
    for (name, own) in NAMES {
        rename(json, name, own);
    }

    let mut take = |key: &str| json.remove(key).unwrap_or_default();
    let global_theta = take("global_rope_theta");
    let local_theta = match take("local_rope_theta") {
        Value::Null => global_theta.clone(),
        theta => theta,
    };
    // A width that is not a number stays what it is, and is an error later.
    let width = take("local_attention");
    let window = width.as_u64().map_or(width, |width| (width / 2).into());
    let global_every = take("global_attn_every_n_layers");
    let classifier = json!({
        "pooling": take("classifier_pooling"),
        "activation": take("classifier_activation"),
        "has_bias": take("classifier_bias"),
    });
    let rotary = json!({ "rotary": { "global_theta": global_theta, "local_theta": local_theta } });
    for (key, value) in [
        ("position_embedding_type", rotary),
        ("local_attention", json!({ "window": window, "global_every": global_every })),
        ("classifier", classifier),
        ("norm_position", "pre".into()),
        ("output_dropout", "before-projection".into()),
        ("gated_feed_forward", true.into()),
        ("type_vocab_size", 0.into()),
        ("has_pooler", false.into()),
    ] {
        json.insert(key.to_owned(), value);
    }
}

fn write(json: &mut Map<String, Value>) {
    let mut take = |key: &str| json.remove(key).unwrap_or_default();
    for key in
        ["norm_position", "output_dropout", "gated_feed_forward", "type_vocab_size", "has_pooler"]
    {
        take(key);
    }
    let rotary = take("position_embedding_type");
    let [global_theta, local_theta] =
        ["global_theta", "local_theta"].map(|theta| rotary["rotary"][theta].clone());
    // Without a value, that of the other layers.
    let local_theta = if local_theta == global_theta { Value::Null } else { local_theta };
    let classifier = take("classifier");
    let local = take("local_attention");
    let width = local["window"].as_u64().map(|window| 2 * window);
    for (key, value) in [
        ("global_rope_theta", global_theta),
        ("local_rope_theta", local_theta),
        ("local_attention", width.into()),
        ("global_attn_every_n_layers", local["global_every"].clone()),
        ("classifier_pooling", classifier["pooling"].clone()),
        ("classifier_activation", classifier["activation"].clone()),
        ("classifier_bias", classifier["has_bias"].clone()),
    ] {
        json.insert(key.to_owned(), value);
    }
    // These are left out where they have BERT's value.
    default(json, "pad_token_id", 0);
    for has_bias in ["norm_bias", "attention_bias", "feed_forward_bias"] {
        default(json, has_bias, true);
    }
    let rate = json.get("hidden_dropout_prob").cloned().unwrap_or_default();
    default(json, "embedding_dropout", rate);
    for (name, own) in NAMES {
        rename(json, own, name);
    }
}

fn is_pooling(value: &Value) -> bool {
    value == "cls" || value == "mean"
}
