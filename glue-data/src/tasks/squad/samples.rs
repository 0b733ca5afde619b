//! A vocabulary and questions for tests.

use super::questions::{Answer, Paragraph, Question, Squad};
use crate::tokens::TextEncoder;

/// A tokenizer that knows these words and splits others into letters: `[CLS]` is 2 and `[SEP]` is 3.
pub(super) fn encoder() -> TextEncoder {
    let words = "[PAD] [UNK] [CLS] [SEP] [MASK] the old mill grinds rye and wheat at dawn who what when ? . , cafe";
    let letters = ('a'..='z').flat_map(|letter| [letter.to_string(), format!("##{letter}")]);
    let vocabulary: Vec<String> = words.split(' ').map(str::to_owned).chain(letters).collect();
    let directory = tempfile::tempdir().unwrap();
    std::fs::write(directory.path().join("vocab.txt"), vocabulary.join("\n")).unwrap();
    // Shorter than any window: the truncation of the encoder must not apply to windows.
    TextEncoder::from_directory(directory.path(), 4).unwrap()
}

/// One question about one paragraph; the span is the first occurrence of the answer.
pub(super) fn squad(context: &str, question: &str, answer: Option<&str>) -> Squad {
    let answers = answer.map(|text| Answer {
        text: text.to_owned(),
        span: context.find(text).map(|start| start..start + text.len()),
    });
    Squad {
        paragraphs: vec![Paragraph { title: String::new(), context: context.to_owned() }],
        questions: vec![Question {
            id: "q".to_owned(),
            text: question.to_owned(),
            paragraph: 0,
            answers: answers.into_iter().collect(),
        }],
    }
}
