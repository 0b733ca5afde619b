//! The arguments of `trainer sweep` and `trainer report`.

use std::path::PathBuf;

use clap::Args;

use crate::run_config::limits;
use crate::sweep::shard::Shard;

/// Arguments of `trainer sweep`.
#[derive(Debug, Clone, Args)]
#[command(after_help = "\
Examples:
  trainer sweep --preset minilm --data data --dry-run
  trainer sweep --preset glue --base bert-large-uncased --data data
  trainer sweep mine.toml --data data --shard 2/4
  trainer sweep --preset glue --data data --slurm --slurm-shards 40 > sweep.sh

A sweep file:
  version = 1
  [[grid]]                       # one or more; every combination is a run
  tasks = ['cola', 'rte']
  methods = ['houlsby', 'full']
  sizes = [8, 64]                # for methods that have a size
  learning_rates = [3e-4, 1e-3]
  epochs = [3]
  seeds = [0, 1, 2]
  batch_size = 16                # any other setting of a run's config.toml
  # further lists: adapt_layers, init_stds, poolings

A sweep can be interrupted at any time; the same command resumes it. Finished
runs are not repeated: their results are in the sweep's ledger. An environment
error (a full disk, missing data) stops the sweep and is not recorded.

With --json, one object on standard output: status (done, failed, open or
stopped), cells (number of runs by status), settings, adapters and failed.")]
pub struct SweepArgs {
    /// The sweep file
    #[arg(value_name = "FILE", conflicts_with = "preset")]
    pub file: Option<PathBuf>,
    /// A built-in sweep: glue, extra, squad, figure-3, figure-4, init-scale,
    /// learning-rate, minilm
    #[arg(long, value_name = "NAME")]
    pub preset: Option<String>,
    /// The pretrained BERT: minilm, a Hugging Face name, or a directory
    #[arg(long, value_name = "BASE", default_value = "minilm")]
    pub base: String,
    /// Directory with the published files of the tasks
    #[arg(long, value_name = "DIR")]
    pub data: Option<PathBuf>,
    /// Device: auto, cpu, wgpu or cuda, with an index as in cuda:1
    #[arg(long, value_name = "DEVICE", default_value = "auto")]
    pub device: String,
    /// Directory of all sweeps
    #[arg(long, value_name = "DIR", default_value = "sweeps")]
    pub sweeps: PathBuf,
    /// Name of the sweep [default: the name of the file or preset]
    #[arg(long, value_name = "NAME", value_parser = limits::directory_name)]
    pub name: Option<String>,
    /// Run only part I of N, to share a sweep among N machines
    #[arg(long, value_name = "I/N", default_value = "1/1", conflicts_with = "submission")]
    pub shard: Shard,
    /// Print the remaining runs and their estimated time, and write nothing
    #[arg(
        long,
        conflicts_with_all = ["keep_all", "submission", "checkpoint_every", "json"]
    )]
    pub dry_run: bool,
    /// Print a Slurm array script that runs this sweep on many machines
    #[arg(long, conflicts_with_all = ["dry_run", "shard", "submission"])]
    pub slurm: bool,
    /// Number of jobs in the Slurm array
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
    /// Also keep the trained weights of large methods (full, top-K)
    #[arg(long)]
    pub keep_all: bool,
    /// Write GLUE's submission files at the end, with the adapter of each task
    /// that has the best validation score
    #[arg(long, value_name = "DIR")]
    pub submission: Option<PathBuf>,
    /// Seconds between checkpoints inside an epoch
    #[arg(long, value_name = "SECONDS", default_value_t = 300)]
    pub checkpoint_every: u64,
    /// Print JSON
    #[arg(long)]
    pub json: bool,
    /// Refused with a sentence: own rows are for `trainer train`
    #[arg(long, hide = true, value_parser = no_own_rows)]
    pub train: Option<PathBuf>,
}

fn no_own_rows(_file: &str) -> Result<PathBuf, &'static str> {
    Err("a sweep trains published tasks only; `trainer train --train` trains on your own rows")
}

/// Arguments of `trainer report`.
#[derive(Debug, Clone, Args)]
#[command(after_help = "\
Examples:
  trainer report sweeps/minilm
  trainer report sweeps/figure-4 --out figure-4.html")]
pub struct ReportArgs {
    /// Directory of the sweep, which has the ledger
    pub sweep: PathBuf,
    /// The HTML file to write [default: report.html in that directory]
    #[arg(long, value_name = "FILE")]
    pub out: Option<PathBuf>,
}
