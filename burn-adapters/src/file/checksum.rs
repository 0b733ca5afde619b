//! The checksums of an adapter file, which detect any byte that changed after writing.
//!
//! The header's JSON holds two SHA-256 digests in hexadecimal digits: that of the tensors' bytes, and that of all bytes
//! before them, with zeros in place of the header's own digest.
//! The header can thus be checked without reading the tensors.

use std::ops::Range;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

/// Bytes of the header's length, with which a file begins.
pub(super) const PREFIX: usize = 8;
/// Digits of a digest.
const DIGITS: usize = 64;

/// The digests of an adapter file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Checksums {
    /// Of everything before the tensors, with zeros in place of these digits.
    pub header: String,
    /// Of the tensors.
    pub tensors: String,
}

impl Checksums {
    /// Zeros, which [`seal`] replaces.
    pub(super) fn unset() -> Self {
        Self { header: "0".repeat(DIGITS), tensors: "0".repeat(DIGITS) }
    }

    /// Whether the bytes before the tensors are unchanged.
    pub(super) fn fits_header(&self, header: &[u8]) -> bool {
        let Some(range) = find(header, &self.header) else { return false };
        let digest = Sha256::new()
            .chain_update(&header[..range.start])
            .chain_update([b'0'; DIGITS])
            .chain_update(&header[range.end..])
            .finalize();
        hexadecimal(&digest) == self.header
    }

    /// Whether the tensors are unchanged.
    pub(super) fn fits_tensors(&self, tensors: &[u8]) -> bool {
        hexadecimal(&Sha256::digest(tensors)) == self.tensors
    }
}

/// Writes the digests into a file whose header has [unset](Checksums::unset) ones; the tensors begin at byte `tensors`.
///
/// `None` if the header has no unset digests.
pub(super) fn seal(bytes: &mut [u8], tensors: usize) -> Option<()> {
    let (header, data) = bytes.split_at_mut_checked(tensors)?;
    let Checksums { header: zeros, .. } = Checksums::unset();
    // The digests come first in the JSON, so that the first zeros are theirs.
    let own = find(header, &zeros)?;
    let other = find(&header[own.end..], &zeros)?;
    let other = own.end + other.start..own.end + other.end;
    header[other].copy_from_slice(hexadecimal(&Sha256::digest(data)).as_bytes());
    let digest = hexadecimal(&Sha256::digest(&*header));
    header[own].copy_from_slice(digest.as_bytes());
    Some(())
}

/// The first occurrence of a digest's digits.
fn find(bytes: &[u8], digits: &str) -> Option<Range<usize>> {
    if digits.len() != DIGITS {
        return None;
    }
    let start = bytes.windows(DIGITS).position(|window| window == digits.as_bytes())?;
    Some(start..start + DIGITS)
}

/// Bytes in lower-case hexadecimal digits.
pub(super) fn hexadecimal(bytes: &[u8]) -> String {
    use std::fmt::Write;
    bytes.iter().fold(String::new(), |mut text, byte| {
        // Writing to a string cannot fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}
