//! Adapters as files.

pub mod native;
pub mod probe;
pub mod tensorflow;
