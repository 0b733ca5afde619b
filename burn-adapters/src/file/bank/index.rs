//! The index of a bank: what is in it, and where.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::file::native::BaseIdentity;

/// The version of the layout of [a bank](super). Version 1, which is read as well, has less information about the base.
pub const BANK_VERSION: u32 = 2;

/// The content of a bank.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Index {
    /// The base that all adapters belong to.
    pub base: BaseIdentity,
    /// Size of the base's weights in bytes, for comparison with the adapters'.
    pub base_bytes: u64,
    /// The adapters by the names of their tasks.
    pub entries: BTreeMap<String, Entry>,
}

/// The position of an adapter in the file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Entry {
    /// Its first byte in the file.
    pub offset: u64,
    /// Its size in bytes.
    pub bytes: u64,
    /// SHA-256 of its bytes, in lower-case hexadecimal digits.
    pub sha256: String,
}
