//! TSV, CSV and JSONL files of a user's own, with named columns.

use std::borrow::Cow;
use std::ffi::OsStr;
use std::path::Path;

use crate::delimited::{Delimited, Record, Records};
use crate::encoding::{decode, read_bytes};
use crate::error::{DataError, TableError};
use crate::jsonl;
use crate::listed::listed;
use crate::rows::Row;

/// The format of a file.
enum Format {
    Delimited(Delimited),
    Jsonl,
}

impl Format {
    /// The format of a file, by its extension.
    fn of(path: &Path) -> Result<Self, DataError> {
        let extension = path.extension().map(std::ffi::OsStr::to_ascii_lowercase);
        match extension.as_deref().and_then(OsStr::to_str) {
            Some("csv") => Ok(Self::Delimited(Delimited::Csv)),
            Some("tsv") => Ok(Self::Delimited(Delimited::Tabs)),
            Some("jsonl") => Ok(Self::Jsonl),
            _ => Err(TableError::Format { path: path.to_owned() }.into()),
        }
    }
}

/// Whether a file has named columns, by its extension: `.csv`, `.tsv` or `.jsonl`.
pub fn has_columns(path: &Path) -> bool {
    Format::of(path).is_ok()
}

/// Whether a file is JSON Lines, by its extension.
pub(crate) fn is_jsonl(path: &Path) -> bool {
    matches!(Format::of(path), Ok(Format::Jsonl))
}

/// The text of a file.
pub(crate) fn read_text(path: &Path) -> Result<String, DataError> {
    let bytes = read_bytes(path)?;
    Ok(decode(path, &bytes)?.to_owned())
}

/// The names of the columns of a file; of JSONL, the keys of the first object.
///
/// # Errors
/// If the file cannot be read, is not text, has no first row, or has an unknown extension.
pub fn column_names(path: &Path) -> Result<Vec<String>, DataError> {
    let format = Format::of(path)?;
    let bytes = read_bytes(path)?;
    let text = decode(path, &bytes)?;
    match format {
        Format::Delimited(how) => {
            let header = header(path, &mut Records::new(path, text, how))?;
            Ok(header.fields.into_iter().map(Cow::into_owned).collect())
        }
        Format::Jsonl => jsonl::keys(path, text),
    }
}

/// Reads columns of a file: `.csv` (quoted as in RFC 4180) or `.tsv` (separated by tabs alone, quotes are text), both
/// with a header, or `.jsonl` (one object per line).
///
/// # Errors
/// If the file cannot be read or is not text, the extension is unknown, a column is missing or duplicate, a row is
/// malformed, or there are no rows.
pub fn read_columns(path: &Path, columns: &[&str]) -> Result<Vec<Row>, DataError> {
    Format::of(path)?;
    parse_columns(path, &read_bytes(path)?, columns)
}

/// Reads columns of the bytes of a file, whose format is given by the extension of `path`.
///
/// # Errors
/// As [`read_columns`].
pub fn parse_columns(path: &Path, bytes: &[u8], columns: &[&str]) -> Result<Vec<Row>, DataError> {
    let format = Format::of(path)?;
    let text = decode(path, bytes)?;
    let rows = match format {
        Format::Delimited(how) => read_delimited(path, text, columns, how),
        Format::Jsonl => jsonl::read(path, text, columns),
    }?;
    if rows.is_empty() {
        return Err(DataError::Empty { path: path.to_owned() });
    }
    Ok(rows)
}

/// Reads columns of a file of fields that are separated by tabs, whatever its extension.
pub(crate) fn read_tabs(path: &Path, columns: &[&str]) -> Result<Vec<Row>, DataError> {
    let bytes = read_bytes(path)?;
    read_delimited(path, decode(path, &bytes)?, columns, Delimited::Tabs)
}

/// Reads columns of a delimited text with a header.
pub(crate) fn read_delimited(
    path: &Path,
    text: &str,
    columns: &[&str],
    how: Delimited,
) -> Result<Vec<Row>, DataError> {
    let mut records = Records::new(path, text, how);
    let header = header(path, &mut records)?;
    let indices = columns.iter().map(|column| {
        column_index(path, &header.fields, column, || closest_column(&header.fields, column, how))
    });
    let indices = indices.collect::<Result<Vec<_>, _>>()?;
    let rows = records.map(|record| {
        let Record { line, fields } = record?;
        if fields.len() != header.fields.len() {
            return Err(TableError::Columns {
                path: path.to_owned(),
                line,
                found: fields.len(),
                expected: header.fields.len(),
                columns: listed(&header.fields),
            }
            .into());
        }
        Ok(Row { fields: indices.iter().map(|index| fields[*index].to_string()).collect(), line })
    });
    rows.collect()
}

fn header<'a>(path: &Path, records: &mut Records<'a>) -> Result<Record<'a>, DataError> {
    records.next().unwrap_or_else(|| Err(TableError::NoHeader { path: path.to_owned() }.into()))
}

/// The index of a column that occurs once; `hint` is for a column that is not there.
pub(crate) fn column_index<T: AsRef<str>>(
    path: &Path,
    header: &[T],
    column: &str,
    hint: impl Fn() -> String,
) -> Result<usize, DataError> {
    let mut indices = (0..header.len()).filter(|index| header[*index].as_ref() == column);
    match (indices.next(), indices.next()) {
        (Some(index), None) => Ok(index),
        (Some(first), Some(second)) => Err(TableError::ColumnTwice {
            path: path.to_owned(),
            column: column.to_owned(),
            first: first + 1,
            second: second + 1,
        }
        .into()),
        (None, _) => Err(TableError::MissingColumn {
            path: path.to_owned(),
            column: column.to_owned(),
            found: listed(header),
            hint: hint(),
        }
        .into()),
    }
}

/// A hint at the column that was probably meant, or at the separator of the file.
fn closest_column(header: &[Cow<str>], column: &str, how: Delimited) -> String {
    let near =
        header.iter().find(|name| name.trim().to_lowercase() == column.trim().to_lowercase());
    if let Some(near) = near {
        return format!("; did you mean `{near}`?");
    }
    match header {
        [only] => {
            let expected = if how == Delimited::Csv { "commas" } else { "tabs" };
            [(',', "commas"), (';', "semicolons"), ('\t', "tabs")]
                .into_iter()
                .find(|(separator, _)| only.contains(*separator))
                .map(|(_, found)| format!("; they are separated by {found}, expected {expected}"))
                .unwrap_or_default()
        }
        _ if looks_like_a_row(header) => {
            "; its first line looks like a row, expected the names of the columns".to_owned()
        }
        _ => String::new(),
    }
}

/// Whether the first line has a field that hardly names a column: a number, a sentence, or nothing.
fn looks_like_a_row(header: &[Cow<str>]) -> bool {
    let is_value = |field: &Cow<str>| {
        field.trim().is_empty()
            || field.trim().parse::<f64>().is_ok()
            || field.split_whitespace().count() > 3
    };
    header.iter().any(is_value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_without_a_header_is_recognized() {
        let error = |text: &str| {
            let error = parse_columns(Path::new("mails.csv"), text.as_bytes(), &["body"]);
            error.unwrap_err().to_string()
        };
        let hint = "its first line looks like a row, expected the names of the columns";
        assert!(error("it is cold in here again,facilities\n").ends_with(hint));
        assert!(error("cold,3\n").ends_with(hint));
        assert!(error("text,team\n").ends_with("its columns are text, team"));
    }
}
