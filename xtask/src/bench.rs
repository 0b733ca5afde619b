//! Times the trainer, beside the peers where asked.

use std::path::PathBuf;

use anyhow::{Context, Result};
use clap::Args;
use xshell::Shell;

use crate::{device, peers, train};

#[derive(Args)]
pub(crate) struct BenchArgs {
    /// Run the peers in turn with ours
    #[arg(long)]
    peer: bool,
    /// A Python that has the peers already [default: one is made below the target folder, several GB, once]
    #[arg(long, value_name = "PATH", requires = "peer")]
    python: Option<PathBuf>,
    /// Only these bases with their texts: minilm-128, minilm-cola, bert-base-128, with commas between [default: all]
    #[arg(long, value_name = "NAMES")]
    workload: Option<String>,
    /// Only these methods, with commas between [default: houlsby, checkpointed, layer-norm, full, inference, lora]
    #[arg(long, value_name = "NAMES")]
    method: Option<String>,
    /// Where to compute: cpu, wgpu or cuda, with an index as in cuda:1; chooses what is built
    #[arg(long, value_name = "DEVICE", default_value = "cpu")]
    device: String,
    /// Precision of the base's matrices, and of the peers' products: f32, bf16 or f16
    #[arg(long, value_name = "NAME")]
    precision: Option<String>,
    /// The peers' models go through torch.compile
    #[arg(long, requires = "peer")]
    compile: bool,
    /// Threads of both sides [default: as many as there are]
    #[arg(long, value_name = "N")]
    threads: Option<usize>,
    /// JSON on standard output: one object a case
    #[arg(long)]
    json: bool,
    /// Fewer steps, one process a case
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
        let python = python.to_str().context("the path of the Python is no text")?;
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
