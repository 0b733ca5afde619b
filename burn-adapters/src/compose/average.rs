//! The mean of several tasks: of their weights, which gives one task, or of their outputs at each site.
//!
//! Weights: `average_adapter` of `AdapterHub`, and Chronopoulou et al. 2023.
//! Outputs: `compose_average` in
//! <https://github.com/adapter-hub/adapters/blob/v1.3.0/src/adapters/methods/adapter_layer_base.py>, without an error
//! there: after weighting the outputs it divides by their number again, which halves the sub-layer's own output for two
//! adapters.

use std::collections::BTreeMap;

use burn::nn::Linear;
use burn::tensor::{Tensor, TensorData};
use burn_bert::{EncoderPart, Insertions, Prefix, Projection, ResidualNorm, Site};
use burn_fused::LayerNorm;

use crate::error::{AdapterError, ComposeError};
use crate::model::adapted::AdaptedBert;
use crate::model::task_adapter::TaskAdapter;
use crate::model::weights::{put_weights, saved_weights};

/// The model whose trainable tensors are the weighted means of those of several models, head and running statistics
/// included; the rest is the first one's.
///
/// The weights are relative: they are divided by their sum.
///
/// # Errors
/// If there is no model, the weights have no positive sum, or the models differ in plan, pooling or head.
pub fn average_weights(models: &[(AdaptedBert, f64)]) -> Result<AdaptedBert, AdapterError> {
    let sum: f64 = models.iter().map(|(_, weight)| weight).sum();
    let Some((first, _)) = models.first().filter(|_| sum.is_finite() && sum > 0.0) else {
        let weights = models.iter().map(|(_, weight)| *weight).collect();
        return Err(ComposeError::AverageWeights { weights }.into());
    };
    let same_shape = |model: &AdaptedBert| {
        let (model, first) = (model.task.config(), first.task.config());
        (&model.plan, &model.fused, model.classifier(), model.head.outputs())
            == (&first.plan, &first.fused, first.classifier(), first.head.outputs())
    };
    if let Some(index) = models.iter().position(|(model, _)| !same_shape(model)) {
        return Err(ComposeError::AverageOfUnlike { index }.into());
    }
    let mut means: BTreeMap<String, (Vec<f64>, Vec<usize>)> = BTreeMap::new();
    for (model, weight) in models {
        for (name, data) in saved_weights(model) {
            let (mean, _) = means
                .entry(name)
                .or_insert_with(|| (vec![0.0; data.num_elements()], data.shape().to_vec()));
            for (mean, value) in mean.iter_mut().zip(data.iter::<f64>()) {
                *mean += weight / sum * value;
            }
        }
    }
    #[expect(clippy::cast_possible_truncation, reason = "the tensors are single precision")]
    let single = |mean: Vec<f64>| mean.into_iter().map(|value| value as f32).collect::<Vec<_>>();
    let means =
        means.into_iter().map(|(name, (mean, shape))| (name, TensorData::new(single(mean), shape)));
    Ok(put_weights(first.clone(), means.collect()))
}

/// Tasks side by side: their outputs are averaged at each site.
///
/// The tasks' own norms are applied to the same sum and their results averaged, which is the norm of the mean γ and β.
#[derive(Debug, Clone)]
pub struct Average<'a> {
    /// The tasks, one or more, with weights that sum to 1.
    pub tasks: Vec<(&'a TaskAdapter, f64)>,
}

impl Average<'_> {
    /// The weighted sum of the tasks' tensors; `None` if no task has one.
    fn mean(&self, of: impl Fn(&TaskAdapter) -> Option<Tensor<3>>) -> Option<Tensor<3>> {
        let weighted =
            self.tasks.iter().filter_map(|(task, weight)| of(task).map(|tensor| tensor * *weight));
        weighted.reduce(|sum, next| sum + next)
    }
}

impl Insertions for Average<'_> {
    /// Every method is a mean; nothing is forwarded.
    fn inner(&self, _part: EncoderPart) -> &dyn Insertions {
        &()
    }

    fn add_and_norm(
        &self,
        site: Site,
        residual: Tensor<3>,
        output: Tensor<3>,
        norm: ResidualNorm<'_>,
    ) -> Tensor<3> {
        let output = match self.mean(|task| task.delta(site, &residual, &output, norm)) {
            Some(delta) => output + delta,
            None => output,
        };
        let normed = self
            .mean(|task| Some(task.norm_after_delta(site, residual.clone(), output.clone(), norm)));
        normed.unwrap_or(output)
    }

    fn norm(&self, site: Site, hidden: Tensor<3>, norm: &LayerNorm) -> Tensor<3> {
        if self.tasks.iter().all(|(task, _)| task.own_norm(site).is_none()) {
            return norm.forward(hidden);
        }
        let mean = self.mean(|task| Some(task.norm(site, hidden.clone(), norm)));
        mean.unwrap_or(hidden)
    }

    fn project_input(&self, layer: usize, projection: Projection, input: Tensor<3>) -> Tensor<3> {
        let mean = self.mean(|task| Some(task.project_input(layer, projection, input.clone())));
        mean.unwrap_or(input)
    }

    fn project(
        &self,
        layer: usize,
        projection: Projection,
        input: &Tensor<3>,
        output: Tensor<3>,
        dense: &Linear,
    ) -> Tensor<3> {
        let mean =
            self.mean(|task| Some(task.project(layer, projection, input, output.clone(), dense)));
        mean.unwrap_or(output)
    }

    fn project_pooler(&self, input: &Tensor<2>, output: Tensor<2>, dense: &Linear) -> Tensor<2> {
        let weighted = self
            .tasks
            .iter()
            .map(|(task, weight)| task.project_pooler(input, output.clone(), dense) * *weight);
        weighted.reduce(|sum, next| sum + next).unwrap_or(output)
    }

    /// Prefixes cannot be averaged; they are concatenated.
    fn prefix(&self, layer: usize, hidden: &Tensor<3>) -> Option<Prefix> {
        let prefixes = self.tasks.iter().filter_map(|(task, _)| task.prefix(layer, hidden));
        prefixes.reduce(Prefix::followed_by)
    }
}
