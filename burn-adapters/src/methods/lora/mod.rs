//! LoRA: low-rank updates of linear projections, `y = W x + b + s · (x A) B`.
//! With [`Dora`], the magnitudes of the outputs are trained beside it.
//! [`Lora`] itself knows nothing of BERT; [`LoraConfig`] names the projections that have one.
//!
//! Hu et al. 2022, *LoRA: Low-Rank Adaptation of Large Language Models*, section 4.1, and its two implementations:
//! <https://github.com/huggingface/peft/blob/v0.18.1/src/peft/tuners/lora/layer.py> and
//! <https://github.com/adapter-hub/adapters/blob/v1.3.0/src/adapters/methods/lora.py>.

mod config;
mod dora;
mod rescaling;

use burn::module::{Module, Param};
use burn::nn::{Initializer, Linear};
use burn::tensor::{Device, Tensor, assert_shape};

pub use self::config::{LoraConfig, RankScaling};
pub use self::dora::{Dora, DoraFormula};
use self::rescaling::FixedRescaling;
pub(crate) use self::rescaling::Rescaling;
use super::gate::{gate, gate_layer};
use super::kind::{ProjectionModule, Weights};
use crate::error::MergeError;
use crate::named_rng::NamedRng;

/// `s · (x A) B`, or the same with a gate instead of `s`.
///
/// It has `rank · (d_input + d_output)` parameters, `d_input + 1` more with a gate, and `d_output` more as a DoRA.
#[derive(Module, Debug)]
pub struct Lora {
    /// `[d_input, rank]`
    pub a: Param<Tensor<2>>,
    /// `[rank, d_output]`
    pub b: Param<Tensor<2>>,
    /// `[d_input, 1]`
    pub gate: Option<Linear>,
    /// The magnitudes, if this is a DoRA.
    pub dora: Option<Dora>,
    /// The scaling factor `s`.
    #[module(skip)]
    pub factor: f64,
}

impl LoraConfig {
    /// The LoRA of a projection, which starts by changing nothing.
    ///
    /// `b` is 0, and `a` is drawn from the child `a` of `rng`, uniform up to `1/√d_input`, as both
    /// implementations draw it (`kaiming_uniform_` with a slope of √5).
    pub fn init(&self, dense: &Linear, rng: &NamedRng, device: &Device) -> Lora {
        let [d_input, d_output] = dense.weight.lazy_shape().dims();
        let bound = 1.0 / (d_input as f64).sqrt();
        Lora {
            a: rng.child("a").uniform([d_input, self.rank], bound, device),
            b: Initializer::Zeros.init([self.rank, d_output], device),
            gate: self.gate.then(|| gate_layer(d_input, 1, &rng.child("gate"), device)),
            dora: self.dora.map(|formula| Dora::new(formula, dense)),
            factor: self.scaling.factor(self.alpha, self.rank),
        }
    }
}

impl Lora {
    /// The update of a projection's output for the input `x`.
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
        // As one matrix, so that the gradient of each factor is one product.
        let low = x.clone().flatten::<2>(0, 1).matmul(self.a.val()); // [batch · sequence, rank]
        let delta = low.matmul(self.b.val()).reshape([batch, sequence, d_output]);
        match &self.gate {
            Some(layer) => delta * gate(x, layer),
            None => delta * self.factor,
        }
    }

    /// The same update as one of the projection's weights, `s · A B`; `None` with a gate, which depends on the text.
    ///
    /// # Shapes
    /// - result: `[d_input, d_output]`
    pub fn weight(&self) -> Option<Tensor<2>> {
        self.gate.is_none().then(|| self.product() * self.factor)
    }

    /// What a DoRA does with the updated output of a projection; `None` if this is none.
    pub(crate) fn rescaling(&self, weights: &Weights) -> Option<Rescaling> {
        self.dora.as_ref().map(|dora| dora.rescaling(self.product(), self.factor, weights))
    }

    /// Computes the rescaling of a DoRA at `dense` once, for forward passes without training.
    pub(crate) fn fix_rescaling(&mut self, dense: &Linear) {
        let rescaling = self.dora.is_some().then(|| self.rescaling(&Weights::of(dense))).flatten();
        if let Some(dora) = &mut self.dora {
            dora.fixed = FixedRescaling(rescaling);
        }
    }

    fn product(&self) -> Tensor<2> {
        self.a.val().matmul(self.b.val())
    }
}

impl ProjectionModule for Lora {
    fn transform_output(&self, input: &Tensor<3>, output: Tensor<3>, dense: &Linear) -> Tensor<3> {
        let output = output + self.forward(input.clone());
        let Some(dora) = &self.dora else { return output };
        match &dora.fixed.0 {
            Some(rescaling) => rescaling.forward(output),
            None => {
                dora.rescaling(self.product(), self.factor, &Weights::of(dense)).forward(output)
            }
        }
    }

    fn merge(&self, weights: Weights) -> Result<Weights, MergeError> {
        let update = self.weight().ok_or(MergeError::Gated)?;
        let rescaling = self.rescaling(&weights);
        let Weights { weight, bias } = weights;
        Ok(match rescaling {
            None => Weights { weight: weight + update, bias },
            Some(rescaling) => Weights {
                bias: bias.map(|bias| rescaling.forward(bias)),
                weight: (weight + update) * rescaling.factor.unsqueeze(),
            },
        })
    }
}

#[cfg(test)]
mod tests {
    use burn::nn::LinearConfig;

    use super::*;

    #[test]
    fn a_lora_starts_at_zero_and_is_ready_to_train() {
        let device = Device::flex();
        for gate in [false, true] {
            let config = LoraConfig { gate, ..LoraConfig::new([].into(), 3, 3.0) };
            let dense = LinearConfig::new(16, 6).init(&device);
            let lora = config.init(&dense, &NamedRng::new(0), &device);
            let delta = lora.forward(Tensor::ones([2, 5, 16], &device)).into_data();
            assert_eq!(delta.shape().to_vec(), [2, 5, 6]);
            assert!(delta.iter::<f32>().all(|x| x.abs() <= 0.0));
            let a = lora.a.val().into_data().try_to_vec::<f32>().unwrap();
            assert!(a.iter().all(|x| x.abs() <= 0.25) && a.iter().any(|x| x.abs() > 0.2));
            assert_eq!(lora.num_params(), 3 * (16 + 6) + if gate { 17 } else { 0 });
        }
    }
}
