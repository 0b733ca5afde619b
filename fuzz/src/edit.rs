//! Edits of a seed: small changes that keep most of a file, so that the reader gets as far as the damage.

use std::ops::Range;

use arbitrary::Arbitrary;

/// Maximum length of an input: growth comes from repetition, not from a large seed.
const LONGEST: usize = 1 << 20;

/// Tokens with a meaning in some format: limits of number types, separators, byte order marks, nested openings.
const WORDS: [&[u8]; 40] = [
    b"0",
    b"-1",
    b"1e999",
    b"-1e-999",
    b"NaN",
    b"Infinity",
    b"null",
    b"true",
    b"[]",
    b"{}",
    b"\"",
    b"\\",
    b",",
    b"\t",
    b"\n",
    b"\r\n",
    b"\r",
    b"\0",
    b"\xef\xbb\xbf",
    b"\xff\xfe",
    b"\xfe\xff",
    b"\xed\xa0\x80",
    b"\\ud800",
    b"\xf0\x9f\x98\x80",
    b"[[[[[[[[[[[[[[[[",
    b"{\"a\":{\"a\":{\"a\":{\"a\":",
    b"18446744073709551615",
    b"9223372036854775808",
    b"4294967295",
    b"2147483648",
    b"1099511627776",
    b"65536",
    b"40000",
    b"0.5",
    b"-0.0",
    b"\xff\xff\xff\xff\xff\xff\xff\x7f",
    b"\x00\x00\x00\x00\x00\x00\x00\x80",
    b"\xff\xff\xff\xff",
    b"\x00\x00\x00\x00",
    b"../..",
];

/// One edit. Positions wrap around the end of the input.
#[derive(Debug, Clone, Arbitrary)]
pub(crate) enum Edit {
    /// Flips a bit.
    Flip { at: u32, bit: u8 },
    /// Sets a byte.
    Set { at: u32, byte: u8 },
    /// Inserts a word.
    Insert { at: u32, word: u8 },
    /// Overwrites bytes with a word.
    Overwrite { at: u32, word: u8 },
    /// Replaces the next run of digits with a word.
    Number { at: u32, word: u8 },
    /// Removes a piece.
    Remove { at: u32, len: u16 },
    /// Repeats a piece a few times, or rarely up to the maximum length.
    Repeat { at: u32, len: u16, times: u8 },
    /// Inserts a piece of another seed.
    Splice { at: u32, seed: u16, from: u32, len: u16 },
    /// Removes the end.
    Truncate { at: u32 },
}

impl Edit {
    /// Applies the edit.
    pub(crate) fn apply(&self, bytes: &mut Vec<u8>, seeds: &[Vec<u8>]) {
        let len = bytes.len();
        let place = |at: u32, len: usize| at as usize % (len + 1);
        let word = |word: u8| WORDS[usize::from(word) % WORDS.len()];
        match *self {
            Self::Flip { at, bit } => {
                if let Some(byte) = bytes.get_mut(place(at, len)) {
                    *byte ^= 1 << (bit % 8);
                }
            }
            Self::Set { at, byte: value } => {
                if let Some(byte) = bytes.get_mut(place(at, len)) {
                    *byte = value;
                }
            }
            Self::Insert { at, word: index } => {
                let at = place(at, len);
                replace(bytes, at..at, word(index));
            }
            Self::Overwrite { at, word: index } => {
                let (at, word) = (place(at, len), word(index));
                let end = (at + word.len()).min(len);
                replace(bytes, at..end, word);
            }
            Self::Number { at, word: index } => {
                let at = place(at, len);
                let Some(start) = (at..len).find(|place| bytes[*place].is_ascii_digit()) else {
                    return;
                };
                let end = (start..len).find(|place| !bytes[*place].is_ascii_digit()).unwrap_or(len);
                replace(bytes, start..end, word(index));
            }
            Self::Remove { at, len: count } => {
                let at = place(at, len);
                bytes.drain(at..(at + usize::from(count)).min(len));
            }
            Self::Repeat { at, len: count, times } => {
                let at = place(at, len);
                let piece = &bytes[at..(at + usize::from(count)).min(len)];
                // Reading a large input takes a hundred times as long, so there is one for hundreds of small ones.
                let times = match times {
                    u8::MAX => LONGEST / piece.len().max(1),
                    times => usize::from(times % 8),
                };
                let piece = piece.repeat(times);
                replace(bytes, at..at, &piece);
            }
            Self::Splice { at, seed, from, len: count } => {
                let other = &seeds[usize::from(seed) % seeds.len()];
                let from = place(from, other.len());
                let piece = &other[from..(from + usize::from(count)).min(other.len())];
                let at = place(at, len);
                replace(bytes, at..at, piece);
            }
            Self::Truncate { at } => bytes.truncate(place(at, len)),
        }
        bytes.truncate(LONGEST);
    }
}

/// Puts a piece in the place of a range. `Vec::splice` moves byte by byte.
fn replace(bytes: &mut Vec<u8>, range: Range<usize>, piece: &[u8]) {
    let end = bytes.split_off(range.end);
    bytes.truncate(range.start);
    bytes.extend_from_slice(piece);
    bytes.extend_from_slice(&end);
}
