//! Adam's step, and the sum of squares for gradient clipping.

use burn::tensor::{DType, Tensor};

use crate::types::{AdamRates, AdamState};

/// Updates the moments `m` and `v`, then `p ← p − lr (m / (√v + ε) + decay · p)`.
///
/// There is no bias correction, as in BERT's reference code.
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
        // Squares of small numbers would underflow in half precision.
        _ => x.cast(DType::F32).square().sum(),
    }
}

/// Whether the kernels support a tensor; these are for tensors outside of an autodiff graph only.
#[cfg(feature = "flex")]
fn supports<const D: usize>(x: &Tensor<D>) -> bool {
    crate::flex::supports(x) && !x.device().is_autodiff()
}
