//! Metrics: pure functions of predictions and labels, with the values of scikit-learn and SciPy.

use serde::{Deserialize, Serialize};

use crate::label_scores;
use crate::task_kind::{Label, TaskKind};

/// A metric of predictions; higher is better for all of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Metric {
    /// Share of correct predictions.
    Accuracy,
    /// F1 of class 1.
    F1,
    /// F1 of each class or label, averaged.
    MacroF1,
    /// F1 over all labels of all rows, for tasks with several labels a row.
    MicroF1,
    /// Share of the rows whose labels are predicted exactly, for tasks with several labels a row.
    SubsetAccuracy,
    /// Recall of each class, averaged.
    BalancedAccuracy,
    /// Matthews correlation coefficient, for any number of classes.
    Matthews,
    /// Pearson correlation.
    Pearson,
    /// Spearman rank correlation.
    Spearman,
}

impl Metric {
    /// The name in files and tables.
    pub fn name(self) -> &'static str {
        match self {
            Self::Accuracy => "accuracy",
            Self::F1 => "f1",
            Self::MacroF1 => "macro-f1",
            Self::MicroF1 => "micro-f1",
            Self::SubsetAccuracy => "subset-accuracy",
            Self::BalancedAccuracy => "balanced-accuracy",
            Self::Matthews => "matthews",
            Self::Pearson => "pearson",
            Self::Spearman => "spearman",
        }
    }

    /// The metrics of a user's own task of a kind; the first is the main one.
    pub fn defaults_of(kind: &TaskKind) -> &'static [Self] {
        match kind {
            TaskKind::Classification { .. } => {
                &[Self::Accuracy, Self::MacroF1, Self::BalancedAccuracy]
            }
            // A label without a validation row counts as 0 in the macro average, whatever the model predicts.
            TaskKind::MultiLabel { .. } => &[Self::MicroF1, Self::MacroF1, Self::SubsetAccuracy],
            TaskKind::Regression => &[Self::Spearman, Self::Pearson],
            // The answers to a question are scored together, by `tasks::squad::score`, and the entities of a text by
            // `tagging`.
            TaskKind::Span | TaskKind::TokenClassification { .. } => &[],
        }
    }

    /// The score of predictions.
    ///
    /// # Panics
    /// If there are not as many labels as predictions, or a label is not of the metric's kind.
    pub fn compute(self, predictions: &[Label], labels: &[Label]) -> f64 {
        assert_eq!(predictions.len(), labels.len(), "one label for each prediction");
        match self {
            Self::Accuracy => accuracy(&classes(predictions), &classes(labels)),
            Self::F1 => f1(&classes(predictions), &classes(labels), 1),
            Self::MacroF1 | Self::MicroF1 | Self::SubsetAccuracy if has_sets(labels) => {
                self.of_sets(predictions, labels)
            }
            Self::MacroF1 => macro_f1(&classes(predictions), &classes(labels)),
            // With one class a row, each is a set of one.
            Self::MicroF1 | Self::SubsetAccuracy => {
                accuracy(&classes(predictions), &classes(labels))
            }
            Self::BalancedAccuracy => {
                label_scores::balanced_accuracy(&classes(predictions), &classes(labels))
            }
            Self::Matthews => matthews(&classes(predictions), &classes(labels)),
            Self::Pearson => pearson(&scores(predictions), &scores(labels)),
            Self::Spearman => spearman(&scores(predictions), &scores(labels)),
        }
    }
}

impl Metric {
    /// The score of sets of labels.
    fn of_sets(self, predictions: &[Label], labels: &[Label]) -> f64 {
        let of = labels.iter().find_map(|label| match label {
            Label::Set { of, .. } => Some(*of),
            _ => None,
        });
        let of = of.unwrap_or_default();
        let (predicted, expected) = (sets(predictions), sets(labels));
        match self {
            Self::MicroF1 => label_scores::micro_f1(&predicted, &expected, of),
            Self::SubsetAccuracy => label_scores::subset_accuracy(&predicted, &expected),
            _ => label_scores::macro_f1(&predicted, &expected, of),
        }
    }
}

fn has_sets(labels: &[Label]) -> bool {
    labels.iter().any(|label| label.set().is_some())
}

/// The indices of the labels of each row.
///
/// # Panics
/// If a label is not a set.
pub fn sets(labels: &[Label]) -> Vec<&[usize]> {
    labels.iter().map(|label| label.set().expect("a metric of sets needs sets")).collect()
}

fn classes(labels: &[Label]) -> Vec<usize> {
    labels.iter().map(|label| label.class().expect("a metric of classes needs classes")).collect()
}

fn scores(labels: &[Label]) -> Vec<f64> {
    let scores = labels.iter().map(|label| label.score().expect("a metric of scores needs scores"));
    scores.map(f64::from).collect()
}

/// Share of correct predictions; 0 if there are none.
pub fn accuracy(predicted: &[usize], expected: &[usize]) -> f64 {
    let correct = predicted
        .iter()
        .zip(expected)
        .filter(|(predicted, expected)| predicted == expected)
        .count();
    ratio(correct as f64, predicted.len() as f64)
}

/// F1 of one class; 0 if the class is neither predicted nor expected, as in scikit-learn.
pub fn f1(predicted: &[usize], expected: &[usize], class: usize) -> f64 {
    let count = |classes: &[usize]| classes.iter().filter(|found| **found == class).count() as f64;
    let both = predicted
        .iter()
        .zip(expected)
        .filter(|(predicted, expected)| **predicted == class && **expected == class);
    ratio(2.0 * both.count() as f64, count(predicted) + count(expected))
}

/// F1 of each class that is predicted or expected, averaged.
pub fn macro_f1(predicted: &[usize], expected: &[usize]) -> f64 {
    let mut classes: Vec<usize> = predicted.iter().chain(expected).copied().collect();
    classes.sort_unstable();
    classes.dedup();
    ratio(classes.iter().map(|class| f1(predicted, expected, *class)).sum(), classes.len() as f64)
}

/// Matthews correlation coefficient for any number of classes (Gorodkin 2004); 0 if one side is constant, as in
/// scikit-learn.
pub fn matthews(predicted: &[usize], expected: &[usize]) -> f64 {
    let classes = predicted.iter().chain(expected).max().map_or(0, |class| class + 1);
    let counts = |found: &[usize]| {
        let mut counts = vec![0.0; classes];
        for class in found {
            counts[*class] += 1.0;
        }
        counts
    };
    let (n, correct) =
        (predicted.len() as f64, accuracy(predicted, expected) * predicted.len() as f64);
    let (predicted, expected) = (counts(predicted), counts(expected));
    let dot = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(a, b)| a * b).sum::<f64>();
    let covariance = correct.mul_add(n, -dot(&predicted, &expected));
    let spread = |counts: &[f64]| n.mul_add(n, -dot(counts, counts));
    ratio(covariance, (spread(&predicted) * spread(&expected)).sqrt())
}

/// Pearson correlation; 0 if one side is constant (SciPy gives NaN, GLUE expects a number).
pub fn pearson(predicted: &[f64], expected: &[f64]) -> f64 {
    let mean = |values: &[f64]| values.iter().sum::<f64>() / values.len() as f64;
    let (mean_predicted, mean_expected) = (mean(predicted), mean(expected));
    let product = |a: &[f64], mean_a: f64, b: &[f64], mean_b: f64| {
        a.iter().zip(b).map(|(a, b)| (a - mean_a) * (b - mean_b)).sum::<f64>()
    };
    let covariance = product(predicted, mean_predicted, expected, mean_expected);
    let spread = product(predicted, mean_predicted, predicted, mean_predicted)
        * product(expected, mean_expected, expected, mean_expected);
    ratio(covariance, spread.sqrt())
}

/// Spearman rank correlation; equal values share the mean of their ranks.
pub fn spearman(predicted: &[f64], expected: &[f64]) -> f64 {
    pearson(&ranks(predicted), &ranks(expected))
}

fn ranks(values: &[f64]) -> Vec<f64> {
    let mut order: Vec<usize> = (0..values.len()).collect();
    order.sort_by(|a, b| values[*a].total_cmp(&values[*b]));
    let mut ranks = vec![0.0; values.len()];
    let mut start = 0;
    for group in order.chunk_by(|a, b| values[*a].total_cmp(&values[*b]).is_eq()) {
        let shared = f64::midpoint(start as f64 + 1.0, (start + group.len()) as f64);
        for index in group {
            ranks[*index] = shared;
        }
        start += group.len();
    }
    ranks
}

/// A quotient; 0 if there is nothing to divide by.
pub(crate) fn ratio(part: f64, whole: f64) -> f64 {
    if whole > 0.0 { part / whole } else { 0.0 }
}
