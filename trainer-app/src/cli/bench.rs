//! What `trainer bench` takes.

use std::path::PathBuf;

use burn_bert::Precision;
use clap::Args;

use crate::bench::Workload;
use crate::limits;

/// Arguments of `trainer bench`.
#[derive(Debug, Clone, Args)]
#[command(after_help = "\
Each case runs in a process of its own, so that its peak of memory is its own.
The peers are AdapterHub and peft on PyTorch: `cargo xtask bench --peer`
installs them and runs them in turn with this program. Texts of different
lengths are batched as each side trains: here with others of their length, by
the peers in a shuffled order.

Examples:
  trainer bench --quick
  trainer bench --workload minilm-128 --method houlsby,full")]
pub struct BenchArgs {
    /// Only these bases with their texts, with commas between [default: all]
    #[arg(long, value_enum, value_name = "NAMES", value_delimiter = ',')]
    pub workload: Vec<Workload>,
    /// Only these, with commas between: houlsby, checkpointed (houlsby with
    /// gradient checkpointing), layer-norm, full, inference, lora or another
    /// method of `trainer train` [default: those six]
    #[arg(long, value_name = "NAMES", value_delimiter = ',')]
    pub method: Vec<String>,
    /// A Python with torch, transformers, adapters and peft, to run the peers
    /// in turn
    #[arg(long, value_name = "PATH")]
    pub python: Option<PathBuf>,
    /// Where to compute: cpu, wgpu or cuda, with an index as in cuda:1
    #[arg(long, value_name = "DEVICE", default_value = "cpu")]
    pub device: String,
    /// Precision of the base's matrices, and of the peers' products: f32, bf16 or f16
    #[arg(long, value_name = "NAME", default_value = "f32")]
    pub precision: Precision,
    /// The peers' models go through torch.compile
    #[arg(long, requires = "python")]
    pub compile: bool,
    /// Threads of both sides [default: as many as there are]
    #[arg(
        long,
        value_name = "N",
        allow_negative_numbers = true,
        value_parser = limits::THREADS
    )]
    pub threads: Option<usize>,
    /// Take fewer steps, and one process a case
    #[arg(long)]
    pub quick: bool,
    /// Print JSON, one object a case
    #[arg(long)]
    pub json: bool,
    /// One case as JSON: what the program hands to itself
    #[arg(long, hide = true)]
    pub case: Option<String>,
}
