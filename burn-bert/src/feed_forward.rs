//! The first half of the feed-forward; the second is a [`Residual`](crate::residual::Residual).

use burn::module::Module;
use burn::nn::{Dropout, Linear};
use burn::tensor::Tensor;
use burn_fused::{activation, dropout, gated_activation};

use crate::config::HiddenActivation;
use crate::insertion::{Insertions, Projection};
use crate::projection::project;

/// The wide projection and its activation; `intermediate` in the checkpoint.
#[derive(Module, Debug)]
pub(crate) struct Intermediate {
    /// `[d_model, intermediate_size]`, or twice as wide if it is gated.
    pub(crate) dense: Linear,
    #[module(skip)]
    pub(crate) activation: HiddenActivation,
    /// Whether the second half of the projection is multiplied with the activation of the first.
    #[module(skip)]
    pub(crate) is_gated: bool,
    /// Of the result.
    pub(crate) dropout: Dropout,
}

impl Intermediate {
    /// # Shapes
    /// - hidden: `[batch, sequence, d_model]`
    /// - result: `[batch, sequence, intermediate_size]`
    pub(crate) fn forward(
        &self,
        hidden: &Tensor<3>,
        layer: usize,
        insertions: &dyn Insertions,
    ) -> Tensor<3> {
        let projection = Projection::FeedForwardIn;
        let wide = project(hidden.clone(), &self.dense, layer, projection, insertions);
        let activation = if self.is_gated { gated_activation } else { activation };
        dropout(activation(wide, self.activation.into()), &self.dropout)
    }
}
