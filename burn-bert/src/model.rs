//! The whole encoder: embeddings, layers as ranges, pooler. Heads and losses belong to tasks.

use std::ops::Range;

use burn::module::Module;
use burn::nn::{DropoutConfig, Embedding, EmbeddingConfig, Initializer, Linear, LinearConfig};
use burn::tensor::{Bool, Device, Int, Tensor, assert_shape};
use burn_fused::LayerNorm;

use crate::attention::{Attention, SelfAttention};
use crate::config::BertConfig;
use crate::embeddings::Embeddings;
use crate::encoder::{Encoder, Layer};
use crate::feed_forward::Intermediate;
use crate::insertion::Insertions;
use crate::pooler::Pooler;
use crate::residual::Residual;

/// A BERT. Its parameters are named as in Hugging Face's checkpoints.
#[derive(Module, Debug)]
pub struct Bert {
    /// Words, positions and token types.
    pub embeddings: Embeddings,
    /// The layers.
    pub encoder: Encoder,
    /// One vector for a text; checkpoints made for token labels or answers lack it.
    pub pooler: Option<Pooler>,
}

/// A batch of texts.
///
/// Ids have to lie inside the tables; [`BertConfig::check_text`] tells.
#[derive(Debug, Clone)]
pub struct BertInput {
    /// `[batch, sequence]`
    pub input_ids: Tensor<2, Int>,
    /// `[batch, sequence]`: 0 for the first text of a pair, 1 for the second.
    pub token_type_ids: Tensor<2, Int>,
    /// `[batch, sequence]`: true for a token, false for padding.
    pub attention_mask: Tensor<2, Bool>,
}

impl Bert {
    /// Hidden states above the last layer.
    ///
    /// # Shapes
    /// - result: `[batch, sequence, d_model]`
    ///
    /// # Panics
    /// If the tensors of the input differ in shape, or texts have no tokens.
    pub fn forward(&self, input: &BertInput) -> Tensor<3> {
        self.forward_with(input, &())
    }

    /// The same with something inserted.
    ///
    /// # Shapes
    /// - result: `[batch, sequence, d_model]`
    ///
    /// # Panics
    /// If the tensors of the input differ in shape, or texts have no tokens.
    pub fn forward_with(&self, input: &BertInput, insertions: &dyn Insertions) -> Tensor<3> {
        let hidden = self.embed(input, insertions);
        self.run_layers(0..self.n_layers(), hidden, &input.attention_mask, insertions)
    }

    /// Hidden states below the first layer.
    ///
    /// # Shapes
    /// - result: `[batch, sequence, d_model]`
    ///
    /// # Panics
    /// If the tensors of the input differ in shape, or texts have no tokens.
    pub fn embed(&self, input: &BertInput, insertions: &dyn Insertions) -> Tensor<3> {
        let [batch, sequence] = input.input_ids.dims();
        assert_shape!(input.token_type_ids, [batch, sequence]);
        assert_shape!(input.attention_mask, [batch, sequence]);
        self.embeddings.forward(input, insertions)
    }

    /// Some layers one after the other, counted from 0 at the bottom: hidden states below the first of them become
    /// those above the last.
    ///
    /// # Shapes
    /// - hidden, result: `[batch, sequence, d_model]`
    /// - attention_mask: `[batch, sequence]`
    ///
    /// # Panics
    /// If there is no such layer.
    pub fn run_layers(
        &self,
        layers: Range<usize>,
        hidden: Tensor<3>,
        attention_mask: &Tensor<2, Bool>,
        insertions: &dyn Insertions,
    ) -> Tensor<3> {
        let first = layers.start;
        self.encoder.layer[layers].iter().enumerate().fold(hidden, |hidden, (index, layer)| {
            layer.forward(hidden, attention_mask, first + index, insertions)
        })
    }

    /// One vector for each text.
    ///
    /// # Shapes
    /// - hidden: `[batch, sequence, d_model]`
    /// - result: `[batch, d_model]`
    ///
    /// # Panics
    /// If this BERT has no [`pooler`](Self::pooler).
    pub fn pool(&self, hidden: Tensor<3>) -> Tensor<2> {
        self.pool_with(hidden, &())
    }

    /// The same with something inserted.
    ///
    /// # Shapes
    /// - hidden: `[batch, sequence, d_model]`
    /// - result: `[batch, d_model]`
    ///
    /// # Panics
    /// If this BERT has no [`pooler`](Self::pooler).
    pub fn pool_with(&self, hidden: Tensor<3>, insertions: &dyn Insertions) -> Tensor<2> {
        let pooler = self.pooler.as_ref().expect("the caller has seen that there is a pooler");
        pooler.forward(hidden, insertions)
    }

    /// Number of layers.
    pub fn n_layers(&self) -> usize {
        self.encoder.layer.len()
    }

    /// Width of the hidden states.
    pub fn d_model(&self) -> usize {
        self.embeddings.layer_norm.gamma.lazy_shape()[0]
    }
}

impl BertConfig {
    /// A BERT with fresh weights: normal with `initializer_range`, biases 0, as in the reference.
    /// They are drawn when first read.
    ///
    /// # Panics
    /// If the configuration does not pass [`check`](Self::check).
    pub fn init(&self, device: &Device) -> Bert {
        let d_model = self.hidden_size;
        let initializer = Initializer::Normal { mean: 0.0, std: self.initializer_range };
        let embedding = |count| -> Embedding {
            EmbeddingConfig::new(count, d_model).with_initializer(initializer.clone()).init(device)
        };
        let linear = |d_input, d_output| -> Linear {
            let linear = LinearConfig::new(d_input, d_output)
                .with_initializer(initializer.clone())
                .init(device);
            // Burn's initializer would draw the bias too.
            Linear { bias: Some(Initializer::Zeros.init([d_output], device)), ..linear }
        };
        let layer_norm = || LayerNorm::new(d_model, self.layer_norm_eps, device);
        let dropout = || DropoutConfig::new(self.hidden_dropout_prob).init();
        let residual = |d_input| Residual {
            dense: linear(d_input, d_model),
            layer_norm: layer_norm(),
            dropout: dropout(),
        };
        let layer = || Layer {
            attention: Attention {
                self_attention: SelfAttention {
                    query: linear(d_model, d_model),
                    key: linear(d_model, d_model),
                    value: linear(d_model, d_model),
                    dropout: DropoutConfig::new(self.attention_probs_dropout_prob).init(),
                    heads: self.num_attention_heads,
                },
                output: residual(d_model),
            },
            intermediate: Intermediate {
                dense: linear(d_model, self.intermediate_size),
                activation: self.hidden_act,
            },
            output: residual(self.intermediate_size),
        };
        Bert {
            embeddings: Embeddings {
                word_embeddings: embedding(self.vocab_size),
                position_embeddings: embedding(self.max_position_embeddings),
                token_type_embeddings: embedding(self.type_vocab_size),
                layer_norm: layer_norm(),
                dropout: dropout(),
            },
            encoder: Encoder { layer: (0..self.num_hidden_layers).map(|_| layer()).collect() },
            pooler: Some(Pooler { dense: linear(d_model, d_model) }),
        }
    }
}
