//! Adapters as files: our own, and those of other people's packages.

pub mod adapter_hub;
pub mod atomic;
pub mod bank;
mod checksum;
mod interchange;
pub mod merged;
mod metadata;
pub mod native;
pub mod peft;
mod pickle;
pub mod probe;
mod settings;
mod tensor_mapping;
pub mod tensorflow;

pub use interchange::{Imported, Tensors, read_tensors};
