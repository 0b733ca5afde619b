//! Files of others: over HTTP with resuming and checks, whole repositories of a hub, and members of ZIP archives.

pub mod archive;
pub mod http;
pub(crate) mod hub;
