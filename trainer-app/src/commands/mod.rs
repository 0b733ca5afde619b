//! The commands of the program, one file per command; their arguments are in [`cli`](crate::cli).

pub mod ablate;
pub mod adapter;
pub mod bank;
pub mod base;
pub mod bench;
pub mod completions;
pub mod data;
mod entities;
pub mod evaluate;
pub mod inspect;
mod labeled_rows;
pub mod predict;
pub mod report;
pub mod score;
pub mod submission;
pub mod sweep;
mod texts;
pub mod train;
