//! The `config.json` of every family: defaults, and settings that are not supported.

#![expect(clippy::unwrap_used, reason = "a test may panic")]

use std::path::Path;

use burn_bert::{
    BertConfig, ClassifierLayer, ClassifierNorm, ClassifierPooling, ConvolutionConfig, Family,
    HiddenActivation, LocalAttention, Positions, RelativeAttention, SequenceClassifier,
};
use serde_json::{Value, json};

/// What transformers writes for a configuration class without arguments.
fn written_by(class: &str) -> Value {
    let text = include_str!("fixtures/config_keys.json");
    serde_json::from_str::<Value>(text).unwrap()[class].clone()
}

/// Reads a configuration with changed keys.
fn read(class: &str, changes: &Value) -> Result<BertConfig, String> {
    let mut json = written_by(class);
    for (key, value) in changes.as_object().unwrap() {
        json[key] = value.clone();
    }
    let path = Path::new("base/config.json");
    BertConfig::from_json_bytes(path, json.to_string().as_bytes()).map_err(|error| {
        let source = std::error::Error::source(&error).map(|source| format!(": {source}"));
        format!("{error}{}", source.unwrap_or_default())
    })
}

#[test]
fn every_key_that_transformers_writes_for_a_family_is_known() {
    for (class, family) in [
        ("BertConfig", Family::Bert),
        ("RobertaConfig", Family::Roberta),
        ("XLMRobertaConfig", Family::XlmRoberta),
        ("CamembertConfig", Family::Camembert),
        ("DistilBertConfig", Family::Distilbert),
        ("ElectraConfig", Family::Electra),
        ("MPNetConfig", Family::Mpnet),
        ("DebertaV2Config", Family::DebertaV2),
        ("ModernBertConfig", Family::ModernBert),
    ] {
        let config = read(class, &json!({})).unwrap();
        assert_eq!((config.family, config.unknown_keys), (family, Vec::new()), "{class}");
    }
}

/// As in the `config.json` of microsoft/deberta-v3-base.
#[test]
fn deberta_v3_has_a_logarithmic_table_of_distances() {
    let config = read(
        "DebertaV2Config",
        &json!({
            "relative_attention": true, "position_buckets": 256, "norm_rel_ebd": "layer_norm",
            "share_att_key": true, "pos_att_type": "p2c|c2p", "max_relative_positions": -1,
            "position_biased_input": false, "type_vocab_size": 0,
        }),
    );
    let config = config.unwrap();
    let expected = RelativeAttention {
        span: 256,
        max_distance: Some(512),
        content_to_position: true,
        position_to_content: true,
        shares_projections: true,
        has_norm: true,
    };
    assert_eq!(config.relative_attention, Some(expected));
    assert_eq!((config.positions, config.score_terms), (Positions::None, 3));
    assert_eq!((config.longest_text(), config.embedding_size), (512, None));
}

/// As in the `config.json` of microsoft/deberta-v2-xlarge.
#[test]
fn deberta_v2_has_a_convolution_and_the_width_of_its_heads() {
    let changes = json!({
        "conv_kernel_size": 3, "conv_act": "gelu", "attention_head_size": 64, "hidden_size": 1536,
        "num_attention_heads": 24,
    });
    let config = read("DebertaV2Config", &changes).unwrap();
    let expected =
        ConvolutionConfig { kernel_size: 3, groups: 1, activation: HiddenActivation::Gelu };
    assert_eq!(config.convolution, Some(expected));
    assert_eq!((config.relative_attention, config.score_terms), (None, 1));
}

#[test]
fn modernbert_alternates_local_and_global_attention() {
    let config = read("ModernBertConfig", &json!({})).unwrap();
    assert_eq!(config.local_attention, Some(LocalAttention { window: 64, global_every: 3 }));
    let expected = Positions::Rotary { global_theta: 160_000.0, local_theta: 10_000.0 };
    assert_eq!((config.positions, config.longest_text()), (expected, 8192));
    assert!(config.gated_feed_forward && !config.norm_bias && !config.attention_bias);
}

#[test]
fn the_settings_of_a_classifier_are_read_and_written() {
    let changes = json!({
        "classifier_pooling": "mean", "classifier_activation": "silu", "classifier_bias": true,
        "norm_bias": true, "norm_eps": 1e-3, "pad_token_id": 0,
    });
    let config = read("ModernBertConfig", &changes).unwrap();
    let norm = Some(ClassifierNorm { epsilon: 1e-3, has_bias: true });
    let hidden = ClassifierLayer { activation: HiddenActivation::Silu, has_bias: true, norm };
    let expected = SequenceClassifier { pooling: ClassifierPooling::Mean, hidden: Some(hidden) };
    assert_eq!(config.sequence_classifier(), expected);
    // Without its own id of padding, transformers needs a table with the row of the default one.
    let written = config.to_config_json();
    for (key, value) in changes.as_object().unwrap() {
        assert_eq!(written.get(key), Some(value), "{key}");
    }

    let config = read("DebertaV2Config", &json!({ "pooler_hidden_act": "tanh" })).unwrap();
    let hidden = config.sequence_classifier().hidden.unwrap();
    assert_eq!((hidden.activation, hidden.norm), (HiddenActivation::Tanh, None));
    assert_eq!(config.to_config_json()["pooler_hidden_act"], "tanh");
}

#[test]
fn settings_that_are_not_supported_are_refused_by_name() {
    for (class, changes, expected) in [
        ("ModernBertConfig", json!({ "rope_scaling": { "factor": 2.0 } }), "rope_scaling"),
        ("ModernBertConfig", json!({ "rope_theta": 1e5 }), "rope_theta"),
        (
            "ModernBertConfig",
            json!({ "global_attn_every_n_layers": 0 }),
            "global_attn_every_n_layers 0",
        ),
        ("ModernBertConfig", json!({ "local_attention": "wide" }), "string \"wide\""),
        (
            "ModernBertConfig",
            json!({ "local_attention": -1 }),
            "a value of local_attention that cannot be read: invalid value: integer `-1`",
        ),
        (
            "DistilBertConfig",
            json!({ "n_heads": "4" }),
            "a value of num_attention_heads that cannot be read: invalid type: string \"4\"",
        ),
        ("ModernBertConfig", json!({ "local_rope_theta": -1.0 }), "local_rope_theta -1"),
        ("ModernBertConfig", json!({ "embedding_dropout": 1.5 }), "embedding_dropout 1.5"),
        ("ModernBertConfig", json!({ "num_attention_heads": 256 }), "expected even heads"),
        (
            "ModernBertConfig",
            json!({ "classifier_pooling": "max" }),
            "classifier_pooling max, expected cls or mean",
        ),
        ("ModernBertConfig", json!({ "classifier_activation": "mish" }), "expected gelu, gelu_new"),
        ("DebertaV2Config", json!({ "pooler_hidden_act": "mish" }), "pooler_hidden_act mish"),
        (
            "ModernBertConfig",
            json!({ "hidden_activation": "laplace" }),
            "unknown variant `laplace`",
        ),
        ("DebertaV2Config", json!({ "attention_head_size": 32 }), "attention_head_size 32"),
        ("DebertaV2Config", json!({ "conv_kernel_size": 4 }), "conv_kernel_size 4"),
        ("DebertaV2Config", json!({ "conv_kernel_size": 3, "conv_groups": 7 }), "conv_groups 7"),
        (
            "DebertaV2Config",
            json!({ "relative_attention": true, "position_buckets": 1 }),
            "position_buckets 1, expected 2 to",
        ),
        (
            "DebertaV2Config",
            json!({ "relative_attention": true, "position_buckets": 1024 }),
            "max_relative_positions 512, expected more than position_buckets / 2 + 1, 513",
        ),
        ("DebertaV2Config", json!({ "is_decoder": true }), "is_decoder"),
    ] {
        let found = read(class, &changes).unwrap_err();
        assert!(found.contains(expected), "{class} {changes}: {found}");
    }
}
