//! Rows of tagged texts: the tokens of their words, where long texts are overlapping windows, and how the outputs of rows
//! become those of words.
//!
//! As in `run_ner.py` of transformers, the first token of a word has the word's tag and the others are ignored,
//! <https://github.com/huggingface/transformers/blob/v4.57.6/examples/pytorch/token-classification/run_ner.py>.
//! That script cuts long texts; here every word is in a window, and the window in which its first token has the most
//! context gives its tag.

use std::ops::Range;

use rayon::prelude::*;

use super::TaggedText;
use crate::error::DataError;
use crate::task_kind::{Label, token_logits};
use crate::tokenized_dataset::{Encoded, TokenizedDataset};
use crate::tokens::{TextEncoder, WordEncoder, WordTokens};
use crate::windows::{max_contexts, spans};

/// The rows of texts, with the words of which each row has the tags.
#[derive(Debug, Clone)]
pub struct WordWindows {
    rows: TokenizedDataset,
    /// The words of each row.
    of_rows: Vec<Vec<RowWord>>,
    /// The rows of each text; none if no word has a token.
    rows_of_texts: Vec<Range<usize>>,
    /// The number of words of each text.
    words: Vec<usize>,
}

/// A word whose tag a row gives.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RowWord {
    /// The position of its first token in the row.
    pub position: usize,
    /// The index of the word in its text.
    pub word: usize,
}

impl WordWindows {
    /// Tokenizes texts, in parallel. Two windows of a long text share a quarter of their tokens.
    ///
    /// A row has no window with words of which another one gives the tags. Rows of texts without tags have no label. A word
    /// without tokens, such as a control character, is in no row.
    ///
    /// # Errors
    /// If a text cannot be tokenized, or a row has no room for a word.
    pub fn cut(texts: &[TaggedText], encoder: &TextEncoder) -> Result<Self, DataError> {
        let encoder = encoder.words()?;
        let length = encoder.max_length.saturating_sub(encoder.frame.tokens());
        if length == 0 {
            return Err(DataError::Tokenize {
                reason: format!("a row of {} tokens has no room for a word", encoder.max_length),
            });
        }
        let cut: Vec<Vec<(Encoded, Vec<RowWord>)>> = texts
            .par_iter()
            .map(|text| {
                let words: Vec<&str> =
                    text.words.iter().map(|word| &text.text[word.clone()]).collect();
                Ok(rows_of_text(&encoder.encode(&words)?, text.tags.as_deref(), &encoder, length))
            })
            .collect::<Result<_, DataError>>()?;
        let mut next = 0;
        let rows_of_texts = cut.iter().map(|rows| {
            let start = next;
            next += rows.len();
            start..next
        });
        let rows_of_texts: Vec<_> = rows_of_texts.collect();
        let windows = rows_of_texts.iter().filter(|rows| rows.len() > 1).count();
        let (rows, of_rows) = cut.into_iter().flatten().unzip::<_, _, Vec<_>, Vec<_>>();
        Ok(Self {
            rows: TokenizedDataset::from(rows).padded_with(encoder.pad_id).with_cut(windows),
            of_rows,
            rows_of_texts,
            words: texts.iter().map(|text| text.words.len()).collect(),
        })
    }

    /// All rows; those of a text are in its order. The number of texts that are several rows is their
    /// [`cut`](TokenizedDataset::cut).
    pub fn rows(&self) -> &TokenizedDataset {
        &self.rows
    }

    /// The words of each row.
    pub fn words(&self) -> &[Vec<RowWord>] {
        &self.of_rows
    }

    /// The number of texts.
    pub fn texts(&self) -> usize {
        self.words.len()
    }

    /// The rows of a text.
    pub fn of_text(&self, text: usize) -> Range<usize> {
        self.rows_of_texts[text].clone()
    }

    /// The logits of each word of a text, from those of its rows; none for a word without tokens.
    ///
    /// The logits of a row are of `outputs` tags, the first at all positions, then the second, and so on.
    ///
    /// # Panics
    /// If `rows` are not as many as the rows of the text, or a row has fewer positions than tokens.
    pub fn logits_of_text(
        &self,
        text: usize,
        rows: &[&[f32]],
        outputs: usize,
    ) -> Vec<Option<Vec<f32>>> {
        let of_text = self.of_text(text);
        assert_eq!(rows.len(), of_text.len(), "logits for each row of the text");
        let mut words = vec![None; self.words[text]];
        for (logits, row) in rows.iter().zip(of_text) {
            let tokens: Vec<Vec<f32>> = token_logits(logits, outputs).collect();
            for RowWord { position, word } in &self.of_rows[row] {
                words[*word] = Some(tokens[*position].clone());
            }
        }
        words
    }
}

fn rows_of_text(
    tokens: &WordTokens,
    tags: Option<&[usize]>,
    encoder: &WordEncoder,
    length: usize,
) -> Vec<(Encoded, Vec<RowWord>)> {
    let frame = &encoder.frame;
    let overlap = length / 4;
    let spans = spans(tokens.ids.len(), length, length - overlap);
    let is_first = |token: usize| token == 0 || tokens.words[token - 1] != tokens.words[token];
    let rows = spans.iter().zip(max_contexts(&spans)).filter_map(|(span, own)| {
        let words: Vec<RowWord> = own
            .filter(|token| is_first(*token))
            .map(|token| RowWord {
                position: frame.before.len() + token - span.start,
                word: tokens.words[token],
            })
            .collect();
        // A window inside of one long word gives no tag.
        if words.is_empty() {
            return None;
        }
        let text = tokens.ids[span.clone()].iter().map(|id| (*id, frame.text_type));
        let row = frame.before.iter().copied().chain(text).chain(frame.after.iter().copied());
        let (ids, type_ids): (Vec<u32>, Vec<u32>) = row.unzip();
        let label = tags.map(|tags| {
            let mut of_tokens = vec![None; ids.len()];
            for RowWord { position, word } in &words {
                of_tokens[*position] = Some(tags[*word]);
            }
            Label::Tags(of_tokens)
        });
        Some((Encoded { ids, type_ids, label }, words))
    });
    rows.collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// A tokenizer that splits words into letters: `[CLS]` is 2, `[SEP]` is 3, `a` is 5 and a later `a` 6.
    fn encoder(max_length: usize) -> TextEncoder {
        let letters = ('a'..='e').flat_map(|letter| [letter.to_string(), format!("##{letter}")]);
        let special = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"].map(str::to_owned);
        let vocabulary: Vec<String> = special.into_iter().chain(letters).collect();
        let directory = tempfile::tempdir().unwrap();
        std::fs::write(directory.path().join("vocab.txt"), vocabulary.join("\n")).unwrap();
        TextEncoder::from_directory(directory.path(), max_length).unwrap()
    }

    fn text(words: &[&str], tags: Option<Vec<usize>>) -> TaggedText {
        let mut text = String::new();
        let words = words.iter().map(|word| {
            let start = text.len();
            text += word;
            start..text.len()
        });
        TaggedText { words: words.collect(), text, tags, line: 1 }
    }

    #[test]
    fn the_first_token_of_a_word_has_its_tag() {
        let texts = [text(&["ab", "\u{7}", "c"], Some(vec![1, 2, 0]))];
        let windows = WordWindows::cut(&texts, &encoder(16)).unwrap();
        let [row] = windows.rows().rows() else { panic!("the text is short") };
        assert_eq!(row.ids, [2, 5, 8, 9, 3]);
        assert_eq!(row.label, Some(Label::Tags(vec![None, Some(1), None, Some(0), None])));
        assert_eq!(windows.words()[0].len(), 2);
        // The logits of two tags: those of the first at all positions, and then of the second.
        let logits = [0.0, 1.0, 2.0, 3.0, 4.0, 10.0, 11.0, 12.0, 13.0, 14.0];
        let words = windows.logits_of_text(0, &[&logits], 2);
        assert_eq!(words, [Some(vec![1.0, 11.0]), None, Some(vec![3.0, 13.0])]);
        assert_eq!((windows.texts(), windows.rows().cut()), (1, 0));
    }

    #[test]
    fn a_text_without_tokens_has_no_row() {
        let texts = [text(&["\u{7}"], None), text(&[], None), text(&["a"], None)];
        let windows = WordWindows::cut(&texts, &encoder(8)).unwrap();
        assert_eq!([0, 1, 2].map(|text| windows.of_text(text)), [0..0, 0..0, 0..1]);
        assert_eq!(windows.rows().rows()[0].label, None);
        assert_eq!(windows.logits_of_text(0, &[], 2), [None]);
    }

    #[test]
    fn a_long_text_is_cut_into_windows() {
        let encoder = encoder(4);
        // [CLS], two tokens and [SEP].
        let windows = WordWindows::cut(&[text(&["a", "b", "c"], None)], &encoder).unwrap();
        assert_eq!(windows.rows().lengths(), [4, 3]);
        assert_eq!(windows.rows().cut(), 1);
    }

    proptest! {
        #[test]
        fn every_word_is_in_one_row_with_its_tag(
            words in prop::collection::vec("[a-e]{1,9}|\u{7}", 0..40),
            max_length in 4..24_usize,
        ) {
            let of: Vec<&str> = words.iter().map(String::as_str).collect();
            let tags: Vec<usize> = (0..words.len()).collect();
            let windows = WordWindows::cut(&[text(&of, Some(tags))], &encoder(max_length)).unwrap();
            let mut found = Vec::new();
            for (row, own) in windows.rows().rows().iter().zip(windows.words()) {
                prop_assert!(row.ids.len() <= max_length && !own.is_empty());
                prop_assert_eq!((row.ids[0], row.ids[row.ids.len() - 1]), (2, 3));
                let Some(Label::Tags(tags)) = &row.label else { panic!("the text has tags") };
                for (position, tag) in tags.iter().enumerate() {
                    let expected = own.iter().find(|word| word.position == position);
                    prop_assert_eq!(*tag, expected.map(|word| word.word));
                    if let Some(tag) = tag {
                        let letter = words[*tag].as_bytes()[0];
                        prop_assert_eq!(row.ids[position], 5 + 2 * u32::from(letter - b'a'));
                        found.push(*tag);
                    }
                }
            }
            let expected: Vec<usize> = (0..words.len()).filter(|word| words[*word] != "\u{7}").collect();
            prop_assert_eq!(found, expected);
        }
    }
}
