//! Sweeps: the cells of a grid, estimates of their time, and the ledger of their results.
//! The command that runs them is in [`commands::sweep`](crate::commands::sweep), figures are in `report`.

pub mod cell;
pub mod entries;
pub mod entry;
pub mod estimate;
pub mod fault;
pub mod grid;
pub mod ledger;
mod origins;
pub mod shard;
pub mod summary;
pub mod table;
