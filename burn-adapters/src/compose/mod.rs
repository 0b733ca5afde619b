//! Insertions made of a task and something else.

pub mod without;
