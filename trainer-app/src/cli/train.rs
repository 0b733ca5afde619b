//! What `trainer train` takes.

use std::path::PathBuf;

use burn_bert::Precision;
use clap::Args;

use crate::learner::schedule::Decay;
use crate::run_config::{OptimizerKind, StateCache};

/// Where the rows of a task come from.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Task and data")]
pub struct TaskArgs {
    /// The task: helpdesk (embedded), squad, or one of `trainer data list` [default: helpdesk]
    #[arg(long, value_name = "NAME", conflicts_with = "train")]
    pub task: Option<String>,
    /// Directory that holds the tasks' data in the published layout
    #[arg(long, value_name = "DIR")]
    pub data: Option<PathBuf>,
    /// Your own training rows: .tsv, .csv or .jsonl with named columns
    #[arg(long, value_name = "FILE", requires_all = ["text", "label"])]
    pub train: Option<PathBuf>,
    /// Your own validation rows; without it a tenth of the training rows is held out
    #[arg(long, value_name = "FILE", requires = "train")]
    pub validation: Option<PathBuf>,
    /// Your own test rows
    #[arg(long, value_name = "FILE", requires = "train")]
    pub test: Option<PathBuf>,
    /// Column of the text
    #[arg(long, value_name = "COL")]
    pub text: Option<String>,
    /// Column of the second text of a pair
    #[arg(long, value_name = "COL", requires = "text")]
    pub text2: Option<String>,
    /// Column of the label
    #[arg(long, value_name = "COL", requires = "text")]
    pub label: Option<String>,
    /// The label is a number to be predicted (regression), not a class
    #[arg(long, requires = "train")]
    pub score: bool,
}

/// Arguments of `trainer train`.
#[derive(Debug, Clone, Args)]
#[command(after_help = "\
Examples:
  trainer train
  trainer train --task cola --data glue --method houlsby --size 64 --learning-rate 1e-3
  trainer train --train mails.csv --text body --label team --epochs 10
  trainer train --task rte --data glue --fuse mnli.safetensors,qqp.safetensors
  trainer train --resume")]
pub struct TrainArgs {
    /// Where the rows come from.
    #[command(flatten)]
    pub task: TaskArgs,

    /// The base: `minilm`, a hub name such as bert-base-uncased, or a directory in Hugging Face's or Google's layout [default: minilm]
    #[arg(long, value_name = "BASE", help_heading = "Model")]
    pub base: Option<String>,
    /// How to train: houlsby, houlsby-code, pfeiffer, parallel, scaled-parallel, lora, ia3, prefix, prefix-flat, mam,
    /// layer-norm, top-K (layers) or full [default: houlsby]
    #[arg(long, value_name = "METHOD", help_heading = "Model")]
    pub method: Option<String>,
    /// Train attention over trained adapters of this base instead of adapters (AdapterFusion): their files, with commas
    #[arg(
        long,
        value_name = "FILES",
        value_delimiter = ',',
        conflicts_with = "method",
        help_heading = "Model"
    )]
    pub fuse: Vec<PathBuf>,
    /// Size of the adapters: the bottleneck's width, lora's rank or the prefix's length [default: 64; lora: 8;
    /// prefix and prefix-flat: 30]
    #[arg(long, value_name = "M", help_heading = "Model")]
    pub size: Option<usize>,
    /// Activation inside the adapters: relu, gelu, gelu_new, swish, tanh [default: the method's]
    #[arg(long, value_name = "NAME", help_heading = "Model")]
    pub activation: Option<String>,
    /// Standard deviation of the adapters' first weights, truncated at two [default: the method's]
    #[arg(long, value_name = "SIGMA", help_heading = "Model")]
    pub init_std: Option<f64>,
    /// Sites of the adapters in a layer: both, attention or feed-forward [default: the method's]
    #[arg(long, value_name = "SITES", help_heading = "Model")]
    pub sites: Option<String>,
    /// Layers with adapters, counted from 0: all, 3.. (3 and above), 0..4 (0 to 3) or a list as 0,2,5 [default: all]
    #[arg(long, value_name = "RANGE", help_heading = "Model")]
    pub adapt_layers: Option<String>,
    /// Layers of each adapter: beyond 1, bottleneck-wide ones stand in the middle [default: 1]
    #[arg(long, value_name = "N", help_heading = "Model")]
    pub depth: Option<usize>,
    /// Norm on what each adapter reads: none, layer or batch [default: none]
    #[arg(long, value_name = "NORM", help_heading = "Model")]
    pub inner_norm: Option<String>,
    /// How an adapter's answer a joins h: add (h + a) or multiply (h * (1 + a)) [default: add]
    #[arg(long, value_name = "HOW", help_heading = "Model")]
    pub combine: Option<String>,
    /// What the head reads: pooler (the paper), first-token or mean [default: the base's best by measurement]
    #[arg(long, value_name = "POOLING", help_heading = "Model")]
    pub pooling: Option<String>,
    /// Longest text in tokens; longer ones are cut [default: 128; squad: windows of 384]
    #[arg(long, value_name = "TOKENS", help_heading = "Model")]
    pub max_length: Option<usize>,
    /// Dropout of hidden states, attention and head [default: the base's, 0.1]
    #[arg(long, value_name = "RATE", help_heading = "Model")]
    pub dropout: Option<f64>,
    /// Precision of the base's matrices: f32, bf16 or f16; adapters, norms and sums are in f32 [default: f32]
    #[arg(long, value_name = "NAME", help_heading = "Model")]
    pub precision: Option<Precision>,

    /// Passes over the training rows [default: the method's]
    #[arg(long, value_name = "N", help_heading = "Training")]
    pub epochs: Option<usize>,
    /// Highest learning rate [default: the method's]
    #[arg(long, visible_alias = "lr", value_name = "RATE", help_heading = "Training")]
    pub learning_rate: Option<f64>,
    /// Rows per step [default: 32]
    #[arg(long, value_name = "ROWS", help_heading = "Training")]
    pub batch_size: Option<usize>,
    /// Batches whose gradients are averaged into one step [default: 1]
    #[arg(long, value_name = "BATCHES", help_heading = "Training")]
    pub accumulate: Option<usize>,
    /// Optimizer [default: bert-adam]
    #[arg(long, value_enum, value_name = "NAME", help_heading = "Training")]
    pub optimizer: Option<OptimizerKind>,
    /// Decoupled weight decay of weights that are neither biases nor LayerNorms [default: 0.01]
    #[arg(long, value_name = "RATE", help_heading = "Training")]
    pub weight_decay: Option<f64>,
    /// Share of the steps over which the learning rate climbs from 0 [default: 0.1]
    #[arg(long, value_name = "SHARE", help_heading = "Training")]
    pub warmup: Option<f64>,
    /// How the learning rate falls afterwards [default: continuous; houlsby-code: from-start]
    #[arg(long, value_enum, value_name = "SHAPE", help_heading = "Training")]
    pub decay: Option<Decay>,
    /// Largest global norm of the gradients [default: 1.0]
    #[arg(long, value_name = "NORM", help_heading = "Training")]
    pub clip: Option<f64>,
    /// Stop after this many epochs without a better validation score
    #[arg(long, value_name = "EPOCHS", help_heading = "Training")]
    pub patience: Option<usize>,
    /// Where states below the lowest tuned layer are kept, so that later epochs start there [default: auto]
    #[arg(long, value_enum, value_name = "WHERE", help_heading = "Training")]
    pub cache: Option<StateCache>,
    /// Keep only the states between layers and run each layer again going back: less than half the memory for half more
    /// time
    #[arg(long, help_heading = "Training")]
    pub gradient_checkpointing: bool,
    /// Train on this many rows only, drawn by the seed
    #[arg(long, value_name = "ROWS", help_heading = "Training")]
    pub limit: Option<usize>,
    /// Drives every random choice; the same seed on the CPU gives the same bits [default: 42]
    #[arg(long, value_name = "SEED", help_heading = "Training")]
    pub seed: Option<u64>,

    /// Where to compute: auto, cpu, wgpu or cuda, with an index as in cuda:1 [default: auto]
    #[arg(long, value_name = "DEVICE", help_heading = "Run")]
    pub device: Option<String>,
    /// Several devices that share every batch, as cuda:0,cuda:1
    #[arg(long, value_name = "DEVICES", conflicts_with = "device", help_heading = "Run")]
    pub devices: Option<String>,
    /// Directory that holds the runs
    #[arg(long, value_name = "DIR", default_value = "runs", help_heading = "Run")]
    pub runs: PathBuf,
    /// Name of the run [default: method, size and seed]
    #[arg(long, value_name = "NAME", help_heading = "Run")]
    pub name: Option<String>,
    /// Take up a stopped run where it was: the directory given, or the newest unfinished one
    #[arg(long, value_name = "RUN", num_args = 0..=1, help_heading = "Run")]
    pub resume: Option<Option<PathBuf>>,
    /// Read the configuration from a file (a recipe, or the config.toml of a run); other flags win over it
    #[arg(long, value_name = "FILE", conflicts_with = "resume", help_heading = "Run")]
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
