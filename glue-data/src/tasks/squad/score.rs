//! Exact match and F1, with the values of the official `evaluate-v1.1.py`
//! (<https://github.com/allenai/bi-att-flow/blob/master/squad/evaluate-v1.1.py>, the copy that is most often cited).

use std::collections::{BTreeMap, HashMap};
use std::path::Path;

use super::questions::{Squad, parse_json};
use crate::error::DataError;

/// Answers by the ids of their questions.
pub type Predictions = BTreeMap<String, String>;

/// The scores of predictions.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct SquadScores {
    /// Percentage of questions whose prediction is a reference answer.
    pub exact_match: f64,
    /// F1 of the words of a prediction and a reference answer, averaged over the questions, in percent.
    pub f1: f64,
    /// The number of questions.
    pub questions: usize,
    /// The number of questions without a prediction, whose scores are 0.
    pub unanswered: usize,
}

/// Reads `{id: answer}`.
///
/// # Errors
/// If the file cannot be read, is truncated or has another layout.
pub fn read_predictions(path: &Path) -> Result<Predictions, DataError> {
    let bytes =
        std::fs::read(path).map_err(|source| DataError::Read { path: path.to_owned(), source })?;
    parse_predictions(path, &bytes)
}

/// Parses the bytes of `{id: answer}`.
///
/// # Errors
/// If the file is truncated or has another layout.
pub fn parse_predictions(path: &Path, bytes: &[u8]) -> Result<Predictions, DataError> {
    parse_json(bytes, path, r#"{"id of a question": "its answer"}"#)
}

/// Scores each prediction by the most similar reference answer; 0 if there are no questions.
pub fn score(squad: &Squad, predictions: &Predictions) -> SquadScores {
    let (mut exact, mut f1, mut unanswered) = (0_usize, 0.0, 0);
    for question in &squad.questions {
        let Some(prediction) = predictions.get(&question.id) else {
            unanswered += 1;
            continue;
        };
        let prediction = normalize(prediction);
        let golds: Vec<String> =
            question.answers.iter().map(|answer| normalize(&answer.text)).collect();
        exact += usize::from(golds.contains(&prediction));
        f1 += golds.iter().map(|gold| f1_of_words(&prediction, gold)).fold(0.0, f64::max);
    }
    let questions = squad.questions.len();
    let percent = |sum: f64| if questions == 0 { 0.0 } else { 100.0 * sum / questions as f64 };
    SquadScores { exact_match: percent(exact as f64), f1: percent(f1), questions, unanswered }
}

/// Removes case, punctuation, articles and extra spaces: `normalize_answer` of the official script.
///
/// Punctuation is that of ASCII, as in Python's `string.punctuation`. A word is a run of letters and digits; a few marks
/// of Indic scripts are letters in Rust but not in Python's `re`.
pub fn normalize(text: &str) -> String {
    let plain: String =
        text.to_lowercase().chars().filter(|letter| !letter.is_ascii_punctuation()).collect();
    let mut without_articles = String::with_capacity(plain.len());
    let runs = plain.split_inclusive(|letter: char| !letter.is_alphanumeric());
    for run in runs {
        let word = run.trim_end_matches(|letter: char| !letter.is_alphanumeric());
        let after = &run[word.len()..];
        without_articles.push_str(if matches!(word, "a" | "an" | "the") { " " } else { word });
        without_articles.push_str(after);
    }
    let words = without_articles.split(is_space).filter(|word| !word.is_empty());
    words.collect::<Vec<_>>().join(" ")
}

/// The separators of Python's `str.split`: Unicode white space, and four separators of ASCII.
fn is_space(letter: char) -> bool {
    letter.is_whitespace() || ('\u{1c}'..='\u{1f}').contains(&letter)
}

/// F1 of the words of two normalized texts; 0 if they share none.
fn f1_of_words(prediction: &str, gold: &str) -> f64 {
    let words = |text: &str| text.split(' ').filter(|word| !word.is_empty()).count();
    let mut left: HashMap<&str, usize> = HashMap::new();
    for word in gold.split(' ').filter(|word| !word.is_empty()) {
        *left.entry(word).or_insert(0) += 1;
    }
    let mut shared = 0;
    for word in prediction.split(' ') {
        if let Some(count) = left.get_mut(word).filter(|count| **count > 0) {
            *count -= 1;
            shared += 1;
        }
    }
    if shared == 0 {
        return 0.0;
    }
    let precision = f64::from(shared) / words(prediction) as f64;
    let recall = f64::from(shared) / words(gold) as f64;
    2.0 * precision * recall / (precision + recall)
}

#[cfg(test)]
mod tests {
    use super::super::samples;
    use super::*;

    #[track_caller]
    fn check_score(gold: &str, prediction: &str, exact_match: f64, f1: f64) {
        let squad = samples::squad(gold, "what", Some(gold));
        let predictions = Predictions::from([("q".to_owned(), prediction.to_owned())]);
        let scores = score(&squad, &predictions);
        assert!((scores.exact_match - exact_match).abs() < 1e-12, "{scores:?}");
        assert!((scores.f1 - f1).abs() < 1e-12, "{scores:?}");
    }

    #[test]
    fn case_articles_ascii_punctuation_and_spaces_do_not_count() {
        assert_eq!(normalize("The  Old\tMill, an A."), "old mill");
        assert_eq!(normalize("anthem theatre a_the"), "anthem theatre athe");
        // A dash that is not ASCII's stays, and ends a word.
        assert_eq!(normalize("the–mill"), "–mill");
        assert_eq!(normalize("mill–the"), "mill–");
        assert_eq!(normalize("U.S.A’s ÉTÉ"), "usa’s été");
        assert_eq!(normalize("rye\u{1c}and\u{a0}wheat"), "rye and wheat");
        assert_eq!(normalize("The"), "");
    }

    #[test]
    fn scores_have_their_expected_values() {
        check_score("the old mill", "Old Mill.", 100.0, 100.0);
        // 2 shared words of 3 and 2.
        check_score("old mill", "old stone mill", 0.0, 80.0);
        // A word that comes twice is shared as often as both have it: 2 of 2 and 2 of 3.
        check_score("tick tock tick", "tick tick", 0.0, 80.0);
        check_score("rye", "wheat", 0.0, 0.0);
        // As in the official script: equal, but without a word to share.
        check_score("the", "a", 100.0, 0.0);
        check_score("rye", "", 0.0, 0.0);
    }

    #[test]
    fn the_most_similar_answer_counts_and_missing_predictions_are_counted() {
        let mut squad = samples::squad("rye and wheat", "what", Some("rye"));
        let mut second = samples::squad("rye and wheat", "what", Some("rye and wheat")).questions;
        squad.questions[0].answers.append(&mut second[0].answers);
        second[0].id = "silent".to_owned();
        squad.questions.append(&mut second);
        let predictions = Predictions::from([
            ("q".to_owned(), "wheat and rye".to_owned()),
            ("of another file".to_owned(), "rye".to_owned()),
        ]);
        let scores = score(&squad, &predictions);
        let expected = SquadScores { exact_match: 0.0, f1: 50.0, questions: 2, unanswered: 1 };
        assert_eq!(scores, expected);
    }

    #[test]
    fn predictions_of_another_layout_are_refused() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("predictions.json");
        std::fs::write(&path, r#"{"q": ["rye"]}"#).unwrap();
        let error = read_predictions(&path).unwrap_err().to_string();
        assert!(error.contains("predictions.json") && error.contains("its answer"), "{error}");
        std::fs::write(&path, r#"{"q": "rye", "r": "the old mill"}"#).unwrap();
        assert_eq!(read_predictions(&path).unwrap()["r"], "the old mill");
    }
}
