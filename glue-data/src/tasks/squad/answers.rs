//! From logits to answers: the best spans of a question's windows.
//!
//! `write_predictions` in the reference code,
//! <https://github.com/google-research/bert/blob/1cd50d7aa7d26638e05eb5b8a282b30cc92c6eb6/run_squad.py>.
//! The reference joins tokens and aligns the result with the words of the context; if that fails, it returns whole words.
//! Here the tokenizer's offsets give the position of each token, so that an answer is a substring of the context.

use std::collections::BTreeMap;

use rayon::prelude::*;
use serde::Serialize;

use super::questions::Squad;
use super::score::Predictions;
use super::windows::Windows;

/// The limits of the search for answers; the defaults are those of the reference.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AnswerSearch {
    /// Number of starts and of ends that are tried in a window, and of answers that are kept for a question.
    pub n_best: usize,
    /// Maximum length of an answer, in tokens.
    pub max_answer_tokens: usize,
}

impl Default for AnswerSearch {
    fn default() -> Self {
        Self { n_best: 20, max_answer_tokens: 30 }
    }
}

/// The logits of a row.
#[derive(Debug, Clone, PartialEq)]
pub struct SpanLogits {
    /// For each position, the logit of the answer's start; positions after the row's tokens are padding.
    pub start: Vec<f32>,
    /// For each position, the logit of the answer's end.
    pub end: Vec<f32>,
}

/// A possible answer.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Candidate {
    /// The answer, a substring of the context.
    pub text: String,
    /// The probability among the kept answers.
    pub probability: f64,
    /// The logit of the first token as a start.
    pub start_logit: f32,
    /// The logit of the last token as an end.
    pub end_logit: f32,
}

/// A span of a row.
struct RowSpan {
    row: usize,
    start: usize,
    end: usize,
    start_logit: f32,
    end_logit: f32,
}

impl RowSpan {
    fn score(&self) -> f64 {
        f64::from(self.start_logit) + f64::from(self.end_logit)
    }
}

impl AnswerSearch {
    /// The best answers to each question, best first; none if no span of a window is allowed.
    ///
    /// # Panics
    /// If `logits` are not those of the rows of the windows, or there are fewer logits than positions.
    pub fn search(
        &self,
        squad: &Squad,
        windows: &Windows,
        logits: &[SpanLogits],
    ) -> Vec<Vec<Candidate>> {
        assert_eq!(logits.len(), windows.rows().rows().len(), "logits for each row");
        let questions = (0..squad.questions.len()).into_par_iter();
        questions.map(|question| self.answers(squad, windows, logits, question)).collect()
    }

    fn answers(
        &self,
        squad: &Squad,
        windows: &Windows,
        logits: &[SpanLogits],
        question: usize,
    ) -> Vec<Candidate> {
        let rows = windows.of_question(question);
        let mut spans: Vec<RowSpan> =
            rows.flat_map(|row| self.spans(windows, row, &logits[row])).collect();
        spans.sort_by(|a, b| b.score().total_cmp(&a.score()));

        let context = squad.context(&squad.questions[question]);
        let mut kept: Vec<(&str, RowSpan)> = Vec::new();
        for span in spans {
            if kept.len() == self.n_best {
                break;
            }
            let bytes = windows.bytes(squad, span.row, span.start..span.end + 1);
            let text = &context[bytes];
            if kept.iter().all(|(other, _)| *other != text) {
                kept.push((text, span));
            }
        }
        let best = kept.first().map_or(0.0, |(_, span)| span.score());
        let weights: Vec<f64> = kept.iter().map(|(_, span)| (span.score() - best).exp()).collect();
        let total: f64 = weights.iter().sum();
        let candidates = kept.into_iter().zip(weights).map(|((text, span), weight)| Candidate {
            text: text.to_owned(),
            probability: weight / total,
            start_logit: span.start_logit,
            end_logit: span.end_logit,
        });
        candidates.collect()
    }

    /// The spans of a row that may be an answer. As in the reference, the best starts and ends are selected from the whole
    /// row, and those outside the context are dropped afterwards.
    fn spans(&self, windows: &Windows, row: usize, logits: &SpanLogits) -> Vec<RowSpan> {
        let (window, length) = (&windows.windows()[row], windows.rows().rows()[row].ids.len());
        let best = |logits: &[f32]| {
            let mut positions: Vec<usize> = (0..length).collect();
            positions.sort_by(|a, b| logits[*b].total_cmp(&logits[*a]));
            positions.truncate(self.n_best);
            positions
        };
        let mut starts = best(&logits.start);
        starts.retain(|start| window.max_context.contains(start));
        let mut ends = best(&logits.end);
        ends.retain(|end| window.context.contains(end));
        let pairs = starts.iter().flat_map(|start| ends.iter().map(move |end| (*start, *end)));
        pairs
            .filter(|(start, end)| start <= end && end - start < self.max_answer_tokens)
            .map(|(start, end)| RowSpan {
                row,
                start,
                end,
                start_logit: logits.start[start],
                end_logit: logits.end[end],
            })
            // The outputs of a diverged model are no answers.
            .filter(|span| span.score().is_finite())
            .collect()
    }
}

/// The best answer to each question by its id, as [`score`](super::score) and the official script expect them; empty if
/// there is none.
///
/// # Panics
/// If the number of lists of answers is not that of questions.
pub fn predictions(squad: &Squad, answers: &[Vec<Candidate>]) -> Predictions {
    by_id(squad, answers)
        .map(|(id, answers)| {
            (id.to_owned(), answers.first().map_or(String::new(), |best| best.text.clone()))
        })
        .collect()
}

/// The text of `predictions.json`: `{id: answer}`.
pub fn predictions_json(predictions: &Predictions) -> String {
    json(predictions)
}

/// The text of `nbest_predictions.json`: `{id: [{text, probability, start_logit, end_logit}]}`, best first.
///
/// # Panics
/// As [`predictions`].
pub fn n_best_json(squad: &Squad, answers: &[Vec<Candidate>]) -> String {
    json(&by_id(squad, answers).collect::<BTreeMap<_, _>>())
}

fn by_id<'a>(
    squad: &'a Squad,
    answers: &'a [Vec<Candidate>],
) -> impl Iterator<Item = (&'a str, &'a Vec<Candidate>)> {
    assert_eq!(squad.questions.len(), answers.len(), "a list of answers for each question");
    squad.questions.iter().map(|question| question.id.as_str()).zip(answers)
}

fn json(value: &impl Serialize) -> String {
    let mut text = serde_json::to_string_pretty(value).expect("texts and numbers by id are JSON");
    text.push('\n');
    text
}

#[cfg(test)]
mod tests {
    use super::super::samples;
    use super::super::windows::WindowConfig;
    use super::*;

    const TEXT: &str = "The old mill grinds rye and wheat at dawn.";
    const SMALL: WindowConfig = WindowConfig { max_length: 8, doc_stride: 2, max_question: 3 };

    /// Logits that are 0 except for these: row, position, start, end.
    fn logits(windows: &Windows, raised: &[(usize, usize, f32, f32)]) -> Vec<SpanLogits> {
        let rows = windows.rows().rows().iter();
        let mut logits: Vec<SpanLogits> = rows
            .map(|row| SpanLogits {
                start: vec![0.0; row.ids.len()],
                end: vec![0.0; row.ids.len()],
            })
            .collect();
        for (row, position, start, end) in raised {
            (logits[*row].start[*position], logits[*row].end[*position]) = (*start, *end);
        }
        logits
    }

    fn texts(answers: &[Candidate]) -> Vec<&str> {
        answers.iter().map(|answer| answer.text.as_str()).collect()
    }

    #[test]
    fn the_best_answer_over_all_windows_is_taken() {
        let squad = samples::squad(TEXT, "what", None);
        let windows = Windows::cut(&squad, &samples::encoder(), &SMALL).unwrap();
        // Row 1 is `mill grinds rye and` at 3..7, row 2 `rye and wheat at`; `grinds rye` is best, then `and wheat`.
        let logits = logits(
            &windows,
            &[(1, 4, 5.0, 0.0), (1, 5, 0.0, 5.0), (2, 4, 4.0, 0.0), (2, 5, 0.0, 4.0)],
        );
        let answers = AnswerSearch::default().search(&squad, &windows, &logits);
        assert_eq!(texts(&answers[0])[..2], ["grinds rye", "and wheat"]);
        let sum: f64 = answers[0].iter().map(|answer| answer.probability).sum();
        assert!((sum - 1.0).abs() < 1e-12);
        let ratio = answers[0][0].probability / answers[0][1].probability;
        assert!((ratio - 2.0_f64.exp()).abs() < 1e-9, "scores 10 and 8: {ratio}");
        assert!(texts(&answers[0]).iter().all(|text| TEXT.contains(text)));

        let predictions = predictions(&squad, &answers);
        assert_eq!(predictions["q"], "grinds rye");
        assert_eq!(predictions_json(&predictions), "{\n  \"q\": \"grinds rye\"\n}\n");
        let n_best: serde_json::Value =
            serde_json::from_str(&n_best_json(&squad, &answers)).unwrap();
        assert_eq!(n_best["q"][1]["text"], "and wheat");
        assert_eq!(n_best["q"][0]["start_logit"], 5.0);
    }

    #[test]
    fn a_start_needs_its_max_context() {
        let squad = samples::squad(TEXT, "what", None);
        let windows = Windows::cut(&squad, &samples::encoder(), &SMALL).unwrap();
        // `grinds` is at the edge of row 0 and inside row 1, which is the better one to judge it by.
        let logits = logits(&windows, &[(0, 6, 9.0, 9.0), (1, 4, 1.0, 1.0)]);
        let answers = AnswerSearch::default().search(&squad, &windows, &logits);
        let grinds = answers[0].iter().find(|answer| answer.text == "grinds").unwrap();
        assert!((grinds.start_logit - 1.0).abs() < f32::EPSILON);
    }

    #[test]
    fn an_answer_is_short_forward_and_inside_the_context() {
        let squad = samples::squad(TEXT, "who grinds rye", None);
        let windows = Windows::cut(&squad, &samples::encoder(), &WindowConfig::default()).unwrap();
        // Starts: question, `wheat` (11); ends: `the` (5), `wheat`, `dawn` (13), the closing `[SEP]`.
        let logits = logits(
            &windows,
            &[
                (0, 1, 9.0, 0.0),
                (0, 5, 0.0, 7.0),
                (0, 11, 8.0, 5.0),
                (0, 13, 0.0, 6.0),
                (0, 15, 0.0, 9.0),
            ],
        );
        let best = |max_answer_tokens| {
            let search = AnswerSearch { n_best: 4, max_answer_tokens };
            search.search(&squad, &windows, &logits)[0].first().unwrap().text.clone()
        };
        assert_eq!(best(30), "wheat at dawn");
        assert_eq!(best(2), "wheat");
    }

    #[test]
    fn without_a_span_the_answer_is_empty() {
        let squad = samples::squad(TEXT, "what", None);
        let windows = Windows::cut(&squad, &samples::encoder(), &WindowConfig::default()).unwrap();
        let logits = logits(&windows, &[(0, 0, 9.0, 9.0)]);
        let search = AnswerSearch { n_best: 1, max_answer_tokens: 30 };
        let answers = search.search(&squad, &windows, &logits);
        assert!(answers[0].is_empty());
        assert_eq!(predictions(&squad, &answers)["q"], "");
        let diverged = vec![SpanLogits { start: vec![f32::NAN; 14], end: vec![f32::NAN; 14] }];
        assert!(AnswerSearch::default().search(&squad, &windows, &diverged)[0].is_empty());
    }

    #[test]
    fn one_text_is_kept_once() {
        let squad = samples::squad("rye and rye and rye", "what", None);
        let windows = Windows::cut(&squad, &samples::encoder(), &WindowConfig::default()).unwrap();
        let answers = AnswerSearch::default().search(&squad, &windows, &logits(&windows, &[]));
        let mut found = texts(&answers[0]);
        found.sort_unstable();
        let all = found.len();
        found.dedup();
        assert_eq!(found.len(), all);
        assert!(found.contains(&"rye and rye"));
    }
}
