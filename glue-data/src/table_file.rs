//! Files of rows: published TSV exactly as published, and one's own TSV, CSV and JSONL with named columns.

use std::path::Path;

use crate::error::DataError;
use crate::task::{Example, Labels, Part};

/// Reads a published TSV: split at tabs alone, quotes are text, a byte order mark is skipped.
pub(crate) fn read_published(
    part: &Part,
    labels: &Labels,
    bytes: &[u8],
    path: &Path,
) -> Result<Vec<Example>, DataError> {
    let (text, text2, label) =
        (part.column(part.text), part.text2.map(|name| part.column(name)), part.label);
    let label = label.map(|name| part.column(name));
    let mut examples = Vec::with_capacity(part.rows);
    for line in tab_lines(part, bytes, path) {
        let (number, fields) = line?;
        examples.push(Example {
            text: fields[text].to_owned(),
            text2: text2.map(|column| fields[column].to_owned()),
            label: label.map(|column| labels.parse(fields[column], path, number)).transpose()?,
        });
    }
    if examples.is_empty() {
        return Err(DataError::Empty { path: path.to_owned() });
    }
    Ok(examples)
}

/// Reads the text and the label of a published TSV, the label as it stands there.
pub(crate) fn read_tabs(part: &Part, bytes: &[u8], path: &Path) -> Result<Vec<Row>, DataError> {
    let columns: Vec<usize> =
        [part.text].into_iter().chain(part.label).map(|name| part.column(name)).collect();
    let rows = tab_lines(part, bytes, path).map(|line| {
        let (line, fields) = line?;
        Ok(Row { fields: columns.iter().map(|column| fields[*column].to_owned()).collect(), line })
    });
    rows.collect()
}

/// The fields of each line with its number, counted from 1; as many as the part has columns.
fn tab_lines<'a>(
    part: &'a Part,
    bytes: &'a [u8],
    path: &'a Path,
) -> impl Iterator<Item = Result<(usize, Vec<&'a str>), DataError>> {
    let bytes = bytes.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(bytes);
    bytes.split(|byte| *byte == b'\n').enumerate().filter_map(|(index, line)| {
        let number = index + 1;
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        if line.is_empty() || (part.header && index == 0) {
            return None;
        }
        let Ok(line) = std::str::from_utf8(line) else {
            return Some(Err(DataError::NotUtf8 { path: path.to_owned(), line: number }));
        };
        let fields: Vec<&str> = line.split('\t').collect();
        if fields.len() == part.columns.len() {
            return Some(Ok((number, fields)));
        }
        if part.skip_short_rows && fields.len() < part.columns.len() {
            return None;
        }
        Some(Err(DataError::Columns {
            path: path.to_owned(),
            line: number,
            found: fields.len(),
            expected: part.columns.len(),
            columns: part.columns.join(", "),
        }))
    })
}

/// A row of a file: the columns that were asked for, and its line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Row {
    /// In the order they were asked for.
    pub fields: Vec<String>,
    /// Counted from 1.
    pub line: usize,
}

/// Reads some columns of one's own file: `.csv` (quotes as usual), `.tsv` (tabs alone, quotes are text), both with a
/// first line that names the columns, or `.jsonl` (an object a line).
///
/// # Errors
/// A file that cannot be read, a format nobody knows, a column that is missing, a row that is malformed, no rows.
pub fn read_columns(path: &Path, columns: &[&str]) -> Result<Vec<Row>, DataError> {
    let format = path.extension().map(|extension| extension.to_string_lossy().to_lowercase());
    let bytes =
        std::fs::read(path).map_err(|source| DataError::Read { path: path.to_owned(), source })?;
    let bytes = bytes.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(&bytes);
    let rows = match format.as_deref() {
        Some("csv") => read_separated(path, bytes, columns, b',', true),
        Some("tsv") => read_separated(path, bytes, columns, b'\t', false),
        Some("jsonl") => read_jsonl(path, bytes, columns),
        _ => Err(DataError::Format { path: path.to_owned() }),
    }?;
    if rows.is_empty() {
        return Err(DataError::Empty { path: path.to_owned() });
    }
    Ok(rows)
}

/// Reads some columns of a file whose first line names them.
pub(crate) fn read_separated(
    path: &Path,
    bytes: &[u8],
    columns: &[&str],
    delimiter: u8,
    quoting: bool,
) -> Result<Vec<Row>, DataError> {
    let malformed = |error: csv::Error| match error.kind() {
        csv::ErrorKind::Utf8 { pos, .. } => {
            let line = pos
                .as_ref()
                .map_or(0, |position| usize::try_from(position.line()).unwrap_or(usize::MAX));
            DataError::NotUtf8 { path: path.to_owned(), line }
        }
        _ => DataError::Malformed { path: path.to_owned(), reason: error.to_string() },
    };
    let mut reader =
        csv::ReaderBuilder::new().delimiter(delimiter).quoting(quoting).from_reader(bytes);
    let header = reader.headers().map_err(malformed)?.clone();
    let indices = columns
        .iter()
        .map(|column| {
            header.iter().position(|name| name == *column).ok_or_else(|| DataError::MissingColumn {
                path: path.to_owned(),
                column: (*column).to_owned(),
                found: header.iter().collect::<Vec<_>>().join(", "),
            })
        })
        .collect::<Result<Vec<_>, _>>()?;
    let rows = reader.records().map(|record| {
        let record = record.map_err(malformed)?;
        let line = record
            .position()
            .map_or(0, |position| usize::try_from(position.line()).unwrap_or(usize::MAX));
        Ok(Row { fields: indices.iter().map(|index| record[*index].to_owned()).collect(), line })
    });
    rows.collect()
}

fn read_jsonl(path: &Path, bytes: &[u8], columns: &[&str]) -> Result<Vec<Row>, DataError> {
    let mut rows = Vec::new();
    for (index, line) in bytes.split(|byte| *byte == b'\n').enumerate() {
        if line.trim_ascii().is_empty() {
            continue;
        }
        let line_number = index + 1;
        let object: serde_json::Map<String, serde_json::Value> = serde_json::from_slice(line)
            .map_err(|error| DataError::Malformed {
                path: path.to_owned(),
                reason: format!("line {line_number}: expected a JSON object: {error}"),
            })?;
        let field = |column: &&str| match object.get(*column) {
            Some(serde_json::Value::String(text)) => Ok(text.clone()),
            Some(value @ (serde_json::Value::Number(_) | serde_json::Value::Bool(_))) => {
                Ok(value.to_string())
            }
            Some(other) => Err(DataError::Malformed {
                path: path.to_owned(),
                reason: format!(
                    "line {line_number}: `{column}` is {other}, expected a text, a number or a truth value"
                ),
            }),
            None => Err(DataError::MissingColumn {
                path: path.to_owned(),
                column: (*column).to_owned(),
                found: object.keys().map(String::as_str).collect::<Vec<_>>().join(", "),
            }),
        };
        rows.push(Row {
            fields: columns.iter().map(field).collect::<Result<_, _>>()?,
            line: line_number,
        });
    }
    Ok(rows)
}
