//! Scores: pure functions of predictions and labels, with scikit-learn's and SciPy's values.

use serde::{Deserialize, Serialize};

use crate::task::{Label, Prediction};

/// How predictions are judged; higher is better for all.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Metric {
    /// Share of rows that are right.
    Accuracy,
    /// F1 of class 1.
    F1,
    /// F1 of each class, averaged.
    MacroF1,
    /// Matthews' correlation, for any number of classes.
    Matthews,
    /// Pearson's correlation.
    Pearson,
    /// Spearman's rank correlation.
    Spearman,
}

impl Metric {
    /// The name in files and tables.
    pub fn name(self) -> &'static str {
        match self {
            Self::Accuracy => "accuracy",
            Self::F1 => "f1",
            Self::MacroF1 => "macro-f1",
            Self::Matthews => "matthews",
            Self::Pearson => "pearson",
            Self::Spearman => "spearman",
        }
    }

    /// The score of some predictions.
    ///
    /// # Panics
    /// If there are not as many labels as predictions, or their kinds are not the metric's.
    pub fn compute(self, predictions: &[Prediction], labels: &[Label]) -> f64 {
        assert_eq!(predictions.len(), labels.len(), "one label for each prediction");
        match self {
            Self::Pearson | Self::Spearman => {
                let predicted: Vec<f64> =
                    predictions.iter().map(|prediction| predicted_score(*prediction)).collect();
                let expected: Vec<f64> =
                    labels.iter().map(|label| expected_score(*label)).collect();
                if self == Self::Pearson {
                    pearson(&predicted, &expected)
                } else {
                    spearman(&predicted, &expected)
                }
            }
            _ => {
                let predicted: Vec<usize> =
                    predictions.iter().map(|prediction| predicted_class(*prediction)).collect();
                let expected: Vec<usize> =
                    labels.iter().map(|label| expected_class(*label)).collect();
                match self {
                    Self::F1 => f1(&predicted, &expected, 1),
                    Self::MacroF1 => macro_f1(&predicted, &expected),
                    Self::Matthews => matthews(&predicted, &expected),
                    _ => accuracy(&predicted, &expected),
                }
            }
        }
    }
}

fn predicted_class(prediction: Prediction) -> usize {
    match prediction {
        Prediction::Class(class) => class,
        Prediction::Score(_) => panic!("a metric of classes was given a score"),
    }
}

fn expected_class(label: Label) -> usize {
    match label {
        Label::Class(class) => class,
        Label::Score(_) | Label::Span { .. } => {
            panic!("a metric of classes was given another label")
        }
    }
}

fn predicted_score(prediction: Prediction) -> f64 {
    match prediction {
        Prediction::Score(score) => f64::from(score),
        Prediction::Class(_) => panic!("a metric of scores was given a class"),
    }
}

fn expected_score(label: Label) -> f64 {
    match label {
        Label::Score(score) => f64::from(score),
        Label::Class(_) | Label::Span { .. } => {
            panic!("a metric of scores was given another label")
        }
    }
}

/// Share of rows that are right; 0 of none.
pub fn accuracy(predicted: &[usize], expected: &[usize]) -> f64 {
    let right = predicted
        .iter()
        .zip(expected)
        .filter(|(predicted, expected)| predicted == expected)
        .count();
    ratio(right as f64, predicted.len() as f64)
}

/// F1 of one class; 0 where the class is neither predicted nor expected, as scikit-learn has it.
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

/// Matthews' correlation for any number of classes (Gorodkin 2004); 0 where one side is constant, as scikit-learn has it.
pub fn matthews(predicted: &[usize], expected: &[usize]) -> f64 {
    let classes = predicted.iter().chain(expected).max().map_or(0, |class| class + 1);
    let counts = |found: &[usize]| {
        let mut counts = vec![0.0; classes];
        for class in found {
            counts[*class] += 1.0;
        }
        counts
    };
    let (n, right) =
        (predicted.len() as f64, accuracy(predicted, expected) * predicted.len() as f64);
    let (predicted, expected) = (counts(predicted), counts(expected));
    let dot = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(a, b)| a * b).sum::<f64>();
    let covariance = right.mul_add(n, -dot(&predicted, &expected));
    let spread = |counts: &[f64]| n.mul_add(n, -dot(counts, counts));
    ratio(covariance, (spread(&predicted) * spread(&expected)).sqrt())
}

/// Pearson's correlation; 0 where one side is constant (SciPy has no value there, GLUE wants a number).
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

/// Spearman's rank correlation; equal values share the mean of their ranks.
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

fn ratio(part: f64, whole: f64) -> f64 {
    if whole > 0.0 { part / whole } else { 0.0 }
}
