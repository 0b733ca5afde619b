//! Reading and writing the formats of other programs: directories of `AdapterHub` and `PEFT`, merged Hugging Face
//! checkpoints, and TensorFlow checkpoints of the paper's code.

pub mod adapter_hub;
mod directory;
mod hf_names;
pub mod merged;
pub mod peft;
mod pickle;
mod settings;
mod tensor_mapping;
pub mod tensorflow;

pub use directory::{Imported, Tensors, read_tensors};
