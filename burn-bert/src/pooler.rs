//! One vector for a text: a linear layer with tanh on its first token.

use burn::module::Module;
use burn::nn::Linear;
use burn::tensor::Tensor;

use crate::insertion::Insertions;

/// `tanh(W h + b)` of the first token.
#[derive(Module, Debug)]
pub(crate) struct Pooler {
    /// `[d_model, d_model]`
    pub(crate) dense: Linear,
}

impl Pooler {
    /// # Shapes
    /// - hidden: `[batch, sequence, d_model]`
    /// - result: `[batch, d_model]`
    pub(crate) fn forward(&self, hidden: Tensor<3>, insertions: &dyn Insertions) -> Tensor<2> {
        let first = hidden.narrow(1, 0, 1).squeeze_dim(1); // [batch, d_model]
        let output = self.dense.forward(first.clone());
        insertions.project_pooler(&first, output, &self.dense).tanh()
    }
}
