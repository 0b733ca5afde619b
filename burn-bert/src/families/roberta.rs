//! RoBERTa (Liu et al. 2019), and XLM-RoBERTa and CamemBERT, which differ from it in their tokenizers.
//!
//! Positions are counted from the id of padding + 1, which also has that id's position.
//! <https://github.com/huggingface/transformers/blob/v4.57.6/src/transformers/models/roberta>

use serde_json::{Map, Value, json};

use super::bert::{PATHS, RENAMES};
use super::keys::Rule::Used;
use super::keys::{ABSOLUTE, COMMON, HEAD, Keys, SIZES, default};
use super::{CheckpointNames, ClassifierHidden, ClassifierNames, FamilyFiles, FineTuning};
use crate::config::HiddenActivation;

const KEYS: Keys = &[
    ("type_vocab_size", Used),
    ("position_embedding_type", ABSOLUTE),
    ("pad_token_id", Used),
    ("classifier_dropout", HEAD),
];

pub(super) const ROBERTA: FamilyFiles = FamilyFiles {
    model_type: "roberta",
    name: "RoBERTa",
    keys: &[KEYS, SIZES, COMMON],
    read,
    write,
    names: CheckpointNames { prefix: "roberta.", paths: PATHS, renames: RENAMES, joined: None },
    classifier: ClassifierNames {
        architecture: "RobertaForSequenceClassification",
        hidden: Some(ClassifierHidden {
            name: "classifier.dense",
            activation: HiddenActivation::Tanh,
            norm: None,
        }),
        output: "classifier.out_proj",
        question_answering: "RobertaForQuestionAnswering",
        token_classification: "RobertaForTokenClassification",
        span_output: "qa_outputs",
        encoder: "RobertaModel",
    },
    fine_tuning: Some(FineTuning {
        learning_rate: 2e-5,
        source: "Liu et al. 2019, table 10: 1e-5 to 3e-5",
    }),
};

pub(super) const XLM_ROBERTA: FamilyFiles = FamilyFiles {
    model_type: "xlm-roberta",
    name: "XLM-RoBERTa",
    classifier: ClassifierNames {
        architecture: "XLMRobertaForSequenceClassification",
        question_answering: "XLMRobertaForQuestionAnswering",
        token_classification: "XLMRobertaForTokenClassification",
        encoder: "XLMRobertaModel",
        ..ROBERTA.classifier
    },
    ..ROBERTA
};

pub(super) const CAMEMBERT: FamilyFiles = FamilyFiles {
    model_type: "camembert",
    name: "CamemBERT",
    classifier: ClassifierNames {
        architecture: "CamembertForSequenceClassification",
        question_answering: "CamembertForQuestionAnswering",
        token_classification: "CamembertForTokenClassification",
        encoder: "CamembertModel",
        ..ROBERTA.classifier
    },
    ..ROBERTA
};

fn read(json: &mut Map<String, Value>) {
    default(json, "pad_token_id", 1);
    json.insert("position_embedding_type".to_owned(), json!("after-padding"));
}

fn write(json: &mut Map<String, Value>) {
    // A padding id of 0 is left out, because it is BERT's.
    default(json, "pad_token_id", 0);
    json.insert("position_embedding_type".to_owned(), json!("absolute"));
}
