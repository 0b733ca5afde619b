//! Adapters as files.

pub mod native;
pub mod probe;
