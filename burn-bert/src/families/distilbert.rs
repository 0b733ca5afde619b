//! DistilBERT: Sanh et al. 2019. It has no token types and no pooler.
//!
//! <https://github.com/huggingface/transformers/blob/v4.57.6/src/transformers/models/distilbert>

use serde_json::{Map, Value};

use super::keys::Rule::{NoEffect, Only, Used};
use super::keys::{COMMON, HEAD, Keys, TOKEN_ID, default, is_false, rename};
use super::{CheckpointNames, ClassifierHidden, ClassifierNames, FamilyFiles, FineTuning};
use crate::bert::Bert;
use crate::config::HiddenActivation;
use crate::paths::ModulePaths;

const KEYS: Keys = &[
    ("vocab_size", Used),
    ("dim", Used),
    ("n_layers", Used),
    ("n_heads", Used),
    ("hidden_dim", Used),
    ("activation", Used),
    ("dropout", Used),
    ("attention_dropout", Used),
    ("max_position_embeddings", Used),
    ("initializer_range", Used),
    ("sinusoidal_pos_embds", Only(is_false, "false: positions that never train are not supported")),
    ("tie_weights_", NoEffect("a setting of the language model's head")),
    ("qa_dropout", HEAD),
    ("seq_classif_dropout", HEAD),
    ("pad_token_id", TOKEN_ID),
    // transformers reads the names of other families as well, and lets them win or lose by their order in the file.
    ("hidden_size", ALIAS),
    ("num_hidden_layers", ALIAS),
    ("num_attention_heads", ALIAS),
];

const ALIAS: super::keys::Rule =
    Only(Value::is_null, "DistilBERT's own names: dim, n_layers and n_heads");

/// DistilBERT's names and BERT's.
const NAMES: [(&str, &str); 7] = [
    ("dim", "hidden_size"),
    ("n_layers", "num_hidden_layers"),
    ("n_heads", "num_attention_heads"),
    ("hidden_dim", "intermediate_size"),
    ("activation", "hidden_act"),
    ("dropout", "hidden_dropout_prob"),
    ("attention_dropout", "attention_probs_dropout_prob"),
];

pub(super) const FILES: FamilyFiles = FamilyFiles {
    model_type: "distilbert",
    name: "DistilBERT",
    keys: &[KEYS, COMMON],
    read,
    write,
    names: CheckpointNames {
        prefix: "distilbert.",
        paths: ModulePaths {
            layers: "transformer.layer",
            embeddings_norm: "embeddings.LayerNorm",
            norms: ["sa_layer_norm", "output_layer_norm"],
            projections: [
                "attention.q_lin",
                "attention.k_lin",
                "attention.v_lin",
                "attention.out_lin",
                "ffn.lin1",
                "ffn.lin2",
            ],
            ..Bert::PARAMETER_PATHS
        },
        renames: &[
            ("transformer.layer.", "encoder.layer."),
            (".sa_layer_norm.", ".attention.output.layer_norm."),
            (".output_layer_norm.", ".output.layer_norm."),
            (".attention.q_lin.", ".attention.self_attention.query."),
            (".attention.k_lin.", ".attention.self_attention.key."),
            (".attention.v_lin.", ".attention.self_attention.value."),
            (".attention.out_lin.", ".attention.output.dense."),
            (".ffn.lin1.", ".intermediate.dense."),
            (".ffn.lin2.", ".output.dense."),
            (".LayerNorm.", ".layer_norm."),
        ],
        joined: None,
    },
    classifier: ClassifierNames {
        architecture: "DistilBertForSequenceClassification",
        hidden: Some(ClassifierHidden {
            name: "pre_classifier",
            activation: HiddenActivation::Relu,
            norm: None,
        }),
        output: "classifier",
        question_answering: "DistilBertForQuestionAnswering",
        token_classification: "DistilBertForTokenClassification",
        span_output: "qa_outputs",
        encoder: "DistilBertModel",
    },
    // Its paper names none.
    fine_tuning: Some(FineTuning {
        learning_rate: 5e-5,
        source: "that of BERT: Devlin et al. 2019, appendix A.3",
    }),
};

fn read(json: &mut Map<String, Value>) {
    for (name, own) in NAMES {
        rename(json, name, own);
    }
    default(json, "hidden_dropout_prob", 0.1);
    default(json, "attention_probs_dropout_prob", 0.1);
    default(json, "max_position_embeddings", 512);
    default(json, "hidden_act", "gelu");
    json.insert("type_vocab_size".to_owned(), 0.into());
    json.insert("has_pooler".to_owned(), false.into());
    json.insert("output_dropout".to_owned(), "feed-forward".into());
}

fn write(json: &mut Map<String, Value>) {
    for key in [
        "type_vocab_size",
        "has_pooler",
        "output_dropout",
        "layer_norm_eps",
        "position_embedding_type",
    ] {
        json.remove(key);
    }
    for (name, own) in NAMES {
        rename(json, own, name);
    }
}
