//! The weights of classes and labels in the loss of a run, which follow from its training rows.

use burn_adapters::LossConfig;
use glue_data::{Label, TaskKind, TokenizedDataset};

use crate::run_config::{TrainingConfig, Weighting};

/// The loss of a run.
pub fn loss_config(
    training: &TrainingConfig,
    kind: &TaskKind,
    rows: &TokenizedDataset,
) -> LossConfig {
    let balanced = |weighting: Weighting, weights: fn(&[usize], usize) -> Vec<f32>| {
        (weighting == Weighting::Balanced)
            .then(|| weights(&label_counts(rows, kind.outputs()), rows.rows().len()))
    };
    LossConfig {
        class_weights: balanced(training.class_weights, class_weights),
        label_smoothing: training.label_smoothing,
        positive_weights: balanced(training.positive_weight, positive_weights),
    }
}

/// How many rows have each class or label.
fn label_counts(rows: &TokenizedDataset, labels: usize) -> Vec<usize> {
    let mut counts = vec![0; labels];
    for row in rows.rows() {
        row.label.iter().flat_map(Label::classes).for_each(|class| counts[*class] += 1);
    }
    counts
}

/// `compute_class_weight("balanced")` of scikit-learn; 1 for a class without rows, which scikit-learn refuses.
fn class_weights(counts: &[usize], rows: usize) -> Vec<f32> {
    let classes = counts.iter().filter(|count| **count > 0).count();
    let weight = |count: &usize| match count {
        0 => 1.0,
        count => quotient(rows, classes * count),
    };
    counts.iter().map(weight).collect()
}

/// The rows without a label by those with it, as the documentation of torch's `BCEWithLogitsLoss` recommends; 1 for a label
/// that no row has, or that all rows have.
fn positive_weights(counts: &[usize], rows: usize) -> Vec<f32> {
    let weight = |count: &usize| match *count {
        count if count == 0 || count == rows => 1.0,
        count => quotient(rows - count, count),
    };
    counts.iter().map(weight).collect()
}

#[expect(clippy::cast_possible_truncation, reason = "losses are of single precision")]
fn quotient(part: usize, whole: usize) -> f32 {
    (part as f64 / whole as f64) as f32
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn balanced_weights_are_those_of_scikit_learn_and_torch() {
        // compute_class_weight("balanced", classes=[0, 1, 3], y=[0] * 5 + [1] * 2 + [3]): goldens/labels.py
        assert_eq!(class_weights(&[5, 2, 0, 1], 8), [0.533_333_36, 1.333_333_4, 1.0, 2.666_666_7]);
        assert_eq!(positive_weights(&[5, 2, 0, 8], 8), [0.6, 3.0, 1.0, 1.0]);
    }
}
