//! Downloads over HTTP, with resuming and verification, and unpacking of ZIP archives.

pub mod archive;
pub mod http;
