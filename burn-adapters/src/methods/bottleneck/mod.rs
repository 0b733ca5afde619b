//! Bottleneck adapters: down to few dimensions, an activation, and up again.
//! [`Bottleneck`] itself knows nothing of BERT; where a BERT has one is in [`SiteAdapter`](crate::SiteAdapter).
//!
//! Houlsby et al. 2019, section 2.1, and `feedforward_adapter` in the reference code,
//! <https://github.com/google-research/adapter-bert/blob/69b7c5809eb69437d45747b56040c33ded772186/modeling.py>.

mod config;
mod inner_norm;

use burn::module::{Module, Param};
use burn::nn::{BatchNorm, BatchNormConfig, Initializer, Linear};
use burn::tensor::{Device, Tensor, assert_shape};
use burn_fused::{LayerNorm, linear};

pub use self::config::{
    BottleneckConfig, Combine, FinalNorm, MAX_DEPTH, OuterNorm, Placement, ResidualSource, Scaling,
    Sites,
};
use self::inner_norm::batch_norm;
pub use self::inner_norm::{INNER_NORM_EPSILON, InnerNorm};
use super::activation::Activation;
use super::gate::{gate, gate_layer};
use crate::named_rng::NamedRng;

/// ε of the outer norm: `AdapterHub`'s, which is `PyTorch`'s default.
const OUTER_EPSILON: f64 = 1e-5;

/// `A(x) = W_up f(W_down x + b_down) + b_up`, without the skip connection, which belongs to the placement.
///
/// It has `2 · size · d_model + d_model + size` parameters.
/// Each further layer adds `size² + size`, an inner or an outer norm `2 · d_model`, a gate `d_model + 1`, and a learned
/// factor 1 or `d_model`.
#[derive(Module, Debug)]
pub struct Bottleneck {
    /// The inner norm if it is a `LayerNorm`.
    pub layer_norm: Option<LayerNorm>,
    /// The inner norm if it is a batch norm; clones share its running statistics.
    pub batch_norm: Option<BatchNorm>,
    /// `[d_model, size]`
    pub down: Linear,
    /// `[size, size]` each; the paper's adapters have none.
    pub hidden: Vec<Linear>,
    /// `[size, d_model]`
    pub up: Linear,
    /// The learned factor of the output, `[1]` or `[d_model]`.
    pub scaling: Option<Param<Tensor<1>>>,
    /// `[d_model, 1]`
    pub gate: Option<Linear>,
    /// The norm on the output. [`forward`](Self::forward) does not apply it, since the placement decides whether the
    /// skip connection is added before it.
    pub outer_norm: Option<LayerNorm>,
    /// The fixed factor of the output.
    #[module(skip)]
    pub factor: Option<f64>,
    /// The activation after `down` and after each of `hidden`.
    #[module(skip)]
    pub activation: Activation,
}

impl BottleneckConfig {
    /// The bottleneck of a layer.
    ///
    /// Its matrices are drawn from the children `down`, `hidden/0`, … and `up` of `rng`; biases start at 0, norms at
    /// γ = 1 and β = 0.
    pub fn init(
        &self,
        layer: usize,
        d_model: usize,
        rng: &NamedRng,
        device: &Device,
    ) -> Bottleneck {
        let size = self.size_in(layer);
        let linear = |rng: NamedRng, shape: [usize; 2]| Linear {
            weight: rng.truncated_normal(shape, self.init_std, device),
            bias: Some(Initializer::Zeros.init([shape[1]], device)),
        };
        let hidden = rng.child("hidden");
        let hidden = (1..self.depth).map(|layer| linear(hidden.child(layer - 1), [size, size]));
        Bottleneck {
            layer_norm: (self.inner_norm == InnerNorm::Layer)
                .then(|| LayerNorm::new(d_model, self.inner_norm_epsilon, device)),
            batch_norm: (self.inner_norm == InnerNorm::Batch)
                .then(|| BatchNormConfig::new(d_model).init(device)),
            down: linear(rng.child("down"), [d_model, size]),
            hidden: hidden.collect(),
            up: linear(rng.child("up"), [size, d_model]),
            scaling: match self.scaling {
                Scaling::None | Scaling::Fixed(_) => None,
                Scaling::Learned => Some(Initializer::Ones.init([1], device)),
                Scaling::PerChannel => Some(Initializer::Ones.init([d_model], device)),
            },
            gate: self.gate.then(|| gate_layer(d_model, 1, &rng.child("gate"), device)),
            outer_norm: (self.outer_norm != OuterNorm::None)
                .then(|| LayerNorm::new(d_model, OUTER_EPSILON, device)),
            factor: match self.scaling {
                Scaling::Fixed(factor) => Some(factor),
                Scaling::None | Scaling::Learned | Scaling::PerChannel => None,
            },
            activation: self.activation,
        }
    }
}

impl Bottleneck {
    /// The bottleneck's output at each position, factor and gate included.
    ///
    /// # Shapes
    /// - x, result: `[batch, sequence, d_model]`
    ///
    /// # Panics
    /// If the last axis of `x` is not `d_model`.
    pub fn forward(&self, x: Tensor<3>) -> Tensor<3> {
        let [d_model, _] = self.down.weight.dims();
        assert_shape!(x, [_, _, d_model]);
        let gate = self.gate.as_ref().map(|layer| gate(x.clone(), layer)); // [batch, 1, 1]
        let x = self.layer_norm.iter().fold(x, |x, norm| norm.forward(x));
        let x = self.batch_norm.iter().fold(x, batch_norm);
        let x = self.activation.forward(linear(x, &self.down)); // [batch, sequence, size]
        let x = self.hidden.iter().fold(x, |x, layer| self.activation.forward(linear(x, layer)));
        let output = linear(x, &self.up); // [batch, sequence, d_model]
        let output = self.factor.iter().fold(output, |output, factor| output * *factor);
        let output =
            self.scaling.iter().fold(output, |output, scaling| output * scaling.val().unsqueeze());
        gate.into_iter().fold(output, |output, gate| output * gate)
    }
}

#[cfg(test)]
mod tests {
    use burn::tensor::TensorData;
    use proptest::prelude::*;

    use super::*;

    fn bottleneck(d_model: usize, size: usize) -> Bottleneck {
        BottleneckConfig::new(Placement::Serial, size, Activation::GeluNew).init(
            0,
            d_model,
            &NamedRng::new(0),
            &Device::flex(),
        )
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(20))]

        #[test]
        fn parameters_number_2md_d_m(d_model in 1..40_usize, size in 1..40_usize) {
            let parameters = bottleneck(d_model, size).num_params();
            prop_assert_eq!(parameters, 2 * size * d_model + d_model + size);
        }

        #[test]
        fn shape_is_kept(batch in 1..4_usize, sequence in 1..6_usize, size in 1..9_usize) {
            let x = Tensor::<3>::ones([batch, sequence, 6], &Device::flex());
            prop_assert_eq!(bottleneck(6, size).forward(x).dims(), [batch, sequence, 6]);
        }
    }

    #[test]
    fn biases_start_at_zero_and_matrices_do_not() {
        let bottleneck = bottleneck(6, 3);
        let sum = |data: TensorData| data.iter::<f32>().map(f32::abs).sum::<f32>();
        for linear in [&bottleneck.down, &bottleneck.up] {
            assert!(sum(linear.weight.val().into_data()) > 0.0);
            assert!(sum(linear.bias.as_ref().unwrap().val().into_data()) <= 0.0);
        }
    }
}
