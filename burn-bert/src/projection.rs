//! A linear projection with what a task puts around it, and where a layer has its six.

use burn::nn::Linear;
use burn::tensor::Tensor;
use burn_fused::linear;

use crate::encoder::Layer;
use crate::insertion::{Insertions, Projection};

/// One of a layer's linear projections, with what is inserted there.
///
/// # Shapes
/// - input: `[batch, sequence, d_input]`
/// - result: `[batch, sequence, d_output]`
pub(crate) fn project(
    input: Tensor<3>,
    dense: &Linear,
    layer: usize,
    projection: Projection,
    insertions: &dyn Insertions,
) -> Tensor<3> {
    let input = insertions.project_input(layer, projection, input);
    let output = linear(input.clone(), dense);
    insertions.project(layer, projection, &input, output)
}

impl Layer {
    /// The weights of a projection.
    pub fn projection(&self, projection: Projection) -> &Linear {
        let attention = &self.attention.self_attention;
        match projection {
            Projection::Query => &attention.query,
            Projection::Key => &attention.key,
            Projection::Value => &attention.value,
            Projection::AttentionOutput => &self.attention.output.dense,
            Projection::FeedForwardIn => &self.intermediate.dense,
            Projection::FeedForwardOut => &self.output.dense,
        }
    }

    /// The weights of a projection, to change them.
    pub fn projection_mut(&mut self, projection: Projection) -> &mut Linear {
        let attention = &mut self.attention;
        match projection {
            Projection::Query => &mut attention.self_attention.query,
            Projection::Key => &mut attention.self_attention.key,
            Projection::Value => &mut attention.self_attention.value,
            Projection::AttentionOutput => &mut attention.output.dense,
            Projection::FeedForwardIn => &mut self.intermediate.dense,
            Projection::FeedForwardOut => &mut self.output.dense,
        }
    }
}
