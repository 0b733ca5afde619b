//! Pictures and pages: what a sweep or an ablation looks like. The numbers come from elsewhere.

pub mod ablation;
pub mod charts;
pub mod heat_map;
pub mod page;
pub mod paper;
pub mod plot;
