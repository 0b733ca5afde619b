//! Predictions as GLUE's server wants them.

use std::fmt::Write;

use crate::task::{Labels, Prediction};

/// The text of a submission file: `index<TAB>prediction`, classes by name, scores cut to 0..=5 with three decimals.
pub fn submission(labels: &Labels, predictions: &[Prediction]) -> String {
    let mut text = String::from("index\tprediction\n");
    for (index, prediction) in predictions.iter().enumerate() {
        // Writing to a string does not fail.
        let _ = match (prediction, labels) {
            (Prediction::Class(class), Labels::Classes(names)) => {
                writeln!(text, "{index}\t{}", names[*class])
            }
            (Prediction::Class(class), Labels::Score) => writeln!(text, "{index}\t{class}"),
            (Prediction::Score(score), _) => {
                writeln!(text, "{index}\t{:.3}", score.clamp(0.0, 5.0))
            }
        };
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn classes_are_named_and_scores_are_cut() {
        let labels = Labels::Classes(vec!["entailment".to_owned(), "not_entailment".to_owned()]);
        let text = submission(&labels, &[Prediction::Class(1), Prediction::Class(0)]);
        assert_eq!(text, "index\tprediction\n0\tnot_entailment\n1\tentailment\n");
        let text =
            submission(&Labels::Score, &[Prediction::Score(5.2), Prediction::Score(1.23456)]);
        assert_eq!(text, "index\tprediction\n0\t5.000\n1\t1.235\n");
    }
}
