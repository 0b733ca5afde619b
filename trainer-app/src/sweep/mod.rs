//! Many runs: which cells a grid has, how long they will take, and the ledger that records what came out of each.
//! Running them is in [`commands::sweep`](crate::commands::sweep), what is drawn from them in `report`.

pub mod cell;
pub mod entries;
pub mod entry;
pub mod estimate;
pub mod fault;
pub mod grid;
pub mod ledger;
mod origins;
pub mod shard;
pub mod slurm;
pub mod summary;
pub mod table;
