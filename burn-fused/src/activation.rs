//! Activations, applied to each element.

use burn::tensor::Tensor;
use burn::tensor::activation as plain;

use crate::types::{Activation, CUBE, SQRT_2_OVER_PI};

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

/// The activation of the first half of the last axis, times the second half.
///
/// With [`Activation::Gelu`] it is GeGLU: Shazeer 2020, *GLU Variants Improve Transformer*, section 2.
///
/// # Shapes
/// - x: `[batch, sequence, 2 width]`
/// - result: `[batch, sequence, width]`
///
/// # Panics
/// If the last axis of `x` cannot be divided by 2.
pub fn gated_activation(x: Tensor<3>, kind: Activation) -> Tensor<3> {
    let [_, _, both] = x.dims();
    assert!(both.is_multiple_of(2), "{both} numbers have no halves");
    #[cfg(feature = "flex")]
    if crate::flex::supports(&x) {
        return crate::flex::gated_activation(x, kind);
    }
    let width = both / 2;
    activation(x.clone().narrow(2, 0, width), kind) * x.narrow(2, width, width)
}

/// The tanh approximation of GELU as `x σ(2u)` with `u = √(2/π) (x + 0.044715 x³)`.
fn gelu_new<const D: usize>(x: Tensor<D>) -> Tensor<D> {
    let slope = x.clone().square() * (2.0 * SQRT_2_OVER_PI * CUBE) + 2.0 * SQRT_2_OVER_PI;
    x.clone() * plain::sigmoid(x * slope)
}
