//! The norm on a bottleneck's input.

use burn::nn::BatchNorm;
use burn::tensor::Tensor;
use serde::{Deserialize, Serialize};

/// Default ε of an inner `LayerNorm`: BERT's own.
pub const INNER_NORM_EPSILON: f64 = 1e-12;

/// A norm on a bottleneck's input, before the first matrix.
///
/// Houlsby et al. 2019, section 3.6, tried "adding a batch/layer normalization to the adapter" without saying where;
/// its place before the first matrix is our choice.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum InnerNorm {
    /// None, as in the paper's adapters.
    #[default]
    None,
    /// `LayerNorm`, over the features of each position.
    Layer,
    /// Batch norm, over all positions of all texts of a batch, padding included, since an adapter does not see the mask.
    ///
    /// Training uses the batch's statistics; inference uses running statistics, which are saved with the adapter.
    Batch,
}

impl InnerNorm {
    /// Every choice.
    pub const ALL: [Self; 3] = [Self::None, Self::Layer, Self::Batch];

    /// The name in files and on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Layer => "layer",
            Self::Batch => "batch",
        }
    }
}

/// Batch norm with one sample per position.
///
/// # Shapes
/// - x, result: `[batch, sequence, d_model]`
pub(super) fn batch_norm(x: Tensor<3>, norm: &BatchNorm) -> Tensor<3> {
    let shape = x.dims();
    let positions = x.flatten::<2>(0, 1); // [batch · sequence, d_model]
    norm.forward(positions).reshape(shape)
}
