//! The configurations of published encoders of other families, as in their `config.json`.

use serde_json::{Value, json};

/// `FacebookAI/roberta-base`
pub(super) fn roberta_base() -> Value {
    json!({
        "model_type": "roberta", "vocab_size": 50265, "max_position_embeddings": 514,
        "type_vocab_size": 1, "hidden_size": 768, "num_hidden_layers": 12,
        "num_attention_heads": 12, "intermediate_size": 3072, "hidden_act": "gelu",
        "hidden_dropout_prob": 0.1, "attention_probs_dropout_prob": 0.1, "layer_norm_eps": 1e-5,
        "pad_token_id": 1,
    })
}

/// `distilbert/distilbert-base-uncased`
pub(super) fn distilbert_base() -> Value {
    json!({
        "model_type": "distilbert", "vocab_size": 30522, "max_position_embeddings": 512,
        "dim": 768, "n_layers": 6, "n_heads": 12, "hidden_dim": 3072, "activation": "gelu",
        "dropout": 0.1, "attention_dropout": 0.1,
    })
}

/// `microsoft/deberta-v3-base`
pub(super) fn deberta_v3_base() -> Value {
    json!({
        "model_type": "deberta-v2", "vocab_size": 128_100, "max_position_embeddings": 512,
        "type_vocab_size": 0, "hidden_size": 768, "num_hidden_layers": 12,
        "num_attention_heads": 12, "intermediate_size": 3072, "hidden_act": "gelu",
        "hidden_dropout_prob": 0.1, "attention_probs_dropout_prob": 0.1, "layer_norm_eps": 1e-7,
        "relative_attention": true, "position_buckets": 256, "norm_rel_ebd": "layer_norm",
        "share_att_key": true, "pos_att_type": "p2c|c2p", "max_relative_positions": -1,
        "position_biased_input": false,
    })
}

/// `answerdotai/ModernBERT-base`, with dropout as in the other models
pub(super) fn modernbert_base() -> Value {
    json!({
        "model_type": "modernbert", "vocab_size": 50368, "max_position_embeddings": 8192,
        "hidden_size": 768, "num_hidden_layers": 22, "num_attention_heads": 12,
        "intermediate_size": 1152, "hidden_activation": "gelu", "norm_eps": 1e-5,
        "norm_bias": false, "attention_bias": false, "mlp_bias": false,
        "global_attn_every_n_layers": 3, "local_attention": 128, "global_rope_theta": 160_000.0,
        "local_rope_theta": 10_000.0, "embedding_dropout": 0.1, "attention_dropout": 0.1,
        "mlp_dropout": 0.1, "pad_token_id": 50283, "reference_compile": false,
    })
}
