//! BERT: Devlin et al. 2019.
//!
//! <https://github.com/huggingface/transformers/blob/v4.57.6/src/transformers/models/bert>

use serde_json::Value;

use super::keys::Rule::{self, NoEffect, Only, Used};
use super::keys::{ABSOLUTE, COMMON, HEAD, Keys, SIZES, TOKEN_ID};
use super::{CheckpointNames, ClassifierNames, FamilyFiles};
use crate::bert::Bert;
use crate::paths::ModulePaths;

/// In Google's multilingual and Chinese checkpoints.
const POOLER: Rule = NoEffect("unused by Google's own code too");

const KEYS: Keys = &[
    ("type_vocab_size", Used),
    ("position_embedding_type", ABSOLUTE),
    ("directionality", Only(is_bidirectional, "\"bidi\"")),
    (
        "embedding_size",
        Only(Value::is_null, "null: embeddings have the width of the hidden states"),
    ),
    ("pooler_fc_size", POOLER),
    ("pooler_num_attention_heads", POOLER),
    ("pooler_num_fc_layers", POOLER),
    ("pooler_size_per_head", POOLER),
    ("pooler_type", POOLER),
    ("classifier_dropout", HEAD),
    ("pad_token_id", TOKEN_ID),
];

pub(super) const FILES: FamilyFiles = FamilyFiles {
    model_type: "bert",
    name: "BERT",
    keys: &[KEYS, SIZES, COMMON],
    read: |_| {},
    write: |_| {},
    names: CheckpointNames { prefix: "bert.", paths: PATHS, renames: RENAMES, joined: None },
    classifier: ClassifierNames {
        architecture: "BertForSequenceClassification",
        hidden: None,
        output: "classifier",
        question_answering: "BertForQuestionAnswering",
        token_classification: "BertForTokenClassification",
        span_output: "qa_outputs",
        encoder: "BertModel",
    },
    fine_tuning: None,
};

pub(super) const PATHS: ModulePaths = ModulePaths {
    embeddings_norm: "embeddings.LayerNorm",
    norms: ["attention.output.LayerNorm", "output.LayerNorm"],
    projections: [
        "attention.self.query",
        "attention.self.key",
        "attention.self.value",
        "attention.output.dense",
        "intermediate.dense",
        "output.dense",
    ],
    ..Bert::PARAMETER_PATHS
};

pub(super) const RENAMES: &[(&str, &str)] =
    &[(".self.", ".self_attention."), (".LayerNorm.", ".layer_norm.")];

fn is_bidirectional(value: &Value) -> bool {
    value.is_null() || value == "bidi"
}
