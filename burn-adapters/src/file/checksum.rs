//! The checksums of an adapter file, by which any byte that was changed after it was written is noticed.
//!
//! The header's JSON holds two SHA-256 digests in hexadecimal digits: that of the tensors' bytes, and that of all bytes
//! before them with the header's own digest read as zeros.
//! The header can thus be checked without reading the tensors.

use std::ops::Range;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

/// Bytes of the number that a file begins with: the length of its header.
pub(super) const PREFIX: usize = 8;
/// Digits of a digest.
const DIGITS: usize = 64;

/// The digests of an adapter file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Checksums {
    /// Of everything before the tensors, with these digits as zeros.
    pub header: String,
    /// Of the tensors.
    pub tensors: String,
}

impl Checksums {
    /// Zeros, which [`seal`] replaces.
    pub(super) fn unset() -> Self {
        Self { header: "0".repeat(DIGITS), tensors: "0".repeat(DIGITS) }
    }

    /// Whether these are the bytes before the tensors that were written.
    pub(super) fn fits_header(&self, header: &[u8]) -> bool {
        let Some(place) = find(header, &self.header) else { return false };
        let digest = Sha256::new()
            .chain_update(&header[..place.start])
            .chain_update([b'0'; DIGITS])
            .chain_update(&header[place.end..])
            .finalize();
        hexadecimal(&digest) == self.header
    }

    /// Whether these are the tensors that were written.
    pub(super) fn fits_tensors(&self, tensors: &[u8]) -> bool {
        hexadecimal(&Sha256::digest(tensors)) == self.tensors
    }
}

/// Puts the digests into a file whose header has [unset](Checksums::unset) ones; it begins at `tensors`, counted in
/// bytes, what is no header.
///
/// `None` if there are none in the header.
pub(super) fn seal(bytes: &mut [u8], tensors: usize) -> Option<()> {
    let (header, data) = bytes.split_at_mut_checked(tensors)?;
    let Checksums { header: zeros, .. } = Checksums::unset();
    // They come first in the JSON, so that the first zeros are theirs.
    let own = find(header, &zeros)?;
    let other = find(&header[own.end..], &zeros)?;
    let other = own.end + other.start..own.end + other.end;
    header[other].copy_from_slice(hexadecimal(&Sha256::digest(data)).as_bytes());
    let digest = hexadecimal(&Sha256::digest(&*header));
    header[own].copy_from_slice(digest.as_bytes());
    Some(())
}

/// Where the digits of a digest are first.
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
