//! What the rest of the crate needs to know about a kind of module.
//! With these traits, code outside of a kind's folder works with any kind.

use std::fmt::Debug;

use burn::module::Param;
use burn::nn::Linear;
use burn::tensor::{DType, Tensor};

use super::error::PlanError;
use super::layers::Layers;
use crate::error::MergeError;

/// The configuration of a kind of module: one part of an [`AdapterPlan`](super::AdapterPlan).
pub(crate) trait KindConfig: Debug {
    /// The modules' name in error messages, in the plural.
    fn name(&self) -> &'static str;

    /// The layers with such modules.
    fn layers(&self) -> &Layers;

    /// The layers with such modules, to change them.
    fn layers_mut(&mut self) -> &mut Layers;

    /// Checks the values that do not depend on the base.
    fn check(&self) -> Result<(), PlanError>;

    /// The highest layer that has settings of its own, if any has.
    fn highest_configured_layer(&self) -> Option<usize> {
        None
    }

    /// The sizes of the module's own axes, so that a file cannot ask for more memory than its tensors have.
    fn sizes(&self) -> Vec<usize>;

    /// Whether the result for a text depends on how much it is padded.
    fn depends_on_padding(&self) -> bool {
        false
    }

    /// Whether the base's weights can hold the modules' effect.
    fn is_mergeable(&self) -> bool {
        false
    }

    /// What keeps a task with such modules from sharing a batch with other tasks, if anything does.
    fn mixing_obstacle(&self) -> Option<&'static str> {
        Some(self.name())
    }
}

/// A module at one linear projection of a layer.
pub(crate) trait ProjectionModule {
    /// Changes the projection's input.
    ///
    /// # Shapes
    /// - input, result: `[batch, sequence, d_input]`
    fn transform_input(&self, input: Tensor<3>) -> Tensor<3> {
        input
    }

    /// Changes the output of the base's projection `dense`.
    ///
    /// # Shapes
    /// - input: `[batch, sequence, d_input]`
    /// - output, result: `[batch, sequence, d_output]`
    fn transform_output(&self, input: &Tensor<3>, output: Tensor<3>, dense: &Linear) -> Tensor<3> {
        let _ = (input, dense);
        output
    }

    /// The projection's weights with the module's effect in them.
    ///
    /// # Errors
    /// If no weights can have that effect.
    fn merge(&self, weights: Weights) -> Result<Weights, MergeError>;
}

/// Whether weight decay applies to a trained parameter of this shape: to matrices, not to vectors such as biases, norms
/// and factors.
///
/// Google's code excludes norms and biases by name (`exclude_from_weight_decay` in its `optimization.py`), nanoGPT by
/// rank, which gives the same.
/// A module with matrices that do not decay names them:
/// [`Fusion::undecayed_parameters`](crate::model::fusion::Fusion::undecayed_parameters). Of the base, tables of biases do
/// not decay, and embeddings do.
pub(crate) fn decays(shape: &[usize]) -> bool {
    shape.len() >= 2
}

/// Weights of a linear projection, in single precision or higher.
pub(crate) struct Weights {
    /// `[d_input, d_output]`
    pub(crate) weight: Tensor<2>,
    /// `[d_output]`
    pub(crate) bias: Option<Tensor<1>>,
}

impl Weights {
    /// Those of a layer.
    pub(crate) fn of(dense: &Linear) -> Self {
        let bias = dense.bias.as_ref();
        Self { weight: at_least_single(&dense.weight), bias: bias.map(at_least_single) }
    }
}

fn at_least_single<const D: usize>(parameter: &Param<Tensor<D>>) -> Tensor<D> {
    let values = parameter.val();
    match values.dtype() {
        DType::F16 | DType::BF16 => values.cast(DType::F32),
        _ => values,
    }
}
