//! This crate's own files: an adapter file for one task, and banks of many.

pub mod atomic;
#[cfg(feature = "bank")]
pub mod bank;
mod checksum;
mod metadata;
pub mod native;
mod probe;
