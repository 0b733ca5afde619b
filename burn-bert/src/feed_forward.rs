//! The feed-forward's first half; its second projection closes the layer as a [`Residual`](crate::residual::Residual).

use burn::module::Module;
use burn::nn::Linear;
use burn::tensor::Tensor;
use burn_fused::{Activation, activation};

use crate::config::HiddenActivation;
use crate::insertion::{Insertions, Projection};
use crate::projection::project;

/// The wide projection and its activation; `intermediate` in the checkpoint.
#[derive(Module, Debug)]
pub struct Intermediate {
    /// `[d_model, intermediate_size]`
    pub dense: Linear,
    /// Applied to each element.
    #[module(skip)]
    pub activation: HiddenActivation,
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
        self.activation.forward(wide)
    }
}

impl HiddenActivation {
    /// Applies the activation to each element.
    pub fn forward<const D: usize>(self, x: Tensor<D>) -> Tensor<D> {
        activation(x, self.into())
    }
}

impl From<HiddenActivation> for Activation {
    fn from(activation: HiddenActivation) -> Self {
        match activation {
            HiddenActivation::Gelu => Self::Gelu,
            HiddenActivation::GeluNew => Self::GeluNew,
            HiddenActivation::Relu => Self::Relu,
            HiddenActivation::Silu => Self::Silu,
            HiddenActivation::Tanh => Self::Tanh,
        }
    }
}
