//! Training runs of `trainer`: stopped, killed, damaged, diverged, and several at once.
#![expect(clippy::unwrap_used, reason = "a test may fail where it stands")]

mod damaged;
mod desk;
mod diverged;
mod families;
mod kept_states;
mod resume;
#[cfg(unix)]
mod signals;
#[path = "../tiny_base/mod.rs"]
mod tiny_base;
