//! A linear projection with what is inserted around it.

use burn::nn::Linear;
use burn::tensor::Tensor;
use burn_fused::linear;

use crate::insertion::{Insertions, Projection};

/// Runs one of a layer's linear projections with its insertions.
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
    insertions.project(layer, projection, &input, output, dense)
}
