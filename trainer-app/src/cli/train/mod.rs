//! The arguments of `trainer train`, and how they become a configuration.

mod args;
mod resolve;

pub use args::{TaskArgs, TrainArgs};
pub use resolve::TrainJob;
