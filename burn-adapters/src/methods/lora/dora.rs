//! DoRA: the magnitude of each output of a projection, beside a [`Lora`](super::Lora) that changes the direction.
//!
//! Liu et al. 2024, *DoRA: Weight-Decomposed Low-Rank Adaptation*, sections 4.1 and 4.3, and its two implementations,
//! which differ:
//! <https://github.com/huggingface/peft/blob/v0.18.1/src/peft/tuners/lora/dora.py> and
//! <https://github.com/adapter-hub/adapters/blob/v1.3.0/src/adapters/methods/lora.py>.

use burn::module::{Module, Param};
use burn::nn::Linear;
use burn::tensor::Tensor;
use serde::{Deserialize, Serialize};

use super::rescaling::{FixedRescaling, Rescaling};
use crate::methods::kind::Weights;

/// The formulas of the two packages. `m` is the magnitude, `n` the norm of the updated weights of each output, and `s`
/// the scaling factor.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum DoraFormula {
    /// `(W x + s · (x A) B) m / n + b` with `n = ‖W + s · A B‖`, a constant for the gradient: PEFT, and the paper.
    Peft,
    /// `(W x + b + s · (x A) B) m / n` with `n = ‖W + A B‖`: AdapterHub.
    AdapterHub,
}

/// The magnitudes of a projection.
#[derive(Module, Debug)]
pub struct Dora {
    /// `[d_output]`, initially the norm of the weights of each output.
    pub magnitude: Param<Tensor<1>>,
    /// What the forward pass multiplies with, if the model is [for inference](crate::AdaptedBert::for_inference).
    pub(super) fixed: FixedRescaling,
    /// The formula.
    #[module(skip)]
    pub formula: DoraFormula,
}

impl Dora {
    pub(super) fn new(formula: DoraFormula, dense: &Linear) -> Self {
        let norm = norm_of_outputs(Weights::of(dense).weight).detach();
        Self { magnitude: Param::from_tensor(norm), fixed: FixedRescaling::default(), formula }
    }

    /// The rescaling for an update `A B`, `[d_input, d_output]`, and its scaling factor.
    pub(super) fn rescaling(
        &self,
        update: Tensor<2>,
        scaling: f64,
        weights: &Weights,
    ) -> Rescaling {
        let weight = weights.weight.clone();
        let norm = match self.formula {
            DoraFormula::Peft => norm_of_outputs(weight + update * scaling).detach(),
            DoraFormula::AdapterHub => norm_of_outputs(weight + update),
        };
        let factor = self.magnitude.val() / norm;
        let bias = weights.bias.clone().filter(|_| self.formula == DoraFormula::Peft);
        let shift = bias.map(|bias| bias.clone() - bias * factor.clone());
        Rescaling { factor, shift }
    }
}

/// The Euclidean norm of each column.
fn norm_of_outputs(weight: Tensor<2>) -> Tensor<1> {
    weight.square().sum_dim(0).sqrt().squeeze_dim(0)
}
