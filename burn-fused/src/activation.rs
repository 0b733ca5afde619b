//! Activations, applied to each element.

use burn::tensor::Tensor;
use burn::tensor::activation as plain;

/// The activations that BERTs and bottlenecks use.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Activation {
    /// `max(x, 0)`
    Relu,
    /// `x Φ(x)`, with the error function.
    Gelu,
    /// GELU by the tanh approximation: `x/2 (1 + tanh(√(2/π) (x + 0.044715 x³)))`.
    GeluNew,
    /// `x σ(x)`, also called swish.
    Silu,
    /// The hyperbolic tangent.
    Tanh,
}

/// Applies an activation to each element.
pub fn activation<const D: usize>(x: Tensor<D>, kind: Activation) -> Tensor<D> {
    #[cfg(feature = "flex")]
    if crate::flex::supports(&x) {
        return crate::flex::activation(x, kind);
    }
    match kind {
        Activation::Relu => plain::relu(x),
        Activation::Gelu => plain::gelu(x),
        Activation::GeluNew => gelu_new(x),
        Activation::Silu => plain::silu(x),
        Activation::Tanh => plain::tanh(x),
    }
}

/// `√(2/π)`, and its product with the cube's factor.
pub(crate) const SQRT_2_OVER_PI: f64 =
    std::f64::consts::FRAC_2_SQRT_PI * std::f64::consts::FRAC_1_SQRT_2;
pub(crate) const CUBE: f64 = 0.044_715;

/// `x σ(2u)` with `u = √(2/π) (x + 0.044715 x³)`, which is the same.
fn gelu_new<const D: usize>(x: Tensor<D>) -> Tensor<D> {
    let slope = x.clone().square() * (2.0 * SQRT_2_OVER_PI * CUBE) + 2.0 * SQRT_2_OVER_PI;
    x.clone() * plain::sigmoid(x * slope)
}
