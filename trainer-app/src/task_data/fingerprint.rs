//! What tells the rows of a task from other rows of its name, wherever the files are.

use glue_data::tasks::squad::Squad;
use glue_data::{Example, Label, Labels};
use sha2::{Digest, Sha256};

use crate::download::http::hexadecimal;
use crate::task_data::rows::TaskRows;

/// The SHA-256 of a task's labels and rows, in lower-case hexadecimal digits.
pub fn of_rows(rows: &TaskRows) -> String {
    let mut hasher = Sha256::new();
    match &rows.task.labels {
        Labels::Classes(names) => names.iter().for_each(|name| text(&mut hasher, name)),
        Labels::Score => text(&mut hasher, "score"),
    }
    let parts = [&rows.train, &rows.validation];
    for part in parts.into_iter().chain(rows.eval_splits.iter().map(|(_, part)| part)) {
        number(&mut hasher, part.len());
        part.iter().for_each(|row| example(&mut hasher, row));
    }
    hexadecimal(&hasher.finalize())
}

/// The SHA-256 of files of questions.
pub fn of_questions<'a>(files: impl IntoIterator<Item = &'a Squad>) -> String {
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
                number(&mut hasher, answer.place.as_ref().map_or(usize::MAX, |place| place.start));
            }
        }
    }
    hexadecimal(&hasher.finalize())
}

fn example(hasher: &mut Sha256, row: &Example) {
    text(hasher, &row.text);
    // A pair with an empty second text is another row than a single text.
    number(hasher, usize::from(row.text2.is_some()));
    text(hasher, row.text2.as_deref().unwrap_or_default());
    match row.label {
        None => hasher.update([0]),
        Some(Label::Class(class)) => {
            hasher.update([1]);
            number(hasher, class);
        }
        Some(Label::Score(score)) => {
            hasher.update([2]);
            hasher.update(score.to_le_bytes());
        }
        Some(Label::Span { start, end }) => {
            hasher.update([3]);
            number(hasher, start);
            number(hasher, end);
        }
    }
}

/// A text after its length, so that no two lists of texts are the same bytes.
fn text(hasher: &mut Sha256, text: &str) {
    number(hasher, text.len());
    hasher.update(text);
}

fn number(hasher: &mut Sha256, number: usize) {
    hasher.update((number as u64).to_le_bytes());
}

#[cfg(test)]
mod tests {
    use glue_data::{Metric, Task};

    use super::*;

    fn rows(text: &str, text2: Option<&str>, label: Label) -> TaskRows {
        let row =
            Example { text: text.to_owned(), text2: text2.map(str::to_owned), label: Some(label) };
        TaskRows {
            task: Task {
                name: "a task".to_owned(),
                labels: Labels::Classes(vec!["no".to_owned(), "yes".to_owned()]),
                metrics: vec![Metric::Accuracy],
            },
            train: vec![row],
            validation: Vec::new(),
            eval_splits: Vec::new(),
            notes: Vec::new(),
            fingerprint: None,
        }
    }

    #[test]
    fn every_part_of_a_row_counts() {
        let all = [
            of_rows(&rows("a b", None, Label::Class(0))),
            of_rows(&rows("a b", None, Label::Class(1))),
            of_rows(&rows("a b", Some(""), Label::Class(0))),
            of_rows(&rows("a", Some("b"), Label::Class(0))),
            of_rows(&rows("ab", None, Label::Class(0))),
        ];
        let different: std::collections::BTreeSet<&String> = all.iter().collect();
        assert_eq!(different.len(), all.len());
        assert_eq!(all[0], of_rows(&rows("a b", None, Label::Class(0))));
    }
}
