//! A task of a user's own files.

use std::path::{Path, PathBuf};

use crate::error::DataError;
use crate::label_columns::{LabelColumns, LabeledRow};
use crate::rows::{Example, Row};
use crate::tabular::{parse_columns, read_columns};
use crate::task::Task;
use crate::task_kind::{Label, TaskKind};
use crate::tasks::hold_out::hold_out;
use crate::tasks::notes::{self, Note};

/// The files of a user's own task, and their columns.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CustomFiles {
    /// The name of the task.
    pub name: String,
    /// Training rows.
    pub train: PathBuf,
    /// Validation rows. Without them a tenth of the training rows of each class is held out, but never the only row of
    /// a class.
    pub validation: Option<PathBuf>,
    /// Test rows.
    pub test: Option<PathBuf>,
    /// Column of the text.
    pub text: String,
    /// Column of the second text of a pair.
    pub text2: Option<String>,
    /// Columns of the label, or of the labels.
    pub labels: LabelColumns,
    /// Whether labels are numbers and not classes.
    pub score: bool,
}

/// A user's own task with its rows.
#[derive(Debug, Clone, PartialEq)]
pub struct CustomTask {
    /// The classes are those of the training rows, sorted; columns of labels keep their order.
    pub task: Task,
    /// Training rows.
    pub train: Vec<Example>,
    /// Validation rows.
    pub validation: Vec<Example>,
    /// Test rows; empty without a file.
    pub test: Vec<Example>,
    /// Warnings about the files.
    pub notes: Vec<Note>,
}

impl CustomFiles {
    /// Reads the files; `seed` chooses the rows that are held out.
    ///
    /// # Errors
    /// If a file is missing, malformed or empty, a column is missing, labels differ in their form alone, a label does not
    /// occur in the training rows, there is only one class, no row of a file has one of several labels, or no row can be
    /// held out.
    pub fn read(&self, seed: u64) -> Result<CustomTask, DataError> {
        let columns =
            RowColumns { text: &self.text, text2: self.text2.as_deref(), labels: &self.labels };
        let rows = columns.read(&self.train)?;
        let kind =
            if self.score { TaskKind::Regression } else { self.labels.kind(&self.train, &rows)? };
        let note = match &kind {
            TaskKind::Classification { labels } => {
                notes::look_like_scores(&self.train, labels, rows.len())
            }
            _ => None,
        };
        let mut notes: Vec<Note> = note.into_iter().collect();
        notes.extend(notes::no_separator(&self.train, &self.labels, &rows));
        let mut examples = |rows: Vec<LabeledRow>, path: &Path| {
            let rows = columns.parse(rows, path, &kind)?;
            notes.extend(notes::blank_texts(path, &rows));
            Ok::<Vec<Example>, DataError>(rows.into_iter().map(|(_, example)| example).collect())
        };
        let train = examples(rows, &self.train)?;
        let mut read = |path: &PathBuf| examples(columns.read(path)?, path);
        let validation = self.validation.as_ref().map(&mut read).transpose()?;
        let test = self.test.as_ref().map(&mut read).transpose()?.unwrap_or_default();
        notes.extend(notes::one_score(&self.train, &train));
        if let (Some(path), Some(rows)) = (&self.validation, &validation) {
            notes.extend(notes::one_score(path, rows));
        }
        let (train, validation) = match validation {
            Some(rows) => (train, rows),
            None => hold_out(&self.train, train, seed)?,
        };
        let task = Task::new(self.name.clone(), kind);
        Ok(CustomTask { task, train, validation, test, notes })
    }
}

/// The columns of rows with labels.
struct RowColumns<'a> {
    text: &'a str,
    text2: Option<&'a str>,
    labels: &'a LabelColumns,
}

impl RowColumns<'_> {
    fn read(&self, path: &Path) -> Result<Vec<LabeledRow>, DataError> {
        let texts: Vec<&str> = [self.text].into_iter().chain(self.text2).collect();
        self.labels.read(path, &texts)
    }

    /// Parses the labels of rows; each comes with the line on which it begins.
    fn parse(
        &self,
        rows: Vec<LabeledRow>,
        path: &Path,
        kind: &TaskKind,
    ) -> Result<Vec<(usize, Example)>, DataError> {
        let rows = self.labels.parse(rows, path, kind)?;
        Ok(rows.into_iter().map(|(label, texts)| example(texts, Some(label))).collect())
    }
}

/// A row of texts with its label, and the line on which it begins.
fn example(Row { fields, line }: Row, label: Option<Label>) -> (usize, Example) {
    let mut fields = fields.into_iter();
    let text = fields.next().unwrap_or_default();
    (line, Example { text, text2: fields.next(), label })
}

/// Reads labeled rows of a file, with a note if texts are blank.
///
/// # Errors
/// As [`CustomFiles::read`].
pub fn read_labeled(
    path: &Path,
    text: &str,
    text2: Option<&str>,
    labels: &LabelColumns,
    kind: &TaskKind,
) -> Result<(Vec<Example>, Option<Note>), DataError> {
    let columns = RowColumns { text, text2, labels };
    let rows = columns.parse(columns.read(path)?, path, kind)?;
    let note = notes::blank_texts(path, &rows);
    Ok((rows.into_iter().map(|(_, example)| example).collect(), note))
}

/// Reads rows without labels; each comes with the line on which it begins.
///
/// # Errors
/// As [`CustomFiles::read`].
pub fn read_unlabeled(
    path: &Path,
    text: &str,
    text2: Option<&str>,
) -> Result<Vec<(usize, Example)>, DataError> {
    let columns: Vec<&str> = [text].into_iter().chain(text2).collect();
    Ok(unlabeled(read_columns(path, &columns)?))
}

/// As [`read_unlabeled`], of the bytes of a file, whose format is given by the extension of `path`.
///
/// # Errors
/// As [`read_unlabeled`].
pub fn parse_unlabeled(
    path: &Path,
    bytes: &[u8],
    text: &str,
    text2: Option<&str>,
) -> Result<Vec<(usize, Example)>, DataError> {
    let columns: Vec<&str> = [text].into_iter().chain(text2).collect();
    Ok(unlabeled(parse_columns(path, bytes, &columns)?))
}

fn unlabeled(rows: Vec<Row>) -> Vec<(usize, Example)> {
    rows.into_iter().map(|row| example(row, None)).collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn one(column: &str) -> LabelColumns {
        LabelColumns::One { column: column.to_owned() }
    }

    fn files(directory: &Path, name: &str, content: &str) -> CustomFiles {
        let train = directory.join(name);
        std::fs::write(&train, content).unwrap();
        CustomFiles {
            name: "mine".to_owned(),
            train,
            validation: None,
            test: None,
            text: "body".to_owned(),
            text2: None,
            labels: one("team"),
            score: false,
        }
    }

    fn check_refused(name: &str, content: &str, sentence: &str) {
        let directory = tempfile::tempdir().unwrap();
        let error = files(directory.path(), name, content).read(1).unwrap_err().to_string();
        assert!(error.ends_with(sentence), "{error}");
    }

    #[test]
    fn the_three_formats_read_the_same() {
        let directory = tempfile::tempdir().unwrap();
        let csv = "id,body,team\n1,\"a, \"\"quoted\"\" one\",x\n2,two,y\n3,three,y\n";
        let tsv = "id\tbody\tteam\n1\ta, \"quoted\" one\tx\n2\ttwo\ty\n3\tthree\ty\n";
        let jsonl = "{\"body\": \"a, \\\"quoted\\\" one\", \"team\": \"x\"}\n{\"team\": \"y\", \"body\": \"two\"}\n{\"body\": \"three\", \"team\": \"y\"}";
        let read = |name, content| files(directory.path(), name, content).read(1).unwrap();
        let expected = read("a.csv", csv);
        assert_eq!(
            expected.task.kind,
            TaskKind::Classification { labels: vec!["x".to_owned(), "y".to_owned()] }
        );
        assert_eq!((expected.train.len(), expected.validation.len()), (2, 1));
        assert_eq!(read("a.tsv", tsv), expected);
        assert_eq!(read("a.jsonl", jsonl), expected);
    }

    #[test]
    fn one_score_for_every_row_is_noted() {
        let directory = tempfile::tempdir().unwrap();
        let notes = |content| {
            let files = CustomFiles { score: true, ..files(directory.path(), "a.csv", content) };
            files.read(1).unwrap().notes
        };
        assert_eq!(notes("body,team\na,2.5\nb,2\nc,2.5\n"), []);
        let notes = notes("body,team\na,2.5\nb,2.5\nc,2.50\n");
        let [note] = notes.as_slice() else { panic!("{notes:?}") };
        assert!(note.to_string().contains("every row has the score 2.5"), "{note}");
    }

    #[test]
    fn a_separator_that_no_row_has_is_noted() {
        let directory = tempfile::tempdir().unwrap();
        let notes = |separator: &str| {
            let (column, separator) = ("team".to_owned(), separator.to_owned());
            let labels = LabelColumns::Separated { column, separator };
            let content = "body,team\na,x;y\nb,y\nc,x;y\nd,\n";
            let files = CustomFiles { labels, ..files(directory.path(), "a.csv", content) };
            files.read(1).unwrap().notes
        };
        assert_eq!(notes(";"), []);
        let notes = notes("|");
        let [note] = notes.as_slice() else { panic!("{notes:?}") };
        let sentence = "a.csv: no field of the column `team` has the separator `|`, so that no row has more than one label";
        assert!(note.to_string().ends_with(sentence), "{note}");
    }

    #[test]
    fn blank_texts_are_noted_with_their_lines() {
        let directory = tempfile::tempdir().unwrap();
        let content = "body,team\none,x\n,y\nthree,x\n\u{200b},y\n";
        let found = files(directory.path(), "a.csv", content);
        let notes = found.read(1).unwrap().notes;
        let [note] = notes.as_slice() else { panic!("{notes:?}") };
        assert!(note.to_string().ends_with("a.csv: 2 of 4 texts are blank: lines 3, 5"), "{note}");
        let kind = TaskKind::Classification { labels: ["x", "y"].map(str::to_owned).to_vec() };
        let (rows, again) = read_labeled(&found.train, "body", None, &one("team"), &kind).unwrap();
        assert_eq!((rows.len(), again.as_ref()), (4, Some(note)));
    }

    #[test]
    fn broken_files_are_refused_with_their_place() {
        check_refused(
            "a.csv",
            "body,group\nx,y\n",
            "has no column `team`; its columns are body, group",
        );
        check_refused("a.csv", "body,team\n", "a.csv holds no rows");
        check_refused(
            "a.csv",
            "body,team\none,x\ntwo,x\n",
            "needs two or more (--score reads numbers)",
        );
        check_refused(
            "a.csv",
            "body,team\none,x\ntwo,\nthree,y\n",
            "a.csv line 3: the label is empty; fill it in or take the row out (what has no label yet is for `predict`)",
        );
        check_refused(
            "a.csv",
            "\r\n",
            "a.csv is empty; expected a first line that names the columns",
        );
        check_refused("a.tsv", "", "a.tsv is empty; expected a first line that names the columns");
        check_refused("a.jsonl", "\n", "a.jsonl holds no rows");
        check_refused(
            "a.csv",
            "body,team,body\na,x,b\n",
            "has the column `body` twice (columns 1 and 3); rename one of them",
        );
        check_refused(
            "a.csv",
            "body,Team \na,x\n",
            "its columns are body, Team ; did you mean `Team `?",
        );
        check_refused(
            "a.csv",
            "body;team\na;x\n",
            "its columns are body;team; they are separated by semicolons, expected commas",
        );
        check_refused(
            "a.tsv",
            "body,team\na,x\n",
            "its columns are body,team; they are separated by commas, expected tabs",
        );
        check_refused(
            "a.csv",
            "body,team\r\none,x\r\n\r\ntwo,\r\n",
            "a.csv line 4: the label is empty; fill it in or take the row out (what has no label yet is for `predict`)",
        );
        check_refused(
            "a.tsv",
            "body\tteam\none\tx\ntwo\tx \n",
            "differ in spaces alone; write them alike, or each is a class of its own",
        );
        check_refused("a.txt", "", "expected a file that ends in .tsv, .csv or .jsonl");
        check_refused(
            "a.csv",
            "body,team\none,x\ntwo\n",
            "a.csv line 3: 1 columns, expected 2 (body, team)",
        );
    }

    #[test]
    fn a_label_never_seen_is_refused_with_its_line() {
        let directory = tempfile::tempdir().unwrap();
        let mut files = files(directory.path(), "a.csv", "body,team\none,x\ntwo,y\n");
        let validation = directory.path().join("b.csv");
        std::fs::write(&validation, "body,team\nthree,x\nfour,z\n").unwrap();
        files.validation = Some(validation);
        let error = files.read(1).unwrap_err().to_string();
        assert!(error.ends_with("b.csv line 3: the label `z` is none of x, y"), "{error}");
    }

    #[test]
    fn a_label_in_another_form_is_refused_in_every_file() {
        let directory = tempfile::tempdir().unwrap();
        let mut files = files(directory.path(), "a.csv", "body,team\none,x\ntwo,y\nthree,y\n");
        let other = directory.path().join("b.csv");
        std::fs::write(&other, "body,team\r\nthree,x\r\nfour, y\r\n").unwrap();
        let sentence = "b.csv line 3: the label ` y` is none of x, y; it differs from `y` in spaces alone: write it alike";
        files.test = Some(other.clone());
        let error = files.read(1).unwrap_err().to_string();
        assert!(error.ends_with(sentence), "{error}");
        (files.test, files.validation) = (None, Some(other.clone()));
        let error = files.read(1).unwrap_err().to_string();
        assert!(error.ends_with(sentence), "{error}");
        let kind = TaskKind::Classification { labels: ["x", "y"].map(str::to_owned).to_vec() };
        let error =
            read_labeled(&other, "body", None, &one("team"), &kind).unwrap_err().to_string();
        assert!(error.ends_with(sentence), "{error}");
    }

    #[test]
    fn scores_are_read_with_the_line_of_each() {
        let directory = tempfile::tempdir().unwrap();
        let read = |content: &str| {
            CustomFiles { score: true, ..files(directory.path(), "a.csv", content) }.read(1)
        };
        let error = read("body,team\r\none,\"3,75\"\r\ntwo,1\r\n").unwrap_err().to_string();
        assert!(
            error.ends_with("a.csv line 2: the score `3,75` is not a finite number; write it with a decimal point"),
            "{error}"
        );
        let error = read("body,team\none,1\ntwo, \n").unwrap_err().to_string();
        assert!(error.contains("a.csv line 3: the label is empty"), "{error}");
        let task = read("body,team\none, 1.5\ntwo,2\n").unwrap();
        assert_eq!((task.train.len(), task.validation.len()), (1, 1));
    }

    fn labeled(labels: &[&str]) -> String {
        let rows: Vec<String> = labels.iter().map(|label| format!("text,{label}")).collect();
        format!("body,team\n{}\n", rows.join("\n"))
    }

    #[test]
    fn numbers_that_look_like_scores_are_pointed_out() {
        let directory = tempfile::tempdir().unwrap();
        let notes = |labels: &[&str]| {
            files(directory.path(), "a.csv", &labeled(labels)).read(1).unwrap().notes
        };
        let found = notes(&["0.2", "1.4", "1.4", "3"]);
        let [note] = found.as_slice() else { panic!("{found:?}") };
        assert!(
            note.to_string().ends_with(
                "a.csv: the labels of its 4 rows are 3 different numbers, each a class of its own; --score reads them as scores"
            ),
            "{note}"
        );
        let many: Vec<String> = (0..12).map(|number| number.min(10).to_string()).collect();
        let many: Vec<&str> = many.iter().map(String::as_str).collect();
        assert_eq!(notes(&many).len(), 1);
        assert_eq!(notes(&["1", "2", "3", "4", "5", "5"]), []);
        assert_eq!(notes(&["0.2", "1.4", "1.4", "none"]), []);
    }

    #[test]
    fn the_only_row_of_a_class_is_learned_from() {
        let directory = tempfile::tempdir().unwrap();
        // 3 common classes, and 11 of one row each.
        let mut labels: Vec<String> = (0..40).map(|row| format!("common{}", row % 3)).collect();
        labels.extend((0..11).map(|row| format!("rare{row}")));
        let labels: Vec<&str> = labels.iter().map(String::as_str).collect();
        let content = labeled(&labels);
        for seed in 0..20 {
            let task = files(directory.path(), "a.csv", &content).read(seed).unwrap();
            assert_eq!((task.train.len(), task.validation.len()), (47, 4));
            for class in 0..14 {
                let label = Some(Label::Class(class));
                assert!(task.train.iter().any(|row| row.label == label), "seed {seed}: {class}");
            }
        }
    }

    #[test]
    fn without_a_row_to_spare_nothing_is_held_out() {
        let sentence = "or name validation rows with --validation";
        check_refused("a.csv", "body,team\none,x\ntwo,y\n", sentence);
        let directory = tempfile::tempdir().unwrap();
        let one = files(directory.path(), "a.csv", "body,team\none,1\n");
        let error = CustomFiles { score: true, ..one }.read(1).unwrap_err().to_string();
        assert!(error.contains("none of its 1 rows can be held out"), "{error}");
    }

    proptest! {
        #[test]
        fn what_is_held_out_leaves_a_row_of_each_class(
            classes in proptest::collection::vec(0..9_usize, 1..120),
            seed: u64,
        ) {
            let rows: Vec<Example> = classes
                .iter()
                .enumerate()
                .map(|(row, class)| Example {
                    text: row.to_string(),
                    text2: None,
                    label: Some(Label::Class(*class)),
                })
                .collect();
            let of = |rows: &[Example], class| {
                rows.iter().filter(|row| row.label == Some(Label::Class(class))).count()
            };
            let can_be_held = (0..9).any(|class| of(&rows, class) > 1);
            let Ok((kept, held)) = hold_out(Path::new("a.csv"), rows.clone(), seed) else {
                prop_assert!(!can_be_held);
                return Ok(());
            };
            prop_assert!(can_be_held && !held.is_empty());
            prop_assert_eq!(kept.len() + held.len(), rows.len());
            prop_assert!(held.iter().all(|row| !kept.contains(row)));
            for class in 0..9 {
                let (all, held) = (of(&rows, class), of(&held, class));
                prop_assert!(held == 0 || held < all);
                prop_assert!(held <= all.div_ceil(10), "{} of {}", held, all);
            }
        }
    }

    #[test]
    fn what_is_held_out_is_a_tenth_of_every_class() {
        let directory = tempfile::tempdir().unwrap();
        let rows: Vec<String> = (0..100)
            .map(|row| format!("text {row},{}", if row % 5 == 0 { "x" } else { "y" }))
            .collect();
        let rows = rows.join("\n");
        let task = files(directory.path(), "a.csv", &format!("body,team\n{rows}")).read(7).unwrap();
        let count = |class| {
            task.validation.iter().filter(|row| row.label == Some(Label::Class(class))).count()
        };
        assert_eq!((task.train.len(), count(0), count(1)), (90, 2, 8));
        assert!(task.validation.iter().all(|row| !task.train.contains(row)));
        assert_eq!(
            files(directory.path(), "a.csv", &format!("body,team\n{rows}")).read(7).unwrap(),
            task
        );
    }
}
