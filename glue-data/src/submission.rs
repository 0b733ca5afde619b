//! GLUE's submission files.

use std::fmt::Write;

use crate::task_kind::{Label, TaskKind};

/// The text of a submission file: `index<TAB>prediction`, where scores are clamped to 0..=5.
///
/// # Panics
/// If a prediction is not of the kind.
pub fn submission(kind: &TaskKind, predictions: &[Label]) -> String {
    let mut text = String::from("index\tprediction\n");
    for (index, prediction) in predictions.iter().enumerate() {
        let name = match prediction {
            Label::Score(score) => kind.label_name(&Label::Score(score.clamp(0.0, 5.0))),
            other => kind.label_name(other),
        };
        writeln!(text, "{index}\t{name}").expect("writing to a string does not fail");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn classes_are_named_and_scores_are_clamped() {
        let labels = vec!["entailment".to_owned(), "not_entailment".to_owned()];
        let kind = TaskKind::Classification { labels };
        let text = submission(&kind, &[Label::Class(1), Label::Class(0)]);
        assert_eq!(text, "index\tprediction\n0\tnot_entailment\n1\tentailment\n");
        let text = submission(&TaskKind::Regression, &[Label::Score(5.2), Label::Score(1.23456)]);
        assert_eq!(text, "index\tprediction\n0\t5.000\n1\t1.235\n");
    }
}
