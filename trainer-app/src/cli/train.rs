//! What `trainer train` takes.

use std::path::PathBuf;

use burn_bert::Precision;
use clap::Args;

use crate::learner::schedule::Decay;
use crate::limits;
use crate::run_config::{OptimizerKind, StateCache};

/// Where the rows of a task come from.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Task and data")]
pub struct TaskArgs {
    /// The task: helpdesk (part of the program), squad, or a name from
    /// `trainer data list` [default: helpdesk]
    #[arg(
        long,
        value_name = "NAME",
        conflicts_with_all = ["train", "validation", "test", "text", "text2", "label", "score"]
    )]
    pub task: Option<String>,
    /// Directory with the published files of --task; `trainer data fetch`
    /// makes one
    #[arg(
        long,
        value_name = "DIR",
        conflicts_with_all = ["train", "validation", "test", "text", "text2", "label", "score"]
    )]
    pub data: Option<PathBuf>,
    /// Your own training rows: a .csv, .tsv or .jsonl file with named columns
    #[arg(long, value_name = "FILE", requires_all = ["text", "label"])]
    pub train: Option<PathBuf>,
    /// Your own validation rows [default: a tenth of the training rows]
    #[arg(long, value_name = "FILE", requires = "train")]
    pub validation: Option<PathBuf>,
    /// Your own test rows, scored once at the end
    #[arg(long, value_name = "FILE", requires = "train")]
    pub test: Option<PathBuf>,
    /// Column of the text
    #[arg(long, value_name = "COL", requires = "train")]
    pub text: Option<String>,
    /// Column of the second text, for pairs of texts
    #[arg(long, value_name = "COL", requires = "train")]
    pub text2: Option<String>,
    /// Column of the label
    #[arg(long, value_name = "COL", requires = "train")]
    pub label: Option<String>,
    /// The label is a number to predict (regression), not a class
    #[arg(long, requires = "train")]
    pub score: bool,
}

/// Arguments of `trainer train`.
#[derive(Debug, Clone, Args)]
#[command(after_help = "\
Examples:
  trainer train
  trainer train --task cola --data glue --size 64 --learning-rate 1e-3
  trainer train --train mails.csv --text body --label team --epochs 10
  trainer train --task rte --data glue --fuse mnli.safetensors,qqp.safetensors
  trainer train --resume

The run is written to RUNS/TASK/NAME: the adapter of the best epoch
(adapter.safetensors), every setting (config.toml), every step and epoch
(metrics.jsonl) and the scores (result.json).

On a terminal a dashboard shows the run, elsewhere plain lines do. Ctrl-C
stops the run and saves it; a second Ctrl-C ends the program at once.

Exit codes: 0 done, 130 stopped by the user, 1 error, 2 wrong arguments.
With --json the last line on standard output is one JSON object: the result,
{\"status\": \"stopped\", …} or {\"status\": \"error\", \"error\": …}.")]
pub struct TrainArgs {
    /// Where the rows come from.
    #[command(flatten)]
    pub task: TaskArgs,

    /// The pretrained BERT: minilm, a Hugging Face name such as
    /// bert-base-uncased, or a directory with its files [default: minilm]
    #[arg(long, value_name = "BASE", help_heading = "Model")]
    pub base: Option<String>,
    /// What is trained: houlsby, houlsby-code, pfeiffer, parallel,
    /// scaled-parallel, lora, ia3, prefix, prefix-flat, mam, layer-norm, top-K
    /// (the top K layers) or full [default: houlsby]
    #[arg(long, value_name = "METHOD", help_heading = "Model")]
    pub method: Option<String>,
    /// Train AdapterFusion: attention over these adapters of the same base,
    /// with commas between the files
    #[arg(
        long,
        value_name = "FILES",
        value_delimiter = ',',
        conflicts_with = "method",
        help_heading = "Model"
    )]
    pub fuse: Vec<PathBuf>,
    /// Width of the bottlenecks, rank of LoRA, or length of the prefix
    /// [default: 64; lora: 8; prefix, prefix-flat: 30]
    #[arg(
        long,
        value_name = "M",
        allow_negative_numbers = true,
        value_parser = |text: &str| limits::SIZE.parse(text),
        help_heading = "Model"
    )]
    pub size: Option<usize>,
    /// Activation in the bottlenecks: relu, gelu, gelu_new, swish, tanh
    /// [default: the method's]
    #[arg(long, value_name = "NAME", help_heading = "Model")]
    pub activation: Option<String>,
    /// Standard deviation of the bottlenecks' initial weights, a normal
    /// distribution truncated at two [default: the method's]
    #[arg(
        long,
        value_name = "SIGMA",
        allow_negative_numbers = true,
        value_parser = |text: &str| limits::INIT_STD.parse(text),
        help_heading = "Model"
    )]
    pub init_std: Option<f64>,
    /// Where in a layer the bottlenecks are: both, attention or feed-forward
    /// [default: the method's]
    #[arg(long, value_name = "SITES", help_heading = "Model")]
    pub sites: Option<String>,
    /// Layers with adapters, counted from 0: all, 3.. (3 and above), 0..4 (0
    /// to 3) or a list such as 0,2,5 [default: all]
    #[arg(long, value_name = "RANGE", help_heading = "Model")]
    pub adapt_layers: Option<String>,
    /// Depth of each bottleneck: 1 is a layer down and a layer up, each more
    /// adds a layer between them [default: 1]
    #[arg(
        long,
        value_name = "N",
        allow_negative_numbers = true,
        value_parser = |text: &str| limits::DEPTH.parse(text),
        help_heading = "Model"
    )]
    pub depth: Option<usize>,
    /// Norm of the input of each bottleneck: none, layer or batch
    /// [default: none]
    #[arg(long, value_name = "NORM", help_heading = "Model")]
    pub inner_norm: Option<String>,
    /// How the output a of a bottleneck joins the hidden state h: add (h + a)
    /// or multiply (h * (1 + a)) [default: add]
    #[arg(long, value_name = "HOW", help_heading = "Model")]
    pub combine: Option<String>,
    /// What the classifier reads: pooler (the paper), first-token or mean
    /// [default: mean for minilm, else pooler]
    #[arg(long, value_name = "POOLING", help_heading = "Model")]
    pub pooling: Option<String>,
    /// Longest text in tokens; longer ones are cut [default: 128; squad:
    /// windows of 384]
    #[arg(
        long,
        value_name = "TOKENS",
        allow_negative_numbers = true,
        value_parser = |text: &str| limits::MAX_LENGTH.parse(text),
        help_heading = "Model"
    )]
    pub max_length: Option<usize>,
    /// Dropout of hidden states, attention and classifier [default: the
    /// base's, usually 0.1]
    #[arg(
        long,
        value_name = "RATE",
        allow_negative_numbers = true,
        value_parser = |text: &str| limits::DROPOUT.parse(text),
        help_heading = "Model"
    )]
    pub dropout: Option<f64>,
    /// Precision of the frozen base's matrices: f32, bf16 or f16; what is
    /// trained has f32 [default: f32]
    #[arg(long, value_name = "NAME", help_heading = "Model")]
    pub precision: Option<Precision>,

    /// Passes over the training rows [default: 10; top-K, full: 3]
    #[arg(
        long,
        value_name = "N",
        allow_negative_numbers = true,
        value_parser = |text: &str| limits::EPOCHS.parse(text),
        help_heading = "Training"
    )]
    pub epochs: Option<usize>,
    /// Highest learning rate [default: the method's, 3e-4 for houlsby]
    #[arg(
        long,
        visible_alias = "lr",
        value_name = "RATE",
        allow_negative_numbers = true,
        value_parser = |text: &str| limits::LEARNING_RATE.parse(text),
        help_heading = "Training"
    )]
    pub learning_rate: Option<f64>,
    /// Rows per batch [default: 32]
    #[arg(
        long,
        value_name = "ROWS",
        allow_negative_numbers = true,
        value_parser = |text: &str| limits::BATCH_SIZE.parse(text),
        help_heading = "Training"
    )]
    pub batch_size: Option<usize>,
    /// Batches whose gradients are averaged for one step [default: 1]
    #[arg(
        long,
        value_name = "BATCHES",
        allow_negative_numbers = true,
        value_parser = |text: &str| limits::ACCUMULATE.parse(text),
        help_heading = "Training"
    )]
    pub accumulate: Option<usize>,
    /// Optimizer [default: bert-adam]
    #[arg(long, value_enum, value_name = "NAME", help_heading = "Training")]
    pub optimizer: Option<OptimizerKind>,
    /// Decoupled weight decay, for all but biases and LayerNorms
    /// [default: 0.01]
    #[arg(
        long,
        value_name = "RATE",
        allow_negative_numbers = true,
        value_parser = |text: &str| limits::WEIGHT_DECAY.parse(text),
        help_heading = "Training"
    )]
    pub weight_decay: Option<f64>,
    /// Share of the steps in which the learning rate rises from 0, from 0 to
    /// 1 [default: 0.1]
    #[arg(
        long,
        value_name = "SHARE",
        allow_negative_numbers = true,
        value_parser = |text: &str| limits::WARMUP.parse(text),
        help_heading = "Training"
    )]
    pub warmup: Option<f64>,
    /// How the learning rate falls to 0 after that [default: continuous;
    /// houlsby-code: from-start]
    #[arg(long, value_enum, value_name = "SHAPE", help_heading = "Training")]
    pub decay: Option<Decay>,
    /// Gradients with a larger global norm are scaled down to it
    /// [default: 1.0]
    #[arg(
        long,
        value_name = "NORM",
        allow_negative_numbers = true,
        value_parser = |text: &str| limits::CLIP.parse(text),
        help_heading = "Training"
    )]
    pub clip: Option<f64>,
    /// End after this many epochs without a better validation score
    /// [default: never]
    #[arg(
        long,
        value_name = "EPOCHS",
        allow_negative_numbers = true,
        value_parser = |text: &str| limits::PATIENCE.parse(text),
        help_heading = "Training"
    )]
    pub patience: Option<usize>,
    /// Where the hidden states that enter the lowest trained layer are kept,
    /// so that later epochs start there [default: auto]
    #[arg(long, value_enum, value_name = "WHERE", help_heading = "Training")]
    pub cache: Option<StateCache>,
    /// Compute each layer again in the backward pass: less than half the
    /// memory for half more time
    #[arg(long, help_heading = "Training")]
    pub gradient_checkpointing: bool,
    /// Train on this many rows only, drawn by the seed
    #[arg(
        long,
        value_name = "ROWS",
        allow_negative_numbers = true,
        value_parser = |text: &str| limits::LIMIT.parse(text),
        help_heading = "Training"
    )]
    pub limit: Option<usize>,
    /// Seed of every random choice; the same seed on the CPU gives the same
    /// bits [default: 42]
    #[arg(long, value_name = "SEED", allow_negative_numbers = true, help_heading = "Training")]
    pub seed: Option<u64>,

    /// Where to compute: auto, cpu, wgpu or cuda, with an index as in cuda:1
    /// [default: auto]
    #[arg(long, value_name = "DEVICE", help_heading = "Run")]
    pub device: Option<String>,
    /// Several devices that share every batch, such as cuda:0,cuda:1
    #[arg(long, value_name = "DEVICES", conflicts_with = "device", help_heading = "Run")]
    pub devices: Option<String>,
    /// Directory of all runs [default: runs]
    #[arg(long, value_name = "DIR", help_heading = "Run")]
    pub runs: Option<PathBuf>,
    /// Name of the run [default: method, size and seed]
    #[arg(long, value_name = "NAME", value_parser = limits::directory_name, help_heading = "Run")]
    pub name: Option<String>,
    /// Continue a run that was stopped, with its own settings: the given
    /// directory, or the newest unfinished run
    #[arg(
        long,
        value_name = "RUN",
        num_args = 0..=1,
        conflicts_with_all = [
            "task", "data", "train", "validation", "test", "text", "text2", "label", "score",
            "base", "method", "fuse", "size", "activation", "init_std", "sites", "adapt_layers",
            "depth", "inner_norm", "combine", "pooling", "max_length", "dropout", "precision",
            "epochs", "learning_rate", "batch_size", "accumulate", "optimizer", "weight_decay",
            "warmup", "decay", "clip", "patience", "cache", "gradient_checkpointing", "limit",
            "seed", "name", "config",
        ],
        help_heading = "Run"
    )]
    pub resume: Option<Option<PathBuf>>,
    /// Take the settings from a file such as the config.toml of a run; other
    /// flags replace single ones
    #[arg(long, value_name = "FILE", help_heading = "Run")]
    pub config: Option<PathBuf>,
    /// Seconds between checkpoints inside an epoch
    #[arg(long, value_name = "SECONDS", default_value_t = 300, help_heading = "Run")]
    pub checkpoint_every: u64,
    /// Plain lines instead of the dashboard
    #[arg(long, help_heading = "Run")]
    pub plain: bool,
    /// Print the result as one line of JSON on standard output
    #[arg(long, help_heading = "Run")]
    pub json: bool,
}
