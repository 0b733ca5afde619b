//! LayerNorm of a sum.

use burn::module::{Module, Param};
use burn::nn::Initializer;
use burn::tensor::module::layer_norm;
use burn::tensor::{Device, FloatDType, Tensor, assert_shape};

use crate::types::ResidualInputs;

/// `(x - mean) / √(variance + ε) · γ + β` over the last axis, of one tensor or of a sum.
///
/// Not [`burn::nn::LayerNorm`], because that keeps ε private and a kernel needs it. The names of the type and of its
/// parameters are the same as in Burn, because `burn-store` maps PyTorch's names by them.
#[derive(Module, Debug)]
pub struct LayerNorm {
    /// Scale, `[d_model]`.
    pub gamma: Param<Tensor<1>>,
    /// Shift, `[d_model]`; some encoders have none.
    pub beta: Option<Param<Tensor<1>>>,
    /// ε, added to the variance.
    #[module(skip)]
    pub epsilon: f64,
}

impl LayerNorm {
    /// A LayerNorm with γ = 1 and β = 0.
    pub fn new(d_model: usize, epsilon: f64, device: &Device) -> Self {
        Self {
            gamma: Initializer::Ones.init([d_model], device),
            beta: Some(Initializer::Zeros.init([d_model], device)),
            epsilon,
        }
    }

    /// The same without β.
    #[must_use]
    pub fn without_beta(self) -> Self {
        Self { beta: None, ..self }
    }

    /// β, or zeros if there is none.
    ///
    /// # Shapes
    /// - result: `[d_model]`
    pub fn beta_or_zeros(&self) -> Tensor<1> {
        self.beta.as_ref().map_or_else(|| self.gamma.val().zeros_like(), Param::val)
    }

    /// The LayerNorm of the sum of the inputs.
    ///
    /// # Shapes
    /// - each input, result: `[batch, sequence, d_model]`
    ///
    /// # Panics
    /// If the inputs differ in shape, or their last axis is not `d_model`.
    pub fn forward(&self, inputs: impl Into<ResidualInputs>) -> Tensor<3> {
        let inputs = inputs.into();
        let (gamma, beta) = (self.gamma.val(), self.beta.as_ref().map(Param::val));
        let [d_model] = gamma.dims();
        let [batch, sequence, _] = inputs.first.dims();
        assert_shape!(inputs.first, [batch, sequence, d_model]);
        for next in inputs.more.iter().flatten() {
            assert_shape!(next, [batch, sequence, d_model]);
        }

        #[cfg(feature = "flex")]
        if crate::flex::supports(&inputs.first) {
            return crate::flex::layer_norm(inputs, gamma, beta, self.epsilon);
        }
        let sum = inputs.sum();
        match FloatDType::from(sum.dtype()) {
            half @ (FloatDType::F16 | FloatDType::BF16) => {
                // The sum of squares of a row overflows in half precision.
                let wide = FloatDType::F32;
                let (gamma, beta) = (gamma.cast(wide), beta.map(|beta| beta.cast(wide)));
                layer_norm(sum.cast(wide), gamma, beta, self.epsilon).cast(half)
            }
            _ => layer_norm(sum, gamma, beta, self.epsilon),
        }
    }
}
