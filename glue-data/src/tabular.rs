//! Files of rows: published TSV exactly as published, and one's own TSV, CSV and JSONL with named columns.

use std::borrow::Cow;
use std::ffi::OsStr;
use std::path::Path;

use crate::delimited::{Delimited, Record, Records};
use crate::encoding::{self, decode};
use crate::error::DataError;
use crate::jsonl;
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
    encoding::refuse_wide(path, bytes)?;
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
                return Some(Err(DataError::NotUtf8 { path: path.to_owned(), line: number, hint }));
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
        Some(Err(DataError::Columns {
            path: path.to_owned(),
            line: number,
            found: fields.len(),
            expected: part.columns.len(),
            columns: part.columns.join(", "),
        }))
    })
}

/// Makes sure that the columns that are read are where the table of tasks has them.
fn check_header(part: &Part, fields: &[&str], path: &Path) -> Result<(), DataError> {
    let mut read = [Some(part.text), part.text2, part.label].into_iter().flatten();
    if read.all(|name| fields.get(part.column(name)) == Some(&name)) {
        return Ok(());
    }
    Err(DataError::Header {
        path: path.to_owned(),
        found: fields.join(", "),
        expected: part.columns.join(", "),
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

/// How one's own file holds its rows.
enum Format {
    Delimited(Delimited),
    Jsonl,
}

impl Format {
    /// The format that a file's name says.
    fn of(path: &Path) -> Result<Self, DataError> {
        let extension = path.extension().map(std::ffi::OsStr::to_ascii_lowercase);
        match extension.as_deref().and_then(OsStr::to_str) {
            Some("csv") => Ok(Self::Delimited(Delimited::Csv)),
            Some("tsv") => Ok(Self::Delimited(Delimited::Tabs)),
            Some("jsonl") => Ok(Self::Jsonl),
            _ => Err(DataError::Format { path: path.to_owned() }),
        }
    }
}

/// Whether a file's name says that it holds rows with named columns.
pub fn has_columns(path: &Path) -> bool {
    Format::of(path).is_ok()
}

/// The names of the columns of one's own file; of JSONL, the keys of its first object.
///
/// # Errors
/// A file that cannot be read, is no text or has no first row, or a format that is not known.
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

/// Reads some columns of one's own file: `.csv` (quotes as in RFC 4180), `.tsv` (tabs alone, quotes are text), both
/// with a first line that names the columns, or `.jsonl` (an object a line).
///
/// # Errors
/// A file that cannot be read or is no text, a format that is not known, a column that is missing or there twice, a row
/// that is malformed, no rows.
pub fn read_columns(path: &Path, columns: &[&str]) -> Result<Vec<Row>, DataError> {
    Format::of(path)?;
    parse_columns(path, &read_bytes(path)?, columns)
}

/// Reads some columns of the bytes of one's own file; `path` says in which format they are.
///
/// # Errors
/// As [`read_columns`], but for a file that cannot be read.
pub fn parse_columns(path: &Path, bytes: &[u8], columns: &[&str]) -> Result<Vec<Row>, DataError> {
    let format = Format::of(path)?;
    let text = decode(path, bytes)?;
    let rows = match format {
        Format::Delimited(how) => read_separated(path, text, columns, how),
        Format::Jsonl => jsonl::read(path, text, columns),
    }?;
    if rows.is_empty() {
        return Err(DataError::Empty { path: path.to_owned() });
    }
    Ok(rows)
}

fn read_bytes(path: &Path) -> Result<Vec<u8>, DataError> {
    std::fs::read(path).map_err(|source| DataError::Read { path: path.to_owned(), source })
}

/// Reads some columns of a text whose first line names them.
pub(crate) fn read_separated(
    path: &Path,
    text: &str,
    columns: &[&str],
    how: Delimited,
) -> Result<Vec<Row>, DataError> {
    let mut records = Records::new(path, text, how);
    let header = header(path, &mut records)?;
    let places = columns.iter().map(|column| place(path, &header.fields, column, how));
    let places = places.collect::<Result<Vec<_>, _>>()?;
    let rows = records.map(|record| {
        let Record { line, fields } = record?;
        if fields.len() != header.fields.len() {
            return Err(DataError::Columns {
                path: path.to_owned(),
                line,
                found: fields.len(),
                expected: header.fields.len(),
                columns: header.fields.join(", "),
            });
        }
        Ok(Row { fields: places.iter().map(|place| fields[*place].to_string()).collect(), line })
    });
    rows.collect()
}

fn header<'a>(path: &Path, records: &mut Records<'a>) -> Result<Record<'a>, DataError> {
    records.next().unwrap_or_else(|| Err(DataError::NoHeader { path: path.to_owned() }))
}

/// The place of a column that is there once.
fn place(
    path: &Path,
    header: &[Cow<str>],
    column: &str,
    how: Delimited,
) -> Result<usize, DataError> {
    let mut places = (0..header.len()).filter(|place| header[*place] == column);
    match (places.next(), places.next()) {
        (Some(place), None) => Ok(place),
        (Some(first), Some(second)) => Err(DataError::ColumnTwice {
            path: path.to_owned(),
            column: column.to_owned(),
            first: first + 1,
            second: second + 1,
        }),
        (None, _) => Err(DataError::MissingColumn {
            path: path.to_owned(),
            column: column.to_owned(),
            found: header.join(", "),
            hint: closest_column(header, column, how),
        }),
    }
}

/// The column that was probably meant, or the separator that the file probably has.
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
        _ => String::new(),
    }
}
