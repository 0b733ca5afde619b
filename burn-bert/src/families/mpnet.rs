//! MPNet: Song et al. 2020. Its layers share a table of biases for the distance between query and key; it has no token
//! types.
//!
//! <https://github.com/huggingface/transformers/blob/v4.57.6/src/transformers/models/mpnet>

use serde_json::{Map, Value, json};

use super::bert::PATHS;
use super::keys::Rule::{NoEffect, Used};
use super::keys::{COMMON, Keys, SIZES, default};
use super::roberta::ROBERTA;
use super::{CheckpointNames, ClassifierNames, FamilyFiles, FineTuning};
use crate::paths::ModulePaths;

const KEYS: Keys = &[
    ("relative_attention_num_buckets", Used),
    ("pad_token_id", NoEffect("positions are counted from 1, whatever the id of padding is")),
];

/// `padding_idx` of `MPNetEmbeddings`.
const PADDING: usize = 1;
/// The key of [`BertConfig::relative_attention_buckets`](crate::BertConfig::relative_attention_buckets).
const BUCKETS: &str = "relative_attention_num_buckets";

pub(super) const FILES: FamilyFiles = FamilyFiles {
    model_type: "mpnet",
    name: "MPNet",
    keys: &[KEYS, SIZES, COMMON],
    read,
    write,
    names: CheckpointNames {
        prefix: "mpnet.",
        paths: ModulePaths {
            norms: ["attention.LayerNorm", "output.LayerNorm"],
            projections: [
                "attention.attn.q",
                "attention.attn.k",
                "attention.attn.v",
                "attention.attn.o",
                "intermediate.dense",
                "output.dense",
            ],
            ..PATHS
        },
        renames: &[
            (".attention.attn.q.", ".attention.self_attention.query."),
            (".attention.attn.k.", ".attention.self_attention.key."),
            (".attention.attn.v.", ".attention.self_attention.value."),
            (".attention.attn.o.", ".attention.output.dense."),
            (".attention.LayerNorm.", ".attention.output.layer_norm."),
            (".LayerNorm.", ".layer_norm."),
        ],
        joined: None,
    },
    classifier: ClassifierNames {
        architecture: "MPNetForSequenceClassification",
        question_answering: "MPNetForQuestionAnswering",
        token_classification: "MPNetForTokenClassification",
        encoder: "MPNetModel",
        ..ROBERTA.classifier
    },
    fine_tuning: Some(FineTuning {
        learning_rate: 2e-5,
        source: "microsoft/MPNet, README.glue.md: 1e-5 and 2e-5",
    }),
};

fn read(json: &mut Map<String, Value>) {
    default(json, BUCKETS, 32);
    json.insert("type_vocab_size".to_owned(), 0.into());
    json.insert("pad_token_id".to_owned(), PADDING.into());
    json.insert("position_embedding_type".to_owned(), json!("after-padding"));
}

fn write(json: &mut Map<String, Value>) {
    for key in ["type_vocab_size", "position_embedding_type"] {
        json.remove(key);
    }
}
