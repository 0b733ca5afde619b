//! TOML files, with limits that are checked before a file is parsed.
//!
//! `toml` limits how deep brackets are nested and how many parts a dotted key has, but not both together, and after a
//! syntax error it counts brackets as closed that are not: a file with thousands of open brackets overflows the stack.

use std::cell::Cell;
use std::fs::File;
use std::io::Read;
use std::path::Path;

use anyhow::{Result, bail, ensure};
use serde::de::DeserializeOwned;
use toml_parser::parser::{EventReceiver, parse_document};
use toml_parser::{ErrorSink, ParseError, Source, Span};

/// Maximum size of a file in bytes. Parsing takes up to about 100 times as much memory.
pub const MAX_BYTES: usize = 256 << 10;
/// Maximum number of brackets around a value, and of dots in a key. Files of this program need one of each.
const MAX_NESTING: usize = 8;

/// Reads the text of a file, which may be larger than [`MAX_BYTES`] by one byte at most.
///
/// # Errors
/// What the file system reports, and text that is not UTF-8.
pub fn read(path: &Path) -> std::io::Result<String> {
    let mut text = String::new();
    File::open(path)?.take(MAX_BYTES as u64 + 1).read_to_string(&mut text)?;
    Ok(text)
}

/// Parses a file.
///
/// # Errors
/// A text that is too long or too deeply nested, is not TOML, or has another shape.
pub fn parse<T: DeserializeOwned>(text: &str) -> Result<T> {
    ensure!(text.len() <= MAX_BYTES, "the file is too large, expected at most {MAX_BYTES} bytes");
    let is_broken = Cell::new(false);
    let mut nesting = Nesting { is_broken: &is_broken, brackets: 0, dots: 0, is_too_deep: false };
    let mut first: Option<ParseError> = None;
    parse_document(&Source::new(text).lex().into_vec(), &mut nesting, &mut |error: ParseError| {
        is_broken.set(true);
        first.get_or_insert(error);
    });
    if let Some(error) = first.filter(|_| nesting.is_too_deep) {
        let end = error.unexpected().map_or(0, |span| span.start());
        let line = 1 + text.bytes().take(end).filter(|byte| *byte == b'\n').count();
        bail!("it is not TOML: {} in line {line}", error.description());
    }
    ensure!(
        !nesting.is_too_deep,
        "a value is nested too deeply, expected at most {MAX_NESTING} brackets around a value and {MAX_NESTING} dots \
         in a key"
    );
    Ok(toml::from_str(text)?)
}

/// Notices values that are nested too deeply, and does not enter them.
struct Nesting<'a> {
    /// Whether there was a syntax error: from there on, no bracket counts as closed.
    is_broken: &'a Cell<bool>,
    brackets: usize,
    dots: usize,
    is_too_deep: bool,
}

impl Nesting<'_> {
    fn open(&mut self) -> bool {
        self.brackets += 1;
        self.dots = 0;
        self.is_too_deep |= self.brackets > MAX_NESTING;
        !self.is_too_deep
    }

    fn close(&mut self) {
        if !self.is_broken.get() {
            self.brackets = self.brackets.saturating_sub(1);
        }
        self.dots = 0;
    }
}

impl EventReceiver for Nesting<'_> {
    fn std_table_open(&mut self, _: Span, _: &mut dyn ErrorSink) {
        self.dots = 0;
    }

    fn array_table_open(&mut self, _: Span, _: &mut dyn ErrorSink) {
        self.dots = 0;
    }

    fn inline_table_open(&mut self, _: Span, _: &mut dyn ErrorSink) -> bool {
        self.open()
    }

    fn inline_table_close(&mut self, _: Span, _: &mut dyn ErrorSink) {
        self.close();
    }

    fn array_open(&mut self, _: Span, _: &mut dyn ErrorSink) -> bool {
        self.open()
    }

    fn array_close(&mut self, _: Span, _: &mut dyn ErrorSink) {
        self.close();
    }

    fn key_sep(&mut self, _: Span, _: &mut dyn ErrorSink) {
        self.dots += 1;
        self.is_too_deep |= self.dots > MAX_NESTING;
    }

    fn key_val_sep(&mut self, _: Span, _: &mut dyn ErrorSink) {
        self.dots = 0;
    }

    fn newline(&mut self, _: Span, _: &mut dyn ErrorSink) {
        self.dots = 0;
    }
}

#[cfg(test)]
mod tests {
    use toml::Table;

    use super::*;

    fn error(text: &str) -> String {
        parse::<Table>(text).unwrap_err().to_string()
    }

    #[test]
    fn values_that_are_nested_too_deeply_are_refused() {
        // 75 tables in each other, each with 75 keys: more than any stack holds.
        let key = vec!["a"; 75].join(".");
        let text =
            format!("{}1{}", format!("{key} = {{").repeat(75).replace('{', "{ "), "}".repeat(75));
        let text = text.replacen("{ 1", "{ a = 1", 1);
        assert!(error(&text).contains("nested too deeply"), "{}", error(&text));
        // The parser notices first that these are never closed.
        let open = "a = ".to_owned() + &"[".repeat(100_000);
        assert!(error(&open).contains("unclosed array in line 1"), "{}", error(&open));
        assert!(error(&format!("[{key}]")).contains("nested too deeply"));
        assert!(
            parse::<Table>("a.b.c = { d.e = [[1, 2], [0.5, -1.5]] }\n[f.g]\nh = '.........'")
                .is_ok()
        );
    }

    #[test]
    fn brackets_that_are_not_closed_do_not_nest() {
        let text = "a = {\"b\"]\nc = 1\n".repeat(MAX_BYTES / 16);
        assert!(parse::<Table>(&text).is_err());
        // A short text has the usual error.
        assert!(error("a = {\"b\"]\nc = 1\n").contains("line 1, column"));
    }

    #[test]
    fn a_file_that_is_too_large_is_refused() {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), "# 45678\n".repeat(MAX_BYTES / 8)).unwrap();
        assert!(parse::<Table>(&read(file.path()).unwrap()).is_ok());
        std::fs::write(file.path(), "# 45678\n".repeat(MAX_BYTES)).unwrap();
        let text = read(file.path()).unwrap();
        assert_eq!(text.len(), MAX_BYTES + 1);
        assert!(error(&text).contains("too large, expected at most 262144 bytes"));
    }
}
