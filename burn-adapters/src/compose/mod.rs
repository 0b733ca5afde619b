//! Insertions made of tasks: one after the other, averaged, fused, or with some layers left out.

pub mod average;
pub mod dropped;
pub mod fusion;
pub mod stack;
pub mod without;
