//! Figures and HTML pages of sweeps and ablations.

pub mod ablation;
pub mod charts;
pub mod heat_map;
pub mod page;
pub mod paper;
pub mod plot;
pub mod score_tables;
