//! What can be typed: arguments and their help. What runs is in `run_config` and `recipes`.

use std::path::PathBuf;

use burn_bert::Precision;
use clap::{Args, Parser, Subcommand, ValueEnum};

use crate::bench::Workload;
use crate::learner::schedule::Decay;
use crate::run_config::{OptimizerKind, StateCache};
use crate::sweep::ledger::Shard;

/// Tunes small adapters on a frozen BERT, scores them, and uses them.
#[derive(Debug, Parser)]
#[command(name = "trainer", version, propagate_version = true, max_term_width = 100)]
#[command(
    after_help = "Start with `trainer train`: it needs no data of yours and ends with a score and an adapter file."
)]
pub struct Cli {
    /// The job.
    #[command(subcommand)]
    pub command: Command,
}

/// The jobs, one module of `recipes` each.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Train one task on a base and keep the best adapter
    Train(Box<TrainArgs>),
    /// Train every cell of a grid once, and tell the best
    Sweep(SweepArgs),
    /// Draw a sweep: tables and the paper's figures, as one HTML page
    Report(ReportArgs),
    /// Score an adapter without what it inserts in every span of layers
    Ablate(AblateArgs),
    /// Score an adapter on a task's validation or test rows
    Evaluate(EvaluateArgs),
    /// Label texts with an adapter
    Predict(PredictArgs),
    /// Keep the adapters of many tasks on one base in one file
    Bank {
        /// The job.
        #[command(subcommand)]
        command: BankCommand,
    },
    /// Answer over HTTP with all tasks of a bank, mixed in one batch
    Serve(ServeArgs),
    /// Time training steps and inference on the CPU, beside the peers where asked
    Bench(BenchArgs),
    /// List the devices that this build can train on
    Devices(DevicesArgs),
    /// List, fetch and check the tasks' data
    Data {
        /// The job.
        #[command(subcommand)]
        command: DataCommand,
    },
    /// Fetch a base model and tell where it is
    Base(BaseArgs),
    /// Look into adapter files
    Adapter {
        /// The job.
        #[command(subcommand)]
        command: AdapterCommand,
    },
}

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

/// Arguments of `trainer sweep`.
#[derive(Debug, Clone, Args)]
#[command(after_help = "\
Examples:
  trainer sweep --preset minilm --data glue --dry-run
  trainer sweep --preset glue --base bert-large-uncased --data glue
  trainer sweep mine.toml --data glue --shard 2/4
  trainer sweep --preset glue --data glue --slurm --slurm-shards 40 > sweep.sh

A sweep's file:
  version = 1
  [[grid]]                       # as many as you like; every combination of a grid is a run
  tasks = ['cola', 'rte']
  methods = ['houlsby', 'full']
  sizes = [8, 64]                # for methods with adapters
  learning_rates = [3e-4, 1e-3]
  epochs = [3]
  seeds = [0, 1, 2]
  # also: adapt_layers, init_stds, poolings, optimizer, batch_size, max_length, limit, patience, cache

Killed at any time, the same command goes on where it was.")]
pub struct SweepArgs {
    /// The sweep's file
    #[arg(value_name = "FILE", conflicts_with = "preset")]
    pub file: Option<PathBuf>,
    /// A sweep that comes with the program: glue, extra, squad, figure-3, figure-4, init-scale, learning-rate, minilm
    #[arg(long, value_name = "NAME")]
    pub preset: Option<String>,
    /// The base: `minilm`, a hub name, or a directory in Hugging Face layout
    #[arg(long, value_name = "BASE", default_value = "minilm")]
    pub base: String,
    /// Directory that holds the tasks' data in the published layout
    #[arg(long, value_name = "DIR")]
    pub data: Option<PathBuf>,
    /// Where to compute: auto, cpu, wgpu or cuda, with an index as in cuda:1
    #[arg(long, value_name = "DEVICE", default_value = "auto")]
    pub device: String,
    /// Directory that holds the sweeps
    #[arg(long, value_name = "DIR", default_value = "sweeps")]
    pub sweeps: PathBuf,
    /// Name of the sweep [default: the file's or the preset's]
    #[arg(long, value_name = "NAME")]
    pub name: Option<String>,
    /// Run only this machine's part: i/n
    #[arg(long, value_name = "I/N", default_value = "1/1")]
    pub shard: Shard,
    /// Print the cells that are left, with an estimate of the time
    #[arg(long)]
    pub dry_run: bool,
    /// Print a Slurm array script that runs this sweep on many machines
    #[arg(long, conflicts_with = "dry_run")]
    pub slurm: bool,
    /// Jobs of the Slurm array
    #[arg(long, value_name = "N", default_value_t = 16, requires = "slurm")]
    pub slurm_shards: usize,
    /// Run the cells again that failed
    #[arg(long)]
    pub retry_failed: bool,
    /// Keep what large methods (full, top-K) trained, too
    #[arg(long)]
    pub keep_all: bool,
    /// Write GLUE's submission files at the end, each task's with its best adapter on the validation rows
    #[arg(long, value_name = "DIR")]
    pub submission: Option<PathBuf>,
    /// Seconds between checkpoints inside an epoch
    #[arg(long, value_name = "SECONDS", default_value_t = 300)]
    pub checkpoint_every: u64,
    /// Print every setting as JSON on standard output
    #[arg(long)]
    pub json: bool,
}

/// Arguments of `trainer report`.
#[derive(Debug, Clone, Args)]
#[command(after_help = "\
Examples:
  trainer report sweeps/minilm
  trainer report sweeps/figure-4 --out figure-4.html")]
pub struct ReportArgs {
    /// The sweep's directory: the one with the ledger
    pub sweep: PathBuf,
    /// Where to write the page [default: report.html in that directory]
    #[arg(long, value_name = "FILE")]
    pub out: Option<PathBuf>,
}

/// Arguments of `trainer ablate`.
#[derive(Debug, Clone, Args)]
#[command(after_help = "\
Nothing is trained again: figure 6, left, of the paper. The map is printed, and drawn beside the adapter file.

Examples:
  trainer ablate runs/cola/houlsby-64-seed42/adapter.safetensors --data glue")]
pub struct AblateArgs {
    /// The adapter file
    pub adapter: PathBuf,
    /// Directory that holds the tasks' data in the published layout
    #[arg(long, value_name = "DIR")]
    pub data: Option<PathBuf>,
    /// Which rows of the adapter's task
    #[arg(long, value_name = "SPLIT", default_value = "validation")]
    pub split: String,
    /// Use this many rows only, the first ones
    #[arg(long, value_name = "ROWS")]
    pub limit: Option<usize>,
    /// Directory for ablation.json and ablation.svg [default: that of the adapter file]
    #[arg(long, value_name = "DIR")]
    pub out: Option<PathBuf>,
    /// How the adapter is run.
    #[command(flatten)]
    pub inference: InferenceArgs,
}

/// Arguments of `trainer evaluate`.
#[derive(Debug, Clone, Args)]
#[command(after_help = "\
Examples:
  trainer evaluate runs/helpdesk/houlsby-64-seed42/adapter.safetensors
  trainer evaluate cola.safetensors --data glue --split validation --json
  trainer evaluate mails.safetensors --input new.csv --text body --label team
  trainer evaluate cola.safetensors --data glue --drop-layers each")]
pub struct EvaluateArgs {
    /// The adapter file
    pub adapter: PathBuf,
    /// Directory that holds the tasks' data in the published layout
    #[arg(long, value_name = "DIR")]
    pub data: Option<PathBuf>,
    /// Which rows of the adapter's task
    #[arg(long, value_name = "SPLIT", default_value = "validation", conflicts_with = "input")]
    pub split: String,
    /// Labelled rows of your own: .tsv, .csv or .jsonl
    #[arg(long, value_name = "FILE", requires_all = ["text", "label"])]
    pub input: Option<PathBuf>,
    /// Columns of the input.
    #[command(flatten)]
    pub columns: ColumnArgs,
    /// Column of the label
    #[arg(long, value_name = "COL", requires = "input")]
    pub label: Option<String>,
    /// What is put around the adapter.
    #[command(flatten)]
    pub compose: ComposeArgs,
    /// How the adapter is run.
    #[command(flatten)]
    pub inference: InferenceArgs,
}

/// Arguments of `trainer predict`.
#[derive(Debug, Clone, Args)]
#[command(after_help = "\
Examples:
  echo 'The projector in room 4 stays dark' | trainer predict helpdesk.safetensors
  trainer predict mails.safetensors --input new.csv --text body --json > labels.jsonl
  trainer predict cola.safetensors --data glue --submission out/")]
pub struct PredictArgs {
    /// The adapter file
    pub adapter: PathBuf,
    /// Texts: a .tsv, .csv or .jsonl with --text COL, or any other file (or standard input) with one text a line, the
    /// two of a pair separated by a tab
    #[arg(long, value_name = "FILE")]
    pub input: Option<PathBuf>,
    /// Columns of the input.
    #[command(flatten)]
    pub columns: ColumnArgs,
    /// Write GLUE submission files for the adapter's task into this directory
    #[arg(long, value_name = "DIR", conflicts_with = "input")]
    pub submission: Option<PathBuf>,
    /// Directory that holds the tasks' data in the published layout
    #[arg(long, value_name = "DIR", requires = "submission")]
    pub data: Option<PathBuf>,
    /// What is put around the adapter.
    #[command(flatten)]
    pub compose: ComposeArgs,
    /// How the adapter is run.
    #[command(flatten)]
    pub inference: InferenceArgs,
}

/// What is put under a trained adapter, and what is left out of it.
#[derive(Debug, Clone, Args)]
pub struct ComposeArgs {
    /// Stack it on another adapter of the same base, which comes first at each site; head and norms stay its own
    #[arg(long, value_name = "ADAPTER")]
    pub stack_on: Option<PathBuf>,
    /// Leave everything of the adapter out of these layers, as 0..3 (0 to 2), so that plain BERT runs there; `evaluate`
    /// also takes `each`: a table of score and time for 0, 1, ... lowest layers
    #[arg(long, value_name = "RANGE")]
    pub drop_layers: Option<String>,
}

/// Columns of an input file.
#[derive(Debug, Clone, Args)]
pub struct ColumnArgs {
    /// Column of the text
    #[arg(long, value_name = "COL", requires = "input")]
    pub text: Option<String>,
    /// Column of the second text of a pair
    #[arg(long, value_name = "COL", requires = "text")]
    pub text2: Option<String>,
}

/// How a trained adapter is run.
#[derive(Debug, Clone, Args)]
pub struct InferenceArgs {
    /// The base the adapter was trained on [default: the one named in the adapter file]
    #[arg(long, value_name = "BASE")]
    pub base: Option<String>,
    /// Where to compute: auto, cpu, wgpu or cuda, with an index as in cuda:1
    #[arg(long, value_name = "DEVICE", default_value = "auto")]
    pub device: String,
    /// Rows per batch
    #[arg(long, value_name = "ROWS", default_value_t = 32)]
    pub batch_size: usize,
    /// Precision of the base's matrices: f32, bf16 or f16
    #[arg(long, value_name = "NAME", default_value = "f32")]
    pub precision: Precision,
    /// JSON on standard output: one object a line
    #[arg(long)]
    pub json: bool,
}

/// Arguments of `trainer bench`.
#[derive(Debug, Clone, Args)]
#[command(after_help = "\
Every case runs in a process of its own, so that its peak of memory is its own; `cargo xtask bench --peer` makes a
Python with the peers and runs them in turn with ours.

Examples:
  trainer bench --quick
  trainer bench --workload minilm-128 --method houlsby,full")]
pub struct BenchArgs {
    /// Only these bases with their texts, with commas between [default: all]
    #[arg(long, value_enum, value_name = "NAMES", value_delimiter = ',')]
    pub workload: Vec<Workload>,
    /// Only these methods, with commas between: houlsby, checkpointed (Houlsby's with gradient checkpointing),
    /// layer-norm, full, inference, lora or any other [default: those six]
    #[arg(long, value_name = "NAMES", value_delimiter = ',')]
    pub method: Vec<String>,
    /// A Python with torch, transformers, adapters and peft, to run the peers in turn with ours
    #[arg(long, value_name = "PATH")]
    pub python: Option<PathBuf>,
    /// Threads of both sides [default: as many as there are]
    #[arg(long, value_name = "N")]
    pub threads: Option<usize>,
    /// Fewer steps, one process a case
    #[arg(long)]
    pub quick: bool,
    /// JSON on standard output: one object a case
    #[arg(long)]
    pub json: bool,
    /// One case as JSON: what the program hands to itself
    #[arg(long, hide = true)]
    pub case: Option<String>,
}

/// Arguments of `trainer devices`.
#[derive(Debug, Clone, Args)]
pub struct DevicesArgs {
    /// JSON on standard output
    #[arg(long)]
    pub json: bool,
}

/// Jobs on the tasks' data.
#[derive(Debug, Subcommand)]
pub enum DataCommand {
    /// The tasks, their labels, sizes and metrics
    List {
        /// JSON on standard output
        #[arg(long)]
        json: bool,
    },
    /// Download a task's data from its publisher
    Fetch {
        /// Tasks, as in `trainer data list`; `all` for every one
        #[arg(required = true)]
        tasks: Vec<String>,
        /// Directory to put the data in
        #[arg(long, value_name = "DIR", default_value = "data")]
        data: PathBuf,
        /// Download from this address instead of the publishers': a mirror with the same file names
        #[arg(long, value_name = "URL")]
        mirror: Option<String>,
    },
    /// Read a task's files and compare them with what was published
    Check {
        /// Tasks, as in `trainer data list`; `all` for every one
        #[arg(required = true)]
        tasks: Vec<String>,
        /// Directory that holds the data
        #[arg(long, value_name = "DIR", default_value = "data")]
        data: PathBuf,
    },
}

/// Arguments of `trainer base`.
#[derive(Debug, Clone, Args)]
pub struct BaseArgs {
    /// `minilm`, a hub name, or a directory
    #[arg(default_value = "minilm")]
    pub base: String,
    /// JSON on standard output
    #[arg(long)]
    pub json: bool,
}

/// Jobs on adapter files.
#[derive(Debug, Subcommand)]
pub enum AdapterCommand {
    /// What an adapter file holds: method, sizes, labels, score, base
    Inspect {
        /// The adapter file
        adapter: PathBuf,
        /// JSON on standard output
        #[arg(long)]
        json: bool,
    },
    /// Average the weights of adapters of one kind into one adapter
    Average(AverageArgs),
    /// Turn a directory that AdapterHub's or PEFT's Python package saved into an adapter file
    Import(ImportArgs),
    /// Write an adapter file as a directory that AdapterHub's or PEFT's Python package loads
    Export(ExportArgs),
    /// Turn a checkpoint of the paper's code (google-research/adapter-bert) into an adapter file
    ImportTensorflow(ImportTensorflowArgs),
}

/// Arguments of `trainer adapter average`.
#[derive(Debug, Clone, Args)]
pub struct AverageArgs {
    /// Adapter files of one method, size and set of labels, on one base
    #[arg(required = true, num_args = 2..)]
    pub adapters: Vec<PathBuf>,
    /// How much each counts, relative to the others [default: alike]
    #[arg(long, value_name = "WEIGHTS", value_delimiter = ',')]
    pub weights: Vec<f64>,
    /// The base they were trained on [default: the one named in the first file]
    #[arg(long, value_name = "BASE")]
    pub base: Option<String>,
    /// The adapter file to write
    #[arg(long, value_name = "FILE")]
    pub out: PathBuf,
}

/// Whose directories are read and written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum DirectoryFormat {
    /// `save_adapter` and `load_adapter` of the package `adapters`
    AdapterHub,
    /// `save_pretrained` and `from_pretrained` of the package `peft`
    Peft,
}

/// Arguments of `trainer adapter import`.
#[derive(Debug, Clone, Args)]
#[command(after_help = "\
Examples:
  trainer adapter import saved/sst-2 --base bert-base-uncased --out sst2.safetensors
  trainer adapter import lora-out --base bert-base-uncased --labels negative,positive --out sst2.safetensors")]
pub struct ImportArgs {
    /// The directory, with adapter_config.json in it
    pub directory: PathBuf,
    /// Whose it is [default: peft where there is an adapter_model file, else adapter-hub]
    #[arg(long, value_enum, value_name = "FORMAT")]
    pub format: Option<DirectoryFormat>,
    /// The base it was trained on
    #[arg(long, value_name = "BASE")]
    pub base: String,
    /// Names of the labels, in the order of the head's outputs [default: those that the directory tells]
    #[arg(long, value_name = "LABELS", value_delimiter = ',')]
    pub labels: Vec<String>,
    /// Name of the task [default: the adapter's name there]
    #[arg(long, value_name = "NAME")]
    pub task: Option<String>,
    /// Longest text in tokens; longer ones are cut
    #[arg(long, value_name = "TOKENS", default_value_t = 128)]
    pub max_length: usize,
    /// The adapter file to write
    #[arg(long, value_name = "FILE")]
    pub out: PathBuf,
}

/// Arguments of `trainer adapter export`.
#[derive(Debug, Clone, Args)]
#[command(after_help = "\
In Python, for adapter-hub: model = AutoAdapterModel.from_pretrained(BASE); model.load_adapter(DIR)
For peft: PeftModel.from_pretrained(BertForSequenceClassification.from_pretrained(BASE, num_labels=N), DIR)

Examples:
  trainer adapter export runs/cola/houlsby-64-seed42/adapter.safetensors --format adapter-hub --out cola
  trainer adapter export runs/cola/lora-8-seed42/adapter.safetensors --format peft --out cola-lora")]
pub struct ExportArgs {
    /// The adapter file
    pub adapter: PathBuf,
    /// For whom
    #[arg(long, value_enum, value_name = "FORMAT")]
    pub format: DirectoryFormat,
    /// The base it was trained on [default: the one named in the file]
    #[arg(long, value_name = "BASE")]
    pub base: Option<String>,
    /// The adapter's name there, for adapter-hub [default: the task's]
    #[arg(long, value_name = "NAME")]
    pub name: Option<String>,
    /// Write trained LayerNorms too, for adapter-hub: loading the adapter then overwrites the base's
    #[arg(long)]
    pub with_layer_norms: bool,
    /// The directory to write
    #[arg(long, value_name = "DIR")]
    pub out: PathBuf,
}

/// Arguments of `trainer adapter import-tensorflow`.
#[derive(Debug, Clone, Args)]
#[command(after_help = "\
Examples:
  trainer adapter import-tensorflow out/model.ckpt-5000 --base uncased_L-12_H-768_A-12 \\
    --task mrpc --labels not_equivalent,equivalent --out mrpc.safetensors")]
pub struct ImportTensorflowArgs {
    /// The checkpoint as TensorFlow names it: out/model.ckpt-5000 for out/model.ckpt-5000.index
    pub checkpoint: PathBuf,
    /// The base it was trained on: a directory with Google's checkpoint or Hugging Face's, or a hub name
    #[arg(long, value_name = "BASE")]
    pub base: String,
    /// Name of the task
    #[arg(long, value_name = "NAME")]
    pub task: String,
    /// The classes, in the order of the code's get_labels()
    #[arg(long, value_name = "LABELS", required = true, value_delimiter = ',')]
    pub labels: Vec<String>,
    /// Longest text in tokens
    #[arg(long, value_name = "TOKENS", default_value_t = 128)]
    pub max_length: usize,
    /// The adapter file to write
    #[arg(long, value_name = "FILE")]
    pub out: PathBuf,
}

/// The jobs of `trainer bank`.
#[derive(Debug, Clone, Subcommand)]
#[command(after_help = "\
Examples:
  trainer bank create tasks.bank --base minilm
  trainer bank add tasks.bank runs/*/*/adapter.safetensors
  trainer serve --bank tasks.bank")]
pub enum BankCommand {
    /// Make an empty bank for a base
    Create {
        /// The bank to make
        bank: PathBuf,
        /// The base of its adapters: `minilm`, a hub name, or a directory in Hugging Face layout
        #[arg(long, value_name = "BASE", default_value = "minilm")]
        base: String,
    },
    /// Add adapter files, each under the name of its task
    Add {
        /// The bank
        bank: PathBuf,
        /// Adapter files
        #[arg(required = true)]
        adapters: Vec<PathBuf>,
        /// Another name for the task of a single adapter
        #[arg(long, value_name = "NAME")]
        name: Option<String>,
    },
    /// Remove tasks
    Remove {
        /// The bank
        bank: PathBuf,
        /// Their names
        #[arg(required = true)]
        tasks: Vec<String>,
    },
    /// What a bank holds, and what each task costs
    List {
        /// The bank
        bank: PathBuf,
        /// One line of JSON for each task
        #[arg(long)]
        json: bool,
    },
    /// Read every adapter and see that it computes what it computed when it was saved
    Verify {
        /// The bank
        bank: PathBuf,
        /// The base [default: the one named in the bank]
        #[arg(long, value_name = "BASE")]
        base: Option<String>,
        /// Where to compute: auto, cpu, wgpu or cuda, with an index as in cuda:1
        #[arg(long, value_name = "DEVICE", default_value = "auto")]
        device: String,
        /// One line of JSON for each task
        #[arg(long)]
        json: bool,
    },
}

/// Arguments of `trainer serve`.
#[derive(Debug, Clone, Args)]
#[command(after_help = "\
Examples:
  trainer serve --bank tasks.bank
  curl localhost:8080/v1/predict -d '{\"inputs\": [{\"task\": \"cola\", \"text\": \"They slept.\"}]}'

Paths: POST /v1/predict, GET /v1/tasks, /healthz, /metrics, and a page to try texts at /.
Adapters that are added to the bank meanwhile are served without a restart.")]
pub struct ServeArgs {
    /// The bank
    #[arg(long, value_name = "FILE")]
    pub bank: PathBuf,
    /// The base [default: the one named in the bank]
    #[arg(long, value_name = "BASE")]
    pub base: Option<String>,
    /// Where to compute: auto, cpu, wgpu or cuda, with an index as in cuda:1
    #[arg(long, value_name = "DEVICE", default_value = "auto")]
    pub device: String,
    /// Address and port; another than this machine's own needs a --token
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:8080")]
    pub listen: std::net::SocketAddr,
    /// What requests have to show as `Authorization: Bearer TOKEN`
    #[arg(long, value_name = "TOKEN")]
    pub token: Option<String>,
}
