//! Gates: a number in `0..=1` for each text that scales what a task inserts.
//!
//! Mao et al. 2022 (`UniPELT`), as `AdapterHub` computes it: the mean over all positions, padding included, so that the
//! result depends on how much a text is padded.

use burn::nn::{Initializer, Linear};
use burn::tensor::activation::sigmoid;
use burn::tensor::{Device, Tensor};
use burn_fused::linear;

use crate::named_rng::NamedRng;

/// Initial standard deviation of a gate's weights: `AdapterHub`'s.
const INIT_STD: f64 = 0.02;

/// The linear layer of some gates; biases start at 0, so that gates start near one half.
pub(super) fn gate_layer(d_input: usize, gates: usize, rng: &NamedRng, device: &Device) -> Linear {
    Linear {
        weight: rng.truncated_normal([d_input, gates], INIT_STD, device),
        bias: Some(Initializer::Zeros.init([gates], device)),
    }
}

/// `σ(W x + b)`, the mean over all positions.
///
/// # Shapes
/// - x: `[batch, sequence, d_input]`
/// - result: `[batch, 1, gates]`
pub(super) fn gate(x: Tensor<3>, layer: &Linear) -> Tensor<3> {
    sigmoid(linear(x, layer)).mean_dim(1)
}
