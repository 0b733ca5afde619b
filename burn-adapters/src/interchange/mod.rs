//! Reading and writing the formats of other programs: directories of `AdapterHub` and `PEFT`, merged Hugging Face
//! checkpoints, TensorFlow checkpoints of the paper's code, and Burn's own LoRA.

pub mod adapter_hub;
mod base_names;
pub mod burn_lora;
mod directory;
pub mod merged;
pub mod peft;
mod pickle;
mod settings;
mod tensor_mapping;
#[cfg(feature = "tensorflow")]
pub mod tensorflow;

pub use directory::{Imported, Tensors, parse_safetensors, read_tensors};
