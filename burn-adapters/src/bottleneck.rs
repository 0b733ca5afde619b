//! The bottleneck: down to few numbers, through an activation, up again.
//! Where it stands and what it is added to is not its business; any Burn model may use it.
//!
//! Houlsby et al. 2019, section 2.1, and `feedforward_adapter` in the reference code,
//! <https://github.com/google-research/adapter-bert/blob/69b7c5809eb69437d45747b56040c33ded772186/modeling.py>.

use burn::config::Config;
use burn::module::{Module, Param};
use burn::nn::{BatchNorm, BatchNormConfig, Initializer, Linear};
use burn::tensor::{Device, Tensor, assert_shape};
use burn_fused::{LayerNorm, linear};
use serde::{Deserialize, Serialize};

use crate::bottleneck_plan::{OuterNorm, Scaling};
use crate::gate::{gate, gate_layer};
use crate::init::NamedRng;
use crate::inner_norm::{INNER_NORM_EPSILON, InnerNorm, batch_norm};

/// The deepest bottleneck there may be, so that no file can ask for more layers than a memory holds.
pub const MAX_DEPTH: usize = 64;

/// ε of the outer norm: `AdapterHub`'s, which is `PyTorch`'s default.
const OUTER_EPSILON: f64 = 1e-5;

/// What stands between the two matrices of a [`Bottleneck`]; the names are those of `AdapterHub`'s `non_linearity`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Activation {
    /// `max(x, 0)`
    Relu,
    /// `x Φ(x)`, with the error function.
    Gelu,
    /// GELU by the tanh approximation, as in the reference code.
    GeluNew,
    /// `x σ(x)`, also called `SiLU`.
    Swish,
    /// The hyperbolic tangent.
    Tanh,
}

impl Activation {
    /// Every activation.
    pub const ALL: [Self; 5] = [Self::Relu, Self::Gelu, Self::GeluNew, Self::Swish, Self::Tanh];

    /// The name in files and on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Self::Relu => "relu",
            Self::Gelu => "gelu",
            Self::GeluNew => "gelu_new",
            Self::Swish => "swish",
            Self::Tanh => "tanh",
        }
    }

    /// Applies the activation to each element.
    pub fn forward<const D: usize>(self, x: Tensor<D>) -> Tensor<D> {
        let kind = match self {
            Self::Relu => burn_fused::Activation::Relu,
            Self::Gelu => burn_fused::Activation::Gelu,
            Self::GeluNew => burn_fused::Activation::GeluNew,
            Self::Swish => burn_fused::Activation::Silu,
            Self::Tanh => burn_fused::Activation::Tanh,
        };
        burn_fused::activation(x, kind)
    }
}

/// Configuration of a [`Bottleneck`].
#[derive(Config, Debug)]
pub struct BottleneckConfig {
    /// Width of the hidden states it reads and writes.
    pub d_model: usize,
    /// Width in the middle, at least 1.
    pub size: usize,
    /// What stands in the middle.
    #[config(default = "Activation::GeluNew")]
    pub activation: Activation,
    /// Standard deviation of all matrices at the start, before the cut at two deviations; the biases start at 0.
    #[config(default = 1e-2)]
    pub init_std: f64,
    /// The norm in front.
    #[config(default = "InnerNorm::None")]
    pub inner_norm: InnerNorm,
    /// ε of the inner norm where it is a `LayerNorm`, above 0.
    #[config(default = "INNER_NORM_EPSILON")]
    pub inner_norm_epsilon: f64,
    /// Layers, 1 to [`MAX_DEPTH`]: one is `down` and `up`, each further one is a `hidden` matrix between them.
    #[config(default = 1)]
    pub depth: usize,
    /// The factor before the answer.
    #[config(default = "Scaling::None")]
    pub scaling: Scaling,
    /// Whether a gate weighs the answer.
    #[config(default = false)]
    pub gate: bool,
    /// Whether, and where, a norm stands on the answer.
    #[config(default = "OuterNorm::None")]
    pub outer_norm: OuterNorm,
}

/// `A(x) = W_up f(W_down x + b_down) + b_up`, without a skip: what it is added to belongs to its placement.
///
/// Its parameters number exactly `2 · size · d_model + d_model + size`.
/// A deeper one has `size² + size` more for each further layer, one with an inner or an outer norm `2 · d_model` more for
/// each, one with a gate `d_model + 1`, and one with a learned factor 1 or `d_model`.
#[derive(Module, Debug)]
pub struct Bottleneck {
    /// The inner norm where it is a `LayerNorm`.
    pub layer_norm: Option<LayerNorm>,
    /// The inner norm where it is a batch norm; its clones share their running statistics.
    pub batch_norm: Option<BatchNorm>,
    /// `[d_model, bottleneck]`
    pub down: Linear,
    /// `[bottleneck, bottleneck]` each; none in the paper's adapters.
    pub hidden: Vec<Linear>,
    /// `[bottleneck, d_model]`
    pub up: Linear,
    /// The factor before the answer where it is learned, `[1]` or `[d_model]`.
    pub scaling: Option<Param<Tensor<1>>>,
    /// `[d_model, 1]`, if there is a gate.
    pub gate: Option<Linear>,
    /// The norm on the answer. Whether the skip is in the answer by then belongs to the placement, so
    /// [`forward`](Self::forward) leaves this norm to it.
    pub outer_norm: Option<LayerNorm>,
    /// The factor before the answer where it is fixed.
    #[module(skip)]
    pub factor: Option<f64>,
    /// What follows `down` and each of `hidden`.
    #[module(skip)]
    pub activation: Activation,
}

impl BottleneckConfig {
    /// A bottleneck whose matrices are drawn from the streams `down`, `hidden/0`, … and `up` of `stream`; a norm
    /// starts by scaling with 1 and shifting by 0.
    pub fn init(&self, stream: &NamedRng, device: &Device) -> Bottleneck {
        let linear = |stream: NamedRng, shape: [usize; 2]| Linear {
            weight: stream.truncated_normal(shape, self.init_std, device),
            bias: Some(Initializer::Zeros.init([shape[1]], device)),
        };
        let hidden = stream.child("hidden");
        let hidden =
            (1..self.depth).map(|layer| linear(hidden.child(layer - 1), [self.size, self.size]));
        Bottleneck {
            layer_norm: (self.inner_norm == InnerNorm::Layer)
                .then(|| LayerNorm::new(self.d_model, self.inner_norm_epsilon, device)),
            batch_norm: (self.inner_norm == InnerNorm::Batch)
                .then(|| BatchNormConfig::new(self.d_model).init(device)),
            down: linear(stream.child("down"), [self.d_model, self.size]),
            hidden: hidden.collect(),
            up: linear(stream.child("up"), [self.size, self.d_model]),
            scaling: match self.scaling {
                Scaling::None | Scaling::Fixed(_) => None,
                Scaling::Learned => Some(Initializer::Ones.init([1], device)),
                Scaling::PerChannel => Some(Initializer::Ones.init([self.d_model], device)),
            },
            gate: self.gate.then(|| gate_layer(self.d_model, 1, &stream.child("gate"), device)),
            outer_norm: (self.outer_norm != OuterNorm::None)
                .then(|| LayerNorm::new(self.d_model, OUTER_EPSILON, device)),
            factor: match self.scaling {
                Scaling::Fixed(factor) => Some(factor),
                Scaling::None | Scaling::Learned | Scaling::PerChannel => None,
            },
            activation: self.activation,
        }
    }
}

impl Bottleneck {
    /// The bottleneck's answer at each position, with its factor and its gate.
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
        let x = self.activation.forward(linear(x, &self.down)); // [batch, sequence, bottleneck]
        let x = self.hidden.iter().fold(x, |x, layer| self.activation.forward(linear(x, layer)));
        let answer = linear(x, &self.up); // [batch, sequence, d_model]
        let answer = self.factor.iter().fold(answer, |answer, factor| answer * *factor);
        let answer =
            self.scaling.iter().fold(answer, |answer, scaling| answer * scaling.val().unsqueeze());
        gate.into_iter().fold(answer, |answer, gate| answer * gate)
    }
}

#[cfg(test)]
mod tests {
    use burn::tensor::{TensorData, Tolerance};
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn activations_have_the_values_of_their_formulas() {
        // The textbook formulas in double precision.
        let expected: [(Activation, [f32; 7]); 5] = [
            (Activation::Relu, [0.0, 0.0, 0.0, 0.0, 0.5, 1.0, 3.0]),
            (
                Activation::Gelu,
                [
                    -0.004_049_6,
                    -0.158_655_25,
                    -0.154_268_77,
                    0.0,
                    0.345_731_23,
                    0.841_344_7,
                    2.995_950_5,
                ],
            ),
            (
                Activation::GeluNew,
                [-0.003_637_4, -0.158_808, -0.154_286, 0.0, 0.345_714, 0.841_192, 2.996_362_6],
            ),
            (
                Activation::Swish,
                [
                    -0.142_277_62,
                    -0.268_941_43,
                    -0.188_770_33,
                    0.0,
                    0.311_229_68,
                    0.731_058_6,
                    2.857_722_4,
                ],
            ),
            (
                Activation::Tanh,
                [
                    -0.995_054_8,
                    -0.761_594_2,
                    -0.462_117_16,
                    0.0,
                    0.462_117_16,
                    0.761_594_2,
                    0.995_054_8,
                ],
            ),
        ];
        let x = Tensor::<1>::from_data([-3.0, -1.0, -0.5, 0.0, 0.5, 1.0, 3.0], &Device::flex());
        for (activation, expected) in expected {
            let found = activation.forward(x.clone()).into_data();
            found.assert_approx_eq::<f32>(&TensorData::from(expected), Tolerance::absolute(1e-6));
        }
    }

    #[test]
    fn activations_are_named_alike_everywhere() {
        for activation in Activation::ALL {
            assert_eq!(
                serde_json::to_string(&activation).unwrap(),
                format!("\"{}\"", activation.name())
            );
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(20))]

        #[test]
        fn parameters_number_2md_d_m(d_model in 1..40_usize, size in 1..40_usize) {
            let bottleneck = BottleneckConfig::new(d_model, size).init(&NamedRng::new(0), &Device::flex());
            prop_assert_eq!(bottleneck.num_params(), 2 * size * d_model + d_model + size);
        }

        #[test]
        fn shape_is_kept(batch in 1..4_usize, sequence in 1..6_usize, size in 1..9_usize) {
            let device = Device::flex();
            let bottleneck = BottleneckConfig::new(6, size).init(&NamedRng::new(0), &device);
            let x = Tensor::<3>::ones([batch, sequence, 6], &device);
            prop_assert_eq!(bottleneck.forward(x).dims(), [batch, sequence, 6]);
        }
    }

    #[test]
    fn biases_start_at_zero_and_matrices_do_not() {
        let bottleneck = BottleneckConfig::new(6, 3).init(&NamedRng::new(0), &Device::flex());
        let sum = |data: TensorData| data.iter::<f32>().map(f32::abs).sum::<f32>();
        for linear in [&bottleneck.down, &bottleneck.up] {
            assert!(sum(linear.weight.val().into_data()) > 0.0);
            assert!(sum(linear.bias.as_ref().unwrap().val().into_data()) <= 0.0);
        }
    }
}
