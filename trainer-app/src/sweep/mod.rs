//! Many runs: which cells a grid has, how long they will take, and the ledger that remembers what came out of each.
//! Running them is in [`recipes::sweep`](crate::recipes::sweep), what is drawn from them in `report`.

pub mod estimate;
pub mod grid;
pub mod ledger;
pub mod summary;
