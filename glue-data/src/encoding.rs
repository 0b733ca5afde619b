//! Decodes the bytes of a file as UTF-8; the error names the probable encoding.

use std::io::{BufRead, Read};
use std::path::{Path, PathBuf};

use crate::error::{DataError, TextError};

const UTF8_MARK: &[u8] = b"\xEF\xBB\xBF";
/// Byte order marks. UTF-32 is first, because its mark begins with that of UTF-16.
const MARKS: [(&[u8], &str); 4] = [
    (b"\xFF\xFE\x00\x00", "UTF-32"),
    (b"\x00\x00\xFE\xFF", "UTF-32"),
    (b"\xFF\xFE", "UTF-16"),
    (b"\xFE\xFF", "UTF-16"),
];
/// Number of bytes that are examined to detect UTF-16 without a mark.
const PROBED: usize = 512;

/// The bytes of a file. A device may never end, and a pipe may never begin.
///
/// # Errors
/// If it cannot be read, or is not a regular file.
pub(crate) fn read_bytes(path: &Path) -> Result<Vec<u8>, DataError> {
    let read = |source| DataError::Read { path: path.to_owned(), source };
    let metadata = std::fs::metadata(path).map_err(read)?;
    if !metadata.is_file() && !metadata.is_dir() {
        return Err(TextError::NotAFile { path: path.to_owned() }.into());
    }
    std::fs::read(path).map_err(read)
}

/// Decodes the text of a file; a byte order mark is skipped.
///
/// # Errors
/// If the encoding is not UTF-8, or there is a NUL byte. The error names the line.
pub fn decode<'a>(path: &Path, bytes: &'a [u8]) -> Result<&'a str, DataError> {
    refuse_wide(path, bytes)?;
    let bytes = without_mark(bytes);
    let text = std::str::from_utf8(bytes).map_err(|error| {
        let at = error.valid_up_to();
        let line = 1 + line_ends(&bytes[..at]);
        DataError::from(TextError::NotUtf8 { path: path.to_owned(), line, hint: hint(bytes, at) })
    })?;
    match text.find('\0') {
        Some(at) => {
            Err(TextError::Nul { path: path.to_owned(), line: 1 + line_ends(&bytes[..at]) }.into())
        }
        None => Ok(text),
    }
}

/// The lines of a reader as text, in constant memory; a byte order mark is skipped. Lines end with `\n` or `\r\n`.
///
/// The first error ends the iteration.
#[derive(Debug)]
pub struct TextLines<R> {
    path: PathBuf,
    reader: R,
    /// Number of lines read.
    lines: usize,
    failed: bool,
}

impl<R: BufRead> TextLines<R> {
    /// Maximum bytes of a line.
    pub const MAX_LINE: usize = 1 << 20;

    /// Reads lines from a reader; errors name it as `path`.
    pub fn new(path: &Path, reader: R) -> Self {
        Self { path: path.to_owned(), reader, lines: 0, failed: false }
    }

    fn read_line(&mut self) -> Result<Option<String>, DataError> {
        let path = || self.path.clone();
        let line = self.lines + 1;
        let mut bytes = Vec::new();
        // Two bytes more, for the line end.
        let limit = Self::MAX_LINE as u64 + 2;
        let read = self.reader.by_ref().take(limit).read_until(b'\n', &mut bytes);
        if read.map_err(|source| DataError::Read { path: path(), source })? == 0 {
            return Ok(None);
        }
        if line == 1 {
            refuse_wide(&self.path, &bytes)?;
        }
        let bytes = if line == 1 { without_mark(&bytes) } else { &bytes };
        let bytes = bytes
            .strip_suffix(b"\n")
            .map_or(bytes, |line| line.strip_suffix(b"\r").unwrap_or(line));
        if bytes.len() > Self::MAX_LINE {
            return Err(TextError::LongLine { path: path(), line, at_most: Self::MAX_LINE }.into());
        }
        let text = std::str::from_utf8(bytes).map_err(|error| TextError::NotUtf8 {
            path: path(),
            line,
            hint: hint(bytes, error.valid_up_to()),
        })?;
        if text.contains('\0') {
            return Err(TextError::Nul { path: path(), line }.into());
        }
        self.lines = line;
        Ok(Some(text.to_owned()))
    }
}

impl<R: BufRead> Iterator for TextLines<R> {
    type Item = Result<String, DataError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.failed {
            return None;
        }
        let line = self.read_line().transpose();
        self.failed = matches!(line, Some(Err(_)));
        line
    }
}

/// Checks that the encoding is not UTF-16 or UTF-32, whose bytes could be read as other letters.
pub(crate) fn refuse_wide(path: &Path, bytes: &[u8]) -> Result<(), DataError> {
    let marked = MARKS.iter().find(|(mark, _)| bytes.starts_with(mark)).map(|(_, name)| *name);
    // Without a mark, every second byte of plain Latin text is NUL.
    let probed = &bytes[..bytes.len().min(PROBED)];
    let nuls = probed.iter().filter(|byte| **byte == 0).count();
    let guessed = (probed.len() > 1 && 5 * nuls >= 2 * probed.len()).then_some("UTF-16");
    match marked.or(guessed) {
        Some(encoding) => Err(TextError::Encoding { path: path.to_owned(), encoding }.into()),
        None => Ok(()),
    }
}

/// The bytes without the byte order mark of UTF-8, if there is one.
pub(crate) fn without_mark(bytes: &[u8]) -> &[u8] {
    bytes.strip_prefix(UTF8_MARK).unwrap_or(bytes)
}

/// The number of line ends: `\n`, `\r\n`, and `\r` alone.
pub(crate) fn line_ends(bytes: &[u8]) -> usize {
    let ends = bytes.iter().enumerate().filter(|(at, byte)| match byte {
        b'\n' => true,
        b'\r' => bytes.get(at + 1) != Some(&b'\n'),
        _ => false,
    });
    ends.count()
}

/// The probable encoding of bytes that are not UTF-8. A single byte of Latin-1 between ASCII is not UTF-8, in which other
/// letters have two bytes or more.
pub(crate) fn hint(bytes: &[u8], at: usize) -> &'static str {
    let is_ascii = |at: Option<usize>| at.and_then(|at| bytes.get(at)).is_none_or(u8::is_ascii);
    let is_alone = is_ascii(at.checked_sub(1)) && is_ascii(at.checked_add(1));
    // Latin-1's letters, and the euro, ellipsis, quotes, dashes and trademark of Windows-1252.
    match bytes.get(at) {
        Some(0xA0..=0xFF | 0x80 | 0x85 | 0x91..=0x97 | 0x99) if is_alone => {
            ", and look like Latin-1 (Windows-1252)"
        }
        _ => "",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(bytes: &[u8], expected: Result<&str, &str>) {
        let found = decode(Path::new("a.csv"), bytes).map_err(|error| error.to_string());
        assert_eq!(found, expected.map_err(|sentence| format!("a.csv{sentence}")));
    }

    fn wide(text: &str, bytes_of: fn(u16) -> [u8; 2]) -> Vec<u8> {
        text.encode_utf16().flat_map(bytes_of).collect()
    }

    #[test]
    fn a_byte_order_mark_is_skipped_and_other_encodings_are_named() {
        check(b"", Ok(""));
        check("\u{feff}naïve\n".as_bytes(), Ok("naïve\n"));
        let utf16 = " looks like UTF-16; save it as UTF-8";
        check(&wide("\u{feff}text,label\n", u16::to_le_bytes), Err(utf16));
        check(&wide("\u{feff}text,label\n", u16::to_be_bytes), Err(utf16));
        check(&wide("text,label\n", u16::to_le_bytes), Err(utf16));
        check(&wide("text,label\n", u16::to_be_bytes), Err(utf16));
        check(b"\xFF\xFE\0\0t\0\0\0", Err(" looks like UTF-32; save it as UTF-8"));
    }

    #[test]
    fn lines_are_read_one_at_a_time() {
        let read = |bytes: &[u8]| -> Result<Vec<String>, String> {
            let lines = TextLines::new(Path::new("a.txt"), bytes);
            lines.collect::<Result<_, _>>().map_err(|error| error.to_string())
        };
        assert_eq!(read(b""), Ok(Vec::new()));
        let lines = ["a\tb", "", "  ", "c\rd"].map(str::to_owned).to_vec();
        assert_eq!(read("\u{feff}a\tb\r\n\n  \nc\rd".as_bytes()), Ok(lines));
        let latin = "a.txt line 2: these bytes are not UTF-8, and look like Latin-1";
        assert!(read(b"a\ncaf\xe9\n").unwrap_err().starts_with(latin));
        assert!(read(b"a\nb\0\n").unwrap_err().starts_with("a.txt line 2: a NUL byte"));
        let utf16 = "a.txt looks like UTF-16; save it as UTF-8";
        assert_eq!(read(&wide("text\nb\n", u16::to_le_bytes)), Err(utf16.to_owned()));
        let longest = "x".repeat(TextLines::<&[u8]>::MAX_LINE);
        assert_eq!(read(longest.as_bytes()).map(|lines| lines.len()), Ok(1));
        assert_eq!(read(format!("{longest}\r\n").as_bytes()).map(|lines| lines.len()), Ok(1));
        let long = "a.txt line 2: a line of more than 1048576 bytes; split it, or check that its lines end with \\n";
        assert_eq!(read(format!("a\n{longest}x\nb").as_bytes()), Err(long.to_owned()));
    }

    #[test]
    fn bytes_that_are_not_text_are_refused_with_their_line() {
        let latin = " line 3: these bytes are not UTF-8, and look like Latin-1 (Windows-1252); save the file as UTF-8";
        check(b"a\r\nb\r\ncaf\xe9,x\r\n", Err(latin));
        check(b"a\rb\r\xe9", Err(latin));
        let other = " line 4: these bytes are not UTF-8; save the file as UTF-8";
        check(b"a\n\n\n\x83\x65\x83\x58", Err(other));
        check(b"a\n\n\n\xcf\xf0\xe8", Err(other));
        let nul = " line 2: a NUL byte, which no text has; save the file as text again";
        check(b"text,label\na long enough text\0,x\n", Err(nul));
    }
}
