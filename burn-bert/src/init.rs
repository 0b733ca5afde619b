//! Encoders with fresh weights, from their configuration.

use burn::nn::conv::Conv1dConfig;
use burn::nn::{
    Dropout, DropoutConfig, Embedding, EmbeddingConfig, Initializer, Linear, LinearConfig,
    PaddingConfig1d,
};
use burn::tensor::Device;
use burn_fused::LayerNorm;

use crate::attention::{Attention, SelfAttention};
use crate::bert::Bert;
use crate::config::{BertConfig, NormPosition, Positions};
use crate::convolution::Convolution;
use crate::embeddings::Embeddings;
use crate::feed_forward::Intermediate;
use crate::layer::{Layer, LayerStack};
use crate::pooler::Pooler;
use crate::relative_embeddings::RelativeEmbeddings;
use crate::residual::Residual;
use crate::variations::OutputDropout;

impl BertConfig {
    /// An encoder with fresh weights: normal with `initializer_range`, biases 0, as in the reference.
    /// They are drawn when they are first read.
    ///
    /// # Panics
    /// If the configuration does not pass [`check`](Self::check).
    pub fn init(&self, device: &Device) -> Bert {
        let init = Init { config: self, device };
        let d_model = self.hidden_size;
        Bert {
            embeddings: init.embeddings(),
            encoder: LayerStack {
                layer: (0..self.num_hidden_layers).map(|index| init.layer(index)).collect(),
                relative_attention_bias: self
                    .relative_attention_buckets
                    .map(|buckets| init.table(buckets, self.num_attention_heads)),
                relative: self.relative_attention.map(|settings| RelativeEmbeddings {
                    rel_embeddings: init.table(2 * settings.span, d_model),
                    layer_norm: settings.has_norm.then(|| init.layer_norm(d_model)),
                    settings,
                }),
                layer_norm: init.is_pre_norm().then(|| init.layer_norm(d_model)),
                rotary_thetas: match self.positions {
                    Positions::Rotary { global_theta, local_theta } => {
                        Some([global_theta, local_theta])
                    }
                    _ => None,
                },
            },
            pooler: self.has_pooler.then(|| Pooler { dense: init.linear(d_model, d_model, true) }),
            family: self.family,
            classifier: self.sequence_classifier(),
            pretrained_head: None,
        }
    }
}

/// The modules of a configuration.
#[derive(Clone, Copy)]
struct Init<'a> {
    config: &'a BertConfig,
    device: &'a Device,
}

impl Init<'_> {
    fn initializer(self) -> Initializer {
        Initializer::Normal { mean: 0.0, std: self.config.initializer_range }
    }

    fn is_pre_norm(self) -> bool {
        self.config.norm_position == NormPosition::Pre
    }

    fn table(self, rows: usize, width: usize) -> Embedding {
        EmbeddingConfig::new(rows, width).with_initializer(self.initializer()).init(self.device)
    }

    fn linear(self, d_input: usize, d_output: usize, has_bias: bool) -> Linear {
        let config = LinearConfig::new(d_input, d_output).with_bias(false);
        let linear = config.with_initializer(self.initializer()).init(self.device);
        // Burn's initializer would draw the bias too.
        let zeros = || Initializer::Zeros.init([d_output], self.device);
        Linear { bias: has_bias.then(zeros), ..linear }
    }

    fn layer_norm(self, width: usize) -> LayerNorm {
        let norm = LayerNorm::new(width, self.config.layer_norm_eps, self.device);
        if self.config.norm_bias { norm } else { norm.without_beta() }
    }

    fn dropout(rate: f64) -> Dropout {
        DropoutConfig::new(rate).init()
    }

    fn embeddings(self) -> Embeddings {
        let config = self.config;
        let d_model = config.hidden_size;
        let d_embedding = config.embedding_size.unwrap_or(d_model);
        let before_norm = config.projects_embeddings_before_norm;
        let has_table = matches!(config.positions, Positions::Absolute | Positions::AfterPadding);
        Embeddings {
            word_embeddings: self.table(config.vocab_size, d_embedding),
            position_embeddings: has_table
                .then(|| self.table(config.max_position_embeddings, d_embedding)),
            token_type_embeddings: (config.type_vocab_size > 0)
                .then(|| self.table(config.type_vocab_size, d_embedding)),
            layer_norm: self.layer_norm(if before_norm { d_model } else { d_embedding }),
            dropout: Self::dropout(config.embedding_dropout.unwrap_or(config.hidden_dropout_prob)),
            // That before the norm needs no bias.
            projection: config
                .embedding_size
                .map(|width| self.linear(width, d_model, !before_norm)),
            projects_before_norm: before_norm,
            hides_padding: config.convolution.is_some(),
            longest_text: config.longest_text(),
            padding_position: (config.positions == Positions::AfterPadding)
                .then_some(config.pad_token_id),
        }
    }

    fn layer(self, index: usize) -> Layer {
        let config = self.config;
        let (d_model, wide) = (config.hidden_size, config.intermediate_size);
        let hidden_rate = config.hidden_dropout_prob;
        let attention_rate = config.attention_probs_dropout_prob;
        // Of the attention's output, inside of the feed-forward, and of its output.
        let rates = match config.output_dropout {
            OutputDropout::SubLayers => [hidden_rate, 0.0, hidden_rate],
            OutputDropout::FeedForward => [0.0, 0.0, hidden_rate],
            OutputDropout::BeforeProjection => [attention_rate, hidden_rate, 0.0],
        };
        let has_bias = config.feed_forward_bias;
        let is_gated = config.gated_feed_forward;
        Layer {
            attention: Attention {
                self_attention: self.self_attention(index),
                output: Residual {
                    dense: self.linear(d_model, d_model, config.attention_bias),
                    // The LayerNorm of the embeddings precedes the first attention.
                    layer_norm: (!self.is_pre_norm() || index > 0)
                        .then(|| self.layer_norm(d_model)),
                    dropout: Self::dropout(rates[0]),
                    norm_position: config.norm_position,
                },
            },
            intermediate: Intermediate {
                dense: self.linear(d_model, if is_gated { 2 * wide } else { wide }, has_bias),
                activation: config.hidden_act,
                is_gated,
                dropout: Self::dropout(rates[1]),
            },
            output: Residual {
                dense: self.linear(wide, d_model, has_bias),
                layer_norm: Some(self.layer_norm(d_model)),
                dropout: Self::dropout(rates[2]),
                norm_position: config.norm_position,
            },
            convolution: config.convolution.filter(|_| index == 0).map(|convolution| Convolution {
                conv: Conv1dConfig::new(d_model, d_model, convolution.kernel_size)
                    .with_groups(convolution.groups)
                    .with_padding(PaddingConfig1d::Same)
                    .with_initializer(self.initializer())
                    .init(self.device),
                layer_norm: self.layer_norm(d_model),
                dropout: Self::dropout(hidden_rate),
                activation: convolution.activation,
            }),
        }
    }

    fn self_attention(self, index: usize) -> SelfAttention {
        let config = self.config;
        let d_model = config.hidden_size;
        let linear = || self.linear(d_model, d_model, config.attention_bias);
        let d_head = d_model / config.num_attention_heads;
        let own = config.relative_attention.filter(|relative| !relative.shares_projections);
        let local =
            config.local_attention.filter(|local| !index.is_multiple_of(local.global_every));
        SelfAttention {
            query: linear(),
            key: linear(),
            value: linear(),
            dropout: Self::dropout(config.attention_probs_dropout_prob),
            heads: config.num_attention_heads,
            scale: 1.0 / ((d_head * config.score_terms) as f64).sqrt(),
            window: local.map(|local| local.window),
            pos_key_proj: own.filter(|own| own.content_to_position).map(|_| linear()),
            pos_query_proj: own.filter(|own| own.position_to_content).map(|_| linear()),
            pos_dropout: Self::dropout(config.hidden_dropout_prob),
            relative: config.relative_attention,
        }
    }
}
