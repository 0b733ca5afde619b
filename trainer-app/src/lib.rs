//! What `trainer` is made of; the program itself is `main.rs`.
//! Only this crate and `xtask` touch the network, the clock, the environment and the terminal.

// The first, because its macros are used by all that follow.
#[macro_use]
pub mod terminal;

pub mod activation_cache;
pub mod base;
pub mod bench;
pub mod cli;
pub mod commands;
pub mod download;
pub mod exit;
pub mod inference;
pub mod learner;
pub mod report;
pub mod run;
pub mod run_config;
pub mod serve;
pub mod sweep;
pub mod system;
pub mod task_data;
pub mod toml_file;

#[cfg(test)]
#[path = "../tests/tiny_base/mod.rs"]
mod tiny_base;
