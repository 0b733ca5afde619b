//! One harness a reader. Seeds are small files of the kind, written by the program itself where it writes them.

#![expect(clippy::unwrap_used, reason = "a test may fail where it stands")]

#[path = "readers/adapters.rs"]
mod adapters;
#[path = "readers/bases.rs"]
mod bases;
#[path = "readers/foreign.rs"]
mod foreign;
#[path = "readers/network.rs"]
mod network;
#[path = "readers/runs.rs"]
mod runs;
#[path = "readers/sweeps.rs"]
mod sweeps;
#[path = "readers/tables.rs"]
mod tables;
