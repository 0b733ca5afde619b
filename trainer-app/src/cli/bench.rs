//! The arguments of `trainer bench`.

use std::path::PathBuf;

use burn_bert::Precision;
use clap::Args;

use crate::bench::Workload;
use crate::run_config::limits;

/// Arguments of `trainer bench`.
#[derive(Debug, Clone, Args)]
#[command(after_help = "\
Each case runs in its own process, so that its peak memory can be measured. The
peers are AdapterHub and PEFT on PyTorch: `cargo xtask bench --peer` installs
them and alternates between them and this program. Texts of different lengths
are batched as each side does in training: here by length, by the peers in a
shuffled order.

Examples:
  trainer bench --quick
  trainer bench --workload minilm-128 --method houlsby,full")]
pub struct BenchArgs {
    /// Only these workloads (a base and its texts), separated by commas
    /// [default: all]
    #[arg(long, value_enum, value_name = "NAMES", value_delimiter = ',')]
    pub workload: Vec<Workload>,
    /// Only these, separated by commas: houlsby, checkpointed (houlsby with
    /// gradient checkpointing), layer-norm, full, inference, lora or another
    /// method of `trainer train` [default: those six]
    #[arg(long, value_name = "NAMES", value_delimiter = ',')]
    pub method: Vec<String>,
    /// A Python with torch, transformers, adapters and peft, to run the peers
    #[arg(long, value_name = "PATH")]
    pub python: Option<PathBuf>,
    /// Device: cpu, wgpu or cuda, with an index as in cuda:1
    #[arg(long, value_name = "DEVICE", default_value = "cpu")]
    pub device: String,
    /// Precision of the base's weight matrices, and of the peers' matrix
    /// products: f32, bf16 or f16
    #[arg(long, value_name = "NAME", default_value = "f32")]
    pub precision: Precision,
    /// Compile the peers' models with torch.compile
    #[arg(long, requires = "python")]
    pub compile: bool,
    /// Number of threads, of the peers too [default: all]
    #[arg(
        long,
        value_name = "N",
        allow_negative_numbers = true,
        value_parser = limits::THREADS
    )]
    pub threads: Option<usize>,
    /// Run fewer steps, in one process per case
    #[arg(long)]
    pub quick: bool,
    /// Print JSON, one object per case
    #[arg(long)]
    pub json: bool,
    /// One case as JSON, which the program passes to its own processes
    #[arg(long, hide = true)]
    pub case: Option<String>,
}
