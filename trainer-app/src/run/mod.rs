//! One training run: from a configuration to an adapter file and a result.
//! What runs share is in [`resource_cache`].

mod conclusion;
mod insertion_cost;
mod prepared;
pub mod resource_cache;
mod result;
mod size_notes;
mod training;

pub use prepared::Run;
pub use result::RunResult;
pub use training::{MakeRenderer, RunOptions};
