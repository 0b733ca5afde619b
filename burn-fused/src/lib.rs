#![doc = include_str!("../README.md")]

mod activation;
mod adam;
mod attention;
mod attention_options;
mod buckets;
mod dropout;
#[cfg(feature = "flex")]
mod flex;
mod linear;
mod norm;
mod rotary;
mod types;

pub use activation::{activation, gated_activation};
pub use adam::{bert_adam, sum_of_squares};
pub use attention::attention;
pub use attention_options::{AttentionOptions, RelativeTerms};
pub use buckets::DistanceBuckets;
pub use dropout::dropout;
pub use linear::linear;
pub use norm::LayerNorm;
pub use rotary::Rotary;
pub use types::{Activation, AdamRates, AdamState, ResidualInputs};
