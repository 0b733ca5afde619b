//! The first half of the feed-forward; the second is a [`Residual`](crate::residual::Residual).

use burn::module::Module;
use burn::nn::Linear;
use burn::tensor::Tensor;
use burn_fused::activation;

use crate::config::HiddenActivation;
use crate::insertion::{Insertions, Projection};
use crate::projection::project;

/// The wide projection and its activation; `intermediate` in the checkpoint.
#[derive(Module, Debug)]
pub(crate) struct Intermediate {
    /// `[d_model, intermediate_size]`
    pub(crate) dense: Linear,
    #[module(skip)]
    pub(crate) activation: HiddenActivation,
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
        activation(wide, self.activation.into())
    }
}
