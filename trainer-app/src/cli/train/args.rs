//! The arguments. Most flags are fields of the configuration and are declared there, in `run_config`.

use std::path::PathBuf;

use clap::Args;

use crate::cli::overrides::Overrides;
use crate::run_config::limits;
use crate::run_config::{ModelConfig, TrainingConfig};

/// The flags of a user's own rows, which those of a published task replace.
const OWN_ROWS: [&str; 13] = [
    "train",
    "validation",
    "test",
    "text",
    "text2",
    "label",
    "score",
    "label_separator",
    "labels",
    "tokens",
    "tags",
    "entities",
    "skip_misaligned",
];

/// Where the rows of a task come from.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Task and data")]
pub struct TaskArgs {
    /// The task: helpdesk (included in the program), squad, or a name from
    /// `trainer data list` [default: helpdesk]
    #[arg(
        long,
        value_name = "NAME",
        conflicts_with_all = OWN_ROWS
    )]
    pub task: Option<String>,
    /// Directory with the published files of --task, such as `trainer data
    /// fetch` creates
    #[arg(
        long,
        value_name = "DIR",
        conflicts_with_all = OWN_ROWS
    )]
    pub data: Option<PathBuf>,
    /// Your own training rows: a .csv, .tsv or .jsonl file with named columns,
    /// which --text and --label (or --labels) choose; or texts whose words have
    /// tags: a .conll, .bio or .iob file, or a .jsonl file with --tags or
    /// --entities
    #[arg(long, value_name = "FILE")]
    pub train: Option<PathBuf>,
    /// Your own validation rows [default: a tenth of the training rows]
    #[arg(long, value_name = "FILE", requires = "train")]
    pub validation: Option<PathBuf>,
    /// Your own test rows, evaluated once at the end
    #[arg(long, value_name = "FILE", requires = "train")]
    pub test: Option<PathBuf>,
    /// Column of the text
    #[arg(long, value_name = "COL", requires = "train")]
    pub text: Option<String>,
    /// Column of the second text, for pairs of texts
    #[arg(long, value_name = "COL", requires = "train")]
    pub text2: Option<String>,
    /// Column of the label; in a .jsonl file it may be a list of labels
    #[arg(long, value_name = "COL", requires = "train")]
    pub label: Option<String>,
    /// Tagged words: column of the words, by number from 1 or by name, or the
    /// key of the list in JSON [default: the first column; tokens]
    #[arg(
        long,
        value_name = "COL",
        requires = "train",
        conflicts_with_all = [
            "text", "text2", "label", "score", "label_separator", "labels", "entities",
            "skip_misaligned",
        ]
    )]
    pub tokens: Option<String>,
    /// Tagged words: column or key of the tags [default: the last column; tags]
    #[arg(
        long,
        value_name = "COL",
        requires = "train",
        conflicts_with_all = [
            "text", "text2", "label", "score", "label_separator", "labels", "entities",
            "skip_misaligned",
        ]
    )]
    pub tags: Option<String>,
    /// Texts with spans in JSON: key of the list of spans; --text names the key
    /// of the text [default: text]
    #[arg(
        long,
        value_name = "KEY",
        requires = "train",
        conflicts_with_all = ["text2", "label", "score", "label_separator", "labels"]
    )]
    pub entities: Option<String>,
    /// Leave out spans that begin or end inside of a word, and count them
    #[arg(long, requires = "entities", conflicts_with_all = ["text2", "label", "score", "label_separator", "labels"])]
    pub skip_misaligned: bool,
    /// The label is a number to predict (regression), not a class
    #[arg(long, requires = "train", conflicts_with_all = ["label_separator", "labels"])]
    pub score: bool,
    /// A row has any number of labels, with this text between them in the
    /// column of --label; an empty field is a row without labels
    #[arg(long, value_name = "TEXT", requires = "train", conflicts_with = "labels")]
    pub label_separator: Option<String>,
    /// A row has any number of labels, in columns of 0 and 1 with their names,
    /// separated by commas, instead of --label
    #[arg(
        long,
        value_name = "COLS",
        value_delimiter = ',',
        requires = "train",
        conflicts_with = "label"
    )]
    pub labels: Vec<String>,
    /// Maximum number of training rows, drawn by the seed
    #[arg(
        long,
        value_name = "ROWS",
        allow_negative_numbers = true,
        value_parser = limits::LIMIT
    )]
    pub limit: Option<usize>,
}

/// Arguments of `trainer train`.
#[derive(Debug, Clone, Args)]
#[command(after_help = "\
Examples:
  trainer train
  trainer train --task cola --data data --size 64 --learning-rate 1e-3
  trainer train --train mails.csv --text body --label team --epochs 10
  trainer train --train entities.conll --validation dev.conll
  trainer train --task rte --data data --fuse mnli.safetensors,qqp.safetensors
  trainer train --resume

The run is written to RUNS/TASK/NAME: the adapter of the best epoch
(adapter.safetensors), all settings (config.toml), the metrics of every step
and epoch (metrics.jsonl) and the scores (result.json).

A terminal shows a dashboard; when output is not a terminal, plain log lines
are printed. Ctrl-C stops the run and saves a checkpoint; a second Ctrl-C ends
the program immediately.

Exit codes: 0 success, 130 interrupted, 1 error, 2 invalid arguments.
With --json, the last line on standard output is one JSON object: the result,
{\"status\": \"stopped\", …} or {\"status\": \"error\", \"error\": …}.")]
pub struct TrainArgs {
    /// Where the rows come from.
    #[command(flatten)]
    pub task: TaskArgs,

    /// What is trained.
    #[command(flatten)]
    pub model: Overrides<ModelConfig>,
    /// How it is trained.
    #[command(flatten)]
    pub training: Overrides<TrainingConfig>,
    /// Seed of every random choice; on the CPU, runs with the same seed are
    /// identical bit for bit [default: 42]
    #[arg(long, value_name = "SEED", allow_negative_numbers = true, help_heading = "Training")]
    pub seed: Option<u64>,

    /// Device: auto, cpu, wgpu or cuda, with an index as in cuda:1
    /// [default: auto]
    #[arg(long, value_name = "DEVICE", help_heading = "Run")]
    pub device: Option<String>,
    /// Several devices, such as cuda:0,cuda:1; each batch is split among them
    #[arg(long, value_name = "DEVICES", conflicts_with = "device", help_heading = "Run")]
    pub devices: Option<String>,
    /// Directory of all runs [default: runs]
    #[arg(long, value_name = "DIR", help_heading = "Run")]
    pub runs: Option<PathBuf>,
    /// Name of the run [default: method, size and seed]
    #[arg(long, value_name = "NAME", value_parser = limits::directory_name, help_heading = "Run")]
    pub name: Option<String>,
    /// Resume a stopped run with its own settings: the run in the given
    /// directory, or the latest unfinished run
    #[arg(
        long,
        value_name = "RUN",
        num_args = 0..=1,
        // The other settings are refused in `TrainJob::of`.
        conflicts_with_all = [
            "task", "data", "train", "validation", "test", "text", "text2", "label", "score",
            "label_separator", "labels", "tokens", "tags", "entities", "skip_misaligned", "limit", "seed",
            "name", "config",
        ],
        help_heading = "Run"
    )]
    pub resume: Option<Option<PathBuf>>,
    /// Read the settings from a file such as the config.toml of a run; other
    /// flags override its settings
    #[arg(long, value_name = "FILE", help_heading = "Run")]
    pub config: Option<PathBuf>,
    /// Seconds between checkpoints inside an epoch
    #[arg(long, value_name = "SECONDS", default_value_t = 300, help_heading = "Run")]
    pub checkpoint_every: u64,
    /// Print plain log lines instead of the dashboard
    #[arg(long, help_heading = "Run")]
    pub plain: bool,
    /// Print the result as one line of JSON on standard output
    #[arg(long, help_heading = "Run")]
    pub json: bool,
}
