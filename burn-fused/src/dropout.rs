//! Dropout that computes its mask where it applies it, and again in the backward pass.

use burn::nn::Dropout;
use burn::tensor::Tensor;

/// Applies a dropout layer; the identity without autodiff, or if the layer is frozen.
///
/// On the CPU the mask is a function of the element's index and of a seed from the device's random stream, so that
/// [`Device::seed`](burn::tensor::Device::seed) determines it for any number of threads.
pub fn dropout<const D: usize>(x: Tensor<D>, layer: &Dropout) -> Tensor<D> {
    #[cfg(feature = "flex")]
    if crate::flex::supports(&x) {
        return crate::flex::dropout(x, layer);
    }
    layer.forward(x)
}
