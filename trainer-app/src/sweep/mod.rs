//! Many runs: which cells a grid has, and the ledger that remembers what came out of each.
//! Running them is in [`recipes::sweep`](crate::recipes::sweep), what is drawn from them in `report`.

pub mod grid;
pub mod ledger;
pub mod summary;
