//! Gradients of the loss of a batch, with or without gradient checkpointing.
//! Averaging, clipping and the optimizer are in `strategy`.

use burn::optim::{GradientsAccumulator, GradientsParams};
use burn::tensor::Tensor;
use burn_adapters::{AdaptedBert, HeadOutput};
use burn_bert::Encoder;
use glue_data::{Batch, derive_seed};

use super::step::{LayerInput, TrainableModel};
use crate::task_data::rows::bert_input;

/// How the activations for the backward pass are obtained.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Activations {
    /// They are kept from the forward pass.
    Kept,
    /// Only the hidden states between layers are kept, and each layer is computed again (gradient checkpointing, Chen et
    /// al. 2016).
    ///
    /// The random streams of the layers are derived from the seed, so that dropout is the same.
    Recomputed {
        /// A seed of this step alone.
        seed: u64,
    },
}

/// Loss and logits of a batch, and the gradients of a share of its loss.
pub fn gradients(
    trainable: &TrainableModel,
    layer_input: Option<LayerInput>,
    batch: &Batch,
    share: f64,
    activations: Activations,
) -> (HeadOutput, GradientsParams) {
    if let Activations::Recomputed { seed } = activations {
        return layer_by_layer(trainable, layer_input, batch, share, seed);
    }
    let forward = trainable.forward_from(layer_input, batch);
    let gradients = (forward.loss.clone() * share).backward();
    (forward, GradientsParams::from_grads(gradients, trainable))
}

fn layer_by_layer(
    trainable: &TrainableModel,
    layer_input: Option<LayerInput>,
    batch: &Batch,
    share: f64,
    seed: u64,
) -> (HeadOutput, GradientsParams) {
    let AdaptedBert { bert, task, .. } = &trainable.model;
    let (input, mask) = (bert_input(batch), &batch.attention_mask);
    let device = mask.device();
    let reseed = |part: &str| device.seed(derive_seed(seed, part));
    let run = |model: &AdaptedBert, layer: usize, hidden: Tensor<3>| {
        reseed(&format!("layer/{layer}"));
        model.bert.run_layers(layer..layer + 1, hidden, mask, &model.task)
    };

    let untracked = trainable.model.untracked();
    let reads_text = layer_input.is_none();
    let LayerInput { layer: first, mut hidden } = layer_input.unwrap_or_else(|| {
        reseed("embeddings");
        LayerInput { layer: 0, hidden: untracked.bert.embed(&input, &untracked.task) }
    });
    let mut states = Vec::new();
    for layer in first..bert.n_layers() {
        states.push(hidden.clone());
        hidden = run(&untracked, layer, hidden);
    }

    let mut sum = GradientsAccumulator::new();
    reseed("head");
    let hidden = hidden.detach().require_grad();
    let forward = trainable.head_output(bert.norm_final(hidden.clone(), task), batch);
    let mut gradients = (forward.loss.clone() * share).backward();
    let mut above = hidden.grad_remove(&mut gradients);
    sum.accumulate(trainable, GradientsParams::from_grads(gradients, trainable));
    let lowest = trainable.model.lowest_layer().max(first);
    for (index, state) in states.into_iter().enumerate().skip(lowest - first).rev() {
        let Some(gradient) = above else { break };
        let state = state.detach().require_grad();
        let output = run(&trainable.model, first + index, state.clone());
        let mut gradients = pulled_back(output, gradient).backward();
        above = state.grad_remove(&mut gradients);
        sum.accumulate(trainable, GradientsParams::from_grads(gradients, trainable));
    }
    if let Some(gradient) = above.filter(|_| reads_text && trainable.model.trains_embeddings()) {
        reseed("embeddings");
        let gradients = pulled_back(bert.embed(&input, task), gradient).backward();
        sum.accumulate(trainable, GradientsParams::from_grads(gradients, trainable));
    }
    (forward, sum.grads())
}

/// A scalar whose gradients are those of the loss, given the gradient of the loss with respect to `output`.
fn pulled_back(output: Tensor<3>, gradient: Tensor<3>) -> Tensor<1> {
    (output * Tensor::from_inner(gradient)).sum()
}

#[cfg(test)]
mod tests {
    use burn::module::{Module, ModuleVisitor, Param};
    use burn::tensor::Device;
    use burn_adapters::{AdapterPlan, HeadKind, Layers, Method, TaskAdapterConfig, TrainableBase};
    use burn_bert::BertConfig;
    use glue_data::{Encoded, Label, TokenizedDataset};

    use super::*;
    use crate::learner::clip::global_norm;
    use crate::task_data::rows;

    const SEED: u64 = 7;

    /// Four layers.
    fn trainable(plan: AdapterPlan, dropout: f64, device: &Device) -> TrainableModel {
        device.seed(1);
        let config = BertConfig {
            vocab_size: 30,
            hidden_size: 16,
            num_hidden_layers: 4,
            num_attention_heads: 2,
            intermediate_size: 32,
            max_position_embeddings: 16,
            initializer_range: 0.3,
            // A table that all layers share.
            relative_attention_buckets: Some(32),
            hidden_dropout_prob: dropout,
            attention_probs_dropout_prob: dropout,
            ..BertConfig::bert_base()
        };
        let bert = config.init(device);
        let task = TaskAdapterConfig::new(plan, HeadKind::unnamed(3))
            .with_head_dropout(dropout)
            .with_seed(2)
            .init(&bert)
            .unwrap();
        // Weights are initialized lazily, from the random stream of dropout: initialize them now.
        bert.pool(bert.forward(&bert_input(&batch(device))));
        TrainableModel { model: AdaptedBert::new(bert, task).unwrap() }
    }

    fn batch(device: &Device) -> Batch {
        let texts = [5, 9, 7].map(|length: u32| Encoded {
            ids: (0..length).map(|token| (token * 7 + length) % 30).collect(),
            type_ids: (0..length).map(|token| u32::from(token > 3)).collect(),
            label: Some(Label::Class(length as usize % 3)),
        });
        rows::batch(&TokenizedDataset::from(texts.to_vec()), &[0, 1, 2], device)
    }

    /// The gradients of one graph, with the random streams of [`layer_by_layer`].
    fn in_one_graph(
        trainable: &TrainableModel,
        batch: &Batch,
        share: f64,
    ) -> (HeadOutput, GradientsParams) {
        let AdaptedBert { bert, task, .. } = &trainable.model;
        let reseed = |part: &str| batch.input_ids.device().seed(derive_seed(SEED, part));
        reseed("embeddings");
        let mut hidden = bert.embed(&bert_input(batch), task);
        for layer in 0..bert.n_layers() {
            reseed(&format!("layer/{layer}"));
            hidden = bert.run_layers(layer..layer + 1, hidden, &batch.attention_mask, task);
        }
        reseed("head");
        let forward = trainable.head_output(hidden, batch);
        let gradients = (forward.loss.clone() * share).backward();
        (forward, GradientsParams::from_grads(gradients, trainable))
    }

    /// Asserts that gradients are equal up to rounding, and returns the number of parameters.
    fn assert_alike(
        trainable: &TrainableModel,
        found: &GradientsParams,
        expected: &GradientsParams,
    ) -> usize {
        struct Compare<'a> {
            found: &'a GradientsParams,
            expected: &'a GradientsParams,
            compared: usize,
        }

        impl ModuleVisitor for Compare<'_> {
            fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
                let gradient = |of: &GradientsParams| of.get::<D>(param.id);
                let (found, expected) = (gradient(self.found), gradient(self.expected));
                assert_eq!(found.is_some(), expected.is_some());
                let Some((found, expected)) = found.zip(expected) else { return };
                let largest: f32 = expected.clone().abs().max().into_scalar();
                let apart: f32 = (found - expected).abs().max().into_scalar();
                assert!(apart <= 1e-4 * largest + 1e-7, "{apart} of {largest}");
                self.compared += 1;
            }
        }

        let mut compare = Compare { found, expected, compared: 0 };
        trainable.visit(&mut compare);
        compare.compared
    }

    #[test]
    fn recomputed_layers_give_the_gradients_of_one_graph() {
        let device = Device::flex().autodiff();
        let upper = Method::Houlsby.plan(4).in_layers(&Layers::From(2));
        let plans = [
            Method::Houlsby.plan(4),
            Method::Prefix.plan(3),
            Method::Lora.plan(2),
            Method::LayerNorm.plan(1),
            Method::TopLayers(2).plan(1),
            Method::Full.plan(1),
            AdapterPlan { trainable_base: TrainableBase::LayerNormsFrom(2), ..upper },
        ];
        for plan in plans {
            let name = format!("{plan:?}");
            let (trainable, batch) = (trainable(plan, 0.1, &device), batch(&device));
            let (forward, expected) = in_one_graph(&trainable, &batch, 0.5);
            let again = Activations::Recomputed { seed: SEED };
            let (found, gradients_found) = gradients(&trainable, None, &batch, 0.5, again);
            assert_eq!(found.loss.into_data(), forward.loss.into_data(), "{name}");
            let compared = assert_alike(&trainable, &gradients_found, &expected);
            assert_eq!(compared, trainable.model.trainable_parameters().len(), "{name}");
            assert!(global_norm(&trainable, &expected) > 1e-3, "{name}");
        }
    }

    #[test]
    fn recomputation_starts_at_cached_activations() {
        let device = Device::flex().autodiff();
        let plan = Method::Lora.plan(2).in_layers(&Layers::From(2));
        let (trainable, batch) = (trainable(plan, 0.0, &device), batch(&device));
        let hidden = trainable.model.bert.embed(&bert_input(&batch), &());
        let hidden = trainable.model.bert.run_layers(0..2, hidden, &batch.attention_mask, &());
        let layer_input = || Some(LayerInput { layer: 2, hidden: hidden.clone().detach() });
        let (_, kept) = gradients(&trainable, layer_input(), &batch, 1.0, Activations::Kept);
        let again = Activations::Recomputed { seed: SEED };
        let (_, found) = gradients(&trainable, layer_input(), &batch, 1.0, again);
        assert!(assert_alike(&trainable, &found, &kept) > 4);
    }
}
