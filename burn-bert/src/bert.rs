//! The encoder: embeddings, layers and pooler. Heads and losses are those of a task.

use std::ops::Range;

use burn::module::Module;
use burn::nn::{DropoutConfig, Embedding, EmbeddingConfig, Initializer, Linear, LinearConfig};
use burn::tensor::{Bool, Device, Tensor, assert_shape};
use burn_fused::LayerNorm;

use crate::attention::{Attention, AttentionContext, SelfAttention};
use crate::config::{BertConfig, HiddenActivation, NormPosition, Positions};
use crate::embeddings::Embeddings;
use crate::encoder::{EmbeddingSizes, Encoder};
use crate::families::{self, Family};
use crate::feed_forward::Intermediate;
use crate::input::BertInput;
use crate::insertion::{Insertions, Projection, Site};
use crate::layer::{Layer, LayerStack};
use crate::paths::ModulePaths;
use crate::pooler::Pooler;
use crate::residual::Residual;

/// A BERT-style encoder. Its parameters are named as in Hugging Face's checkpoints of BERT, whatever its
/// [`family`](Self::family).
#[derive(Module, Debug)]
pub struct Bert {
    pub(crate) embeddings: Embeddings,
    pub(crate) encoder: LayerStack,
    /// Checkpoints of token classification or question answering have none.
    pub(crate) pooler: Option<Pooler>,
    /// Decides the names in files.
    #[module(skip)]
    pub(crate) family: Family,
}

impl Bert {
    /// Paths of the parameters, in every family.
    pub const PARAMETER_PATHS: ModulePaths = ModulePaths {
        embeddings: "embeddings",
        layers: "encoder.layer",
        pooler: "pooler",
        pooler_dense: "dense",
        embeddings_norm: "embeddings.layer_norm",
        norms: ["attention.output.layer_norm", "output.layer_norm"],
        relative_bias: "encoder.relative_attention_bias",
        final_norm: "encoder.layer_norm",
        projections: [
            "attention.self_attention.query",
            "attention.self_attention.key",
            "attention.self_attention.value",
            "attention.output.dense",
            "intermediate.dense",
            "output.dense",
        ],
    };

    /// Names in BERT's checkpoints in Hugging Face's format.
    pub const CHECKPOINT_PATHS: ModulePaths = families::bert::PATHS;

    /// The activation of the feed-forwards.
    pub fn hidden_activation(&self) -> Option<HiddenActivation> {
        self.encoder.layer.first().map(|layer| layer.intermediate.activation)
    }

    /// The family of the encoder.
    pub fn family(&self) -> Family {
        self.family
    }

    /// The same encoder without its pooler.
    #[must_use]
    pub fn without_pooler(self) -> Self {
        Self { pooler: None, ..self }
    }
}

impl Encoder for Bert {
    fn n_layers(&self) -> usize {
        self.encoder.layer.len()
    }

    fn d_model(&self) -> usize {
        // A configuration has at least one layer.
        self.encoder.layer[0].output.dense.weight.lazy_shape()[1]
    }

    fn embedding_sizes(&self) -> EmbeddingSizes {
        let rows = |table: &Embedding| table.weight.lazy_shape()[0];
        EmbeddingSizes {
            vocab_size: rows(&self.embeddings.word_embeddings),
            positions: rows(&self.embeddings.position_embeddings)
                - self.embeddings.padding_position.map_or(0, |padding| padding + 1),
            token_types: self.embeddings.token_type_embeddings.as_ref().map_or(0, rows),
        }
    }

    fn attention_dropout(&self) -> f64 {
        self.encoder.layer.first().map_or(0.0, |layer| layer.attention.self_attention.dropout.prob)
    }

    fn norm(&self, site: Site) -> Option<&LayerNorm> {
        match site {
            Site::Embeddings => Some(&self.embeddings.layer_norm),
            Site::Attention(layer) => {
                self.encoder.layer[layer].attention.output.layer_norm.as_ref()
            }
            Site::FeedForward(layer) => self.encoder.layer[layer].output.layer_norm.as_ref(),
            Site::Final => self.encoder.layer_norm.as_ref(),
        }
    }

    fn norm_mut(&mut self, site: Site) -> Option<&mut LayerNorm> {
        match site {
            Site::Embeddings => Some(&mut self.embeddings.layer_norm),
            Site::Attention(layer) => {
                self.encoder.layer[layer].attention.output.layer_norm.as_mut()
            }
            Site::FeedForward(layer) => self.encoder.layer[layer].output.layer_norm.as_mut(),
            Site::Final => self.encoder.layer_norm.as_mut(),
        }
    }

    fn device(&self) -> Device {
        self.embeddings.layer_norm.gamma.lazy_device()
    }

    fn projection(&self, layer: usize, projection: Projection) -> &Linear {
        self.encoder.layer[layer].projection(projection)
    }

    fn projection_mut(&mut self, layer: usize, projection: Projection) -> &mut Linear {
        self.encoder.layer[layer].projection_mut(projection)
    }

    fn pooler(&self) -> Option<&Linear> {
        self.pooler.as_ref().map(|pooler| &pooler.dense)
    }

    fn pooler_mut(&mut self) -> Option<&mut Linear> {
        self.pooler.as_mut().map(|pooler| &mut pooler.dense)
    }

    fn parameter_paths(&self) -> &'static ModulePaths {
        &Self::PARAMETER_PATHS
    }

    fn checkpoint_paths(&self) -> &'static ModulePaths {
        self.family.checkpoint_paths()
    }

    fn checkpoint_prefix(&self) -> &'static str {
        self.family.checkpoint_prefix()
    }

    fn embed(&self, input: &BertInput, insertions: &dyn Insertions) -> Tensor<3> {
        let [batch, sequence] = input.input_ids.dims();
        assert_shape!(input.token_type_ids, [batch, sequence]);
        assert_shape!(input.attention_mask, [batch, sequence]);
        self.embeddings.forward(input, insertions)
    }

    fn run_layers(
        &self,
        layers: Range<usize>,
        hidden: Tensor<3>,
        attention_mask: &Tensor<2, Bool>,
        insertions: &dyn Insertions,
    ) -> Tensor<3> {
        let first = layers.start;
        let bias = self.encoder.relative_bias(&hidden);
        let context = AttentionContext { attention_mask, bias: bias.as_ref() };
        self.encoder.layer[layers].iter().enumerate().fold(hidden, |hidden, (index, layer)| {
            layer.forward(hidden, context, first + index, insertions)
        })
    }

    fn norm_final(&self, hidden: Tensor<3>, insertions: &dyn Insertions) -> Tensor<3> {
        match &self.encoder.layer_norm {
            Some(norm) => insertions.norm(Site::Final, hidden, norm),
            None => hidden,
        }
    }

    fn pool_with(&self, hidden: Tensor<3>, insertions: &dyn Insertions) -> Tensor<2> {
        let pooler = self.pooler.as_ref().expect("the caller has checked that there is a pooler");
        pooler.forward(hidden, insertions)
    }
}

impl BertConfig {
    /// An encoder with fresh weights: normal with `initializer_range`, biases 0, as in the reference.
    /// They are drawn when they are first read.
    ///
    /// # Panics
    /// If the configuration does not pass [`check`](Self::check).
    pub fn init(&self, device: &Device) -> Bert {
        let d_model = self.hidden_size;
        let initializer = Initializer::Normal { mean: 0.0, std: self.initializer_range };
        let d_embedding = self.embedding_size.unwrap_or(d_model);
        let embedding = |count| -> Embedding {
            EmbeddingConfig::new(count, d_embedding)
                .with_initializer(initializer.clone())
                .init(device)
        };
        let linear = |d_input, d_output| -> Linear {
            let linear = LinearConfig::new(d_input, d_output)
                .with_initializer(initializer.clone())
                .init(device);
            // Burn's initializer would draw the bias too.
            Linear { bias: Some(Initializer::Zeros.init([d_output], device)), ..linear }
        };
        let layer_norm = |width| LayerNorm::new(width, self.layer_norm_eps, device);
        let dropout = |rate| DropoutConfig::new(rate).init();
        let residual = |d_input, rate, has_norm: bool| Residual {
            dense: linear(d_input, d_model),
            layer_norm: has_norm.then(|| layer_norm(d_model)),
            dropout: dropout(rate),
            norm_position: self.norm_position,
        };
        let is_pre_norm = self.norm_position == NormPosition::Pre;
        let attention_rate =
            if self.has_attention_output_dropout { self.hidden_dropout_prob } else { 0.0 };
        let layer = |index| Layer {
            attention: Attention {
                self_attention: SelfAttention {
                    query: linear(d_model, d_model),
                    key: linear(d_model, d_model),
                    value: linear(d_model, d_model),
                    dropout: DropoutConfig::new(self.attention_probs_dropout_prob).init(),
                    heads: self.num_attention_heads,
                },
                output: residual(d_model, attention_rate, !(is_pre_norm && index == 0)),
            },
            intermediate: Intermediate {
                dense: linear(d_model, self.intermediate_size),
                activation: self.hidden_act,
            },
            output: residual(self.intermediate_size, self.hidden_dropout_prob, true),
        };
        Bert {
            embeddings: Embeddings {
                word_embeddings: embedding(self.vocab_size),
                position_embeddings: embedding(self.max_position_embeddings),
                token_type_embeddings: (self.type_vocab_size > 0)
                    .then(|| embedding(self.type_vocab_size)),
                layer_norm: layer_norm(d_embedding),
                dropout: dropout(self.hidden_dropout_prob),
                projection: self.embedding_size.map(|width| linear(width, d_model)),
                padding_position: (self.positions == Positions::AfterPadding)
                    .then_some(self.pad_token_id),
            },
            encoder: LayerStack {
                layer: (0..self.num_hidden_layers).map(layer).collect(),
                relative_attention_bias: self.relative_attention_buckets.map(|buckets| {
                    EmbeddingConfig::new(buckets, self.num_attention_heads)
                        .with_initializer(initializer.clone())
                        .init(device)
                }),
                layer_norm: is_pre_norm.then(|| layer_norm(d_model)),
            },
            pooler: self.has_pooler.then(|| Pooler { dense: linear(d_model, d_model) }),
            family: self.family,
        }
    }
}
