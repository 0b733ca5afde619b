//! The linear layer.

use burn::nn::Linear;
use burn::tensor::Tensor;

/// `x W + b`, or `x W` if the layer has no bias, computed in the precision of `W` and returned in that of `x`; frozen weights cost no gradient.
///
/// # Shapes
/// - x: `[batch, sequence, d_input]`
/// - result: `[batch, sequence, d_output]`
///
/// # Panics
/// If the last axis of `x` is not `d_input`.
pub fn linear(x: Tensor<3>, layer: &Linear) -> Tensor<3> {
    let (input_dtype, weight_dtype) = (x.dtype(), layer.weight.val().dtype());
    if input_dtype != weight_dtype {
        return linear(x.cast(weight_dtype), layer).cast(input_dtype);
    }
    #[cfg(feature = "flex")]
    if crate::flex::supports(&x) {
        return crate::flex::linear(
            x,
            layer.weight.val(),
            layer.bias.as_ref().map(burn::module::Param::val),
        );
    }
    layer.forward(x)
}
