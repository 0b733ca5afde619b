//! Stacked tasks, as `AdapterHub`'s `Stack`: at each site, a task's output is the next one's input.
//!
//! <https://github.com/adapter-hub/adapters/blob/v1.3.0/src/adapters/methods/adapter_layer_base.py>, `compose_stack`.

use burn::nn::Linear;
use burn::tensor::Tensor;
use burn_bert::{EncoderPart, Insertions, Prefix, Projection, ResidualNorm, Site};

use crate::model::task_adapter::TaskAdapter;

/// Tasks one after the other at each site; the final norms are the last one's.
///
/// With `x` a sub-layer's input and `h` its output, the first computes `h₁ = h + A₁`, the second `h₂ = h₁ + A₂`, where the
/// input of each `A` depends on its placement: `h` or `h₁` for serial adapters, `LN(h + x)` or `LN(h₁ + x)` after the
/// norm, and always `x` for parallel ones.
/// (`AdapterHub` keeps only the last of stacked parallel adapters.)
#[derive(Debug, Clone)]
pub struct Stack<'a> {
    /// All but the last, lowest first.
    pub below: &'a [TaskAdapter],
    /// The last, whose head should be used.
    pub task: &'a TaskAdapter,
}

impl Stack<'_> {
    fn tasks(&self) -> impl Iterator<Item = &TaskAdapter> {
        self.below.iter().chain([self.task])
    }
}

impl Insertions for Stack<'_> {
    fn inner(&self, _part: EncoderPart) -> &dyn Insertions {
        self.task
    }

    fn add_and_norm(
        &self,
        site: Site,
        residual: Tensor<3>,
        output: Tensor<3>,
        norm: ResidualNorm<'_>,
    ) -> Tensor<3> {
        let output = self.tasks().fold(output, |output, task| {
            match task.delta(site, &residual, &output, norm) {
                Some(delta) => output + delta,
                None => output,
            }
        });
        self.task.norm_after_delta(site, residual, output, norm)
    }

    fn project_input(&self, layer: usize, projection: Projection, input: Tensor<3>) -> Tensor<3> {
        self.tasks().fold(input, |input, task| task.project_input(layer, projection, input))
    }

    fn project(
        &self,
        layer: usize,
        projection: Projection,
        input: &Tensor<3>,
        output: Tensor<3>,
        dense: &Linear,
    ) -> Tensor<3> {
        self.tasks()
            .fold(output, |output, task| task.project(layer, projection, input, output, dense))
    }

    fn project_pooler(&self, input: &Tensor<2>, output: Tensor<2>, dense: &Linear) -> Tensor<2> {
        self.tasks().fold(output, |output, task| task.project_pooler(input, output, dense))
    }

    fn prefix(&self, layer: usize, hidden: &Tensor<3>) -> Option<Prefix> {
        self.tasks().filter_map(|task| task.prefix(layer, hidden)).reduce(Prefix::followed_by)
    }
}
