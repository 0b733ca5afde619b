//! What is done with gradients: Adam's step, and the sum of squares by which they are clipped.

use burn::tensor::{DType, Tensor};

/// What a step of [`bert_adam`] goes by.
#[derive(Debug, Clone, Copy)]
pub struct AdamRates {
    /// Length of a step.
    pub learning_rate: f64,
    /// Decay of the mean of the gradients.
    pub beta_1: f64,
    /// Decay of the mean of their squares.
    pub beta_2: f64,
    /// Added to the root of the squares' mean.
    pub epsilon: f64,
    /// What is taken off a parameter in each step, times the learning rate.
    pub weight_decay: f64,
}

/// A parameter and its moments: the mean of its gradients and that of their squares.
#[derive(Debug, Clone)]
pub struct AdamState<const D: usize> {
    /// The parameter.
    pub parameter: Tensor<D>,
    /// Mean of the gradients.
    pub moment_1: Tensor<D>,
    /// Mean of the squares of the gradients.
    pub moment_2: Tensor<D>,
}

/// `p ← p − lr (m / (√v + ε) + decay · p)`, after the gradient has gone into the moments `m` and `v`.
///
/// The moments of young parameters are not corrected, as in the reference code of BERT.
///
/// # Panics
/// If the tensors differ in shape or precision, or lie on different devices.
pub fn bert_adam<const D: usize>(
    before: AdamState<D>,
    gradient: Tensor<D>,
    rates: AdamRates,
) -> AdamState<D> {
    #[cfg(feature = "flex")]
    if supports(&before.parameter) {
        return crate::flex::bert_adam(before, gradient, rates);
    }
    let AdamRates { learning_rate, beta_1, beta_2, epsilon, weight_decay } = rates;
    let AdamState { parameter, moment_1, moment_2 } = before;
    let moment_1 = moment_1 * beta_1 + gradient.clone() * (1.0 - beta_1);
    let moment_2 = moment_2 * beta_2 + gradient.square() * (1.0 - beta_2);
    let mut update = moment_1.clone() / (moment_2.clone().sqrt() + epsilon);
    if weight_decay > 0.0 {
        update = update + parameter.clone() * weight_decay;
    }
    AdamState { parameter: parameter - update * learning_rate, moment_1, moment_2 }
}

/// The sum of the squares of a tensor's elements, in single precision at least.
///
/// # Shapes
/// - result: `[1]`
pub fn sum_of_squares<const D: usize>(x: Tensor<D>) -> Tensor<1> {
    #[cfg(feature = "flex")]
    if supports(&x) {
        return crate::flex::sum_of_squares(x);
    }
    match x.dtype() {
        DType::F64 => x.square().sum(),
        // Squares of small numbers would vanish in half precision.
        _ => x.cast(DType::F32).square().sum(),
    }
}

/// Whether the kernels take a tensor, which they do outside a graph alone.
#[cfg(feature = "flex")]
fn supports<const D: usize>(x: &Tensor<D>) -> bool {
    crate::flex::supports(x) && !x.device().is_autodiff()
}
