//! The input of `predict`: one text per line, or rows of a file with named columns; single texts or pairs, as the adapter
//! was trained.

use std::io::Read;
use std::path::Path;

use anyhow::{Context, Result};
use burn_adapters::file::native::TextInput;
use glue_data::encoding::decode;
use glue_data::{DataError, Example, TableError, tabular, tasks};

use crate::cli::{ColumnArgs, PredictArgs};
use crate::exit::UsageError;

/// A text or a pair of texts, and the line on which it begins.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Text {
    /// Counted from 1.
    pub(crate) line: usize,
    pub(crate) example: Example,
}

impl Text {
    /// Whether the text is blank, and has no label.
    pub(crate) fn is_blank(&self) -> bool {
        let Example { text, text2, .. } = &self.example;
        text.trim().is_empty() && text2.as_ref().is_none_or(|text2| text2.trim().is_empty())
    }
}

/// Checks flags and file before anything else is read.
///
/// # Errors
/// If the file has named columns, and no column is named.
pub(crate) fn check(args: &PredictArgs) -> Result<()> {
    let Some(path) = args.input.as_deref().filter(|_| args.columns.text.is_none()) else {
        return Ok(());
    };
    if path.extension().is_some_and(|extension| extension.eq_ignore_ascii_case("json")) {
        return Err(UsageError::new(format!(
            "{}: expected JSON with an object a line, in a file that ends in .jsonl, and --text COL",
            path.display()
        )));
    }
    if tabular::has_columns(path) {
        let columns = tabular::column_names(path)?.join(", ");
        return Err(UsageError::new(format!(
            "{} has named columns: choose the text with --text COL; its columns are {columns}",
            path.display()
        )));
    }
    Ok(())
}

/// Whether the texts are single or pairs, by the flags and the adapter file; `None` if neither defines it.
///
/// # Errors
/// If the flags contradict the adapter.
pub(crate) fn input(
    args: &PredictArgs,
    of_adapter: Option<TextInput>,
) -> Result<Option<TextInput>> {
    match of_adapter {
        Some(TextInput::Single) if args.pairs => Err(not_pairs("--pairs")),
        _ if args.pairs => Ok(Some(TextInput::Pair)),
        _ if args.columns.text.is_some() => Ok(Some(input_of_columns(&args.columns, of_adapter)?)),
        _ => Ok(of_adapter),
    }
}

/// Whether the columns are single texts or pairs.
///
/// # Errors
/// If there is one column for an adapter of pairs, or two for one of single texts.
pub(crate) fn input_of_columns(
    columns: &ColumnArgs,
    of_adapter: Option<TextInput>,
) -> Result<TextInput> {
    match (&columns.text2, of_adapter) {
        (None, Some(TextInput::Pair)) => Err(UsageError::new(
            "the adapter was trained on pairs of texts: name the column of the second with --text2",
        )),
        (Some(_), Some(TextInput::Single)) => Err(not_pairs("--text2")),
        (None, _) => Ok(TextInput::Single),
        (Some(_), _) => Ok(TextInput::Pair),
    }
}

fn not_pairs(flag: &str) -> anyhow::Error {
    UsageError::new(format!(
        "the adapter was trained on single texts, and {flag} reads pairs; leave {flag} out"
    ))
}

/// Reads all texts.
///
/// # Errors
/// If the file cannot be read or is not text, a column is missing, or a line is not a pair.
pub(crate) fn read(args: &PredictArgs, input: Option<TextInput>) -> Result<Vec<Text>> {
    if let (Some(path), Some(text)) = (&args.input, &args.columns.text) {
        let rows = tasks::custom::read_unlabeled(path, text, args.columns.text2.as_deref())?;
        return Ok(rows.into_iter().map(|(line, example)| Text { line, example }).collect());
    }
    let (path, bytes) = if let Some(path) = &args.input {
        let read = |source| DataError::Read { path: path.clone(), source };
        (path.as_path(), std::fs::read(path).map_err(read)?)
    } else {
        let mut bytes = Vec::new();
        std::io::stdin().lock().read_to_end(&mut bytes).context("reading standard input")?;
        (Path::new("standard input"), bytes)
    };
    lines(path, &bytes, input)
}

/// Reads one text per line.
fn lines(path: &Path, bytes: &[u8], input: Option<TextInput>) -> Result<Vec<Text>> {
    let lines = decode(path, bytes)?.lines().zip(1..).map(|(text, line)| {
        let is_pair = input == Some(TextInput::Pair) && !text.trim().is_empty();
        let (text, text2) = if is_pair {
            let mut texts = text.split('\t');
            match (texts.next(), texts.next(), texts.next()) {
                (Some(text), Some(text2), None) => (text, Some(text2.to_owned())),
                _ => {
                    return Err(TableError::Columns {
                        path: path.to_owned(),
                        line,
                        found: text.split('\t').count(),
                        expected: 2,
                        columns: "the two texts of a pair, separated by a tab".to_owned(),
                    }
                    .into());
                }
            }
        } else {
            (text, None)
        };
        Ok(Text { line, example: Example { text: text.to_owned(), text2, label: None } })
    });
    lines.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str, input: Option<TextInput>) -> Result<Vec<(String, Option<String>)>, String> {
        let texts = lines(Path::new("lines.txt"), text.as_bytes(), input)
            .map_err(|error| error.to_string())?;
        for (text, line) in texts.iter().zip(1..) {
            assert_eq!(text.line, line);
        }
        Ok(texts.into_iter().map(|text| (text.example.text, text.example.text2)).collect())
    }

    fn texts(texts: &[(&str, Option<&str>)]) -> Vec<(String, Option<String>)> {
        let owned = |text: &str| text.to_owned();
        texts.iter().map(|(text, text2)| (owned(text), text2.map(owned))).collect()
    }

    #[test]
    fn every_line_is_a_text() {
        let found = read("\u{feff}a\tb\r\n\n  \nc", Some(TextInput::Single));
        assert_eq!(found, Ok(texts(&[("a\tb", None), ("", None), ("  ", None), ("c", None)])));
        assert_eq!(read("a\tb\n", None), Ok(texts(&[("a\tb", None)])));
        assert_eq!(read("", Some(TextInput::Single)), Ok(Vec::new()));
    }

    #[test]
    fn a_pair_is_two_texts_and_a_tab() {
        let found = read("a\tb\n\t\nc\t\n", Some(TextInput::Pair));
        assert_eq!(found, Ok(texts(&[("a", Some("b")), ("\t", None), ("c", Some(""))])));
        let columns = "columns, expected 2 (the two texts of a pair, separated by a tab)";
        assert_eq!(
            read("a\tb\nc\n", Some(TextInput::Pair)),
            Err(format!("lines.txt line 2: 1 {columns}"))
        );
        assert_eq!(
            read("a\tb\tc\n", Some(TextInput::Pair)),
            Err(format!("lines.txt line 1: 3 {columns}"))
        );
    }

    #[test]
    fn bytes_that_are_no_text_are_refused_with_their_line() {
        let error = lines(Path::new("standard input"), b"a\nb\xff\n", Some(TextInput::Single));
        let error = error.unwrap_err().to_string();
        assert!(error.starts_with("standard input line 2: these bytes are not UTF-8"), "{error}");
    }
}
