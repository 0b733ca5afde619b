//! ELECTRA: Clark et al. 2020. Its embeddings are narrower than the hidden states in small models, and it has no pooler.
//!
//! <https://github.com/huggingface/transformers/blob/v4.57.6/src/transformers/models/electra>

use serde_json::{Map, Value};

use super::bert::PATHS;
use super::keys::Rule::Used;
use super::keys::{ABSOLUTE, COMMON, HEAD, Keys, SIZES, TOKEN_ID, default};
use super::{CheckpointNames, ClassifierHidden, ClassifierNames, FamilyFiles, FineTuning};
use crate::config::HiddenActivation;

const KEYS: Keys = &[
    ("type_vocab_size", Used),
    ("embedding_size", Used),
    ("position_embedding_type", ABSOLUTE),
    ("summary_type", HEAD),
    ("summary_use_proj", HEAD),
    ("summary_activation", HEAD),
    ("summary_last_dropout", HEAD),
    ("classifier_dropout", HEAD),
    ("pad_token_id", TOKEN_ID),
];

pub(super) const FILES: FamilyFiles = FamilyFiles {
    model_type: "electra",
    name: "ELECTRA",
    keys: &[KEYS, SIZES, COMMON],
    read,
    write,
    names: CheckpointNames {
        prefix: "electra.",
        paths: PATHS,
        renames: &[
            (".self.", ".self_attention."),
            (".LayerNorm.", ".layer_norm."),
            ("embeddings_project.", "embeddings.projection."),
        ],
        joined: None,
    },
    classifier: ClassifierNames {
        architecture: "ElectraForSequenceClassification",
        hidden: Some(ClassifierHidden {
            name: "classifier.dense",
            activation: HiddenActivation::Gelu,
            norm: None,
        }),
        output: "classifier.out_proj",
        question_answering: "ElectraForQuestionAnswering",
        token_classification: "ElectraForTokenClassification",
        span_output: "qa_outputs",
        encoder: "ElectraModel",
    },
    // The rate of a middle layer: that of the paper falls from layer to layer, and diverges where it does not.
    fine_tuning: Some(FineTuning {
        learning_rate: 3e-5,
        source: "Clark et al. 2020, table 7: 1e-4 · 0.8^6, a layer in the middle of its decay",
    }),
};

fn read(json: &mut Map<String, Value>) {
    default(json, "embedding_size", 128);
    if json.get("embedding_size") == json.get("hidden_size") {
        json.remove("embedding_size");
    }
    json.insert("has_pooler".to_owned(), false.into());
}

fn write(json: &mut Map<String, Value>) {
    json.remove("has_pooler");
    let width = json.get("hidden_size").cloned();
    if let Some(width) = width {
        default(json, "embedding_size", width);
    }
}
