//! How it is trained: the section `[training]` of a configuration, and the flags of `trainer train` under `Training`.
//!
//! A field's documentation is the help of its flag.

use clap::{Args, ValueEnum};
use serde::{Deserialize, Serialize};

use crate::run_config::limits;
use crate::task_data::tuning::Tuning;

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
    /// Weights of the classes in the loss, for one class a row: none, or
    /// balanced, so that each class counts alike [default: none]
    #[arg(long, value_enum, value_name = "HOW")]
    #[serde(default, skip_serializing_if = "Weighting::is_none")]
    pub class_weights: Weighting,
    /// Share of the target that all classes have alike, from 0 to below 1, for
    /// one class a row [default: 0]
    #[arg(long, value_name = "SHARE", value_parser = limits::LABEL_SMOOTHING)]
    #[serde(default, skip_serializing_if = "is_zero")]
    pub label_smoothing: f64,
    /// Weight of each label in the loss of the rows that have it, for several
    /// labels a row: none, or balanced, the rows without the label by those
    /// with it [default: none]
    #[arg(long, value_enum, value_name = "HOW")]
    #[serde(default, skip_serializing_if = "Weighting::is_none")]
    pub positive_weight: Weighting,
    /// Probability from which a label is predicted, for several labels a row:
    /// 0.5, or tuned, chosen for each label on the validation rows [default:
    /// 0.5]
    #[arg(long, value_enum, value_name = "HOW")]
    #[serde(default, skip_serializing_if = "Thresholds::are_half")]
    pub thresholds: Thresholds,
    /// Choose a temperature for the probabilities on the validation rows, for
    /// one class a row
    #[arg(long)]
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub calibrate: bool,
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

impl TrainingConfig {
    /// What is chosen on the validation rows.
    pub fn tuning(&self) -> Tuning {
        Tuning { thresholds: self.thresholds == Thresholds::Tuned, temperature: self.calibrate }
    }

    /// What the loss and the predictions differ in from the plain ones, in words; empty if they do not.
    pub fn objective(&self) -> String {
        let balanced = |name: &str, weighting| {
            (weighting == Weighting::Balanced).then(|| format!(" {name} balanced"))
        };
        let smoothing = self.label_smoothing;
        let parts = [
            balanced("class weights", self.class_weights),
            (smoothing > 0.0).then(|| format!(" label smoothing {smoothing}")),
            balanced("positive weight", self.positive_weight),
            (self.thresholds == Thresholds::Tuned).then(|| " thresholds tuned".to_owned()),
            self.calibrate.then(|| " calibrated".to_owned()),
        ];
        parts.into_iter().flatten().collect()
    }
}

/// The weights of classes or labels in the loss.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub enum Weighting {
    /// Every row counts alike
    #[default]
    None,
    /// The fewer rows there are, the more each counts
    Balanced,
}

impl Weighting {
    #[expect(clippy::trivially_copy_pass_by_ref, reason = "serde's signature")]
    fn is_none(&self) -> bool {
        *self == Self::None
    }
}

/// The probabilities from which labels are predicted.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, ValueEnum)]
pub enum Thresholds {
    /// The same for every label
    #[default]
    #[value(name = "0.5")]
    #[serde(rename = "0.5")]
    Half,
    /// For each label the one with the highest F1 on the validation rows
    #[value(name = "tuned")]
    #[serde(rename = "tuned")]
    Tuned,
}

impl Thresholds {
    #[expect(clippy::trivially_copy_pass_by_ref, reason = "serde's signature")]
    fn are_half(&self) -> bool {
        *self == Self::Half
    }
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde's signature")]
fn is_zero(value: &f64) -> bool {
    *value == 0.0
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
