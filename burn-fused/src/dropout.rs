//! Dropout that draws its mask where it applies it, and draws it again going back.

use burn::nn::Dropout;
use burn::tensor::Tensor;

/// Applies a dropout layer: nothing without autodiff, or where the layer is frozen.
///
/// On the CPU the mask is a function of the element's place and of a seed drawn from the device's stream, so that
/// [`Device::seed`](burn::tensor::Device::seed) fixes it whatever the number of threads.
pub fn dropout<const D: usize>(x: Tensor<D>, layer: &Dropout) -> Tensor<D> {
    #[cfg(feature = "flex")]
    if crate::flex::supports(&x) {
        return match active_rate(layer, &x) {
            Some(rate) => crate::flex::dropout(x, rate),
            None => x,
        };
    }
    layer.forward(x)
}

/// The rate at which a layer drops elements of `x`, if it drops any.
#[cfg(feature = "flex")]
pub(crate) fn active_rate<const D: usize>(layer: &Dropout, x: &Tensor<D>) -> Option<f64> {
    let active = layer.training.is_enabled() && x.device().is_autodiff() && layer.prob > 0.0;
    active.then_some(layer.prob)
}
