//! Development commands. Depends on cargo and the program `trainer`, not on Burn, so that it builds in seconds.

#![expect(clippy::print_stderr, reason = "a development command reports what it does")]

mod bench;
mod ci;
mod device;
mod dist;
mod fuzz;
mod guide;
mod interop;
mod memory;
mod package;
mod peers;
mod test;
mod torture;
mod train;

use std::process::ExitCode;

use clap::{Parser, Subcommand};
use xshell::Shell;

/// Development commands: `cargo xtask COMMAND`
#[derive(Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask", max_term_width = 80)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Build the trainer for the device of this machine, and train an adapter
    /// (see its --help)
    #[command(disable_help_flag = true)]
    Train {
        /// Arguments of `trainer train`; --device auto|cpu|wgpu|cuda also decides the build
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        arguments: Vec<String>,
    },
    /// Build the trainer and run any of its commands: train, sweep, report, ablate,
    /// evaluate, predict, score, bank, serve, bench, devices, data, base,
    /// adapter, completions (see its --help)
    #[command(disable_help_flag = true)]
    Trainer {
        /// Arguments of `trainer`
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        arguments: Vec<String>,
    },
    /// Benchmark training steps and inference; with --peer also AdapterHub and PEFT
    Bench(bench::BenchArgs),
    /// Run every test; with the name of a GPU, compare its results with the CPU's
    Test {
        /// cpu, wgpu or cuda, with an index as in cuda:1
        #[arg(long, value_name = "DEVICE", default_value = "cpu")]
        device: String,
    },
    /// Exchange adapters with the Python packages adapters, peft and transformers,
    /// in both directions
    Interop(interop::InteropArgs),
    /// Kill the trainer at random moments and at every file operation, fill its
    /// disk, and compare the results with an undisturbed run
    Torture(torture::TortureArgs),
    /// Fuzz every reader of files: no panic, no hang, bounded memory
    Fuzz(fuzz::FuzzArgs),
    /// Train for 20,000 steps and fail if resident memory grows
    Memory(memory::MemoryArgs),
    /// Check the guide in docs/guide: links, and that its commands print what it shows
    Guide(guide::GuideArgs),
    /// Package the library crates as for crates.io, and build the packages
    Package,
    /// Build the stripped program with completions and man pages in target/dist
    Dist(dist::DistArgs),
    /// Build a Python wheel of the program in target/dist, and try it in a fresh
    /// virtual environment
    Wheel,
    /// Run all checks that a change has to pass, cheapest first
    Ci,
}

fn main() -> ExitCode {
    match run(Cli::parse().command) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(command: Command) -> anyhow::Result<()> {
    let shell = Shell::new()?;
    // Cargo resolves a relative path from its own directory.
    shell.set_var(train::TARGET, train::target());
    // The trainer runs in the caller's directory; only cargo runs in the workspace.
    shell.change_dir(train::workspace());
    match command {
        Command::Train { arguments } => {
            train::run(&shell, ["train".to_owned()].into_iter().chain(arguments).collect())
        }
        Command::Trainer { arguments } => train::run(&shell, arguments),
        Command::Bench(args) => bench::run(&shell, args),
        Command::Test { device } => test::run(&shell, &device),
        Command::Interop(args) => interop::run(&shell, args),
        Command::Torture(args) => torture::run(&shell, &args),
        Command::Fuzz(args) => fuzz::run(&shell, &args),
        Command::Memory(args) => memory::run(&shell, &args),
        Command::Guide(args) => guide::run(&shell, &args),
        Command::Package => package::check(&shell),
        Command::Dist(args) => dist::run(&shell, &args),
        Command::Wheel => dist::wheel(&shell),
        Command::Ci => ci::run(&shell),
    }
}
