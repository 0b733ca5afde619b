//! Insertions made of tasks: one after the other, averaged, fused, of another task for each row, or with some
//! layers left out.

pub mod average;
pub mod dropped;
pub mod fusion;
pub mod per_row;
pub mod stack;
mod stacked;
pub mod without;
