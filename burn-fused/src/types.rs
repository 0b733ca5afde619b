//! The arguments of the operations, which the kernels share.

use burn::tensor::Tensor;

/// The activations of BERTs and bottleneck adapters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Activation {
    /// `max(x, 0)`
    Relu,
    /// `x Φ(x)`, with the error function.
    Gelu,
    /// GELU by the tanh approximation: `x/2 (1 + tanh(√(2/π) (x + 0.044715 x³)))`.
    GeluNew,
    /// `x σ(x)`, also called swish.
    Silu,
    /// The hyperbolic tangent.
    Tanh,
}

/// `√(2/π)`, the factor in the tanh approximation of GELU.
pub(crate) const SQRT_2_OVER_PI: f64 =
    std::f64::consts::FRAC_2_SQRT_PI * std::f64::consts::FRAC_1_SQRT_2;
/// The factor of `x³` there.
pub(crate) const CUBE: f64 = 0.044_715;

/// Hyperparameters of a [`bert_adam`](crate::bert_adam) step.
#[derive(Debug, Clone, Copy)]
pub struct AdamRates {
    /// The learning rate.
    pub learning_rate: f64,
    /// Decay rate of the first moment.
    pub beta_1: f64,
    /// Decay rate of the second moment.
    pub beta_2: f64,
    /// Added to the square root of the second moment.
    pub epsilon: f64,
    /// The share of the parameter that is subtracted in each step, times the learning rate.
    pub weight_decay: f64,
}

/// A parameter and its moments: the running means of its gradients and of their squares.
#[derive(Debug, Clone)]
pub struct AdamState<const D: usize> {
    /// The parameter.
    pub parameter: Tensor<D>,
    /// Running mean of the gradients.
    pub moment_1: Tensor<D>,
    /// Running mean of the squared gradients.
    pub moment_2: Tensor<D>,
}

/// The input of a [`LayerNorm`](crate::LayerNorm): the sum of one to three tensors of one shape.
#[derive(Debug, Clone)]
pub struct ResidualInputs {
    pub(crate) first: Tensor<3>,
    pub(crate) more: [Option<Tensor<3>>; 2],
}

impl ResidualInputs {
    /// The sum, without a norm.
    ///
    /// # Shapes
    /// - result: `[batch, sequence, d_model]`
    pub fn sum(self) -> Tensor<3> {
        self.more.into_iter().flatten().fold(self.first, |sum, next| sum + next)
    }
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
