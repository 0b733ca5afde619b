//! The end of a sub-layer: projection, residual connection and LayerNorm.

use burn::module::Module;
use burn::nn::{Dropout, Linear};
use burn::tensor::Tensor;
use burn_fused::{LayerNorm, dropout};

use crate::config::NormPosition;
use crate::insertion::{Insertions, Projection, ResidualNorm, Site};
use crate::projection::project;

/// The end of a sub-layer: projection, dropout, insertion, sum with the residual, LayerNorm.
/// In the checkpoint it is the `output` of the attention and of the layer.
///
/// <https://github.com/huggingface/transformers/blob/v4.57.6/src/transformers/models/bert/modeling_bert.py> (`BertSelfOutput`, `BertOutput`)
#[derive(Module, Debug)]
pub(crate) struct Residual {
    /// `[d_input, d_model]`
    pub(crate) dense: Linear,
    /// That of the sub-layer: of its result or of its input, as [`NormPosition`] says. The first attention of ModernBERT
    /// has none.
    pub(crate) layer_norm: Option<LayerNorm>,
    /// After the projection.
    pub(crate) dropout: Dropout,
    #[module(skip)]
    pub(crate) norm_position: NormPosition,
}

/// Which residual of which layer this is.
#[derive(Clone, Copy)]
pub(crate) struct ResidualPosition {
    pub(crate) layer: usize,
    pub(crate) site: Site,
    pub(crate) projection: Projection,
}

impl Residual {
    /// What the sub-layer reads: the hidden states, or their LayerNorm in a pre-norm encoder.
    ///
    /// # Shapes
    /// - hidden, result: `[batch, sequence, d_model]`
    pub(crate) fn sub_layer_input(
        &self,
        site: Site,
        hidden: &Tensor<3>,
        insertions: &dyn Insertions,
    ) -> Tensor<3> {
        match (self.norm_position, &self.layer_norm) {
            (NormPosition::Pre, Some(norm)) => insertions.norm(site, hidden.clone(), norm),
            _ => hidden.clone(),
        }
    }

    /// # Shapes
    /// - hidden: `[batch, sequence, d_input]`, the sub-layer's hidden states before its last projection
    /// - residual: `[batch, sequence, d_model]`, the sub-layer's input, before a pre-norm
    /// - result: `[batch, sequence, d_model]`
    pub(crate) fn forward(
        &self,
        hidden: Tensor<3>,
        residual: Tensor<3>,
        position: ResidualPosition,
        insertions: &dyn Insertions,
    ) -> Tensor<3> {
        let ResidualPosition { layer, site, projection } = position;
        let output = project(hidden, &self.dense, layer, projection, insertions);
        let output = dropout(output, &self.dropout);
        let norm = match (self.norm_position, &self.layer_norm) {
            (NormPosition::Post, Some(norm)) => ResidualNorm::Post(norm),
            _ => ResidualNorm::Pre,
        };
        insertions.add_and_norm(site, residual, output, norm)
    }
}
