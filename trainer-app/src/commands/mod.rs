//! What each command of the program does, one file a command; its flags are in [`cli`](crate::cli).

pub mod ablate;
pub mod adapter;
pub mod bank;
pub mod bench;
pub mod data;
pub mod evaluate;
pub mod inspect;
pub mod predict;
pub mod report;
pub mod submission;
pub mod sweep;
pub mod train;
