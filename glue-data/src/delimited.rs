//! Records of delimited fields: CSV as in RFC 4180, and tab-separated fields without quoting.
//!
//! The `csv` crate accepts malformed files: a quote that is not closed takes the rest of the file into its field.
//! Here that is an error, as in Python's `csv` with `strict=True`, and every record has the line on which it begins.
//! Well-formed files are read as by the `csv` crate, which a test checks.

use std::borrow::Cow;
use std::path::Path;

use derive_new::new;

use crate::encoding::line_ends;
use crate::error::{DataError, TableError};

/// The separator of fields.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Delimited {
    /// Commas. A field that begins with a quote ends with one, and may contain commas, line ends and doubled quotes.
    Csv,
    /// Tabs.
    Tabs,
}

impl Delimited {
    pub(crate) fn delimiter(self) -> u8 {
        match self {
            Self::Csv => b',',
            Self::Tabs => b'\t',
        }
    }
}

/// The fields of a row, and the line on which it begins, counted from 1.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Record<'a> {
    pub(crate) line: usize,
    pub(crate) fields: Vec<Cow<'a, str>>,
}

/// The records of a text, without blank lines. The iterator ends after an error.
#[derive(new)]
pub(crate) struct Records<'a> {
    path: &'a Path,
    text: &'a str,
    /// The index of the next byte.
    #[new(default)]
    at: usize,
    /// The line of that byte.
    #[new(value = "1")]
    line: usize,
    how: Delimited,
}

impl<'a> Records<'a> {
    fn byte(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    /// Skips a line end, if there is one.
    fn ends_line(&mut self) -> bool {
        let rest = &self.text.as_bytes()[self.at..];
        self.at += match rest {
            [b'\r', b'\n', ..] => 2,
            [b'\r' | b'\n', ..] => 1,
            _ => return false,
        };
        self.line += 1;
        true
    }

    fn record(&mut self) -> Result<Record<'a>, DataError> {
        let line = self.line;
        let mut fields = Vec::new();
        loop {
            let opened = self.line;
            let quoted = self.how == Delimited::Csv && self.byte() == Some(b'"');
            fields.push(if quoted { self.quoted_field()? } else { self.plain_field() });
            if self.byte() == Some(self.how.delimiter()) {
                self.at += 1;
            } else if self.byte().is_none() || self.ends_line() {
                return Ok(Record { line, fields });
            } else {
                return Err(TableError::AfterQuote {
                    path: self.path.to_owned(),
                    line: self.line,
                    opened,
                }
                .into());
            }
        }
    }

    fn plain_field(&mut self) -> Cow<'a, str> {
        let rest = &self.text[self.at..];
        let delimiter = self.how.delimiter();
        let ends = |byte: u8| byte == delimiter || byte == b'\n' || byte == b'\r';
        let len = rest.bytes().position(ends).unwrap_or(rest.len());
        self.at += len;
        Cow::Borrowed(&rest[..len])
    }

    /// The content of a quoted field, in which quotes are doubled.
    fn quoted_field(&mut self) -> Result<Cow<'a, str>, DataError> {
        let text = self.text;
        let opened = self.line;
        self.at += 1;
        let mut field = Cow::Borrowed("");
        loop {
            let rest = &text[self.at..];
            let Some(len) = rest.find('"') else {
                return Err(
                    TableError::UnclosedQuote { path: self.path.to_owned(), line: opened }.into()
                );
            };
            self.line += line_ends(&rest.as_bytes()[..len]);
            self.at += len + 1;
            let doubled = self.byte() == Some(b'"');
            // Of two quotes, the first is kept.
            let piece = &rest[..len + usize::from(doubled)];
            if field.is_empty() {
                field = Cow::Borrowed(piece);
            } else {
                field.to_mut().push_str(piece);
            }
            if !doubled {
                return Ok(field);
            }
            self.at += 1;
        }
    }
}

impl<'a> Iterator for Records<'a> {
    type Item = Result<Record<'a>, DataError>;

    fn next(&mut self) -> Option<Self::Item> {
        while self.ends_line() {}
        self.byte()?;
        let record = self.record();
        if record.is_err() {
            self.at = self.text.len();
        }
        Some(record)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn read(text: &str, how: Delimited) -> Result<Vec<(usize, Vec<String>)>, String> {
        let records = Records::new(Path::new("a.csv"), text, how).map(|record| {
            let record = record.map_err(|error| error.to_string())?;
            Ok((record.line, record.fields.into_iter().map(Cow::into_owned).collect()))
        });
        records.collect()
    }

    #[track_caller]
    fn check(text: &str, expected: &[(usize, &[&str])]) {
        let expected: Vec<(usize, Vec<String>)> = expected
            .iter()
            .map(|(line, fields)| (*line, fields.iter().map(ToString::to_string).collect()))
            .collect();
        assert_eq!(read(text, Delimited::Csv), Ok(expected));
    }

    #[track_caller]
    fn check_refused(text: &str, sentence: &str) {
        assert_eq!(read(text, Delimited::Csv), Err(format!("a.csv {sentence}")));
    }

    #[test]
    fn records_have_the_line_they_begin_on() {
        check("a,b\n1,2\n", &[(1, &["a", "b"]), (2, &["1", "2"])]);
        check("a,b\r\n\r\n1,2\r\n3,4", &[(1, &["a", "b"]), (3, &["1", "2"]), (4, &["3", "4"])]);
        check("\n\na\n\n\nb\n", &[(3, &["a"]), (6, &["b"])]);
        check("a\rb\r\rc", &[(1, &["a"]), (2, &["b"]), (4, &["c"])]);
        check("\"1\r\n2\n3\r4\",x\ny,z\n", &[(1, &["1\r\n2\n3\r4", "x"]), (5, &["y", "z"])]);
        check("a,\n,b\n", &[(1, &["a", ""]), (2, &["", "b"])]);
    }

    #[test]
    fn quotes_are_undone() {
        check("\"a \"\"b\"\", c\",\"\"\n", &[(1, &["a \"b\", c", ""])]);
        check("\"\"\"\"\"\",\"\"\"x\"\n", &[(1, &["\"\"", "\"x"])]);
        // A quote inside an unquoted field is text.
        check("5\" disk, \"a\"\n", &[(1, &["5\" disk", " \"a\""])]);
        assert_eq!(
            read("\"a\t\"b\n", Delimited::Tabs),
            Ok(vec![(1, vec!["\"a".to_owned(), "\"b".to_owned()])])
        );
    }

    #[test]
    fn malformed_quotes_are_refused_with_their_lines() {
        let unclosed = "line 3: the quote that opens here is never closed; close it, or double it where it is text";
        check_refused("a,b\n1,2\n\"3,4\n5,6\n", unclosed);
        check_refused("a,b\n1,2\n\"3\"\",4\n5,6\n", unclosed);
        check_refused("a,b\r\n\r\n\"", unclosed);
        check_refused(
            "a,b\n\"1,2\n3,4\n\"5\",6\n",
            "line 4: text follows the closing quote of a field that opens on line 2; double quotes that are text",
        );
        check_refused(
            "a,b\n\"1\"x,2\n",
            "line 2: text follows the closing quote of a field that opens on line 2; double quotes that are text",
        );
    }

    proptest! {
        #[test]
        fn what_is_accepted_is_read_as_the_csv_crate_reads_it(
            text in "[ab\"\",,,\t\n\n\r]{0,40}",
            quoting: bool,
        ) {
            let how = if quoting { Delimited::Csv } else { Delimited::Tabs };
            let mut reader = csv::ReaderBuilder::new();
            reader.delimiter(how.delimiter()).quoting(quoting).has_headers(false).flexible(true);
            let theirs: Vec<Vec<String>> = reader
                .from_reader(text.as_bytes())
                .records()
                .map(|record| record.unwrap().iter().map(str::to_owned).collect())
                .collect();
            if let Ok(ours) = read(&text, how) {
                let fields: Vec<_> = ours.iter().map(|(_, fields)| fields.clone()).collect();
                prop_assert_eq!(fields, theirs);
                for (line, _) in ours {
                    prop_assert!(line >= 1 && line <= 1 + line_ends(text.as_bytes()));
                }
            } else {
                prop_assert!(quoting);
            }
        }
    }
}
