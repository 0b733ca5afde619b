//! Benchmarks the trainer, optionally with the peers.

use std::path::PathBuf;

use anyhow::{Context, Result};
use clap::Args;
use xshell::Shell;

use crate::{device, peers, train};

#[derive(Args)]
pub(crate) struct BenchArgs {
    /// Also run the peers, alternating with ours
    #[arg(long)]
    peer: bool,
    /// A Python that has the peers' packages [default: a virtual environment below the target directory, several GB]
    #[arg(long, value_name = "PATH", requires = "peer")]
    python: Option<PathBuf>,
    /// Only these workloads, separated by commas: minilm-128, minilm-cola, bert-base-128, roberta-base-128,
    /// distilbert-base-128, deberta-v3-base-128, modernbert-base-128, modernbert-base-2x1024 [default: all]
    #[arg(long, value_name = "NAMES")]
    workload: Option<String>,
    /// Only these methods, separated by commas [default: houlsby, checkpointed, layer-norm, full, inference, lora]
    #[arg(long, value_name = "NAMES")]
    method: Option<String>,
    /// Device: cpu, wgpu or cuda, with an index as in cuda:1; decides the build
    #[arg(long, value_name = "DEVICE", default_value = "cpu")]
    device: String,
    /// Precision of the base's weight matrices, and of the peers' matrix products: f32, bf16 or f16
    #[arg(long, value_name = "NAME")]
    precision: Option<String>,
    /// Compile the peers' models with torch.compile
    #[arg(long, requires = "peer")]
    compile: bool,
    /// Number of threads, of the peers too [default: all]
    #[arg(long, value_name = "N")]
    threads: Option<usize>,
    /// Print JSON, one object per case
    #[arg(long)]
    json: bool,
    /// Run fewer steps, in one process per case
    #[arg(long)]
    quick: bool,
}

pub(crate) fn run(shell: &Shell, args: BenchArgs) -> Result<()> {
    let BenchArgs {
        peer,
        python,
        workload,
        method,
        device,
        precision,
        compile,
        threads,
        json,
        quick,
    } = args;
    let mut arguments = vec!["bench".to_owned(), "--device".to_owned(), device];
    let (backend, _) = device::choose(&arguments);
    if peer {
        let python = peers::python(shell, python)?;
        let python = python.to_str().context("the path of the Python is not UTF-8")?;
        arguments.extend(["--python".to_owned(), python.to_owned()]);
    }
    let threads = threads.map(|threads| threads.to_string());
    let valued = [
        ("--workload", workload),
        ("--method", method),
        ("--precision", precision),
        ("--threads", threads),
    ];
    for (flag, value) in valued {
        arguments.extend(value.into_iter().flat_map(|value| [flag.to_owned(), value]));
    }
    arguments.extend(json.then(|| "--json".to_owned()));
    arguments.extend(quick.then(|| "--quick".to_owned()));
    arguments.extend(compile.then(|| "--compile".to_owned()));
    train::run_on(shell, backend, arguments)
}
