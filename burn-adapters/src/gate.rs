//! A gate: one number in `0..=1` for each text, by which what a task inserts is weighed.
//!
//! Mao et al. 2022 (`UniPELT`), as `AdapterHub` computes it: the mean over all positions, padding included, so that how
//! much a text is padded is seen in the result.

use burn::nn::{Initializer, Linear};
use burn::tensor::activation::sigmoid;
use burn::tensor::{Device, Tensor};
use burn_fused::linear;

use crate::init::NamedRng;

/// Standard deviation of a gate's weights at the start: `AdapterHub`'s.
const INIT_STD: f64 = 0.02;

/// The layer of some gates, drawn from `stream`; the biases start at 0, the gates near one half.
pub(crate) fn gate_layer(
    d_input: usize,
    gates: usize,
    stream: &NamedRng,
    device: &Device,
) -> Linear {
    Linear {
        weight: stream.truncated_normal([d_input, gates], INIT_STD, device),
        bias: Some(Initializer::Zeros.init([gates], device)),
    }
}

/// `σ(W x + b)`, the mean over all positions.
///
/// # Shapes
/// - x: `[batch, sequence, d_input]`
/// - result: `[batch, 1, gates]`
pub(crate) fn gate(x: Tensor<3>, layer: &Linear) -> Tensor<3> {
    sigmoid(linear(x, layer)).mean_dim(1)
}
