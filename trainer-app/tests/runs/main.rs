//! Training runs of `trainer`: stopped, killed, damaged, diverged, and several at once.
#![expect(clippy::unwrap_used, reason = "a test may fail where it stands")]

mod desk;
mod diverged;
#[path = "../tiny_base/mod.rs"]
mod tiny_base;
