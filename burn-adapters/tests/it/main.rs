//! What this crate promises, in one binary (each test binary links all of Burn).
#![expect(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "helpers of tests fail as tests do, and tell what they measured"
)]

mod ablation;
mod adapter_hub;
mod bank;
mod burn_lora;
mod compose;
mod every_family;
mod exchange;
mod extensions;
mod families;
mod files;
mod fixtures;
mod gradients;
mod invariants;
mod losses;
mod merging;
mod mixed_batch;
mod precision;
mod reference_parity;
mod samples;
mod spans;
#[cfg(feature = "tensorflow")]
mod tensorflow;
mod token_classification;
mod trainable;
