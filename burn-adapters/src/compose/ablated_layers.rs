//! Ablation: a trained task without the adapters of some layers, and its logits for every contiguous span of layers.
//!
//! Houlsby et al. 2019, section 3.6 and figure 6 (left): the adapters are removed after training, without retraining.

use std::ops::Range;

use burn::tensor::Tensor;
use burn_bert::{BertInput, Encoder, EncoderPart, Insertions, ResidualNorm, Site};
use burn_fused::LayerNorm;

use crate::model::adapted::AdaptedBert;
use crate::model::task_adapter::TaskAdapter;

/// A task without the modules that it inserts in `layers`; its norms stay there.
#[derive(Debug, Clone)]
pub struct AblatedLayers<'a> {
    /// The task.
    pub task: &'a TaskAdapter,
    /// The ablated layers, counted from 0.
    pub layers: Range<usize>,
}

impl Insertions for AblatedLayers<'_> {
    fn inner(&self, part: EncoderPart) -> &dyn Insertions {
        match part {
            EncoderPart::Layer(layer) if self.layers.contains(&layer) => &(),
            _ => self.task,
        }
    }

    fn add_and_norm(
        &self,
        site: Site,
        residual: Tensor<3>,
        output: Tensor<3>,
        norm: ResidualNorm<'_>,
    ) -> Tensor<3> {
        let norm = norm.with_own(self.task.own_norm(site));
        self.inner(site.part()).add_and_norm(site, residual, output, norm)
    }

    fn norm(&self, site: Site, hidden: Tensor<3>, norm: &LayerNorm) -> Tensor<3> {
        self.task.norm(site, hidden, norm)
    }
}

/// The logits of a batch for every contiguous span of layers without adapters, each as of
/// [`AdaptedBert::head_logits`], bit for bit
/// those of a forward pass with [`AblatedLayers`] and that span.
///
/// `report` gets the spans by their first layer, then by their end: `0..1`, `0..2`, …, `0..n`, `1..2`, … for `n`
/// layers, `n(n + 1)/2` in all.
///
/// Work that spans share is done once: the intact layers below spans with the same start, and the ablated layers of spans
/// that extend each other.
/// That runs `n(n + 1)(n + 2)/6` layers from the first ablated one upwards (364 for 12 layers), and `n - 1` intact ones
/// below (11 for 12): 375 instead of 936, which is 12 for each of 78 spans.
/// Three hidden states are kept at a time.
///
/// The model should be in inference mode ([`valid`](burn::module::Module::valid)), since dropout makes passes differ.
///
/// # Panics
/// If the tensors of the input differ in shape.
pub fn ablate_spans(
    model: &AdaptedBert,
    input: &BertInput,
    mut report: impl FnMut(Range<usize>, Tensor<2>),
) {
    let AdaptedBert { bert, task, .. } = model;
    let mask = &input.attention_mask;
    let run = |layer: usize, hidden, insertions: &dyn Insertions| {
        bert.run_layers(layer..layer + 1, hidden, mask, insertions)
    };
    walk_spans(
        bert.n_layers(),
        bert.embed(input, task),
        |layer, adapters, hidden| match adapters {
            Adapters::Present => run(layer, hidden, task),
            Adapters::Ablated => {
                run(layer, hidden, &AblatedLayers { task, layers: layer..layer + 1 })
            }
        },
        |span, hidden| {
            report(span, model.head_logits(bert.norm_final(hidden, task), mask));
        },
    );
}

/// Whether a layer runs with its adapters.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Adapters {
    Present,
    Ablated,
}

/// The order of [`ablate_spans`] for any kind of state: `start` is the state before the first layer, `run` takes a state
/// through a layer, and `report` gets the state after the last layer for every span.
fn walk_spans<State: Clone>(
    n_layers: usize,
    start: State,
    run: impl Fn(usize, Adapters, State) -> State,
    mut report: impl FnMut(Range<usize>, State),
) {
    let mut intact = start;
    for first in 0..n_layers {
        let mut ablated = intact.clone();
        for last in first..n_layers {
            ablated = run(last, Adapters::Ablated, ablated);
            let above = last + 1..n_layers;
            let top =
                above.fold(ablated.clone(), |state, layer| run(layer, Adapters::Present, state));
            report(first..last + 1, top);
        }
        // No span starts after the last layer.
        if first + 1 < n_layers {
            intact = run(first, Adapters::Present, intact);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::*;

    /// The layers a state went through.
    type Passed = Vec<(usize, Adapters)>;

    /// The spans with the layers each went through, and how many layers ran.
    fn walk(n_layers: usize) -> (Vec<(Range<usize>, Passed)>, usize) {
        let runs = Cell::new(0);
        let mut spans = Vec::new();
        let run = |layer, adapters, mut passed: Passed| {
            runs.set(runs.get() + 1);
            passed.push((layer, adapters));
            passed
        };
        walk_spans(n_layers, Vec::new(), run, |span, passed| spans.push((span, passed)));
        (spans, runs.get())
    }

    #[test]
    fn every_span_goes_through_every_layer_once() {
        for n_layers in 0..8 {
            let (spans, _) = walk(n_layers);
            let expected = (0..n_layers).flat_map(|first| {
                (first + 1..=n_layers).map(move |end| {
                    let passed = (0..n_layers).map(|layer| {
                        let left_out = (first..end).contains(&layer);
                        (layer, if left_out { Adapters::Ablated } else { Adapters::Present })
                    });
                    (first..end, passed.collect::<Passed>())
                })
            });
            assert_eq!(spans, expected.collect::<Vec<_>>());
        }
    }

    #[test]
    fn shared_layers_run_once() {
        for n in 1..30 {
            let (spans, runs) = walk(n);
            assert_eq!(spans.len(), n * (n + 1) / 2);
            assert_eq!(runs, n * (n + 1) * (n + 2) / 6 + n - 1);
        }
        assert_eq!(walk(12).1, 375);
        assert_eq!(walk(12).0.len() * 12, 936);
    }
}
