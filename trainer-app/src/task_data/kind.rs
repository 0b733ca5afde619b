//! The kinds of tasks where the data, the head of a model and the user meet: the head for a kind, its targets, and how
//! a prediction is shown.

use burn_adapters::HeadKind;
use burn_adapters::file::native::Calibration;
use glue_data::calibration::softmax;
use glue_data::{Label, Targets, TaskKind, sigmoid};
use serde_json::{Map, Value, json};

/// The head that predicts labels of a kind.
pub fn head_kind(kind: &TaskKind) -> HeadKind {
    match kind {
        TaskKind::Classification { labels } => HeadKind::Classification { labels: labels.clone() },
        TaskKind::MultiLabel { labels } => HeadKind::MultiLabel { labels: labels.clone() },
        TaskKind::Regression => HeadKind::Regression,
        TaskKind::Span => HeadKind::Span,
        TaskKind::TokenClassification { labels } => {
            HeadKind::TokenClassification { labels: labels.clone() }
        }
    }
}

/// What a head predicts.
pub fn task_kind(head: &HeadKind) -> TaskKind {
    match head {
        HeadKind::Classification { labels } => TaskKind::Classification { labels: labels.clone() },
        HeadKind::MultiLabel { labels } => TaskKind::MultiLabel { labels: labels.clone() },
        HeadKind::Regression => TaskKind::Regression,
        HeadKind::Span => TaskKind::Span,
        HeadKind::TokenClassification { labels } => {
            TaskKind::TokenClassification { labels: labels.clone() }
        }
    }
}

/// The targets of a batch for the loss of a head.
pub fn head_targets(targets: Targets) -> burn_adapters::Targets {
    match targets {
        Targets::Classes(classes) => burn_adapters::Targets::Classes(classes),
        Targets::Sets(sets) => burn_adapters::Targets::Sets(sets),
        Targets::Scores(scores) => burn_adapters::Targets::Scores(scores),
        Targets::Spans(spans) => burn_adapters::Targets::Spans(spans),
        Targets::Tags(tags) => burn_adapters::Targets::Tags(tags),
    }
}

/// Whether a kind of task labels any text, or its words. The answers of a span are found in a paragraph for a question.
pub fn labels_texts(kind: &TaskKind) -> bool {
    match kind {
        TaskKind::Classification { .. }
        | TaskKind::MultiLabel { .. }
        | TaskKind::Regression
        | TaskKind::TokenClassification { .. } => true,
        TaskKind::Span => false,
    }
}

/// The label that a row's logits predict.
pub fn predict(kind: &TaskKind, calibration: &Calibration, logits: &[f32]) -> Label {
    kind.predict_with(logits, &calibration.thresholds)
}

/// The probability of each class, or of each of several labels.
fn probabilities(kind: &TaskKind, calibration: &Calibration, logits: &[f32]) -> Vec<f64> {
    match kind {
        TaskKind::MultiLabel { .. } => {
            logits.iter().map(|logit| sigmoid(f64::from(*logit))).collect()
        }
        _ => softmax(logits, calibration.temperature.unwrap_or(1.0)),
    }
}

/// The prediction for a row as fields of a JSON object: the label or the labels with all probabilities, or the score.
/// Without logits, which a blank text does not have, the label or the score is `null`.
pub fn prediction_fields(
    kind: &TaskKind,
    calibration: &Calibration,
    logits: Option<&[f32]>,
) -> Map<String, Value> {
    let mut fields = Map::new();
    let key = match kind {
        TaskKind::Classification { .. } => "label",
        TaskKind::MultiLabel { .. } => "labels",
        TaskKind::Regression | TaskKind::Span | TaskKind::TokenClassification { .. } => "score",
    };
    let Some(logits) = logits else {
        fields.insert(key.to_owned(), Value::Null);
        return fields;
    };
    let value = match (predict(kind, calibration, logits), kind.labels()) {
        (Label::Class(class), Some(labels)) => json!(labels[class]),
        (Label::Set { classes, .. }, Some(labels)) => {
            classes.iter().map(|class| Value::from(labels[*class].as_str())).collect()
        }
        (Label::Score(score), _) => json!(score),
        (label, _) => json!(kind.label_name(&label)),
    };
    fields.insert(key.to_owned(), value);
    if let Some(labels) = kind.labels() {
        let shares = probabilities(kind, calibration, logits).into_iter().map(Value::from);
        let shares = labels.iter().cloned().zip(shares);
        fields.insert("probabilities".to_owned(), Value::Object(shares.collect()));
    }
    fields
}

/// The prediction for a row as the first columns of a line: the label and its probability, or the score. Several labels and
/// their probabilities are separated by semicolons.
pub fn prediction_columns(
    kind: &TaskKind,
    calibration: &Calibration,
    logits: &[f32],
) -> Vec<String> {
    let label = predict(kind, calibration, logits);
    let name = kind.label_name(&label);
    let predicted: &[usize] = match &label {
        Label::Class(class) => std::slice::from_ref(class),
        Label::Set { classes, .. } => classes,
        Label::Score(_) | Label::Span { .. } | Label::Tags(_) => return vec![name],
    };
    let probabilities = probabilities(kind, calibration, logits);
    let shares = predicted.iter().map(|class| format!("{:.3}", probabilities[*class]));
    vec![name, shares.collect::<Vec<_>>().join(";")]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_temperature_changes_the_probability_and_thresholds_the_labels() {
        let labels = vec!["a".to_owned(), "b".to_owned()];
        let one = TaskKind::Classification { labels: labels.clone() };
        let several = TaskKind::MultiLabel { labels };
        let plain = Calibration::default();
        let logits = [2.0, -1.0];
        assert_eq!(prediction_columns(&one, &plain, &logits), ["a", "0.953"]);
        let cooled = Calibration { temperature: Some(3.0), ..plain.clone() };
        assert_eq!(prediction_columns(&one, &cooled, &logits), ["a", "0.731"]);
        assert_eq!(prediction_columns(&several, &plain, &logits), ["a", "0.881"]);
        let chosen = Calibration { thresholds: vec![0.5, 0.25], ..plain.clone() };
        assert_eq!(prediction_columns(&several, &chosen, &logits), ["a;b", "0.881;0.269"]);
        let fields = prediction_fields(&several, &chosen, Some(&logits));
        assert_eq!(fields["labels"], json!(["a", "b"]));
        assert_eq!(fields["probabilities"].as_object().map(Map::len), Some(2));
        assert_eq!(prediction_columns(&several, &plain, &[-1.0, -1.0]), ["", ""]);
        let blank = Value::Object(prediction_fields(&several, &plain, None));
        assert_eq!(blank, json!({ "labels": null }));
    }

    #[test]
    fn heads_and_kinds_belong_together() {
        let labels = vec!["a".to_owned(), "b".to_owned()];
        let of_labels = [
            TaskKind::Classification { labels: labels.clone() },
            TaskKind::MultiLabel { labels: labels.clone() },
            TaskKind::TokenClassification { labels },
        ];
        for kind in of_labels.into_iter().chain([TaskKind::Regression, TaskKind::Span]) {
            assert_eq!(task_kind(&head_kind(&kind)), kind);
            assert_eq!(head_kind(&kind).outputs(), kind.outputs());
        }
    }
}
