//! What is known about a file before and during its download.

/// A file to download, and what is known about it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Download {
    /// Its URL.
    pub url: String,
    /// Its size.
    pub bytes: Option<u64>,
    /// Its SHA-256, in lower-case hexadecimal digits.
    pub sha256: Option<String>,
    /// A bearer token, which is only sent to the host of `url`.
    pub token: Option<String>,
    /// Maximum size.
    pub at_most: Option<u64>,
}

/// What the server reports about a file.
#[derive(Debug, Default)]
pub(super) struct Known {
    /// Size and digest of the hub.
    pub(super) expected: Download,
    pub(super) commit: Option<String>,
}
