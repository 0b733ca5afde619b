//! One harness a reader, one module a kind of file. Seeds are small files of the kind, written by the program itself
//! where it writes them. `cargo xtask fuzz --kind-seconds` divides its time by these modules.

#![expect(
    clippy::unwrap_used,
    reason = "a failure in the preparation of a harness is a failed test"
)]

#[path = "readers/activation_cache.rs"]
mod activation_cache;
#[path = "readers/adapter_settings.rs"]
mod adapter_settings;
#[path = "readers/adapters.rs"]
mod adapters;
#[path = "readers/banks.rs"]
mod banks;
#[path = "readers/base_config.rs"]
mod base_config;
#[path = "readers/csv.rs"]
mod csv;
#[path = "readers/files.rs"]
mod files;
#[path = "readers/json_lines.rs"]
mod json_lines;
#[path = "readers/network.rs"]
mod network;
#[path = "readers/pickles.rs"]
mod pickles;
#[path = "readers/runs.rs"]
mod runs;
#[path = "readers/safetensors.rs"]
mod safetensors;
#[path = "readers/squad.rs"]
mod squad;
#[path = "readers/sweeps.rs"]
mod sweeps;
#[path = "readers/tagging.rs"]
mod tagging;
#[path = "readers/tensorflow.rs"]
mod tensorflow;
#[path = "readers/tokenizers.rs"]
mod tokenizers;
