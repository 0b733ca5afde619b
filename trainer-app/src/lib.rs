//! What `trainer` is made of; the program itself is `main.rs`.
//! Only this crate and `xtask` touch the network, the clock, the environment and the terminal.

// The first, because its macros are used by all that follow.
#[macro_use]
pub mod output;

pub mod activation_cache;
pub mod artifacts;
pub mod base;
pub mod bench;
pub mod cli;
pub mod commands;
pub mod devices;
pub mod digest;
pub mod download;
pub mod exit;
pub mod files;
pub mod hints;
pub mod inference;
pub mod insertion_cost;
pub mod learner;
pub mod limits;
pub mod lock;
pub mod process;
pub mod report;
pub mod resource_cache;
pub mod run;
pub mod run_config;
pub mod serve;
pub mod stop;
pub mod sweep;
pub mod task_data;
pub mod terminal;

#[cfg(test)]
#[path = "../tests/tiny_base/mod.rs"]
mod tiny_base;
