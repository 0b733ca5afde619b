//! What `trainer` is made of; the program itself is `main.rs`.
//! Only this crate and `xtask` touch the network, the clock, the environment and the terminal.

pub mod cli;
pub mod run_config;
pub mod recipes;
pub mod learner;
pub mod rows;
pub mod artifacts;
pub mod metrics_file;
pub mod base;
pub mod devices;
pub mod fetch;
