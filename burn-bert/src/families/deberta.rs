//! DeBERTa-v2 and v3: He et al. 2021. Their attention is disentangled: it multiplies queries and keys with the embeddings
//! of distances.
//!
//! <https://github.com/huggingface/transformers/blob/v4.57.6/src/transformers/models/deberta_v2>

use serde_json::{Map, Value, json};

use super::keys::Rule::{Used, UsedIf};
use super::keys::{ACTIVATIONS, COMMON, HEAD, Keys, SIZES, TOKEN_ID, default, is_activation};
use super::{CheckpointNames, ClassifierHidden, ClassifierNames, FamilyFiles, FineTuning};
use crate::bert::Bert;
use crate::config::HiddenActivation;
use crate::paths::ModulePaths;

const KEYS: Keys = &[
    ("type_vocab_size", Used),
    ("embedding_size", Used),
    ("position_biased_input", Used),
    ("relative_attention", Used),
    ("max_relative_positions", Used),
    ("position_buckets", Used),
    ("pos_att_type", Used),
    ("share_att_key", Used),
    ("norm_rel_ebd", Used),
    ("attention_head_size", Used),
    ("conv_kernel_size", Used),
    ("conv_groups", Used),
    ("conv_act", Used),
    ("pooler_hidden_size", HEAD),
    ("pooler_hidden_act", UsedIf(is_activation, ACTIVATIONS)),
    ("pooler_dropout", HEAD),
    ("legacy", HEAD),
    ("summary_type", HEAD),
    ("cls_dropout", HEAD),
    ("pad_token_id", TOKEN_ID),
];

pub(super) const FILES: FamilyFiles = FamilyFiles {
    model_type: "deberta-v2",
    name: "DeBERTa-v2",
    keys: &[KEYS, SIZES, COMMON],
    read,
    write,
    names: CheckpointNames {
        prefix: "deberta.",
        paths: ModulePaths {
            embeddings_norm: "embeddings.LayerNorm",
            norms: ["attention.output.LayerNorm", "output.LayerNorm"],
            distances: &["encoder.rel_embeddings", "encoder.LayerNorm"],
            projections: [
                "attention.self.query_proj",
                "attention.self.key_proj",
                "attention.self.value_proj",
                "attention.output.dense",
                "intermediate.dense",
                "output.dense",
            ],
            ..Bert::PARAMETER_PATHS
        },
        renames: &[
            (".self.query_proj.", ".self_attention.query."),
            (".self.key_proj.", ".self_attention.key."),
            (".self.value_proj.", ".self_attention.value."),
            (".self.", ".self_attention."),
            ("embeddings.embed_proj.", "embeddings.projection."),
            ("encoder.rel_embeddings.", "encoder.relative.rel_embeddings."),
            ("encoder.LayerNorm.", "encoder.relative.layer_norm."),
            ("encoder.conv.", "encoder.layer.0.convolution."),
            (".LayerNorm.", ".layer_norm."),
        ],
        joined: None,
    },
    classifier: ClassifierNames {
        architecture: "DebertaV2ForSequenceClassification",
        hidden: Some(ClassifierHidden {
            name: "pooler.dense",
            activation: HiddenActivation::Gelu,
            norm: None,
        }),
        output: "classifier",
        question_answering: "DebertaV2ForQuestionAnswering",
        token_classification: "DebertaV2ForTokenClassification",
        span_output: "qa_outputs",
        encoder: "DebertaV2Model",
    },
    fine_tuning: Some(FineTuning {
        learning_rate: 1.5e-5,
        source: "microsoft/DeBERTa, experiments/glue/mnli.sh, deberta-v3-base",
    }),
};

fn read(json: &mut Map<String, Value>) {
    default(json, "layer_norm_eps", 1e-7);
    default(json, "type_vocab_size", 0);
    default(json, "max_position_embeddings", 512);
    default(json, "hidden_act", "gelu");
    default(json, "hidden_dropout_prob", 0.1);
    default(json, "attention_probs_dropout_prob", 0.1);
    if json.get("embedding_size") == json.get("hidden_size") {
        json.remove("embedding_size");
    }
    let mut take = |key: &str| json.remove(key).unwrap_or_default();

    let types = position_attention_types(&take("pos_att_type"));
    let has = |kind: &str| types.iter().any(|found| found == kind);
    let [content_to_position, position_to_content] = [has("c2p"), has("p2c")];
    let settings = ["position_buckets", "max_relative_positions", "share_att_key", "norm_rel_ebd"];
    let [buckets, largest, shares_projections, norm] = settings.map(&mut take);
    let is_relative = take("relative_attention") == json!(true);
    let is_biased = take("position_biased_input") != json!(false);
    let [kernel_size, groups, activation] =
        ["conv_kernel_size", "conv_groups", "conv_act"].map(&mut take);

    let positive = |value: &Value| value.as_i64().map_or(!value.is_null(), |number| number > 0);
    if is_relative {
        let largest = if positive(&largest) {
            largest
        } else {
            json.get("max_position_embeddings").cloned().unwrap_or_default()
        };
        let norm = norm.as_str().unwrap_or("none").to_lowercase();
        let (span, max_distance) =
            if positive(&buckets) { (buckets, largest) } else { (largest, Value::Null) };
        let relative = json!({
            "span": span,
            "max_distance": max_distance,
            "content_to_position": content_to_position,
            "position_to_content": position_to_content,
            "shares_projections": shares_projections == json!(true),
            "has_norm": norm.split('|').any(|part| part.trim() == "layer_norm"),
        });
        json.insert("relative_attention".to_owned(), relative);
    }
    let terms = 1 + usize::from(content_to_position) + usize::from(position_to_content);
    json.insert("score_terms".to_owned(), terms.into());
    if positive(&kernel_size) {
        let or = |value: Value, default: Value| if value.is_null() { default } else { value };
        let convolution = json!({
            "kernel_size": kernel_size,
            "groups": or(groups, 1.into()),
            "activation": or(activation, "tanh".into()),
        });
        json.insert("convolution".to_owned(), convolution);
    }
    let positions = if is_biased { "absolute" } else { "none" };
    json.insert("position_embedding_type".to_owned(), positions.into());
    json.insert("projects_embeddings_before_norm".to_owned(), true.into());
    let activation = json.remove("pooler_hidden_act").unwrap_or_else(|| "gelu".into());
    json.insert("classifier".to_owned(), json!({ "activation": activation }));
    json.insert("has_pooler".to_owned(), false.into());
}

/// `c2p|p2c`, or a list.
fn position_attention_types(value: &Value) -> Vec<String> {
    match value {
        Value::String(types) => {
            types.to_lowercase().split('|').map(|kind| kind.trim().to_owned()).collect()
        }
        Value::Array(types) => {
            types.iter().filter_map(|kind| kind.as_str().map(str::to_owned)).collect()
        }
        _ => Vec::new(),
    }
}

fn write(json: &mut Map<String, Value>) {
    let mut take = |key: &str| json.remove(key).unwrap_or_default();
    for key in ["projects_embeddings_before_norm", "has_pooler"] {
        take(key);
    }
    let is_biased = take("position_embedding_type") == json!("absolute");
    let relative = take("relative_attention");
    let terms = take("score_terms").as_u64().unwrap_or(1);
    let convolution = take("convolution");
    let activation = take("classifier")["activation"].clone();
    json.insert("position_biased_input".to_owned(), is_biased.into());
    json.insert("relative_attention".to_owned(), relative.is_object().into());
    let has = |term: &str| relative[term] == json!(true);
    // Without relative attention, the types only change the factor of the scores.
    let types: Vec<&str> = match terms {
        1 => Vec::new(),
        2 if !has("position_to_content") => vec!["c2p"],
        2 => vec!["p2c"],
        _ => vec!["p2c", "c2p"],
    };
    json.insert("pos_att_type".to_owned(), types.into());
    let most_positions = json.get("max_position_embeddings").cloned().unwrap_or_default();
    // transformers' defaults are left out.
    let mut set = |key: &str, value: Value, default: Value| {
        if value != default {
            json.insert(key.to_owned(), value);
        }
    };
    set("pooler_hidden_act", activation, "gelu".into());
    if relative.is_object() {
        let span = relative["span"].clone();
        let (buckets, largest) = match relative["max_distance"].clone() {
            Value::Null => ((-1).into(), span),
            largest => (span, largest),
        };
        set("position_buckets", buckets, (-1).into());
        set("max_relative_positions", largest, most_positions);
        set("share_att_key", has("shares_projections").into(), false.into());
        let norm = if has("has_norm") { "layer_norm" } else { "none" };
        set("norm_rel_ebd", norm.into(), "none".into());
    }
    if convolution.is_object() {
        set("conv_kernel_size", convolution["kernel_size"].clone(), 0.into());
        set("conv_groups", convolution["groups"].clone(), 1.into());
        set("conv_act", convolution["activation"].clone(), "tanh".into());
    }
}
