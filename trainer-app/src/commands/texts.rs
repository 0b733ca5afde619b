//! The input of `predict`: one text per line, or rows of a file with named columns; single texts or pairs, as the adapter
//! was trained.

use std::fs::File;
use std::io::{BufRead, BufReader, Read};
use std::path::Path;
use std::sync::mpsc::{Receiver, sync_channel};
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use burn_adapters::file::native::TextInput;
use glue_data::encoding::TextLines;
use glue_data::{DataError, Example, TableError, listed, tabular, tasks};

use crate::cli::{ColumnArgs, PredictArgs};
use crate::exit::UsageError;

/// Maximum number of texts that wait to be predicted.
const QUEUED_TEXTS: usize = 64;
/// Bytes that end a chunk of a stream.
const CHUNK_BYTES: usize = 4 << 20;
/// The pause of a stream that ends a chunk: short for a person, long for a program that writes without stopping.
const PAUSE: Duration = Duration::from_millis(100);
/// Maximum time for which a text waits for others.
const MAX_DELAY: Duration = Duration::from_secs(2);

/// A text or a pair of texts, and the line on which it begins.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Text {
    /// Counted from 1.
    pub(crate) line: usize,
    pub(crate) example: Example,
}

impl Text {
    fn bytes(&self) -> usize {
        self.example.text.len() + self.example.text2.as_ref().map_or(0, String::len)
    }
}

/// The file of the texts; none if they come from standard input.
fn file(args: &PredictArgs) -> Option<&Path> {
    args.input.as_deref().filter(|path| *path != Path::new("-"))
}

/// Checks flags and file before anything else is read.
///
/// # Errors
/// If the file has named columns, and no column is named.
pub(crate) fn check(args: &PredictArgs) -> Result<()> {
    let Some(path) = file(args).filter(|_| args.columns.text.is_none()) else {
        return Ok(());
    };
    if path.extension().is_some_and(|extension| extension.eq_ignore_ascii_case("json")) {
        return Err(UsageError::new(format!(
            "{}: expected JSON with an object a line, in a file that ends in .jsonl, and --text COL",
            path.display()
        )));
    }
    if tabular::has_columns(path) {
        let columns = listed(&tabular::column_names(path)?);
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

/// The texts of a command, in chunks.
#[derive(Debug)]
pub(crate) enum Texts {
    /// The texts of a file.
    File(std::vec::IntoIter<Text>),
    /// The texts that a thread reads from standard input.
    Stream(Receiver<Result<Text>>),
}

impl Texts {
    /// Opens the texts; a file is read and checked as a whole.
    ///
    /// # Errors
    /// If the file cannot be read or is not text, a column is missing, or a line is not a pair.
    pub(crate) fn open(args: &PredictArgs, input: Option<TextInput>) -> Result<Self> {
        let columns =
            args.columns.text.as_deref().map(|text| (text, args.columns.text2.as_deref()));
        let of_rows = |rows: Vec<(usize, Example)>| {
            let texts: Vec<Text> =
                rows.into_iter().map(|(line, example)| Text { line, example }).collect();
            Self::File(texts.into_iter())
        };
        let Some(path) = file(args) else {
            if let Some((text, text2)) = columns {
                let mut bytes = Vec::new();
                std::io::stdin()
                    .lock()
                    .read_to_end(&mut bytes)
                    .context("reading standard input")?;
                // The extension is the format.
                let name = Path::new("standard input as .csv");
                return Ok(of_rows(tasks::custom::parse_unlabeled(name, &bytes, text, text2)?));
            }
            let (sender, receiver) = sync_channel(QUEUED_TEXTS);
            std::thread::Builder::new()
                .name("input".to_owned())
                .spawn(move || {
                    let texts = lines(Path::new("standard input"), std::io::stdin().lock(), input);
                    for text in texts {
                        // The program ends when it no longer receives.
                        if sender.send(text).is_err() {
                            break;
                        }
                    }
                })
                .context("starting the thread that reads standard input")?;
            return Ok(Self::Stream(receiver));
        };
        if let Some((text, text2)) = columns {
            return Ok(of_rows(tasks::custom::read_unlabeled(path, text, text2)?));
        }
        let file =
            File::open(path).map_err(|source| DataError::Read { path: path.to_owned(), source })?;
        let texts: Vec<Text> = lines(path, BufReader::new(file), input).collect::<Result<_>>()?;
        Ok(Self::File(texts.into_iter()))
    }

    /// The next texts, at most `count`; none at the end. Of a stream, those that arrive without a pause, so that a text
    /// is answered soon after it was written.
    ///
    /// # Errors
    /// If standard input cannot be read or is not text, or a line is not a pair.
    pub(crate) fn next_chunk(&mut self, count: usize) -> Result<Vec<Text>> {
        let receiver = match self {
            Self::File(texts) => return Ok(texts.take(count).collect()),
            Self::Stream(receiver) => receiver,
        };
        let Ok(first) = receiver.recv() else { return Ok(Vec::new()) };
        let mut texts = vec![first?];
        let (mut bytes, start) = (texts[0].bytes(), Instant::now());
        while texts.len() < count && bytes < CHUNK_BYTES && start.elapsed() < MAX_DELAY {
            let Ok(text) = receiver.recv_timeout(PAUSE) else { break };
            let text = text?;
            bytes += text.bytes();
            texts.push(text);
        }
        Ok(texts)
    }
}

/// Reads one text per line.
fn lines(
    path: &Path,
    reader: impl BufRead,
    input: Option<TextInput>,
) -> impl Iterator<Item = Result<Text>> {
    TextLines::new(path, reader).zip(1..).map(move |(text, line)| {
        let text = text?;
        if input != Some(TextInput::Pair) || text.trim().is_empty() {
            return Ok(Text { line, example: Example { text, text2: None, label: None } });
        }
        let texts: Vec<&str> = text.split('\t').collect();
        let [text, text2] = texts[..] else {
            return Err(TableError::Columns {
                path: path.to_owned(),
                line,
                found: texts.len(),
                expected: 2,
                columns: "the two texts of a pair, separated by a tab".to_owned(),
            }
            .into());
        };
        let (text, text2) = (text.to_owned(), Some(text2.to_owned()));
        Ok(Text { line, example: Example { text, text2, label: None } })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str, input: Option<TextInput>) -> Result<Vec<(String, Option<String>)>, String> {
        let texts = lines(Path::new("lines.txt"), text.as_bytes(), input)
            .collect::<Result<Vec<_>>>()
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
        let bytes: &[u8] = b"a\nb\xff\n";
        let lines = lines(Path::new("standard input"), bytes, Some(TextInput::Single));
        let error = lines.collect::<Result<Vec<_>>>().unwrap_err().to_string();
        assert!(error.starts_with("standard input line 2: these bytes are not UTF-8"), "{error}");
    }
}
