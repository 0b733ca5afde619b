//! The program on a tiny BERT, with custom rows.
#![expect(clippy::unwrap_used, reason = "a test may fail at any line")]

mod caching;
mod compose;
mod desk;
mod entities;
mod errors;
mod exchange;
mod extensions;
mod hostile;
mod killed;
mod multi_label;
mod squad;
#[path = "../tiny_base/mod.rs"]
mod tiny_base;
mod training;
