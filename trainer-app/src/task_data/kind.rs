//! The kinds of tasks where the data, the head of a model and the user meet: the head for a kind, its targets, and how
//! a prediction is shown.

use burn_adapters::HeadKind;
use glue_data::{Label, Targets, TaskKind};
use serde_json::{Map, Value, json};

/// The head that predicts labels of a kind.
pub fn head_kind(kind: &TaskKind) -> HeadKind {
    match kind {
        TaskKind::Classification { labels } => HeadKind::Classification { labels: labels.clone() },
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
        Targets::Scores(scores) => burn_adapters::Targets::Scores(scores),
        Targets::Spans(spans) => burn_adapters::Targets::Spans(spans),
        Targets::Tags(tags) => burn_adapters::Targets::Tags(tags),
    }
}

/// Whether a kind of task labels any text. The answers of a span are found in a paragraph for a question.
pub fn labels_texts(kind: &TaskKind) -> bool {
    match kind {
        TaskKind::Classification { .. } | TaskKind::Regression => true,
        TaskKind::Span | TaskKind::TokenClassification { .. } => false,
    }
}

/// The prediction for a row as fields of a JSON object: the label with all probabilities, or the score.
/// Without logits, which a blank text does not have, the label or the score is `null`.
pub fn prediction_fields(kind: &TaskKind, logits: Option<&[f32]>) -> Map<String, Value> {
    let mut fields = Map::new();
    let key = if kind.labels().is_some() { "label" } else { "score" };
    let Some(logits) = logits else {
        fields.insert(key.to_owned(), Value::Null);
        return fields;
    };
    match (kind.predict(logits), kind.labels()) {
        (Label::Class(class), Some(labels)) => {
            let probabilities = labels.iter().cloned().zip(softmax(logits));
            let probabilities = probabilities.map(|(label, share)| (label, Value::from(share)));
            fields.insert(key.to_owned(), json!(labels[class]));
            fields.insert("probabilities".to_owned(), Value::Object(probabilities.collect()));
        }
        (Label::Score(score), _) => {
            fields.insert(key.to_owned(), json!(score));
        }
        (label, _) => {
            fields.insert(key.to_owned(), json!(kind.label_name(&label)));
        }
    }
    fields
}

/// The prediction for a row as the first columns of a line: the label and its probability, or the score.
pub fn prediction_columns(kind: &TaskKind, logits: &[f32]) -> Vec<String> {
    let label = kind.predict(logits);
    let name = kind.label_name(&label);
    match label {
        Label::Class(class) => vec![name, format!("{:.3}", softmax(logits)[class])],
        Label::Score(_) | Label::Span { .. } | Label::Tags(_) => vec![name],
    }
}

/// The probabilities of logits.
pub(super) fn softmax(logits: &[f32]) -> Vec<f64> {
    let max = logits.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    let powers: Vec<f64> = logits.iter().map(|logit| f64::from(logit - max).exp()).collect();
    let sum: f64 = powers.iter().sum();
    powers.into_iter().map(|power| power / sum).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn probabilities_are_positive_and_sum_to_one() {
        let probabilities = softmax(&[1000.0, 1001.0, -1000.0]);
        assert!((probabilities.iter().sum::<f64>() - 1.0).abs() < 1e-12);
        assert!(probabilities[1] > probabilities[0] && probabilities[2] >= 0.0);
    }

    #[test]
    fn heads_and_kinds_belong_together() {
        let labels = vec!["a".to_owned(), "b".to_owned()];
        let classes = TaskKind::Classification { labels: labels.clone() };
        let tags = TaskKind::TokenClassification { labels };
        for kind in [classes, TaskKind::Regression, TaskKind::Span, tags] {
            assert_eq!(task_kind(&head_kind(&kind)), kind);
            assert_eq!(head_kind(&kind).outputs(), kind.outputs());
        }
    }
}
