//! Scores of labels against scikit-learn, and calibration against SciPy and the reference code.

#![expect(clippy::unwrap_used, reason = "a test may fail where it stands")]

use std::path::Path;

use glue_data::calibration::{best_temperature, expected_calibration_error, softmax};
use glue_data::label_scores::{
    best_threshold, by_label, confusion_matrix, label_ranking_average_precision,
};
use glue_data::metric::Metric;
use glue_data::{Label, TaskKind, sigmoid};
use proptest::prelude::*;
use serde::Deserialize;
use serde_json::Value;

#[derive(Deserialize)]
struct Cases {
    sets: Vec<Sets>,
    classes: Vec<Classes>,
}

#[derive(Deserialize)]
struct Sets {
    logits: Vec<Vec<f32>>,
    expected: Vec<Vec<usize>>,
    by_label: Vec<OfLabel>,
    /// The highest F1 of each label over all thresholds.
    thresholds: Vec<f64>,
    #[serde(flatten)]
    scores: Value,
}

#[derive(Deserialize)]
struct OfLabel {
    precision: f64,
    recall: f64,
    f1: f64,
    support: usize,
}

#[derive(Deserialize)]
struct Classes {
    logits: Vec<Vec<f32>>,
    expected: Vec<usize>,
    confusion: Vec<Vec<usize>>,
    error: f64,
    temperature: f64,
    error_with_temperature: f64,
    #[serde(flatten)]
    scores: Value,
}

fn cases() -> Cases {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/label_scores.json");
    serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap()
}

#[track_caller]
fn check(found: f64, expected: f64) {
    assert!((found - expected).abs() <= 1e-12, "{found}, expected {expected}");
}

impl Sets {
    fn kind(&self) -> TaskKind {
        let labels = (0..self.by_label.len()).map(|label| label.to_string()).collect();
        TaskKind::MultiLabel { labels }
    }

    fn labels(&self) -> (Vec<Label>, Vec<Label>) {
        let (kind, of) = (self.kind(), self.by_label.len());
        let predicted = self.logits.iter().map(|logits| kind.predict(logits)).collect();
        let expected = self.expected.iter().cloned().map(|classes| Label::Set { classes, of });
        (predicted, expected.collect())
    }
}

#[test]
fn scores_of_sets_are_scikit_learns() {
    for case in cases().sets {
        let (predicted, expected) = case.labels();
        for metric in [Metric::MicroF1, Metric::MacroF1, Metric::SubsetAccuracy] {
            let golden = case.scores[metric.name()].as_f64().unwrap();
            check(metric.compute(&predicted, &expected), golden);
        }
        let logits: Vec<&[f32]> = case.logits.iter().map(Vec::as_slice).collect();
        let sets: Vec<&[usize]> = case.expected.iter().map(Vec::as_slice).collect();
        let golden = case.scores["label-ranking-average-precision"].as_f64().unwrap();
        check(label_ranking_average_precision(&logits, &sets), golden);
    }
}

#[test]
fn scores_of_each_label_are_scikit_learns() {
    for case in cases().sets {
        let (predicted, expected) = case.labels();
        let sets = |labels: &[Label]| -> Vec<Vec<usize>> {
            labels.iter().map(|label| label.set().unwrap().to_vec()).collect()
        };
        let (predicted, expected) = (sets(&predicted), sets(&expected));
        let scores = by_label(
            predicted.iter().map(Vec::as_slice),
            expected.iter().map(Vec::as_slice),
            case.by_label.len(),
        );
        for (found, golden) in scores.iter().zip(&case.by_label) {
            check(found.precision, golden.precision);
            check(found.recall, golden.recall);
            check(found.f1, golden.f1);
            assert_eq!(found.support, golden.support);
        }
    }
}

#[test]
fn tuned_thresholds_reach_the_highest_f1_of_each_label() {
    for case in cases().sets {
        for (label, golden) in case.thresholds.iter().enumerate() {
            let shares: Vec<f64> =
                case.logits.iter().map(|row| sigmoid(f64::from(row[label]))).collect();
            let has: Vec<bool> = case.expected.iter().map(|row| row.contains(&label)).collect();
            check(f1_at(best_threshold(&shares, &has), &shares, &has), *golden);
        }
    }
}

fn f1_at(threshold: f64, shares: &[f64], has: &[bool]) -> f64 {
    let classes =
        |is: &mut dyn Iterator<Item = bool>| -> Vec<usize> { is.map(usize::from).collect() };
    let predicted = classes(&mut shares.iter().map(|share| *share >= threshold));
    glue_data::metric::f1(&predicted, &classes(&mut has.iter().copied()), 1)
}

proptest! {
    #[test]
    fn a_threshold_is_never_worse_than_one_half(
        rows in proptest::collection::vec((0_u8..=10, any::<bool>()), 0..40),
    ) {
        let shares: Vec<f64> = rows.iter().map(|(share, _)| f64::from(*share) / 10.0).collect();
        let has: Vec<bool> = rows.iter().map(|(_, has)| *has).collect();
        let threshold = best_threshold(&shares, &has);
        prop_assert!((0.0..=1.0).contains(&threshold));
        let best = f1_at(threshold, &shares, &has);
        for other in (0..=10).map(|tenths| f64::from(tenths) / 10.0) {
            prop_assert!(best >= f1_at(other, &shares, &has));
        }
        // The order of the rows does not matter.
        let reversed = |values: &[f64]| values.iter().rev().copied().collect::<Vec<_>>();
        let has: Vec<bool> = has.into_iter().rev().collect();
        prop_assert_eq!(best_threshold(&reversed(&shares), &has).to_bits(), threshold.to_bits());
    }
}

#[test]
fn scores_of_uneven_classes_are_scikit_learns() {
    for case in cases().classes {
        let labels = case.logits[0].len();
        let kind = TaskKind::Classification {
            labels: (0..labels).map(|label| label.to_string()).collect(),
        };
        let predicted: Vec<Label> = case.logits.iter().map(|row| kind.predict(row)).collect();
        let expected: Vec<Label> = case.expected.iter().map(|class| Label::Class(*class)).collect();
        let golden = case.scores["balanced-accuracy"].as_f64().unwrap();
        check(Metric::BalancedAccuracy.compute(&predicted, &expected), golden);
        let predicted: Vec<usize> = predicted.iter().filter_map(Label::class).collect();
        assert_eq!(confusion_matrix(&predicted, &case.expected, labels), case.confusion);
    }
}

#[test]
fn a_temperature_has_the_highest_likelihood() {
    for case in cases().classes {
        let rows = case.logits.iter().map(Vec::as_slice).zip(case.expected.iter().copied());
        check(expected_calibration_error(rows.clone(), 1.0), case.error);
        let temperature = best_temperature(rows.clone());
        // The search of the golden value compares losses, which are flat near the lowest.
        let apart = (temperature - case.temperature).abs() / case.temperature;
        assert!(apart < 1e-6, "{temperature}, expected {}", case.temperature);
        let error = expected_calibration_error(rows, temperature);
        assert!((error - case.error_with_temperature).abs() < 1e-6, "{error}");
    }
}

#[test]
fn a_temperature_stays_in_its_range() {
    let certain: [&[f32]; 2] = [&[3.0, 0.0], &[0.0, 2.0]];
    let right = best_temperature(certain.into_iter().zip([0, 1]));
    let wrong = best_temperature(certain.into_iter().zip([1, 0]));
    assert!((right - 0.05).abs() < 1e-9 && (wrong - 20.0).abs() < 1e-9, "{right} {wrong}");
    check(best_temperature(std::iter::empty()), 1.0);
}

#[test]
fn probabilities_are_positive_and_sum_to_one() {
    let probabilities = softmax(&[1000.0, 1001.0, -1000.0], 1.0);
    check(probabilities.iter().sum::<f64>(), 1.0);
    assert!(probabilities[1] > probabilities[0] && probabilities[2] >= 0.0);
}
