//! Sweeps of `trainer` and what is made of them: killed, shared, disturbed, reported.
#![expect(clippy::unwrap_used, reason = "a test may fail where it stands")]

mod ablation;
mod desk;
mod faults;
mod ledgers;
mod runs;
#[path = "../tiny_base/mod.rs"]
mod tiny_base;
