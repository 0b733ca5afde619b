//! The Adam of BERT's reference code: without bias correction, and with decoupled weight decay.
//! The optimizer groups of `optimizer.rs` decide which parameters decay.
//!
//! `AdamWeightDecayOptimizer` in
//! <https://github.com/google-research/adapter-bert/blob/69b7c5809eb69437d45747b56040c33ded772186/optimization.py>.

use burn::config::Config;
use burn::optim::{Optimizer, RecordState, StateSink, StateSource};
use burn::tensor::{Device, Tensor};
use burn_fused::{AdamRates, AdamState, bert_adam};

/// Configuration of [`BertAdam`].
#[derive(Config, Debug)]
pub struct BertAdamConfig {
    /// Decay of the mean of the gradients.
    #[config(default = 0.9)]
    pub beta_1: f64,
    /// Decay of the mean of their squares.
    #[config(default = 0.999)]
    pub beta_2: f64,
    /// Added to the square root of the second moment.
    #[config(default = 1e-6)]
    pub epsilon: f64,
    /// Weight decay, which is multiplied by the learning rate.
    #[config(default = 0.01)]
    pub weight_decay: f64,
}

impl BertAdamConfig {
    /// The optimizer of one group of parameters.
    pub fn build(&self) -> BertAdam {
        BertAdam { config: self.clone() }
    }
}

/// `p ← p − lr (m / (√v + ε) + decay · p)`, with the moments `m` and `v` as they are.
///
/// The moments start at 0 and are not corrected for that, so that the first steps are larger than Adam's; the warm-up of
/// the schedule compensates for it.
#[derive(Debug, Clone)]
pub struct BertAdam {
    config: BertAdamConfig,
}

/// The moments of one parameter.
#[derive(Debug, Clone)]
pub struct BertAdamState<const D: usize> {
    moment_1: Tensor<D>,
    moment_2: Tensor<D>,
}

impl Optimizer for BertAdam {
    type State<const D: usize> = BertAdamState<D>;

    fn step<const D: usize>(
        &self,
        learning_rate: f64,
        tensor: Tensor<D>,
        gradient: Tensor<D>,
        state: Option<BertAdamState<D>>,
    ) -> (Tensor<D>, Option<BertAdamState<D>>) {
        let BertAdamConfig { beta_1, beta_2, epsilon, weight_decay } = self.config;
        let rates = AdamRates { learning_rate, beta_1, beta_2, epsilon, weight_decay };
        let BertAdamState { moment_1, moment_2 } = state.unwrap_or_else(|| {
            let zeros = gradient.zeros_like();
            BertAdamState { moment_1: zeros.clone(), moment_2: zeros }
        });
        let before = AdamState { parameter: tensor, moment_1, moment_2 };
        let AdamState { parameter, moment_1, moment_2 } = bert_adam(before, gradient, rates);
        (parameter, Some(BertAdamState { moment_1, moment_2 }))
    }

    fn to_device<const D: usize>(state: BertAdamState<D>, device: &Device) -> BertAdamState<D> {
        BertAdamState {
            moment_1: state.moment_1.to_device(device),
            moment_2: state.moment_2.to_device(device),
        }
    }
}

// Not derived, because the derive of burn 0.22 works only inside burn's own crates.
impl<const D: usize> RecordState for BertAdamState<D> {
    fn state_flatten(&self, prefix: &str, out: &mut StateSink) {
        out.push_tensor(prefix, "moment_1", self.moment_1.to_data());
        out.push_tensor(prefix, "moment_2", self.moment_2.to_data());
    }

    fn state_unflatten(prefix: &str, source: &mut StateSource, device: &Device) -> Option<Self> {
        let mut moment = |name| Some(Tensor::from_data(source.take_tensor(prefix, name)?, device));
        Some(Self { moment_1: moment("moment_1")?, moment_2: moment("moment_2")? })
    }
}

#[cfg(test)]
mod tests {
    use burn::module::Module;
    use burn::nn::{Linear, LinearConfig};
    use burn::optim::{GradientsParams, ModuleOptimizer};

    use super::*;

    fn gradients(module: &Linear, device: &Device) -> GradientsParams {
        let loss =
            module.forward(Tensor::<2>::from_data([[1.0, -2.0, 0.5]], device)).square().sum();
        GradientsParams::from_grads(loss.backward(), module)
    }

    #[test]
    fn the_first_step_has_no_bias_correction() {
        let device = Device::flex();
        let optimizer = BertAdamConfig::new().with_weight_decay(0.0).build();
        let (tensor, _) = optimizer.step(
            1e-3,
            Tensor::<1>::from_data([1.0, 1.0], &device),
            Tensor::from_data([2.0, -8.0], &device),
            None,
        );
        // 0.1 g / √(0.001 g²) = √10, whatever the gradient's size.
        let step = 1e-3 * 10_f32.sqrt();
        for (found, expected) in tensor.into_data().iter::<f32>().zip([1.0 - step, 1.0 + step]) {
            assert!((found - expected).abs() < 1e-6, "{found} {expected}");
        }
    }

    #[test]
    fn decay_shrinks_a_parameter_without_gradient() {
        let device = Device::flex();
        let optimizer = BertAdamConfig::new().build();
        let (tensor, _) = optimizer.step(
            0.5,
            Tensor::<1>::from_data([2.0], &device),
            Tensor::zeros([1], &device),
            None,
        );
        let found: f32 = tensor.into_scalar();
        assert!((found - 2.0 * (1.0 - 0.5 * 0.01)).abs() < 1e-6);
    }

    #[test]
    fn a_saved_state_continues_bit_for_bit() {
        let device = Device::flex().autodiff();
        let mut module = LinearConfig::new(3, 2).init(&device);
        let mut optimizer = ModuleOptimizer::from(BertAdamConfig::new().build());
        module = optimizer.step(1e-2, module.clone(), gradients(&module, &device));

        let bytes = optimizer.into_bytes().unwrap();
        let mut loaded =
            ModuleOptimizer::from(BertAdamConfig::new().build()).from_bytes(bytes).unwrap();
        let continued = optimizer.step(1e-2, module.clone(), gradients(&module, &device));
        let resumed = loaded.step(1e-2, module.clone(), gradients(&module, &device));
        assert_eq!(continued.weight.val().into_data(), resumed.weight.val().into_data());
        assert_ne!(continued.weight.val().into_data(), module.weight.val().into_data());
        assert_eq!(continued.num_params(), 8);
    }
}
