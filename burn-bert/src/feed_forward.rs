//! The feed-forward's first half; its second projection closes the layer as a [`Residual`](crate::residual::Residual).

use burn::module::Module;
use burn::nn::Linear;
use burn::tensor::Tensor;
use burn::tensor::activation::{gelu, relu, sigmoid, silu, tanh};

use crate::config::HiddenActivation;
use crate::insertion::{Insertions, Projection};

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
        let output = self.dense.forward(hidden.clone());
        self.activation.forward(insertions.project(
            layer,
            Projection::FeedForwardIn,
            hidden,
            output,
        ))
    }
}

impl HiddenActivation {
    /// Applies the activation to each element.
    pub fn forward<const D: usize>(self, x: Tensor<D>) -> Tensor<D> {
        match self {
            Self::Gelu => gelu(x),
            Self::GeluNew => gelu_new(x),
            Self::Relu => relu(x),
            Self::Silu => silu(x),
            Self::Tanh => tanh(x),
        }
    }
}

/// `x/2 (1 + tanh(u))` with `u = sqrt(2/π) (x + 0.044715 x³)`, written with `(1 + tanh(u)) / 2 = σ(2u)`.
fn gelu_new<const D: usize>(x: Tensor<D>) -> Tensor<D> {
    const TWICE_SQRT_2_OVER_PI: f64 =
        2.0 * std::f64::consts::FRAC_2_SQRT_PI * std::f64::consts::FRAC_1_SQRT_2;
    let slope = x.clone().square() * (TWICE_SQRT_2_OVER_PI * 0.044_715) + TWICE_SQRT_2_OVER_PI;
    x.clone() * sigmoid(x * slope)
}
