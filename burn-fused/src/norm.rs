//! LayerNorm of a sum.

use burn::module::{Module, Param};
use burn::nn::Initializer;
use burn::tensor::module::layer_norm;
use burn::tensor::{Device, FloatDType, Tensor, assert_shape};

/// `(x - mean) / √(variance + ε) · γ + β` over the last axis, of one tensor or of a sum.
///
/// Burn's own keeps ε to itself, which a kernel has to know. The name of the type and those of its parameters are
/// Burn's, by which `burn-store` maps PyTorch's names.
#[derive(Module, Debug)]
pub struct LayerNorm {
    /// Scale, `[d_model]`.
    pub gamma: Param<Tensor<1>>,
    /// Shift, `[d_model]`.
    pub beta: Param<Tensor<1>>,
    /// ε, added to the variance.
    #[module(skip)]
    pub epsilon: f64,
}

/// What a [`LayerNorm`] reads: the sum of one to three tensors of one shape.
#[derive(Debug, Clone)]
pub struct ResidualInputs {
    pub(crate) first: Tensor<3>,
    pub(crate) more: [Option<Tensor<3>>; 2],
}

impl From<Tensor<3>> for ResidualInputs {
    fn from(first: Tensor<3>) -> Self {
        Self { first, more: [None, None] }
    }
}

impl From<[Tensor<3>; 2]> for ResidualInputs {
    fn from([first, second]: [Tensor<3>; 2]) -> Self {
        Self { first, more: [Some(second), None] }
    }
}

impl From<[Tensor<3>; 3]> for ResidualInputs {
    fn from([first, second, third]: [Tensor<3>; 3]) -> Self {
        Self { first, more: [Some(second), Some(third)] }
    }
}

impl LayerNorm {
    /// A norm that scales by 1 and shifts by 0.
    pub fn new(d_model: usize, epsilon: f64, device: &Device) -> Self {
        Self {
            gamma: Initializer::Ones.init([d_model], device),
            beta: Initializer::Zeros.init([d_model], device),
            epsilon,
        }
    }

    /// Adds up and norms.
    ///
    /// # Shapes
    /// - summands, result: `[batch, sequence, d_model]`
    ///
    /// # Panics
    /// If the summands differ in shape, or their last axis is not `d_model`.
    pub fn forward(&self, summands: impl Into<ResidualInputs>) -> Tensor<3> {
        let summands = summands.into();
        let (gamma, beta) = (self.gamma.val(), self.beta.val());
        let [d_model] = gamma.dims();
        let [batch, sequence, _] = summands.first.dims();
        assert_shape!(summands.first, [batch, sequence, d_model]);
        for next in summands.more.iter().flatten() {
            assert_shape!(next, [batch, sequence, d_model]);
        }

        #[cfg(feature = "flex")]
        if crate::flex::supports(&summands.first) {
            return crate::flex::layer_norm(summands, gamma, beta, self.epsilon);
        }
        let sum = summands.more.into_iter().flatten().fold(summands.first, |sum, next| sum + next);
        match FloatDType::from(sum.dtype()) {
            half @ (FloatDType::F16 | FloatDType::BF16) => {
                // The sum of squares of a row does not fit into half precision.
                let wide = FloatDType::F32;
                let normed = layer_norm(
                    sum.cast(wide),
                    gamma.cast(wide),
                    Some(beta.cast(wide)),
                    self.epsilon,
                );
                normed.cast(half)
            }
            _ => layer_norm(sum, gamma, Some(beta), self.epsilon),
        }
    }
}
