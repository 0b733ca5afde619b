//! Adapters as files: our own, and those of other people's packages.

pub mod adapter_hub;
pub mod atomic;
pub mod bank;
mod checksum;
mod foreign;
mod layout;
pub mod merged;
mod metadata;
pub mod native;
pub mod peft;
mod pickle;
pub mod probe;
mod settings;
pub mod tensorflow;

pub use foreign::{Imported, Tensors, read_tensors};
