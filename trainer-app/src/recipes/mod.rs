//! One job each, readable alone.

pub mod train;
pub mod evaluate;
pub mod predict;
pub mod data;
pub mod inspect;
pub mod inference;
