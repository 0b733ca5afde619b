//! The project's chores. Knows cargo and the program `trainer`, not Burn, and so builds in seconds.

#![expect(clippy::print_stderr, reason = "a chore says what it does")]

mod bench;
mod ci;
mod device;
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

/// The project's chores: `cargo xtask COMMAND`.
#[derive(Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask", max_term_width = 80)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Build the trainer for the device of this machine, and train an adapter (see its --help)
    #[command(disable_help_flag = true)]
    Train {
        /// Handed to `trainer train`; --device auto|cpu|wgpu|cuda also chooses what is built
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        arguments: Vec<String>,
    },
    /// Build the trainer and run any of its commands: train, sweep, report, ablate, evaluate, predict, bank, serve, bench, devices,
    /// data, base, adapter (see its --help)
    #[command(disable_help_flag = true)]
    Trainer {
        /// Handed to `trainer`
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        arguments: Vec<String>,
    },
    /// Time training steps and inference, with --peer in turn with AdapterHub and peft
    Bench(bench::BenchArgs),
    /// Run every test; with the name of a GPU, compare its numbers with the CPU's
    Test {
        /// cpu, wgpu or cuda, with an index as in cuda:1
        #[arg(long, value_name = "DEVICE", default_value = "cpu")]
        device: String,
    },
    /// Exchange adapters with the Python packages adapters, peft and transformers, there and back
    Interop(interop::InteropArgs),
    /// Kill the trainer at random moments and at every operation on a file, fill its disk, and compare what it ends with
    Torture(torture::TortureArgs),
    /// Fuzz every reader of files: no panic, no hang, no memory beyond a stated bound
    Fuzz(fuzz::FuzzArgs),
    /// Train for 20,000 steps and fail if resident memory grows
    Memory(memory::MemoryArgs),
    /// Check the guide in docs/guide: links, and that its commands print what it shows
    Guide(guide::GuideArgs),
    /// Package the library crates as for crates.io, and build the packages
    Package,
    /// Run everything that has to pass before a change lands, cheapest first
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
    // Cargo takes a relative one from its own directory.
    shell.set_var(train::TARGET, train::target());
    // The trainer runs where the caller is; only cargo has to be at home here.
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
        Command::Ci => ci::run(&shell),
    }
}
