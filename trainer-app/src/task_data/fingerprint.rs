//! Fingerprints of the rows of a task, which do not depend on where the files are.

use glue_data::tagging::TaggedText;
use glue_data::tasks::squad::Squad;
use glue_data::{Example, Label, TaskKind};
use sha2::{Digest, Sha256};

use crate::system::digest::hexadecimal;

/// The SHA-256 of the labels of a task and the rows of its splits, in lower-case hexadecimal digits.
pub(super) fn of_rows<'a>(
    kind: &TaskKind,
    splits: impl IntoIterator<Item = &'a Vec<Example>>,
) -> String {
    let mut hasher = Sha256::new();
    match kind.labels() {
        Some(labels) => labels.iter().for_each(|label| text(&mut hasher, label)),
        None => text(&mut hasher, "score"),
    }
    for rows in splits {
        number(&mut hasher, rows.len());
        rows.iter().for_each(|row| example(&mut hasher, row));
    }
    hexadecimal(&hasher.finalize())
}

/// The SHA-256 of files of questions.
pub(super) fn of_questions<'a>(files: impl IntoIterator<Item = &'a Squad>) -> String {
    let mut hasher = Sha256::new();
    for Squad { paragraphs, questions } in files {
        number(&mut hasher, paragraphs.len());
        paragraphs.iter().for_each(|paragraph| text(&mut hasher, &paragraph.context));
        number(&mut hasher, questions.len());
        for question in questions {
            text(&mut hasher, &question.id);
            text(&mut hasher, &question.text);
            number(&mut hasher, question.paragraph);
            number(&mut hasher, question.answers.len());
            for answer in &question.answers {
                text(&mut hasher, &answer.text);
                number(&mut hasher, answer.span.as_ref().map_or(usize::MAX, |span| span.start));
            }
        }
    }
    hexadecimal(&hasher.finalize())
}

/// The SHA-256 of the labels of a task and the tagged texts of its splits.
pub(super) fn of_tagged<'a>(
    labels: &[String],
    splits: impl IntoIterator<Item = &'a Vec<TaggedText>>,
) -> String {
    let mut hasher = Sha256::new();
    labels.iter().for_each(|label| text(&mut hasher, label));
    for texts in splits {
        number(&mut hasher, texts.len());
        for tagged in texts {
            text(&mut hasher, &tagged.text);
            number(&mut hasher, tagged.words.len());
            for word in &tagged.words {
                number(&mut hasher, word.start);
                number(&mut hasher, word.end);
            }
            for tag in tagged.tags.iter().flatten() {
                number(&mut hasher, *tag);
            }
        }
    }
    hexadecimal(&hasher.finalize())
}

fn example(hasher: &mut Sha256, row: &Example) {
    text(hasher, &row.text);
    // A pair with an empty second text differs from a single text.
    number(hasher, usize::from(row.text2.is_some()));
    text(hasher, row.text2.as_deref().unwrap_or_default());
    hasher.update(Label::bytes(row.label.as_ref()));
}

/// A text preceded by its length, so that different lists of texts are different bytes.
fn text(hasher: &mut Sha256, text: &str) {
    number(hasher, text.len());
    hasher.update(text);
}

fn number(hasher: &mut Sha256, number: usize) {
    hasher.update((number as u64).to_le_bytes());
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rows(text: &str, text2: Option<&str>, label: Label) -> String {
        let row =
            Example { text: text.to_owned(), text2: text2.map(str::to_owned), label: Some(label) };
        let labels = vec!["no".to_owned(), "yes".to_owned()];
        of_rows(&TaskKind::Classification { labels }, [&vec![row], &Vec::new()])
    }

    #[test]
    fn every_part_of_a_row_changes_the_fingerprint() {
        let all = [
            rows("a b", None, Label::Class(0)),
            rows("a b", None, Label::Class(1)),
            rows("a b", Some(""), Label::Class(0)),
            rows("a", Some("b"), Label::Class(0)),
            rows("ab", None, Label::Class(0)),
        ];
        let different: std::collections::BTreeSet<&String> = all.iter().collect();
        assert_eq!(different.len(), all.len());
        assert_eq!(all[0], rows("a b", None, Label::Class(0)));
    }
}
