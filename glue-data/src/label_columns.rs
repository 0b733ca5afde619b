//! The labels of a user's own rows: where they are in a file, and how they become the task's labels.

use std::path::Path;

use crate::error::{DataError, LabelError};
use crate::jsonl;
use crate::label_forms;
use crate::rows::Row;
use crate::tabular;
use crate::task_kind::{Label, TaskKind};

/// Where the labels of rows are in a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LabelColumns {
    /// A column with the label of each row; in JSON Lines also with a list of labels.
    One {
        /// The column.
        column: String,
    },
    /// A column with the labels of each row; an empty field is a row without labels.
    Separated {
        /// The column.
        column: String,
        /// The text between two labels. White space around a label is not part of it.
        separator: String,
    },
    /// A column of 0 and 1 for each label, which is the label's name.
    Indicators {
        /// The columns.
        columns: Vec<String>,
    },
}

/// The labels of a row as they are written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum WrittenLabel {
    /// One label.
    One(String),
    /// Any number of labels.
    Several(Vec<String>),
}

impl WrittenLabel {
    /// The labels, as they are written.
    pub(crate) fn names(&self) -> &[String] {
        match self {
            Self::One(label) => std::slice::from_ref(label),
            Self::Several(labels) => labels,
        }
    }
}

/// A row whose labels are not parsed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct LabeledRow {
    pub(crate) label: WrittenLabel,
    /// The columns of the texts.
    pub(crate) texts: Row,
}

impl LabelColumns {
    /// Whether a row may have several labels; of a JSON Lines file with one column, the file decides.
    pub fn are_several(&self) -> bool {
        matches!(self, Self::Separated { .. } | Self::Indicators { .. })
    }

    /// Reads rows with their labels and the columns of their texts.
    pub(crate) fn read(&self, path: &Path, texts: &[&str]) -> Result<Vec<LabeledRow>, DataError> {
        let columns: Vec<&str> = match self {
            Self::One { column } if tabular::is_jsonl(path) => {
                return read_lists(path, column, texts);
            }
            Self::One { column } | Self::Separated { column, .. } => vec![column],
            Self::Indicators { columns } => columns.iter().map(String::as_str).collect(),
        };
        let all: Vec<&str> = columns.iter().chain(texts).copied().collect();
        let rows =
            tabular::read_columns(path, &all)?.into_iter().map(|Row { mut fields, line }| {
                let texts = fields.split_off(columns.len());
                let label = self.written(fields, path, line)?;
                Ok(LabeledRow { label, texts: Row { fields: texts, line } })
            });
        rows.collect()
    }

    /// The labels in the fields of a row.
    fn written(
        &self,
        fields: Vec<String>,
        path: &Path,
        line: usize,
    ) -> Result<WrittenLabel, DataError> {
        let field = || fields.first().map(String::as_str).unwrap_or_default();
        Ok(match self {
            Self::One { .. } => WrittenLabel::One(field().to_owned()),
            Self::Separated { .. } if field().trim().is_empty() => {
                WrittenLabel::Several(Vec::new())
            }
            Self::Separated { separator, .. } => {
                let items: Vec<String> =
                    field().split(separator.as_str()).map(|item| item.trim().to_owned()).collect();
                if items.iter().any(String::is_empty) {
                    return Err(LabelError::EmptyItem {
                        path: path.to_owned(),
                        line,
                        separator: separator.clone(),
                    }
                    .into());
                }
                WrittenLabel::Several(items)
            }
            Self::Indicators { columns } => {
                let mut labels = Vec::new();
                for (column, field) in columns.iter().zip(&fields) {
                    if indicator(field, column, path, line)? {
                        labels.push(column.clone());
                    }
                }
                WrittenLabel::Several(labels)
            }
        })
    }

    /// What the training rows of a classification are to be classified into: one class, or several labels, each.
    ///
    /// # Errors
    /// If labels differ in their form alone, a label is empty, or there are too few.
    pub(crate) fn kind(&self, path: &Path, rows: &[LabeledRow]) -> Result<TaskKind, DataError> {
        let are_several = rows.iter().any(|row| matches!(row.label, WrittenLabel::Several(_)));
        let written = rows
            .iter()
            .flat_map(|row| row.label.names().iter().map(|label| (label.as_str(), row.texts.line)));
        if let Some((_, line)) = written.clone().find(|(label, _)| label.trim().is_empty()) {
            return Err(LabelError::Empty { path: path.to_owned(), line }.into());
        }
        let counts = label_forms::count(written);
        label_forms::check_confusable(path, &counts)?;
        if are_several {
            if counts.is_empty() {
                return Err(no_labels(path, rows));
            }
            // Columns have an order of their own, and each is a label, also if no training row has it.
            let labels = match self {
                Self::Indicators { columns } => columns.clone(),
                _ => counts.into_keys().map(str::to_owned).collect(),
            };
            return Ok(TaskKind::MultiLabel { labels });
        }
        let labels: Vec<String> = counts.into_keys().map(str::to_owned).collect();
        match labels.as_slice() {
            [label] => {
                Err(LabelError::OneClass { path: path.to_owned(), label: label.clone() }.into())
            }
            _ => Ok(TaskKind::Classification { labels }),
        }
    }

    /// Parses the labels of rows.
    ///
    /// # Errors
    /// If a label is none of the kind, or a row has another number of labels than the kind allows.
    pub(crate) fn parse(
        &self,
        rows: Vec<LabeledRow>,
        path: &Path,
        kind: &TaskKind,
    ) -> Result<Vec<(Label, Row)>, DataError> {
        let takes_several = matches!(kind, TaskKind::MultiLabel { .. });
        if let (Self::Indicators { columns }, TaskKind::MultiLabel { labels }) = (self, kind) {
            check_columns(columns, labels, path)?;
        }
        let has_labels = |row: &LabeledRow| row.label != WrittenLabel::Several(Vec::new());
        if takes_several && !rows.iter().any(has_labels) {
            return Err(no_labels(path, &rows));
        }
        let rows = rows.into_iter().map(|LabeledRow { label, texts }| {
            let label = match label {
                WrittenLabel::Several(labels) if takes_several => {
                    kind.parse_set(&labels, path, texts.line)?
                }
                WrittenLabel::One(label) if !takes_several => {
                    kind.parse_label(&label, path, texts.line)?
                }
                WrittenLabel::Several(_) => {
                    return Err(LabelError::OtherForm {
                        path: path.to_owned(),
                        line: texts.line,
                        found: "a row has a list of labels, and the task has one label a row",
                        remedy: "leave out --label-separator and --labels, and write one label and no list",
                    }
                    .into());
                }
                WrittenLabel::One(_) => {
                    return Err(LabelError::OtherForm {
                        path: path.to_owned(),
                        line: texts.line,
                        found: "a row has one label, and the task has any number of labels a row",
                        remedy: "name the separator of the labels with --label-separator, or a column for each label with --labels, or write lists in a .jsonl file",
                    }
                    .into());
                }
            };
            Ok((label, texts))
        });
        rows.collect()
    }
}

/// Reads a JSON Lines file in which the labels of a row may be a list.
fn read_lists(path: &Path, label: &str, texts: &[&str]) -> Result<Vec<LabeledRow>, DataError> {
    let text = tabular::read_text(path)?;
    let rows = jsonl::read_with_list(path, &text, label, texts)?;
    let Some((first, Row { line: first_line, .. })) = rows.first() else {
        return Err(DataError::Empty { path: path.to_owned() });
    };
    let described = |list: &Result<Vec<String>, String>| match list {
        Ok(_) => "a list",
        Err(_) => "no list",
    };
    let other = rows.iter().find(|(list, _)| list.is_ok() != first.is_ok());
    if let Some((list, row)) = other {
        return Err(LabelError::MixedLists {
            path: path.to_owned(),
            line: row.line,
            key: label.to_owned(),
            found: described(list),
            expected: described(first),
            first: *first_line,
        }
        .into());
    }
    let rows = rows.into_iter().map(|(list, texts)| {
        let label = match list {
            Ok(labels) => WrittenLabel::Several(labels),
            Err(label) => WrittenLabel::One(label),
        };
        LabeledRow { label, texts }
    });
    Ok(rows.collect())
}

/// Whether a row has the label of a column.
fn indicator(field: &str, column: &str, path: &Path, line: usize) -> Result<bool, DataError> {
    match field.trim() {
        // As other programs write a column of truth values, or one of integers that has a gap.
        "1" | "1.0" | "true" | "True" | "TRUE" => Ok(true),
        "0" | "0.0" | "false" | "False" | "FALSE" => Ok(false),
        _ => Err(LabelError::Indicator {
            path: path.to_owned(),
            line,
            column: column.to_owned(),
            found: field.to_owned(),
        }
        .into()),
    }
}

/// Checks that there is a column for every label.
fn check_columns(columns: &[String], labels: &[String], path: &Path) -> Result<(), DataError> {
    let missing: Vec<&str> =
        labels.iter().filter(|label| !columns.contains(label)).map(String::as_str).collect();
    if missing.is_empty() {
        return Ok(());
    }
    Err(LabelError::MissingColumns { path: path.to_owned(), missing: missing.join(", ") }.into())
}

fn no_labels(path: &Path, rows: &[LabeledRow]) -> DataError {
    let line = rows.first().map_or(1, |row| row.texts.line);
    LabelError::NoLabels { path: path.to_owned(), line, rows: rows.len() }.into()
}
