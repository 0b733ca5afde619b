//! Questions as pairs of question and window, `[CLS] question [SEP] window [SEP]` for a BERT; long contexts are split into
//! overlapping windows.
//!
//! `convert_examples_to_features` in the reference code,
//! <https://github.com/google-research/bert/blob/1cd50d7aa7d26638e05eb5b8a282b30cc92c6eb6/run_squad.py>.
//! The reference finds the tokens of an answer by comparing texts; here the tokenizer's offsets give the position of each
//! token, and the tokens that overlap an answer are its tokens. The two differ only if an answer ends inside a word of
//! several pieces: the reference takes the whole word, and the offsets give the pieces.

use std::ops::Range;

use rayon::prelude::*;

use super::questions::Squad;
use crate::error::{DataError, SquadError};
use crate::task_kind::Label;
use crate::tokenized_dataset::{Encoded, TokenizedDataset};
use crate::tokenizer::frame::PairFrame;
use crate::tokens::{Pieces, TextEncoder};
use crate::windows::{max_contexts, spans};

/// The sizes of windows, in tokens.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct WindowConfig {
    /// Maximum length of a row, including question and special tokens.
    pub max_length: usize,
    /// Distance between the starts of two windows.
    pub doc_stride: usize,
    /// Length to which longer questions are truncated.
    pub max_question: usize,
}

impl Default for WindowConfig {
    /// The sizes of the reference.
    fn default() -> Self {
        Self::of_length(384)
    }
}

impl WindowConfig {
    /// Rows of `max_length` tokens with the reference's stride of 128 and questions of 64 tokens; both are smaller for short
    /// rows, to leave room for the context.
    pub fn of_length(max_length: usize) -> Self {
        Self {
            max_length,
            doc_stride: (max_length / 3).min(128),
            max_question: (max_length / 4).min(64),
        }
    }

    /// # Errors
    /// If a window has no room for the context, or the stride is 0.
    fn check(&self, special_tokens: usize) -> Result<(), DataError> {
        if self.max_length <= self.max_question + special_tokens || self.doc_stride == 0 {
            return Err(SquadError::Windows {
                max_length: self.max_length,
                max_question: self.max_question,
                special_tokens,
                doc_stride: self.doc_stride,
            }
            .into());
        }
        Ok(())
    }
}

/// The rows of questions, with the positions of their tokens in the text.
#[derive(Debug, Clone)]
pub struct Windows {
    rows: TokenizedDataset,
    /// The window of each row.
    of_rows: Vec<Window>,
    /// The rows of each question; none if the context has no token.
    rows_of_questions: Vec<Range<usize>>,
    /// The bytes of each token of each paragraph.
    offsets: Vec<Vec<Range<usize>>>,
}

/// The window of a row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Window {
    /// The index of the question.
    pub question: usize,
    /// The positions of the context in the row.
    pub context: Range<usize>,
    /// The index of the window's first token in the paragraph.
    pub first_token: usize,
    /// The positions whose tokens have their maximum context in this window.
    pub max_context: Range<usize>,
    /// Whether the position of the question's answer is known, so that the row can be used for training.
    pub is_labeled: bool,
}

impl Windows {
    /// Tokenizes questions and splits their contexts, in parallel.
    ///
    /// As in the reference, the label of a row is the span of the question's first answer, or the first token if the
    /// answer is not entirely in the window, or not known.
    ///
    /// # Errors
    /// If a window has no room for a context, or a text cannot be tokenized.
    pub fn cut(
        squad: &Squad,
        encoder: &TextEncoder,
        config: &WindowConfig,
    ) -> Result<Self, DataError> {
        let encoder = encoder.pieces()?;
        config.check(encoder.frame.tokens())?;
        let contexts = squad.paragraphs.par_iter();
        let contexts: Vec<Pieces> = contexts
            .map(|paragraph| encoder.encode(&paragraph.context))
            .collect::<Result<_, _>>()?;
        let questions = squad.questions.par_iter().enumerate();
        let cut: Vec<Vec<(Encoded, Window)>> = questions
            .map(|(index, question)| {
                let context = &contexts[question.paragraph];
                let answer = question.answers.first().and_then(|answer| answer.span.clone());
                let answer = answer.and_then(|bytes| overlapping(&context.offsets, bytes));
                let mut tokens = encoder.encode(&question.text)?.ids;
                tokens.truncate(config.max_question);
                Ok(rows_of_question(index, &tokens, context, answer, &encoder.frame, config))
            })
            .collect::<Result<_, DataError>>()?;

        let mut next = 0;
        let rows_of_questions = cut.iter().map(|rows| {
            let start = next;
            next += rows.len();
            start..next
        });
        let rows_of_questions = rows_of_questions.collect();
        let (rows, windows) = cut.into_iter().flatten().unzip::<_, _, Vec<_>, Vec<_>>();
        Ok(Self {
            rows: TokenizedDataset::from(rows).padded_with(encoder.pad_id),
            of_rows: windows,
            rows_of_questions,
            offsets: contexts.into_iter().map(|context| context.offsets).collect(),
        })
    }

    /// All rows; those of a question are in the order of the context.
    pub fn rows(&self) -> &TokenizedDataset {
        &self.rows
    }

    /// The training rows: those of questions with an answer at its published position.
    pub fn training_rows(&self) -> TokenizedDataset {
        let rows = self.rows.rows().iter().zip(&self.of_rows);
        let is_labeled = rows.filter(|(_, window)| window.is_labeled).map(|(row, _)| row.clone());
        TokenizedDataset::from(is_labeled.collect::<Vec<_>>()).padded_with(self.rows.pad_id())
    }

    /// The window of each row.
    pub fn windows(&self) -> &[Window] {
        &self.of_rows
    }

    /// The rows of a question.
    pub fn of_question(&self, question: usize) -> Range<usize> {
        self.rows_of_questions[question].clone()
    }

    /// The number of training rows whose label is the first token, because the answer is not entirely in them.
    pub fn without_their_answer(&self) -> usize {
        let rows = self.rows.rows().iter().zip(&self.of_rows);
        rows.filter(|(row, window)| window.is_labeled && row.label == Some(OUTSIDE)).count()
    }

    /// The bytes of the context for the tokens at some positions of a row.
    ///
    /// # Panics
    /// If there are no positions, or one is not of the context.
    pub(super) fn bytes(&self, squad: &Squad, row: usize, positions: Range<usize>) -> Range<usize> {
        let window = &self.of_rows[row];
        let question = &squad.questions[window.question];
        let token = |position| {
            &self.offsets[question.paragraph][position - window.context.start + window.first_token]
        };
        let (context, last) = (squad.context(question), positions.end - 1);
        // The offsets of some tokenizers are inside characters, and those of others include the space before a word.
        let start = context.floor_char_boundary(token(positions.start).start);
        let end = context.ceil_char_boundary(token(last).end);
        let text = &context[start..end];
        let start = end - text.trim_start().len();
        start..start + text.trim().len()
    }
}

/// The label of a window without the whole answer: the first token, `[CLS]` for a BERT.
const OUTSIDE: Label = Label::Span { start: 0, end: 0 };

fn rows_of_question(
    question: usize,
    question_ids: &[u32],
    context: &Pieces,
    answer: Option<Range<usize>>,
    frame: &PairFrame,
    config: &WindowConfig,
) -> Vec<(Encoded, Window)> {
    let spans = spans(
        context.ids.len(),
        config.max_length - question_ids.len() - frame.tokens(),
        config.doc_stride,
    );
    let first_position = frame.before.len() + question_ids.len() + frame.between.len();
    let position = |token: usize, span: &Range<usize>| token - span.start + first_position;
    let typed = |ids: &[u32], kind| ids.iter().map(|id| (*id, kind)).collect::<Vec<_>>();
    let question_tokens = typed(question_ids, frame.first_type);
    let rows = spans.iter().zip(max_contexts(&spans)).map(|(span, max_context)| {
        let window_tokens = typed(&context.ids[span.clone()], frame.second_type);
        let parts = [&frame.before, &question_tokens, &frame.between, &window_tokens, &frame.after];
        let (ids, type_ids) = parts.into_iter().flatten().copied().unzip();
        let inside =
            answer.as_ref().filter(|answer| span.start <= answer.start && answer.end <= span.end);
        let label = inside.map_or(OUTSIDE, |answer| Label::Span {
            start: position(answer.start, span),
            end: position(answer.end - 1, span),
        });
        let row = Encoded { ids, type_ids, label: Some(label) };
        let window = Window {
            question,
            context: first_position..first_position + span.len(),
            first_token: span.start,
            max_context: position(max_context.start, span)..position(max_context.end, span),
            is_labeled: answer.is_some(),
        };
        (row, window)
    });
    rows.collect()
}

/// The tokens that overlap a range of bytes.
fn overlapping(offsets: &[Range<usize>], bytes: Range<usize>) -> Option<Range<usize>> {
    let start = offsets.partition_point(|token| token.end <= bytes.start);
    let end = offsets.partition_point(|token| token.start < bytes.end);
    (start < end).then_some(start..end)
}

#[cfg(test)]
mod tests {
    use super::super::samples;
    use super::*;

    const TEXT: &str = "The old mill grinds rye and wheat at dawn.";

    fn cut(squad: &Squad, max_length: usize, doc_stride: usize) -> Windows {
        let config = WindowConfig { max_length, doc_stride, max_question: 3 };
        Windows::cut(squad, &samples::encoder(), &config).unwrap()
    }

    #[test]
    fn a_row_is_question_and_context() {
        let squad = samples::squad(TEXT, "who grinds rye and wheat ?", Some("rye"));
        let windows = cut(&squad, 32, 8);
        let [row] = windows.rows().rows() else { panic!("the context is short") };
        // [CLS] who grinds rye [SEP] the old mill grinds rye and wheat at dawn . [SEP]: the question is cut at 3.
        assert_eq!(row.ids, [2, 14, 8, 9, 3, 5, 6, 7, 8, 9, 10, 11, 12, 13, 18, 3]);
        assert_eq!(row.type_ids, [[0; 5].as_slice(), &[1; 11]].concat());
        assert_eq!(row.label, Some(Label::Span { start: 9, end: 9 }));
        assert_eq!(
            windows.windows(),
            [Window {
                question: 0,
                context: 5..15,
                first_token: 0,
                max_context: 5..15,
                is_labeled: true
            }]
        );
        assert_eq!(&TEXT[windows.bytes(&squad, 0, 5..8)], "The old mill");
    }

    #[test]
    fn a_long_context_is_cut_into_windows_that_overlap() {
        let squad = samples::squad(TEXT, "what", Some("rye and wheat"));
        // 4 tokens of context each: 0..4, 2..6, 4..8, 6..10; the answer is 4..7.
        let windows = cut(&squad, 8, 2);
        let labels: Vec<_> =
            windows.rows().rows().iter().map(|row| row.label.clone().unwrap()).collect();
        assert_eq!(labels, [OUTSIDE, OUTSIDE, Label::Span { start: 3, end: 5 }, OUTSIDE]);
        assert_eq!(windows.without_their_answer(), 3);
        assert_eq!(windows.of_question(0), 0..4);
        let best: Vec<_> = windows.windows().iter().map(|window| &window.max_context).collect();
        // A token at the edges of two windows belongs to the first.
        assert_eq!(best, [&(3..6), &(4..6), &(4..6), &(4..7)]);
    }

    #[test]
    fn the_tokens_that_overlap_an_answer_are_its_label() {
        let squad = samples::squad("Café (rye-wheat), zoo.", "what", Some("wheat"));
        let windows = cut(&squad, 32, 8);
        let Some(Label::Span { start, end }) = windows.rows().rows()[0].label.clone() else {
            panic!("the answer is in its place")
        };
        assert_eq!(
            squad.context(&squad.questions[0])[windows.bytes(&squad, 0, start..end + 1)],
            *"wheat"
        );
        // An accent is gone from the token and not from the text.
        assert_eq!(windows.bytes(&squad, 0, 3..4), 0.."Café".len());

        let part = samples::squad("the zoo", "what", Some("zo"));
        let label = cut(&part, 32, 8).rows().rows()[0].label.clone();
        assert_eq!(label, Some(Label::Span { start: 4, end: 5 }));
    }

    #[test]
    fn a_misplaced_answer_is_not_used_for_training() {
        let windows = cut(&samples::squad(TEXT, "what", Some("barley")), 8, 2);
        assert_eq!(windows.rows().rows().len(), 4);
        assert_eq!(windows.training_rows().rows().len(), 0);
        assert_eq!(windows.without_their_answer(), 0);
        let placed = cut(&samples::squad(TEXT, "what", Some("rye")), 8, 2);
        assert_eq!(placed.training_rows().rows().len(), 4);
    }

    #[test]
    fn an_empty_context_has_no_row() {
        let windows = cut(&samples::squad(" ", "what", None), 8, 2);
        assert_eq!((windows.of_question(0), windows.rows().rows().len()), (0..0, 0));
    }

    #[test]
    fn windows_without_room_are_refused() {
        let squad = samples::squad(TEXT, "what", None);
        let check = |max_length, doc_stride| {
            let config = WindowConfig { max_length, doc_stride, max_question: 64 };
            Windows::cut(&squad, &samples::encoder(), &config).unwrap_err().to_string()
        };
        assert!(check(67, 128).contains("67 tokens"), "{}", check(67, 128));
        assert!(check(384, 0).contains("at least 1"), "{}", check(384, 0));
    }
}
