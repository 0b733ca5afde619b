//! Low-rank corrections of linear projections: `y = W x + b + s · (x A) B`.
//! Any Burn model may use the module; which projections of a BERT have one says [`LoraPlan`].
//!
//! Hu et al. 2022, *LoRA: Low-Rank Adaptation of Large Language Models*, section 4.1, and its two readers:
//! <https://github.com/huggingface/peft/blob/v0.18.1/src/peft/tuners/lora/layer.py> and
//! <https://github.com/adapter-hub/adapters/blob/v1.3.0/src/adapters/methods/lora.py>.

use std::collections::BTreeSet;

use burn::config::Config;
use burn::module::{Module, Param};
use burn::nn::{Initializer, Linear};
use burn::tensor::{Device, Tensor, assert_shape};
use burn_bert::Projection;
use serde::{Deserialize, Serialize};

use crate::error::AdapterError;
use crate::gate::{gate, gate_layer};
use crate::init::NamedRng;
use crate::layers::Layers;

/// Low-rank corrections of some projections.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LoraPlan {
    /// The layers they stand in.
    pub layers: Layers,
    /// The projections they correct in each of those layers.
    pub projections: BTreeSet<Projection>,
    /// Whether the pooler's projection is corrected too, where the pooler is used.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub pooler: bool,
    /// Width in the middle, 1 or more.
    pub rank: usize,
    /// α, from which the factor before a correction is made.
    pub alpha: f64,
    /// How.
    #[serde(default, skip_serializing_if = "RankScaling::is_default")]
    pub scaling: RankScaling,
    /// Whether each text's correction is weighed by a gate; the gate is then the factor, and α has no part in it.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub gate: bool,
}

/// The factor before a correction, of α and the rank.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum RankScaling {
    /// `α / rank`, as the paper has it.
    #[default]
    Rank,
    /// `α / √rank`: Kalajdzievski 2023, *A Rank Stabilization Scaling Factor*.
    #[serde(rename = "root-rank")]
    RankStabilized,
}

impl RankScaling {
    /// The factor.
    pub fn factor(self, alpha: f64, rank: usize) -> f64 {
        match self {
            Self::Rank => alpha / rank as f64,
            Self::RankStabilized => alpha / (rank as f64).sqrt(),
        }
    }

    #[expect(clippy::trivially_copy_pass_by_ref, reason = "serde's signature")]
    fn is_default(&self) -> bool {
        *self == Self::default()
    }
}

impl LoraPlan {
    /// The paper's corrections in every layer, with the factor `alpha / rank` and no gate.
    pub fn new(projections: BTreeSet<Projection>, rank: usize, alpha: f64) -> Self {
        Self {
            layers: Layers::All,
            projections,
            pooler: false,
            rank,
            alpha,
            scaling: RankScaling::Rank,
            gate: false,
        }
    }

    /// A correction of a projection with weights of this shape.
    pub(crate) fn config(&self, [d_input, d_output]: [usize; 2]) -> LoraConfig {
        LoraConfig::new(d_input, d_output, self.rank)
            .with_factor(self.scaling.factor(self.alpha, self.rank))
            .with_gate(self.gate)
    }

    pub(crate) fn check(&self) -> Result<(), AdapterError> {
        if self.rank == 0 {
            return Err(AdapterError::Zero { what: "the rank of the low-rank corrections" });
        }
        if !self.alpha.is_finite() {
            let what = "the low-rank corrections' alpha";
            return Err(AdapterError::Factor { what, found: self.alpha });
        }
        if self.projections.is_empty() && !self.pooler {
            return Err(AdapterError::NoProjections { what: "low-rank corrections" });
        }
        Ok(())
    }
}

/// Configuration of a [`Lora`].
#[derive(Config, Debug)]
pub struct LoraConfig {
    /// Width of what the projection reads.
    pub d_input: usize,
    /// Width of what it makes.
    pub d_output: usize,
    /// Width in the middle, at least 1.
    pub rank: usize,
    /// The factor before the correction, where there is no gate.
    #[config(default = 1.0)]
    pub factor: f64,
    /// Whether a gate stands in the place of the factor.
    #[config(default = false)]
    pub gate: bool,
}

/// `s · (x A) B`, or the same with a gate in the place of `s`.
///
/// Its parameters number `rank · (d_input + d_output)`, and `d_input + 1` more with a gate.
#[derive(Module, Debug)]
pub struct Lora {
    /// `[d_input, rank]`
    pub a: Param<Tensor<2>>,
    /// `[rank, d_output]`
    pub b: Param<Tensor<2>>,
    /// `[d_input, 1]`, if there is a gate.
    pub gate: Option<Linear>,
    /// The factor `s`.
    #[module(skip)]
    pub factor: f64,
}

impl LoraConfig {
    /// A correction that starts at nothing: `b` is 0, and `a` is drawn from the stream `a`, uniform up to `1/√d_input`
    /// as both readers draw it (`kaiming_uniform_` with a slope of √5).
    pub fn init(&self, stream: &NamedRng, device: &Device) -> Lora {
        let bound = 1.0 / (self.d_input as f64).sqrt();
        Lora {
            a: stream.child("a").uniform([self.d_input, self.rank], bound, device),
            b: Initializer::Zeros.init([self.rank, self.d_output], device),
            gate: self.gate.then(|| gate_layer(self.d_input, 1, &stream.child("gate"), device)),
            factor: self.factor,
        }
    }
}

impl Lora {
    /// The correction of what a projection makes of `x`.
    ///
    /// # Shapes
    /// - x: `[batch, sequence, d_input]`
    /// - result: `[batch, sequence, d_output]`
    ///
    /// # Panics
    /// If the last axis of `x` is not `d_input`.
    pub fn forward(&self, x: Tensor<3>) -> Tensor<3> {
        let ([d_input, _], [_, d_output]) = (self.a.dims(), self.b.dims());
        let [batch, sequence, _] = x.dims();
        assert_shape!(x, [batch, sequence, d_input]);
        // As one matrix, so that the gradients of the factors are one product each.
        let low = x.clone().flatten::<2>(0, 1).matmul(self.a.val()); // [batch · sequence, rank]
        let change = low.matmul(self.b.val()).reshape([batch, sequence, d_output]); // [batch, sequence, d_output]
        match &self.gate {
            Some(layer) => change * gate(x, layer),
            None => change * self.factor,
        }
    }

    /// What the weights of the projection would have to gain: `s · A B`; nothing of the kind exists with a gate, which
    /// sees the text.
    ///
    /// # Shapes
    /// - result: `[d_input, d_output]`
    pub fn weight(&self) -> Option<Tensor<2>> {
        let weight = || self.a.val().matmul(self.b.val()) * self.factor;
        self.gate.is_none().then(weight)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_correction_starts_at_nothing_and_is_ready_to_learn() {
        let device = Device::flex();
        for gate in [false, true] {
            let config = LoraConfig::new(16, 6, 3).with_gate(gate);
            let low_rank = config.init(&NamedRng::new(0), &device);
            let change = low_rank.forward(Tensor::ones([2, 5, 16], &device)).into_data();
            assert_eq!(change.shape().to_vec(), [2, 5, 6]);
            assert!(change.iter::<f32>().all(|x| x.abs() <= 0.0));
            let a = low_rank.a.val().into_data().try_to_vec::<f32>().unwrap();
            assert!(a.iter().all(|x| x.abs() <= 0.25) && a.iter().any(|x| x.abs() > 0.2));
            assert_eq!(low_rank.num_params(), 3 * (16 + 6) + if gate { 17 } else { 0 });
        }
    }

    #[test]
    fn the_factor_is_made_of_alpha_and_rank() {
        for (scaling, factor) in [(RankScaling::Rank, 4.0), (RankScaling::RankStabilized, 8.0)] {
            assert!((scaling.factor(16.0, 4) - factor).abs() < 1e-12);
        }
    }
}
