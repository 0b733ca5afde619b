//! How it is trained: the section `[training]` of a configuration, and the flags of `trainer train` under `Training`.
//!
//! A field's documentation is the help of its flag.

use clap::{Args, ValueEnum};
use serde::{Deserialize, Serialize};

use crate::run_config::limits;

/// How it is trained.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, Args)]
#[serde(deny_unknown_fields)]
#[command(next_help_heading = "Training")]
pub struct TrainingConfig {
    /// Passes over the training rows [default: 10; top-K, full: 3]
    #[arg(long, value_name = "N", value_parser = limits::EPOCHS)]
    pub epochs: usize,
    /// Peak learning rate [default: the method's, 3e-4 for houlsby]
    #[arg(long, visible_alias = "lr", value_name = "RATE", value_parser = limits::LEARNING_RATE)]
    pub learning_rate: f64,
    /// Rows per batch [default: 32]
    #[arg(long, value_name = "ROWS", value_parser = limits::BATCH_SIZE)]
    pub batch_size: usize,
    /// Batches whose gradients are averaged for one step [default: 1]
    #[arg(long, value_name = "BATCHES", value_parser = limits::ACCUMULATE)]
    pub accumulate: usize,
    /// Optimizer [default: bert-adam]
    #[arg(long, value_enum, value_name = "NAME")]
    pub optimizer: OptimizerKind,
    /// Decoupled weight decay, for all but biases and LayerNorms
    /// [default: 0.01]
    #[arg(long, value_name = "RATE", value_parser = limits::WEIGHT_DECAY)]
    pub weight_decay: f64,
    /// Fraction of the steps over which the learning rate increases from 0,
    /// between 0 and 1 [default: 0.1]
    #[arg(long, value_name = "FRACTION", value_parser = limits::WARMUP)]
    pub warmup: f64,
    /// How the learning rate decreases to 0 after warm-up [default:
    /// continuous; houlsby-code: from-start]
    #[arg(long, value_enum, value_name = "SHAPE")]
    pub decay: Decay,
    /// Maximum global norm of the gradients; larger ones are scaled down
    /// [default: 1.0]
    #[arg(long, value_name = "NORM", value_parser = limits::CLIP)]
    pub clip: f64,
    /// Stop after this many epochs without a better validation score
    /// [default: never]
    #[arg(long, value_name = "EPOCHS", value_parser = limits::PATIENCE)]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub patience: Option<usize>,
    /// Where to cache the hidden states that enter the lowest trainable layer,
    /// so that later epochs skip the layers below [default: auto]
    #[arg(long, value_enum, value_name = "WHERE")]
    #[serde(default, skip_serializing_if = "ActivationCacheMode::is_auto")]
    pub cache: ActivationCacheMode,
    /// Compute each layer again in the backward pass: less than half the
    /// memory for half more time
    #[arg(long)]
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub gradient_checkpointing: bool,
}

/// Where the hidden states that enter the lowest trainable layer are cached between epochs.
///
/// Cached states are computed without dropout; layers that are computed again apply dropout, as in the paper.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub enum ActivationCacheMode {
    /// If --adapt-layers leaves out the lowest layer: in memory or, if they are
    /// large, on disk; otherwise off
    #[default]
    Auto,
    /// No cache: every layer runs in every epoch, with dropout
    Off,
    /// In memory, in single precision
    Memory,
    /// In half-precision files in the cache directory, reused by later runs; at
    /// most 20 GB in total, or TRAINER_STATES_GB
    Disk,
}

impl ActivationCacheMode {
    #[expect(clippy::trivially_copy_pass_by_ref, reason = "serde's signature")]
    fn is_auto(&self) -> bool {
        *self == Self::Auto
    }
}

/// The optimizers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub enum OptimizerKind {
    /// Adam as in the paper's code: no bias correction, decoupled decay, ε 1e-6
    BertAdam,
    /// Adam with decoupled weight decay (Loshchilov and Hutter), ε 1e-8
    AdamW,
    /// Plain Adam, no weight decay, ε 1e-8
    Adam,
}

/// The step from which the linear decay is counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub enum Decay {
    /// From the end of warm-up: a continuous triangle, as in the paper's text
    Continuous,
    /// From the first step, as in the paper's code: at the end of warm-up the
    /// rate drops to the decayed value (0.9 of the peak for 10 % warm-up)
    FromStart,
    /// No decay: the peak is kept after warm-up
    None,
}
