//! What `trainer sweep` and `trainer report` take.

use std::path::PathBuf;

use clap::Args;

use crate::limits;
use crate::sweep::shard::Shard;

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
  [[grid]]                       # any number; every combination is a run
  tasks = ['cola', 'rte']
  methods = ['houlsby', 'full']
  sizes = [8, 64]                # for methods with adapters
  learning_rates = [3e-4, 1e-3]
  epochs = [3]
  seeds = [0, 1, 2]
  # also: adapt_layers, init_stds, poolings, optimizer, batch_size, max_length,
  # limit, patience, cache

Killed at any time, the same command continues where it was. A run that ended
is not repeated: its result is in the sweep's ledger. A fault of the machine (a
full disk, missing data) stops the sweep and is not recorded.

With --json, one object on standard output: status (done, failed, open or
stopped), cells (how many runs of each), settings, adapters and failed.")]
pub struct SweepArgs {
    /// The sweep's file
    #[arg(value_name = "FILE", conflicts_with = "preset")]
    pub file: Option<PathBuf>,
    /// A sweep that comes with the program: glue, extra, squad, figure-3,
    /// figure-4, init-scale, learning-rate, minilm
    #[arg(long, value_name = "NAME")]
    pub preset: Option<String>,
    /// The pretrained BERT: minilm, a Hugging Face name, or a directory
    #[arg(long, value_name = "BASE", default_value = "minilm")]
    pub base: String,
    /// Directory with the published files of the tasks
    #[arg(long, value_name = "DIR")]
    pub data: Option<PathBuf>,
    /// Where to compute: auto, cpu, wgpu or cuda, with an index as in cuda:1
    #[arg(long, value_name = "DEVICE", default_value = "auto")]
    pub device: String,
    /// Directory that holds the sweeps
    #[arg(long, value_name = "DIR", default_value = "sweeps")]
    pub sweeps: PathBuf,
    /// Name of the sweep [default: the file's or the preset's]
    #[arg(long, value_name = "NAME", value_parser = limits::directory_name)]
    pub name: Option<String>,
    /// Run only part I of N, one for each machine
    #[arg(long, value_name = "I/N", default_value = "1/1", conflicts_with = "submission")]
    pub shard: Shard,
    /// Print the runs that are left and about how long they take; nothing is
    /// written
    #[arg(
        long,
        conflicts_with_all = ["keep_all", "submission", "checkpoint_every", "json"]
    )]
    pub dry_run: bool,
    /// Print a Slurm array script that runs this sweep on many machines
    #[arg(long, conflicts_with_all = ["dry_run", "shard", "submission"])]
    pub slurm: bool,
    /// Jobs of the Slurm array
    #[arg(
        long,
        value_name = "N",
        default_value_t = 16,
        allow_negative_numbers = true,
        value_parser = limits::SHARDS,
        requires = "slurm",
        conflicts_with_all = ["dry_run", "shard", "submission"]
    )]
    pub slurm_shards: usize,
    /// Repeat the runs that are recorded as failed
    #[arg(long)]
    pub retry_failed: bool,
    /// Keep the weights of large methods (full, top-K) too
    #[arg(long)]
    pub keep_all: bool,
    /// Write GLUE's submission files at the end, with the best adapter of each
    /// task on the validation rows
    #[arg(long, value_name = "DIR")]
    pub submission: Option<PathBuf>,
    /// Seconds between checkpoints inside an epoch
    #[arg(long, value_name = "SECONDS", default_value_t = 300)]
    pub checkpoint_every: u64,
    /// Print JSON
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
