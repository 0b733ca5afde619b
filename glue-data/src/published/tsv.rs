//! Published TSV: fields are separated by tabs alone, quotes are text, and a byte order mark is skipped.

use std::path::Path;

use crate::encoding;
use crate::error::{DataError, LabelError, PublishedError, TableError, TextError};
use crate::rows::{Example, Row};
use crate::task_kind::{Label, TaskKind};
use crate::task_spec::Part;

/// Reads the rows of a part, with their labels.
pub(crate) fn read_examples(
    part: &Part,
    kind: &TaskKind,
    bytes: &[u8],
    path: &Path,
) -> Result<Vec<Example>, DataError> {
    let (text, text2, label) =
        (part.column(part.text), part.text2.map(|name| part.column(name)), part.label);
    let label = label.map(|name| part.column(name));
    encoding::refuse_wide(path, bytes)?;
    let mut examples = Vec::with_capacity(part.rows);
    for line in tab_lines(part, bytes, path) {
        let (number, fields) = line?;
        check_index(part, fields[0], examples.len(), path, number)?;
        examples.push(Example {
            text: fields[text].to_owned(),
            text2: text2.map(|column| fields[column].to_owned()),
            label: label
                .map(|column| {
                    let parse =
                        if part.label_numbers { numbered_labels } else { TaskKind::parse_label };
                    parse(kind, fields[column], path, number)
                })
                .transpose()?,
        });
    }
    if examples.is_empty() {
        return Err(DataError::Empty { path: path.to_owned() });
    }
    Ok(examples)
}

/// The labels of a row by their numbers, counted from 0 and separated by commas.
fn numbered_labels(
    kind: &TaskKind,
    field: &str,
    path: &Path,
    line: usize,
) -> Result<Label, DataError> {
    let labels = kind.labels().unwrap_or_default();
    let name = |number: &str| {
        number.parse().ok().and_then(|number: usize| labels.get(number)).ok_or_else(|| {
            DataError::from(LabelError::Unknown {
                path: path.to_owned(),
                line,
                found: number.to_owned(),
                expected: format!("the numbers from 0 to {}", labels.len().saturating_sub(1)),
                hint: String::new(),
            })
        })
    };
    let numbers = field.split(',').filter(|_| !field.is_empty());
    kind.parse_set(&numbers.map(name).collect::<Result<Vec<_>, _>>()?, path, line)
}

/// Checks that the rows of a split with a submission file, whose first column is the index, are numbered from 0.
fn check_index(
    part: &Part,
    found: &str,
    expected: usize,
    path: &Path,
    line: usize,
) -> Result<(), DataError> {
    if part.submission.is_none() || found.parse() == Ok(expected) {
        return Ok(());
    }
    let (path, found) = (path.to_owned(), found.to_owned());
    Err(PublishedError::RowIndex { path, line, found, expected }.into())
}

/// Reads the text and the label of each row; the label is not parsed.
pub(crate) fn read_labeled(part: &Part, bytes: &[u8], path: &Path) -> Result<Vec<Row>, DataError> {
    let columns: Vec<usize> =
        [part.text].into_iter().chain(part.label).map(|name| part.column(name)).collect();
    let rows = tab_lines(part, bytes, path).map(|line| {
        let (line, fields) = line?;
        Ok(Row { fields: columns.iter().map(|column| fields[*column].to_owned()).collect(), line })
    });
    rows.collect()
}

/// The fields of each line, as many as the part has columns, with the number of the line, counted from 1.
fn tab_lines<'a>(
    part: &'a Part,
    bytes: &'a [u8],
    path: &'a Path,
) -> impl Iterator<Item = Result<(usize, Vec<&'a str>), DataError>> {
    let bytes = encoding::without_mark(bytes);
    bytes.split(|byte| *byte == b'\n').enumerate().filter_map(|(index, line)| {
        let number = index + 1;
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        if line.is_empty() {
            return None;
        }
        let line = match std::str::from_utf8(line) {
            Ok(line) => line,
            Err(error) => {
                let hint = encoding::hint(line, error.valid_up_to());
                return Some(Err(
                    TextError::NotUtf8 { path: path.to_owned(), line: number, hint }.into()
                ));
            }
        };
        let fields: Vec<&str> = line.split('\t').collect();
        if part.header && index == 0 {
            return check_header(part, &fields, path).err().map(Err);
        }
        if fields.len() == part.columns.len() {
            return Some(Ok((number, fields)));
        }
        if part.skip_short_rows && fields.len() < part.columns.len() {
            return None;
        }
        Some(Err(TableError::Columns {
            path: path.to_owned(),
            line: number,
            found: fields.len(),
            expected: part.columns.len(),
            columns: part.columns.join(", "),
        }
        .into()))
    })
}

/// Checks that the columns that are read are where the table of tasks has them.
fn check_header(part: &Part, fields: &[&str], path: &Path) -> Result<(), DataError> {
    let mut read = [Some(part.text), part.text2, part.label].into_iter().flatten();
    if read.all(|name| fields.get(part.column(name)) == Some(&name)) {
        return Ok(());
    }
    Err(PublishedError::Header {
        path: path.to_owned(),
        found: fields.join(", "),
        expected: part.columns.join(", "),
    }
    .into())
}
