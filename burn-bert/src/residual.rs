//! Where a sub-layer, the residual and the insertions meet.

use burn::module::Module;
use burn::nn::{Dropout, Linear};
use burn::tensor::Tensor;
use burn_fused::{LayerNorm, dropout};

use crate::insertion::{Insertions, Projection, Site};
use crate::projection::project;

/// Closes a sub-layer: projection, dropout, insertion, sum with the residual, LayerNorm.
/// Named as in the checkpoint, where it is the `output` of the attention and of the layer.
///
/// <https://github.com/huggingface/transformers/blob/v4.57.6/src/transformers/models/bert/modeling_bert.py> (`BertSelfOutput`, `BertOutput`)
#[derive(Module, Debug)]
pub struct Residual {
    /// `[d_input, d_model]`
    pub dense: Linear,
    /// BERT's own norm at this site.
    pub layer_norm: LayerNorm,
    /// After the projection.
    pub dropout: Dropout,
}

/// Which residual of which layer this is.
#[derive(Clone, Copy)]
pub(crate) struct Place {
    pub(crate) layer: usize,
    pub(crate) site: Site,
    pub(crate) projection: Projection,
}

impl Residual {
    /// # Shapes
    /// - hidden: `[batch, sequence, d_input]`, what the sub-layer made
    /// - residual: `[batch, sequence, d_model]`, what the sub-layer read
    /// - result: `[batch, sequence, d_model]`
    pub(crate) fn forward(
        &self,
        hidden: Tensor<3>,
        residual: Tensor<3>,
        place: Place,
        insertions: &dyn Insertions,
    ) -> Tensor<3> {
        let output = project(hidden, &self.dense, place.layer, place.projection, insertions);
        let output = dropout(output, &self.dropout);
        insertions.add_and_norm(place.site, residual, output, &self.layer_norm)
    }
}
