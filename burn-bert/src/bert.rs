//! The encoder: embeddings, layers and pooler. Heads and losses are those of a task.

use std::ops::Range;
use std::sync::Arc;

use burn::module::Module;
use burn::nn::{Embedding, Linear};
use burn::tensor::{Bool, Device, Tensor, assert_shape};
use burn_fused::{LayerNorm, Rotary};

use crate::attention::AttentionContext;
use crate::config::HiddenActivation;
use crate::embeddings::Embeddings;
use crate::encoder::{EmbeddingSizes, Encoder};
use crate::families::{Family, PretrainedHead, SequenceClassifier};
use crate::input::BertInput;
use crate::insertion::{Insertions, Projection, Site};
use crate::layer::LayerStack;
use crate::paths::ModulePaths;
use crate::pooler::Pooler;

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
    #[module(skip)]
    pub(crate) classifier: SequenceClassifier,
    /// In checkpoints of families that pretrain it.
    #[module(skip)]
    pub(crate) pretrained_head: Option<Arc<PretrainedHead>>,
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
        distances: &["encoder.relative"],
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
            positions: self.embeddings.longest_text,
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

    fn sequence_classifier(&self) -> SequenceClassifier {
        self.classifier
    }

    fn pretrained_head(&self) -> Option<&PretrainedHead> {
        self.pretrained_head.as_deref()
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
        let [_, sequence, d_model] = hidden.dims();
        let bias = self.encoder.relative_bias(&hidden);
        let relative = self.encoder.relative.as_ref();
        let distances = relative.map(|relative| relative.forward(sequence, hidden.dtype()));
        let heads = self.encoder.layer[0].attention.self_attention.heads;
        let rotary = self.encoder.rotary_thetas;
        let rotary = rotary.map(|of| of.map(|theta| Rotary::new(sequence, d_model / heads, theta)));
        let context = AttentionContext {
            attention_mask,
            bias: bias.as_ref(),
            distances: distances.as_ref(),
            rotary: rotary.as_ref(),
        };
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
