//! SQuAD, and predictions for it.

use std::path::Path;

use fuzz::Harness;
use glue_data::tasks::squad::{self, Squad};

use crate::files::JSON;

#[test]
fn squad() {
    let seed = r#"{"version": "1.1", "data": [{"title": "Tea", "paragraphs": [{"context": "Naïve brewers use 3 pots.",
        "qas": [{"id": "a", "question": "How many?", "answers": [{"text": "3 pots", "answer_start": 18}]},
        {"id": "b", "question": "Who?"}]}]}]}"#;
    Harness { name: "squad", seeds: &[seed.as_bytes().to_vec()], memory: JSON }.run(|bytes| {
        let squad = Squad::parse(Path::new("train-v1.1.json"), bytes);
        if let Ok(squad) = &squad {
            for question in &squad.questions {
                for place in question.answers.iter().filter_map(|answer| answer.span.clone()) {
                    assert!(squad.context(question).get(place).is_some());
                }
            }
            squad::score(squad, &squad::Predictions::new());
        }
        squad.is_ok()
    });
}

#[test]
fn squad_predictions() {
    let seed = br#"{"a": "3 pots", "b": "na\u00efve \ud83d\ude00"}"#.to_vec();
    Harness { name: "squad_predictions", seeds: &[seed], memory: JSON }
        .run(|bytes| squad::parse_predictions(Path::new("predictions.json"), bytes).is_ok());
}
