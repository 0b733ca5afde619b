//! The activations of bottlenecks and heads.

use burn::tensor::Tensor;
use burn_bert::HiddenActivation;
use serde::{Deserialize, Serialize};

/// An activation function; the names are those of `AdapterHub`'s `non_linearity`.
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

impl From<HiddenActivation> for Activation {
    fn from(activation: HiddenActivation) -> Self {
        match activation {
            HiddenActivation::Gelu => Self::Gelu,
            HiddenActivation::GeluNew => Self::GeluNew,
            HiddenActivation::Relu => Self::Relu,
            HiddenActivation::Silu => Self::Swish,
            HiddenActivation::Tanh => Self::Tanh,
        }
    }
}

impl From<Activation> for HiddenActivation {
    fn from(activation: Activation) -> Self {
        match activation {
            Activation::Relu => Self::Relu,
            Activation::Gelu => Self::Gelu,
            Activation::GeluNew => Self::GeluNew,
            Activation::Swish => Self::Silu,
            Activation::Tanh => Self::Tanh,
        }
    }
}

#[cfg(test)]
mod tests {
    use burn::tensor::{Device, TensorData, Tolerance};

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
}
