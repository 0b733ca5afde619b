//! What adapters, merging, caches and file formats need of an encoder, whatever its family.

use std::ops::Range;

use burn::nn::Linear;
use burn::tensor::{Bool, Device, Tensor};
use burn_fused::LayerNorm;

use crate::families::{PretrainedHead, SequenceClassifier};
use crate::input::BertInput;
use crate::insertion::{Insertions, Projection, Site};
use crate::paths::ModulePaths;

/// A transformer encoder that calls [`Insertions`] at its sites and projections.
///
/// [`Bert`](crate::Bert) implements it for every [`Family`](crate::Family). All other code reaches the layers through
/// these methods, so that it works with every family.
pub trait Encoder {
    /// Number of layers.
    fn n_layers(&self) -> usize;

    /// Width of the hidden states.
    fn d_model(&self) -> usize;

    /// Number of rows of the embedding tables.
    fn embedding_sizes(&self) -> EmbeddingSizes;

    /// Dropout rate of the attention probabilities.
    fn attention_dropout(&self) -> f64;

    /// The LayerNorm of a site, if it has one.
    ///
    /// # Panics
    /// If there is no such layer.
    fn norm(&self, site: Site) -> Option<&LayerNorm>;

    /// The LayerNorm of a site, to change it.
    ///
    /// # Panics
    /// If there is no such layer.
    fn norm_mut(&mut self, site: Site) -> Option<&mut LayerNorm>;

    /// The sites that have a LayerNorm, from the bottom.
    fn norm_sites(&self) -> Vec<Site> {
        Site::all(self.n_layers()).filter(|site| self.norm(*site).is_some()).collect()
    }

    /// A linear projection of a layer; its weight is `[d_input, d_output]`.
    ///
    /// # Panics
    /// If there is no such layer.
    fn projection(&self, layer: usize, projection: Projection) -> &Linear;

    /// A linear projection of a layer, to change it.
    ///
    /// # Panics
    /// If there is no such layer.
    fn projection_mut(&mut self, layer: usize, projection: Projection) -> &mut Linear;

    /// The pooler's linear layer, if there is a pooler; its weight is `[d_model, d_model]`.
    fn pooler(&self) -> Option<&Linear>;

    /// The pooler's linear layer, to change it.
    fn pooler_mut(&mut self) -> Option<&mut Linear>;

    /// Paths in the Burn module.
    fn parameter_paths(&self) -> &'static ModulePaths;

    /// Paths in Hugging Face's checkpoints, without the [prefix](Self::checkpoint_prefix).
    fn checkpoint_paths(&self) -> &'static ModulePaths;

    /// The prefix of the encoder's names in the checkpoint of a model with a head: `bert.`.
    fn checkpoint_prefix(&self) -> &'static str;

    /// The sequence classifier of the base's class in transformers.
    fn sequence_classifier(&self) -> SequenceClassifier;

    /// The trained values of that classifier's hidden layer, if the checkpoint has them and transformers starts with them.
    fn pretrained_head(&self) -> Option<&PretrainedHead>;

    /// Hidden states below the first layer.
    ///
    /// # Shapes
    /// - result: `[batch, sequence, d_model]`
    ///
    /// # Panics
    /// If the tensors of the input differ in shape, or texts have no tokens.
    fn embed(&self, input: &BertInput, insertions: &dyn Insertions) -> Tensor<3>;

    /// Runs a range of layers, counted from 0 at the bottom: from the hidden states below the first to those above the
    /// last.
    ///
    /// # Shapes
    /// - hidden, result: `[batch, sequence, d_model]`
    /// - attention_mask: `[batch, sequence]`
    ///
    /// # Panics
    /// If there is no such layer.
    fn run_layers(
        &self,
        layers: Range<usize>,
        hidden: Tensor<3>,
        attention_mask: &Tensor<2, Bool>,
        insertions: &dyn Insertions,
    ) -> Tensor<3>;

    /// The LayerNorm above the last layer, if there is one: what follows [`run_layers`](Self::run_layers) of the last
    /// layer.
    ///
    /// # Shapes
    /// - hidden, result: `[batch, sequence, d_model]`
    fn norm_final(&self, hidden: Tensor<3>, insertions: &dyn Insertions) -> Tensor<3>;

    /// The pooler's vector for each text.
    ///
    /// # Shapes
    /// - hidden: `[batch, sequence, d_model]`
    /// - result: `[batch, d_model]`
    ///
    /// # Panics
    /// If there is no [`pooler`](Self::pooler).
    fn pool_with(&self, hidden: Tensor<3>, insertions: &dyn Insertions) -> Tensor<2>;

    /// Hidden states of the whole encoder, with insertions.
    ///
    /// # Shapes
    /// - result: `[batch, sequence, d_model]`
    ///
    /// # Panics
    /// If the tensors of the input differ in shape, or texts have no tokens.
    fn forward_with(&self, input: &BertInput, insertions: &dyn Insertions) -> Tensor<3> {
        let hidden = self.embed(input, insertions);
        let layers = 0..self.n_layers();
        let hidden = self.run_layers(layers, hidden, &input.attention_mask, insertions);
        self.norm_final(hidden, insertions)
    }

    /// Hidden states of the whole encoder.
    ///
    /// # Shapes
    /// - result: `[batch, sequence, d_model]`
    ///
    /// # Panics
    /// If the tensors of the input differ in shape, or texts have no tokens.
    fn forward(&self, input: &BertInput) -> Tensor<3> {
        self.forward_with(input, &())
    }

    /// The pooler's vector for each text, without insertions.
    ///
    /// # Shapes
    /// - hidden: `[batch, sequence, d_model]`
    /// - result: `[batch, d_model]`
    ///
    /// # Panics
    /// If there is no [`pooler`](Self::pooler).
    fn pool(&self, hidden: Tensor<3>) -> Tensor<2> {
        self.pool_with(hidden, &())
    }

    /// The device of the weights.
    fn device(&self) -> Device;
}

/// Number of rows of the embedding tables.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EmbeddingSizes {
    /// Token ids.
    pub vocab_size: usize,
    /// Positions: the longest text in tokens.
    pub positions: usize,
    /// Token types (segments).
    pub token_types: usize,
}
